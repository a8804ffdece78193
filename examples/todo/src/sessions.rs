//! Sessions in SQLite: the example's own `SessionStore`.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, Transaction, params};
use squall::prelude::*;
use squall::security::{SessionChanges, SessionKey, SessionLifetime, SessionStore, SessionValues};

use crate::database::{Database, optional};

/// A session's idle time is written again after this share of it, so that most requests only read.
const TOUCHES: i64 = 20;

/// The store. A key is the hash of a session's id, so the table opens no session.
pub(crate) struct SqliteSessions {
    database: Database,
}

impl SqliteSessions {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

/// The values of a session that has not ended, and the seconds until its idle time is over.
fn find(connection: &Connection, key: SessionKey) -> rusqlite::Result<Option<(SessionValues, i64)>> {
    let row = optional(connection.query_row(
        "SELECT contents, idle_end - unixepoch() FROM sessions
         WHERE key = ?1 AND idle_end > unixepoch() AND end > unixepoch()",
        [key.as_bytes()],
        |row| Ok((row.get::<_, String>(0)?, row.get(1)?)),
    ))?;
    let Some((text, idle_left)) = row else {
        return Ok(None);
    };
    let values: Result<BTreeMap<String, String>, _> = serde_json::from_str(&text);
    let values = values.map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))?;
    Ok(Some((values, idle_left)))
}

fn insert(
    transaction: &Transaction<'_>,
    key: SessionKey,
    values: &SessionValues,
    lifetime: SessionLifetime,
) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO sessions VALUES (?1, ?2, unixepoch() + ?3, unixepoch() + ?4)",
        params![
            key.as_bytes(),
            text(values)?,
            seconds(lifetime.idle),
            seconds(lifetime.absolute)
        ],
    )?;
    Ok(())
}

fn text(values: &SessionValues) -> rusqlite::Result<String> {
    serde_json::to_string(values).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Whole seconds, at most a century.
fn seconds(time: Duration) -> i64 {
    const CENTURY: i64 = 100 * 365 * 24 * 60 * 60;
    i64::try_from(time.as_secs()).map_or(CENTURY, |seconds| seconds.min(CENTURY))
}

impl SessionStore for SqliteSessions {
    async fn load(&self, key: SessionKey, lifetime: SessionLifetime) -> Result<Option<SessionValues>> {
        let Some((values, idle_left)) = self.database.read(move |connection| find(connection, key)).await? else {
            return Ok(None);
        };
        let idle = seconds(lifetime.idle);
        if idle - idle_left > idle / TOUCHES {
            let touched = self.database.write(move |transaction| {
                let sql = "UPDATE sessions SET idle_end = unixepoch() + ?2 WHERE key = ?1";
                transaction.execute(sql, params![key.as_bytes(), idle])
            });
            touched.await?;
        }
        Ok(Some(values))
    }

    async fn create(&self, key: SessionKey, values: SessionValues, lifetime: SessionLifetime) -> Result {
        let created = self.database.write(move |transaction| {
            transaction.execute(
                "DELETE FROM sessions WHERE idle_end <= unixepoch() OR end <= unixepoch()",
                [],
            )?;
            insert(transaction, key, &values, lifetime)
        });
        created.await
    }

    async fn update(&self, key: SessionKey, changes: SessionChanges) -> Result<bool> {
        let updated = self.database.write(move |transaction| {
            let Some((mut values, _)) = find(transaction, key)? else {
                return Ok(false);
            };
            changes.apply_to(&mut values);
            let sql = "UPDATE sessions SET contents = ?2 WHERE key = ?1";
            transaction.execute(sql, params![key.as_bytes(), text(&values)?])?;
            Ok(true)
        });
        updated.await
    }

    async fn rotate(
        &self,
        old: SessionKey,
        new: SessionKey,
        changes: SessionChanges,
        lifetime: SessionLifetime,
    ) -> Result<bool> {
        let rotated = self.database.write(move |transaction| {
            let Some((mut values, _)) = find(transaction, old)? else {
                return Ok(false);
            };
            changes.apply_to(&mut values);
            transaction.execute("DELETE FROM sessions WHERE key = ?1", [old.as_bytes()])?;
            insert(transaction, new, &values, lifetime)?;
            Ok(true)
        });
        rotated.await
    }

    async fn remove(&self, key: SessionKey) -> Result {
        let removed = self
            .database
            .write(move |transaction| transaction.execute("DELETE FROM sessions WHERE key = ?1", [key.as_bytes()]));
        removed.await.map(|_| ())
    }
}

#[cfg(test)]
mod tests;
