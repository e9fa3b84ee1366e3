//! Hash maps from keys to rows, in shards: growing moves one shard, never everything at once.
//!
//! Keys with consecutive numbers lie beside each other. Processes that are started together are monitored together
//! and often end together, and references are numbered as they are made: with many rows, what a batch looks for is
//! then in a few lines of the cache, and a few pages of memory, instead of one per key.

use std::marker::PhantomData;

use hashbrown::HashTable;

use super::slab::Slab;
use crate::term::keyed::mix;

const SHARDS: usize = 256;
/// A shard smaller than this is never shrunk.
const SMALL: usize = 64;
/// Bits of a number that keys beside each other differ in. Seven bits of a place tell neighbours apart, see `place`.
const BESIDE: u32 = 6;

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

/// The words of a reference of this node, placed by its counter alone: see `WordSource`.
impl Indexed for [u32; 5] {
    fn number(&self) -> (u64, u64) {
        (u64::from(self[4]) << 32 | u64::from(self[3]), 0)
    }
}

/// A row that names itself.
pub trait Keyed<K> {
    /// The key of the row in its index.
    fn key(&self) -> K;
}

/// Where a key is looked for, which nobody elsewhere can tell. A table uses both ends of this, the middle says which table.
fn place<K: Indexed>(key: K) -> u64 {
    let (number, rest) = key.number();
    let (block, beside) = (number >> BESIDE, number & ((1 << BESIDE) - 1));
    let mixed = mix(mix(block) ^ rest);
    // The low bits say where it is looked for, the high ones tell neighbours apart.
    (mixed >> BESIDE << BESIDE | beside) ^ beside << (u64::BITS - BESIDE)
}

#[allow(clippy::cast_possible_truncation)] // eight bits are taken
fn shard(place: u64) -> usize {
    (place >> 40) as usize % SHARDS
}

/// A map from keys to row numbers. The keys are in the rows only, so that an entry takes five bytes and its room.
#[derive(Debug)]
pub struct Sharded<K> {
    shards: Vec<HashTable<u32>>,
    keys: PhantomData<K>,
}

impl<K> Default for Sharded<K> {
    fn default() -> Self {
        let mut shards = Vec::with_capacity(SHARDS);
        shards.resize_with(SHARDS, HashTable::new);
        Self { shards, keys: PhantomData }
    }
}

impl<K: Indexed> Sharded<K> {
    /// The row of a key.
    pub fn get<T: Keyed<K>>(&self, key: &K, rows: &Slab<T>) -> Option<u32> {
        let place = place(*key);
        self.shards[shard(place)].find(place, |id| rows[*id].key() == *key).copied()
    }

    /// Let a row be found whose key no other row in the index has.
    pub fn insert<T: Keyed<K>>(&mut self, id: u32, rows: &Slab<T>) {
        let place = place(rows[id].key());
        self.shards[shard(place)].insert_unique(place, id, |id| self::place(rows[*id].key()));
    }

    /// Forget a row and its key; the row itself may be gone already.
    pub fn remove<T: Keyed<K>>(&mut self, key: &K, id: u32, rows: &Slab<T>) {
        let place = place(*key);
        let shard = &mut self.shards[shard(place)];
        if let Ok(entry) = shard.find_entry(place, |other| *other == id) {
            entry.remove();
        }
        if shard.len() * 8 < shard.capacity() && shard.capacity() > SMALL {
            shard.shrink_to(shard.len() * 2, |id| self::place(rows[*id].key()));
        }
    }

    /// How many keys there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.shards.iter().map(HashTable::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const BLOCK: u64 = 1 << BESIDE;

    #[derive(Default)]
    struct Row<K>(K);

    impl<K: Indexed> Keyed<K> for Row<K> {
        fn key(&self) -> K {
            self.0
        }
    }

    fn filled<K: Indexed + Default>(keys: impl Iterator<Item = K>) -> (Sharded<K>, Slab<Row<K>>) {
        let (mut index, mut rows) = (Sharded::default(), Slab::default());
        for key in keys {
            let id = rows.insert(Row(key));
            index.insert(id, &rows);
        }
        (index, rows)
    }

    #[test]
    fn keys_name_rows_until_removed() {
        let (mut index, rows) = filled((0..10_000u64).map(|key| key * 3));
        assert_eq!(index.get(&231, &rows), Some(77));
        assert_eq!(index.get(&232, &rows), None);
        index.remove(&231, 77, &rows);
        assert_eq!(index.get(&231, &rows), None);
        assert_eq!(index.len(), 9999);
    }

    #[test]
    fn consecutive_keys_spread_over_the_shards() {
        let (index, _) = filled((0..1 << 18).map(|key| [0, 0, 0, key, 0]));
        assert!(index.shards.iter().all(|shard| (256..2048).contains(&shard.len())));
    }

    #[test]
    fn consecutive_keys_lie_beside_each_other() {
        let places: Vec<u64> = (640..640 + BLOCK).map(place).collect();
        assert!(places.iter().zip(0..).all(|(place, beside)| place % BLOCK == beside));
        assert!(places.iter().all(|place| (place ^ places[0]) << BESIDE >> (2 * BESIDE) == 0));
        assert_eq!(places.iter().map(|place| place >> 57).collect::<HashSet<_>>().len(), places.len());
        assert_ne!(place(640 + BLOCK) / BLOCK % 4096, places[0] / BLOCK % 4096);
    }

    #[test]
    fn keys_far_from_each_other_spread_as_well() {
        let blocks = |step: u64| (0..4096).map(|number| place(number * step) / BLOCK % 4096).collect::<HashSet<_>>();
        for step in [64, 256, 1 << 18, 1 << 32] {
            assert!(blocks(step).len() > 2400, "{step}");
        }
    }

    #[test]
    fn memory_is_given_back() {
        let (mut index, rows) = filled(0..100_000u64);
        for id in 0..100_000 {
            index.remove(&u64::from(id), id, &rows);
        }
        assert!(index.shards.iter().map(HashTable::capacity).sum::<usize>() < 20_000);
    }
}
