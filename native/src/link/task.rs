//! One task per link: it alone touches the socket.
//!
//! ```text
//! connecting --connected--> handshake --activate--> active
//!      |                        |                      |
//!      +------------------------+----------------------+--> ended: one `Down`, after all that was read
//! ```
//!
//! An ended link with TLS stays for a moment, until its peer has hung up too.
//!
//! TLS shakes hands while a dialled link connects, and before an inbound one reads its first frame.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval_at, sleep, sleep_until};

use super::events::{Event, Events};
use super::handle::{Link, News, Request};
use super::handshake::{Frames, write_frame};
use super::inbound::Inbound;
use super::stream::{Shared, Stream};
use super::tick::{INTENSITY, Liveness, Verdict};
use super::tls::{self, Tls};
use super::unfinished::Unfinished;
use super::unproven::Place;
use super::writer::Writer;
use crate::dist::Format;
use crate::dist::identity::Identity;
use crate::limits::Limits;

/// Bytes read at a time, at the most and where they take long.
const READ_SIZE: usize = 64 * 1024;
const SHORT_READ: usize = 4 * 1024;

/// How long a peer has for hanging up after a link has ended.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a link has the thread before the others have their turn: bytes say little about what they cost.
const TURN: Duration = Duration::from_micros(250);

const TICK: [u8; 4] = [0; 4];

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

/// What every link of a node has in common.
#[derive(Debug)]
pub struct Settings {
    /// Bounds on what a peer may do.
    pub limits: Limits,
    /// Silence after which a peer is gone.
    pub ticktime: Duration,
    /// How connections are encrypted; plain if left out.
    pub tls: Option<Arc<Tls>>,
    // One permit, for a step of a handshake of TLS.
    steps: Semaphore,
    unfinished: Arc<Unfinished>,
}

impl Settings {
    /// Settings of a node.
    pub fn new(limits: Limits, ticktime: Duration, tls: Option<Arc<Tls>>) -> Self {
        let unfinished = Unfinished::new(limits.max_unfinished_bytes);
        Self { limits, ticktime, tls, steps: Semaphore::new(1), unfinished }
    }

    fn setup_deadline(&self) -> Instant {
        // A time too far to be told is as good as none.
        let setup_time = Duration::try_from_secs_f64(self.limits.setup_time).unwrap_or(Duration::from_secs(86_400));
        Instant::now() + setup_time.min(Duration::from_secs(86_400))
    }
}

/// The reason that ends a link.
type Reason = String;
/// `Break` ends the link; `Continue(true)` means that something was done.
type Progress = ControlFlow<Reason, bool>;

/// Connect, then serve the link until it ends. `name` is what the peer's certificate is for.
pub async fn dial(
    link: Arc<Link>,
    events: Arc<Events>,
    settings: Arc<Settings>,
    address: SocketAddr,
    name: ServerName<'static>,
) {
    let mut opening = Opening { link: &link, early: Vec::new(), deadline: settings.setup_deadline() };
    let connected = match opening.wait("connect timeout", Stream::connect(address)).await {
        Ok(stream) => {
            opening.encrypt(stream, settings.tls.as_deref().map(|tls| tls.dialling(name)), &settings.steps).await
        }
        Err(reason) => Err(reason),
    };
    let early = opening.early;
    match connected {
        Ok(stream) => {
            events.push(link.id, [Event::Connected]);
            let deadline = settings.setup_deadline();
            Task::new(link, events, settings, stream, early, deadline, None).await;
        }
        Err(reason) => end(&link, &events, reason),
    }
}

/// Serve an inbound connection until it ends. `place` is given back when the handshake is over.
pub async fn serve(link: Arc<Link>, events: Arc<Events>, settings: Arc<Settings>, stream: Stream, place: Place) {
    let deadline = settings.setup_deadline();
    let mut opening = Opening { link: &link, early: Vec::new(), deadline };
    let opened = opening.encrypt(stream, settings.tls.as_deref().map(Tls::dialled), &settings.steps).await;
    let early = opening.early;
    match opened {
        Ok(stream) => Task::new(link, events, settings, stream, early, deadline, Some(place)).await,
        Err(reason) => {
            link.close();
            place.tell(Event::Down(reason));
        }
    }
}

/// A link that has no stream yet.
struct Opening<'a> {
    link: &'a Link,
    // What was asked of it meanwhile.
    early: Vec<Request>,
    deadline: Instant,
}

impl Opening<'_> {
    /// Wait for one step, until the link is closed by its owner or time is up.
    async fn wait<T>(&mut self, late: &str, step: impl Future<Output = io::Result<T>>) -> Result<T, Reason> {
        tokio::select! {
            biased;
            reason = wait_for_close(self.link, &mut self.early) => Err(reason),
            done = step => done.map_err(|error| error_text(&error)),
            () = sleep_until(self.deadline) => Err(late.to_owned()),
        }
    }

    /// Shake hands for TLS if there is a session for it.
    async fn encrypt(
        &mut self,
        stream: Stream,
        session: Option<Result<rustls::Connection, rustls::Error>>,
        steps: &Semaphore,
    ) -> Result<Stream, Reason> {
        let Some(session) = session else { return Ok(stream) };
        let session = session.map_err(|error| format!("{}{error}", tls::PREFIX))?;
        let stream = self.wait(tls::NO_ANSWER, stream.encrypted(session, steps)).await?;
        if let Some(certificate) = stream.certificate() {
            let _ = self.link.certificate.set(certificate); // there is one handshake
        }
        Ok(stream)
    }
}

/// Wait until the link is closed by its owner; other requests are kept for later.
async fn wait_for_close(link: &Link, early: &mut Vec<Request>) -> Reason {
    loop {
        for request in std::future::poll_fn(|context| link.poll_news(context, || None)).await.requests {
            match request {
                Request::Close(reason) => return reason,
                other => early.push(other),
            }
        }
    }
}

/// Take nothing more for a link, and say that it is gone.
pub fn end(link: &Link, events: &Events, reason: Reason) {
    link.close();
    events.push(link.id, [Event::Down(reason)]);
}

/// Say what has happened to a link; of a stranger where those of strangers wait.
fn tell(events: &Events, link: u64, place: Option<&Place>, event: Event) {
    match place {
        Some(place) => place.tell(event),
        None => events.push(link, [event]),
    }
}

/// How many bytes to read next, when so many have taken so long.
fn next_read(size: usize, spent: Duration) -> usize {
    if spent > TURN { (size / 2).max(SHORT_READ) } else { (size * 2).min(READ_SIZE) }
}

/// In the words of the system, without the number.
pub fn error_text(error: &io::Error) -> Reason {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(position) => text[..position].to_lowercase(),
        None => text,
    }
}

enum Phase {
    Handshake { frames: Frames, deadline: Pin<Box<Sleep>>, place: Option<Place> },
    Active { inbound: Box<Inbound>, liveness: Liveness, checks: Interval },
}

struct Task {
    link: Arc<Link>,
    events: Arc<Events>,
    settings: Arc<Settings>,
    stream: Stream,
    phase: Phase,
    // None while it is lent to the loop's thread.
    writer: Option<Writer>,
    // Why nothing more can be read, and why nothing more can be written.
    read_end: Option<Reason>,
    write_end: bool,
    // How many bytes are likely read within one turn.
    read_size: usize,
    early: Vec<Request>,
    // Set when the link has ended.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Task {
    fn new(
        link: Arc<Link>,
        events: Arc<Events>,
        settings: Arc<Settings>,
        stream: Stream,
        early: Vec<Request>,
        deadline: Instant,
        place: Option<Place>,
    ) -> Self {
        let deadline = Box::pin(sleep_until(deadline));
        let frames = Frames::new(stream.prefix());
        Self {
            link,
            events,
            settings,
            stream,
            phase: Phase::Handshake { frames, deadline, place },
            writer: Some(Writer::new()),
            read_end: None,
            write_end: false,
            read_size: READ_SIZE,
            early,
            patience: None,
        }
    }

    /// One round over everything that may have happened.
    fn round(&mut self, context: &mut Context<'_>) -> Progress {
        let news = self.take_news(context)?;
        let read = self.read(context)?;
        let wrote = self.write(context);
        let clock = self.watch_clock(context)?;
        ControlFlow::Continue(news || read || wrote || clock)
    }

    // ---- requests of the loop's thread

    fn take_news(&mut self, context: &mut Context<'_>) -> Progress {
        for request in std::mem::take(&mut self.early) {
            self.obey(request)?;
        }
        let spare = || Self::spare(&self.phase, &self.stream, &mut self.writer);
        let Poll::Ready(News { requests, messages, writer }) = self.link.poll_news(context, spare) else {
            return ControlFlow::Continue(false);
        };
        self.writer = self.writer.take().or(writer);
        let end = requests.into_iter().try_fold(true, |_, request| self.obey(request));
        // Also before an end, which sends what it can.
        for (order_key, encoded) in messages {
            self.hold().push(order_key, encoded);
        }
        end
    }

    fn obey(&mut self, request: Request) -> Progress {
        match (request, &mut self.phase) {
            (Request::Close(reason), _) => return ControlFlow::Break(reason),
            (Request::WriteFrame(frame), Phase::Handshake { .. }) => {
                write_frame(self.stream.prefix(), &frame, self.hold().bytes());
            }
            (Request::ReadFrame, Phase::Handshake { frames, .. }) => {
                frames.ask();
                self.hand_out_frames()?;
            }
            (Request::Activate { identity, last_frame }, Phase::Handshake { frames, .. }) => {
                let rest = frames.take_rest();
                return self.activate(identity, last_frame, &rest);
            }
            (Request::Resume, Phase::Active { inbound, .. }) => inbound.resume(),
            _ => {}
        }
        ControlFlow::Continue(true)
    }

    fn activate(&mut self, identity: Arc<Identity>, last_frame: Option<Vec<u8>>, rest: &[u8]) -> Progress {
        if let Some(frame) = last_frame {
            write_frame(self.stream.prefix(), &frame, self.hold().bytes());
        }
        self.hold().begin(Format::of(identity.flags));
        let period = (self.settings.ticktime / INTENSITY).max(Duration::from_millis(1));
        let mut checks = interval_at(Instant::now() + period, period);
        // A burst of late checks after SIGSTOP would take our own silence for the peer's.
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let held = self.settings.unfinished.held_by(&self.link, self.stream.host());
        let inbound = Inbound::new(self.link.clone(), self.events.clone(), identity, &self.settings.limits, held);
        self.phase = Phase::Active { inbound: Box::new(inbound), liveness: Liveness::default(), checks };
        self.received(rest)
    }

    // ---- reading

    fn read(&mut self, context: &mut Context<'_>) -> Progress {
        let wants = match &self.phase {
            Phase::Handshake { frames, .. } => !frames.is_full(),
            Phase::Active { inbound, .. } => !inbound.is_paused(),
        };
        if !wants {
            return ControlFlow::Continue(false);
        }
        if let Some(reason) = &self.read_end {
            return self.ended(reason.clone());
        }
        let start = Instant::now();
        let progress = SCRATCH.with_borrow_mut(|scratch| {
            let scratch = scratch.get_mut(..self.read_size).unwrap_or_default();
            match self.stream.poll_read(context, scratch) {
                Poll::Pending => ControlFlow::Continue(false),
                Poll::Ready(Ok(count)) if count > 0 => self.received(scratch.get(..count).unwrap_or_default()),
                Poll::Ready(Ok(_)) => self.ended("closed".to_owned()),
                Poll::Ready(Err(error)) => self.ended(error_text(&error)),
            }
        });
        self.read_size = next_read(self.read_size, start.elapsed());
        progress
    }

    fn received(&mut self, data: &[u8]) -> Progress {
        match &mut self.phase {
            Phase::Handshake { frames, .. } => {
                frames.receive(data);
                self.hand_out_frames()?;
            }
            Phase::Active { inbound, liveness, .. } => {
                liveness.heard();
                if let Err(reason) = inbound.receive(data) {
                    return ControlFlow::Break(reason);
                }
            }
        }
        ControlFlow::Continue(true)
    }

    /// Nothing more can be read. Whole frames that were read before are still handed out when they are asked for.
    fn ended(&mut self, reason: Reason) -> Progress {
        match &self.phase {
            Phase::Handshake { frames, .. } if frames.has_frame() => {
                self.read_end = Some(reason);
                ControlFlow::Continue(false)
            }
            _ => ControlFlow::Break(reason),
        }
    }

    fn hand_out_frames(&mut self) -> Progress {
        let Phase::Handshake { frames, place, .. } = &mut self.phase else { return ControlFlow::Continue(false) };
        while let Some(frame) = frames.take_frame() {
            tell(&self.events, self.link.id, place.as_ref(), Event::Frame(frame));
        }
        match frames.too_long() {
            Some(length) => ControlFlow::Break(format!("a handshake frame of {length} bytes is too long")),
            None => ControlFlow::Continue(true),
        }
    }

    // ---- writing

    /// The writing half, taken back if it is lent.
    fn hold(&mut self) -> &mut Writer {
        let link = &self.link;
        self.writer.get_or_insert_with(|| link.take_back())
    }

    /// While nothing waits, the loop's thread may have it; not through TLS, which is ours alone.
    fn spare(phase: &Phase, stream: &Stream, writer: &mut Option<Writer>) -> Option<(Writer, Shared)> {
        let socket = stream.shared().filter(|_| matches!(phase, Phase::Active { .. }))?;
        Some((writer.take_if(|writer| writer.is_idle())?, socket))
    }

    fn write(&mut self, context: &mut Context<'_>) -> bool {
        if self.write_end {
            return false;
        }
        match self.stream.poll_flush(context) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => {
                self.write_end = true;
                return true;
            }
        }
        let Some(writer) = &mut self.writer else { return false };
        if writer.fill() {
            self.events.push(self.link.id, [Event::Returned]);
        }
        if writer.is_idle() {
            return false;
        }
        match self.stream.poll_write(context, writer.rest()) {
            Poll::Pending => return false,
            Poll::Ready(Ok(count)) => self.wrote(count),
            // What the peer wrote before it went can still be read; the end comes from there.
            Poll::Ready(Err(_)) => self.write_end = true,
        }
        true
    }

    fn wrote(&mut self, count: usize) {
        let cost = self.hold().wrote(count);
        if self.link.sent(cost) {
            self.events.push(self.link.id, [Event::Writable]);
        }
    }

    // ---- clock

    fn watch_clock(&mut self, context: &mut Context<'_>) -> Progress {
        match &mut self.phase {
            Phase::Handshake { deadline, .. } => match deadline.as_mut().poll(context) {
                Poll::Ready(()) => ControlFlow::Break("setup timeout".to_owned()),
                Poll::Pending => ControlFlow::Continue(false),
            },
            Phase::Active { inbound, liveness, checks } => {
                if checks.poll_tick(context).is_pending() {
                    return ControlFlow::Continue(false);
                }
                let writer = self.writer.get_or_insert_with(|| self.link.take_back());
                if writer.take_said() {
                    liveness.said();
                }
                match liveness.check(inbound.is_paused()) {
                    Verdict::Gone => return ControlFlow::Break("net_tick_timeout".to_owned()),
                    Verdict::Tick if writer.is_idle() => writer.bytes().extend_from_slice(&TICK),
                    Verdict::Tick | Verdict::Fine => {}
                }
                ControlFlow::Continue(true)
            }
        }
    }

    fn finish(&mut self, reason: Reason) {
        let mut writer = self.writer.take().unwrap_or_else(|| self.link.take_back());
        if !self.write_end {
            // What was sent before an orderly end should arrive, as far as the peer takes it now.
            self.stream.farewell(writer.last());
        }
        // What messages have on loan is let go before anybody hears of the end.
        drop(writer);
        self.link.close();
        let place = match &self.phase {
            Phase::Handshake { place, .. } => place.as_ref(),
            Phase::Active { .. } => None,
        };
        tell(&self.events, self.link.id, place, Event::Down(reason));
        // Who has not finished the handshake is not waited for.
        let patience = if matches!(self.phase, Phase::Active { .. }) { PATIENCE } else { Duration::ZERO };
        self.patience = Some(Box::pin(sleep(patience)));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.link.close(); // the socket, too, which it may share
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let start = Instant::now();
        loop {
            if let Some(patience) = &mut self.patience {
                return if patience.as_mut().poll(context).is_ready() {
                    Poll::Ready(())
                } else {
                    self.stream.poll_closed(context)
                };
            }
            match self.round(context) {
                ControlFlow::Continue(true) => {}
                ControlFlow::Continue(false) => return Poll::Pending,
                ControlFlow::Break(reason) => self.finish(reason),
            }
            if start.elapsed() >= TURN {
                break;
            }
        }
        // Behind all who are ready, also those whose sockets the runtime has not looked at since.
        let _ = pin!(yield_now()).poll(context);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_read_in_small_parts_and_in_large_ones_again_when_it_is_over() {
        let slow = |size| next_read(size, TURN * 2);
        assert_eq!(slow(READ_SIZE), READ_SIZE / 2);
        assert_eq!((0..9).fold(READ_SIZE, |size, _| slow(size)), SHORT_READ);
        assert_eq!((0..9).fold(SHORT_READ, |size, _| next_read(size, TURN / 2)), READ_SIZE);
    }
}
