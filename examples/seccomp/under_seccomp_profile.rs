//! Runs a program under a seccomp profile in Docker's format, without a container, to test whether the program works.
//!
//! ```text
//! cargo build --release -p squall -p squall-seccomp --example under_seccomp_profile --example hello
//! target/release/examples/under_seccomp_profile docs/seccomp.json target/release/examples/hello
//! ```
//!
//! It supports what `docs/seccomp.json` uses: an allow-list, conditions on arguments, and calls that fail with another
//! error. It rejects a profile with anything else, rather than enforce part of it. It needs no privilege.

use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use seccompiler::{apply_filter, compile_from_json};
use serde::Deserialize;
use serde_json::{Value, json};

/// The error of a call that the profile does not list: "operation not permitted".
const EPERM: u32 = 1;

/// A profile; calls that it does not list fail.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: String,
    #[serde(rename = "architectures")]
    _architectures: Vec<String>,
    syscalls: Vec<Rule>,
}

/// What some calls do if all conditions hold.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    names: Vec<String>,
    action: String,
    #[serde(default)]
    args: Vec<Condition>,
    errno_ret: Option<u32>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

/// A condition on one argument of a call.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let usage = "usage: under_seccomp_profile PROFILE PROGRAM [ARGUMENT]...";
    let (path, program) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?);
    let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let profile: Profile = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    profile.enforce()?;
    // `exec` returns only if it fails.
    let error = Command::new(&program).args(arguments).exec();
    Err(format!("could not start {}: {error}", program.display()).into())
}

impl Profile {
    /// Applies the profile to this thread and to the program that replaces it.
    fn enforce(&self) -> Result<(), Box<dyn Error>> {
        if self.default_action != "SCMP_ACT_ERRNO" {
            return Err(format!("unsupported default action {}; use SCMP_ACT_ERRNO", self.default_action).into());
        }
        let mut listed = Vec::new();
        let mut filters = Vec::new();
        for rule in &self.syscalls {
            let calls = rule.calls()?;
            match (rule.action.as_str(), rule.errno_ret) {
                ("SCMP_ACT_ALLOW", None) => {}
                ("SCMP_ACT_ERRNO", errno) => {
                    let refuse = json!({ "errno": errno.unwrap_or(EPERM) });
                    filters.push(filter(&json!("allow"), &refuse, &calls));
                }
                (action, _) => return Err(format!("unsupported action {action}").into()),
            }
            listed.extend(calls);
        }
        // The kernel runs every filter and applies the most severe verdict, so one filter may allow what another refuses.
        filters.push(filter(&json!({ "errno": EPERM }), &json!("allow"), &listed));
        for filter in filters {
            let compiled = compile_from_json(filter.as_bytes(), env::consts::ARCH.try_into()?)?;
            compiled.values().try_for_each(|program| apply_filter(program))?;
        }
        Ok(())
    }
}

impl Rule {
    /// Returns the rule in the compiler's format, once for each call that this processor has.
    fn calls(&self) -> Result<Vec<Value>, Box<dyn Error>> {
        let conditions: Vec<Value> = self.args.iter().map(Condition::words).collect::<Result<_, _>>()?;
        let names = self.names.iter().filter(|name| exists(name));
        let call = |name| match conditions.is_empty() {
            true => json!({ "syscall": name }),
            false => json!({ "syscall": name, "args": conditions }),
        };
        Ok(names.map(call).collect())
    }
}

impl Condition {
    fn words(&self) -> Result<Value, Box<dyn Error>> {
        let (operator, value) = match self.op.as_str() {
            "SCMP_CMP_EQ" => (json!("eq"), self.value),
            "SCMP_CMP_NE" => (json!("ne"), self.value),
            "SCMP_CMP_MASKED_EQ" => (json!({ "masked_eq": self.value }), self.value_two),
            other => return Err(format!("unsupported comparison {other}").into()),
        };
        Ok(json!({ "index": self.index, "type": "qword", "op": operator, "val": value }))
    }
}

/// Returns whether the compiler knows the call on this processor; container runtimes skip unknown calls too.
fn exists(name: &str) -> bool {
    let filter = filter(&json!("allow"), &json!("log"), &[json!({ "syscall": name })]);
    env::consts::ARCH
        .try_into()
        .is_ok_and(|architecture| compile_from_json(filter.as_bytes(), architecture).is_ok())
}

fn filter(otherwise: &Value, listed: &Value, calls: &[Value]) -> String {
    json!({ "profile": { "mismatch_action": otherwise, "match_action": listed, "filter": calls } }).to_string()
}
