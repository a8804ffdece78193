//! The settings of a server, each with its default and the reason for it.

pub(in crate::server) mod check;
pub(in crate::server) mod options;
mod quantity;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use squall_shards::Driver;

use super::memory::watermarks::MemoryWatermarks;
use crate::app::{self, TrustedProxies};
use crate::http1;
use crate::pubsub::{self, TopicRules};
use crate::transport::progress::WriteLimits;
use crate::websocket;

/// The settings of a server.
///
/// A limit is for each connection unless its text says otherwise.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The addresses to listen on.
    pub listen: Vec<ListenAddress>,
    /// The number of shards; `None`, the default, starts one for each core this process may use.
    pub shards: Option<usize>,
    /// The driver of the sockets: io_uring, epoll, or whichever the kernel allows.
    pub driver: Driver,
    /// How long a shard polls before it sleeps.
    ///
    /// Off by default: it trades a core's time for latency.
    pub spin: Duration,
    /// Whether each new connection goes to the shard of the CPU that received it.
    ///
    /// Off by default: the kernel's hash distributes connections more evenly, unless the network card's queues are
    /// distributed over the CPUs.
    pub steer_by_cpu: bool,
    /// Whether new TCP connections go to other shards while a shard has at least 512 and a third more than its share.
    ///
    /// Off by default: short connections would all go to the shards that have few long ones. In a second process on a
    /// shared port it has no effect.
    pub balance: bool,
    /// Whether another process may listen on the same TCP address, as both servers of a rolling restart do.
    ///
    /// Off by default: a server that an operator starts twice by mistake would share its connections silently.
    pub share_port: bool,
    /// Limits of HTTP/1 requests.
    pub http1: http1::Limits,
    /// Limits of WebSockets whose routes set none of their own.
    pub websocket: websocket::Limits,
    /// The rules of topics: slow-consumer policy, history, envelope.
    pub topics: TopicRules,
    /// Limits of subscribers and of their queues.
    pub pubsub: pubsub::Limits,
    /// Limits of the histories of topics.
    pub histories: pubsub::LogLimits,
    /// The most bytes of content in a request ([`Limits::body_bytes_max`](app::Limits::body_bytes_max)).
    ///
    /// `None`, here and in the three fields below, keeps the limit of the application
    /// ([`Application::limits`](crate::Application::limits)).
    pub body_bytes_max: Option<u64>,
    /// The most parameters in a query or a form ([`Limits::parameter_count_max`](app::Limits::parameter_count_max)).
    pub parameter_count_max: Option<usize>,
    /// The most levels of nested JSON ([`Limits::json_depth_max`](app::Limits::json_depth_max)).
    pub json_depth_max: Option<usize>,
    /// The most cookies in a request ([`Limits::cookie_count_max`](app::Limits::cookie_count_max)).
    pub cookie_count_max: Option<usize>,
    /// The most unsent bytes the kernel buffers for a TCP connection, beyond those on their way to the peer.
    ///
    /// 128 KiB: what a fast peer is sent in one turn. The kernel's own bound is 4 MiB for each peer that stops reading;
    /// the slow-consumer policies of topics would apply only after those.
    pub unsent_bytes_max: u32,
    /// How long a peer may accept no byte of a response before the connection is aborted.
    ///
    /// 30 s: half of nginx's, because there is a minimum rate as well.
    pub write_stall_timeout: Duration,
    /// Bytes per second below which a response is aborted, once [`write_rate_grace`](Self::write_rate_grace) has
    /// passed.
    ///
    /// 240: Kestrel's. 0 turns this off.
    pub write_bytes_per_second_min: u64,
    /// How long a response may take before its rate is checked.
    ///
    /// The default is 60 s.
    pub write_rate_grace: Duration,
    /// How long a closing connection is still read, so that the peer can receive the last response.
    ///
    /// 5 s: nginx's `lingering_timeout`.
    pub linger_timeout: Duration,
    /// How long a graceful stop waits for connections before it aborts them.
    ///
    /// 30 s: actix-web's, and what Kubernetes waits before it kills a process.
    pub shutdown_timeout: Duration,
    /// Whether SIGTERM and SIGINT stop the server: the first gracefully, the second at once.
    ///
    /// On by default. A process can have one such server; a program that handles signals itself stops its server with
    /// [`BoundServer::stopper`](crate::BoundServer::stopper).
    pub stop_on_signals: bool,
    /// The most open connections of one shard; further ones wait in the kernel's backlog.
    ///
    /// 65,536: above the usual limit of open files, so that limit applies first until the operator raises both.
    pub connections_per_shard_max: usize,
    /// The most bytes of memory the process may hold; the watermarks are percentages of it.
    ///
    /// `None`, the default, takes the machine's memory. Limits of control groups apply as well. Counted are touched
    /// pages and granted bytes, but not pages of files. A start with less than 8 MiB and 14 MiB for each shard fails.
    pub memory_bytes_max: Option<u64>,
    /// The percentages of that memory at which shards close idle connections, refuse requests, and refuse memory.
    pub memory_watermarks: MemoryWatermarks,
    /// The proxies whose `X-Real-Ip`, `X-Forwarded-For`, `X-Scheme` and `X-Forwarded-Proto` are trusted (Tornado's
    /// `xheaders`).
    ///
    /// None by default, because any client can send these fields.
    pub trusted_proxies: Option<TrustedProxies>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            shards: None,
            driver: Driver::Auto,
            spin: Duration::ZERO,
            steer_by_cpu: false,
            balance: false,
            share_port: false,
            http1: http1::Limits::default(),
            websocket: websocket::Limits::default(),
            topics: TopicRules::default(),
            pubsub: pubsub::Limits::default(),
            histories: pubsub::LogLimits::default(),
            body_bytes_max: None,
            parameter_count_max: None,
            json_depth_max: None,
            cookie_count_max: None,
            unsent_bytes_max: 128 * 1024,
            write_stall_timeout: Duration::from_secs(30),
            write_bytes_per_second_min: 240,
            write_rate_grace: Duration::from_secs(60),
            linger_timeout: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(30),
            stop_on_signals: true,
            connections_per_shard_max: 65_536,
            memory_bytes_max: None,
            memory_watermarks: MemoryWatermarks::default(),
            trusted_proxies: None,
        }
    }
}

impl ServerConfig {
    pub(super) fn write_limits(&self) -> WriteLimits {
        WriteLimits {
            stall_timeout: self.write_stall_timeout,
            bytes_per_second_min: self.write_bytes_per_second_min,
            rate_grace: self.write_rate_grace,
        }
    }

    /// Returns an application's limits, replaced by those set here.
    pub(super) fn application_limits(&self, own: app::Limits) -> app::Limits {
        app::Limits {
            body_bytes_max: self.body_bytes_max.unwrap_or(own.body_bytes_max),
            parameter_count_max: self.parameter_count_max.unwrap_or(own.parameter_count_max),
            json_depth_max: self.json_depth_max.unwrap_or(own.json_depth_max),
            cookie_count_max: self.cookie_count_max.unwrap_or(own.cookie_count_max),
        }
    }
}

/// An address to listen on, as text or as a value.
///
/// As text: `127.0.0.1:8888`, `[::]:80`, `:8888` for every IPv4 address, `unix:/run/app.sock`, or `systemd` for the
/// sockets that the service manager passes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// A TCP address; with port 0 the kernel picks a free port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// The sockets that `LISTEN_FDS` announces.
    Systemd,
}

impl FromStr for ListenAddress {
    type Err = InvalidListenAddress;

    fn from_str(text: &str) -> Result<Self, InvalidListenAddress> {
        if text == "systemd" {
            return Ok(Self::Systemd);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err(InvalidListenAddress(text.to_owned()))
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        // Names are not resolved; `localhost` stands for 127.0.0.1.
        let spelled_out = match text.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => text.replacen("localhost:", "127.0.0.1:", 1),
        };
        spelled_out
            .parse()
            .map(Self::Tcp)
            .map_err(|_| InvalidListenAddress(text.to_owned()))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Systemd => formatter.write_str("systemd"),
        }
    }
}

/// The error of a listen address that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidListenAddress(String);

impl fmt::Display for InvalidListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "invalid listen address {:?}; expected 127.0.0.1:8888, [::1]:8888, :8888, unix:/path or systemd",
            self.0
        )
    }
}

impl std::error::Error for InvalidListenAddress {}

#[cfg(test)]
mod tests {
    use super::ListenAddress;

    #[test]
    fn every_form_of_address_is_parsed() {
        let tcp = |text: &str| ListenAddress::Tcp(text.parse().unwrap());
        for (text, expected) in [
            ("127.0.0.1:8888", tcp("127.0.0.1:8888")),
            ("[::1]:80", tcp("[::1]:80")),
            (":8888", tcp("0.0.0.0:8888")),
            ("localhost:0", tcp("127.0.0.1:0")),
            ("unix:/run/app.sock", ListenAddress::Unix("/run/app.sock".into())),
            ("systemd", ListenAddress::Systemd),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_error_quotes_the_invalid_address() {
        for text in ["", "8888", "127.0.0.1", "127.0.0.1:99999", "unix:", "example.org:80"] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
