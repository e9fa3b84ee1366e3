//! Who pays for atoms: each peer for those that it has made, until they are freed.
//!
//! An atom that is alive costs nobody else anything, so no peer can make another one pay. What a peer may have is
//! `max_peer_atoms`, less the fraction of `max_atoms` that other peers have, but `RESERVE` whatever they have: whoever
//! comes under many names takes from those that have much. All peers together have `max_atoms` at most, and their
//! reserves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use super::super::keyed::KeyedMap;
use super::{Name, table};
use crate::error::Spent;
use crate::limits::Limits;

/// How many atoms a peer may have however many others have.
const RESERVE: usize = 4096;

/// A node of this interpreter, and a peer of it.
type Holder = [Box<str>; 2];

/// What one peer of one node has, whatever its links; it lasts as long as a link or an atom of it.
#[derive(Debug)]
pub struct Account {
    holder: Holder,
    // Atoms alive. Touched only with the table locked.
    alive: AtomicUsize,
}

impl Account {
    /// The account that is open, or a new one.
    fn open(node: &Name, peer: &Name) -> Arc<Self> {
        let holder = [node.text().into(), peer.text().into()];
        let mut table = table();
        if let Some(account) = table.accounts.open.get(&holder).and_then(Weak::upgrade) {
            return account;
        }
        let account = Arc::new(Self { holder: holder.clone(), alive: AtomicUsize::new(0) });
        table.accounts.open.insert(holder, Arc::downgrade(&account));
        account
    }

    fn alive(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut table = table();
        let open = &mut table.accounts.open;
        // The peer may have come again since the last holder let go.
        if open.get(&self.holder).is_some_and(|account| account.strong_count() == 0) {
            open.remove(&self.holder);
        }
    }
}

/// All accounts; part of the table of atoms.
#[derive(Debug, Default)]
pub struct Accounts {
    open: KeyedMap<Holder, Weak<Account>>,
    /// Atoms alive of all of them.
    alive: usize,
}

impl Accounts {
    /// An atom more.
    pub fn charge(&mut self, account: &Account) {
        account.alive.fetch_add(1, Ordering::Relaxed);
        self.alive += 1;
    }

    /// An atom less.
    pub fn give_back(&mut self, account: &Account) {
        account.alive.fetch_sub(1, Ordering::Relaxed);
        self.alive -= 1;
    }
}

/// How many atoms may be alive, and on whose account new ones are made.
#[derive(Debug, Clone)]
pub struct Budget {
    /// A peer's; the program has none.
    account: Option<Arc<Account>>,
    max_peer_atoms: usize,
    max_atoms: usize,
}

impl Budget {
    /// No atom is made.
    pub const NOTHING: Self = Self::of_program(0);

    /// Any atom is made.
    #[cfg(test)]
    pub const ENDLESS: Self = Self::of_program(usize::MAX);

    /// The program's own: so many atoms that no peer has made.
    pub const fn of_program(max_atoms: usize) -> Self {
        Self { account: None, max_peer_atoms: 0, max_atoms }
    }

    /// That of all links between a node of this interpreter and a peer.
    pub fn of_peer(node: &Name, peer: &Name, limits: &Limits) -> Self {
        let Limits { max_atoms, max_peer_atoms, .. } = *limits;
        Self { account: Some(Account::open(node, peer)), max_peer_atoms, max_atoms }
    }

    /// On whose account new atoms are made.
    pub(super) fn account(&self) -> Option<Arc<Account>> {
        self.account.clone()
    }

    /// Whether one more atom may be made where so many are alive.
    pub(super) fn check(&self, accounts: &Accounts, alive: usize) -> Result<(), Spent> {
        let (limit, held, maximum) = match &self.account {
            None => ("max_atoms", alive.saturating_sub(accounts.alive), self.max_atoms),
            Some(account) => {
                let maximum = self.share(accounts.alive - account.alive());
                let limit = if maximum == self.max_peer_atoms { WHOLE } else { LESS };
                (limit, account.alive(), maximum)
            }
        };
        if held < maximum {
            return Ok(());
        }
        Err(Spent { limit, value: held as u64 + 1, maximum: maximum as u64 })
    }

    /// How many atoms a peer may have while the others have so many.
    fn share(&self, others: usize) -> usize {
        // Something is left for others, whatever is set.
        let most = self.max_peer_atoms.min(self.max_atoms / 2);
        let left = self.max_atoms.saturating_sub(others);
        let share = (most as u128 * left as u128).div_ceil(self.max_atoms.max(1) as u128);
        usize::try_from(share).unwrap_or(most).max(most.min(RESERVE))
    }
}

const WHOLE: &str = "max_peer_atoms";
const LESS: &str = "max_peer_atoms, less what others have of max_atoms,";

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Other tests have accounts, too: there are far more atoms than all of them make.
    fn budget(peer: &str, max_peer_atoms: usize) -> Budget {
        let limits = Limits { max_atoms: usize::MAX, max_peer_atoms, ..Limits::default() };
        Budget::of_peer(&Name::intern("accounts@test"), &Name::intern(peer), &limits)
    }

    fn make(prefix: &str, count: usize, budget: &Budget) -> Vec<Name> {
        (0..count).map_while(|number| Name::within(&format!("{prefix}_{number}"), budget).ok()).collect()
    }

    fn alive(budget: &Budget) -> usize {
        budget.account.as_ref().unwrap().alive()
    }

    fn is_open(peer: &str) -> bool {
        table().accounts.open.contains_key(&["accounts@test".into(), peer.into()])
    }

    #[test]
    fn a_peer_pays_for_its_atoms_until_they_are_freed() {
        let budget = budget("payer@test", 3);

        let names = make("paid", 5, &budget);
        assert_eq!(names.len(), 3);
        let refused = Name::within("paid_3", &budget).unwrap_err();
        assert_eq!(refused, Spent { limit: "max_peer_atoms", value: 4, maximum: 3 });

        drop(names);
        assert_eq!(make("paid_anew", 5, &budget).len(), 3);
    }

    #[test]
    fn an_atom_that_is_alive_costs_nobody_else() {
        let (one, other) = (budget("first@test", 10), budget("second@test", 0));
        let names = make("shared", 10, &one);

        assert_eq!(make("shared", 10, &other), names);
        let _kept = make("shared", 10, &other);
        drop((names, one));

        assert_eq!(alive(&budget("first@test", 10)), 10, "the first pays as long as anybody holds them");
    }

    #[test]
    fn an_account_lasts_as_long_as_a_link_or_an_atom_of_it() {
        let first = budget("again@test", 2);
        let kept = make("kept", 2, &first);
        drop(first);

        let second = budget("again@test", 2);
        assert!(Name::within("kept_anew", &second).is_err());
        drop(second);
        assert!(is_open("again@test"));
        drop(kept);
        assert!(!is_open("again@test"));

        assert!(Name::within("kept_anew", &budget("again@test", 2)).is_ok());
    }

    #[test]
    fn nodes_of_one_interpreter_have_accounts_of_their_own() {
        let peer = Name::intern("peer_of_both@test");
        let limits = Limits { max_peer_atoms: 1, ..Limits::default() };
        let [one, other] = ["accounts@test", "others@test"].map(|node| {
            let node = Name::intern(node);
            Budget::of_peer(&node, &peer, &limits)
        });

        let _kept = make("of_one", 2, &one);

        assert_eq!((alive(&one), alive(&other)), (1, 0));
        assert!(Name::within("of_other", &other).is_ok());
    }

    #[test]
    fn what_peers_have_is_not_the_programs() {
        let _names = make("of_a_peer", 10_000, &budget("generous@test", 10_000));
        let alive = table().len();

        // Atoms of other tests come and go meanwhile, fewer than these.
        assert!(Name::within("of_the_program", &Budget::of_program(alive - 5000)).is_ok());
        let refused = Name::within("of_nobody", &Budget::NOTHING).unwrap_err();
        assert_eq!((refused.limit, refused.maximum), ("max_atoms", 0));
    }

    #[test]
    fn threads_that_make_and_free_the_same_atoms_pay_for_none_in_the_end() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..500 {
                        let budget = budget("threads@test", 8);
                        let names = make("of_threads", 4 + round % 4, &budget);
                        assert!(names.len() >= 4);
                    }
                });
            }
        });

        assert!(!is_open("threads@test"));
        assert!(Name::existing("of_threads_0").is_none());
    }

    fn share(max_peer_atoms: usize, max_atoms: usize, others: usize) -> usize {
        Budget { account: None, max_peer_atoms, max_atoms }.share(others)
    }

    #[test]
    fn what_a_peer_may_have_shrinks_with_what_others_have() {
        assert_eq!(share(250_000, 1_000_000, 0), 250_000);
        assert_eq!(share(250_000, 1_000_000, 500_000), 125_000);
        assert_eq!(share(250_000, 1_000_000, 999_999), RESERVE);
        assert_eq!(share(250_000, 1_000_000, 9_000_000), RESERVE);
        assert_eq!(share(100, 1_000_000, 9_000_000), 100, "no more than is set");
        assert_eq!(share(2_000_000, 1_000_000, 0), 500_000, "half of all at most");
        assert_eq!(share(250, 1, 0), 0);
        assert_eq!(share(usize::MAX, usize::MAX, 0), usize::MAX / 2);
    }

    proptest! {
        #[test]
        fn greedy_peers_have_max_atoms_and_their_reserves_at_most(
            peers in 1_usize..2000, max_peer_atoms in 1_usize..2_000_000, max_atoms in 1_usize..2_000_000,
        ) {
            let taken = (0..peers).fold(0, |taken, _| taken + share(max_peer_atoms, max_atoms, taken));
            prop_assert!(taken <= max_atoms + peers * RESERVE);
        }

        #[test]
        fn accounts_know_what_is_alive(
            steps in prop::collection::vec((0_usize..3, 0_usize..12, any::<bool>()), 1..200),
        ) {
            let budgets = ["one", "two", "three"].map(|peer| budget(&format!("{peer}_model@test"), 4));
            let mut payers: HashMap<usize, (usize, Name)> = HashMap::new();
            for (peer, atom, makes) in steps {
                let paid = |payers: &HashMap<_, (usize, _)>, peer| payers.values().filter(|one| one.0 == peer).count();
                if !makes {
                    payers.remove(&atom);
                } else if let Ok(name) = Name::within(&format!("of_the_model_{atom}"), &budgets[peer]) {
                    payers.entry(atom).or_insert((peer, name));
                } else {
                    prop_assert!(paid(&payers, peer) == 4 && !payers.contains_key(&atom));
                }
                for (index, budget) in budgets.iter().enumerate() {
                    prop_assert_eq!(alive(budget), paid(&payers, index));
                }
            }
        }
    }
}
