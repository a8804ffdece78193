//! The seam between a shard and what moves its bytes.
//!
//! Everything above it ([`net`](crate::net), [`task`](crate::task), [`turn`](crate::ring)) speaks of a `Reactor` and its sockets; which
//! one stands behind is decided once, at start. Today there is one, io_uring. The epoll driver (tokio's current-thread runtime)
//! and the simulated one take their place here: each offers a reactor with `take_buffer`, `recycle` and `statistics`, a
//! listener with `poll_accept`, and a stream with `poll_receive`, `poll_sent`, `start_send`.

use std::fmt;
use std::str::FromStr;

pub(crate) use crate::ring::{ListenerSocket, SharedRing as Reactor, StreamSocket};

/// How sockets are driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Driver {
    /// The best one the kernel allows.
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
