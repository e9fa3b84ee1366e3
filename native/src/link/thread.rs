//! The thread: one tokio runtime that listens, dials and stops.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::{Id, JoinError, JoinSet};

use super::driver::Driver;
use super::events::{Backlog, Event, Events};
use super::fork;
use super::handle::{Link, Request};
use super::stream::{Listener, Stream};
use super::system;
use super::task::{self, Settings};
use super::unproven::{Place, Unproven};

/// How long to wait when no connection can be accepted for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

enum Command {
    Listen(Listener),
    Accepted(Arc<Link>, Stream, SocketAddr, Place),
    Dial(Arc<Link>, SocketAddr, ServerName<'static>),
    Stop,
}

/// The I/O thread, as the loop's thread knows it.
#[derive(Debug)]
pub struct Thread {
    shared: Arc<Shared>,
    commands: UnboundedSender<Command>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    events: Arc<Events>,
    settings: Arc<Settings>,
    last_id: AtomicU64,
    unproven: Arc<Unproven>,
}

impl Shared {
    fn new(settings: Settings) -> io::Result<Self> {
        // Who fills them all must leave descriptors for everything else.
        let places = settings.limits.max_handshakes.min(system::max_descriptors() / 2).max(1);
        let events = Arc::new(Events::new()?);
        let unproven = Unproven::new(places, events.clone());
        Ok(Self { events, settings: Arc::new(settings), last_id: AtomicU64::new(0), unproven })
    }

    fn new_link(&self) -> Arc<Link> {
        Arc::new(Link::new(self.last_id.fetch_add(1, Ordering::Relaxed) + 1))
    }
}

impl Thread {
    /// Start the thread.
    pub fn start(settings: Settings) -> io::Result<Self> {
        fork::watch()?;
        let shared = Arc::new(Shared::new(settings)?);
        let (commands, inbox) = mpsc::unbounded_channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let io =
            Io { shared: shared.clone(), commands: commands.clone(), tasks: JoinSet::new(), links: HashMap::new() };
        let driver = Driver::guard(&runtime)?;
        let body = || run(runtime, driver, io, inbox);
        let handle = system::without_signals(|| Builder::new().name("pyzen-link".into()).spawn(body))?;
        Ok(Self { shared, commands, handle: Mutex::new(Some(handle)) })
    }

    /// What has happened.
    pub fn events(&self) -> &Events {
        &self.shared.events
    }

    /// Take what has happened since.
    pub fn refill(&self, backlog: &mut Backlog) {
        backlog.refill(&self.shared.events);
        backlog.refill_unproven(self.shared.unproven.take());
    }

    /// Bounds and times.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Listen; answers where.
    pub fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let listener = Listener::bind(address)?;
        let address = listener.address()?;
        self.command(Command::Listen(listener))?;
        Ok(address)
    }

    /// Start to connect to a host. Its certificate, if it has to show one, is for `name`.
    pub fn dial(&self, address: SocketAddr, name: ServerName<'static>) -> io::Result<Arc<Link>> {
        let link = self.shared.new_link();
        self.command(Command::Dial(link.clone(), address, name))?;
        Ok(link)
    }

    fn command(&self, command: Command) -> io::Result<()> {
        self.commands.send(command).map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the I/O thread has ended"))
    }

    /// End every link and the thread, and close every descriptor. Events can still be taken.
    pub fn stop(&self) {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            let _ = self.command(Command::Stop);
            let _ = handle.join(); // a panic was caught and reported by the thread itself
            self.events().close();
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The body of the thread.
fn run(runtime: Runtime, driver: Driver, io: Io, inbox: UnboundedReceiver<Command>) {
    let events = io.shared.events.clone();
    let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(io.run(inbox))));
    drop(driver);
    // Closes every socket; the last event comes after that.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
    let reason = if ran.and(dropped).is_ok() { "stopped" } else { "the I/O thread failed" };
    events.push(0, [Event::Ended(reason.to_owned())]);
}

struct Io {
    shared: Arc<Shared>,
    commands: UnboundedSender<Command>,
    tasks: JoinSet<()>,
    links: HashMap<Id, Arc<Link>>,
}

impl Io {
    async fn run(mut self, mut inbox: UnboundedReceiver<Command>) {
        let mut listeners = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => self.reap(ended),
                command = inbox.recv() => match command {
                    Some(Command::Listen(listener)) => {
                        listeners.spawn(accept_all(listener, self.commands.clone(), self.shared.clone()));
                    }
                    Some(Command::Accepted(link, stream, address, place)) => self.serve(link, stream, address, place),
                    Some(Command::Dial(link, address, name)) => self.dial(link, address, name),
                    Some(Command::Stop) | None => break,
                },
            }
        }
        listeners.shutdown().await;
        self.stop().await;
    }

    fn serve(&mut self, link: Arc<Link>, stream: Stream, address: SocketAddr, place: Place) {
        let (events, settings) = (self.shared.events.clone(), self.shared.settings.clone());
        place.tell(Event::Accepted(link.clone(), address));
        let task = self.tasks.spawn(task::serve(link.clone(), events, settings, stream, place));
        self.links.insert(task.id(), link);
    }

    fn dial(&mut self, link: Arc<Link>, address: SocketAddr, name: ServerName<'static>) {
        let (events, settings) = (self.shared.events.clone(), self.shared.settings.clone());
        let task = self.tasks.spawn(task::dial(link.clone(), events, settings, address, name));
        self.links.insert(task.id(), link);
    }

    fn reap(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (id, failed) = match ended {
            Ok((id, ())) => (id, false),
            Err(error) => (error.id(), true),
        };
        if let Some(link) = self.links.remove(&id).filter(|_| failed) {
            task::end(&link, &self.shared.events, "internal error".to_owned());
        }
    }

    async fn stop(mut self) {
        for link in self.links.values() {
            link.request(Request::Close("stopped".to_owned()));
        }
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.reap(ended);
        }
    }
}

/// Accept for ever. A newcomer for whom there is no place is closed at once, and told of.
async fn accept_all(listener: Listener, commands: UnboundedSender<Command>, shared: Arc<Shared>) {
    let Ok(listener) = listener.start() else { return };
    let mut is_deaf = false;
    loop {
        match Stream::accept(&listener).await {
            Ok((stream, address)) => {
                is_deaf = false;
                let link = shared.new_link();
                if let Some(place) = shared.unproven.admit(&link, address, Instant::now()) {
                    drop(commands.send(Command::Accepted(link, stream, address, place)));
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_deaf, true) {
                    shared.events.push(0, [Event::Deaf(task::error_text(&error))]);
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::identity::Identity;
    use crate::dist::sender::Encoded;
    use crate::limits::Limits;
    use crate::link::handle::Posted;
    use crate::term::atom::Name;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    fn activate(last_frame: Option<Vec<u8>>) -> Request {
        let [node, peer] = ["here@test", "there@test"].map(Name::intern);
        let identity = Identity::new(node, 7, peer, u64::MAX, &Limits::default());
        Request::Activate { identity: Arc::new(identity), last_frame }
    }

    /// A thread with what its events are read by.
    struct Node {
        thread: Thread,
        backlog: Backlog,
    }

    impl Node {
        fn new(limits: Limits, ticktime: f64) -> Self {
            let thread = Thread::start(Settings::new(limits, Duration::from_secs_f64(ticktime), None)).unwrap();
            Self { thread, backlog: Backlog::default() }
        }

        fn next(&mut self) -> (u64, Event) {
            let deadline = Instant::now() + Duration::from_secs(10);
            loop {
                if let Some(event) = self.backlog.take_next() {
                    return event;
                }
                assert!(Instant::now() < deadline, "no event came");
                std::thread::yield_now();
                self.thread.refill(&mut self.backlog);
            }
        }

        fn down(&mut self) -> String {
            match self.next() {
                (_, Event::Down(reason)) => reason,
                other => panic!("{other:?}"),
            }
        }

        /// An inbound connection and its other end.
        fn accepted(&mut self) -> (Arc<Link>, TcpStream) {
            let address = self.thread.listen(ANY).unwrap();
            let peer = TcpStream::connect(address).unwrap();
            match self.next() {
                (_, Event::Accepted(link, _)) => (link, peer),
                other => panic!("{other:?}"),
            }
        }

        fn active(&mut self) -> (Arc<Link>, TcpStream) {
            let (link, peer) = self.accepted();
            link.request(activate(None));
            (link, peer)
        }
    }

    fn node() -> Node {
        Node::new(Limits::default(), 60.0)
    }

    fn read<const N: usize>(peer: &mut TcpStream) -> [u8; N] {
        let mut bytes = [0; N];
        peer.read_exact(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_frame_asked_for_and_one_written_cross() {
        let mut node = node();
        let (link, mut peer) = node.accepted();
        peer.write_all(b"\0\x02hi\0\x01x").unwrap();
        link.request(Request::ReadFrame);
        link.request(Request::WriteFrame(b"yes".to_vec()));

        assert!(matches!(node.next(), (_, Event::Frame(frame)) if frame == b"hi"));
        assert_eq!(&read(&mut peer), b"\0\x03yes");
    }

    #[test]
    fn frames_read_before_the_end_are_still_handed_out() {
        let mut node = node();
        let (link, mut peer) = node.accepted();
        peer.write_all(b"\0\x02hi").unwrap();
        drop(peer);
        link.request(Request::ReadFrame);

        assert!(matches!(node.next(), (_, Event::Frame(frame)) if frame == b"hi"));
        assert_eq!(node.down(), "closed");
    }

    #[test]
    fn what_came_with_the_handshake_is_read_after_it() {
        let mut node = node();
        let (link, mut peer) = node.accepted();
        peer.write_all(b"\0\x02hi\0\0\0\x04\x83\x44\0t").unwrap();
        link.request(Request::ReadFrame);
        node.next();

        link.request(activate(Some(b"ack".to_vec())));
        link.send(0, Encoded::plain(b"first".to_vec(), 5), None);

        assert!(matches!(node.next(), (_, Event::Packet(packet)) if packet.terms() == b"t"));
        assert_eq!(&read(&mut peer), b"\0\x03ack\0\0\0\x08\x83\x44\0first");
    }

    #[test]
    fn dials_are_connected_or_refused() {
        let mut node = node();
        let listener = TcpListener::bind(ANY).unwrap();
        let address = listener.local_addr().unwrap();
        let link = node.thread.dial(address, address.ip().into()).unwrap();
        assert!(matches!(node.next(), (id, Event::Connected) if id == link.id));
        drop(listener);

        let refused = node.thread.dial(address, address.ip().into()).unwrap();

        let mut ends: Vec<_> = [node.next(), node.next()]
            .into_iter()
            .map(|(id, event)| match event {
                Event::Down(reason) => (id, reason),
                other => panic!("{other:?}"),
            })
            .collect();
        ends.sort();
        assert_eq!(ends[0].0, link.id);
        assert_eq!(ends[1], (refused.id, "connection refused".to_owned()));
    }

    #[test]
    fn a_stalled_handshake_ends_at_its_deadline() {
        let mut node = Node::new(Limits { setup_time: 0.1, ..Limits::default() }, 60.0);
        let (_, _peer) = node.accepted();

        assert_eq!(node.down(), "setup timeout");
    }

    #[test]
    fn without_a_place_a_newcomer_is_closed_and_told_of() {
        let mut node = Node::new(Limits { max_handshakes: 1, ..Limits::default() }, 60.0);
        let (link, peer) = node.accepted();

        let mut second = TcpStream::connect(peer.peer_addr().unwrap()).unwrap();

        assert_eq!(second.read(&mut [0]).unwrap(), 0);
        assert!(matches!(node.next(), (0, Event::TurnedAway(address, 1)) if address == second.local_addr().unwrap()));
        link.request(activate(Some(vec![])));
        let mut peer = peer;
        read::<2>(&mut peer);
        let _third = TcpStream::connect(peer.peer_addr().unwrap()).unwrap();
        assert!(matches!(node.next(), (_, Event::Accepted(..))));
    }

    #[test]
    fn a_silent_peer_gets_ticks_and_is_gone_in_time() {
        let mut node = Node::new(Limits::default(), 0.4);
        let (_, mut peer) = node.active();
        let start = Instant::now();

        assert_eq!(read(&mut peer), [0; 8]);
        assert_eq!(node.down(), "net_tick_timeout");

        assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    }

    #[test]
    fn an_active_link_ends_with_its_peer_after_all_packets() {
        let mut node = node();
        let (_, mut peer) = node.active();
        peer.write_all(b"\0\0\0\x04\x83\x44\0t").unwrap();
        drop(peer);

        assert!(matches!(node.next(), (_, Event::Packet(_))));
        assert_eq!(node.down(), "closed");
    }

    #[test]
    fn what_was_posted_before_a_close_is_sent() {
        let mut node = node();
        let (link, mut peer) = node.accepted();
        peer.write_all(b"unread").unwrap();
        link.request(Request::WriteFrame(b"no".to_vec()));
        link.request(Request::Close("refused".to_owned()));

        assert_eq!(&read(&mut peer), b"\0\x02no");
        assert_eq!(node.down(), "refused");
    }

    #[test]
    fn what_both_threads_write_stays_in_order() {
        const COUNT: u32 = 20_000;
        let mut node = node();
        let (link, mut peer) = node.active();
        let read = std::thread::spawn(move || {
            (0..COUNT)
                .map(|_| u32::from_be_bytes(read::<1007>(&mut peer)[7..11].try_into().unwrap()))
                .collect::<Vec<_>>()
        });

        for number in 0..COUNT {
            let mut data = vec![0; 1000];
            data[..4].copy_from_slice(&number.to_be_bytes());
            let post = if number % 50 == 0 { Link::send } else { Link::write };
            post(&link, 1, Encoded::plain(data, 4), None);
            if number % 500 == 0 {
                std::thread::sleep(Duration::from_millis(1)); // the task goes to sleep, and lends
            }
        }

        assert_eq!(read.join().unwrap(), (0..COUNT).collect::<Vec<_>>());
    }

    #[test]
    fn a_stopped_thread_ends_its_links_first() {
        let mut node = node();
        let (link, mut peer) = node.active();

        node.thread.stop();
        node.thread.stop();

        assert_eq!(node.down(), "stopped");
        assert!(matches!(node.next(), (0, Event::Ended(reason)) if reason == "stopped"));
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        assert_eq!(link.send(0, Encoded::default(), None), Posted::Gone);
    }
}
