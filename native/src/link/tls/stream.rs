//! One encrypted connection.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::task::{Context, Poll, ready};

use rustls::Connection;
use rustls::pki_types::CertificateDer;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::yield_now;

use super::words;
use crate::link::stream::{Shared, drop_unread};

/// Bytes read at a time: two records.
const READ_SIZE: usize = 32 * 1024;

/// A connection with its session. What the session has to say goes out by `poll_flush`.
#[derive(Debug)]
pub struct TlsStream {
    socket: Shared,
    session: Connection,
    // What was read and not taken by the session yet.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl TlsStream {
    /// Shake hands over a connection. On failure the peer is told why.
    ///
    /// A step may take milliseconds, and strangers can begin many at once. So one is done at a time, and everybody else
    /// has a turn before the next.
    pub async fn open(socket: Shared, session: Connection, steps: &Semaphore) -> io::Result<Self> {
        let buffer = vec![0; READ_SIZE].into_boxed_slice();
        let mut stream = Self { socket, session, buffer, start: 0, end: 0 };
        match stream.shake_hands(steps).await {
            Ok(()) => Ok(stream),
            Err(error) => {
                stream.farewell(&[]);
                Err(error)
            }
        }
    }

    async fn shake_hands(&mut self, steps: &Semaphore) -> io::Result<()> {
        loop {
            // A peer that has hung up may have said why; that is still to be read.
            let wrote = poll_fn(|context| self.poll_flush(context)).await;
            if wrote.is_ok() && !self.session.is_handshaking() {
                return Ok(());
            }
            if !poll_fn(|context| self.poll_fetch(context)).await? {
                return Err(words::closed());
            }
            let step = steps.acquire().await;
            self.check()?;
            self.process()?;
            yield_now().await;
            drop(step);
        }
    }

    /// Find out whether the peer has gone while it waited, without taking what it has sent.
    fn check(&self) -> io::Result<()> {
        match SockRef::from(&**self.socket).peek(&mut [MaybeUninit::uninit()]) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// The connection.
    pub fn socket(&self) -> &Shared {
        &self.socket
    }

    /// The certificate that the peer has shown.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        Some(self.session.peer_certificates()?.first()?.clone().into_owned())
    }

    /// Have something that was read; false at the end of the stream.
    fn poll_fetch(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.start == self.end {
            ready!(self.socket.poll_read_ready(context))?;
            match self.socket.try_read(&mut self.buffer) {
                Ok(0) => return Poll::Ready(Ok(false)),
                Ok(count) => (self.start, self.end) = (0, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Give it to the session.
    fn process(&mut self) -> io::Result<()> {
        let mut unread = self.buffer.get(self.start..self.end).unwrap_or_default();
        self.start += self.session.read_tls(&mut unread)?;
        self.session.process_new_packets().map(drop).map_err(|error| words::error(&error))
    }

    /// Read into `scratch`; answers how many bytes, 0 at the end of the stream.
    pub fn poll_read(&mut self, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.session.reader().read(scratch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
            // Nodes that die say no farewell; packets carry their length, so none is cut without notice.
            if !ready!(self.poll_fetch(context))? {
                return Poll::Ready(Ok(0));
            }
            self.process()?;
        }
    }

    /// Encrypt the start of `data`; answers how many bytes.
    pub fn poll_write(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(context))?;
        Poll::Ready(self.session.writer().write(data))
    }

    /// Write what is encrypted.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            ready!(self.socket.poll_write_ready(context))?;
            match self.session.write_tls(&mut Ready(&self.socket)) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                _ => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Write what the kernel takes without waiting, say that nothing follows, and drop what is unread.
    pub fn farewell(&mut self, data: &[u8]) {
        self.session.set_buffer_limit(None);
        let _ = self.session.writer().write_all(data);
        self.session.send_close_notify();
        let socket = SockRef::from(&**self.socket);
        while self.session.wants_write() && self.session.write_tls(&mut &*socket).is_ok() {}
        drop_unread(&socket);
    }

    /// Drop what still comes, until the peer has closed the connection.
    pub fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if ready!(self.socket.poll_read_ready(context)).is_err() {
                return Poll::Ready(());
            }
            match self.socket.try_read(&mut self.buffer) {
                Ok(count) if count > 0 => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

/// A socket that is said to be writable; it tells the runtime when it is not.
struct Ready<'a>(&'a TcpStream);

impl Write for Ready<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.try_write(data)
    }

    fn write_vectored(&mut self, data: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
