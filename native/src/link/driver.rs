//! The descriptors that tokio opens for itself, found so that a forked child can close them as well.
//!
//! Tokio does not tell them, and telling new descriptors from old ones would blame it for those of other threads. So a
//! marker is made known to the runtime: its are the epoll descriptors that watch the marker, and what they watch.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::fork;

/// The descriptors of one runtime, closed in forked children while this lives.
#[derive(Debug)]
pub struct Driver(BTreeSet<RawFd>);

impl Driver {
    /// Find and guard the descriptors of a new runtime. Where there is no `/proc` there are none to find; a child then
    /// keeps them, which holds nothing up.
    pub fn guard(runtime: &Runtime) -> io::Result<Self> {
        let _entered = runtime.enter();
        let (marker, other) = UnixStream::pair()?;
        let mut own = descriptors_of(marker.as_raw_fd());
        own.retain(|fd| ![marker.as_raw_fd(), other.as_raw_fd()].contains(fd));
        own.iter().copied().for_each(fork::guard);
        Ok(Self(own))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.iter().copied().for_each(fork::release);
    }
}

fn descriptors_of(marker: RawFd) -> BTreeSet<RawFd> {
    let mut found = BTreeSet::new();
    for fd in open_descriptors() {
        let watched = watched_by(fd);
        if watched.contains(&marker) {
            found.insert(fd);
            found.extend(watched);
        }
    }
    found
}

fn open_descriptors() -> Vec<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// What an epoll descriptor watches; nothing for any other.
fn watched_by(fd: RawFd) -> Vec<RawFd> {
    let Ok(information) = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")) else { return Vec::new() };
    let line = |line: &str| line.strip_prefix("tfd:")?.split_whitespace().next()?.parse().ok();
    information.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptors_of_a_runtime_are_found() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

        let driver = Driver::guard(&runtime).unwrap();

        let kind = |fd: &RawFd| fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
        let mut kinds: Vec<_> = driver.0.iter().map(kind).collect();
        kinds.dedup();
        assert!(kinds.iter().any(|kind| kind.ends_with("anon_inode:[eventpoll]")), "{kinds:?}");
        assert!(kinds.iter().any(|kind| kind.ends_with("anon_inode:[eventfd]")), "{kinds:?}");
    }
}
