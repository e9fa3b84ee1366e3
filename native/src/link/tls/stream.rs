//! One encrypted connection.

use std::io::{self, Read, Write};
use std::task::{Context, Poll, ready};

use rustls::Connection;
use rustls::pki_types::CertificateDer;
use socket2::SockRef;
use tokio::net::TcpStream;

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
    pub async fn open(socket: Shared, session: Connection) -> io::Result<Self> {
        let buffer = vec![0; READ_SIZE].into_boxed_slice();
        let mut stream = Self { socket, session, buffer, start: 0, end: 0 };
        match std::future::poll_fn(|context| stream.poll_handshake(context)).await {
            Ok(()) => Ok(stream),
            Err(error) => {
                stream.farewell(&[]);
                Err(error)
            }
        }
    }

    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // A peer that has hung up may have said why; that is still to be read.
            let wrote = ready!(self.poll_flush(context));
            if wrote.is_ok() && !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if !ready!(self.poll_feed(context))? {
                return Poll::Ready(Err(words::closed()));
            }
        }
    }

    /// The certificate that the peer has shown.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        Some(self.session.peer_certificates()?.first()?.clone().into_owned())
    }

    /// Give the session something that was read; false at the end of the stream.
    fn poll_feed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.start == self.end {
            ready!(self.socket.poll_read_ready(context))?;
            match self.socket.try_read(&mut self.buffer) {
                Ok(0) => return Poll::Ready(Ok(false)),
                Ok(count) => (self.start, self.end) = (0, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let mut unread = self.buffer.get(self.start..self.end).unwrap_or_default();
        self.start += self.session.read_tls(&mut unread)?;
        match self.session.process_new_packets() {
            Ok(_) => Poll::Ready(Ok(true)),
            Err(error) => Poll::Ready(Err(words::error(&error))),
        }
    }

    /// Read into `scratch`; answers how many bytes, 0 at the end of the stream.
    pub fn poll_read(&mut self, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.session.reader().read(scratch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
            // Nodes that die say no farewell; packets carry their length, so none is cut without notice.
            if !ready!(self.poll_feed(context))? {
                return Poll::Ready(Ok(0));
            }
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
