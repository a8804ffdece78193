//! The pages: a template each, and the handlers that fill them.

use std::rc::Rc;

use askama::Template;
use squall::prelude::*;
use squall::security::CurrentUser;
use squall::views::filters;

use crate::Sso;
use crate::accounts::User;
use crate::database::Database;
use crate::lists::{self, List, Summary};

/// The colours of the marks beside names.
const HUES: u32 = 12;

/// What every page has around its own part.
struct Frame {
    user: Option<Rc<User>>,
}

impl Frame {
    async fn of(cx: &mut Context) -> Result<Self> {
        Ok(Self { user: cx.user().await? })
    }
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome {
    frame: Frame,
}

/// The form to sign up or to log in.
#[derive(Template)]
#[template(path = "entry.html")]
struct EntryPage<'a> {
    frame: Frame,
    form: EntryForm,
    name: &'a str,
    next: &'a str,
    problem: &'a str,
    sso: Option<&'a str>,
}

/// Which of the two forms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryForm {
    SignUp,
    LogIn,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    lists: Vec<Summary>,
}

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    frame: Frame,
    list: List,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame,
    status: u16,
    reason: &'a str,
}

impl ListPage {
    fn user_id(&self) -> i64 {
        self.frame.user.as_ref().map_or(0, |user| user.id)
    }

    fn open_count(&self) -> usize {
        self.list.items.iter().filter(|item| !item.is_done).count()
    }
}

/// The colour of a name, the same in every browser: a class of the style sheet.
fn hue(name: &str) -> u32 {
    let sum = name
        .bytes()
        .fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    sum % HUES
}

/// The first letter of a name.
fn initial(name: &str) -> String {
    name.chars().take(1).flat_map(char::to_uppercase).collect()
}

/// The page of visitors; members go to their lists.
pub(crate) async fn welcome(cx: &mut Context) -> Result {
    let frame = Frame::of(cx).await?;
    if frame.user.is_some() {
        return cx.redirect("/lists");
    }
    cx.render(&Welcome { frame })
}

pub(crate) async fn sign_up_form(cx: &mut Context) -> Result {
    let next: String = cx.optional_query_param("next")?.unwrap_or_default();
    show_entry(cx, EntryForm::SignUp, "", &next, "").await
}

pub(crate) async fn log_in_form(cx: &mut Context) -> Result {
    let next: String = cx.optional_query_param("next")?.unwrap_or_default();
    show_entry(cx, EntryForm::LogIn, "", &next, "").await
}

/// Shows a form again, with the status and the mistake in it.
pub(crate) async fn entry_again(
    cx: &mut Context,
    form: EntryForm,
    name: &str,
    next: &str,
    (status, problem): (u16, &str),
) -> Result {
    show_entry(cx, form, name, next, problem).await?;
    cx.set_status(status);
    Ok(())
}

async fn show_entry(cx: &mut Context, form: EntryForm, name: &str, next: &str, problem: &str) -> Result {
    let frame = Frame::of(cx).await?;
    let sso = cx.state::<Sso>()?;
    cx.set_header("cache-control", "no-store")?;
    cx.render(&EntryPage {
        frame,
        form,
        name,
        next,
        problem,
        sso: sso.name.as_deref(),
    })
}

/// The lists of a member.
pub(crate) async fn overview(cx: &mut Context, CurrentUser(user): CurrentUser<User>) -> Result {
    let id = user.id;
    let database = cx.state::<Database>()?;
    let lists = database.read(move |connection| lists::of_user(connection, id)).await?;
    let frame = Frame::of(cx).await?;
    cx.set_header("cache-control", "no-store")?;
    cx.render(&Overview { frame, lists })
}

/// One list.
pub(crate) async fn list(cx: &mut Context, CurrentUser(user): CurrentUser<User>, Path(list): Path<i64>) -> Result {
    let id = user.id;
    let database = cx.state::<Database>()?;
    let found = database.read(move |connection| lists::find(connection, list, id));
    let list = found.await?.or_status(404)?;
    let frame = Frame::of(cx).await?;
    cx.set_header("cache-control", "no-store")?;
    cx.render(&ListPage { frame, list })
}

/// The page of an error, with nothing of the request in it.
pub(crate) fn error(cx: &mut Context, error: &Error) -> Result {
    let status = error.status().as_u16();
    let reason = match status {
        404 => "This page does not exist, or is not shared with you.",
        429 => "Too many attempts. Wait a minute, and try again.",
        503 => "The site is busy. Try again in a moment.",
        _ => "Something went wrong.",
    };
    let reason = error.message().unwrap_or(reason).to_owned();
    cx.render(&ErrorPage {
        frame: Frame { user: None },
        status,
        reason: &reason,
    })
}
