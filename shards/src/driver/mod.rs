//! The seam between a shard and its driver: io_uring or epoll, selected once at start.
//!
//! Code above it ([`net`](crate::net), [`turn`](crate::shard::turn)) uses a [`Reactor`] and its sockets and does not
//! know the driver. Each type is one of two variants; within one process the branch always goes the same way. A
//! simulated driver would be a third.

mod connect;
pub(crate) mod epoll;
#[expect(unsafe_code, reason = "memory shared with the kernel; see io_uring/mod.rs")]
pub(crate) mod io_uring;
mod listener;
pub(crate) mod peer_end;
mod reactor;
mod received;
mod stream;

use std::fmt;
use std::str::FromStr;

pub(crate) use connect::Connecting;
pub(crate) use listener::ListenerSocket;
pub(crate) use reactor::Reactor;
pub use received::Received;
pub(crate) use stream::StreamSocket;

/// The driver of a process's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Driver {
    /// io_uring if the kernel and the sandbox allow it, else epoll.
    #[default]
    Auto,
    /// One io_uring per shard.
    IoUring,
    /// One epoll instance per shard.
    Epoll,
}

impl fmt::Display for Driver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        })
    }
}

impl FromStr for Driver {
    type Err = UnknownDriver;

    fn from_str(name: &str) -> Result<Self, UnknownDriver> {
        match name {
            "auto" => Ok(Self::Auto),
            "io_uring" | "io-uring" => Ok(Self::IoUring),
            "epoll" => Ok(Self::Epoll),
            _ => Err(UnknownDriver(name.to_owned())),
        }
    }
}

/// A driver's name is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDriver(String);

impl fmt::Display for UnknownDriver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "unknown driver {:?}; choose auto, io_uring or epoll", self.0)
    }
}

impl std::error::Error for UnknownDriver {}
