//! Accounts: signing up, logging in with a password or with a provider, logging out.

use rusqlite::{Connection, Transaction, params};
use serde::Deserialize;
use squall::login::Profile;
use squall::prelude::*;
use squall::security::{PasswordCheck, local_path};

use crate::database::{Database, optional};
use crate::pages::{self, EntryForm};

/// The shortest and the longest name in characters.
const NAME_CHARACTERS: std::ops::RangeInclusive<usize> = 2..=24;

/// The shortest password in characters, as NIST SP 800-63B recommends.
const PASSWORD_CHARACTERS_MIN: usize = 8;

/// A user of the site.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
}

/// What a visitor writes into the forms to sign up and to log in.
#[derive(Deserialize)]
pub(crate) struct Entry {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// The user of a request: the session has the id.
pub(crate) async fn load(cx: &mut Context) -> Result<Option<User>> {
    let session = cx.session().await?;
    let Some(id) = session.user().and_then(|id| id.parse::<i64>().ok()) else {
        return Ok(None);
    };
    let database = cx.state::<Database>()?;
    database.read(move |connection| find(connection, id)).await
}

/// Creates an account, and logs its user in.
pub(crate) async fn sign_up(cx: &mut Context, Form(entry): Form<Entry>) -> Result {
    let name = entry.name.trim().to_owned();
    let problem = if !is_name(&name) {
        Some("A name has 2 to 24 letters, digits, dots or dashes.")
    } else if entry.password.chars().count() < PASSWORD_CHARACTERS_MIN {
        Some("A password has at least 8 characters.")
    } else {
        None
    };
    if let Some(problem) = problem {
        return pages::entry_again(cx, EntryForm::SignUp, &name, &entry.next, (422, problem)).await;
    }
    // Hashing costs as much as a login, so it is limited as one.
    cx.admit_login(&name).await?;
    let password = cx.hash_password(&entry.password).await?;
    let database = cx.state::<Database>()?;
    let wanted = name.clone();
    let created = database.write(move |transaction| create(transaction, &wanted, Some(&password)));
    match created.await? {
        Some(id) => enter(cx, id, &entry.next).await,
        None => pages::entry_again(cx, EntryForm::SignUp, &name, &entry.next, (409, "This name is taken.")).await,
    }
}

/// Logs a user in by name and password.
pub(crate) async fn log_in(cx: &mut Context, Form(entry): Form<Entry>) -> Result {
    let name = entry.name.trim().to_owned();
    cx.admit_login(&name).await?;
    let database = cx.state::<Database>()?;
    let wanted = name.clone();
    let known = database.read(move |connection| {
        let sql = "SELECT id, password FROM users WHERE name = ?1";
        optional(connection.query_row(sql, [&wanted], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
        }))
    });
    let (id, password) = known.await?.map_or((None, None), |(id, password)| (Some(id), password));
    // An unknown name takes as long as a wrong password.
    let checked = cx.verify_password(&entry.password, password.as_deref()).await?;
    let Some(id) = id.filter(|_| checked.is_right()) else {
        return pages::entry_again(
            cx,
            EntryForm::LogIn,
            &name,
            &entry.next,
            (403, "Name or password is wrong."),
        )
        .await;
    };
    if let PasswordCheck::Outdated(password) = checked {
        let stored = database.write(move |transaction| {
            transaction.execute("UPDATE users SET password = ?2 WHERE id = ?1", params![id, password])
        });
        stored.await?;
    }
    cx.login_succeeded(&name).await?;
    enter(cx, id, &entry.next).await
}

/// Logs in a visitor of a provider. The first login creates the account.
pub(crate) async fn admit(cx: &mut Context, profile: Profile) -> Result {
    let (provider, subject) = (profile.provider().to_owned(), profile.subject().to_owned());
    let name = name_from(profile.name().or_else(|| profile.email()).unwrap_or_default());
    let database = cx.state::<Database>()?;
    let id = database.write(move |transaction| of_identity(transaction, &provider, &subject, &name));
    enter(cx, id.await?, profile.next()).await
}

/// Ends the session. Its sockets close on every shard.
pub(crate) async fn log_out(cx: &mut Context) -> Result<Redirect> {
    cx.session().await?.end();
    Ok(Redirect::see_other("/"))
}

/// Logs a user in, under a new id of the session, and goes to the page that the visitor wanted.
async fn enter(cx: &mut Context, id: i64, next: &str) -> Result {
    cx.session().await?.log_in(&id.to_string());
    let next = local_path(next).filter(|next| *next != "/").unwrap_or("/lists");
    cx.redirect(next)
}

fn find(connection: &Connection, id: i64) -> rusqlite::Result<Option<User>> {
    let row = connection.query_row("SELECT name FROM users WHERE id = ?1", [id], |row| row.get(0));
    Ok(optional(row)?.map(|name| User { id, name }))
}

/// Creates a user; `None` if the name is taken.
fn create(transaction: &Transaction<'_>, name: &str, password: Option<&str>) -> rusqlite::Result<Option<i64>> {
    let sql = "INSERT INTO users (name, password) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    let is_new = transaction.execute(sql, params![name, password])? == 1;
    Ok(is_new.then(|| transaction.last_insert_rowid()))
}

/// The user of an account at a provider; the first call creates it under the first free name.
fn of_identity(transaction: &Transaction<'_>, provider: &str, subject: &str, name: &str) -> rusqlite::Result<i64> {
    let sql = "SELECT user FROM identities WHERE provider = ?1 AND subject = ?2";
    if let Some(id) = optional(transaction.query_row(sql, [provider, subject], |row| row.get(0)))? {
        return Ok(id);
    }
    let mut id = create(transaction, name, None)?;
    let mut number = 2;
    while id.is_none() {
        id = create(transaction, &format!("{name}-{number}"), None)?;
        number += 1;
    }
    let id = id.unwrap_or_default();
    transaction.execute(
        "INSERT INTO identities VALUES (?1, ?2, ?3)",
        params![provider, subject, id],
    )?;
    Ok(id)
}

/// Whether a text may be a name: it stands in addresses, and no two look alike.
fn is_name(text: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    NAME_CHARACTERS.contains(&text.chars().count()) && text.chars().all(is_plain)
}

/// Makes a name of what a provider says.
fn name_from(text: &str) -> String {
    let local = text.split('@').next().unwrap_or_default();
    let plain = local
        .chars()
        .map(|character| if character == ' ' { '-' } else { character });
    let name: String = plain
        .filter(|character| is_name(&format!("aa{character}")))
        .take(20)
        .collect();
    if is_name(&name) { name } else { "guest".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{is_name, name_from};

    #[test]
    fn names_are_plain_and_made_of_what_a_provider_says() {
        for (said, name) in [
            ("Ada Lovelace", "Ada-Lovelace"),
            ("ada@example.com", "ada"),
            ("Zoë", "Zo"),
            ("", "guest"),
            ("<b>", "guest"),
            (&"a".repeat(90), "aaaaaaaaaaaaaaaaaaaa"),
        ] {
            assert_eq!(name_from(said), name);
            assert!(is_name(name));
        }
        for bad in ["", "a", "a b", "a/b", "ada\u{301}", &"a".repeat(25)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
