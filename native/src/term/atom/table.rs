//! The atoms that are alive by their text, and the accounts of those who pay for them.

use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::account::{Account, Accounts};
use super::{Form, Meaning, Name, Row};
use crate::term::keyed::Keyed;

/// What is behind the lock.
#[derive(Default)]
pub struct Table {
    rows: HashTable<Place>,
    /// Who pays.
    pub accounts: Accounts,
}

/// Where an atom is. The hash stands here so that a table that grows need not look at a million texts.
struct Place {
    hash: u64,
    text: Arc<str>,
    row: Weak<Row>,
}

impl Place {
    fn is_of(&self, text: &str) -> bool {
        *self.text == *text
    }
}

impl Table {
    /// How many atoms are alive.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The atom of this text if it is alive.
    pub fn existing(&self, text: &str) -> Option<Name> {
        let place = self.rows.find(Keyed.hash_one(text), |place| place.is_of(text))?;
        place.row.upgrade().map(Name)
    }

    /// The atom of a text that has none alive.
    pub fn make(&mut self, text: &str, account: Option<Arc<Account>>) -> Name {
        if let Some(account) = &account {
            self.accounts.charge(account);
        }
        let (hash, text) = (Keyed.hash_one(text), Arc::<str>::from(text));
        let row = Arc::new(Row {
            form: Form::of(&text),
            text: text.clone(),
            meaning: Meaning::of(&text),
            account,
            #[cfg(feature = "python")]
            object: super::object::Cached::default(),
        });
        let made = Place { hash, text: text.clone(), row: Arc::downgrade(&row) };
        match self.rows.entry(hash, |place| place.is_of(&text), |place| place.hash) {
            // Its last holder has let go, and waits for the lock.
            Entry::Occupied(mut dying) => *dying.get_mut() = made,
            Entry::Vacant(free) => drop(free.insert(made)),
        }
        Name(row)
    }

    /// An atom that nobody holds any more.
    pub fn remove(&mut self, row: &Row) {
        if let Some(account) = &row.account {
            self.accounts.give_back(account);
        }
        // Somebody may have made the same atom anew since the last holder let go.
        let is_it = |place: &Place| std::ptr::eq(place.row.as_ptr(), row);
        if let Ok(place) = self.rows.find_entry(Keyed.hash_one(&*row.text), is_it) {
            place.remove();
        }
    }
}
