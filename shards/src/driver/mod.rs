//! The seam between a shard and its driver: io_uring or epoll, selected once at start.
//!
//! The [`turn`](crate::shard::turn) uses a [`Reactor`], and [`net`](crate::net) the sockets of both drivers; code above
//! them does not know the driver. Each type is one of two variants; within one process the branch always goes the same
//! way. A simulated driver would be a third.

pub(crate) mod epoll;
#[expect(unsafe_code, reason = "memory shared with the kernel; see io_uring/mod.rs")]
pub(crate) mod io_uring;
pub(crate) mod peer_end;
mod reactor;
mod received;

use std::fmt;
use std::str::FromStr;

pub(crate) use reactor::Reactor;
pub use received::Received;

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
