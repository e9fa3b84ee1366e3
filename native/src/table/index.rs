//! Hash maps from keys to rows, in shards: growing moves one shard, never everything at once.

use std::hash::Hash;

use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher as _;

const SHARDS: usize = 256;
/// A shard smaller than this is never shrunk.
const SMALL: usize = 64;

/// A map from keys to row numbers.
#[derive(Debug)]
pub struct Sharded<K> {
    shards: Vec<FxHashMap<K, u32>>,
}

impl<K> Default for Sharded<K> {
    fn default() -> Self {
        let mut shards = Vec::with_capacity(SHARDS);
        shards.resize_with(SHARDS, FxHashMap::default);
        Self { shards }
    }
}

impl<K: Hash + Eq> Sharded<K> {
    /// The row of a key.
    pub fn get(&self, key: &K) -> Option<u32> {
        self.shards[shard(key)].get(key).copied()
    }

    /// Name a row by a key that names none.
    pub fn insert(&mut self, key: K, id: u32) {
        self.shards[shard(&key)].insert(key, id);
    }

    /// Forget a key; answers the row it named.
    pub fn remove(&mut self, key: &K) -> Option<u32> {
        let shard = &mut self.shards[shard(key)];
        let id = shard.remove(key);
        if shard.len() * 8 < shard.capacity() && shard.capacity() > SMALL {
            shard.shrink_to(shard.len() * 2);
        }
        id
    }

    /// How many keys there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.shards.iter().map(FxHashMap::len).sum()
    }
}

#[allow(clippy::cast_possible_truncation)] // eight bits are taken
fn shard<K: Hash>(key: &K) -> usize {
    // Bits that the maps inside look at late: theirs come from both ends of the same hash.
    (FxBuildHasher.hash_one(key) >> 40) as usize % SHARDS
}

#[cfg(test)]
mod tests {
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
    fn memory_is_given_back() {
        let mut index = Sharded::default();
        for key in 0..100_000u64 {
            index.insert(key, 0);
        }
        for key in 0..100_000u64 {
            index.remove(&key);
        }
        assert!(index.shards.iter().map(FxHashMap::capacity).sum::<usize>() < 20_000);
    }
}
