//! The I/O thread that owns the sockets of all links of a node.
//!
//! ```text
//! thread.rs   one tokio runtime on one OS thread: listens, dials, stops
//! task.rs     one task per link: reads, writes, watches the clock
//!   inbound.rs    bytes read  -> events, by way of `dist::receiver`; when to pause
//!   writer.rs     messages -> bytes; idle, it is lent to the loop's thread
//!   handshake.rs  frames before `activate`
//!   stream.rs, tls/   the connection itself, plain or encrypted
//!   tick.rs       when to send a tick, when the peer is gone
//! unfinished.rs what all links hold of messages that are not complete
//! unproven.rs  who may come in before having proved to know the cookie
//! handle.rs   what the loop's thread and a task share: messages one way, marks the other
//! events.rs   one queue per node of what has happened; one wake-up for many events
//! fork.rs     the descriptors that a forked child closes; driver.rs finds tokio's
//! system.rs   the system calls that need `unsafe`
//! python.rs, arguments.rs, session.rs, deliver.rs, filling.rs, guarded.rs, watching.rs   what Python sees; the only
//!     files that know an interpreter
//! ```
//!
//! The I/O thread never needs the interpreter. It holds no Python object but on loan, and is never the last to let go.

mod driver;
pub mod events;
pub mod fork;
pub mod handle;
pub mod handshake;
pub mod inbound;
pub mod stream;
mod system;
pub mod task;
pub mod thread;
pub mod tick;
pub mod tls;
pub mod unfinished;
pub mod unproven;
mod writer;

#[cfg(feature = "python")]
mod arguments;
#[cfg(feature = "python")]
mod deliver;
#[cfg(feature = "python")]
mod encode;
#[cfg(feature = "python")]
mod filling;
#[cfg(feature = "python")]
mod guarded;
#[cfg(feature = "python")]
mod python;
#[cfg(feature = "python")]
mod session;
#[cfg(feature = "python")]
mod watching;

#[cfg(feature = "python")]
pub use python::register;
