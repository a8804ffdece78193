//! The seam between a shard and what moves its bytes: io_uring or epoll, decided once, at start.
//!
//! Everything above it ([`net`](crate::net), [`turn`](crate::shard::turn)) speaks of a [`Reactor`] and its sockets and never of what stands behind
//! them. Each of these is one of two, told apart by a branch that always goes the same way in one process. A simulated driver
//! would be a third.

mod connect;
pub(crate) mod epoll;
#[expect(unsafe_code, reason = "memory shared with the kernel; see the folder's own head")]
pub(crate) mod io_uring;
mod listener;
pub(crate) mod peer_end;
mod reactor;
mod received;
mod select;
mod stream;

use std::fmt;
use std::str::FromStr;

pub(crate) use connect::Connecting;
pub(crate) use listener::ListenerSocket;
pub(crate) use reactor::Reactor;
pub use received::Received;
pub(crate) use select::SelectedDriver;
pub(crate) use stream::StreamSocket;

/// How sockets are driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Driver {
    /// io_uring where the kernel and the sandbox allow it, else epoll.
    #[default]
    Auto,
    /// One io_uring a shard.
    IoUring,
    /// One epoll loop a shard.
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

/// A driver's name was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDriver(String);

impl fmt::Display for UnknownDriver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "there is no driver {:?}; choose auto, io_uring or epoll",
            self.0
        )
    }
}

impl std::error::Error for UnknownDriver {}
