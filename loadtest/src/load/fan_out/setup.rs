//! The setup of a fan-out: opens the publisher and the subscribers by blocking calls, until each subscriber has
//! received a greeting.
//!
//! A server may subscribe a client some time after the handshake, so a missing greeting is published again. A
//! subscriber that has received one is subscribed and must receive each later message.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::message::Messages;
use super::subscriber::Subscriber;
use super::subscription::{Subscription, socket_options};
use crate::interrupt::Interrupt;
use crate::load::blocking::first_address;
use crate::load::plan::{FanOut, Plan};
use crate::load::websocket::message::MessageReader;
use crate::load::websocket::socket::WebSocket;

/// How long a subscriber waits for a greeting before it is published again.
const GREETING_INTERVAL: Duration = Duration::from_millis(250);

/// The connections before the load.
pub(super) struct Setup<'run> {
    plan: &'run Plan,
    fan_out: &'run FanOut,
    interrupt: &'run Interrupt,
    address: SocketAddr,
    publisher: WebSocket,
    subscribers: Vec<Subscription>,
    /// Subscribers that will not read in the window.
    stalled: Vec<Subscription>,
    messages: Messages,
}

impl<'run> Setup<'run> {
    /// Opens the publisher and the first subscriber.
    pub(super) fn begin(plan: &'run Plan, fan_out: &'run FanOut, interrupt: &'run Interrupt) -> Result<Self> {
        let address = first_address(&plan.target, plan.timeout)?;
        let publish_address = first_address(&fan_out.publish, plan.timeout)?;
        let pinned = PinnedCore::pin(&fan_out.connect_cores, 0)?;
        let publisher = WebSocket::open(0, publish_address, &fan_out.publish, &socket_options(plan, fan_out))
            .with_context(|| fan_out.publish.to_string())?;
        drop(pinned);
        let mut setup = Self {
            plan,
            fan_out,
            interrupt,
            address,
            publisher,
            subscribers: Vec::with_capacity(plan.connections),
            stalled: Vec::with_capacity(fan_out.stalled),
            messages: Messages::new(plan.target.scheme, fan_out.message_bytes),
        };
        let first = setup.subscribe()?;
        setup.subscribers.push(first);
        Ok(setup)
    }

    pub(super) fn open_all(&mut self) -> Result<()> {
        while self.subscribers.len() < self.plan.connections {
            let next = self.subscribe()?;
            self.subscribers.push(next);
        }
        while self.stalled.len() < self.fan_out.stalled {
            let next = self.subscribe()?;
            self.stalled.push(next);
        }
        Ok(())
    }

    fn subscribe(&self) -> Result<Subscription> {
        self.interrupt.check()?;
        let before = self.subscribers.len() + self.stalled.len();
        let _pinned = PinnedCore::pin(&self.fan_out.connect_cores, before)?;
        let subscribed = Subscription::open(before + 1, self.address, self.plan, self.fan_out);
        let subscribed = subscribed.with_context(|| self.plan.target.to_string());
        subscribed.with_context(|| format!("could not open subscriber {}", before + 1))
    }

    /// Publishes a greeting until every subscriber has received one.
    pub(super) fn greet(&mut self) -> Result<()> {
        let mut frame = Vec::new();
        self.messages.write(0, 0, &mut frame);
        self.publisher.send(&frame, self.plan.timeout)?;
        let deadline = Instant::now() + self.plan.timeout;
        let total = self.subscribers.len() + self.stalled.len();
        for (index, subscriber) in self.subscribers.iter_mut().chain(&mut self.stalled).enumerate() {
            let greeting = loop {
                self.interrupt.check()?;
                let received = subscriber.receive(GREETING_INTERVAL.min(self.plan.timeout));
                match received.with_context(|| format!("subscriber {} of {total}", index + 1))? {
                    Some(greeting) => break greeting,
                    None if Instant::now() < deadline => self.publisher.send(&frame, self.plan.timeout)?,
                    None => bail!(
                        "a message published at {} does not reach subscriber {} of {total} at {} within {:?}",
                        self.fan_out.publish,
                        index + 1,
                        self.plan.target,
                        self.plan.timeout
                    ),
                }
            };
            ensure!(
                self.messages.read(&greeting) == Some((0, 0)),
                "a subscriber at {} received a message of {} bytes that this run did not publish, or that was changed",
                self.plan.target,
                greeting.len()
            );
        }
        Ok(())
    }
}

/// Pins the calling thread to a core while it connects; dropping it restores the affinity.
struct PinnedCore(Option<CpuSet>);

impl PinnedCore {
    /// Pins to the core for connection number `index`, round-robin; does nothing without cores.
    fn pin(cores: &[usize], index: usize) -> Result<Self> {
        let Some(core) = index.checked_rem(cores.len()).and_then(|place| cores.get(place)) else {
            return Ok(Self(None));
        };
        let before = sched_getaffinity(None).context("could not read the allowed cores")?;
        let mut pinned = CpuSet::new();
        pinned.set(*core);
        sched_setaffinity(None, &pinned).with_context(|| format!("could not pin a thread to core {core}"))?;
        Ok(Self(Some(before)))
    }
}

impl Drop for PinnedCore {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // The thread had this affinity before, so the call does not fail.
            sched_setaffinity(None, before).ok();
        }
    }
}

/// The connections, split over the threads.
pub(super) struct Connected {
    pub(super) publisher: (TcpStream, MessageReader),
    /// The subscribers of each thread.
    pub(super) shares: Vec<ThreadShare>,
}

/// The subscribers of one thread.
#[derive(Default)]
pub(super) struct ThreadShare {
    pub(super) readers: Vec<Subscriber>,
    /// Subscribers that will not read in the window.
    pub(super) stalled: Vec<Subscriber>,
}

impl Connected {
    pub(super) fn from(setup: Setup<'_>) -> Result<Self> {
        let threads = setup.plan.threads;
        let places = setup.fan_out.connect_cores.len().max(1);
        let readers = setup.subscribers.len();
        let mut shares: Vec<ThreadShare> = (0..threads).map(|_| ThreadShare::default()).collect();
        for (index, socket) in setup.subscribers.into_iter().chain(setup.stalled).enumerate() {
            let (stream, reader) = socket.into_parts()?;
            let subscriber = Subscriber::new(stream, reader, index % places);
            match shares.get_mut(index % threads) {
                Some(share) if index < readers => share.readers.push(subscriber),
                Some(share) => share.stalled.push(subscriber),
                None => {}
            }
        }
        Ok(Self {
            publisher: setup.publisher.into_parts()?,
            shares,
        })
    }
}
