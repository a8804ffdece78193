//! Everybody arrives: the publisher and the subscribers, one after the other by blocking calls, until each has heard a greeting.
//!
//! A server may subscribe a client only after it has shaken hands, so a greeting that does not come is published again; whoever has
//! heard one is subscribed, and misses nothing of what is published later.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::publisher::message_stamp;
use super::subscriber::Subscriber;
use crate::interrupt::Interrupt;
use crate::load::plan::{FanOut, Plan, STAMP_BYTES};
use crate::load::target::Target;
use crate::load::websocket::message::MessageReader;
use crate::load::websocket::payload::Payloads;
use crate::load::websocket::socket::{Socket, Terms, first_address};

/// After this long without a greeting it is published again, for servers that subscribe after they have shaken hands.
const GREETING_INTERVAL: Duration = Duration::from_millis(250);

/// The connections, while there is no load.
pub(super) struct Opening<'run> {
    plan: &'run Plan,
    fan_out: &'run FanOut,
    interrupt: &'run Interrupt,
    address: SocketAddr,
    publisher: Socket,
    subscribers: Vec<Socket>,
    /// Subscribers that never read.
    stalled: Vec<Socket>,
    payloads: Payloads,
}

impl<'run> Opening<'run> {
    /// Opens the publisher and the first subscriber.
    pub(super) fn begin(plan: &'run Plan, fan_out: &'run FanOut, interrupt: &'run Interrupt) -> Result<Self> {
        let address = first_address(&plan.target, plan.timeout)?;
        let publish_address = first_address(&fan_out.publish, plan.timeout)?;
        let publisher = open(0, publish_address, &fan_out.publish, plan, fan_out)?;
        let mut opening = Self {
            plan,
            fan_out,
            interrupt,
            address,
            publisher,
            subscribers: Vec::with_capacity(plan.connections),
            stalled: Vec::with_capacity(fan_out.stalled),
            payloads: Payloads::new(fan_out.message_bytes),
        };
        let first = opening.subscribe()?;
        opening.subscribers.push(first);
        Ok(opening)
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

    fn subscribe(&self) -> Result<Socket> {
        self.interrupt.check()?;
        let before = self.subscribers.len() + self.stalled.len();
        let subscribed = open(before + 1, self.address, &self.plan.target, self.plan, self.fan_out);
        subscribed.with_context(|| format!("cannot open a subscriber beside {before} others"))
    }

    /// Publishes a greeting until every subscriber has received one.
    pub(super) fn greet(&mut self) -> Result<()> {
        let mut frame = Vec::new();
        self.payloads.write(&message_stamp(0, 0), &mut frame);
        self.publisher.send(&frame, self.plan.timeout)?;
        let deadline = Instant::now() + self.plan.timeout;
        let total = self.subscribers.len();
        for (index, subscriber) in self.subscribers.iter_mut().enumerate() {
            let greeting = loop {
                self.interrupt.check()?;
                let received = subscriber.receive(GREETING_INTERVAL.min(self.plan.timeout));
                match received.with_context(|| format!("subscriber {} of {total}", index + 1))? {
                    Some(greeting) => break greeting,
                    None if Instant::now() < deadline => self.publisher.send(&frame, self.plan.timeout)?,
                    None => bail!(
                        "what is published at {} does not reach subscriber {} of {total} at {} within {:?}",
                        self.fan_out.publish,
                        index + 1,
                        self.plan.target,
                        self.plan.timeout
                    ),
                }
            };
            let is_greeting = self.payloads.stamp(&greeting, STAMP_BYTES) == Some(message_stamp(0, 0).as_slice());
            ensure!(
                is_greeting,
                "a subscriber at {} received a message of {} bytes that was not published by this run, or was changed",
                self.plan.target,
                greeting.len()
            );
        }
        Ok(())
    }
}

fn open(index: usize, address: SocketAddr, target: &Target, plan: &Plan, fan_out: &FanOut) -> Result<Socket> {
    let terms = Terms {
        headers: &plan.request.headers,
        message_bytes_max: fan_out.message_bytes,
        timeout: plan.timeout,
    };
    Socket::open(index, address, target, &terms).with_context(|| target.to_string())
}

/// The same connections, ready to be loaded.
pub(super) struct Cast {
    pub(super) publisher: (TcpStream, MessageReader),
    /// The subscribers of each thread.
    pub(super) shares: Vec<Vec<Subscriber>>,
    #[expect(dead_code, reason = "held open until the run has ended")]
    stalled: Vec<Socket>,
}

impl Cast {
    pub(super) fn from(opening: Opening<'_>) -> Result<Self> {
        let threads = opening.plan.threads;
        let mut shares: Vec<Vec<Subscriber>> = (0..threads).map(|_| Vec::new()).collect();
        for (index, socket) in opening.subscribers.into_iter().enumerate() {
            let (stream, reader) = socket.into_parts()?;
            if let Some(share) = shares.get_mut(index % threads) {
                share.push(Subscriber::new(stream, reader));
            }
        }
        Ok(Self {
            publisher: opening.publisher.into_parts()?,
            shares,
            stalled: opening.stalled,
        })
    }
}
