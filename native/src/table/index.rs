//! Hash maps from keys to rows, in shards: growing moves one shard, never everything at once.
//!
//! Keys with consecutive numbers lie beside each other. Processes that are started together are monitored together
//! and often end together, and references are numbered as they are made: with many rows, what a batch looks for is
//! then in a few lines of the cache instead of one per key.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

const SHARDS: usize = 256;
/// A shard smaller than this is never shrunk.
const SMALL: usize = 64;
/// Bits of a number that keys beside each other differ in.
const BESIDE: u32 = 4;

/// A key of an index.
pub trait Indexed: Copy + Eq {
    /// What is consecutive for keys that are used together, and all else.
    fn number(&self) -> (u64, u64);
}

impl Indexed for u32 {
    fn number(&self) -> (u64, u64) {
        (u64::from(*self), 0)
    }
}

impl Indexed for u64 {
    fn number(&self) -> (u64, u64) {
        (*self, 0)
    }
}

impl Indexed for [u32; 2] {
    fn number(&self) -> (u64, u64) {
        (u64::from(self[0]), u64::from(self[1]))
    }
}

/// The words of a reference of this node: see `Counter`.
impl Indexed for [u32; 3] {
    fn number(&self) -> (u64, u64) {
        (u64::from(self[1]) << 18 | u64::from(self[0]), u64::from(self[2]))
    }
}

/// A key that hashes to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Placed<K>(K);

impl<K: Indexed> Placed<K> {
    /// Both ends of this are used by a map, the middle for the shard.
    fn place(&self) -> u64 {
        let (number, rest) = self.0.number();
        let (block, beside) = (number >> BESIDE, number & ((1 << BESIDE) - 1));
        let mixed = mix(mix(block) ^ rest);
        // The low bits say where it is looked for, the high ones tell neighbours apart.
        (mixed >> BESIDE << BESIDE | beside) ^ beside << (u64::BITS - BESIDE)
    }

    #[allow(clippy::cast_possible_truncation)] // eight bits are taken
    fn shard(&self) -> usize {
        (self.place() >> 40) as usize % SHARDS
    }
}

/// Every bit of the answer depends on every bit of the number.
#[allow(clippy::cast_possible_truncation)] // that is what halves are
fn mix(number: u64) -> u64 {
    let product = u128::from(number ^ 0x9e37_79b9_7f4a_7c15) * 0xa076_1d64_78bd_642f;
    product as u64 ^ (product >> 64) as u64
}

impl<K: Indexed> Hash for Placed<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.place());
    }
}

/// Takes what `Placed` has made.
#[derive(Debug, Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 << 8 | u64::from(*byte));
        }
    }

    fn write_u64(&mut self, place: u64) {
        self.0 = place;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Shard<K> = HashMap<Placed<K>, u32, BuildHasherDefault<Ready>>;

/// A map from keys to row numbers.
#[derive(Debug)]
pub struct Sharded<K> {
    shards: Vec<Shard<K>>,
}

impl<K> Default for Sharded<K> {
    fn default() -> Self {
        let mut shards = Vec::with_capacity(SHARDS);
        shards.resize_with(SHARDS, Shard::default);
        Self { shards }
    }
}

impl<K: Indexed> Sharded<K> {
    /// The row of a key.
    pub fn get(&self, key: &K) -> Option<u32> {
        let key = Placed(*key);
        self.shards[key.shard()].get(&key).copied()
    }

    /// Name a row by a key that names none.
    pub fn insert(&mut self, key: K, id: u32) {
        let key = Placed(key);
        self.shards[key.shard()].insert(key, id);
    }

    /// Forget a key; answers the row it named.
    pub fn remove(&mut self, key: &K) -> Option<u32> {
        let key = Placed(*key);
        let shard = &mut self.shards[key.shard()];
        let id = shard.remove(&key);
        if shard.len() * 8 < shard.capacity() && shard.capacity() > SMALL {
            shard.shrink_to(shard.len() * 2);
        }
        id
    }

    /// How many keys there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.shards.iter().map(HashMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_name_rows_until_removed() {
        let mut index = Sharded::default();
        for key in 0..10_000u32 {
            index.insert(key, key + 1);
        }
        assert_eq!(index.get(&77), Some(78));
        assert_eq!(index.remove(&77), Some(78));
        assert_eq!(index.get(&77), None);
        assert_eq!(index.len(), 9999);
    }

    #[test]
    fn consecutive_keys_spread_over_the_shards() {
        let mut index = Sharded::default();
        for key in 0..65_536u32 {
            index.insert([key, 0, 0], key);
        }
        assert!(index.shards.iter().all(|shard| (64..1024).contains(&shard.len())));
    }

    #[test]
    fn consecutive_keys_lie_beside_each_other() {
        let places: Vec<u64> = (160..176u64).map(|number| Placed(number).place()).collect();
        assert!(places.iter().zip(0..).all(|(place, beside)| place & 0xf == beside));
        assert!(places.iter().all(|place| (place ^ places[0]) << 4 >> 8 == 0));
        assert_eq!(places.iter().map(|place| place >> 57).collect::<HashSet<_>>().len(), 16);
        assert_ne!(Placed(176u64).place() >> 4 << 8, places[0] >> 4 << 8);
    }

    #[test]
    fn keys_far_from_each_other_spread_as_well() {
        let blocks =
            |step: u64| (0..4096).map(|number| Placed(number * step).place() >> 4 & 0xfff).collect::<HashSet<_>>();
        for step in [16, 64, 1 << 18, 1 << 32] {
            assert!(blocks(step).len() > 2400, "{step}");
        }
    }

    #[test]
    fn memory_is_given_back() {
        let mut index = Sharded::default();
        for key in 0..100_000u64 {
            index.insert(key, 0);
        }
        for key in 0..100_000u64 {
            index.remove(&key);
        }
        assert!(index.shards.iter().map(HashMap::capacity).sum::<usize>() < 20_000);
    }
}
