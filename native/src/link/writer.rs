//! The writing half of a link: messages to bytes, bytes to the socket, and what of the marks they count for.

use crate::dist::Format;
use crate::dist::sender::{Encoded, Sender};

/// Bytes gathered for one write: two fragments, so that senders take turns at short intervals.
const WRITE_SIZE: usize = 128 * 1024;

/// What waits to be written, in the order of the wire.
#[derive(Debug)]
pub struct Writer {
    sender: Sender,
    out: Vec<u8>,
    written: usize,
    // What of the marks the bytes in `out` are counted for.
    cost: usize,
    said: bool,
}

impl Writer {
    /// Nothing to write yet, and only frames may be.
    pub fn new() -> Self {
        Self { sender: Sender::new(Format::PassThrough), out: Vec::new(), written: 0, cost: 0, said: false }
    }

    /// Messages follow what is there.
    pub fn begin(&mut self, format: Format) {
        self.sender = Sender::new(format);
        self.said = false;
    }

    /// Let a message wait behind those of the same order key.
    pub fn push(&mut self, order_key: u64, encoded: Encoded) {
        self.sender.push(order_key, encoded);
    }

    /// Bytes that come before all messages: frames of the handshake, ticks.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether nothing waits.
    pub fn is_idle(&self) -> bool {
        self.out.is_empty() && self.sender.is_empty()
    }

    /// Gather bytes for the next write; answers whether a loan has come to its end by it.
    pub fn fill(&mut self) -> bool {
        if self.out.is_empty() {
            self.cost = self.sender.fill(&mut self.out, WRITE_SIZE);
        }
        self.sender.take_returned()
    }

    /// The bytes to write next.
    pub fn rest(&self) -> &[u8] {
        self.out.get(self.written..).unwrap_or_default()
    }

    /// So many of them are written; answers what of the marks that is.
    pub fn wrote(&mut self, count: usize) -> usize {
        self.written += count;
        self.said = true;
        if self.written < self.out.len() {
            return 0;
        }
        self.out.clear();
        self.out.shrink_to(2 * WRITE_SIZE);
        self.written = 0;
        std::mem::take(&mut self.cost)
    }

    /// Everything that can be gathered for the last write.
    pub fn last(&mut self) -> &[u8] {
        let limit = self.out.len() + WRITE_SIZE;
        self.sender.fill(&mut self.out, limit);
        self.rest()
    }

    /// Whether something was written since the last call.
    pub fn take_said(&mut self) -> bool {
        std::mem::take(&mut self.said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_a_write_is_counted_when_all_of_it_is_written() {
        let mut writer = Writer::new();
        let encoded = Encoded::plain(b"ctl".to_vec(), 3);
        writer.push(1, encoded.clone());
        writer.fill();
        let length = writer.rest().len();

        assert_eq!(writer.wrote(length - 1), 0);
        assert_eq!(writer.wrote(1), encoded.cost());
        assert!(writer.is_idle());
    }

    #[test]
    fn what_was_written_is_said_once() {
        let mut writer = Writer::new();
        writer.bytes().push(0);
        writer.wrote(1);

        assert!(writer.take_said());
        assert!(!writer.take_said());
    }

    #[test]
    fn a_last_write_has_what_is_left_of_the_one_before() {
        let mut writer = Writer::new();
        writer.bytes().extend_from_slice(b"tick");
        writer.wrote(2);
        writer.push(1, Encoded::plain(b"ctl".to_vec(), 3));

        assert_eq!(writer.last(), b"ck\0\0\0\x05\x70\x83ctl");
    }
}
