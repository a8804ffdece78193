//! The log of requests: a line for each in a file, and a span around each for the lines that its handler logs.
//!
//! A shard has a [`RequestLog`] only if the operator wants one. Without it, a request pays for one comparison.
//!
//! [`lines`] gathers the lines of a shard, and [`writer`] is the thread that writes them. [`entry`] is one line.

mod entry;
mod lines;
mod settings;
mod writer;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use squall_shards::{Shard, clock};
use tracing::Span;

pub use settings::{AccessLogFormat, InvalidAccessLogFormat};
pub(in crate::server) use settings::{AccessLogSettings, access_log_setters};
pub(in crate::server) use writer::{AccessLogWriter, LineSender};

use crate::app::{App, Exchange, TaskLog, request_id};
use crate::message::{Method, has_no_content};
use entry::Entry;
use lines::ShardLines;

/// What one shard does for the log with each request.
pub(in crate::server) struct RequestLog {
    lines: Option<Rc<ShardLines>>,
    shard: usize,
    /// Begins the ids of this shard, so that no two processes share one.
    id_prefix: u64,
    next_id: Cell<u64>,
}

/// A request that is being answered.
pub(in crate::server) struct LoggedRequest {
    log: Rc<RequestLog>,
    id: String,
    began_at: Instant,
}

impl RequestLog {
    /// Makes the log of a shard; `None` if no line of a request would be written.
    pub(in crate::server) fn new(
        settings: &AccessLogSettings,
        sender: Option<LineSender>,
        shard: &Shard,
    ) -> Option<Rc<Self>> {
        let lines = sender.map(|sender| ShardLines::new(settings, sender));
        if lines.is_none() && !tracing::enabled!(tracing::Level::DEBUG) {
            return None;
        }
        let mut prefix = [0; size_of::<u64>()];
        // Without random numbers the ids are still unique within the process.
        getrandom::fill(&mut prefix).unwrap_or_default();
        Some(Rc::new(Self {
            lines,
            shard: shard.id().index(),
            id_prefix: u64::from_ne_bytes(prefix),
            next_id: Cell::new(0),
        }))
    }

    /// Begins the log of a request, and returns the span in which its handler runs.
    pub(in crate::server) fn begin(self: &Rc<Self>, app: &App, exchange: &Exchange) -> (LoggedRequest, Span) {
        let head = exchange.head();
        let id = match request_id(head.fields()) {
            Some(id) => id.to_owned(),
            None => self.make_id(),
        };
        let span = tracing::info_span!("request", id, method = %head.method(), route = app.route_of(head));
        let logged = LoggedRequest {
            log: Rc::clone(self),
            id,
            began_at: clock::now(),
        };
        (logged, span)
    }

    /// Begins the log of a request whose handler runs beside its connection.
    pub(in crate::server) fn begin_task(self: &Rc<Self>, app: &App, exchange: &Exchange) -> TaskLog {
        let (logged, span) = self.begin(app, exchange);
        let flushed_before = exchange.channel().flushed_bytes();
        TaskLog {
            span,
            ended: Box::new(move |exchange| {
                let flushed = exchange.channel().flushed_bytes().wrapping_sub(flushed_before);
                logged.end(exchange, flushed.wrapping_add(exchange.content_bytes() as u64));
            }),
        }
    }

    /// Makes an id of 128 bits for a request without one.
    fn make_id(&self) -> String {
        let number = self.next_id.get();
        self.next_id.set(number.wrapping_add(1));
        let shard = (self.shard as u64) << 48;
        format!("{:016x}{:016x}", self.id_prefix, shard ^ number)
    }

    /// Hands over the lines that wait; the shard ends.
    pub(in crate::server) fn end(&self) {
        if let Some(lines) = &self.lines {
            lines.hand_over();
        }
    }
}

impl LoggedRequest {
    /// Writes the line of the request, whose response has been handed over or given up.
    pub(in crate::server) fn end(self, exchange: &Exchange, content_bytes: u64) {
        let Some(lines) = &self.log.lines else { return };
        let (cx, head, now) = (exchange.context(), exchange.head(), clock::now());
        let has_content = *head.method() != Method::HEAD && !has_no_content(cx.status());
        let entry = Entry {
            at: clock::wall(),
            status: cx.status().as_u16(),
            method: head.method().as_str(),
            target: head.target(),
            version: head.version(),
            address: cx.remote_ip(),
            duration: now.saturating_duration_since(self.began_at),
            content_bytes: if has_content { content_bytes } else { 0 },
            referer: head.fields().get("referer"),
            user_agent: head.fields().get("user-agent"),
            route: cx.pattern(),
            shard: self.log.shard,
            id: &self.id,
            completion: cx.completion(),
        };
        lines.add(&entry, now);
    }
}
