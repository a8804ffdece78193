//! News for open pages: a feed with one topic for each list and one for each user.

use serde::Serialize;
use squall::prelude::*;
use squall::{Feed, FeedClient};

use crate::accounts::User;
use crate::database::Database;
use crate::lists::{self, Item};

/// News for the members of a list.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum News {
    /// An item is new or has changed.
    Item { item: Item },
    /// The item with this id is gone.
    Removed { removed: i64 },
}

/// News for a user whose lists have changed.
#[derive(Serialize)]
struct ListsChanged {
    lists_changed: bool,
}

/// Publishes news of a list, on every shard.
pub(crate) async fn tell_list(cx: &Context, list: i64, news: &News) -> Result {
    let text = serde_json::to_string(news)?;
    cx.topics().publish(&format!("lists/{list}"), text).await
}

/// Tells the open pages of a user that the lists have changed.
pub(crate) async fn tell_user(cx: &Context, user: i64) -> Result {
    let text = serde_json::to_string(&ListsChanged { lists_changed: true })?;
    cx.topics().publish(&format!("users/{user}"), text).await
}

/// The feed that every page reads.
pub(crate) fn feed() -> Feed {
    Feed::new().opened(belongs_to_user).authorize(may_read)
}

/// Lets `disconnect` find the socket of a user.
async fn belongs_to_user(client: &FeedClient) -> Result {
    let user = user(client)?;
    client.ws().set_user(&user.id.to_string());
    Ok(())
}

/// A user reads the lists that are shared with it, and its own topic.
async fn may_read(client: &FeedClient, topic: &str) -> Result<bool> {
    let user = user(client)?.id;
    let Some((kind, id)) = topic.split_once('/') else {
        return Ok(false);
    };
    match (kind, id.parse::<i64>()) {
        ("lists", Ok(list)) => {
            let database = client.state::<Database>()?;
            database
                .read(move |connection| lists::is_member(connection, list, user))
                .await
        }
        ("users", Ok(id)) => Ok(id == user),
        _ => Ok(false),
    }
}

fn user(client: &FeedClient) -> Result<std::rc::Rc<User>> {
    client.user::<User>().or_status(403)
}
