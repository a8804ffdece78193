//! Happy Eyeballs (RFC 8305): attempts to the addresses of one name, raced to the first that connects.
//!
//! Why: a name often has addresses of both families, and one family may be broken on the way. One after the other, the
//! broken one would use up the deadline; all at once, every connection would cost the server several.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::clock;
use crate::time::Deadline;

/// Time from the start of one attempt to the start of the next: RFC 8305 §5 recommends 250 ms.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The address that the race failed at, if any was tried, and why.
type Lost = (Option<SocketAddr>, io::Error);

/// A race under way.
struct Race<F> {
    untried: VecDeque<SocketAddr>,
    attempts: Vec<(SocketAddr, Pin<Box<F>>)>,
    next_start: Instant,
    lost: Lost,
}

/// Races attempts to the addresses until one connects, all have failed, or the deadline passes.
pub(super) async fn race<T, F>(
    addresses: Vec<SocketAddr>,
    deadline: Instant,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<T, Lost>
where
    F: Future<Output = io::Result<T>>,
{
    let nothing = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut race = Race {
        untried: in_turn(addresses),
        attempts: Vec::new(),
        next_start: clock::now(),
        lost: (None, nothing),
    };
    let mut timer = Deadline::new();
    poll_fn(|cx| {
        loop {
            if let Some(ended) = race.advance(deadline, &connect, cx) {
                return Poll::Ready(ended);
            }
            let next_start = Some(race.next_start).filter(|_| !race.untried.is_empty());
            timer.set(Some(next_start.map_or(deadline, |start| start.min(deadline))));
            if timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

impl<T, F: Future<Output = io::Result<T>>> Race<F> {
    /// Polls every attempt, and starts those that are due; `None` while the race goes on.
    fn advance(
        &mut self,
        deadline: Instant,
        connect: &impl Fn(SocketAddr) -> F,
        cx: &mut Context<'_>,
    ) -> Option<Result<T, Lost>> {
        loop {
            if let Some(winner) = self.poll_attempts(cx) {
                return Some(Ok(winner));
            }
            let now = clock::now();
            if now >= deadline {
                let address = self.attempts.first().map(|(address, _)| *address).or(self.lost.0);
                return Some(Err((address, io::ErrorKind::TimedOut.into())));
            }
            if !self.attempts.is_empty() && now < self.next_start {
                return None;
            }
            let Some(address) = self.untried.pop_front() else {
                let nothing = (None, io::ErrorKind::NotFound.into());
                return match self.attempts.is_empty() {
                    true => Some(Err(std::mem::replace(&mut self.lost, nothing))),
                    false => None,
                };
            };
            self.attempts.push((address, Box::pin(connect(address))));
            self.next_start = now + ATTEMPT_DELAY;
        }
    }

    /// Polls every attempt. A failed one lets the next start at once.
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Option<T> {
        let mut place = 0;
        while let Some((address, attempt)) = self.attempts.get_mut(place) {
            match attempt.as_mut().poll(cx) {
                Poll::Ready(Ok(winner)) => return Some(winner),
                Poll::Ready(Err(error)) => {
                    self.lost = (Some(*address), error);
                    self.attempts.remove(place);
                    self.next_start = clock::now();
                }
                Poll::Pending => place += 1,
            }
        }
        None
    }
}

/// Orders addresses so that the families take turns, beginning with that of the first (RFC 8305 §4).
fn in_turn(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let starts_with_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == starts_with_v6);
    let mut ordered = VecDeque::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;
    use std::io;
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    use super::{ATTEMPT_DELAY, in_turn, race};
    use crate::clock;
    use crate::driver::Driver;
    use crate::start::builder::Builder;
    use crate::time::sleep;

    /// What a made-up address does.
    #[derive(Clone, Copy)]
    enum Peer {
        Answers,
        Refuses,
        IsSilent,
    }

    fn address(number: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], number))
    }

    /// The winner or the error, the order of the starts, and the time that the race took.
    type Raced = (Result<u16, (Option<u16>, io::ErrorKind)>, Vec<u16>, Duration);

    /// Races made-up peers on a shard.
    fn run(peers: &'static [Peer], limit: Duration) -> Raced {
        let (sender, receiver) = std::sync::mpsc::channel();
        let shards = Builder::new()
            .shards(1)
            .driver(Driver::Epoll)
            .stop_on_signals(false)
            .build()
            .unwrap();
        shards
            .run(move |_| {
                let sender = sender.clone();
                async move {
                    let started = RefCell::new(Vec::new());
                    let began: Instant = clock::now();
                    let addresses = (0..).map(address).take(peers.len()).collect();
                    let winner = race(addresses, began + limit, |address| {
                        started.borrow_mut().push(address.port());
                        let peer = peers[usize::from(address.port())];
                        async move {
                            // An answer takes some turns.
                            sleep(Duration::from_millis(1)).await;
                            match peer {
                                Peer::Answers => Ok(address.port()),
                                Peer::Refuses => Err(io::ErrorKind::ConnectionRefused.into()),
                                Peer::IsSilent => pending().await,
                            }
                        }
                    });
                    let winner = winner.await;
                    let winner =
                        winner.map_err(|(address, error)| (address.map(|address| address.port()), error.kind()));
                    sender.send((winner, started.take(), clock::now() - began)).unwrap();
                    Ok(())
                }
            })
            .unwrap();
        receiver.recv().unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_first_address_that_answers_wins_alone() {
        let (winner, started, _) = run(&[Peer::Answers, Peer::Answers], LONG);
        assert_eq!((winner, started), (Ok(0), vec![0]));
    }

    #[test]
    fn a_refusal_starts_the_next_address_at_once() {
        let (winner, started, took) = run(&[Peer::Refuses, Peer::Refuses, Peer::Answers], LONG);
        assert_eq!((winner, started), (Ok(2), vec![0, 1, 2]));
        assert!(took < LONG, "{took:?}");
        let (error, started, _) = run(&[Peer::Refuses, Peer::Refuses], LONG);
        assert_eq!(started, [0, 1]);
        assert_eq!(error, Err((Some(1), io::ErrorKind::ConnectionRefused)));
    }

    #[test]
    fn a_silent_address_delays_the_next_by_a_quarter_of_a_second() {
        let (winner, started, took) = run(&[Peer::IsSilent, Peer::Answers], LONG);
        assert_eq!((winner, started), (Ok(1), vec![0, 1]));
        assert!(took >= ATTEMPT_DELAY, "{took:?}");
    }

    #[test]
    fn silent_addresses_are_waited_for_until_the_deadline() {
        let (error, _, took) = run(&[Peer::IsSilent], Duration::from_millis(50));
        assert_eq!(error, Err((Some(0), io::ErrorKind::TimedOut)));
        assert!(took >= Duration::from_millis(50), "{took:?}");
        assert_eq!(run(&[], LONG).0, Err((None, io::ErrorKind::NotFound)));
    }

    #[test]
    fn families_take_turns() {
        let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (a, b, c) = (parse("[::1]:1"), parse("[::2]:1"), parse("[::3]:1"));
        let (d, e) = (parse("127.0.0.1:1"), parse("127.0.0.2:1"));
        assert_eq!(in_turn(vec![a, b, c, d, e]), [a, d, b, e, c]);
        assert_eq!(in_turn(vec![d, e, a]), [d, a, e]);
        assert_eq!(in_turn(Vec::new()), []);
    }
}
