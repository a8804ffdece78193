//! Servers of others, to which Squall's client connects: `openssl s_server` and Python's `ssl`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use squall::client::Client;

use crate::authority::{Authority, Issued};
use crate::https::trusting;
use crate::origin::for_localhost;
use crate::support::shard::on_shard;
use crate::support::skip::skip_without_program;

/// A server in Python's standard library. It prints its port, and ends with its standard input.
const PYTHON_SERVER: &str = r#"
import http.server, ssl, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def do_GET(self):
        self.answer(("hello over " + self.connection.version()).encode())
    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
context.set_alpn_protocols(["http/1.1"])
if sys.argv[3] == "1.2":
    context.maximum_version = ssl.TLSVersion.TLSv1_2
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
"#;

/// A server of another program; dropping it ends it.
struct Foreign {
    child: Child,
    port: u16,
}

impl Foreign {
    /// Starts a program, which prints its port behind the last colon of a line that begins with `before`.
    ///
    /// Skips the test if the program is not installed.
    fn start(command: &mut Command, before: &str) -> Option<Self> {
        let spawned = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = spawned else {
            skip_without_program(format!("{} is not installed", command.get_program().display()));
            return None;
        };
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let rest = line.strip_prefix(before)?;
            rest.rsplit(':').next()?.trim().parse().ok()
        });
        // What it prints later is of no interest, but must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self {
            child,
            port: port.unwrap(),
        })
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn openssl(own: &Issued, version: &str) -> Option<Foreign> {
    let mut server = Command::new("openssl");
    server
        .args(["s_server", "-accept", "127.0.0.1:0", "-www", version, "-cert"])
        .arg(&own.certificate)
        .arg("-key")
        .arg(&own.key);
    Foreign::start(&mut server, "ACCEPT ")
}

fn python(own: &Issued, version: &str) -> Option<Foreign> {
    let mut server = Command::new("python3");
    server
        .args(["-c", PYTHON_SERVER])
        .args([&own.certificate, &own.key])
        .arg(version);
    Foreign::start(&mut server, "")
}

/// The page of `s_server` ends with its connection: its `close_notify` makes it complete.
#[test]
fn a_client_reads_the_page_of_openssl_with_each_version() {
    let (authority, own) = for_localhost();
    for (flag, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let Some(server) = openssl(&own, flag) else { return };
        let (url, tls) = (server.url("/"), trusting(&authority));
        on_shard(move || {
            let (url, tls) = (url.clone(), tls.clone());
            async move {
                let client = Client::builder().tls(tls).build().unwrap();
                for _ in 0..3 {
                    let page = client.get(&url).send().await.unwrap().text().await.unwrap();
                    assert!(page.contains(version) && page.contains("</pre>"), "{page}");
                }
            }
        });
    }
}

#[test]
fn a_client_keeps_a_connection_to_python_and_sends_content() {
    let (authority, own) = for_localhost();
    for version in ["1.2", "1.3"] {
        let Some(server) = python(&own, version) else { return };
        let (page, tls) = (server.url("/"), trusting(&authority));
        on_shard(move || {
            let (page, tls) = (page.clone(), tls.clone());
            async move {
                let client = Client::builder().tls(tls).build().unwrap();
                for _ in 0..3 {
                    let said = client.get(&page).send().await.unwrap().text().await.unwrap();
                    assert_eq!(said, format!("hello over TLSv{version}"));
                }
                let content = "x".repeat(300_000);
                let sent = client.post(&page).body(content.clone()).send().await.unwrap();
                assert!(sent.text().await.unwrap() == content);
            }
        });
    }
}

#[test]
fn openssl_with_the_certificate_of_a_stranger_is_refused() {
    let (_authority, own) = for_localhost();
    let Some(server) = openssl(&own, "-tls1_3") else { return };
    let (url, tls) = (server.url("/"), trusting(&Authority::new()));
    on_shard(move || {
        let (url, tls) = (url.clone(), tls.clone());
        async move {
            let client = Client::builder().tls(tls).build().unwrap();
            let error = client.get(&url).send().await.unwrap_err().to_string();
            assert!(error.contains("no trusted authority has issued"), "{error}");
        }
    });
}
