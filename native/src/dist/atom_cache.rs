//! The atom cache of one direction of a link. Its writer decides what stands where.

use super::PacketError;
use crate::term::atom::Name;

/// Slots of one direction: eight segments of 256.
pub const SLOTS: usize = 2048;

/// What the peer has told us to remember; starts empty on each link.
#[derive(Debug, Default)]
pub struct AtomCache {
    // Grows with the highest slot in use: a link without the cache costs nothing.
    slots: Vec<Option<Name>>,
}

/// The slot of a segment (its low three bits count) and an index within it.
pub fn slot(segment: u8, index: u8) -> usize {
    usize::from(segment & 7) << 8 | usize::from(index)
}

impl AtomCache {
    /// Remember `name`, in place of whatever stood there.
    pub fn insert(&mut self, slot: usize, name: Name) {
        if slot >= self.slots.len() {
            self.slots.resize((slot + 1).min(SLOTS), None);
        }
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(name);
        }
    }

    /// What stands there.
    pub fn get(&self, slot: usize) -> Result<&Name, PacketError> {
        let place = self.slots.get(slot).and_then(Option::as_ref);
        place.ok_or(PacketError::Malformed("reference to an atom cache slot that was never filled"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_can_be_filled_and_overwritten() {
        let mut cache = AtomCache::default();
        for slot in [0, 255, 256, SLOTS - 1] {
            cache.insert(slot, Name::intern("first"));
            cache.insert(slot, Name::intern("second"));

            assert_eq!(cache.get(slot), Ok(&Name::intern("second")));
        }
    }

    #[test]
    fn a_slot_never_filled_is_an_error() {
        let mut cache = AtomCache::default();
        cache.insert(7, Name::intern("seven"));

        assert!(cache.get(6).is_err());
        assert!(cache.get(8).is_err());
    }

    #[test]
    fn segment_and_index_make_a_slot() {
        assert_eq!(slot(0, 9), 9);
        assert_eq!(slot(7, 255), SLOTS - 1);
        assert_eq!(slot(15, 0), 7 << 8);
    }
}
