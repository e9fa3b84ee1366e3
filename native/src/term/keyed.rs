//! A hash with keys of this process, for tables whose keys peers choose: they can't choose keys that collide.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// A map from what a peer may choose.
pub type KeyedMap<K, V> = HashMap<K, V, Keyed>;

/// A set of what a peer may choose.
pub type KeyedSet<K> = HashSet<K, Keyed>;

static KEYS: [AtomicU64; 2] = [AtomicU64::new(0x9e37_79b9_7f4a_7c15), AtomicU64::new(0xa076_1d64_78bd_642f)];

/// Choose the keys of this process, once, before anything is hashed. A look at them costs no more than at a constant.
pub fn choose() {
    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| {
        let random = || RandomState::new().build_hasher().finish();
        KEYS[0].store(random(), Ordering::Relaxed);
        KEYS[1].store(random() | 1, Ordering::Relaxed);
    });
}

/// Every bit of the answer depends on every bit of the number, and on the keys.
#[allow(clippy::cast_possible_truncation)] // that is what halves are
pub fn mix(number: u64) -> u64 {
    let [one, other] = &KEYS;
    let product = u128::from(number ^ one.load(Ordering::Relaxed)) * u128::from(other.load(Ordering::Relaxed));
    product as u64 ^ (product >> 64) as u64
}

/// Makes hashers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keyed;

impl BuildHasher for Keyed {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher::default()
    }
}

/// Mixes word by word.
#[derive(Debug, Clone, Default)]
pub struct KeyedHasher(u64);

impl Hasher for KeyedHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.write_u64(word.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
        }
        let rest = words.remainder();
        self.write_u64(rest.iter().fold(rest.len() as u64, |number, byte| number << 8 | u64::from(*byte)));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0 ^ number);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn hashes<T: std::hash::Hash>(values: impl Iterator<Item = T>) -> HashSet<u64> {
        values.map(|value| Keyed.hash_one(value)).collect()
    }

    #[test]
    fn different_values_have_different_hashes() {
        assert_eq!(hashes(0..10_000_u64).len(), 10_000);
        assert_eq!(hashes((0..10_000_u64).map(|number| number << 50 | number)).len(), 10_000);
        assert_eq!(hashes((0..10_000).map(|number| format!("{number}"))).len(), 10_000);
        assert_eq!(hashes((0..100).map(|length| "\0".repeat(length))).len(), 100);
    }

    #[test]
    fn hashes_fill_all_places_of_a_table() {
        let places: HashSet<u64> =
            hashes((0..4096_u64).map(|number| number << 32)).iter().map(|hash| hash % 1024).collect();

        assert!(places.len() > 900, "{}", places.len());
    }
}
