//! Lists and their items: the queries, and the forms that change them. Each change is published to the list's members.

use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};
use squall::prelude::*;
use squall::security::CurrentUser;

use crate::accounts::User;
use crate::database::{Database, optional};
use crate::live::{self, News};

/// The longest title in characters.
const TITLE_CHARACTERS_MAX: usize = 60;

/// The longest text of an item in characters.
const TEXT_CHARACTERS_MAX: usize = 200;

/// The most lists that a user may own.
const LISTS_MAX: i64 = 100;

/// The most items of a list.
const ITEMS_MAX: i64 = 500;

/// The most members of a list.
const MEMBERS_MAX: i64 = 50;

/// A list as the overview shows it.
pub(crate) struct Summary {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) owner: String,
    pub(crate) item_count: i64,
    pub(crate) done_count: i64,
    pub(crate) member_count: i64,
}

/// A list as its page shows it.
pub(crate) struct List {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) is_owner: bool,
    pub(crate) members: Vec<Member>,
    pub(crate) items: Vec<Item>,
}

/// A member of a list.
pub(crate) struct Member {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) is_owner: bool,
}

/// An item of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Item {
    pub(crate) id: i64,
    pub(crate) text: String,
    pub(crate) is_done: bool,
    pub(crate) author: String,
    pub(crate) version: i64,
}

/// The form of a new list.
#[derive(Deserialize)]
pub(crate) struct NewList {
    title: String,
}

/// The form of a new item.
#[derive(Deserialize)]
pub(crate) struct NewItem {
    text: String,
}

/// The form to share a list.
#[derive(Deserialize)]
pub(crate) struct NewMember {
    name: String,
}

/// What a button of an item does.
#[derive(Deserialize)]
pub(crate) struct ItemChange {
    change: Change,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    Done,
    Open,
    Remove,
}

/// The lists of a user, newest first.
pub(crate) fn of_user(connection: &Connection, user: i64) -> rusqlite::Result<Vec<Summary>> {
    let mut statement = connection.prepare_cached(
        "SELECT lists.id, title, owners.name,
            (SELECT count(*) FROM items WHERE list = lists.id),
            (SELECT count(*) FROM items WHERE list = lists.id AND is_done),
            (SELECT count(*) FROM members WHERE list = lists.id)
         FROM members JOIN lists ON lists.id = members.list JOIN users AS owners ON owners.id = owner
         WHERE members.user = ?1 ORDER BY lists.id DESC",
    )?;
    let rows = statement.query_map([user], |row| {
        Ok(Summary {
            id: row.get(0)?,
            title: row.get(1)?,
            owner: row.get(2)?,
            item_count: row.get(3)?,
            done_count: row.get(4)?,
            member_count: row.get(5)?,
        })
    })?;
    rows.collect()
}

/// A list, if the user is a member of it.
pub(crate) fn find(connection: &Connection, list: i64, user: i64) -> rusqlite::Result<Option<List>> {
    let sql = "SELECT title, owner FROM lists JOIN members ON list = id WHERE id = ?1 AND user = ?2";
    let row = connection.query_row(sql, [list, user], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
    let Some((title, owner)) = optional(row)? else {
        return Ok(None);
    };
    let sql = "SELECT id, name FROM members JOIN users ON user = id WHERE list = ?1 ORDER BY id <> ?2, name";
    let mut statement = connection.prepare_cached(sql)?;
    let members = statement.query_map([list, owner], |row| {
        let id = row.get(0)?;
        Ok(Member {
            id,
            name: row.get(1)?,
            is_owner: id == owner,
        })
    })?;
    Ok(Some(List {
        id: list,
        title,
        is_owner: owner == user,
        members: members.collect::<rusqlite::Result<_>>()?,
        items: items_of(connection, list)?,
    }))
}

/// Whether a user is a member of a list.
pub(crate) fn is_member(connection: &Connection, list: i64, user: i64) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM members WHERE list = ?1 AND user = ?2")?;
    statement.exists([list, user])
}

fn items_of(connection: &Connection, list: i64) -> rusqlite::Result<Vec<Item>> {
    let mut statement = connection.prepare_cached(&format!("{ITEM} WHERE list = ?1 ORDER BY items.id"))?;
    let rows = statement.query_map([list], read_item)?;
    rows.collect()
}

const ITEM: &str = "SELECT items.id, text, is_done, users.name, version FROM items JOIN users ON users.id = author";

fn read_item(row: &rusqlite::Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item {
        id: row.get(0)?,
        text: row.get(1)?,
        is_done: row.get(2)?,
        author: row.get(3)?,
        version: row.get(4)?,
    })
}

fn item_of(transaction: &Transaction<'_>, item: i64) -> rusqlite::Result<Item> {
    transaction.query_row(&format!("{ITEM} WHERE items.id = ?1"), [item], read_item)
}

/// Creates a list; `None` if the user owns too many.
fn insert_list(transaction: &Transaction<'_>, user: i64, title: &str) -> rusqlite::Result<Option<i64>> {
    let sql = "INSERT INTO lists (title, owner) SELECT ?1, ?2
               WHERE (SELECT count(*) FROM lists WHERE owner = ?2) < ?3";
    if transaction.execute(sql, params![title, user, LISTS_MAX])? == 0 {
        return Ok(None);
    }
    let list = transaction.last_insert_rowid();
    transaction.execute("INSERT INTO members VALUES (?1, ?2)", [list, user])?;
    Ok(Some(list))
}

/// Adds an item; `None` if the list is full.
fn insert_item(transaction: &Transaction<'_>, list: i64, user: i64, text: &str) -> rusqlite::Result<Option<Item>> {
    let sql = "INSERT INTO items (list, text, author) SELECT ?1, ?2, ?3
               WHERE (SELECT count(*) FROM items WHERE list = ?1) < ?4";
    if transaction.execute(sql, params![list, text, user, ITEMS_MAX])? == 0 {
        return Ok(None);
    }
    item_of(transaction, transaction.last_insert_rowid()).map(Some)
}

/// Changes an item, and returns the news for the members; `None` if the list lacks it.
fn change_item(transaction: &Transaction<'_>, list: i64, item: i64, change: Change) -> rusqlite::Result<Option<News>> {
    let (sql, is_done) = match change {
        Change::Remove => (
            "DELETE FROM items WHERE id = ?1 AND list = ?2 AND ?3 IS NOT NULL",
            false,
        ),
        Change::Done | Change::Open => (
            "UPDATE items SET is_done = ?3, version = version + 1 WHERE id = ?1 AND list = ?2",
            change == Change::Done,
        ),
    };
    if transaction.execute(sql, params![item, list, is_done])? == 0 {
        return Ok(None);
    }
    Ok(Some(match change {
        Change::Remove => News::Removed { removed: item },
        Change::Done | Change::Open => News::Item {
            item: item_of(transaction, item)?,
        },
    }))
}

/// A text of a form without blanks around it, or 422.
fn checked(text: &str, characters_max: usize, what: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > characters_max || text.chars().any(char::is_control) {
        let message = format!("{what} has 1 to {characters_max} characters.");
        return Err(HttpError::new(422).with_message(message).into());
    }
    Ok(text.to_owned())
}

/// 404 for lists of others, so that their ids tell nothing.
async fn check_member(database: &Database, list: i64, user: i64) -> Result {
    let is_member = database
        .read(move |connection| is_member(connection, list, user))
        .await?;
    is_member.then_some(()).or_status(404)
}

/// Whether a script sent the form, which shows the change by itself.
fn is_script(cx: &Context) -> bool {
    cx.header("accept")
        .is_some_and(|accept| accept.starts_with("application/json"))
}

/// Answers a form: the script gets JSON, and a browser goes back to the list.
fn answer(cx: &mut Context, list: i64, news: &News) -> Result {
    if is_script(cx) {
        return cx.write_json(news);
    }
    let location = cx.reverse_url("list", &[&list])?;
    cx.redirect(&location)
}

/// Creates a list.
pub(crate) async fn create(cx: &mut Context, CurrentUser(user): CurrentUser<User>, Form(new): Form<NewList>) -> Result {
    let title = checked(&new.title, TITLE_CHARACTERS_MAX, "A title")?;
    let (database, id) = (cx.state::<Database>()?, user.id);
    let created = database.write(move |transaction| insert_list(transaction, id, &title));
    let list = created.await?.or_error(422, "You have as many lists as fit.")?;
    let location = cx.reverse_url("list", &[&list])?;
    cx.redirect(&location)
}

/// The items of a list in JSON, for a page that has lost its connection.
pub(crate) async fn items(
    cx: &mut Context,
    CurrentUser(user): CurrentUser<User>,
    Path(list): Path<i64>,
) -> Result<Json<Vec<Item>>> {
    let database = cx.state::<Database>()?;
    check_member(&database, list, user.id).await?;
    cx.set_header("cache-control", "no-store")?;
    database
        .read(move |connection| items_of(connection, list))
        .await
        .map(Json)
}

/// Adds an item.
pub(crate) async fn add(
    cx: &mut Context,
    CurrentUser(user): CurrentUser<User>,
    Path(list): Path<i64>,
    Form(new): Form<NewItem>,
) -> Result {
    let text = checked(&new.text, TEXT_CHARACTERS_MAX, "An item")?;
    let (database, id) = (cx.state::<Database>()?, user.id);
    check_member(&database, list, id).await?;
    let added = database.write(move |transaction| insert_item(transaction, list, id, &text));
    let item = added.await?.or_error(422, "The list is full.")?;
    let news = News::Item { item };
    live::tell_list(cx, list, &news).await?;
    answer(cx, list, &news)
}

/// Ticks an item off, opens it again or removes it.
pub(crate) async fn change(
    cx: &mut Context,
    CurrentUser(user): CurrentUser<User>,
    Path((list, item)): Path<(i64, i64)>,
    Form(ItemChange { change }): Form<ItemChange>,
) -> Result {
    let database = cx.state::<Database>()?;
    check_member(&database, list, user.id).await?;
    let changed = database.write(move |transaction| change_item(transaction, list, item, change));
    let news = changed.await?.or_status(404)?;
    live::tell_list(cx, list, &news).await?;
    answer(cx, list, &news)
}

/// Shares a list with another user. Only its owner may.
pub(crate) async fn share(
    cx: &mut Context,
    CurrentUser(user): CurrentUser<User>,
    Path(list): Path<i64>,
    Form(new): Form<NewMember>,
) -> Result {
    let (database, owner) = (cx.state::<Database>()?, user.id);
    let shared = database.write(move |transaction| {
        if !is_owner(transaction, list, owner)? {
            return Ok(Err(404));
        }
        let sql = "SELECT id FROM users WHERE name = ?1";
        let Some(member) = optional(transaction.query_row(sql, [new.name.trim()], |row| row.get::<_, i64>(0)))? else {
            return Ok(Err(422));
        };
        let sql = "INSERT INTO members SELECT ?1, ?2
                   WHERE (SELECT count(*) FROM members WHERE list = ?1) < ?3 ON CONFLICT DO NOTHING";
        transaction.execute(sql, [list, member, MEMBERS_MAX])?;
        Ok(Ok(member))
    });
    let member = match shared.await? {
        Ok(member) => member,
        Err(422) => {
            return Err(HttpError::new(422)
                .with_message("This site has no user of this name.")
                .into());
        }
        Err(status) => return Err(HttpError::new(status).into()),
    };
    live::tell_user(cx, member).await?;
    let location = cx.reverse_url("list", &[&list])?;
    cx.redirect(&location)
}

/// Ends a membership: the owner ends any but its own, and a member its own.
pub(crate) async fn unshare(
    cx: &mut Context,
    CurrentUser(user): CurrentUser<User>,
    Path((list, member)): Path<(i64, i64)>,
) -> Result {
    let (database, id) = (cx.state::<Database>()?, user.id);
    let ended = database.write(move |transaction| {
        let owns = is_owner(transaction, list, id)?;
        if owns == (member == id) {
            return Ok(0);
        }
        transaction.execute("DELETE FROM members WHERE list = ?1 AND user = ?2", [list, member])
    });
    if ended.await? == 0 {
        return Err(HttpError::new(404).into());
    }
    // The sockets of the former member would go on reading the list. They come back, and then may not.
    cx.disconnect(&member.to_string()).await?;
    let location = match member == user.id {
        true => cx.reverse_url("lists", &[])?,
        false => cx.reverse_url("list", &[&list])?,
    };
    cx.redirect(&location)
}

fn is_owner(connection: &Connection, list: i64, user: i64) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM lists WHERE id = ?1 AND owner = ?2")?;
    statement.exists([list, user])
}
