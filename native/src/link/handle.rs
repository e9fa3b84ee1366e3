//! What the loop's thread and the task of a link share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use rustls::pki_types::CertificateDer;

use crate::dist::identity::Identity;
use crate::dist::sender::Encoded;

/// Bytes that wait for the peer before senders are told that the link is busy: BEAM's `dist_buf_busy_limit`.
pub const HIGH_MARK: usize = 1024 * 1024;
/// Bytes below which a busy link is writable again.
pub const LOW_MARK: usize = HIGH_MARK / 2;

/// Something that the loop's thread wants from the task.
#[derive(Debug)]
pub enum Request {
    /// Hand out one handshake frame.
    ReadFrame,
    /// Write one handshake frame.
    WriteFrame(Vec<u8>),
    /// End the handshake.
    Activate {
        /// Who the two ends are.
        identity: Arc<Identity>,
        /// A handshake frame to write first.
        last_frame: Option<Vec<u8>>,
    },
    /// Read again: half of what waited is drained.
    Resume,
    /// End the link for this reason.
    Close(String),
}

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// It waits, and the link is below its high mark.
    Sent,
    /// It waits, and the link is above its high mark: `Writable` follows.
    Busy,
    /// The link is gone; nothing waits.
    Gone,
    /// Too much waits already; nothing was added.
    Overloaded,
}

/// Everything that was posted since the task looked last.
#[derive(Debug, Default)]
pub struct News {
    /// Requests, in order; they come before the messages.
    pub requests: Vec<Request>,
    /// Messages with their order keys.
    pub messages: Vec<(u64, Encoded)>,
}

/// One link as both threads know it.
#[derive(Debug)]
pub struct Link {
    /// Never used twice.
    pub id: u64,
    /// What the peer has shown to prove who it is, before the first frame.
    pub certificate: OnceLock<CertificateDer<'static>>,
    outbox: Mutex<Outbox>,
    queued: AtomicUsize,
    paused: AtomicBool,
}

#[derive(Debug, Default)]
struct Outbox {
    news: News,
    unsent: usize,
    busy: bool,
    closed: bool,
    waker: Option<Waker>,
}

impl Link {
    /// A link that nobody has posted to.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            certificate: OnceLock::new(),
            outbox: Mutex::default(),
            queued: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- called by the loop's thread

    /// Ask something of the task. After the end nobody listens, and nothing happens.
    pub fn request(&self, request: Request) {
        let mut outbox = self.lock();
        if outbox.closed {
            return;
        }
        outbox.news.requests.push(request);
        wake(outbox);
    }

    /// Queue a message. `maximum`, if given, bounds what waits with it.
    pub fn send(&self, order_key: u64, encoded: Encoded, maximum: Option<usize>) -> Posted {
        let mut outbox = self.lock();
        if outbox.closed {
            return Posted::Gone;
        }
        let unsent = outbox.unsent + encoded.cost();
        if maximum.is_some_and(|maximum| unsent > maximum) {
            return Posted::Overloaded;
        }
        outbox.unsent = unsent;
        outbox.busy |= unsent > HIGH_MARK;
        let posted = if outbox.busy { Posted::Busy } else { Posted::Sent };
        outbox.news.messages.push((order_key, encoded));
        wake(outbox);
        posted
    }

    /// Bytes that wait for the peer.
    pub fn unsent(&self) -> usize {
        self.lock().unsent
    }

    /// Some bytes that waited for the interpreter do so no longer; the reader goes on when half of them have gone.
    pub fn drained(&self, bytes: usize, maximum: usize) {
        let left = self.queued.fetch_sub(bytes, Ordering::SeqCst).saturating_sub(bytes);
        if left <= maximum / 2 && self.paused.swap(false, Ordering::SeqCst) {
            self.request(Request::Resume);
        }
    }

    // ---- called by the task

    /// What was posted; if there is nothing, the task is woken by the next.
    pub fn poll_news(&self, context: &mut Context<'_>) -> Poll<News> {
        let mut outbox = self.lock();
        if outbox.news.requests.is_empty() && outbox.news.messages.is_empty() {
            outbox.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut outbox.news))
    }

    /// So much of what waited is written; answers whether the link has become writable by it.
    pub fn sent(&self, cost: usize) -> bool {
        let mut outbox = self.lock();
        outbox.unsent = outbox.unsent.saturating_sub(cost);
        let writable = outbox.busy && outbox.unsent < LOW_MARK;
        outbox.busy &= !writable;
        writable
    }

    /// Take nothing more, and let go of what waits.
    pub fn close(&self) {
        let mut outbox = self.lock();
        *outbox = Outbox { closed: true, ..Outbox::default() };
    }

    /// Some bytes wait for the interpreter.
    pub fn queue(&self, bytes: usize) {
        self.queued.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Bytes that wait for the interpreter.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::SeqCst)
    }

    /// Stop reading until `drained` asks for more; answers false if enough was drained meanwhile.
    pub fn pause(&self, maximum: usize) -> bool {
        self.paused.store(true, Ordering::SeqCst);
        // Either we see here what was drained, or `drained` sees that we pause.
        self.queued() > maximum / 2 || !self.paused.swap(false, Ordering::SeqCst)
    }
}

/// Wake the task after the lock is free; it looks once for any number of posts.
fn wake(mut outbox: MutexGuard<'_, Outbox>) {
    let waker = outbox.waker.take();
    drop(outbox);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(size: usize) -> Encoded {
        Encoded::plain(vec![0; size - crate::dist::sender::OVERHEAD], 0)
    }

    #[test]
    fn a_link_is_busy_from_the_high_mark_to_the_low_one() {
        let link = Link::new(1);
        assert_eq!(link.send(1, message(HIGH_MARK), None), Posted::Sent);
        assert_eq!(link.send(1, message(100), None), Posted::Busy);

        assert!(!link.sent(HIGH_MARK / 2));
        assert_eq!(link.send(1, message(100), None), Posted::Busy);
        assert!(link.sent(300));

        assert_eq!(link.send(1, message(100), None), Posted::Sent);
        assert!(!link.sent(100));
    }

    #[test]
    fn an_overloaded_link_takes_signals_but_no_messages() {
        let link = Link::new(1);
        assert_eq!(link.send(1, message(300), Some(300)), Posted::Sent);
        assert_eq!(link.send(1, message(100), Some(300)), Posted::Overloaded);
        assert_eq!(link.unsent(), 300);

        assert_eq!(link.send(1, message(100), None), Posted::Sent);
    }

    #[test]
    fn a_closed_link_takes_nothing() {
        let link = Link::new(1);
        link.send(1, message(100), None);
        link.close();

        assert_eq!(link.send(1, message(100), None), Posted::Gone);
        assert_eq!(link.unsent(), 0);
    }

    #[test]
    fn a_paused_reader_is_resumed_once_when_half_is_drained() {
        let link = Link::new(1);
        link.queue(100);
        assert!(link.pause(60));

        link.drained(60, 60);
        assert_eq!(link.lock().news.requests.len(), 0);
        link.drained(10, 60);
        link.drained(10, 60);

        assert!(matches!(link.lock().news.requests[..], [Request::Resume]));
    }

    #[test]
    fn a_pause_that_comes_too_late_is_none() {
        let link = Link::new(1);
        link.queue(100);
        link.drained(100, 60);

        assert!(!link.pause(60));
    }
}
