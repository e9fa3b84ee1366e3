//! The atoms of one message, for the header in front of it.

use crate::term::atom::Name;

/// References that one header may have.
const MAX_ATOMS: usize = 255;

/// Atoms that are found by looking at each.
const FEW: usize = 8;

/// Places of the table; twice the atoms, so that searches stay short.
const PLACES: usize = 512;

/// Distinct atoms in the order of their first use: `ATOM_CACHE_REF k` stands for the one at `k`.
#[derive(Debug, Default)]
pub struct AtomList {
    names: Vec<Name>,
    // Index plus one of each name, by open addressing; 0 is an empty place.
    table: Option<Box<[u8; PLACES]>>,
}

impl AtomList {
    /// Where the name is in the list, at its end if it is new; `None` if there is no room.
    pub fn index(&mut self, name: &Name) -> Option<u8> {
        if self.table.is_none() {
            if let Some(index) = self.names.iter().position(|known| known == name) {
                return u8::try_from(index).ok();
            }
            if self.names.len() < FEW {
                return self.push(name);
            }
            self.build();
        }
        self.look_up(name)
    }

    fn push(&mut self, name: &Name) -> Option<u8> {
        let index = u8::try_from(self.names.len()).ok().filter(|_| self.names.len() < MAX_ATOMS)?;
        self.names.push(name.clone());
        Some(index)
    }

    fn build(&mut self) {
        self.table = Some(Box::new([0; PLACES]));
        for name in std::mem::take(&mut self.names) {
            self.look_up(&name);
        }
    }

    fn look_up(&mut self, name: &Name) -> Option<u8> {
        let mut place = name.spread() % PLACES;
        loop {
            let found = self.table.as_ref().and_then(|table| table.get(place).copied())?;
            match found.checked_sub(1) {
                Some(index) if self.names.get(usize::from(index)) == Some(name) => return Some(index),
                Some(_) => place = (place + 1) % PLACES,
                None => break,
            }
        }
        let index = self.push(name)?;
        if let Some(entry) = self.table.as_mut().and_then(|table| table.get_mut(place)) {
            *entry = index + 1;
        }
        Some(index)
    }

    /// The atoms.
    pub fn into_names(self) -> Vec<Name> {
        self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_atom_has_one_index_until_there_is_no_room() {
        let names: Vec<Name> = (0..300).map(|number| Name::intern(&format!("listed_{number}"))).collect();
        let mut list = AtomList::default();

        for _ in 0..2 {
            for (index, name) in names.iter().enumerate() {
                assert_eq!(list.index(name), u8::try_from(index).ok().filter(|index| *index < 255), "{index}");
            }
        }

        assert_eq!(list.into_names(), names[..255]);
    }
}
