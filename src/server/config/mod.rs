//! The settings of a server: its own, and those of the protocols below it.

pub(in crate::server) mod check;
pub(in crate::server) mod options;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use squall_shards::Driver;

use super::access_log::AccessLogSettings;
use super::memory::watermarks::MemoryWatermarks;
#[cfg(feature = "rustls")]
use super::tls::builder::Tls;
use super::tls::settings::TlsSettings;
use crate::app::{self, TrustedProxies};
use crate::http1;
use crate::http2;
use crate::message::parse_digits;
use crate::pubsub::{self, TopicRules};
use crate::settings::{Bytes, Count, Kind, PositiveBytes, PositiveCount, PositiveTime, Switch, Time, settings};
use crate::transport::progress::WriteLimits;
use crate::websocket;

/// The settings of a server.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct ServerConfig {
    pub(in crate::server) listen: Vec<Listen>,
    pub(in crate::server) own: OwnSettings,
    /// The flags of TLS.
    pub(in crate::server) tls_flags: TlsSettings,
    /// What [`Server::tls`](crate::Server::tls) asks for, in place of the flags.
    #[cfg(feature = "rustls")]
    pub(in crate::server) tls: Option<Tls>,
    pub(in crate::server) http1: http1::Limits,
    pub(in crate::server) http2: http2::Settings,
    /// For WebSockets whose routes set none of their own.
    pub(in crate::server) websocket: websocket::Limits,
    pub(in crate::server) topics: TopicRules,
    pub(in crate::server) pubsub: pubsub::Limits,
    pub(in crate::server) histories: pubsub::LogLimits,
    pub(in crate::server) write: WriteLimits,
    pub(in crate::server) access_log: AccessLogSettings,
    /// The limits of the application that flags replace.
    pub(in crate::server) application: Vec<Given<app::Limits>>,
}

/// A setting that a flag gave, and its text.
pub(in crate::server) type Given<S> = (fn(&mut S, &str) -> Result<(), String>, String);

settings! {
    /// What a server sets beside its protocols.
    ///
    /// A limit is for each connection unless its text says otherwise.
    #[derive(Debug, Clone)]
    pub(in crate::server) struct OwnSettings, set by own_setters through own {
        /// Starts this many shards; by default one for each core this process may use.
        [Count] shards: usize,
        /// Drives the sockets with io_uring or epoll; auto uses epoll where the kernel refuses io_uring.
        [Name] driver: Driver = Driver::Auto,
        /// Polls for this long before a shard sleeps; 50us halves the latency of a lightly loaded server and keeps its
        /// cores busy.
        ///
        /// Off by default: it trades a core's time for latency.
        [Time] spin: Duration = Duration::ZERO,
        /// Assigns each new connection to the shard of the CPU that received it.
        ///
        /// Off by default: the kernel's hash distributes connections more evenly, unless the network card's queues are
        /// distributed over the CPUs.
        [Switch] steer_by_cpu: bool = false,
        /// Leads new connections away from a shard that has at least 512 and a third more than its share.
        ///
        /// Off by default: short connections would all go to the shards that have few long ones. In a second process on
        /// a shared port it has no effect.
        [Switch] balance: bool = false,
        /// Lets another process with this flag listen on the same TCP address, for a rolling restart.
        ///
        /// Off by default: a server that an operator starts twice by mistake would share its connections silently.
        [Switch] share_port: bool = false,
        /// Gives Unix sockets these permissions, in octal; a client needs the permission to write.
        ///
        /// 0600: only processes of the server's user connect. 0660 lets a proxy in the socket's group connect as well.
        [Mode] unix_socket_mode: u32 = 0o600,
        /// Most open connections for each shard; further ones wait in the kernel's backlog.
        ///
        /// 65,536: above the usual limit of open files, so that limit applies first until the operator raises both.
        [PositiveCount] max_connections: usize = 65_536,
        /// Most bytes of memory the process may hold; limits of control groups apply as well; by default the machine's
        /// memory.
        ///
        /// The watermarks are percentages of it. Counted are touched pages and granted bytes, but not pages of files. A
        /// start with less than 8 MiB and 14 MiB for each shard fails.
        [PositiveBytes] max_memory_bytes: u64,
        /// Percentages of the available memory at which a shard closes idle connections early, closes connections after a
        /// response, answers 503, and refuses memory.
        [List] memory_watermarks: MemoryWatermarks = MemoryWatermarks::default(),
        /// Most unsent bytes the kernel buffers for each TCP connection; further output waits in the server.
        ///
        /// Bytes on their way to the peer do not count. 128 KiB: what a fast peer is sent in one turn. The kernel's own
        /// bound is 4 MiB for each peer that stops reading; the slow-consumer policies of topics would apply only after
        /// those. At least 1: the kernel takes 0 for its own bound.
        [PositiveBytes] max_unsent_bytes: u32 = 128 * 1024,
        /// Most bytes of static files that each shard keeps in memory; with 0 it reads them for each request.
        ///
        /// 8 MiB: the pages, styles and scripts of a site. The shard asks the kernel for each request whether the file has
        /// changed. Less used files leave first.
        [Bytes] max_file_cache_bytes: u64 = 8 * 1024 * 1024,
        /// Largest static file that is kept in memory; larger ones are read piece by piece for each response.
        ///
        /// 1 MiB: seven of them fit. A file beyond 64 KiB is kept from its second request on, in pages that sockets take
        /// without a copy.
        [Bytes] max_cached_file_bytes: u64 = 1024 * 1024,
        /// Longest time from the accept of a TLS connection to the end of its handshake.
        ///
        /// 10 s: as long as --header-timeout. Nothing that trickles in extends it.
        [PositiveTime] handshake_timeout: Duration = Duration::from_secs(10),
        /// Longest time to read from a closing connection, so that the peer can receive the last response.
        ///
        /// 5 s: nginx's `lingering_timeout`.
        [Time] linger_timeout: Duration = Duration::from_secs(5),
        /// Longest wait for open connections at a graceful stop (SIGTERM, SIGINT); then the server aborts them.
        ///
        /// 30 s: actix-web's, and what Kubernetes waits before it kills a process.
        [Time] shutdown_timeout: Duration = Duration::from_secs(30),
        /// Speaks HTTP/1 alone; by default a client may choose HTTP/2, with TLS in the handshake, else by its preface.
        ///
        /// A client that begins with the preface is then answered 505.
        [Switch] no_http2: bool = false,
        /// Stops the server on SIGTERM and SIGINT: the first gracefully, the second at once.
        ///
        /// On by default. A process can have one such server; a program that handles signals itself stops its server
        /// with [`BoundServer::stopper`](crate::BoundServer::stopper).
        stop_on_signals: bool = true,
        /// Shows the causes of errors, the request and the route on error pages; for development only.
        ///
        /// Off by default: every client would see them. Values of cookies and credentials are left out.
        [Switch] debug: bool = false,
        /// Redirects each request over plain HTTP to HTTPS, on the port of the first https:// address.
        ///
        /// Off by default. With --acme-challenge-dir, challenges are answered all the same.
        [Switch] redirect_to_https: bool = false,
        /// Answers the challenges of an authority for certificates (ACME) with the files of this directory.
        ///
        /// A tool such as certbot writes them: --webroot. They precede the application, with all its middleware.
        [Directory] acme_challenge_dir: PathBuf,
        /// Expects the PROXY protocol, version 1 or 2, at the beginning of each connection from --trusted-proxies.
        ///
        /// The client in it is the peer that the application sees. Connections of other peers are clients themselves.
        [Switch] proxy_protocol: bool = false,
        /// Rebuilds and restarts the program when its sources change, and shows compile errors in the browser; for
        /// development only.
        ///
        /// Off by default. It needs the feature `reload`. The process becomes a supervisor, which holds the addresses and
        /// starts the program again, with the same arguments, for each version. So [`Server::run`](crate::Server::run)
        /// returns when the supervisor stops, and the application runs in another process.
        [Switch] reload: bool = false,
        /// Rebuilds with this command, which a shell runs, in place of cargo build for the package, target and profile of
        /// this program.
        ///
        /// Name one for a program with features: they leave no trace in it.
        [Text] reload_command: String,
        /// Reads template files anew for each page; for development only.
        ///
        /// Off by default. It needs the feature `reload`. The files are those that pages name, in the folder `templates` or in
        /// the one that the application names. A change of a template then needs no rebuild.
        [Switch] autoreload_templates: bool = false,
        /// Trusts X-Real-Ip, X-Forwarded-For, X-Scheme and X-Forwarded-Proto from these addresses, networks or unix,
        /// separated by commas.
        ///
        /// It is Tornado's `xheaders`. None by default, because any client can send these fields.
        [List] trusted_proxies: TrustedProxies,
    }
}

/// A word.
enum Name {}

impl Kind<Driver> for Name {
    const VALUE_NAME: Option<&'static str> = Some("NAME");

    fn read(text: &str) -> Result<Driver, String> {
        text.parse().map_err(|error| format!("{error}"))
    }

    fn show(value: &Driver) -> String {
        value.to_string()
    }
}

/// Any text.
enum Text {}

impl Kind<String> for Text {
    const VALUE_NAME: Option<&'static str> = Some("COMMAND");

    fn read(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }
}

/// Words with commas between them.
enum List {}

impl Kind<MemoryWatermarks> for List {
    const VALUE_NAME: Option<&'static str> = Some("LIST");

    fn read(text: &str) -> Result<MemoryWatermarks, String> {
        text.parse().map_err(|error| format!("{error}"))
    }

    fn show(value: &MemoryWatermarks) -> String {
        value.to_string()
    }

    fn flaw(value: &MemoryWatermarks) -> Option<String> {
        let why = if !value.are_ascending() {
            "must be four percentages in ascending order, at most 100"
        } else if value.refuse_requests == 0 {
            "must have a third percentage of more than 0, or the server would reject every request"
        } else {
            return None;
        };
        Some(why.to_owned())
    }
}

impl Kind<TrustedProxies> for List {
    const VALUE_NAME: Option<&'static str> = Some("LIST");

    fn read(text: &str) -> Result<TrustedProxies, String> {
        text.parse().map_err(|error| format!("{error}"))
    }
}

/// The path of a directory.
enum Directory {}

impl Kind<PathBuf> for Directory {
    const VALUE_NAME: Option<&'static str> = Some("DIR");

    fn read(text: &str) -> Result<PathBuf, String> {
        Ok(text.into())
    }
}

/// The permissions of a file, in octal.
enum Mode {}

impl Kind<u32> for Mode {
    const VALUE_NAME: Option<&'static str> = Some("MODE");

    fn read(text: &str) -> Result<u32, String> {
        u32::from_str_radix(text, 8).map_err(|_| format!("invalid mode {text:?}; write 0600, 0660 or 0666"))
    }

    fn show(value: &u32) -> String {
        format!("{value:04o}")
    }

    fn flaw(value: &u32) -> Option<String> {
        (*value > 0o777).then(|| "must be at most 0777: the permissions of owner, group and others".to_owned())
    }
}

impl ServerConfig {
    /// Returns whether code or flags give the server a certificate.
    #[cfg(feature = "rustls")]
    pub(in crate::server) fn has_certificate(&self) -> bool {
        self.tls.is_some() || self.tls_flags.tls_cert.is_some() || self.tls_flags.tls_self_signed
    }

    /// Returns false: without the feature a server has no certificate.
    #[cfg(not(feature = "rustls"))]
    #[expect(clippy::unused_self, reason = "with the feature, it reads the settings")]
    pub(in crate::server) const fn has_certificate(&self) -> bool {
        false
    }

    /// Returns the limits of HTTP/2: its own, and those that it shares with HTTP/1.
    pub(in crate::server) fn http2_limits(&self) -> http2::Limits {
        let shared = &self.http1;
        http2::Limits {
            max_header_bytes: shared.max_header_bytes,
            max_header_count: shared.max_header_count,
            max_header_name_bytes: shared.max_header_name_bytes,
            max_target_bytes: shared.max_target_bytes,
            max_trailer_bytes: shared.max_trailer_bytes,
            max_trailer_count: shared.max_trailer_count,
            header_timeout: shared.header_timeout,
            idle_timeout: shared.idle_timeout,
            body_timeout: shared.body_timeout,
            min_body_rate: shared.min_body_rate,
            body_rate_grace: shared.body_rate_grace,
            max_block_bytes: shared.max_header_bytes.saturating_mul(2),
            ..http2::Limits::from(&self.http2)
        }
    }

    /// Returns an application's limits, replaced by those that flags gave.
    ///
    /// # Errors
    ///
    /// The text of a flag cannot be read.
    pub(in crate::server) fn application_limits(&self, mut limits: app::Limits) -> Result<app::Limits, String> {
        self.application
            .iter()
            .try_for_each(|(read, text)| read(&mut limits, text))?;
        Ok(limits)
    }
}

/// An address to listen on, and what is spoken there.
///
/// As text: an address, behind `http://` or `https://` if one of them is meant in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct Listen {
    pub(in crate::server) scheme: Option<Scheme>,
    pub(in crate::server) address: ListenAddress,
}

/// What is spoken on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Scheme {
    Http,
    Https,
}

impl FromStr for Listen {
    type Err = InvalidListenAddress;

    fn from_str(text: &str) -> Result<Self, InvalidListenAddress> {
        let (scheme, address) = if let Some(address) = text.strip_prefix("https://") {
            (Some(Scheme::Https), address)
        } else if let Some(address) = text.strip_prefix("http://") {
            (Some(Scheme::Http), address)
        } else {
            (None, text)
        };
        let address = address.parse()?;
        Ok(Self { scheme, address })
    }
}

/// An address to listen on, as text or as a value.
///
/// As text: `127.0.0.1:8888`, `[::]:80`, `:8888` for every IPv4 address, `unix:/run/app.sock`, or `systemd` for the
/// sockets that the service manager passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) enum ListenAddress {
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
pub(in crate::server) struct InvalidListenAddress(String);

impl fmt::Display for InvalidListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        if let Some((name, port)) = text.rsplit_once(':')
            && is_host_name(name)
            && is_port(port)
        {
            return write!(
                formatter,
                "could not resolve {name:?}: a server listens on addresses, not on names; give the IP address, or \
                 :{port} for every address"
            );
        }
        write!(formatter, "could not read the listen address {text:?}: ")?;
        match cure(text) {
            Some((why, instead)) => write!(formatter, "{why}; give {instead}"),
            None => formatter.write_str(
                "its form is unknown; give 127.0.0.1:8888, [::1]:8888, :8888, https://127.0.0.1:8443, unix:/path or \
                 systemd",
            ),
        }
    }
}

/// Returns what is wrong with an address that cannot be read, and what was probably meant.
fn cure(text: &str) -> Option<(&'static str, String)> {
    const NO_PORT: &str = "the port is missing";
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    if text == "unix" || text == "unix:" {
        Some(("the path is missing", "unix:/run/app.sock".to_owned()))
    } else if text.starts_with('/') || text.starts_with("./") {
        Some(("a path is a Unix socket", format!("unix:{text}")))
    } else if let Some(address) = text.strip_suffix('/') {
        Some(("an address to listen on has no path", address.to_owned()))
    } else if is_port(text) {
        Some((
            "the address is missing",
            format!(":{text} for every IPv4 address, or 127.0.0.1:{text}"),
        ))
    } else if text.parse::<Ipv6Addr>().is_ok() {
        Some((NO_PORT, format!("[{text}]:8888; an IPv6 address stands in brackets")))
    } else if text == "localhost" || text.parse::<Ipv4Addr>().is_ok() || is_bracketed(text) {
        Some((NO_PORT, format!("{text}:8888")))
    } else if host == "*" && is_port(port) {
        Some((
            "an asterisk cannot be bound",
            format!(":{port} for every IPv4 address, or [::]:{port} for every IPv6 address"),
        ))
    } else if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && !is_port(port) {
        Some(("the port is too large", "one up to 65535".to_owned()))
    } else if is_host_name(text) {
        Some((
            "a server listens on addresses, not on names",
            "the IP address with a port, or :8888 for every address".to_owned(),
        ))
    } else {
        None
    }
}

fn is_port(text: &str) -> bool {
    parse_digits::<u16>(text.as_bytes()).is_some()
}

/// Whether a text is an IPv6 address in brackets.
fn is_bracketed(text: &str) -> bool {
    let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

impl std::error::Error for InvalidListenAddress {}

/// Whether a text could be the name of a host: it has a letter, and letters, digits, dots and hyphens only.
fn is_host_name(text: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    text.bytes().all(is_name_byte) && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::{Listen, ListenAddress, Scheme};

    #[test]
    fn an_address_may_have_a_scheme() {
        for (text, scheme) in [
            ("https://:443", Some(Scheme::Https)),
            ("http://:443", Some(Scheme::Http)),
            (":443", None),
        ] {
            let address = ListenAddress::Tcp("0.0.0.0:443".parse().unwrap());
            assert_eq!(text.parse(), Ok(Listen { scheme, address }), "{text}");
        }
        "ftp://:21".parse::<Listen>().unwrap_err();
    }

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
    fn the_error_quotes_the_invalid_address_and_names_what_was_probably_meant() {
        for (text, instead) in [
            ("", "127.0.0.1:8888, [::1]:8888"),
            ("8888", "give :8888 for every IPv4 address"),
            ("localhost", "the port is missing; give localhost:8888"),
            ("127.0.0.1", "the port is missing; give 127.0.0.1:8888"),
            ("::1", "give [::1]:8888; an IPv6 address stands in brackets"),
            ("[::1]", "the port is missing; give [::1]:8888"),
            ("*:80", "give :80 for every IPv4 address, or [::]:80"),
            ("127.0.0.1:99999", "the port is too large; give one up to 65535"),
            ("localhost:8888/", "give localhost:8888"),
            ("unix:", "the path is missing; give unix:/run/app.sock"),
            ("/run/app.sock", "give unix:/run/app.sock"),
            ("example.org", "not on names; give the IP address with a port"),
            ("127.0.0.1:http", "127.0.0.1:8888, [::1]:8888"),
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err().to_string();
            let quoted = format!("could not read the listen address {text:?}: ");
            assert!(error.starts_with(&quoted) && error.contains(instead), "{error}");
        }
    }

    #[test]
    fn the_error_of_a_host_name_says_that_names_are_not_resolved() {
        for (text, start) in [
            ("example.org:80", "could not resolve \"example.org\": "),
            ("web-1:8080", "could not resolve \"web-1\": "),
            ("1.2.3:80", "could not read the listen address \"1.2.3:80\": "),
            (
                "example.org:99999",
                "could not read the listen address \"example.org:99999\": ",
            ),
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err().to_string();
            assert!(error.starts_with(start), "{error}");
        }
    }
}
