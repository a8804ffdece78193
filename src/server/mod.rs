//! The server: bind, start shards, serve, drain; this file reads in that order.
//!
//! A connection's path: [`accept`] accepts it, and [`http1`] reads its requests one after another, runs the application
//! for each and writes the response. It hands the connection to [`websocket`] after a 101, and to [`http2`] at that
//! protocol's preface. [`broadcast`] carries published messages between shards, [`files`] reads static files, and
//! [`access_log`] logs requests. [`shard`] holds what the connections of one shard share. [`memory`] acts when memory is
//! short. [`tls`] has certificates, and the handshakes before HTTP.

mod accept;
mod accepted;
mod access_log;
mod bind;
mod broadcast;
mod config;
mod configured;
mod drain;
mod ending;
mod files;
mod http1;
mod http2;
#[cfg(feature = "testing")]
mod in_process;
mod memory;
mod operator_log;
mod owner_shards;
mod proxied;
#[cfg(feature = "reload")]
mod reload;
mod runtime;
mod serve;
mod setters;
mod setup_error;
mod shard;
mod state;
#[cfg(feature = "reload")]
mod supervise;
mod temporary_file;
mod tls;
mod websocket;

use std::fmt;
use std::hash::RandomState;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use squall_shards::{Builder, Mesh, Reloader, Shard, ShardId, Shards, Stopper, spawn_detached, spawn_local};

pub use access_log::{AccessLogFormat, InvalidAccessLogFormat};
pub use broadcast::{OutsidePublish, OutsidePublishConfirmed, Publisher, Subscription, TopicEvent};
pub use config::options::Options;
#[cfg(feature = "testing")]
pub(crate) use in_process::InProcess;
pub use memory::watermarks::{InvalidWatermarks, MemoryWatermarks};
pub use state::ServerRemote;
#[cfg(feature = "rustls")]
pub use tls::builder::Tls;

use crate::app::{Application, catch_build, parse_pattern};
use crate::error::{Error, Result};
use crate::pubsub::TopicOptions;
use access_log::{AccessLogWriter, LineSender, RequestLog};
use bind::Bound;
use broadcast::{BROADCAST_QUEUE_MESSAGES_MAX, ShardMessage};
use config::{OwnSettings, ServerConfig};
use files::ShardFiles;
use memory::pressure::Budget;
use owner_shards::ShardOwners;
use shard::ShardServer;
#[cfg(feature = "rustls")]
use tls::policies::{Policies, PolicySource};
#[cfg(feature = "rustls")]
use tls::reload::CertificateReload;
#[cfg(feature = "rustls")]
use tls::shard::ShardTls;

/// Builds the application of one shard, on that shard.
type Factory = Arc<dyn Fn() -> Application + Send + Sync>;

/// A server that runs an application on every core.
///
/// ```no_run
/// use squall::prelude::*;
///
/// async fn hello(_cx: &mut Context) -> &'static str {
///     "Hello, Squall!"
/// }
///
/// fn main() -> Result {
///     Server::new(|| Application::new().get("/", hello)).listen("127.0.0.1:8888").run()
/// }
/// ```
#[must_use = "a server does nothing until `run` or `bind` is called"]
pub struct Server {
    factory: Factory,
    config: ServerConfig,
    /// The first invalid setting; [`Server::bind`] returns it, so that setters need no `?`.
    invalid: Option<Error>,
}

impl Server {
    /// Creates a server that calls `factory` once on each shard.
    ///
    /// The application stays on its shard, so its state may be `Rc` and `Cell` and needs no lock.
    pub fn new(factory: impl Fn() -> Application + Send + Sync + 'static) -> Self {
        Self {
            factory: Arc::new(factory),
            config: ServerConfig::default(),
            invalid: None,
        }
    }

    /// Creates a server whose settings come from the command line (Tornado's `options`); `--help` lists them.
    ///
    /// It listens on `127.0.0.1:8888` unless `--listen` says otherwise, and logs to standard error. It ends the process
    /// on `--help` and on invalid arguments, after it has printed what is wrong. Setters called afterwards override
    /// flags. [`listen`](Self::listen) instead adds an address to those of the flags.
    pub fn from_args(factory: impl Fn() -> Application + Send + Sync + 'static) -> Self {
        Self::from_options(Options::from_command_line(), factory)
    }

    /// Creates a server whose settings are part of the application's own command line.
    ///
    /// [`Options`] shows how. Otherwise it does what [`from_args`](Self::from_args) does.
    pub fn from_options(options: Options, factory: impl Fn() -> Application + Send + Sync + 'static) -> Self {
        Self {
            config: options.start(),
            ..Self::new(factory)
        }
    }

    /// Adds a listen address: `127.0.0.1:8888`, `:8888`, `[::]:80`, `unix:/run/app.sock` or `systemd`.
    ///
    /// Behind `https://` the address speaks TLS, behind `http://` it does not. An address without either speaks TLS if the
    /// server has a certificate; a Unix socket then stays plain.
    ///
    /// [`run`](Self::run) and [`bind`](Self::bind) return an error if the address cannot be parsed.
    pub fn listen(mut self, address: impl AsRef<str>) -> Self {
        match address.as_ref().parse() {
            Ok(address) => self.config.listen.push(address),
            Err(error) => self.invalid = self.invalid.or_else(|| Some(Error::from(error))),
        }
        self
    }

    /// Gives the server certificates, so that it speaks TLS on `https://` addresses and on those without a scheme.
    ///
    /// It replaces the flags of certificates, such as `--tls-cert`, `--tls-client-ca` and `--strict-sni`.
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.config.tls = Some(tls);
        self
    }

    /// Sets the options of the topics that match a pattern, on all shards.
    ///
    /// The options are the policy for slow subscribers, the history and the envelope. Of several patterns that match a
    /// topic the one added first applies. [`run`](Self::run) and [`bind`](Self::bind) return an error if a pattern or
    /// its options are invalid, or if an earlier pattern matches all of its topics.
    ///
    /// ```
    /// use squall::prelude::*;
    /// use squall::pubsub::Envelope;
    ///
    /// let server = Server::new(Application::new)
    ///     .topic("rooms/*", TopicOptions::default().history(HistoryLimits::default()).envelope(Envelope::Json))
    ///     .topic("prices/**", TopicOptions::default().slow_consumer(SlowConsumer::Conflate));
    /// ```
    pub fn topic(mut self, pattern: &str, options: TopicOptions) -> Self {
        let rules = std::mem::take(&mut self.config.topics);
        let named = |error| Error::new(format!("could not add the rule for the topics `{pattern}`: {error}"));
        let added = parse_pattern(pattern).and_then(|parsed| rules.with(parsed, options).map_err(named));
        match added {
            Ok(rules) => self.config.topics = rules,
            Err(error) => self.invalid = self.invalid.or(Some(error)),
        }
        self
    }

    /// Binds, starts a shard on every core, and serves until SIGTERM, SIGINT or a [`Stopper`] stops the server.
    ///
    /// The first signal stops gracefully: the server accepts only connections that already wait, finishes requests, and
    /// closes idle connections. A second signal, or the shutdown timeout, stops it at once.
    ///
    /// # Errors
    ///
    /// A setting is invalid, an address cannot be bound, the machine lacks what a shard needs, or the application
    /// cannot be built. The error says in one sentence what to change.
    pub fn run(self) -> Result {
        #[cfg(feature = "reload")]
        if self.config.own.reload && !reload::is_supervised() {
            return self.supervise();
        }
        self.bind()?.run()
    }

    /// Binds the addresses without serving yet.
    ///
    /// Use it to read the port that the kernel picked for port 0, or to keep a handle that stops the server.
    ///
    /// # Errors
    ///
    /// A setting is invalid, an address cannot be bound, or the machine lacks what a shard needs.
    pub fn bind(self) -> Result<BoundServer> {
        #[cfg(feature = "reload")]
        if self.config.own.reload && !reload::is_supervised() {
            return Err(Error::new(
                "could not bind the addresses: with --reload a supervisor holds them; call `Server::run`",
            ));
        }
        self.prepare()?.with_addresses()
    }

    /// Starts the server on threads of its own, for connections made inside the process; it binds no address.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind) and [`BoundServer::run`].
    #[cfg(feature = "testing")]
    pub(crate) fn start_in_process(mut self) -> Result<InProcess> {
        self.config.listen.clear();
        self.config.own.reload = false;
        // Signals belong to the process of the tests.
        self.config.own.stop_on_signals = false;
        let mut bound = self.prepare()?;
        let handles = in_process::Handles {
            remote: bound.remote(),
            publisher: bound.publisher(),
            stopper: bound.stopper(),
            shards: bound.shards.count(),
        };
        InProcess::start(handles, move |reports| {
            bound.in_process = Some(reports);
            bound.run()
        })
    }

    /// Checks the settings, and binds the addresses if there are any.
    fn prepare(self) -> Result<BoundServer> {
        if let Some(invalid) = self.invalid {
            return Err(invalid);
        }
        let config = &self.config;
        config.check()?;
        #[cfg(feature = "rustls")]
        let source = PolicySource::of(config)?.map(Arc::new);
        #[cfg(feature = "rustls")]
        let policies = source
            .as_ref()
            .map(|source| source.read_at_start())
            .transpose()?
            .map(Arc::new);
        let mut builder = Builder::new()
            .driver(config.own.driver)
            .spin(config.own.spin)
            .balance(config.own.balance)
            .stop_on_signals(config.own.stop_on_signals)
            .graceful_stop_max(config.own.shutdown_timeout)
            .default_shards_max(memory::pressure::default_shards_max(config));
        if let Some(count) = config.own.shards {
            builder = builder.shards(count);
        }
        #[cfg_attr(
            not(feature = "rustls"),
            expect(unused_mut, reason = "only certificates are reloaded")
        )]
        let mut shards = builder.build()?;
        #[cfg(feature = "rustls")]
        if let Some(source) = source {
            let remote = shards.remote();
            shards.reload(CertificateReload { source, remote });
        }
        let count = NonZeroUsize::new(shards.count()).unwrap_or(NonZeroUsize::MIN);
        // Refuse a start without memory before a port is bound.
        let budget = Budget::open(config, count)?;
        let access_log = config.access_log.access_log.as_deref();
        let access_log = access_log.map(AccessLogWriter::start).transpose()?;
        let listeners = bind::bind_all(config, &shards)?;
        let mut config = self.config;
        // The memory for topics is divided by the number of shards, which is known only now.
        memory::pressure::bound_topics(&mut config, count);
        Ok(BoundServer {
            factory: self.factory,
            config,
            budget,
            access_log,
            mesh: shards.mesh(BROADCAST_QUEUE_MESSAGES_MAX),
            shards,
            listeners,
            is_announced: true,
            #[cfg(feature = "rustls")]
            policies,
            #[cfg(feature = "testing")]
            in_process: None,
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A server that listens and does not serve yet.
///
/// New connections wait in the kernel's backlog until [`run`](Self::run).
#[must_use = "a bound server serves only after `run` is called"]
pub struct BoundServer {
    factory: Factory,
    config: ServerConfig,
    shards: Shards,
    listeners: Vec<Bound>,
    mesh: Mesh<ShardMessage>,
    /// `None` if the kernel does not report how much memory the process holds.
    budget: Option<Arc<Budget>>,
    /// Whether the operator reads of the addresses.
    is_announced: bool,
    access_log: Option<AccessLogWriter>,
    /// The policies of TLS.
    #[cfg(feature = "rustls")]
    policies: Option<Arc<Policies>>,
    /// Set if a test client makes the connections.
    #[cfg(feature = "testing")]
    in_process: Option<in_process::Reports>,
}

impl BoundServer {
    /// Returns the server if it has an address.
    fn with_addresses(self) -> Result<Self> {
        if self.listeners.is_empty() {
            return Err(Error::new(
                "could not start the server: it has no listen address; add .listen(\"127.0.0.1:8888\")",
            ));
        }
        Ok(self)
    }

    /// Returns the bound TCP addresses, with the ports that the kernel picked for port 0.
    pub fn addresses(&self) -> impl Iterator<Item = std::net::SocketAddr> {
        self.listeners.iter().filter_map(|bound| bound.listeners.tcp_address())
    }

    /// Returns the first bound TCP address, with the port that the kernel picked for port 0.
    ///
    /// # Errors
    ///
    /// The server listens on no TCP address.
    pub fn local_addr(&self) -> Result<std::net::SocketAddr> {
        self.addresses().next().ok_or_else(|| {
            Error::new(
                "could not return the address: the server listens on no TCP address; add .listen(\"127.0.0.1:0\")",
            )
        })
    }

    /// Returns a handle that stops the server from any thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.shards.stopper()
    }

    /// Returns a handle that reloads certificates from any thread, as SIGHUP does.
    ///
    /// All files are read and checked before anything is replaced. Connections go on, and new ones get what is new.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.shards.reloader()
    }

    /// Returns a handle that runs closures on the shards from any thread, with their state or without.
    #[must_use]
    pub fn remote(&self) -> ServerRemote {
        ServerRemote::new(self.shards.remote())
    }

    /// Returns a handle that publishes to topics from any thread, or from a background task of a shard.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        Publisher::new(&self.mesh, self.config.topics.clone(), self.budget.clone())
    }

    /// Serves until a signal or a [`Stopper`] stops the server.
    ///
    /// # Errors
    ///
    /// A shard cannot start, the application cannot be built, or a shard ended with an error.
    pub fn run(self) -> Result {
        let Self {
            factory,
            config,
            shards,
            listeners,
            mesh,
            budget,
            is_announced,
            access_log,
            #[cfg(feature = "rustls")]
            policies,
            #[cfg(feature = "testing")]
            in_process,
        } = self;
        #[cfg(feature = "reload")]
        if config.own.reload && reload::is_supervised() {
            reload::stop_with_supervisor(shards.stopper())?;
        }
        let hashers = [RandomState::new(), RandomState::new()];
        let lines = access_log.as_ref().map(AccessLogWriter::sender);
        let addresses: Vec<String> = listeners.iter().map(ToString::to_string).collect();
        let https_port = listeners.iter().find_map(Bound::https_port);
        let announcement = Announcement {
            addresses: addresses.join(", "),
            shards: shards.count(),
            driver: shards.driver().to_string(),
        };
        if let Some(refusal) = shards.io_uring_refusal() {
            operator_log::uses_epoll(&refusal.to_string());
        }
        // Without a listener, inside a test, there is nothing to announce.
        let is_announced = is_announced && !listeners.is_empty();
        let is_announced = move |shard: &Shard| shard.id() == ShardId::FIRST && is_announced;
        let ended = shards.run(move |shard| {
            let setup = ShardSetup {
                factory: Arc::clone(&factory),
                config: config.clone(),
                listeners: listeners.clone(),
                mesh: mesh.clone(),
                budget: budget.clone(),
                lines: lines.clone(),
                hashers: hashers.clone(),
                #[cfg(feature = "rustls")]
                policies: policies.clone(),
                https_port,
                announcement: is_announced(&shard).then(|| announcement.clone()),
                #[cfg(feature = "testing")]
                in_process: in_process.clone(),
            };
            async move { serve(shard, setup).await.map_err(Into::into) }
        });
        if let Some(access_log) = access_log {
            access_log.end();
        }
        ended.map_err(setup_error::shards_error)?;
        operator_log::stopped();
        Ok(())
    }
}

impl fmt::Debug for BoundServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BoundServer")
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

/// What one shard receives to become a server.
struct ShardSetup {
    factory: Factory,
    config: ServerConfig,
    listeners: Vec<Bound>,
    mesh: Mesh<ShardMessage>,
    budget: Option<Arc<Budget>>,
    /// The way to the access log, if there is one.
    lines: Option<LineSender>,
    /// The hashers of what rate limits count.
    hashers: [RandomState; 2],
    #[cfg(feature = "rustls")]
    policies: Option<Arc<Policies>>,
    /// The port of the first address that speaks TLS.
    https_port: Option<u16>,
    /// What the first shard announces once it listens; `None` on the others.
    announcement: Option<Announcement>,
    /// Set if a test client makes the connections.
    #[cfg(feature = "testing")]
    in_process: Option<in_process::Reports>,
}

/// Where a server listens.
#[derive(Clone)]
struct Announcement {
    addresses: String,
    shards: usize,
    driver: String,
}

impl Announcement {
    /// Tells the operator and the supervisor that the server listens.
    fn announce(&self, settings: &OwnSettings) -> Result {
        operator_log::listening(&self.addresses, self.shards, &self.driver);
        #[cfg(feature = "reload")]
        if settings.reload && reload::is_supervised() {
            reload::report_listening()?;
        }
        if settings.debug {
            operator_log::shows_errors();
        }
        Ok(())
    }
}

/// Serves on one shard, from building the application to the end of the drain.
async fn serve(shard: Shard, setup: ShardSetup) -> Result {
    let ShardSetup {
        factory,
        config,
        listeners,
        mesh,
        budget,
        lines,
        hashers,
        #[cfg(feature = "rustls")]
        policies,
        https_port,
        announcement,
        #[cfg(feature = "testing")]
        in_process,
    } = setup;
    let built = catch_build(|| configured::configured(factory(), &config.own, https_port).build());
    let app = built.map_err(|panicked| Error::new(setup_error::SetupError(panicked)))??;
    // Limits of the command line replace the application's own.
    let limits = config.application_limits(app.shared().limits());
    app.shared().set_limits(limits.map_err(Error::new)?);
    app.shared().set_debug(config.own.debug);
    app.shared().set_autoreload_templates(config.own.autoreload_templates);
    app.shared().set_topics(broadcast::start(&shard, &mesh, &config));
    state::share_state(app.shared());
    app.shared()
        .set_owner_shards(Rc::new(ShardOwners::new(shard.clone(), hashers)));
    app.shared().set_websocket_limits(config.websocket.clone());
    let config = Rc::new(config);
    let shutdown_timeout = config.own.shutdown_timeout;
    // The watchdog names the active route if this shard stalls.
    app.shared()
        .report_active_route_to(shard.name_work(app.shared().route_labels()));
    let request_log = RequestLog::new(&config.access_log, lines, &shard);
    let server = ShardServer::new(app, config, shard.clone(), budget.as_ref()).with_request_log(request_log);
    #[cfg(feature = "rustls")]
    let server = server.with_tls(policies.map(|policies| ShardTls::begin(policies, shard.clone())));
    let server = Rc::new(server);
    let files = server.app.shared().set_file_source(Rc::new(ShardFiles::new(&server)));
    files.map_err(|error| Error::new(setup_error::SetupError(error)))?;
    spawn_detached(memory::watch::watch(Rc::clone(&server)));
    // A task for each listener, so that a stop ends all of them at once.
    let accepting: Vec<_> = listeners
        .iter()
        .filter_map(|bound| Some((bound.listeners.open()?, bound.entry)))
        .map(|(listener, entry)| spawn_local(accept::accept(listener, entry, Rc::clone(&server))))
        .collect();
    #[cfg(feature = "testing")]
    let accepting = {
        let in_process = in_process.map(|reports| spawn_local(in_process::accept(Rc::clone(&server), reports)));
        accepting.into_iter().chain(in_process)
    };
    if let Some(announcement) = announcement {
        announcement.announce(&server.config.own)?;
    }
    for accepting in accepting {
        accepting.await??;
    }
    // The listeners are closed, so the gate counts down from here.
    let drained = server.gate.close();
    drain::wait_for_drain(&shard, drained, shutdown_timeout).await;
    operator_log::aborted(shard.id().index(), server.gate.count());
    if let Some(log) = &server.request_log {
        log.end();
    }
    Ok(())
}
