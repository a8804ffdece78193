//! Finds the process that holds an address: the socket's inode from `/proc/net`, then the process that has it open.
//!
//! Invariant: a killed process counts as ending as soon as `kill(2)` has returned to its killer. So a holder that does
//! not count as ending stays alive.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The state of a listening socket in `/proc/net/tcp` (`TCP_LISTEN`).
const LISTENS: &str = "0A";

/// Flags in `/proc/<pid>/stat` of a task that exits (`PF_EXITING`) or is ended by a signal (`PF_SIGNALED`).
const TASK_ENDS: u64 = 0x4 | 0x400;

/// SIGKILL in a signal set of `/proc/<pid>/status`.
const SIGKILL_BIT: u64 = 1 << 8;

/// A process that holds an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) process: u32,
    name: String,
    /// Whether it was killed or exits, with its files still open.
    pub(super) ends: bool,
}

impl Holder {
    pub(super) fn new(process: u32, name: &str, ends: bool) -> Self {
        Self {
            process,
            name: name.to_owned(),
            ends,
        }
    }

    /// Returns whether the holder is this process.
    pub(super) fn is_here(&self) -> bool {
        self.process == std::process::id()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_here() {
            return formatter.write_str("this process itself");
        }
        write!(formatter, "process {} ({})", self.process, self.name)?;
        if self.ends {
            formatter.write_str(", which is ending")?;
        }
        Ok(())
    }
}

/// Returns the process that keeps a TCP address from being bound, preferring one that is not ending.
///
/// `None` if it is invisible: no process has the socket open any more, or it belongs to another user or container.
pub(super) fn of_tcp(address: SocketAddr) -> Option<Holder> {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let tables = [read("/proc/self/net/tcp"), read("/proc/self/net/tcp6")];
    let inodes = tables.iter().flat_map(|table| tcp_inodes(table, address)).collect();
    of_inodes(inodes)
}

/// Does the same for the path of a Unix socket.
pub(super) fn of_unix(path: &Path) -> Option<Holder> {
    let table = fs::read("/proc/self/net/unix").unwrap_or_default();
    let table = String::from_utf8_lossy(&table);
    of_inodes(unix_inodes(&table, path))
}

/// Does the same for the name of an abstract Unix socket.
pub(super) fn of_abstract(name: &str) -> Option<Holder> {
    of_unix(Path::new(&format!("@{name}")))
}

/// Returns the inodes of the sockets in a table like `/proc/net/tcp` that keep `address` from being bound.
fn tcp_inodes(table: &str, address: SocketAddr) -> Vec<u64> {
    let lines = table.lines().skip(1);
    let sockets = lines.filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let local = parse_address(fields.nth(1)?)?;
        let is_listener = fields.nth(1)? == LISTENS;
        let inode = fields.nth(5)?.parse().ok()?;
        // A connection without a process has inode 0.
        (inode > 0 && collide(local, address)).then_some((is_listener, inode))
    });
    let mut sockets: Vec<(bool, u64)> = sockets.collect();
    // Connections hold an address too, but rarely keep a listener from it.
    if sockets.iter().any(|(is_listener, _)| *is_listener) {
        sockets.retain(|(is_listener, _)| *is_listener);
    }
    sockets.into_iter().map(|(_, inode)| inode).collect()
}

/// Returns whether a socket bound to one address keeps a listener from the other.
fn collide(bound: SocketAddr, wanted: SocketAddr) -> bool {
    let (bound_ip, wanted_ip) = (bound.ip().to_canonical(), wanted.ip());
    let is_everywhere = bound_ip.is_unspecified() && (bound_ip.is_ipv6() || wanted_ip.is_ipv4());
    let is_wanted_everywhere = wanted_ip.is_unspecified() && wanted_ip.is_ipv4() == bound_ip.is_ipv4();
    bound.port() == wanted.port() && (bound_ip == wanted_ip || is_everywhere || is_wanted_everywhere)
}

/// Parses `0100007F:22B8`: an address in words of host byte order, and a port.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Returns the inodes of the sockets in a table like `/proc/net/unix` that are bound to `path`.
fn unix_inodes(table: &str, path: &Path) -> Vec<u64> {
    let path = path.to_string_lossy();
    let lines = table.lines().skip(1);
    let sockets = lines.filter_map(|line| {
        // A path may contain spaces: it is everything after the inode.
        let mut rest = line;
        for _ in 0..6 {
            rest = rest.trim_start().split_once(' ')?.1;
        }
        let (inode, bound) = rest.trim_start().split_once(' ')?;
        (bound == path).then(|| inode.parse().ok()).flatten()
    });
    sockets.collect()
}

/// Returns a process that has one of these sockets open.
fn of_inodes(inodes: Vec<u64>) -> Option<Holder> {
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut ending = None;
    for process in processes {
        let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else {
            continue;
        };
        let mut opened = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        if !opened.any(|link| links.iter().any(|wanted| link.as_os_str() == wanted.as_str())) {
            continue;
        }
        let read = |file| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        let ends = ends(&read("stat"), &read("status"));
        let holder = Holder::new(process, read("comm").trim_end(), ends);
        if !holder.ends {
            return Some(holder);
        }
        ending = Some(holder);
    }
    ending
}

/// Returns whether a process ends, by its `/proc/<pid>/stat` and `/proc/<pid>/status`. `kill(2)` returns once SIGKILL
/// is pending. It stays pending until the task has its flag, except for a few instructions: so callers look twice.
fn ends(stat: &str, status: &str) -> bool {
    // The name, in parentheses, may contain anything. After it come the state and, as the seventh field, the flags.
    let Some((_, fields)) = stat.rsplit_once(") ") else {
        return true;
    };
    let mut fields = fields.split(' ');
    let has_ended = matches!(fields.next(), Some("Z" | "X"));
    let flags = fields.nth(5).and_then(|flags| flags.parse::<u64>().ok()).unwrap_or(0);
    let pending = status.lines().filter_map(|line| {
        let signals = line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(signals.trim(), 16).ok()
    });
    has_ended || flags & TASK_ENDS != 0 || pending.fold(0, |all, set| all | set) & SIGKILL_BIT != 0
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Formats as a little-endian host does, where `/proc` shows 127.0.0.1 as 0100007F.
    fn in_host_order(words: &[[u8; 4]]) -> String {
        let words = words.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word)));
        words.collect()
    }

    fn line(address: &[[u8; 4]], state: &str, inode: u64) -> String {
        let address = in_host_order(address);
        format!(
            "   0: {address}:22B8 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0 100 0"
        )
    }

    #[test]
    fn sockets_that_hold_an_address_are_found_in_the_table() {
        let (any, here, elsewhere) = ([[0; 4]], [[127, 0, 0, 1]], [[10, 0, 0, 1]]);
        let any_six = [[0; 4]; 4];
        let mapped = [[0; 4], [0; 4], [0, 0, 255, 255], [127, 0, 0, 1]];
        let one_six = [[0; 4], [0; 4], [0; 4], [0, 0, 0, 1]];
        let table = |lines: &[String]| format!("  sl  local_address …\n{}\n", lines.join("\n"));
        let of = |address: &[[u8; 4]], wanted: &str| {
            !tcp_inodes(&table(&[line(address, "0A", 7)]), wanted.parse().unwrap()).is_empty()
        };
        for (address, wanted, expected) in [
            (&here[..], "127.0.0.1:8888", true),
            (&here, "127.0.0.1:8889", false),
            (&here, "0.0.0.0:8888", true),
            (&here, "[::]:8888", false),
            (&any, "127.0.0.1:8888", true),
            (&any, "[::1]:8888", false),
            (&elsewhere, "127.0.0.1:8888", false),
            (&any_six, "127.0.0.1:8888", true),
            (&any_six, "[::1]:8888", true),
            (&mapped, "127.0.0.1:8888", true),
            (&one_six, "[::1]:8888", true),
            (&one_six, "[::]:8888", true),
            (&one_six, "0.0.0.0:8888", false),
        ] {
            assert_eq!(of(address, wanted), expected, "{address:?} {wanted}");
        }
        let wanted = "127.0.0.1:8888".parse().unwrap();
        let both = table(&[line(&here, "01", 5), line(&here, "0A", 7), line(&here, "06", 0)]);
        assert_eq!(tcp_inodes(&both, wanted), [7], "the listener comes first");
        assert_eq!(tcp_inodes(&table(&[line(&here, "01", 5)]), wanted), [5]);
        assert_eq!(tcp_inodes("nothing\nof the\nkind 1:2 3 4", wanted), [0; 0]);
    }

    #[test]
    fn paths_are_found_in_the_table_with_their_spaces() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                     0000000000000000: 00000002 00000000 00010000 0001 01 1084383 /run/app.sock\n\
                     0000000000000000: 00000003 00000000 00000000 0001 03 742047\n\
                     0000000000000000: 00000002 00000000 00010000 0001 01   123 /run/two words.sock\n";
        assert_eq!(unix_inodes(table, Path::new("/run/app.sock")), [1_084_383]);
        assert_eq!(unix_inodes(table, Path::new("/run/two words.sock")), [123]);
        assert_eq!(unix_inodes(table, Path::new("/run/app")), [0; 0]);
    }

    /// Flags of a running process (`PF_RANDOMIZE`), of one that exits and of one ended by a signal.
    #[test]
    fn a_process_that_was_killed_ends_from_the_signal_on() {
        let stat = |state: char, flags: u64| format!("7 (a ) b) {state} 1 7 7 0 -1 {flags} 90 0 0 0");
        let status = |process: &str, task: &str| format!("Name:\ta\nSigPnd:\t{task}\nShdPnd:\t{process}\n");
        let (none, kill, term) = ("0000000000000000", "0000000000000100", "0000000000004000");
        for (stat, status, expected) in [
            (stat('S', 4_194_304), status(none, none), false),
            (stat('S', 4_194_304), status(term, none), false),
            (stat('S', 4_194_304), status(kill, none), true),
            (stat('S', 4_194_304), status(none, kill), true),
            (stat('R', 4_194_304 | 0x4), status(none, none), true),
            (stat('D', 4_194_304 | 0x400), status(none, none), true),
            (stat('Z', 4_194_304), status(none, none), true),
            (String::new(), String::new(), true),
        ] {
            assert_eq!(ends(&stat, &status), expected, "{stat} {status}");
        }
    }

    /// A process just forked by another test shares all open files of this one until it executes its program.
    fn eventually_free(holder: impl Fn() -> Option<Holder>) {
        let until = crate::clock::after(std::time::Duration::from_secs(60));
        while let Some(holder) = holder() {
            assert!(crate::clock::now() < until, "{holder}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_kernel_lists_sockets_of_this_process() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let holder = of_tcp(address).unwrap();
        assert_eq!((holder.process, holder.ends), (std::process::id(), false));
        assert_eq!(holder.to_string(), "this process itself");
        drop(listener);
        eventually_free(|| of_tcp(address));
        let path = std::env::temp_dir().join(format!("squall holder {}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(of_unix(&path).map(|holder| holder.process), Some(std::process::id()));
        drop(listener);
        eventually_free(|| of_unix(&path));
        fs::remove_file(&path).unwrap();
    }
}
