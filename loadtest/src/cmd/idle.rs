//! `idle`: what a connection that keeps silent costs a server in memory, and what all of them cost it in CPU.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::args::IdleArgs;
use crate::catalogue::Catalogue;
use crate::client::http1::{Connection, get};
use crate::contender::Contender;
use crate::descriptors;
use crate::interrupt::Interrupt;
use crate::machine::Machine;
use crate::proc::{self, Memory, RunTime};
use crate::report::{Report, Sinks};
use crate::server::Server;
use crate::table::Table;

/// Connections made from one source address. An address has about 28,000 ports to give; fewer keep the search for one short.
const CONNECTIONS_PER_SOURCE: u32 = 5_000;

/// What a server may still do for the last request once it has answered; then the watch begins.
const SETTLE: Duration = Duration::from_secs(1);

/// One contender holding idle connections.
#[derive(Debug, Serialize)]
struct IdleSample {
    contender: String,
    connections: u32,
    memory_before: Memory,
    memory_after: Memory,
    watch_seconds: u64,
    cpu_us_in_watch: u128,
    /// How often one of its threads was put on a core during the watch.
    runs_in_watch: u64,
    /// Connections that the server had not closed at the end.
    still_open: usize,
}

pub(crate) fn run(args: &IdleArgs, interrupt: &Interrupt) -> Result<()> {
    proc::check_core_allowed(args.placement.server_core)?;
    let catalogue = Catalogue::read(args.selection.directory.as_deref())?;
    let sinks = Sinks::open(&args.output, "idle")?;
    descriptors::check_room(args.connections)?;
    let field = super::build(&catalogue, &args.selection, interrupt)?;
    let mut samples = Vec::new();
    let outcome = hold_all(&field.built, args, interrupt, &mut samples);
    if samples.is_empty() {
        return outcome;
    }
    let machine = Machine::inspect(catalogue.directory());
    let body = render(&samples);
    let report = Report::new("Idle connections", machine, field.built, field.skipped, samples);
    sinks.write(&mut std::io::stdout(), &report, &body)?;
    outcome.context("the report stops where this happened")
}

/// Holds connections to one contender after the other, until something fails or the user interrupts.
fn hold_all(
    contenders: &[Contender],
    args: &IdleArgs,
    interrupt: &Interrupt,
    samples: &mut Vec<IdleSample>,
) -> Result<()> {
    for contender in contenders {
        let sample = hold(contender, args, interrupt);
        if interrupt.is_raised() {
            return Ok(());
        }
        let sample = sample.with_context(|| contender.name.clone())?;
        eprintln!(
            "{}: {} of {} connections still open",
            sample.contender, sample.still_open, sample.connections
        );
        samples.push(sample);
    }
    Ok(())
}

fn hold(contender: &Contender, args: &IdleArgs, interrupt: &Interrupt) -> Result<IdleSample> {
    let mut server = Server::start(contender, args.placement.server_core, interrupt)?;
    let memory_before = Memory::read(server.pid())?;
    let request = get(server.address, &contender.ready_path);
    let mut connections = Vec::new();
    for index in 0..args.connections {
        interrupt.check()?;
        let opened = exchange(source(index), &server, &request);
        connections.push(opened.with_context(|| format!("connection {} of {}", index + 1, args.connections))?);
    }
    pause(SETTLE, interrupt)?;
    let memory_after = Memory::read(server.pid())?;
    let run_time_before = RunTime::read(server.pid())?;
    pause(Duration::from_secs(args.watch), interrupt)?;
    let run_time = RunTime::read(server.pid())?.since(run_time_before);
    server.check_running()?;
    let mut still_open = 0;
    for connection in &connections {
        still_open += usize::from(connection.is_still_open()?);
    }
    Ok(IdleSample {
        contender: contender.name.clone(),
        connections: args.connections,
        memory_before,
        memory_after,
        watch_seconds: args.watch,
        cpu_us_in_watch: run_time.running.as_micros(),
        runs_in_watch: run_time.runs,
        still_open,
    })
}

/// Opens a connection, sends one request on it and reads the whole answer.
fn exchange(source: IpAddr, server: &Server, request: &str) -> Result<Connection> {
    let mut connection = Connection::open_from(source, server.address)?;
    connection.send(request)?;
    let status = connection.receive()?.status;
    ensure!(status == 200, "expected status 200, got {status}");
    Ok(connection)
}

/// The address that connection `index` comes from: 127.0.1.1, 127.0.1.2 and so on.
fn source(index: u32) -> IpAddr {
    let first = u32::from(Ipv4Addr::new(127, 0, 1, 1));
    IpAddr::V4(Ipv4Addr::from(first + index / CONNECTIONS_PER_SOURCE))
}

fn pause(length: Duration, interrupt: &Interrupt) -> Result<()> {
    let deadline = Instant::now() + length;
    while Instant::now() < deadline {
        interrupt.check()?;
        thread::sleep(Duration::from_millis(50).min(deadline.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

fn render(samples: &[IdleSample]) -> String {
    let headings = [
        "contender",
        "connections",
        "proportional KiB each",
        "private KiB each",
        "resident KiB each",
        "empty process KiB",
        "CPU µs in the watch",
        "threads woken",
        "still open",
    ];
    let mut table = Table::new(headings.map(str::to_owned));
    for sample in samples {
        let each = |amount: fn(&Memory) -> u64| {
            let grown = amount(&sample.memory_after).saturating_sub(amount(&sample.memory_before));
            format!("{:.2}", grown as f64 / f64::from(sample.connections))
        };
        table.push([
            sample.contender.clone(),
            sample.connections.to_string(),
            each(|memory| memory.proportional_kib),
            each(|memory| memory.private_kib),
            each(|memory| memory.resident_kib),
            sample.memory_before.resident_kib.to_string(),
            sample.cpu_us_in_watch.to_string(),
            sample.runs_in_watch.to_string(),
            sample.still_open.to_string(),
        ]);
    }
    let watch = samples.first().map_or(0, |sample| sample.watch_seconds);
    format!(
        "{}\nThe watch took {watch} s. Memory is the process's; what the kernel keeps for its sockets is not in it.\n",
        table.render()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_addresses_move_on_before_their_ports_run_out() {
        assert_eq!(source(0), Ipv4Addr::new(127, 0, 1, 1));
        assert_eq!(source(CONNECTIONS_PER_SOURCE - 1), Ipv4Addr::new(127, 0, 1, 1));
        assert_eq!(source(CONNECTIONS_PER_SOURCE), Ipv4Addr::new(127, 0, 1, 2));
        assert_eq!(source(999_999), Ipv4Addr::new(127, 0, 1, 200));
    }

    #[test]
    fn memory_growth_is_divided_by_connections() {
        let memory = |kib| Memory {
            resident_kib: kib + 100,
            proportional_kib: kib,
            private_kib: kib / 2,
        };
        let sample = IdleSample {
            contender: "quiet".to_owned(),
            connections: 1000,
            memory_before: memory(1000),
            memory_after: memory(2200),
            watch_seconds: 10,
            cpu_us_in_watch: 0,
            runs_in_watch: 0,
            still_open: 1000,
        };
        let row = "|        1000 |                  1.20 |             0.60 |              1.20 |              1100 |";
        assert!(render(&[sample]).contains(row));
    }
}
