//! The database: SQLite in this process, with one thread that writes and two that read.
//!
//! SQLite admits one writer at a time. So one thread has the only connection that writes, and no thread waits for a lock.
//! Readers see the last state that was committed (WAL). A shard's thread touches no file: it queues work and awaits the
//! result.

use std::path::Path;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use futures_channel::oneshot;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use squall::prelude::*;

/// How much work may wait for the threads; further work gets 503.
const WAITING_MAX: usize = 1024;

/// How many threads read.
const READERS: usize = 2;

/// How long a connection waits for another process that has the file.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Random bytes of the cookie secret.
const SECRET_BYTES: usize = 32;

const SCHEMA: &str = include_str!("schema.sql");

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// The database; clones share its threads, which end with the last clone.
#[derive(Clone)]
pub(crate) struct Database {
    writer: Sender<Work>,
    readers: Sender<Work>,
}

impl Database {
    /// Opens the file, and creates what it lacks.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let opened = || -> rusqlite::Result<Self> {
            let connection = connect(path)?;
            connection.execute_batch(SCHEMA)?;
            let (writer, work) = bounded(WAITING_MAX);
            serve("todo-writer", connection, work);
            let (readers, work) = bounded(WAITING_MAX);
            for _ in 0..READERS {
                let connection = connect(path)?;
                connection.pragma_update(None, "query_only", true)?;
                serve("todo-reader", connection, work.clone());
            }
            Ok(Self { writer, readers })
        };
        opened().map_err(|error| {
            let path = path.display();
            Error::new(format!(
                "could not open the database {path}: {error}; check the folder, or name another file with --database"
            ))
        })
    }

    /// Runs queries on a thread that reads.
    ///
    /// # Errors
    ///
    /// 503 if a query fails or too much work waits.
    pub(crate) async fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R> {
        run(&self.readers, |connection| work(connection)).await
    }

    /// Runs statements in one transaction on the thread that writes; an error rolls it back.
    ///
    /// Once the work has begun, it goes on even if the request ends.
    ///
    /// # Errors
    ///
    /// 503 if a statement fails or too much work waits.
    pub(crate) async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R> {
        run(&self.writer, |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
        .await
    }

    /// Returns the secret that signs cookies, which the first start draws; it waits for the disk.
    pub(crate) fn cookie_secret(&self) -> Result<String> {
        let mut random = [0; SECRET_BYTES];
        getrandom::fill(&mut random)?;
        let (sender, receiver) = bounded(1);
        let work: Work = Box::new(move |connection| {
            let secret = || -> rusqlite::Result<Vec<u8>> {
                connection.execute("INSERT OR IGNORE INTO settings VALUES ('cookie secret', ?1)", [random])?;
                connection.query_row("SELECT value FROM settings WHERE name = 'cookie secret'", [], |row| {
                    row.get(0)
                })
            };
            sender.send(secret()).unwrap_or_default();
        });
        self.writer
            .send(work)
            .map_err(|_| Error::new("the database has stopped"))?;
        Ok(data_encoding::BASE64.encode(&receiver.recv()??))
    }
}

/// Runs work on a thread of a queue, and waits for its result.
async fn run<R: Send + 'static>(
    queue: &Sender<Work>,
    work: impl FnOnce(&mut Connection) -> rusqlite::Result<R> + Send + 'static,
) -> Result<R> {
    let (sender, result) = oneshot::channel();
    let work: Work = Box::new(move |connection| {
        // A failed send means that the request is gone.
        drop(sender.send(work(connection)));
    });
    queue
        .try_send(work)
        .map_err(|error| match error {
            TrySendError::Full(_) => Error::new("too much work waits for the database"),
            TrySendError::Disconnected(_) => Error::new("the database has stopped"),
        })
        .or_status(503)?;
    let result = result.await.or_status(503)?;
    result.or_status(503)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A crash of the machine may lose the last commits, and damages nothing.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// Starts a thread that does the work of a queue until the last sender is gone.
fn serve(name: &str, mut connection: Connection, work: Receiver<Work>) {
    let thread = std::thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(move || {
        for work in work {
            work(&mut connection);
        }
    });
    if let Err(error) = started {
        tracing::error!("could not start the thread {name}: {error}; its work gets 503");
    }
}

/// A row, or none.
pub(crate) fn optional<T>(row: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    row.optional()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A database in a file of its own, which its drop removes.
    pub(crate) struct Scratch {
        pub(crate) database: Database,
        path: PathBuf,
    }

    impl Scratch {
        pub(crate) fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("squall-todo-{}-{count}.sqlite", std::process::id());
            let path = std::env::temp_dir().join(name);
            let database = Database::open(&path).unwrap();
            Self { database, path }
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            for suffix in ["", "-wal", "-shm"] {
                let mut path = self.path.clone().into_os_string();
                path.push(suffix);
                drop(std::fs::remove_file(path));
            }
        }
    }

    #[test]
    fn the_cookie_secret_stays_the_same() {
        let scratch = Scratch::new();
        let first = scratch.database.cookie_secret().unwrap();
        assert_eq!(first.len(), 44);
        assert_eq!(scratch.database.cookie_secret().unwrap(), first);
        let again = Database::open(&scratch.path).unwrap();
        assert_eq!(again.cookie_secret().unwrap(), first);
    }
}
