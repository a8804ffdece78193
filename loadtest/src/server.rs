//! A running contender: started on a free port, ready once it answers, stopped when dropped.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Pid;
use tempfile::TempDir;

use crate::certificates;
use crate::child::Child;
use crate::client::http1::{BlockingClient, get};
use crate::contender::{Contender, Places, Stop};
use crate::interrupt::Interrupt;
use crate::measurement::Cores;
use crate::proc;
use crate::upstream::Upstream;

/// The longest time from a server's start to its first answer.
const READY_TIMEOUT: Duration = Duration::from_secs(15);

/// How often a starting server is probed.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);

/// The longest time from SIGTERM to SIGKILL.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// A running server; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    stop: Stop,
    is_secure: bool,
    /// The server behind a proxy, ended after the proxy.
    _upstream: Option<Upstream>,
    /// Its files, deleted after the process has ended.
    scratch: TempDir,
}

impl Server {
    /// Starts `contender` pinned to its cores, with the served folder `files`, and waits until its ready path returns
    /// 200.
    pub(crate) fn start(contender: &Contender, files: &Path, cores: Cores, interrupt: &Interrupt) -> Result<Self> {
        let address = free_address()?;
        let scratch = tempfile::tempdir().context("could not create a temporary folder")?;
        let upstream = match contender.is_proxy() {
            true => Some(Upstream::start(cores.load)?),
            false => None,
        };
        let places = Places {
            address,
            scratch: scratch.path(),
            files,
            upstream: upstream.as_ref().map(|upstream| upstream.address),
        };
        for file in &contender.files {
            std::fs::write(scratch.path().join(&file.name), places.fill_in(&file.content))?;
        }
        if contender.is_secure() {
            certificates::write(scratch.path())?;
        }
        let child = Child::spawn(contender.start_command(places, cores))
            .with_context(|| format!("{} did not start", contender.name))?;
        let mut server = Self {
            child,
            address,
            stop: contender.stop,
            is_secure: contender.is_secure(),
            _upstream: upstream,
            scratch,
        };
        server
            .await_ready(&contender.ready_path, interrupt)
            .with_context(|| format!("{} did not start", contender.name))?;
        Ok(server)
    }

    /// Returns its scratch folder.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Returns its processes: the started one and its descendants in the group.
    pub(crate) fn pids(&self) -> Result<Vec<Pid>> {
        proc::group_members(self.child.pid())
    }

    /// Fails with the server's error line if it has ended.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        if self.child.has_ended()? {
            bail!("the server ended by itself: {}", self.child.error_line());
        }
        Ok(())
    }

    fn await_ready(&mut self, path: &str, interrupt: &Interrupt) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            interrupt.check()?;
            self.check_running()?;
            match probe(self.address, self.is_secure, path) {
                Ok(200) => return Ok(()),
                Ok(status) => bail!("its ready path {path} returned {status}, not 200"),
                Err(error) if Instant::now() >= deadline => {
                    return Err(error.context(format!("it did not answer within {} s", READY_TIMEOUT.as_secs())));
                }
                Err(_) => thread::sleep(PROBE_INTERVAL),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stop == Stop::Term {
            // Dropping the `Child` kills a server that ignores SIGTERM.
            self.child.terminate(STOP_TIMEOUT).ok();
        }
    }
}

fn probe(address: SocketAddr, is_secure: bool, path: &str) -> Result<u16> {
    let mut connection = BlockingClient::open(address, is_secure)?;
    connection.send(&get(address, path))?;
    Ok(connection.receive()?.status)
}

/// Returns a loopback address whose port is free now.
///
/// Another process could take it before the server binds it, and then the server fails to start. That is rare, because
/// the kernel assigns ephemeral ports at random.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts a shell script as a server, on the first core this process may use.
    fn start(script: &str, interrupt: &Interrupt) -> Result<Server> {
        let folder = tempfile::tempdir()?;
        let folder = folder.path().join("scripted");
        std::fs::create_dir(&folder)?;
        let form = format!(
            "name = 'scripted'\nversion = '1'\nnote = ''\ndirectory = '.'\n[build]\ncommand = ['true']\n\
             [start]\ncommand = ['sh', '-c', {script:?}, '{{listen}}']\n[ready]\npath = '/'"
        );
        std::fs::write(folder.join("contender.toml"), form)?;
        let contender = Contender::read_all(&folder)?.remove(0);
        Server::start(&contender, Path::new("/nowhere"), allowed_cores(), interrupt)
    }

    fn allowed_cores() -> Cores {
        let is_allowed = |core: &usize| proc::check_core_allowed(*core).is_ok();
        let core = (0..1024).find(is_allowed).unwrap();
        Cores {
            server: core,
            load: core,
        }
    }

    #[test]
    fn server_that_ends_at_once_is_reported_with_its_own_words() {
        let error = start(
            "echo starting; echo 'error: no such luck'; exit 1",
            &Interrupt::default(),
        )
        .unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("scripted did not start") && error.contains("error: no such luck"),
            "{error}"
        );
    }

    /// The script does not listen; it prints an error from its file, which proves that it found the file.
    #[test]
    fn files_are_there_before_the_server_and_gone_after_it() {
        let folder = tempfile::tempdir().unwrap().path().join("filed");
        std::fs::create_dir_all(&folder).unwrap();
        let form = "name = 'filed'\nversion = '1'\nnote = ''\ndirectory = '.'\n[start]\n\
                    command = ['sh', '{scratch}/run', '{scratch}']\n[ready]\npath = '/'\n[[files]]\nname = 'run'\n\
                    content = 'echo \"error: $1 {listen}\"'";
        std::fs::write(folder.join("contender.toml"), form).unwrap();
        let contender = Contender::read_all(&folder).unwrap().remove(0);
        let error = Server::start(
            &contender,
            Path::new("/nowhere"),
            allowed_cores(),
            &Interrupt::default(),
        )
        .unwrap_err();
        let error = format!("{error:#}");
        let said = error.split_once("error: ").unwrap().1;
        let (scratch, address) = said.split_once(' ').unwrap();
        assert!(address.starts_with("127.0.0.1:"), "{error}");
        assert!(scratch.starts_with('/') && !Path::new(scratch).exists(), "{error}");
    }

    #[test]
    fn interrupt_ends_the_wait_for_a_server_that_never_answers() {
        let interrupt = Interrupt::default();
        interrupt.raise();
        let error = start("exec sleep 600", &interrupt).unwrap_err();
        assert!(format!("{error:#}").contains("interrupted"), "{error:#}");
    }
}
