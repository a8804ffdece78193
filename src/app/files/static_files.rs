//! Static files as a route: the settings of a tree, and the responses that it makes.

use core::fmt;
use std::borrow::Cow;
use std::path::PathBuf;
use std::rc::Rc;

use percent_encoding::{percent_decode, utf8_percent_encode};

use super::listing::{self, LISTED_MAX};
use super::response::{CachePolicy, Choice};
use super::source::{FileRoot, Found, OpenFile, find, open};
use super::static_path::{StaticPath, file_name};
use super::tree::{Resolved, StaticTree, failed};
use crate::app::boxed::LocalBoxFuture;
use crate::app::context::Context;
use crate::app::handler::endpoint::Endpoint;
use crate::app::request::percent::check_escapes;
use crate::app::response::accept_encoding::{AcceptedCodings, ContentCoding};
use crate::app::response::location::NO_URI;
use crate::app::routing::{IntoRoute, Route};
use crate::error::{HttpError, Result, bad_request};
use crate::message::{HeaderValue, Headers, Method, StatusCode, header};

/// Returns an error for a request that may not read this path.
type Guard = Rc<dyn Fn(&Context, &str) -> Result>;

/// Adds fields to the response with this file.
type ExtraHeaders = Rc<dyn Fn(&str, &mut Headers)>;

/// Serves the files of a directory, or of the program itself (Tornado's `StaticFileHandler`).
///
/// ```
/// use squall::StaticFiles;
/// use squall::prelude::*;
///
/// let application = Application::new()
///     .route("/static/{*path}", StaticFiles::new("public").cache_control("*.woff2", "public, max-age=86400"));
/// ```
///
/// Only regular files inside the directory are served. A symbolic link is followed if its target is relative and stays
/// inside. Everything else is 404: other files, names that begin with a dot, except `.well-known`, and directories
/// without `index.html`. A directory whose path lacks its slash is redirected.
///
/// A response has `ETag` and `Last-Modified`, and answers conditions and ranges (RFC 9110 §13, §14). Beside `app.js`,
/// the files `app.js.br`, `app.js.zst` and `app.js.gz` are sent to clients that accept these codings. Responses are
/// revalidated each time (`no-cache`), except those to the URLs of [`Context::static_url`], which are immutable.
///
/// The directory is opened once. A file that changes is seen by the next request.
#[derive(Clone)]
#[must_use = "static files are served only at a route"]
pub struct StaticFiles {
    tree: Rc<StaticTree>,
    lists_directories: bool,
    fallback: Option<Rc<str>>,
    cache_control: Vec<(Rc<str>, HeaderValue)>,
    guard: Option<Guard>,
    extra_headers: Option<ExtraHeaders>,
}

impl StaticFiles {
    /// Serves the files of a directory.
    ///
    /// The server opens it when it starts, and does not start without it.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self::of(StaticTree::of_directory(directory.into()))
    }

    /// Serves files that are part of the program: names, and contents from `include_bytes!`.
    ///
    /// [`embed!`](crate::embed) makes the list. They have no `Last-Modified`.
    pub fn embedded(files: impl IntoIterator<Item = (&'static str, &'static [u8])>) -> Self {
        Self::of(StaticTree::of_program(files))
    }

    fn of(tree: StaticTree) -> Self {
        Self {
            tree: Rc::new(tree),
            lists_directories: false,
            fallback: None,
            cache_control: Vec::new(),
            guard: None,
            extra_headers: None,
        }
    }

    /// Sets the name of the file that stands for its directory; the default is `index.html`.
    pub fn index(mut self, name: &str) -> Self {
        Rc::make_mut(&mut self.tree).index = Some(name.to_owned());
        self
    }

    /// Lets no file stand for its directory.
    pub fn without_index(mut self) -> Self {
        Rc::make_mut(&mut self.tree).index = None;
        self
    }

    /// Sets whether a directory without such a file is listed; the default is 404.
    ///
    /// A listing has at most 10,000 entries and leaves hidden names out.
    pub fn list_directories(mut self, lists: bool) -> Self {
        self.lists_directories = lists;
        self
    }

    /// Sets the file that answers for missing paths, as single-page applications need.
    ///
    /// It answers requests whose `Accept` names `text/html`, and paths whose last segment has no dot. Others get 404, so
    /// a missing script is not answered with a page.
    pub fn fallback(mut self, path: &str) -> Self {
        self.fallback = Some(path.into());
        self
    }

    /// Sets the `Cache-Control` of files whose name matches a pattern; of several that match, the first counts.
    ///
    /// Each `*` stands for any characters. A pattern without a slash is compared with the file's name, others with its
    /// whole path. URLs with the current version stay immutable.
    ///
    /// # Panics
    ///
    /// Panics if the value has a control character.
    #[expect(clippy::panic, reason = "a mistake in the program text, found at the start")]
    pub fn cache_control(mut self, pattern: &str, value: &str) -> Self {
        let Ok(value) = HeaderValue::try_from(value) else {
            panic!("could not set Cache-Control for `{pattern}`: {value:?} has a control character");
        };
        self.cache_control.push((pattern.into(), value));
        self
    }

    /// Sets who may read which path: an error of the function is the response.
    ///
    /// The path is decoded and relative to the directory. The function runs before the file is looked for.
    pub fn guard(mut self, guard: impl Fn(&Context, &str) -> Result + 'static) -> Self {
        self.guard = Some(Rc::new(guard));
        self
    }

    /// Sets a function that adds fields to the response with a file, or replaces some (Tornado's
    /// `set_extra_headers`).
    ///
    /// The path is that of the file, relative to the directory.
    pub fn extra_headers(mut self, extra: impl Fn(&str, &mut Headers) + 'static) -> Self {
        self.extra_headers = Some(Rc::new(extra));
        self
    }

    /// Answers a request with the file at a path, for handlers that choose the path themselves.
    ///
    /// The path is decoded and relative to the directory.
    ///
    /// # Errors
    ///
    /// 404 if the path names nothing that is served, 412 and 416 as the request's conditions ask. 503 if descriptors or
    /// memory are short, 500 if the file cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call has written nothing.
    pub async fn serve(&self, cx: &mut Context, path: &str) -> Result {
        self.serve_bytes(cx, path.as_bytes()).await
    }

    /// Answers with what a decoded path stands for.
    async fn serve_bytes(&self, cx: &mut Context, path: &[u8]) -> Result {
        let root = self.tree.open(cx.shared.file_source())?;
        if let Some(guard) = &self.guard {
            guard(cx, &String::from_utf8_lossy(path))?;
        }
        if let Some(name) = self.tree.likely_file(path)
            && let Some(file) = root.find_alone(&name)
        {
            return self.respond(cx, &name, file, false).await;
        }
        match self.tree.resolve(&*root, path).await? {
            Resolved::File { name, held } => self.send(cx, &*root, &name, held).await,
            Resolved::Directory { path, has_index } => self.serve_directory(cx, &*root, path, has_index).await,
            Resolved::Missing => self.serve_missing(cx, &*root, path).await,
        }
    }

    /// Redirects to a directory's slash, or lists the directory.
    async fn serve_directory(
        &self,
        cx: &mut Context,
        root: &dyn FileRoot,
        path: StaticPath<'_>,
        has_index: bool,
    ) -> Result {
        if !path.has_slash && (has_index || self.lists_directories) {
            return redirect_to_slash(cx);
        }
        if !self.lists_directories {
            return self.serve_missing(cx, root, path.name).await;
        }
        match find(root, path.name).await {
            Found::Directory => {}
            Found::Failed(error) => return Err(failed(error)),
            Found::File(_) | Found::Missing => return Err(not_found()),
        }
        let entries = root.list(path.name, LISTED_MAX).await.map_err(failed)?;
        let decoded = percent_decode(cx.path().as_bytes()).decode_utf8_lossy();
        let page = listing::page(&decoded, entries);
        cx.set_header(header::CONTENT_TYPE, "text/html; charset=utf-8")?;
        cx.set_header(header::CACHE_CONTROL, "no-cache")?;
        cx.set_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        cx.write(page);
        Ok(())
    }

    /// Answers with the fallback file, if there is one for this request.
    async fn serve_missing(&self, cx: &mut Context, root: &dyn FileRoot, path: &[u8]) -> Result {
        let Some(fallback) = &self.fallback else {
            return Err(not_found());
        };
        let accepts_pages = cx.headers().get_all("accept").any(|line| {
            let mut types = line.split(|&byte| matches!(byte, b',' | b';')).map(<[u8]>::trim_ascii);
            types.any(|media_type| media_type.eq_ignore_ascii_case(b"text/html"))
        });
        if !accepts_pages && file_name(path).contains(&b'.') {
            return Err(not_found());
        }
        let name = Rc::clone(fallback);
        match find(root, name.as_bytes()).await {
            Found::File(held) => self.send(cx, root, name.as_bytes(), held).await,
            Found::Failed(error) => Err(failed(error)),
            Found::Directory | Found::Missing => Err(not_found()),
        }
    }

    /// Answers with a file, in the coding that the client prefers.
    async fn send(&self, cx: &mut Context, root: &dyn FileRoot, name: &[u8], held: Option<Rc<OpenFile>>) -> Result {
        let variants = find_variants(root, name).await?;
        let varies = variants.iter().any(|variant| variant.is_file);
        if !varies {
            let is_in_memory = held.is_some();
            let file = open_file(root, name, held).await?.ok_or_else(not_found)?;
            if is_in_memory {
                root.note_alone(name, &variants.map(|variant| variant.name), &file);
            }
            return self.respond(cx, name, file, false).await;
        }
        let accepted = AcceptedCodings::read(cx.headers());
        let is_there = |coding: ContentCoding| {
            variants
                .iter()
                .any(|variant| variant.coding == coding && variant.is_file)
        };
        let coding = accepted.preferred(ContentCoding::ALL.into_iter().filter(|coding| is_there(*coding)));
        if let Some(variant) = variants.into_iter().find(|variant| Some(variant.coding) == coding)
            && let Some(file) = open_file(root, &variant.name, variant.held).await?
        {
            let plain = match asks_for_version(cx) {
                true => open_file(root, name, held).await?,
                false => None,
            };
            let is_current = is_current_version(cx, plain.as_deref()).await;
            let choice = Choice {
                file,
                coding,
                varies: true,
            };
            return self.write(cx, name, choice, is_current);
        }
        // Also where the variant has just been removed.
        let file = open_file(root, name, held).await?.ok_or_else(not_found)?;
        self.respond(cx, name, file, true).await
    }

    /// Answers with a file as it is.
    async fn respond(&self, cx: &mut Context, name: &[u8], file: Rc<OpenFile>, varies: bool) -> Result {
        let is_current = is_current_version(cx, Some(&*file)).await;
        let choice = Choice {
            file,
            coding: None,
            varies,
        };
        self.write(cx, name, choice, is_current)
    }

    fn write(&self, cx: &mut Context, name: &[u8], choice: Choice, is_current: bool) -> Result {
        choice.respond(cx, name, self.cache_policy(name, is_current))?;
        if let Some(extra) = &self.extra_headers {
            extra(&String::from_utf8_lossy(name), &mut cx.response.head.headers);
        }
        Ok(())
    }

    fn cache_policy(&self, name: &[u8], is_current: bool) -> CachePolicy {
        if is_current {
            return CachePolicy::Immutable;
        }
        let mut rules = self.cache_control.iter();
        match rules.find(|(pattern, _)| super::wildcard::matches(pattern, name)) {
            Some((_, value)) => CachePolicy::Chosen(value.clone()),
            None => CachePolicy::Revalidate,
        }
    }
}

/// A precompressed file that may be beside another.
struct Variant {
    coding: ContentCoding,
    name: Vec<u8>,
    is_file: bool,
    held: Option<Rc<OpenFile>>,
}

/// Looks for the precompressed files beside a file.
async fn find_variants(root: &dyn FileRoot, name: &[u8]) -> Result<[Variant; 3]> {
    let mut variants = ContentCoding::ALL.map(|coding| Variant {
        coding,
        name: variant_name(name, coding),
        is_file: false,
        held: None,
    });
    for variant in &mut variants {
        match find(root, &variant.name).await {
            Found::File(held) => {
                variant.is_file = true;
                variant.held = held;
            }
            Found::Directory | Found::Missing => {}
            Found::Failed(error) => return Err(failed(error)),
        }
    }
    Ok(variants)
}

fn variant_name(name: &[u8], coding: ContentCoding) -> Vec<u8> {
    let suffix: &[u8] = match coding {
        ContentCoding::Brotli => b".br",
        ContentCoding::Zstd => b".zst",
        ContentCoding::Gzip => b".gz",
    };
    [name, suffix].concat()
}

/// Opens a file, unless its content is in memory.
async fn open_file(root: &dyn FileRoot, name: &[u8], held: Option<Rc<OpenFile>>) -> Result<Option<Rc<OpenFile>>> {
    match held {
        Some(held) => Ok(Some(held)),
        None => open(root, name).await.map_err(failed),
    }
}

/// Whether the query can have a version.
fn asks_for_version(cx: &Context) -> bool {
    cx.query().is_some_and(|query| query.contains('v'))
}

/// Whether the request names the version that the file has now.
async fn is_current_version(cx: &Context, file: Option<&OpenFile>) -> bool {
    if !asks_for_version(cx) {
        return false;
    }
    let named: Option<String> = cx.optional_query_param("v").ok().flatten();
    let named = named.as_deref().and_then(super::version::FileVersion::parse);
    match (named, file) {
        (Some(named), Some(file)) => file.version().await == Some(named),
        _ => false,
    }
}

/// Answers 301 with the path of the request and a slash behind it, on this host.
fn redirect_to_slash(cx: &mut Context) -> Result {
    let mut location: String = utf8_percent_encode(cx.path(), NO_URI).collect();
    // Two slashes would begin the name of a host.
    if location.starts_with("//") || !location.starts_with('/') {
        return Err(not_found());
    }
    location.push('/');
    if let Some(query) = cx.query() {
        location.push('?');
        location.extend(utf8_percent_encode(query, NO_URI));
    }
    cx.redirect(&location)?;
    cx.set_status(StatusCode::MOVED_PERMANENTLY);
    Ok(())
}

fn not_found() -> crate::error::Error {
    HttpError::new(StatusCode::NOT_FOUND).into()
}

/// The path of the file that a request asks for, decoded and relative to the directory.
///
/// It is the rest parameter of the pattern. Without one, as for `/robots.txt` or in a fallback, it is the last segment
/// of the path, or the whole path.
fn requested_path(cx: &Context) -> Result<Cow<'_, [u8]>> {
    let pattern = cx.route.and_then(|index| cx.shared.pattern(index));
    let path = cx.head.path();
    let encoded = match pattern {
        Some(pattern) if pattern.takes_rest() => cx.params.last().map(|span| span.of(path)).unwrap_or_default(),
        Some(_) => path.rsplit('/').next().unwrap_or_default(),
        None => path.strip_prefix('/').unwrap_or_default(),
    };
    check_escapes(encoded.as_bytes()).map_err(|error| bad_request(format!("the path is malformed: {error}")))?;
    Ok(percent_decode(encoded.as_bytes()).into())
}

impl Endpoint for StaticFiles {
    fn call<'a>(&'a self, cx: &'a mut Context) -> LocalBoxFuture<'a> {
        Box::pin(async move {
            let path = requested_path(cx)?.into_owned();
            self.serve_bytes(cx, &path).await
        })
    }

    fn answers_head(&self) -> bool {
        true
    }

    fn has_on_finish(&self) -> bool {
        false
    }

    fn on_finish<'a>(&'a self, _: &'a mut Context) -> LocalBoxFuture<'a, ()> {
        Box::pin(core::future::ready(()))
    }
}

impl IntoRoute for StaticFiles {
    fn into_route(self) -> Route {
        let tree = Rc::clone(&self.tree);
        Route::of_static_files(Method::GET, Rc::new(self), tree)
    }
}

impl fmt::Debug for StaticFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StaticFiles")
            .field("tree", &self.tree)
            .field("lists_directories", &self.lists_directories)
            .field("fallback", &self.fallback)
            .finish_non_exhaustive()
    }
}
