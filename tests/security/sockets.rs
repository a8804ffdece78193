//! The sockets of users: they see the session, close with it, and expire.

use std::time::{Duration, SystemTime};

use squall::prelude::*;
use squall::security::Sessions;
use squall::websocket::Message;
use tungstenite::Message as Frame;

use crate::harness::*;

/// Tells its client who it is, and whatever the client says.
struct Greeter {
    name: String,
    expires_in: Option<Duration>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of a token, by the clock of the server"
)]
fn after(duration: Duration) -> SystemTime {
    SystemTime::now() + duration
}

impl WebSocketHandler for Greeter {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        ws.set_user(&self.name);
        if let Some(expires_in) = self.expires_in {
            ws.expires_at(Some(after(expires_in)));
        }
        Ok(ws.send(format!("hello {}", self.name)).await?)
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        Ok(ws.send(message).await?)
    }

    async fn on_refresh(&mut self, ws: &WebSocket, token: &str) -> Result {
        if token == "good" {
            ws.expires_at(None);
        }
        Ok(ws.send(format!("refreshed with {token}")).await?)
    }
}

async fn greeter(cx: &mut Context) -> Result<Greeter> {
    let name = cx.session().await?.user().or_status(401)?;
    let expires_in = cx.optional_query_param("expires_ms")?.map(Duration::from_millis);
    Ok(Greeter { name, expires_in })
}

fn application() -> Application {
    Application::new()
        .sessions(Sessions::in_memory())
        .get("/login", async |cx: &mut Context| -> Result {
            let user: String = cx.query_param("user")?;
            cx.session().await?.log_in(&user);
            Ok(())
        })
        .get("/logout", async |cx: &mut Context| -> Result {
            cx.session().await?.end();
            Ok(())
        })
        .get("/disconnect", async |cx: &mut Context| -> Result<String> {
            let user: String = cx.query_param("user")?;
            Ok(cx.disconnect(&user).await?.to_string())
        })
        .get("/user", async |cx: &mut Context| -> Result<String> {
            Ok(cx.session().await?.user().unwrap_or_default())
        })
        .websocket("/ws", greeter)
}

type Client = tungstenite::WebSocket<std::net::TcpStream>;

fn open(server: &Running, target: &str, cookie: &str) -> Client {
    let mut client = server.open(target, &[("Cookie", cookie)]).unwrap();
    assert!(read(&mut client).starts_with("hello "));
    client
}

#[track_caller]
fn read(client: &mut Client) -> String {
    match client.read().unwrap() {
        Frame::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The code and the reason of the close frame that comes next.
#[track_caller]
fn closed(client: &mut Client) -> (u16, String) {
    match client.read().unwrap() {
        Frame::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
        other => panic!("{other:?}"),
    }
}

fn is_open(client: &mut Client) -> bool {
    client.send(Frame::text("ping")).unwrap();
    read(client) == "ping"
}

#[test]
fn a_socket_sees_the_session_of_its_handshake() {
    let server = Running::start(2, application);
    let cookie = pair(&get(&server, "/login?user=ada", ""));
    let mut client = server.open("/ws", &[("Cookie", &cookie)]).unwrap();
    assert_eq!(read(&mut client), "hello ada");
    assert_eq!(server.open("/ws", &[]).unwrap_err().status(), 401);
    assert_eq!(
        server.open("/ws", &[("Cookie", "session=x")]).unwrap_err().status(),
        401
    );
}

#[test]
fn the_end_of_a_session_closes_its_sockets_on_every_shard() {
    let server = Running::start(2, application);
    let [ada, bob] = ["ada", "bob"].map(|user| pair(&get(&server, &format!("/login?user={user}"), "")));
    let ada_elsewhere = pair(&get(&server, "/login?user=ada", ""));
    let mut ended: Vec<_> = (0..8).map(|_| open(&server, "/ws", &ada)).collect();
    let mut others = [open(&server, "/ws", &bob), open(&server, "/ws", &ada_elsewhere)];
    get(&server, "/logout", &ada);
    for client in &mut ended {
        assert_eq!(closed(client), (4401, "disconnected".to_owned()));
    }
    assert!(others.iter_mut().all(is_open));
}

#[test]
fn a_new_id_of_a_session_closes_the_sockets_of_the_old_one() {
    let server = Running::start(2, application);
    let cookie = pair(&get(&server, "/login?user=ada", ""));
    let mut client = open(&server, "/ws", &cookie);
    get(&server, "/login?user=bob", &cookie);
    assert_eq!(closed(&mut client).0, 4401);
}

#[test]
fn a_disconnected_user_loses_every_socket_on_every_shard() {
    let server = Running::start(2, application);
    let [ada, bob] = ["ada", "bob"].map(|user| pair(&get(&server, &format!("/login?user={user}"), "")));
    let mut ended: Vec<_> = (0..8).map(|_| open(&server, "/ws", &ada)).collect();
    let mut other = open(&server, "/ws", &bob);
    assert_eq!(ok(&get(&server, "/disconnect?user=ada", "")), "8");
    for client in &mut ended {
        assert_eq!(closed(client), (4401, "disconnected".to_owned()));
    }
    assert!(is_open(&mut other));
    assert_eq!(ok(&get(&server, "/disconnect?user=ada", "")), "0");
    assert_eq!(ok(&get(&server, "/user", &ada)), "ada", "the session goes on");
}

#[test]
fn a_socket_that_expires_is_asked_and_then_closed() {
    let server = Running::start(1, application);
    let cookie = pair(&get(&server, "/login?user=ada", ""));
    let mut client = open(&server, "/ws?expires_ms=50", &cookie);
    assert_eq!(read(&mut client), "{\"expiring\":5}");
    // A wrong token changes nothing.
    client.send(Frame::text("{\"refresh\":\"bad\"}")).unwrap();
    assert_eq!(read(&mut client), "refreshed with bad");
    assert_eq!(closed(&mut client), (4401, "expired".to_owned()));
}

#[test]
fn a_socket_that_is_refreshed_goes_on() {
    let server = Running::start(1, application);
    let cookie = pair(&get(&server, "/login?user=ada", ""));
    let mut client = open(&server, "/ws?expires_ms=50", &cookie);
    assert_eq!(read(&mut client), "{\"expiring\":5}");
    client.send(Frame::text("{\"refresh\":\"good\"}")).unwrap();
    assert_eq!(read(&mut client), "refreshed with good");
    assert!(is_open(&mut client));
    // Without an expiry, the text is a message as any other.
    client.send(Frame::text("{\"refresh\":\"good\"}")).unwrap();
    assert_eq!(read(&mut client), "{\"refresh\":\"good\"}");
}
