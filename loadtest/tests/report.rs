//! `report` from a record to its rendering in a browser, in wide and narrow, light and dark windows.
//!
//! The record is a fixture: windows of a real run, and invented ones for each kind of workload.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

#[path = "../../shards/tests/common/skip.rs"]
mod skip;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/comparison.json");

/// Debian's browser; the tests that need one are skipped where it is absent.
const BROWSER: &str = "/usr/bin/chromium";

/// The longest time for a browser to render one page, in seconds; it starts in one or two.
const BROWSER_SECONDS_MAX: &str = "60";

/// Measures the rendered page: its width, its contents, texts outside their chart, and overlapping texts.
const MEASURE: &str = r#"<script>
const box = element => element.getBoundingClientRect();
const charts = [...document.querySelectorAll("svg")];
const texts = chart => [...chart.querySelectorAll("text")].filter(text => text.textContent);
const leaves = (text, chart) => box(text).left < box(chart).left - 1 || box(text).right > box(chart).right + 1;
const covers = (a, b) => Math.min(box(a).right, box(b).right) - Math.max(box(a).left, box(b).left) > 1
  && Math.min(box(a).bottom, box(b).bottom) - Math.max(box(a).top, box(b).top) > box(a).height / 2;
parent.postMessage(JSON.stringify({
  window: innerWidth,
  width: document.documentElement.scrollWidth,
  charts: charts.length,
  tables: document.querySelectorAll("table").length,
  rows: document.querySelectorAll("tbody tr").length,
  curves: document.querySelectorAll(".curve").length,
  bars: document.querySelectorAll(".bars .row").length,
  whiskers: document.querySelectorAll(".whisker").length,
  small: charts.filter(chart => box(chart).width < 300 || box(chart).height < 60).length,
  left: charts.flatMap(chart => texts(chart).filter(text => leaves(text, chart))).map(text => text.textContent),
  covered: charts.flatMap(chart => texts(chart).flatMap((a, index) => texts(chart).slice(index + 1)
    .filter(b => covers(a, b)).map(b => a.textContent + " and " + b.textContent))),
}), "*");
</script>"#;

fn report(record: &Path, folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall-loadtest"));
    command.arg("report").arg(record).arg("--output").arg(folder);
    command.output().unwrap()
}

/// Writes the fixture's report into a temporary folder.
fn fixture() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let output = report(Path::new(FIXTURE), folder.path());
    assert!(output.status.success(), "{output:?}");
    let page = folder.path().join("report.html");
    (folder, page)
}

/// Returns the browser's standard output; `None`, and skipped, without a browser.
fn browse(page: &Path, profile: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    if !Path::new(BROWSER).exists() {
        skip::skip_without_program(format!("there is no {BROWSER}; apt-get install chromium"));
        return None;
    }
    let mut command = Command::new("timeout");
    command.args([
        BROWSER_SECONDS_MAX,
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
    ]);
    command
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(arguments);
    let output = command.arg(format!("file://{}", page.display())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

/// Returns the result of [`MEASURE`] in a window of this width; `None` without a browser.
///
/// The window is a frame in a page, because the browser's own windows have a minimum width above a phone's.
fn measure(page: &Path, width: u32) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(page).unwrap();
    let measured = page.replace("</body>", &format!("{MEASURE}</body>"));
    fs::write(folder.path().join("measured.html"), measured).unwrap();
    let around = format!(
        "<pre></pre><script>onmessage = said => document.querySelector('pre').textContent = said.data;</script>\
         <iframe src=measured.html width={width} height=900 style='border: 0'></iframe>"
    );
    let frame = folder.path().join("frame.html");
    fs::write(&frame, around).unwrap();
    let patience = "--virtual-time-budget=10000";
    let document = browse(&frame, &folder.path().join("profile"), &["--dump-dom", patience])?;
    let document = String::from_utf8(document).unwrap();
    let (_, after) = document.split_once("<pre>").unwrap();
    let (json, _) = after.split_once("</pre>").unwrap();
    let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    Some(serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {document}")))
}

/// Reads width and height from the first chunk of a PNG.
fn png_size(png: &[u8]) -> (u32, u32) {
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn report_is_two_files_with_the_same_content() {
    let (folder, page) = fixture();
    let page = fs::read_to_string(page).unwrap();
    let markdown = fs::read_to_string(folder.path().join("report.md")).unwrap();
    for workload in [
        "plaintext-64",
        "pipelined-16",
        "latency-1",
        "sweep-64",
        "churn",
        "idle-15000",
        "echo-64",
        "fan-out-1000",
    ] {
        assert!(page.contains(&format!("<h2>{workload}</h2>")), "{workload}");
        assert!(markdown.contains(&format!("\n## {workload}: ")), "{workload}");
    }
    for said in [
        "This is a fixture and not a measurement",
        "io_uring wins against epoll,",
        "6.18.44-fc-v657",
        "nginx is not installed",
    ] {
        assert!(page.contains(said), "{said}");
        let escaped = said.replace('_', "\\_");
        assert!(markdown.contains(said) || markdown.contains(&escaped), "{said}");
    }
}

#[test]
fn unusable_record_is_one_error_and_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let fixture = fs::read_to_string(FIXTURE).unwrap();
    for (record, reason) in [
        (folder.path().join("absent.json"), "could not read"),
        (written("text.json", "hello"), "not JSON"),
        (written("other.json", "[]"), "not a record of a comparison"),
        (
            written("later.json", r#"{"version": 2}"#),
            "this program reads version 1",
        ),
        (
            written(
                "floorless.json",
                &fixture.replace(r#""baseline": "floor-epoll""#, r#""baseline": "flor""#),
            ),
            "the baseline `flor` is not among the contenders",
        ),
    ] {
        let output = report(&record, &folder.path().join("out"));
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(
            complaint.starts_with("error: ") && complaint.contains(reason),
            "{complaint}"
        );
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        assert!(!folder.path().join("out").exists());
    }
}

#[test]
fn browser_shows_every_chart_and_table_and_nothing_overflows() {
    let (_folder, page) = fixture();
    for width in [1200, 420] {
        let Some(seen) = measure(&page, width) else { return };
        assert_eq!(seen["window"], width, "{seen}");
        assert!(
            seen["width"].as_u64() <= seen["window"].as_u64(),
            "the page is wider than its window: {seen}"
        );
        // Two overview charts; three each for capacity, latency, churn, echo and fan-out; two each for pipelined, sweep
        // and idle.
        assert_eq!(seen["charts"], 23, "{seen}");
        // One table per workload, then contenders, skipped contenders and noise.
        assert_eq!(seen["tables"], 11, "{seen}");
        for (what, least) in [("rows", 60), ("curves", 40), ("bars", 80), ("whiskers", 60)] {
            assert!(seen[what].as_u64() >= Some(least), "{what}: {seen}");
        }
        assert_eq!(seen["small"], 0, "{seen}");
        assert_eq!(seen["left"], Value::Array(Vec::new()), "texts leave their charts");
        assert_eq!(seen["covered"], Value::Array(Vec::new()), "texts lie on each other");
    }
}

#[test]
fn browser_paints_a_picture_in_both_colour_schemes() {
    let (folder, page) = fixture();
    let paint = |name: &str, scheme: &str| {
        let picture = folder.path().join(name);
        let screenshot = format!("--screenshot={}", picture.display());
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        browse(
            &page,
            &folder.path().join("profile"),
            &[&screenshot, &scheme, "--window-size=1200,2000"],
        )?;
        Some(fs::read(picture).unwrap())
    };
    let (Some(light), Some(dark)) = (paint("light.png", "1"), paint("dark.png", "0")) else {
        return;
    };
    for picture in [&light, &dark] {
        assert_eq!(png_size(picture), (1200, 2000));
        // An empty page of this size takes less than 20 kB.
        assert!(picture.len() > 100_000, "{} bytes", picture.len());
    }
    assert_ne!(light, dark);
}
