//! The transports of a link. TLS will be a second variant: everything above reads and writes by polling.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::fork::Guarded;

/// Connections that may wait to be accepted.
const ACCEPT_QUEUE: i32 = 128;

/// A connected stream of bytes.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(Guarded<TcpStream>),
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
            None => Ok(Self::Tcp(stream)),
        }
    }

    /// Take the next inbound connection.
    pub async fn accept(listener: &TcpListener) -> io::Result<(Self, SocketAddr)> {
        let (stream, address) = std::future::poll_fn(|context| poll_accept(listener, context)).await?;
        stream.set_nodelay(true)?;
        Ok((Self::Tcp(stream), address))
    }

    /// Read into `scratch`; answers how many bytes, 0 at the end of the stream.
    pub fn poll_read(&mut self, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(scratch);
        let Self::Tcp(stream) = self;
        ready!(Pin::new(&mut **stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Write the start of `data`; answers how many bytes.
    pub fn poll_write(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let Self::Tcp(stream) = self;
        Pin::new(&mut **stream).poll_write(context, data)
    }

    /// Write what the kernel takes without waiting, and drop what it holds unread: unread bytes would make the kernel
    /// reset the connection, and the peer would lose what was just written.
    pub fn farewell(&self, data: &[u8]) {
        let Self::Tcp(stream) = self;
        // Past the runtime, which may not have noticed yet that the socket is ready.
        let socket = SockRef::from(&**stream);
        let _ = (&*socket).write(data);
        let mut unread = [0; 4096];
        for _ in 0..64 {
            if !matches!((&*socket).read(&mut unread), Ok(count) if count > 0) {
                break;
            }
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
