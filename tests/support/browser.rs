//! Debian's Chromium, headless, driven through its debugging pipe.
//!
//! The pipe is a pair of inherited descriptors that carry JSON separated by zero bytes (the Chrome DevTools
//! Protocol). So it needs no port, driver program or crate. The page itself waits: an expression is evaluated until
//! it holds.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    reason = "indexing JSON never panics; the rest panics as a failed test does"
)]

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

/// The path of Debian's package `chromium`.
const PROGRAM: &str = "/usr/bin/chromium";

/// How long the browser may take to answer. Generous: it starts in a second or two on a machine that is not busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a page may take to reach the expected state, in milliseconds.
const CHANGE_MILLISECONDS_MAX: u32 = 20_000;

/// The most pages that a page may leave while a test waits for something on it.
const NAVIGATIONS_MAX: u32 = 20;

/// The interval between two evaluations, in milliseconds.
const LOOK_MILLISECONDS: u32 = 10;

/// The shell that opens the pipe: the browser reads descriptor 3 and writes 4.
const WITH_PIPE: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

/// A running browser, ended and reaped when dropped.
pub(crate) struct Browser {
    child: Child,
    pipe: RefCell<Pipe>,
    profile: PathBuf,
}

/// One page in a window of its own.
pub(crate) struct Page<'b> {
    browser: &'b Browser,
    session: String,
}

/// The debugging pipe, and received events that were not requested yet.
struct Pipe {
    input: ChildStdin,
    output: Receiver<Value>,
    events: Vec<Value>,
    last_id: u64,
}

impl Browser {
    /// Starts a browser; `None`, and the test is skipped, if none is installed.
    ///
    /// # Panics
    ///
    /// When it is installed and does not start.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts a browser with additional flags, as [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// As there.
    pub(crate) fn start_with(flags: &[&str]) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            super::skip::skip_without_program(format!("there is no {PROGRAM}; apt-get install chromium"));
            return None;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("browser-{}-{count}", std::process::id());
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut child = Command::new("sh")
            .args(["-c", WITH_PIPE, PROGRAM])
            .args(["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"])
            .args(["--hide-scrollbars", "--no-first-run", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell to start the browser with");
        let input = child.stdin.take().expect("it is piped");
        let mut reader = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while matches!(reader.read_until(0, &mut message), Ok(1..)) {
                message.pop();
                let message_read = serde_json::from_slice(&message).expect("the browser speaks JSON");
                message.clear();
                if sender.send(message_read).is_err() {
                    return;
                }
            }
        });
        let pipe = RefCell::new(Pipe {
            input,
            output,
            events: Vec::new(),
            last_id: 0,
        });
        Some(Self { child, pipe, profile })
    }

    /// Opens a page in a window of its own and waits until it is loaded.
    ///
    /// # Panics
    ///
    /// When the page cannot be loaded.
    pub(crate) fn open(&self, url: &str) -> Page<'_> {
        let target = self.call(
            None,
            "Target.createTarget",
            &json!({"url": "about:blank", "newWindow": true}),
        );
        let attached = self.call(
            None,
            "Target.attachToTarget",
            &json!({"targetId": target["targetId"], "flatten": true}),
        );
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let page = Page { browser: self, session };
        page.call("Page.enable", &json!({}));
        page.call("Runtime.enable", &json!({}));
        page.call("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}));
        page.load(url);
        page
    }

    /// Sends a request to the browser, for a page or for itself, and returns the response.
    fn call(&self, session: Option<&str>, method: &str, parameters: &Value) -> Value {
        let answer = self.try_call(session, method, parameters);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Sends a request to the browser, and returns the response or the error.
    fn try_call(&self, session: Option<&str>, method: &str, parameters: &Value) -> Result<Value, Value> {
        let mut pipe = self.pipe.borrow_mut();
        pipe.last_id += 1;
        let id = pipe.last_id;
        let mut request = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = session {
            request["sessionId"] = session.into();
        }
        let mut bytes = request.to_string().into_bytes();
        bytes.push(0);
        pipe.input.write_all(&bytes).expect("the browser listens");
        loop {
            let mut message = pipe.receive(method);
            if message["id"] != id {
                pipe.events.push(message);
            } else if message["error"].is_null() {
                return Ok(message["result"].take());
            } else {
                return Err(message["error"].take());
            }
        }
    }
}

impl Pipe {
    fn receive(&self, what_for: &str) -> Value {
        let message = self.output.recv_timeout(ANSWER_TIMEOUT);
        message.unwrap_or_else(|error| panic!("the browser does not answer {what_for}: {error}"))
    }

    /// The events of a page that have come, by their name.
    fn events<'p>(&'p self, session: &'p str, method: &'p str) -> impl Iterator<Item = &'p Value> {
        let is_it = move |event: &&Value| event["sessionId"] == session && event["method"] == method;
        self.events.iter().filter(is_it)
    }
}

impl Page<'_> {
    /// Goes to a URL, or to the same one again, and waits until it is loaded.
    pub(crate) fn load(&self, url: &str) {
        let of_others = |event: &Value| event["sessionId"] != self.session.as_str();
        self.browser.pipe.borrow_mut().events.retain(of_others);
        let answer = self.call("Page.navigate", &json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        let mut pipe = self.browser.pipe.borrow_mut();
        while pipe.events(&self.session, "Page.loadEventFired").next().is_none() {
            let event = pipe.receive("the load");
            pipe.events.push(event);
        }
    }

    /// Runs a script, awaits its value if that is a promise, and returns it.
    ///
    /// # Panics
    ///
    /// When it throws.
    #[track_caller]
    pub(crate) fn evaluate(&self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", &parameters);
        let thrown = &answer["exceptionDetails"];
        assert!(
            thrown.is_null(),
            "{expression:.300}\nthrew {}",
            thrown["exception"]["description"].as_str().unwrap_or_default()
        );
        answer["result"]["value"].take()
    }

    /// Waits until an expression holds, on this page or on one that follows it.
    ///
    /// # Panics
    ///
    /// When the expression does not hold in time; the message shows the page's text.
    #[track_caller]
    pub(crate) fn wait_until(&self, expression: &str) {
        let looking = format!(
            "new Promise(resolve => {{
                const began = performance.now();
                const look = () => {{
                    if ({expression}) resolve(true);
                    else if (performance.now() - began > {CHANGE_MILLISECONDS_MAX}) resolve(document.documentElement.textContent);
                    else setTimeout(look, {LOOK_MILLISECONDS});
                }};
                look();
            }})"
        );
        let parameters = json!({"expression": looking, "awaitPromise": true, "returnByValue": true});
        for _ in 0..NAVIGATIONS_MAX {
            // A page that is left answers with an error, and the next one is looked at instead.
            let answer = self
                .browser
                .try_call(Some(&self.session), "Runtime.evaluate", &parameters);
            if let Ok(mut answer) = answer {
                let thrown = &answer["exceptionDetails"];
                assert!(thrown.is_null(), "{expression:.300}\nthrew {thrown}");
                assert_eq!(answer["result"]["value"].take(), true, "never so: {expression}");
                return;
            }
        }
        panic!("more than {NAVIGATIONS_MAX} pages before: {expression}");
    }

    /// Sets the size of the page in CSS pixels.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Emulates a reader that prefers `light` or `dark`.
    pub(crate) fn prefer(&self, scheme: &str) {
        let feature = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &feature);
    }

    /// Types text into the focused element, as an input method does.
    pub(crate) fn type_text(&self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    /// Presses and releases Enter.
    pub(crate) fn press_enter(&self) {
        for kind in ["keyDown", "keyUp"] {
            let key = json!({"type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"});
            self.call("Input.dispatchKeyEvent", &key);
        }
    }

    /// The uncaught exceptions of the page's scripts since it was loaded.
    pub(crate) fn exceptions(&self) -> Vec<String> {
        let pipe = self.browser.pipe.borrow();
        let thrown = pipe.events(&self.session, "Runtime.exceptionThrown");
        thrown
            .map(|event| event["params"]["exceptionDetails"].to_string())
            .collect()
    }

    /// A picture of the page, as a PNG.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", &json!({"format": "png"}));
        let text = answer["data"].as_str().expect("a picture");
        BASE64.decode(text.as_bytes()).expect("the picture is in base64")
    }

    fn call(&self, method: &str, parameters: &Value) -> Value {
        self.browser.call(Some(&self.session), method, parameters)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // An orderly close ends the browser's helpers first, so that the profile is written no more. A failure here
        // must not hide the reason of a panic.
        let pipe = self.pipe.get_mut();
        if pipe
            .input
            .write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0")
            .is_ok()
        {
            while pipe.output.recv_timeout(ANSWER_TIMEOUT).is_ok() {}
        }
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.profile));
    }
}
