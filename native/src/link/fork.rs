//! What happens to links in a forked child: their descriptors are closed, everything else is forgotten.
//!
//! A child that kept a socket would keep the link up after its parent died. So every descriptor is opened,
//! registered and closed under one lock, which a fork takes first: the child finds a complete list. The atom table is
//! locked by a fork as well, because the I/O thread, which the child doesn't have, may be at work in it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::system;
use crate::term::atom;

static DESCRIPTORS: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());
static GENERATION: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static HELD: RefCell<Option<(MutexGuard<'static, BTreeSet<RawFd>>, atom::Held)>> = const { RefCell::new(None) };
}

fn descriptors() -> MutexGuard<'static, BTreeSet<RawFd>> {
    DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn prepare() {
    let held = (descriptors(), atom::hold());
    HELD.with_borrow_mut(|place| *place = Some(held));
}

extern "C" fn in_parent() {
    HELD.take();
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    if let Some((mut descriptors, _atoms)) = HELD.take() {
        system::close_all(std::mem::take(&mut *descriptors));
    }
}

/// Have forks handled from now on; more than once is the same as once.
pub fn watch() -> io::Result<()> {
    static WATCHED: OnceLock<Option<i32>> = OnceLock::new();
    let failed = WATCHED.get_or_init(|| system::at_fork(prepare, in_parent, in_child).err()?.raw_os_error());
    failed.map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
}

/// How often this process is a forked child of one that was watched; whoever sees it change is inherited.
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Close `fd` in every child from now on.
pub fn guard(fd: RawFd) {
    descriptors().insert(fd);
}

/// Undo `guard`.
pub fn release(fd: RawFd) {
    descriptors().remove(&fd);
}

/// Something with a descriptor that a forked child closes.
#[derive(Debug)]
pub struct Guarded<T: AsRawFd> {
    fd: RawFd,
    // Empty only while it is dropped or mapped.
    inner: Option<T>,
}

impl<T: AsRawFd> Guarded<T> {
    /// Open something; no fork comes in between.
    pub fn open<E>(open: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        Self::register(&mut descriptors(), open)
    }

    /// Put what owns the descriptor into something else that owns it from now on.
    pub fn map<U: AsRawFd, E>(mut self, wrap: impl FnOnce(T) -> Result<U, E>) -> Result<Guarded<U>, E> {
        let mut descriptors = descriptors();
        descriptors.remove(&self.fd);
        let inner = self.inner.take();
        std::mem::forget(self); // the lock is held, and nothing is left to close
        Guarded::register(&mut descriptors, || wrap(inner.expect(PRESENT)))
    }

    fn register<E>(descriptors: &mut BTreeSet<RawFd>, open: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        let inner = open()?;
        let fd = inner.as_raw_fd();
        descriptors.insert(fd);
        Ok(Self { fd, inner: Some(inner) })
    }
}

const PRESENT: &str = "present until dropped";

impl<T: AsRawFd> Drop for Guarded<T> {
    fn drop(&mut self) {
        let mut descriptors = descriptors();
        descriptors.remove(&self.fd);
        drop(self.inner.take());
    }
}

impl<T: AsRawFd> Deref for Guarded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect(PRESENT)
    }
}

impl<T: AsRawFd> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect(PRESENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;

    fn registered(fd: RawFd) -> bool {
        descriptors().contains(&fd)
    }

    fn pipe() -> OwnedFd {
        std::io::pipe().unwrap().0.into()
    }

    #[test]
    fn a_descriptor_is_registered_from_open_to_drop() {
        let guarded = Guarded::open(|| io::Result::Ok(pipe())).unwrap();
        let fd = guarded.as_raw_fd();
        assert!(registered(fd));

        let guarded = guarded.map(|pipe| io::Result::Ok(std::fs::File::from(pipe))).unwrap();
        assert!(registered(fd));

        drop(guarded);
        // Another test may have got the number meanwhile, but those register none below its first use.
        assert_eq!(GENERATION.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_can_not_be_wrapped_is_closed_and_forgotten() {
        let guarded = Guarded::open(|| io::Result::Ok(pipe())).unwrap();

        let failed: Result<Guarded<OwnedFd>, ()> = guarded.map(|pipe| {
            drop(pipe);
            Err(())
        });

        assert!(failed.is_err());
    }
}
