//! Targets in few bytes.

use super::index::Indexed;
use crate::term::atom::Name;
use crate::term::pid::PidParts;

/// What is monitored, within one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A process by its pid.
    Process {
        /// Both halves of the number.
        number: u64,
        /// The incarnation of its node.
        creation: u32,
    },
    /// Whoever is registered under a name.
    Named(Name),
}

impl Default for Identity {
    fn default() -> Self {
        Self::Process { number: 0, creation: 0 }
    }
}

/// A target as a key of an index: `scope` keeps targets of different nodes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    scope: u32,
    named: bool,
    creation: u32,
    number: [u32; 2],
}

impl Indexed for Key {
    fn number(&self) -> (u64, u64) {
        let [id, serial] = self.number.map(u64::from);
        let rest = u64::from(self.creation) << 32 | u64::from(self.scope) << 1 | u64::from(self.named);
        (serial << 32 | id, rest)
    }
}

impl Identity {
    /// The identity of a process.
    pub fn of(pid: &PidParts) -> Self {
        Self::Process { number: pid.number(), creation: pid.creation }
    }

    /// The key in an index. Valid while the identity is held: a name is known by where it is.
    pub fn key(&self, scope: u32) -> Key {
        let (named, number, creation) = match self {
            Self::Process { number, creation } => (false, *number, *creation),
            Self::Named(name) => (true, std::ptr::from_ref(name.text()).cast::<u8>().addr() as u64, 0),
        };
        Key { scope, named, creation, number: halves(number) }
    }

    /// Whether it is a name.
    pub fn is_named(&self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// The pid, for a process.
    #[allow(clippy::cast_possible_truncation)] // the halves of the number
    pub fn pid(&self, node: &Name) -> Option<PidParts> {
        match self {
            Self::Process { number, creation } => {
                let [id, serial] = halves(*number);
                Some(PidParts { node: node.clone(), id, serial, creation: *creation })
            }
            Self::Named(_) => None,
        }
    }
}

#[allow(clippy::cast_possible_truncation)] // that is what halves are
pub fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_targets_have_equal_keys_within_a_scope() {
        let pid = PidParts { node: Name::intern("a@h"), id: 7, serial: 9, creation: 3 };
        assert_eq!(Identity::of(&pid).key(1), Identity::of(&pid).key(1));
        assert_ne!(Identity::of(&pid).key(1), Identity::of(&pid).key(2));
        let older = PidParts { creation: 2, ..pid.clone() };
        assert_ne!(Identity::of(&pid).key(1), Identity::of(&older).key(1));
        assert_eq!(Identity::of(&pid).pid(&pid.node), Some(pid));
    }

    #[test]
    fn a_name_is_known_by_its_text() {
        let held = Name::intern("identity_test");
        let key = Identity::Named(held.clone()).key(0);
        assert_eq!(Identity::Named(Name::intern("identity_test")).key(0), key);
        assert_ne!(Identity::Named(Name::intern("identity_other")).key(0), key);
    }
}
