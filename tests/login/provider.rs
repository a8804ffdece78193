//! The provider: `oidc-provider` in a process of Node, started by the test that needs it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use url::Url;

use crate::harness::Visitor;

/// A running provider; dropping it ends its process.
pub(crate) struct Provider {
    child: Child,
    issuer: String,
    modules: PathBuf,
}

impl Provider {
    /// Starts a provider on a free port; `None`, and the test is skipped, without Node or the package.
    pub(crate) fn start() -> Option<Self> {
        let modules = installed().join("node_modules");
        let has_node = Command::new("node")
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success());
        if !has_node || !modules.join("oidc-provider").exists() {
            crate::support::skip::skip_without_program(
                "oidc-provider is missing; .ci/run installs what tests/third_party/package.json names".to_owned(),
            );
            return None;
        }
        let (child, issuer) = spawn(&modules, 0, "rsa-1");
        Some(Self { child, issuer, modules })
    }

    /// Starts it again at the same address with another key, and forgets everything else.
    pub(crate) fn rotate(&mut self, key: &str) {
        let port = Url::parse(&self.issuer).unwrap().port().unwrap();
        self.stop();
        (self.child, self.issuer) = spawn(&self.modules, port, key);
    }

    /// Ends the process.
    pub(crate) fn stop(&mut self) {
        drop(self.child.kill());
        self.child.wait().unwrap();
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What the next ID tokens say in place of the truth.
    pub(crate) fn lie(&self, claims: &Value) {
        let mut url = Url::parse(&format!("{}/control/lie", self.issuer)).unwrap();
        url.query_pairs_mut().append_pair("claims", &claims.to_string());
        assert_eq!(Visitor::new().get(url.as_str()).status, 200);
    }

    /// Makes every code that was given too old.
    pub(crate) fn expire_codes(&self) {
        let answer = Visitor::new().get(&format!("{}/control/expire-codes", self.issuer));
        assert_eq!(answer.status, 200);
    }

    /// The last ID token that it has signed.
    pub(crate) fn last_id_token(&self) -> String {
        let answer = Visitor::new().get(&format!("{}/control/id-token", self.issuer));
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }

    /// How often a path was requested.
    pub(crate) fn requests(&self, path: &str) -> u64 {
        let answer = Visitor::new().get(&format!("{}/control/requests", self.issuer));
        let counts: Value = serde_json::from_slice(&answer.body).unwrap();
        counts[path].as_u64().unwrap_or(0)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(modules: &Path, port: u16, key: &str) -> (Child, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("provider.mjs");
    let mut child = Command::new("node")
        .arg(script)
        .arg(modules)
        .args([&port.to_string(), key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut issuer = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    loop {
        issuer.clear();
        assert_ne!(output.read_line(&mut issuer).unwrap(), 0, "the provider has ended");
        if issuer.starts_with("http://") {
            break;
        }
    }
    // What it writes later goes nowhere, and must not end it.
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    (child, issuer.trim().to_owned())
}

/// The folder in which `.ci/run` installs the packages.
fn installed() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    target.expect("the folder is one of cargo's").join("third_party")
}
