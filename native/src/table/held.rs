//! What each node holds, so that one can be told that it is too much.

use crate::term::atom::Name;
use crate::term::keyed::KeyedMap;

/// What the living Connectors of one node hold, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Connectors.
    pub connectors: usize,
    /// Rows of both kinds.
    pub rows: usize,
    /// Bytes that the reasons of certificates encode to; one that rows share counts for each.
    pub size: usize,
}

/// The same for all nodes that have a living Connector.
#[derive(Debug, Default)]
pub struct Holders(KeyedMap<Name, Held>);

impl Holders {
    /// What a node holds.
    pub fn of(&self, node: &Name) -> Held {
        self.0.get(node).copied().unwrap_or_default()
    }

    /// One Connector more, without rows.
    pub fn meet(&mut self, node: &Name) {
        self.0.entry(node.clone()).or_default().connectors += 1;
    }

    /// One Connector less, with all that it held.
    pub fn part(&mut self, node: &Name, rows: usize, size: usize) {
        let Some(held) = self.0.get_mut(node) else { return };
        *held = Held { connectors: held.connectors - 1, rows: held.rows - rows, size: held.size - size };
        if held.connectors == 0 {
            self.0.remove(node);
        }
    }

    /// What a node holds, to be changed.
    pub fn change(&mut self, node: &Name, change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.0.get_mut(node) {
            change(held);
        }
    }

    /// How many nodes hold something.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
