//! Atoms, interned for as long as somebody holds them.
//!
//! Source: OTP, "External Term Format", sections `ATOM_UTF8_EXT` and `SMALL_ATOM_UTF8_EXT`.

mod account;
#[cfg(feature = "python")]
mod object;
mod table;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

pub use account::Budget;
#[cfg(feature = "python")]
pub use object::Atom;

use crate::error::Spent;
use account::Account;
use table::Table;

/// How the external form of a short atom begins.
pub const SMALL_ATOM_UTF8: u8 = 119;

/// Characters of the longest atom.
pub const MAX_CHARACTERS: usize = 255;

/// The atoms that Python has values of its own for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Any other atom.
    Plain,
    /// `true`
    True,
    /// `false`
    False,
    /// `nil`, Python's `None`
    Nil,
}

/// The external form of a short atom, filled up: to copy a constant count of bytes takes no call.
pub struct Form {
    bytes: [u8; Self::PADDED],
    length: u8,
}

impl Form {
    /// How long `padded` is. Longer forms have no `Form`; this has room for most names of nodes.
    pub const PADDED: usize = 48;

    fn of(text: &str) -> Option<Self> {
        let (mut bytes, length) = ([0; Self::PADDED], u8::try_from(text.len()).ok()?);
        bytes.get_mut(2..2 + text.len())?.copy_from_slice(text.as_bytes());
        bytes[..2].copy_from_slice(&[SMALL_ATOM_UTF8, length]);
        Some(Self { bytes, length: length + 2 })
    }

    /// The form, and zeros behind it.
    pub fn padded(&self) -> &[u8; Self::PADDED] {
        &self.bytes
    }

    /// How many bytes are the form.
    pub fn length(&self) -> usize {
        usize::from(self.length)
    }
}

struct Row {
    form: Option<Form>,
    // The table has the same.
    text: Arc<str>,
    meaning: Meaning,
    // Who has made it, unless that is the program.
    account: Option<Arc<Account>>,
    #[cfg(feature = "python")]
    object: object::Cached,
}

/// A native atom: cheap to clone, compared and hashed by identity, ordered by its text.
#[derive(Clone)]
pub struct Name(Arc<Row>);

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

fn table() -> MutexGuard<'static, Table> {
    // A panic while the lock is held can't leave half a row behind.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The table's lock, see `hold`.
pub struct Held(#[expect(dead_code, reason = "only held")] MutexGuard<'static, Table>);

/// Keep everybody else from making and freeing atoms: a fork takes this, so that the child can do both.
pub fn hold() -> Held {
    Held(table())
}

impl Name {
    /// The atom of this text, for the program. The caller has checked the length: at most `MAX_CHARACTERS`.
    pub fn intern(text: &str) -> Self {
        let mut table = table();
        table.existing(text).unwrap_or_else(|| table.make(text, None))
    }

    /// The atom of this text; one that is not alive yet is made if the budget lets it be, whose account pays for it.
    pub fn within(text: &str, budget: &Budget) -> Result<Self, Spent> {
        let mut table = table();
        if let Some(name) = table.existing(text) {
            return Ok(name);
        }
        budget.check(&table.accounts, table.len())?;
        Ok(table.make(text, budget.account()))
    }

    /// The atom of this text if it is alive.
    pub fn existing(text: &str) -> Option<Self> {
        table().existing(text)
    }

    /// The characters of the atom.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Its external form if that is short.
    pub fn form(&self) -> Option<&Form> {
        self.0.form.as_ref()
    }

    /// A number for tables of atoms, different for most; the same as long as the atom lives.
    pub fn spread(&self) -> usize {
        let address = Arc::as_ptr(&self.0) as usize as u64;
        // Fibonacci hashing; the low bits of the result depend on all of the address.
        #[allow(clippy::cast_possible_truncation)] // any bits will do
        let mixed = (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        mixed
    }

    /// Which Python value the atom stands for.
    pub fn meaning(&self) -> Meaning {
        self.0.meaning
    }
}

impl Meaning {
    fn of(text: &str) -> Self {
        match text {
            "true" => Self::True,
            "false" => Self::False,
            "nil" => Self::Nil,
            _ => Self::Plain,
        }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        // The lock is free again before the account goes, which needs it to close.
        table().remove(self);
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // UTF-8 keeps the order of code points, which is Erlang's order of atoms.
        self.text().cmp(other.text())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Name({:?})", self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_atom() {
        assert_eq!(Name::intern("one_atom"), Name::intern("one_atom"));
        assert_ne!(Name::intern("one_atom"), Name::intern("other_atom"));
    }

    #[test]
    fn an_atom_nobody_holds_is_freed() {
        let name = Name::intern("freed_atom");
        assert!(Name::existing("freed_atom").is_some());

        drop(name);

        assert!(Name::existing("freed_atom").is_none());
    }

    #[test]
    fn a_short_atom_has_its_external_form_ready() {
        let name = Name::intern("é");
        let form = name.form().unwrap();
        assert_eq!(form.padded()[..form.length()], [SMALL_ATOM_UTF8, 2, 0xc3, 0xa9]);

        assert_eq!(Name::intern(&"a".repeat(46)).form().unwrap().length(), Form::PADDED);
        assert!(Name::intern(&"a".repeat(47)).form().is_none());
    }

    #[test]
    fn order_is_that_of_code_points() {
        assert!(Name::intern("a") < Name::intern("b"));
        assert!(Name::intern("z") < Name::intern("é"));
        assert!(Name::intern("\u{ffff}") < Name::intern("\u{10000}"));
    }
}
