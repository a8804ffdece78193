//! Every setting of a server, with its default and the reason for it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use squall_shards::Driver;

use super::watermarks::MemoryWatermarks;
use crate::app::{self, TrustedProxies};
use crate::http1;
use crate::pubsub::{self, TopicRules};
use crate::transport::progress::WriteLimits;
use crate::websocket;

/// The settings of a server. Limits are per connection unless they say otherwise.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Where to listen.
    pub listen: Vec<ListenAddress>,
    /// How many shards; `None` for as many as cores this process may really use.
    pub shards: Option<usize>,
    /// What drives the sockets.
    pub driver: Driver,
    /// How long a shard watches its ring before it sleeps. Off by default: it trades a core's time for latency.
    pub spin: Duration,
    /// Whether each new connection goes to the shard of the CPU that received it. Off by default: the kernel's hash spreads
    /// connections more evenly unless the network card's queues are spread over the CPUs.
    pub steer_by_cpu: bool,
    /// Whether new TCP connections go to the other shards while a shard has at least 512 and a third more than its share. Off by
    /// default: short connections would all go to the shards that have few long ones. In a second process on a shared port it does
    /// nothing.
    pub balance: bool,
    /// Whether another process may listen on the same TCP address, as two generations of a server do during a rolling restart. Off
    /// by default: a server started twice by mistake would get half of the connections each, without a word.
    pub share_port: bool,
    /// Bounds on requests.
    pub http1: http1::Limits,
    /// Bounds on WebSockets whose routes have none of their own.
    pub websocket: websocket::Limits,
    /// What holds for which topics.
    pub topics: TopicRules,
    /// Bounds on subscribers, and on what waits for them.
    pub pubsub: pubsub::Limits,
    /// Bounds on the histories of topics.
    pub histories: pubsub::LogLimits,
    /// [`Limits::body_bytes_max`](app::Limits::body_bytes_max), the largest content of a request. `None`, here and in the three below,
    /// leaves it to the application ([`Application::limits`](crate::Application::limits)).
    pub body_bytes_max: Option<u64>,
    /// [`Limits::parameter_count_max`](app::Limits::parameter_count_max), the most parameters of a query or a form.
    pub parameter_count_max: Option<usize>,
    /// [`Limits::json_depth_max`](app::Limits::json_depth_max), how deep JSON may be.
    pub json_depth_max: Option<usize>,
    /// [`Limits::cookie_count_max`](app::Limits::cookie_count_max), the most cookies of a request.
    pub cookie_count_max: Option<usize>,
    /// How many bytes the kernel takes for a connection beyond what is on its way to the peer. 128 KiB: what a fast peer is sent in one
    /// turn; the kernel's own bound is 4 MiB for each peer that stops reading, and topics' policies for slow subscribers would act
    /// on what comes behind those.
    pub unsent_bytes_max: u32,
    /// How long a peer may take nothing of a response. 30 s: half of nginx's, made up for by the minimum rate.
    pub write_stall_timeout: Duration,
    /// Bytes per second below which a response is given up once [`write_rate_grace`](Self::write_rate_grace) has passed; 0 turns the
    /// rule off. 240: Kestrel's.
    pub write_bytes_per_second_min: u64,
    /// How long a response may take before its rate is judged. 60 s.
    pub write_rate_grace: Duration,
    /// How long a closed connection is still read from, so that the peer can read the last response. 5 s: nginx's `lingering_timeout`.
    pub linger_timeout: Duration,
    /// How long a graceful stop waits for connections before it cuts them. 30 s: actix-web's, and what Kubernetes waits before it
    /// kills.
    pub shutdown_timeout: Duration,
    /// Whether SIGTERM and SIGINT stop the server; a second one at once. On by default. A process can have one such server; a
    /// program that handles signals itself stops it with [`BoundServer::stopper`](crate::BoundServer::stopper).
    pub stop_on_signals: bool,
    /// Most connections of one shard; beyond it new ones wait in the kernel's backlog. 65,536: more than the usual limit of open
    /// files lets a process have, so that limit decides until both are raised.
    pub connections_per_shard_max: usize,
    /// How much memory the process may hold, in bytes, for the watermarks to be measured by. `None`, the default, takes what the machine has. The
    /// limits of control groups hold as well. Counted is what is touched and what is granted; the pages of files are not. Less than 8 MiB
    /// and 14 MiB for each shard is an error of the start.
    pub memory_bytes_max: Option<u64>,
    /// At which shares of that memory shards close idle connections, refuse requests, and refuse memory.
    pub memory_watermarks: MemoryWatermarks,
    /// Proxies whose `X-Real-Ip`, `X-Forwarded-For`, `X-Scheme` and `X-Forwarded-Proto` are believed. None by default, because
    /// anybody can send these fields (Tornado's `xheaders`).
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

    /// An application's limits, with what is set here in their place.
    pub(super) fn application_limits(&self, own: app::Limits) -> app::Limits {
        app::Limits {
            body_bytes_max: self.body_bytes_max.unwrap_or(own.body_bytes_max),
            parameter_count_max: self.parameter_count_max.unwrap_or(own.parameter_count_max),
            json_depth_max: self.json_depth_max.unwrap_or(own.json_depth_max),
            cookie_count_max: self.cookie_count_max.unwrap_or(own.cookie_count_max),
        }
    }
}

/// Where a server listens: `127.0.0.1:8888`, `[::]:80`, `:8888` for every IPv4 address, `unix:/run/app.sock`, or `systemd` for the
/// sockets handed over by the service manager.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// A TCP address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A Unix socket at a path.
    Unix(PathBuf),
    /// The sockets in `LISTEN_FDS`.
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

/// An address to listen on was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidListenAddress(String);

impl fmt::Display for InvalidListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:?} is no address to listen on: an IP address and a port up to 65535, a path or a word are; write 127.0.0.1:8888, [::1]:8888, :8888, unix:/path or systemd",
            self.0
        )
    }
}

impl std::error::Error for InvalidListenAddress {}

#[cfg(test)]
mod tests {
    use super::ListenAddress;

    #[test]
    fn every_form_of_address_is_understood() {
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
    fn what_is_no_address_is_named_in_the_error() {
        for text in ["", "8888", "127.0.0.1", "127.0.0.1:99999", "unix:", "example.org:80"] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
