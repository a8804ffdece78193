//! The seccomp profile in `docs/`: its contents, and a server under it, on io_uring if the machine has it.
//!
//! A filter belongs to a process, so the example `under_seccomp_profile` applies the profile to itself and then
//! executes the program.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../../../tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use support::server::{Server, driver_under_test, path_of};

/// The system calls of io_uring.
const IO_URING: [&str; 3] = ["io_uring_setup", "io_uring_enter", "io_uring_register"];

/// The calls that Docker's documentation names as blocked by its default profile
/// (docs.docker.com/engine/security/seccomp). Those of io_uring are left out, and so is `clone`, which is blocked for
/// new namespaces only.
const BLOCKED_BY_DOCKER: &str = "\
    acct add_key bpf clock_adjtime clock_settime create_module delete_module finit_module get_kernel_syms \
    get_mempolicy init_module ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind mount \
    move_pages name_to_handle_at nfsservctl open_by_handle_at perf_event_open personality pivot_root \
    process_vm_readv process_vm_writev ptrace query_module quotactl reboot request_key set_mempolicy setns \
    settimeofday stime swapoff swapon sysfs _sysctl umount umount2 unshare uselib userfaultfd ustat vm86 vm86old";

/// All flags of clone(2) that make a new namespace.
const CLONE_NEW: u64 = 0x7e02_0000;

fn profile_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/seccomp.json")
}

fn profile() -> Value {
    serde_json::from_str(&fs::read_to_string(profile_path()).unwrap()).unwrap()
}

/// The rules of the profile that concern a call.
fn rules<'a>(profile: &'a Value, call: &str) -> Vec<&'a Value> {
    let rules = profile["syscalls"].as_array().unwrap().iter();
    rules
        .filter(|rule| rule["names"].as_array().unwrap().iter().any(|name| name == call))
        .collect()
}

#[test]
fn io_uring_is_allowed_without_conditions() {
    let profile = profile();
    for call in IO_URING {
        let rules = rules(&profile, call);
        assert_eq!(rules.len(), 1, "{call}");
        assert_eq!(rules[0]["action"], "SCMP_ACT_ALLOW", "{call}");
        assert_eq!(rules[0]["args"], Value::Null, "{call}");
    }
}

#[test]
fn what_docker_blocks_stays_blocked() {
    let profile = profile();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    for call in BLOCKED_BY_DOCKER.split_ascii_whitespace() {
        assert!(rules(&profile, call).is_empty(), "{call} is in the profile");
    }
    let clone = rules(&profile, "clone");
    assert_eq!(clone.len(), 1);
    let condition = &clone[0]["args"][0];
    assert_eq!(
        (&condition["index"], &condition["op"]),
        (&0.into(), &"SCMP_CMP_MASKED_EQ".into())
    );
    assert_eq!(
        (&condition["value"], &condition["valueTwo"]),
        (&CLONE_NEW.into(), &0.into())
    );
    let clone3 = rules(&profile, "clone3");
    assert_eq!((clone3.len(), &clone3[0]["action"]), (1, &"SCMP_ACT_ERRNO".into()));
    assert_eq!(clone3[0]["errnoRet"], libc::ENOSYS);
}

/// Every runtime reads the profile, so it uses only fields of the OCI runtime specification and none of Docker's
/// additions.
#[test]
fn only_oci_fields_are_used_and_every_call_is_allowed_once() {
    let profile = profile();
    let words: Vec<&String> = profile.as_object().unwrap().keys().collect();
    assert_eq!(words, ["architectures", "defaultAction", "syscalls"]);
    let mut allowed = BTreeSet::new();
    for rule in profile["syscalls"].as_array().unwrap() {
        for word in rule.as_object().unwrap().keys() {
            let known = ["comment", "names", "action", "args", "errnoRet"];
            assert!(known.contains(&word.as_str()), "{word} in {rule}");
        }
        let condition = rule["args"].to_string();
        for name in rule["names"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            assert!(
                allowed.insert((name.to_owned(), condition.clone())),
                "{name} is there twice"
            );
        }
    }
}

/// Every runtime silently ignores a misspelt call.
#[test]
#[cfg(target_arch = "x86_64")]
fn every_call_exists() {
    for rule in profile()["syscalls"].as_array().unwrap() {
        for name in rule["names"].as_array().unwrap() {
            let filter = serde_json::json!({ "one": {
                "mismatch_action": "allow", "match_action": "log", "filter": [{ "syscall": name }],
            }});
            let compiled =
                seccompiler::compile_from_json(filter.to_string().as_bytes(), seccompiler::TargetArch::x86_64);
            assert!(compiled.is_ok(), "unknown system call: {name}");
        }
    }
}

/// A program, run under the profile.
fn confined(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(path_of("under_seccomp_profile"));
    command.arg(profile_path()).arg(program.as_ref());
    command.env("NO_COLOR", "1");
    command
}

#[test]
fn the_doctor_finds_under_the_profile_what_it_finds_without() {
    let free = Command::new(path_of("doctor")).output().unwrap();
    let confined = confined(path_of("doctor")).output().unwrap();
    let lines = |stdout: &[u8]| -> Vec<String> {
        let lines = String::from_utf8_lossy(stdout);
        // The one line that differs: whether there is a filter.
        let lines = lines.lines().filter(|line| !line.contains("seccomp filter"));
        lines.map(ToOwned::to_owned).collect()
    };
    assert_eq!(lines(&confined.stdout), lines(&free.stdout));
    assert_eq!(confined.status, free.status);
}

#[test]
fn a_server_runs_under_the_profile() {
    let mut command = confined(path_of("hello"));
    if let Some(driver) = driver_under_test() {
        command.args(["--driver", &driver]);
    }
    let server = Server::start_by(command, 2, &[]);
    for _ in 0..8 {
        let answer = server
            .connect()
            .exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
            .unwrap();
        answer.expect(200, b"Hello, Squall!").unwrap();
    }
    server.terminate();
    assert!(server.wait().success(), "{}", server.log());
}

#[test]
fn files_are_served_under_the_profile() {
    let mut command = confined(path_of("files"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"));
    if let Some(driver) = driver_under_test() {
        command.args(["--driver", &driver]);
    }
    // One file is read into memory whole, the other in pieces.
    let server = Server::start_by(command, 1, &["--max-cached-file-bytes", "6400"]);
    for name in ["seccomp.json", "guide/testing.md"] {
        let request = format!("GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = server.connect().exchange(request.as_bytes(), "GET").unwrap();
        let content = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).unwrap();
        answer.expect(200, &content).unwrap();
    }
    server.terminate();
    assert!(server.wait().success(), "{}", server.log());
}

/// New namespaces and another personality, which an unprivileged process may use unless a filter forbids it.
#[test]
fn the_profile_refuses_what_it_does_not_list() {
    let shell = confined("sh").args(["-c", "sh -c 'exit 7'"]).status().unwrap();
    assert_eq!(shell.code(), Some(7), "processes may be started");
    for (program, arguments) in [("unshare", &["--user", "true"][..]), ("setarch", &["-R", "true"])] {
        let output = confined(program).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{program} {arguments:?}");
        assert!(said.contains("not permitted"), "{program} {arguments:?}: {said}");
    }
}

#[test]
fn a_profile_that_cannot_be_enforced_is_refused_with_a_reason() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (name, text, part) in [
        ("text.json", "allow everything", "expected value"),
        (
            "docker.json",
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "archMap": [], "syscalls": []}"#,
            "unknown field `archMap`",
        ),
        (
            "allows.json",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": [], "syscalls": []}"#,
            "SCMP_ACT_ALLOW",
        ),
        (
            "traces.json",
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": [],
                "syscalls": [{"names": ["read"], "action": "SCMP_ACT_TRACE"}]}"#,
            "SCMP_ACT_TRACE",
        ),
    ] {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        let output = Command::new(path_of("under_seccomp_profile"))
            .arg(&path)
            .arg("true")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(part), "{name}: {said}");
    }
}
