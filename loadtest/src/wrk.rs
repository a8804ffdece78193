//! wrk, the load generator: its command line, and its report read back.
//!
//! wrk counts every answer as a request, pipelined or not. Its latencies are corrected for coordinated omission by the mean time
//! between two answers on a connection; pipelining makes that time meaningless, so then its latencies are not read at all.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::child::{Child, Ending};
use crate::interrupt::Interrupt;
use crate::proc::ProcessTime;
use crate::workload::Workload;

/// How much longer than its duration wrk may take: it connects first, and ends with the second it is in.
const GRACE: Duration = Duration::from_secs(15);

/// What wrk said of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WrkReport {
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    /// `None` when requests were pipelined.
    pub(crate) latency: Option<Latency>,
    /// Failed connects, reads, writes, timeouts, and answers with a status of 400 or more.
    pub(crate) errors: u64,
}

/// Percentiles of the time from a request to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
}

/// One run of wrk against one server.
#[derive(Debug)]
pub(crate) struct Wrk<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) address: SocketAddr,
    pub(crate) seconds: u64,
    pub(crate) core: usize,
    /// The folder that holds `pipeline.lua`.
    pub(crate) scripts: &'a Path,
}

impl Wrk<'_> {
    /// Runs wrk to its end. `None` says that the user interrupted it.
    ///
    /// # Errors
    ///
    /// When wrk cannot be started, fails, or does not end.
    pub(crate) fn run(&self, interrupt: &Interrupt) -> Result<Option<(WrkReport, ProcessTime)>> {
        let mut child = Child::spawn(self.command())?;
        let timeout = Duration::from_secs(self.seconds) + GRACE;
        match child.wait_unreaped(timeout, interrupt)? {
            None => {}
            Some(Ending::Interrupted) => return Ok(None),
            Some(_) => bail!("wrk did not end {} s after it should have", GRACE.as_secs()),
        }
        let cpu = ProcessTime::read(child.pid())?;
        let output = child.output()?;
        let mut report = parse(&output).with_context(|| format!("wrk failed: {}", child.complaint()))?;
        report.latency = report.latency.filter(|_| self.workload.pipeline == 1);
        Ok(Some((report, cpu)))
    }

    fn command(&self) -> Command {
        let Self {
            workload,
            address,
            seconds,
            core,
            scripts,
        } = self;
        let mut command = Command::new("taskset");
        command.args([
            "-c",
            &core.to_string(),
            "wrk",
            "-t1",
            &format!("-c{}", workload.connections),
        ]);
        command.args([&format!("-d{seconds}s"), "--latency"]);
        if workload.pipeline > 1 {
            command.arg("-s").arg(scripts.join("pipeline.lua"));
        }
        command.arg(format!("http://{address}{}", workload.path));
        if workload.pipeline > 1 {
            command.args(["--", &workload.pipeline.to_string()]);
        }
        command
    }
}

/// The version of the wrk that is installed.
///
/// # Errors
///
/// When there is none; the error says how to get it.
pub(crate) fn version() -> Result<String> {
    let output = Command::new("wrk").arg("-v").output();
    let output = output.context("wrk cannot be started; on Debian and Ubuntu: apt-get install wrk")?;
    // `wrk 4.1.0 [epoll] Copyright …`; Debian's build says `wrk debian/4.1.0-3+b2 [epoll] …`.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = text.lines().next().unwrap_or_default();
    Ok(first.split(" [").next().unwrap_or_default().to_owned())
}

fn parse(output: &str) -> Result<WrkReport> {
    let lines = || output.lines().map(str::trim);
    let total = lines()
        .find(|line| line.contains(" requests in "))
        .context("no line `N requests in T`")?;
    let requests = total
        .split(' ')
        .next()
        .unwrap_or_default()
        .parse()
        .context("the number of requests")?;
    ensure!(requests > 0, "not one request was answered");
    let rate = lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))
        .context("no line `Requests/sec:`")?;
    let percentile = |label: &str| -> Result<f64> {
        let value = lines().find_map(|line| line.strip_prefix(label));
        microseconds(
            value
                .with_context(|| format!("no {label} in the latency distribution"))?
                .trim(),
        )
    };
    Ok(WrkReport {
        requests,
        requests_per_second: rate.trim().parse().context("requests per second")?,
        latency: Some(Latency {
            p50_us: percentile("50%")?,
            p90_us: percentile("90%")?,
            p99_us: percentile("99%")?,
        }),
        errors: lines().map(errors).sum::<Result<u64>>()?,
    })
}

/// Errors counted on a line such as `Socket errors: connect 0, read 3, write 0, timeout 1`; none on any other line.
fn errors(line: &str) -> Result<u64> {
    if let Some(counts) = line.strip_prefix("Socket errors:") {
        let counts = counts
            .split(',')
            .map(|count| count.rsplit(' ').next().unwrap_or_default());
        return counts.map(|count| count.parse::<u64>().context("socket errors")).sum();
    }
    match line.strip_prefix("Non-2xx or 3xx responses:") {
        Some(count) => count.trim().parse().context("responses that are errors"),
        None => Ok(0),
    }
}

/// Reads a time as wrk writes it: a number with `us`, `ms`, `s`, `m` or `h` right behind it.
fn microseconds(text: &str) -> Result<f64> {
    let digits_end = text
        .find(|character: char| character.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let number: f64 = number.parse().with_context(|| format!("`{text}` is not a time"))?;
    let scale = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        "h" => 3600e6,
        _ => bail!("`{text}` is not a time"),
    };
    // wrk writes two decimals at most; more of them would be an artefact of the multiplication.
    Ok((number * scale * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Running 2s test @ http://127.0.0.1:18234/plaintext
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.35ms    1.77ms  12.76ms   83.32%
    Req/Sec    54.75k     3.90k   60.60k    55.00%
  Latency Distribution
     50%  431.00us
     75%    2.11ms
     90%    4.06ms
     99%    1.20s
  109608 requests in 2.02s, 12.02MB read
Requests/sec:  54363.87
Transfer/sec:      5.96MB
";

    #[test]
    fn report_is_read_in_every_unit() {
        let report = parse(REPORT).unwrap();
        let expected = WrkReport {
            requests: 109_608,
            requests_per_second: 54_363.87,
            latency: Some(Latency {
                p50_us: 431.0,
                p90_us: 4_060.0,
                p99_us: 1_200_000.0,
            }),
            errors: 0,
        };
        assert_eq!(report, expected);
    }

    #[test]
    fn errors_of_both_kinds_are_counted() {
        let with_errors = REPORT.replace(
            "Requests/sec:",
            "  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 50000\nRequests/sec:",
        );
        assert_eq!(parse(&with_errors).unwrap().errors, 54_321);
    }

    #[test]
    fn unusable_reports_are_refused() {
        let silent = REPORT.replace("109608 requests", "0 requests");
        for (text, mistake) in [
            ("unable to connect to 127.0.0.1:1 Connection refused", "requests in"),
            (silent.as_str(), "not one request"),
            (&REPORT.replace("99%", "98%"), "99%"),
            (&REPORT.replace("431.00us", "431.00"), "`431.00` is not a time"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(format!("{error:#}").contains(mistake), "{error:#}");
        }
    }

    #[test]
    fn pipelining_is_asked_for_through_the_script() {
        let form = "title = ''\nmeasures = 'capacity'\npath = '/p'\nconnections = 8\npipeline = 16\n\
                    [expect]\nstatus = 200\ncontent_type = ''\nbody = ''";
        let workload = Workload::parse("piped", form).unwrap();
        let wrk = Wrk {
            workload: &workload,
            address: "127.0.0.1:80".parse().unwrap(),
            seconds: 3,
            core: 1,
            scripts: Path::new("scripts"),
        };
        let command = wrk.command();
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        assert_eq!(
            words.join(" "),
            "-c 1 wrk -t1 -c8 -d3s --latency -s scripts/pipeline.lua http://127.0.0.1:80/p -- 16"
        );
    }
}
