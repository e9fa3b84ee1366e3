//! The Proxy half: who wants to know of whose death, and what they have not been told yet.
//!
//! A row stands for one target and one Connector. While the target lives it is in the list of the target and among
//! the rows of the Connector; from the death on it is a certificate, in the Connector's queue. A certificate that
//! was never a subscription (a bad target) names no target but carries what to echo.

use std::collections::VecDeque;

use super::held::{Held, Holders};
use super::identity::{Identity, Key};
use super::index::{Keyed, Sharded};
use super::list::{Link, Linked, List};
use super::rows::Words;
use super::shared::Shared;
use super::slab::{NONE, Slab};
use crate::term::atom::Name;
use crate::term::keyed::KeyedMap;
use crate::term::pid::PidParts;

const SIDE: usize = 0;
const OWN: usize = 1;

/// The scope of all keys: targets are on this node.
const HERE: u32 = 0;

#[derive(Debug)]
struct Row {
    target: u32,
    connector: u32,
    side: Link,
    own: Link,
    /// The reason of a certificate, `NONE` for a subscription.
    reason: u32,
    /// What a certificate without a target echoes.
    echo: u32,
}

impl Default for Row {
    fn default() -> Self {
        let link = Link::default();
        Self { target: NONE, connector: NONE, side: link, own: link, reason: NONE, echo: NONE }
    }
}

impl Keyed<[u32; 2]> for Row {
    fn key(&self) -> [u32; 2] {
        [self.target, self.connector]
    }
}

impl Linked<SIDE> for Row {
    fn link(&self) -> Link {
        self.side
    }

    fn link_mut(&mut self) -> &mut Link {
        &mut self.side
    }
}

impl Linked<OWN> for Row {
    fn link(&self) -> Link {
        self.own
    }

    fn link_mut(&mut self) -> &mut Link {
        &mut self.own
    }
}

#[derive(Debug, Default)]
struct Target {
    identity: Identity,
    /// Subscriptions.
    side: List,
    /// Rows of both kinds.
    holders: u32,
    /// The ERTS monitor, while it stands.
    watch: Option<Words>,
}

impl Keyed<Key> for Target {
    fn key(&self) -> Key {
        self.identity.key(HERE)
    }
}

impl Keyed<Words> for Target {
    fn key(&self) -> Words {
        self.watch.unwrap_or_default() // only those with a monitor are in that index
    }
}

#[derive(Debug, Default)]
struct Connector {
    pid: Option<PidParts>,
    rows: List,
    certificates: List,
    /// Bytes that the reasons of its certificates encode to.
    size: usize,
    gone: bool,
}

/// What `subscribe` tells the Proxy to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// The Connector was not known: monitor it.
    pub batcher: bool,
    /// The target has no ERTS monitor.
    pub monitor: bool,
}

/// What a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Echo<'a, R> {
    /// A process or name of this node.
    Target(&'a Identity),
    /// Whatever was subscribed.
    Object(&'a R),
}

/// Counts of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscriptionSizes {
    /// Subscriptions of Connectors that live.
    pub subscriptions: usize,
    /// Certificates that are not sent.
    pub certificates: usize,
    /// Targets, dead ones with unsent certificates included.
    pub targets: usize,
    /// Connectors that live.
    pub connectors: usize,
    /// ERTS monitors.
    pub watches: usize,
    /// Rows of Connectors that ended, still to be removed.
    pub leftover: usize,
}

/// All rows of the Proxy half. `R` is the type of reasons and of what is echoed.
#[derive(Debug)]
pub struct Subscriptions<R> {
    rows: Slab<Row>,
    targets: Slab<Target>,
    connectors: Slab<Connector>,
    by_pair: Sharded<[u32; 2]>,
    by_key: Sharded<Key>,
    by_watch: Sharded<Words>,
    by_pid: KeyedMap<PidParts, u32>,
    holders: Holders,
    values: Shared<R>,
    /// Connectors that ended and whose rows are being removed.
    gone: VecDeque<u32>,
    certificates: usize,
    /// Certificates ever made.
    certified: u64,
    leftover: usize,
    watches: usize,
}

impl<R> Default for Subscriptions<R> {
    fn default() -> Self {
        Self {
            rows: Slab::default(),
            targets: Slab::default(),
            connectors: Slab::default(),
            by_pair: Sharded::default(),
            by_key: Sharded::default(),
            by_watch: Sharded::default(),
            by_pid: KeyedMap::default(),
            holders: Holders::default(),
            values: Shared::default(),
            gone: VecDeque::new(),
            certificates: 0,
            certified: 0,
            leftover: 0,
            watches: 0,
        }
    }
}

impl<R> Subscriptions<R> {
    /// Make a Connector known; true if it was not.
    pub fn meet(&mut self, connector: &PidParts) -> bool {
        let known = self.knows(connector);
        self.connector(connector);
        !known
    }

    fn connector(&mut self, pid: &PidParts) -> u32 {
        if let Some(id) = self.by_pid.get(pid) {
            return *id;
        }
        let id = self.connectors.insert(Connector { pid: Some(pid.clone()), ..Connector::default() });
        self.by_pid.insert(pid.clone(), id);
        self.holders.meet(&pid.node);
        id
    }

    /// Change what the node of a living Connector holds.
    fn hold(&mut self, connector: u32, change: impl FnOnce(&mut Held)) {
        let row = &self.connectors[connector];
        if let (false, Some(pid)) = (row.gone, &row.pid) {
            self.holders.change(&pid.node, change);
        }
    }

    fn insert(&mut self, row: Row) -> u32 {
        self.hold(row.connector, |held| held.rows += 1);
        self.rows.insert(row)
    }

    fn target(&mut self, identity: Identity) -> u32 {
        let key = identity.key(HERE);
        if let Some(id) = self.by_key.get(&key, &self.targets) {
            return id;
        }
        let id = self.targets.insert(Target { identity, ..Target::default() });
        self.by_key.insert(id, &self.targets);
        id
    }

    /// Subscribe a Connector to a target. An unsent certificate for the two is withdrawn: it was of an earlier life.
    pub fn subscribe(&mut self, connector: &PidParts, identity: Identity) -> Needs {
        let batcher = self.meet(connector);
        let (connector, target) = (self.connector(connector), self.target(identity));
        match self.by_pair.get(&[target, connector], &self.rows) {
            Some(row) if self.rows[row].reason == NONE => {}
            Some(row) => {
                self.unqueue(row);
                self.enlist(row);
            }
            None => {
                let row = self.insert(Row { target, connector, ..Row::default() });
                self.by_pair.insert(row, &self.rows);
                self.targets[target].holders += 1;
                self.enlist(row);
            }
        }
        Needs { batcher, monitor: self.targets[target].watch.is_none() }
    }

    fn enlist(&mut self, row: u32) {
        let Row { target, connector, .. } = self.rows[row];
        self.targets[target].side.push::<SIDE, _>(&mut self.rows, row);
        self.connectors[connector].rows.push::<OWN, _>(&mut self.rows, row);
    }

    /// Note the ERTS monitor of a target.
    pub fn watch(&mut self, identity: &Identity, words: Words) {
        if let Some(target) = self.by_key.get(&identity.key(HERE), &self.targets) {
            self.unwatch(target);
            self.targets[target].watch = Some(words);
            self.by_watch.insert(target, &self.targets);
            self.watches += 1;
        }
    }

    fn unwatch(&mut self, target: u32) -> Option<Words> {
        let words = self.targets[target].watch.take()?;
        self.by_watch.remove(&words, target, &self.targets);
        self.watches -= 1;
        Some(words)
    }

    /// Undo `subscribe`, and withdraw the certificate. Answers the ERTS monitor that nobody needs any more.
    pub fn unsubscribe(&mut self, connector: &PidParts, identity: &Identity) -> Option<Words> {
        let connector = *self.by_pid.get(connector)?;
        let target = self.by_key.get(&identity.key(HERE), &self.targets)?;
        let row = self.by_pair.get(&[target, connector], &self.rows)?;
        self.remove(row)
    }

    /// Remove a row of either kind. Answers the ERTS monitor that nobody needs any more.
    fn remove(&mut self, row: u32) -> Option<Words> {
        let Row { target, connector, reason, echo, .. } = self.rows[row];
        self.hold(connector, |held| held.rows -= 1);
        self.leftover -= usize::from(self.connectors[connector].gone);
        if reason == NONE {
            self.targets[target].side.unlink::<SIDE, _>(&mut self.rows, row);
            self.connectors[connector].rows.unlink::<OWN, _>(&mut self.rows, row);
        } else {
            self.unqueue(row);
        }
        self.rows.remove(row);
        if echo != NONE {
            self.values.release(echo);
        }
        if target == NONE {
            return None;
        }
        self.by_pair.remove(&[target, connector], row, &self.rows);
        self.release(target)
    }

    fn release(&mut self, target: u32) -> Option<Words> {
        let row = &mut self.targets[target];
        row.holders -= 1;
        let watch = if row.side.is_empty() { self.unwatch(target) } else { None };
        if self.targets[target].holders == 0 {
            let row = self.targets.remove(target);
            self.by_key.remove(&row.identity.key(HERE), target, &self.targets);
        }
        watch
    }

    /// Take a certificate out of its queue; the row is in no list of its Connector then.
    fn unqueue(&mut self, row: u32) {
        let connector = self.rows[row].connector;
        self.connectors[connector].certificates.unlink::<OWN, _>(&mut self.rows, row);
        self.certificates -= usize::from(!self.connectors[connector].gone);
        let reason = std::mem::replace(&mut self.rows[row].reason, NONE);
        let size = self.values.size(reason) as usize;
        self.connectors[connector].size -= size;
        self.hold(connector, |held| held.size -= size);
        self.values.release(reason);
    }

    /// The process of this ERTS monitor ended: one certificate per subscription.
    ///
    /// Answers the Connectors that had none waiting; nothing for a monitor that does not stand.
    pub fn died(&mut self, words: &Words, reason: R, size: u32) -> Vec<PidParts> {
        let Some(target) = self.by_watch.get(words, &self.targets) else {
            self.values.put_aside(reason);
            return Vec::new();
        };
        self.unwatch(target);
        let reason = self.values.keep(reason, size);
        let mut woken = Vec::new();
        let rows: Vec<u32> = self.targets[target].side.iter::<SIDE, _>(&self.rows).collect();
        for row in rows {
            let connector = self.rows[row].connector;
            if self.connectors[connector].gone {
                self.remove(row);
                continue;
            }
            self.targets[target].side.unlink::<SIDE, _>(&mut self.rows, row);
            self.connectors[connector].rows.unlink::<OWN, _>(&mut self.rows, row);
            self.values.hold(reason);
            woken.extend(self.enqueue(row, reason));
        }
        self.values.release(reason);
        woken
    }

    fn enqueue(&mut self, row: u32, reason: u32) -> Option<PidParts> {
        self.rows[row].reason = reason;
        let (connector, size) = (self.rows[row].connector, self.values.size(reason) as usize);
        self.hold(connector, |held| held.size += size);
        let connector = &mut self.connectors[connector];
        connector.size += size;
        connector.certificates.push::<OWN, _>(&mut self.rows, row);
        self.certificates += 1;
        self.certified += 1;
        if connector.certificates.len() == 1 { connector.pid.clone() } else { None }
    }

    /// A certificate for something that can't be monitored. Answers whether the Connector had none waiting.
    pub fn certify(&mut self, connector: &PidParts, echo: R, reason: R, size: u32) -> bool {
        let connector = self.connector(connector);
        let (echo, reason) = (self.values.keep(echo, 0), self.values.keep(reason, size));
        let row = self.insert(Row { connector, echo, ..Row::default() });
        self.enqueue(row, reason).is_some()
    }

    /// At most `limit` certificates of a Connector, in the order of death; the list ends once the sizes of the
    /// reasons reach `size`.
    pub fn certificates(&self, connector: &PidParts, limit: usize, size: usize) -> Vec<(Echo<'_, R>, &R)> {
        let Some(connector) = self.by_pid.get(connector) else { return Vec::new() };
        let mut total = 0;
        let mut found = Vec::new();
        for id in self.connectors[*connector].certificates.iter::<OWN, _>(&self.rows) {
            if found.len() >= limit || total >= size {
                break;
            }
            let row = &self.rows[id];
            let echo = match row.echo {
                NONE => Some(Echo::Target(&self.targets[row.target].identity)),
                echo => self.values.get(echo).map(Echo::Object),
            };
            found.extend(echo.zip(self.values.get(row.reason)));
            total += self.values.size(row.reason) as usize;
        }
        found
    }

    /// The link took the first `count` certificates.
    pub fn sent(&mut self, connector: &PidParts, count: usize) {
        let Some(connector) = self.by_pid.get(connector).copied() else { return };
        for _ in 0..count {
            let first = self.connectors[connector].certificates.first();
            if first == NONE {
                return;
            }
            self.remove(first);
        }
    }

    /// How many certificates of a Connector wait.
    pub fn waiting(&self, connector: &PidParts) -> usize {
        self.by_pid.get(connector).map_or(0, |id| self.connectors[*id].certificates.len() as usize)
    }

    /// What the Connectors of a node hold that live.
    pub fn held(&self, node: &Name) -> Held {
        self.holders.of(node)
    }

    /// Whether a Connector is subscribed to a target that lives as far as is known.
    pub fn is_subscribed(&self, connector: &PidParts, identity: &Identity) -> bool {
        let pair = self.by_key.get(&identity.key(HERE), &self.targets).zip(self.by_pid.get(connector).copied());
        let row = pair.and_then(|(target, connector)| self.by_pair.get(&[target, connector], &self.rows));
        row.is_some_and(|row| self.rows[row].reason == NONE)
    }

    /// A Connector ended: nothing of it counts any more, its rows are removed by `reap`.
    pub fn drop_connector(&mut self, connector: &PidParts) -> bool {
        let Some(id) = self.by_pid.remove(connector) else { return false };
        let row = &mut self.connectors[id];
        row.gone = true;
        self.certificates -= row.certificates.len() as usize;
        let rows = (row.rows.len() + row.certificates.len()) as usize;
        self.leftover += rows;
        self.holders.part(&connector.node, rows, row.size);
        self.gone.push_back(id);
        true
    }

    /// The link to a node was lost: all its Connectors count as ended. Answers them.
    pub fn drop_node(&mut self, node: &Name) -> Vec<PidParts> {
        let dropped: Vec<PidParts> = self.by_pid.keys().filter(|pid| pid.node == *node).cloned().collect();
        for pid in &dropped {
            self.drop_connector(pid);
        }
        dropped
    }

    /// Whether a Connector lives, as far as is known.
    pub fn knows(&self, connector: &PidParts) -> bool {
        self.by_pid.contains_key(connector)
    }

    /// At most `limit` subscriptions to what lives as far as is known, in no order.
    pub fn views(&self, limit: usize) -> Vec<(&Identity, &PidParts)> {
        let of_one = |(pid, id): (_, &u32)| {
            let rows = self.connectors[*id].rows.iter::<OWN, _>(&self.rows);
            rows.map(move |row| (&self.targets[self.rows[row].target].identity, pid))
        };
        self.by_pid.iter().flat_map(of_one).take(limit).collect()
    }

    /// The Connectors that live.
    pub fn connectors(&self) -> Vec<PidParts> {
        self.by_pid.keys().cloned().collect()
    }

    /// Remove at most `limit` rows of Connectors that ended. Answers ERTS monitors that nobody needs any more, and
    /// whether more is left.
    pub fn reap(&mut self, limit: usize) -> (Vec<Words>, bool) {
        let mut watches = Vec::new();
        for _ in 0..limit {
            let Some(connector) = self.gone.front().copied() else { break };
            let row = &self.connectors[connector];
            let first = if row.rows.is_empty() { row.certificates.first() } else { row.rows.first() };
            if first == NONE {
                self.connectors.remove(connector);
                self.gone.pop_front();
            } else {
                watches.extend(self.remove(first));
            }
        }
        (watches, !self.gone.is_empty())
    }

    /// Values to free now that the table is at rest.
    pub fn take_released(&mut self) -> Vec<R> {
        self.values.take_released()
    }

    /// How many certificates have been made since the table was.
    pub fn certified(&self) -> u64 {
        self.certified
    }

    /// Counts of rows.
    pub fn sizes(&self) -> SubscriptionSizes {
        SubscriptionSizes {
            subscriptions: self.rows.len() - self.certificates - self.leftover,
            certificates: self.certificates,
            targets: self.targets.len(),
            connectors: self.by_pid.len(),
            watches: self.watches,
            leftover: self.leftover,
        }
    }

    /// Every value that is kept, for the collector's sake or for nobody's.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.sizes() == SubscriptionSizes::default()
            && self.values.len() + self.connectors.len() + self.holders.len() == 0
    }
}
