//! URLs of static files that carry the version of their content (Tornado's `static_url`).

use core::pin::pin;
use core::task::Poll;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::source::open;
use super::static_routes::StaticRoute;
use super::tree::Resolved;
use super::version::FileVersion;
use crate::app::context::Context;
use crate::app::shared::Shared;
use crate::error::{Error, Result};

/// The characters that a URL's path percent-encodes: all but the unreserved ones and the slash (RFC 3986 §2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

impl Context {
    /// Returns the URL of a static file with the version of its content (Tornado's `static_url`).
    ///
    /// The version is `?v=` and a hash. A response to this URL may be stored for ever, and a changed file has another
    /// URL. The path is relative to the directory of the first [`StaticFiles`](crate::StaticFiles) that the
    /// application serves at a pattern such as `/static/{*path}`.
    ///
    /// It never waits. The URL lacks the version if the file is not served. It also lacks it while the version of a
    /// large file, or of one on the disk, is being computed. [`static_url_with_version`](Self::static_url_with_version)
    /// waits for it.
    ///
    /// # Errors
    ///
    /// 500 if no route of the application serves static files.
    pub fn static_url(&self, path: &str) -> Result<String> {
        self.shared.static_url(path)
    }

    /// Returns the URL of a static file as [`static_url`](Self::static_url) does, and waits for the version.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call waits for the same computation.
    pub async fn static_url_with_version(&self, path: &str) -> Result<String> {
        let (prefix, route) = self.shared.static_route()?;
        let version = version(&self.shared, route, path).await;
        Ok(url(prefix, path, version))
    }
}

impl Shared {
    /// Returns the URL of a static file, as [`Context::static_url`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn static_url(&self, path: &str) -> Result<String> {
        let (prefix, route) = self.static_route()?;
        let mut version = pin!(version(self, route, path));
        // One poll: what is not known at once is computed for later calls.
        let polled = version
            .as_mut()
            .poll(&mut core::task::Context::from_waker(core::task::Waker::noop()));
        let version = match polled {
            Poll::Ready(version) => version,
            Poll::Pending => None,
        };
        Ok(url(prefix, path, version))
    }

    /// The first tree at a pattern whose URLs can be built.
    fn static_route(&self) -> Result<(&str, &StaticRoute)> {
        let mut routes = self.static_routes().iter();
        let found = routes.find_map(|route| Some((route.prefix.as_deref()?, route)));
        found.ok_or_else(|| {
            Error::new(
                "could not build the URL of a static file: no route serves static files; add \
                 .route(\"/static/{*path}\", StaticFiles::new(\"public\"))",
            )
        })
    }
}

/// Computes the version of the file that a path stands for; `None` without such a file.
async fn version(shared: &Shared, route: &StaticRoute, path: &str) -> Option<FileVersion> {
    let root = route.tree.open(shared.file_source()).ok()?;
    match route.tree.resolve(&*root, path.as_bytes()).await.ok()? {
        Resolved::File { held: Some(file), .. } => file.version().await,
        Resolved::File { name, held: None } => open(&*root, &name).await.ok()??.version().await,
        Resolved::Directory { .. } | Resolved::Missing => None,
    }
}

fn url(prefix: &str, path: &str, version: Option<FileVersion>) -> String {
    let mut url = prefix.to_owned();
    // A leading slash would end the prefix, or begin the name of a host.
    let rest = path.strip_prefix('/');
    if rest.is_some() {
        url.push_str("%2F");
    }
    url.extend(percent_encode(rest.unwrap_or(path).as_bytes(), ENCODED));
    if let Some(version) = version {
        url.push_str("?v=");
        url.push_str(&version.to_string());
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_percent_encoded_and_stays_beneath_its_prefix() {
        let version = FileVersion::of(b"abc");
        for (path, expected) in [
            ("app.css", "/static/app.css"),
            ("a b/\u{fc}?&#%.css", "/static/a%20b/%C3%BC%3F%26%23%25.css"),
            ("/etc/passwd", "/static/%2Fetc/passwd"),
            ("a\\b\"<\r\n", "/static/a%5Cb%22%3C%0D%0A"),
            ("", "/static/"),
        ] {
            assert_eq!(url("/static/", path, None), expected);
            assert_eq!(url("/static/", path, Some(version)), format!("{expected}?v={version}"));
        }
        assert_eq!(url("/", "/evil.example", None), "/%2Fevil.example");
        assert_eq!(url("/", "//evil.example", None), "/%2F/evil.example");
    }
}
