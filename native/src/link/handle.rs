//! What the loop's thread and the task of a link share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use rustls::pki_types::CertificateDer;

use super::stream::Shared;
use super::writer::Writer;
use crate::dist::identity::Identity;
use crate::dist::sender::Encoded;

/// Bytes that wait for the peer before senders are told that the link is busy: BEAM's `dist_buf_busy_limit`.
pub const HIGH_MARK: usize = 1024 * 1024;
/// Bytes below which a busy link is writable again.
pub const LOW_MARK: usize = HIGH_MARK / 2;
/// The longest message that is worth a write of its own.
const SHORT: usize = 16 * 1024;

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
    /// The writing half if it was lent; what it holds comes before all messages.
    pub writer: Option<Writer>,
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
    lent: Option<(Writer, Shared)>,
}

impl Outbox {
    fn has_news(&self) -> bool {
        let unwritten = self.lent.as_ref().is_some_and(|(writer, _)| !writer.is_idle());
        unwritten || !self.news.requests.is_empty() || !self.news.messages.is_empty()
    }

    /// Write a short message at once if nothing is in front of it; gives it back if not. What the kernel does not take
    /// is news for the task.
    fn write(&mut self, order_key: u64, encoded: Encoded) -> Option<Encoded> {
        if self.has_news() || encoded.length() > SHORT || !encoded.lent.is_empty() {
            return Some(encoded);
        }
        let Some((writer, socket)) = &mut self.lent else { return Some(encoded) };
        writer.push(order_key, encoded);
        writer.fill();
        if let Ok(count) = socket.try_write(writer.rest()) {
            self.unsent = self.unsent.saturating_sub(writer.wrote(count));
        }
        None
    }
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
        self.post(order_key, encoded, maximum, |_, _, encoded| Some(encoded))
    }

    /// The same, but write the message here and now if nothing is in front of it.
    pub fn write(&self, order_key: u64, encoded: Encoded, maximum: Option<usize>) -> Posted {
        self.post(order_key, encoded, maximum, Outbox::write)
    }

    fn post(
        &self,
        order_key: u64,
        encoded: Encoded,
        maximum: Option<usize>,
        write: impl FnOnce(&mut Outbox, u64, Encoded) -> Option<Encoded>,
    ) -> Posted {
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
        if let Some(mut encoded) = write(&mut outbox, order_key, encoded) {
            encoded.data.shrink_to_fit(); // it was written into room to spare, and may wait for long
            outbox.news.messages.push((order_key, encoded));
        }
        if outbox.has_news() {
            wake(outbox);
        }
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

    /// What was posted; if there is nothing, the task is woken by the next. Until then the loop's thread has what the
    /// task can `spare`: the idle writing half.
    pub fn poll_news(&self, context: &mut Context<'_>, spare: impl FnOnce() -> Option<(Writer, Shared)>) -> Poll<News> {
        let mut outbox = self.lock();
        if !outbox.has_news() {
            outbox.waker = Some(context.waker().clone());
            outbox.lent = outbox.lent.take().or_else(spare);
            return Poll::Pending;
        }
        outbox.news.writer = outbox.lent.take().map(|(writer, _)| writer);
        Poll::Ready(std::mem::take(&mut outbox.news))
    }

    /// Have the writing half back; a closed link has a new one, with nothing to write.
    pub fn take_back(&self) -> Writer {
        self.lock().lent.take().map_or_else(Writer::new, |(writer, _)| writer)
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
    use crate::link::fork::Guarded;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use tokio::runtime::{self, Runtime};

    fn message(size: usize) -> Encoded {
        Encoded::plain(vec![0; size - crate::dist::sender::OVERHEAD], 0)
    }

    #[test]
    fn a_link_is_busy_from_the_high_mark_to_the_low_one() {
        let link = Link::new(1);
        assert_eq!(link.send(1, message(HIGH_MARK), None), Posted::Sent);
        assert_eq!(link.send(1, message(1000), None), Posted::Busy);

        assert!(!link.sent(HIGH_MARK / 2));
        assert_eq!(link.send(1, message(1000), None), Posted::Busy);
        assert!(link.sent(3000));

        assert_eq!(link.send(1, message(1000), None), Posted::Sent);
        assert!(!link.sent(1000));
    }

    #[test]
    fn an_overloaded_link_takes_signals_but_no_messages() {
        let link = Link::new(1);
        assert_eq!(link.send(1, message(3000), Some(3000)), Posted::Sent);
        assert_eq!(link.send(1, message(1000), Some(3000)), Posted::Overloaded);
        assert_eq!(link.unsent(), 3000);

        assert_eq!(link.send(1, message(1000), None), Posted::Sent);
    }

    /// A link whose idle writing half is lent, its socket as the peer sees it, and what keeps the socket alive.
    fn lent() -> (Link, TcpStream, Runtime) {
        let runtime = runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        let socket = runtime.block_on(async {
            let socket = Guarded::open(|| tokio::net::TcpStream::from_std(stream)).unwrap();
            socket.writable().await.unwrap();
            Arc::new(socket)
        });
        let link = Link::new(1);
        assert!(link.poll_news(&mut context(), || Some((Writer::new(), socket))).is_pending());
        (link, listener.accept().unwrap().0, runtime)
    }

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn news(link: &Link) -> Option<News> {
        match link.poll_news(&mut context(), || None) {
            Poll::Ready(news) => Some(news),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_short_message_with_nothing_in_front_of_it_is_written_at_once() {
        let (link, mut peer, _runtime) = lent();

        assert_eq!(link.write(1, Encoded::plain(b"ctl".to_vec(), 3), None), Posted::Sent);

        let mut bytes = [0; 9];
        peer.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0\0\x05\x70\x83ctl");
        assert_eq!(link.unsent(), 0);
        assert!(news(&link).is_none());
        assert!(link.take_back().take_said());
    }

    #[test]
    fn nothing_overtakes_what_waits() {
        let (link, _peer, _runtime) = lent();
        link.send(1, message(1000), None);

        link.write(1, message(1001), None);

        let news = news(&link).unwrap();
        assert_eq!(news.messages.iter().map(|(_, encoded)| encoded.cost()).collect::<Vec<_>>(), [1000, 1001]);
        assert!(news.writer.unwrap().is_idle());
    }

    #[test]
    fn a_long_message_waits_for_the_task() {
        let (link, _peer, _runtime) = lent();

        link.write(1, message(SHORT + crate::dist::sender::OVERHEAD + 1), None);

        assert_eq!(news(&link).unwrap().messages.len(), 1);
    }

    #[test]
    fn what_the_kernel_does_not_take_is_left_to_the_task() {
        let (link, mut peer, _runtime) = lent();
        let mut count = 0;
        while link.unsent() == 0 {
            link.write(1, message(SHORT), None);
            count += 1;
        }

        let writer = news(&link).unwrap().writer.unwrap();

        let rest = writer.rest().len();
        drop(link);
        let written = peer.read_to_end(&mut Vec::new()).unwrap();
        let packet = SHORT - crate::dist::sender::OVERHEAD + 7; // length, pass-through, two version bytes
        assert_eq!(written + rest, count * packet);
    }

    #[test]
    fn a_link_with_news_borrows_nothing() {
        let link = Link::new(1);
        link.request(Request::Resume);

        let news = link.poll_news(&mut context(), || panic!("nothing is to be lent"));

        assert!(news.is_ready());
    }

    #[test]
    fn a_closed_link_takes_nothing() {
        let link = Link::new(1);
        link.send(1, message(1000), None);
        link.close();

        assert_eq!(link.send(1, message(1000), None), Posted::Gone);
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
