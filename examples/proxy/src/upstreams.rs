//! The upstreams of a shard: taken in turn, those that are unhealthy left out.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use squall::client::Client;
use squall::shards::sleep;

/// The longest time of one health check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// A server behind the proxy.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// As `http://host:port` or `https://host:port`, without a slash at the end.
    pub(crate) url: String,
    is_healthy: Cell<bool>,
}

/// The upstreams, and which one comes next.
#[derive(Debug)]
pub(crate) struct Upstreams {
    all: Vec<Rc<Upstream>>,
    next: Cell<usize>,
}

impl Upstreams {
    /// Takes each upstream for healthy until a check fails.
    pub(crate) fn new(urls: &[String]) -> Self {
        let upstream = |url: &String| {
            Rc::new(Upstream {
                url: url.trim_end_matches('/').to_owned(),
                is_healthy: Cell::new(true),
            })
        };
        Self {
            all: urls.iter().map(upstream).collect(),
            next: Cell::new(0),
        }
    }

    /// Returns the healthy upstreams, beginning with the one whose turn it is.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = Rc<Upstream>> {
        let first = self.next.replace(self.next.get().wrapping_add(1)) % self.all.len().max(1);
        let (before, from) = self.all.split_at(first);
        let ordered = from.iter().chain(before);
        let healthy: Vec<_> = ordered.filter(|upstream| upstream.is_healthy.get()).cloned().collect();
        healthy.into_iter()
    }
}

/// Asks every upstream for a path, again and again. The task ends with its shard.
pub(crate) async fn watch(upstreams: Rc<Upstreams>, client: Client, path: String, interval: Duration) {
    loop {
        for upstream in &upstreams.all {
            let check = client.get(&format!("{}{path}", upstream.url)).timeout(CHECK_TIMEOUT);
            let answer = check.send().await;
            let is_healthy = answer.is_ok_and(|response| response.status().as_u16() < 400);
            if upstream.is_healthy.replace(is_healthy) != is_healthy {
                tracing::info!(
                    upstream = upstream.url,
                    is_healthy,
                    "the health of an upstream has changed"
                );
            }
        }
        sleep(interval).await;
    }
}
