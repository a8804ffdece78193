//! Standard error without blocking: output that does not fit at once is dropped and counted, so a stuck log reader
//! cannot stop a shard.
//!
//! A reader that has gone does not end the server either. A write of up to `PIPE_BUF` bytes to a pipe that poll(2)
//! reports writable does not block. Nor does one to a terminal that is not stopped. A write to a file waits for the
//! file system, as any write does. Other processes may write to the same pipe in between. Without a queue or a thread,
//! a line written survives the end of the process.

use std::io::{self, StderrLock, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How much is written per poll: POSIX's `PIPE_BUF` on Linux.
const PIECE_BYTES_MAX: usize = 4096;

/// Lines dropped since the last successful write.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Standard error for loggers: writing never waits for a reader and never fails.
///
/// The next successful write after a drop starts with the number of lines dropped.
#[derive(Debug, Clone, Copy, Default)]
pub struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        let is_said = dropped == 0 || {
            let words = format!("squall: dropped {dropped} log lines, because standard error was not read\n");
            put(&mut stderr, words.as_bytes())
        };
        if !is_said || !put(&mut stderr, bytes) {
            let unsaid = if is_said { 0 } else { dropped };
            DROPPED.fetch_add(unsaid + 1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes as long as the descriptor is writable; returns whether all of it was written.
fn put(stderr: &mut StderrLock<'_>, bytes: &[u8]) -> bool {
    let mut pieces = bytes.chunks(PIECE_BYTES_MAX);
    pieces.all(|piece| is_writable(stderr.as_fd()) && stderr.write_all(piece).is_ok())
}

fn is_writable(descriptor: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)];
    let ready = poll(&mut polled, Some(&Timespec::default()));
    ready.is_ok() && polled.iter().all(|polled| polled.revents() == PollFlags::OUT)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::Stdio;

    use super::*;
    use crate::testing::{child, child_role};

    /// More than a pipe holds: 64 KiB, and up to 1 MiB by configuration.
    const LINES: usize = 20_000;

    /// Reports when it has written, then waits for a line on standard input.
    fn write_and_wait() {
        for number in 0..LINES {
            StandardError.write_all(format!("{number:>99}\n").as_bytes()).unwrap();
        }
        println!("\nwritten");
        io::stdin().read_line(&mut String::new()).unwrap();
        StandardError.write_all(b"at last\n").unwrap();
    }

    #[test]
    fn unread_output_is_dropped_and_the_number_of_lines_is_reported() {
        if child_role().is_some() {
            return write_and_wait();
        }
        let mut process = child(
            module_path!(),
            "unread_output_is_dropped_and_the_number_of_lines_is_reported",
            "writes",
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        assert!(said.any(|line| line == "written"), "the write waits for a reader");
        let mut stderr = process.stderr.take().unwrap();
        // A blocked writer would find room once this much has been read.
        let mut first = vec![0; 8 * 1024];
        stderr.read_exact(&mut first).unwrap();
        process.stdin.take().unwrap().write_all(b"go on\n").unwrap();
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        let text = String::from_utf8(first).unwrap() + &rest;
        let lines: Vec<&str> = text.lines().collect();
        let missing = lines
            .iter()
            .find_map(|line| line.strip_prefix("squall: dropped ")?.split(' ').next());
        let missing: usize = missing.unwrap().parse().unwrap();
        let written = lines.iter().filter(|line| line.trim().parse::<usize>().is_ok()).count();
        assert_eq!(written + missing, LINES);
        assert_eq!(lines.last(), Some(&"at last"));
        assert!(process.wait().unwrap().success());
    }

    #[test]
    fn a_reader_that_has_gone_is_not_an_error() {
        if child_role().is_some() {
            return write_and_wait();
        }
        let mut process = child(module_path!(), "a_reader_that_has_gone_is_not_an_error", "writes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(process.stderr.take());
        let mut said = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        assert!(said.any(|line| line == "written"));
        process.stdin.take().unwrap().write_all(b"go on\n").unwrap();
        assert!(said.any(|line| line.contains("test result: ok")));
        assert!(process.wait().unwrap().success());
    }
}
