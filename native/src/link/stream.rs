//! The transports of a link: everything above reads and writes by polling.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::Connection;
use rustls::pki_types::CertificateDer;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::fork::Guarded;
use super::handshake::Prefix;
use super::tls::TlsStream;

/// Connections that may wait to be accepted.
const ACCEPT_QUEUE: i32 = 128;

/// A connection that the loop's thread may write to as well.
pub type Shared = Arc<Guarded<TcpStream>>;

/// A connected stream of bytes.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(Shared),
    /// The same, encrypted.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Connect to an address.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = Guarded::open(|| tcp_socket(address))?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            other => other?,
        }
        let stream = socket.map(|socket| TcpStream::from_std(socket.into()))?;
        stream.writable().await?;
        match stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(Self::Tcp(Arc::new(stream))),
        }
    }

    /// Take the next inbound connection.
    pub async fn accept(listener: &TcpListener) -> io::Result<(Self, SocketAddr)> {
        let (stream, address) = std::future::poll_fn(|context| poll_accept(listener, context)).await?;
        let _ = stream.set_nodelay(true); // fails where the peer is gone already, which is found out when it is read
        Ok((Self::Tcp(Arc::new(stream)), address))
    }

    /// Shake hands for TLS, a step with each permit; nothing may have been read or written before.
    pub async fn encrypted(self, session: Connection, steps: &Semaphore) -> io::Result<Self> {
        let Self::Tcp(stream) = self else { return Ok(self) };
        Ok(Self::Tls(Box::new(TlsStream::open(stream, session, steps).await?)))
    }

    /// The certificate that the peer has shown.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(stream) => stream.certificate(),
        }
    }

    /// What may be written to from another thread: a connection that is not encrypted.
    pub fn shared(&self) -> Option<Shared> {
        match self {
            Self::Tcp(socket) => Some(socket.clone()),
            Self::Tls(_) => None,
        }
    }

    /// Where the peer is, if that can be told still.
    pub fn host(&self) -> Option<IpAddr> {
        let socket = match self {
            Self::Tcp(socket) => socket,
            Self::Tls(stream) => stream.socket(),
        };
        socket.peer_addr().ok().map(|address| address.ip())
    }

    /// How the frames of the handshake between nodes say their length.
    pub fn prefix(&self) -> Prefix {
        match self {
            Self::Tcp(_) => Prefix::Two,
            Self::Tls(_) => Prefix::Four,
        }
    }

    /// Read into `scratch`; answers how many bytes, 0 at the end of the stream.
    pub fn poll_read(&mut self, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => poll_read(socket, context, scratch),
            Self::Tls(stream) => stream.poll_read(context, scratch),
        }
    }

    /// Write the start of `data`; answers how many bytes. They may wait for `poll_flush`.
    pub fn poll_write(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => poll_write(socket, context, data),
            Self::Tls(stream) => stream.poll_write(context, data),
        }
    }

    /// Write what an earlier call has left.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => stream.poll_flush(context),
        }
    }

    /// Write what the kernel takes without waiting, and drop what it holds unread: unread bytes would make the kernel
    /// reset the connection, and the peer would lose what was just written.
    pub fn farewell(&mut self, data: &[u8]) {
        match self {
            Self::Tcp(stream) => {
                // Past the runtime, which may not have noticed yet that the socket is ready.
                let socket = SockRef::from(&***stream);
                let _ = (&*socket).write(data);
                drop_unread(&socket);
            }
            Self::Tls(stream) => stream.farewell(data),
        }
    }

    /// After a farewell: drop what still comes, until the peer has closed the connection.
    ///
    /// For TLS only. Where the end of the stream overtakes the alert that announces it, the TLS sender of an Erlang node
    /// that writes just then gives up first; the process that got the alert waits five seconds for it, and with it
    /// everybody who is to hear that the link is gone.
    pub fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp(_) => Poll::Ready(()),
            Self::Tls(stream) => stream.poll_closed(context),
        }
    }
}

/// Drop what the kernel holds unread, within bounds.
pub fn drop_unread(mut socket: &Socket) {
    let mut unread = [0; 4096];
    for _ in 0..64 {
        if !matches!(socket.read(&mut unread), Ok(count) if count > 0) {
            break;
        }
    }
}

fn poll_read(socket: &TcpStream, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_read_ready(context))?;
        match socket.try_read(scratch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(count) if 0 < count && count < scratch.len() => {
                // Less than there was room for: the next call need not find out that nothing is left.
                let _: io::Result<()> = socket.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
                return Poll::Ready(Ok(count));
            }
            read => return Poll::Ready(read),
        }
    }
}

fn poll_write(socket: &TcpStream, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_write_ready(context))?;
        match socket.try_write(data) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return Poll::Ready(written),
        }
    }
}

fn poll_accept(
    listener: &TcpListener,
    context: &mut Context<'_>,
) -> Poll<io::Result<(Guarded<TcpStream>, SocketAddr)>> {
    let mut from = None;
    // Pending is an error to `open`, which has nothing to register then.
    let opened = Guarded::open(|| match listener.poll_accept(context) {
        Poll::Ready(accepted) => {
            let (stream, address) = accepted.map_err(Some)?;
            from = Some(address);
            Ok(stream)
        }
        Poll::Pending => Err(None),
    });
    match (opened, from) {
        (Ok(stream), Some(address)) => Poll::Ready(Ok((stream, address))),
        (Err(Some(error)), _) => Poll::Ready(Err(error)),
        _ => Poll::Pending,
    }
}

fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

/// A listening socket, not known to any runtime yet.
#[derive(Debug)]
pub struct Listener(Guarded<Socket>);

impl Listener {
    /// Listen at an address; port 0 takes a free one.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Guarded::open(|| tcp_socket(address))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(ACCEPT_QUEUE)?;
        Ok(Self(socket))
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let address = self.0.local_addr()?.as_socket();
        address.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "not an IP address"))
    }

    /// Make it known to the runtime of the calling thread.
    pub fn start(self) -> io::Result<Guarded<TcpListener>> {
        self.0.map(|socket| TcpListener::from_std(socket.into()))
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
