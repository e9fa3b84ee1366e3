//! References.
//!
//! Source: OTP, "External Term Format", section `NEWER_REFERENCE_EXT`.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::atom::Name;

/// Words of the longest reference.
pub const MAX_WORDS: usize = 5;

/// The first word of references made here stays below this, as ERTS's own do.
pub const FIRST_WORD_BOUND: u32 = 1 << 18;

/// The identity of a reference: node, creation and all its words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReferenceParts {
    /// The node.
    pub node: Name,
    /// The incarnation of the node.
    pub creation: u32,
    count: u8,
    words: [u32; MAX_WORDS],
}

impl ReferenceParts {
    /// A reference of 1 to `MAX_WORDS` words; `None` for any other count.
    pub fn new(node: Name, creation: u32, words: &[u32]) -> Option<Self> {
        let count = u8::try_from(words.len()).ok()?;
        let mut all = [0; MAX_WORDS];
        all.get_mut(..words.len())?.copy_from_slice(words);
        (count > 0).then_some(Self { node, creation, count, words: all })
    }

    /// The words, in the order of the wire.
    pub fn words(&self) -> &[u32] {
        &self.words[..usize::from(self.count)]
    }
}

impl Ord for ReferenceParts {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Unused words are zero; the last word is the most significant one.
        self.node
            .cmp(&other.node)
            .then_with(|| self.creation.cmp(&other.creation))
            .then_with(|| self.words.iter().rev().cmp(other.words.iter().rev()))
            .then_with(|| self.count.cmp(&other.count))
    }
}

impl PartialOrd for ReferenceParts {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Makes the words of the references of one node: nobody guesses one who has not seen it.
///
/// Words 0 to 2 are 82 random bits, words 3 and 4 a counter, so that Erlang's order of references, which begins with
/// the last word, is the order of making. A reference is what protects a monitor, an alias and a reply from peers
/// that speak for others.
pub struct WordSource {
    counter: u64,
    random: ChaCha12Rng,
}

impl WordSource {
    /// No reference has been made.
    pub fn new() -> Self {
        Self { counter: 0, random: ChaCha12Rng::from_os_rng() }
    }

    /// The words of the next reference.
    pub fn advance(&mut self) -> [u32; MAX_WORDS] {
        self.counter += 1;
        let [first, second, third] = std::array::from_fn(|_| self.random.next_u32());
        let [low, high] = halves(self.counter);
        [first % FIRST_WORD_BOUND, second, third, low, high]
    }
}

impl Default for WordSource {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(clippy::cast_possible_truncation)] // that is what halves are
fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

#[cfg(feature = "python")]
pub use object::{Reference, ReferenceSource};

#[cfg(feature = "python")]
mod object {
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;
    use pyo3::types::PyTuple;
    use std::sync::{Mutex, PoisonError};

    use super::super::atom::{Atom, Name};
    use super::{MAX_WORDS, ReferenceParts, WordSource};

    /// A unique reference.
    #[pyclass(frozen, eq, ord, hash, module = "pyzen.terms", name = "Reference")]
    #[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct Reference(pub ReferenceParts);

    #[pymethods]
    impl Reference {
        #[new]
        fn new(node: &Bound<'_, PyAny>, creation: u32, words: Vec<u32>) -> PyResult<Self> {
            let parts = ReferenceParts::new(Name::from_object(node)?, creation, &words);
            let error =
                || PyValueError::new_err(format!("a reference has 1 to {MAX_WORDS} words, not {}", words.len()));
            parts.map(Self).ok_or_else(error)
        }

        #[getter]
        fn node<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Atom>> {
            self.0.node.atom(py)
        }

        #[getter]
        fn creation(&self) -> u32 {
            self.0.creation
        }

        #[getter]
        fn words<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
            PyTuple::new(py, self.0.words())
        }

        fn __repr__(&self) -> String {
            let words: Vec<String> = self.0.words().iter().rev().map(u32::to_string).collect();
            format!("#Reference<0.{} {}>", words.join("."), self.0.node.text())
        }

        fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (String, u32, Vec<u32>)) {
            let parts = &slf.get().0;
            let arguments = (parts.node.text().to_owned(), parts.creation, parts.words().to_vec());
            (slf.get_type().into_any(), arguments)
        }
    }

    /// Makes the references of one node.
    #[pyclass(frozen, module = "pyzen.terms", name = "ReferenceSource")]
    pub struct ReferenceSource {
        node: Name,
        creation: u32,
        words: Mutex<WordSource>,
    }

    impl ReferenceSource {
        /// A reference that was never made before.
        pub fn make(&self) -> ReferenceParts {
            let words = self.words.lock().unwrap_or_else(PoisonError::into_inner).advance();
            ReferenceParts::new(self.node.clone(), self.creation, &words).expect("five words are within bounds")
        }
    }

    #[pymethods]
    impl ReferenceSource {
        #[new]
        fn new(node: &Bound<'_, PyAny>, creation: u32) -> PyResult<Self> {
            let node = Name::from_object(node)?;
            Ok(Self { node, creation, words: Mutex::default() })
        }

        fn next(&self) -> Reference {
            Reference(self.make())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_have_one_to_five_words() {
        let made = |words: &[u32]| ReferenceParts::new(Name::intern("n@h"), 1, words);
        assert!(made(&[]).is_none());
        assert_eq!(made(&[1, 2, 3, 4, 5]).unwrap().words(), [1, 2, 3, 4, 5]);
        assert!(made(&[1, 2, 3, 4, 5, 6]).is_none());
    }

    #[test]
    fn references_are_ordered_as_they_are_made() {
        let mut source = WordSource::new();
        source.counter = u64::from(u32::MAX) - 500;
        let mut made = || ReferenceParts::new(Name::intern("n@h"), 1, &source.advance()).unwrap();
        let first = made();
        let last = (0..1000).fold(first, |before, _| {
            let after = made();
            assert!(before < after);
            after
        });
        assert_eq!(last.words()[3..], [500, 1]);
    }

    #[test]
    fn random_bits_never_come_twice() {
        let mut source = WordSource::new();
        let random: Vec<[u32; 5]> = (0..10_000).map(|_| source.advance()).collect();
        assert!(random.iter().all(|words| words[0] < FIRST_WORD_BOUND));
        let distinct = |index: usize| random.iter().map(|words| words[index]).collect::<std::collections::HashSet<_>>();
        assert!(distinct(0).len() > 9500);
        assert!(distinct(1).len() > 9990);
        assert!(distinct(2).len() > 9990);
        for bit in 0..32 {
            let set = random.iter().filter(|words| words[2] >> bit & 1 == 1).count();
            assert!((4500..5500).contains(&set), "bit {bit}: {set}");
        }
    }
}
