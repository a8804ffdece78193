//! Modules: parts of a page that bring their own styles and scripts (Tornado's UI modules).
//!
//! A module is a template. The filter [`module`](super::filters::module) renders it where it stands and collects its
//! assets. When the page is complete, each asset is placed once: styles before `</head>`, scripts before `</body>`.

use core::cell::RefCell;
use core::fmt::Write;

use askama::Template;
use memchr::memmem;

use crate::app::context::Context;
use crate::error::{Error, Result};
use crate::memory::append_to_answer;

/// A part of a page with its own styles and scripts (Tornado's `UIModule`).
///
/// ```
/// use askama::Template;
/// use squall::views::{Module, filters};
///
/// #[derive(Template)]
/// #[template(ext = "html", source = "<article class=\"entry\">{{ title }}</article>")]
/// struct Entry {
///     title: String,
/// }
///
/// impl Module for Entry {
///     fn embedded_css(&self) -> &'static str {
///         ".entry { border: 1px solid }"
///     }
/// }
///
/// #[derive(Template)]
/// #[template(
///     ext = "html",
///     source = "<head></head><body>{% for entry in entries %}{{ entry|module }}{% endfor %}</body>"
/// )]
/// struct Entries {
///     entries: Vec<Entry>,
/// }
/// ```
///
/// Every asset appears once in a page, in the order of its first module. A file is a path under the static files, whose
/// URL gets its version. A text that starts with `/` or has a scheme is a URL. Embedded text is written as it is, so it
/// must not contain `</style` or `</script`. It carries the [nonce](Context::csp_nonce) where the policy has one. The
/// page has the tags `</head>` and `</body>` in lower case.
pub trait Module: Template {
    /// Returns the path of the template in the folder of templates, as in its attribute `path`.
    ///
    /// Only pages that read their templates anew ask for it:
    /// [`Context::render_file`](crate::Context::render_file).
    fn file(&self) -> &'static str {
        ""
    }

    /// Returns the style sheets that the page links in its head.
    fn css_files(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns CSS for a `<style>` in the head.
    fn embedded_css(&self) -> &'static str {
        ""
    }

    /// Returns HTML for the end of the head.
    fn html_head(&self) -> &'static str {
        ""
    }

    /// Returns the scripts that the page loads at the end of its body.
    fn javascript_files(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns JavaScript for a `<script>` at the end of the body.
    fn embedded_javascript(&self) -> &'static str {
        ""
    }

    /// Returns HTML for the end of the body.
    fn html_body(&self) -> &'static str {
        ""
    }
}

impl<M: Module> Module for &M {
    fn file(&self) -> &'static str {
        (**self).file()
    }

    fn css_files(&self) -> &'static [&'static str] {
        (**self).css_files()
    }

    fn embedded_css(&self) -> &'static str {
        (**self).embedded_css()
    }

    fn html_head(&self) -> &'static str {
        (**self).html_head()
    }

    fn javascript_files(&self) -> &'static [&'static str] {
        (**self).javascript_files()
    }

    fn embedded_javascript(&self) -> &'static str {
        (**self).embedded_javascript()
    }

    fn html_body(&self) -> &'static str {
        (**self).html_body()
    }
}

/// What one module brings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assets {
    css_files: &'static [&'static str],
    css: &'static str,
    head: &'static str,
    javascript_files: &'static [&'static str],
    javascript: &'static str,
    body: &'static str,
}

impl Assets {
    pub(super) fn of(module: &impl Module) -> Self {
        Self {
            css_files: module.css_files(),
            css: module.embedded_css(),
            head: module.html_head(),
            javascript_files: module.javascript_files(),
            javascript: module.embedded_javascript(),
            body: module.html_body(),
        }
    }
}

/// The assets of the modules of one page, each once and in order.
#[derive(Debug, Default)]
pub(super) struct ModuleAssets(RefCell<Collected>);

#[derive(Debug, Default)]
struct Collected {
    css_files: Vec<&'static str>,
    css: Vec<&'static str>,
    head: Vec<&'static str>,
    javascript_files: Vec<&'static str>,
    javascript: Vec<&'static str>,
    body: Vec<&'static str>,
}

impl ModuleAssets {
    /// Adds the assets of a module.
    pub(super) fn add(&self, assets: &Assets) {
        let mut collected = self.0.borrow_mut();
        add_new(&mut collected.css_files, assets.css_files);
        add_new(&mut collected.css, &[assets.css]);
        add_new(&mut collected.head, &[assets.head]);
        add_new(&mut collected.javascript_files, assets.javascript_files);
        add_new(&mut collected.javascript, &[assets.javascript]);
        add_new(&mut collected.body, &[assets.body]);
    }

    /// Places the assets in a page, which begins at `start` in the content.
    ///
    /// # Errors
    ///
    /// The page lacks the tag that an asset stands before, a file has no URL, or memory is short.
    pub(super) fn place(self, content: &mut Vec<u8>, start: usize, cx: &Context) -> Result {
        let collected = self.0.into_inner();
        let (head, body) = (collected.head(cx)?, collected.body(cx)?);
        // The body's first, because an insertion moves whatever stands behind it.
        for (assets, tag) in [(body, "</body>"), (head, "</head>")] {
            if assets.is_empty() {
                continue;
            }
            let page = content.get(start..).unwrap_or_default();
            // Scripts of the page may name the end of the body before it comes.
            let place = match tag {
                "</body>" => memmem::rfind(page, tag.as_bytes()),
                _ => memmem::find(page, tag.as_bytes()),
            };
            let place = place.ok_or_else(|| {
                Error::new(format!(
                    "could not place the assets of modules: the page has no `{tag}`; add it to the template"
                ))
            })?;
            append_to_answer(content, assets.as_bytes())?;
            if let Some(moved) = content.get_mut(start + place..) {
                moved.rotate_right(assets.len());
            }
        }
        Ok(())
    }
}

impl Collected {
    /// The HTML for the end of the head.
    fn head(&self, cx: &Context) -> Result<String> {
        let mut html = String::new();
        for file in &self.css_files {
            writeln!(html, "<link rel=\"stylesheet\" href=\"{}\">", url(file, cx)?)?;
        }
        for css in &self.css {
            writeln!(html, "<style{}>\n{css}\n</style>", nonce(cx))?;
        }
        html.extend(self.head.iter().copied());
        Ok(html)
    }

    /// The HTML for the end of the body.
    fn body(&self, cx: &Context) -> Result<String> {
        let mut html = String::new();
        for file in &self.javascript_files {
            writeln!(html, "<script src=\"{}\"></script>", url(file, cx)?)?;
        }
        for script in &self.javascript {
            writeln!(html, "<script{}>\n{script}\n</script>", nonce(cx))?;
        }
        html.extend(self.body.iter().copied());
        Ok(html)
    }
}

/// Adds the assets that are not empty and not there yet.
fn add_new(assets: &mut Vec<&'static str>, more: &[&'static str]) {
    for asset in more {
        if !asset.is_empty() && !assets.contains(asset) {
            assets.push(asset);
        }
    }
}

/// The attribute that a policy with a nonce asks of embedded styles and scripts; empty without such a policy.
fn nonce(cx: &Context) -> String {
    let nonce = cx.csp_nonce().map(|nonce| format!(" nonce=\"{nonce}\""));
    nonce.unwrap_or_default()
}

/// The URL of a file, for an attribute in quotes.
fn url(file: &str, cx: &Context) -> Result<String> {
    let is_url = file.starts_with('/') || file.contains("://");
    let url = if is_url { file.to_owned() } else { cx.static_url(file)? };
    Ok(askama::filters::escape(url, askama::filters::Html)?.0.to_string())
}
