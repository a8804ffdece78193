//! Findings about sockets: several listeners on one port, steering, the backlog, and epoll.
//!
//! What can be tried is tried, on a free port of the loopback device.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;

use rustix::event::epoll;

use super::finding::{Area, Finding, NeededBy};
use crate::balance::bpf;
use crate::net::tcp_socket;
use crate::os::sys;

/// Tries what listeners do, with one shard on each of these CPUs.
pub(super) fn findings(cpus: &[usize]) -> [Finding; 4] {
    [
        reuse_port(shared_port()),
        steering(steered(cpus)),
        backlog(sys::listen_backlog()),
        epoll_instance(epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io::Error::from)),
    ]
}

/// Binds two sockets to one port, as two shards do.
fn shared_port() -> io::Result<()> {
    let first = tcp_socket((Ipv4Addr::LOCALHOST, 0).into(), true)?;
    let address = first.local_addr()?.as_socket();
    let address = address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    tcp_socket(address, true).map(drop)
}

fn steered(cpus: &[usize]) -> io::Result<()> {
    let socket = tcp_socket((Ipv4Addr::LOCALHOST, 0).into(), true)?;
    bpf::attach_reuseport_program(socket.as_fd(), &vec![false; cpus.len()], Some(cpus))
}

fn reuse_port(tried: io::Result<()>) -> Finding {
    let about = |detail| Finding::new(Area::Sockets, NeededBy::EveryDriver, "SO_REUSEPORT", detail);
    match tried {
        Ok(()) => about("each shard listens on the same port by itself".to_owned()),
        Err(error) => about(error.to_string()).missing(
            "two sockets could not share a TCP port of 127.0.0.1; bring the loopback device up with `ip link set lo up`, and \
             allow socket, setsockopt and bind in the sandbox around this process",
        ),
    }
}

fn steering(tried: io::Result<()>) -> Finding {
    let about = |detail| Finding::new(Area::Sockets, NeededBy::Optional, "steering by CPU", detail);
    match tried {
        Ok(()) => about("SO_ATTACH_REUSEPORT_CBPF, for --steer-by-cpu".to_owned()),
        Err(error) => about(error.to_string()).missing(
            "the kernel refused the SO_ATTACH_REUSEPORT_CBPF program (Linux 4.5 or later); leave --steer-by-cpu off, and \
             the kernel's hash distributes connections over the shards",
        ),
    }
}

fn backlog(connections_max: i32) -> Finding {
    let finding = Finding::new(
        Area::Sockets,
        NeededBy::Optional,
        "listen backlog",
        format!("{connections_max} connections may wait per shard (net.core.somaxconn)"),
    );
    let usual = sys::LISTEN_BACKLOG_FALLBACK;
    if connections_max >= usual {
        return finding;
    }
    finding.limited(format!(
        "bursts of connections overflow it; run `sysctl net.core.somaxconn={usual}`, or \
         `docker run --sysctl net.core.somaxconn={usual}`"
    ))
}

fn epoll_instance<T>(tried: io::Result<T>) -> Finding {
    let about = |detail| Finding::new(Area::Sockets, NeededBy::Epoll, "epoll", detail);
    match tried {
        Ok(_) => about("for the epoll driver".to_owned()),
        Err(error) => about(error.to_string())
            .missing("the kernel refused an epoll instance; allow epoll_create1 in the sandbox around this process"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::start::doctor::finding::Standing::{Found, Limited, Missing};

    #[test]
    fn this_machine_shares_ports_and_steers() {
        let findings = findings(&[0, 1]);
        let standings = findings.each_ref().map(|finding| (finding.name, finding.standing));
        for found in [("SO_REUSEPORT", Found), ("steering by CPU", Found), ("epoll", Found)] {
            assert!(standings.contains(&found), "{findings:?}");
        }
    }

    #[test]
    fn a_refused_feature_is_missing_and_has_a_remedy() {
        let refused = || Err(io::Error::from_raw_os_error(libc::EPERM));
        for (finding, needed_by, part) in [
            (reuse_port(refused()), NeededBy::EveryDriver, "setsockopt"),
            (steering(refused()), NeededBy::Optional, "--steer-by-cpu"),
            (epoll_instance(refused()), NeededBy::Epoll, "epoll_create1"),
        ] {
            assert_eq!(
                (finding.standing, finding.needed_by),
                (Missing, needed_by),
                "{finding:?}"
            );
            assert!(finding.detail.contains("os error 1"), "{finding:?}");
            assert!(finding.fix.is_some_and(|fix| fix.contains(part)));
        }
        assert!(steered(&[0, 0]).is_err(), "two shards on one CPU");
    }

    #[test]
    fn a_backlog_below_the_kernels_own_default_is_limited() {
        for (connections_max, standing) in [(128, Limited), (4095, Limited), (4096, Found), (65_535, Found)] {
            assert_eq!(backlog(connections_max).standing, standing, "{connections_max}");
        }
    }
}
