//! A page from a template: one value as text, as an attribute, in a URL and in a script.

use askama::Template;
use squall::prelude::*;
use squall::views::{Render, filters};

/// The page of one value.
#[derive(Template)]
#[template(
    ext = "html",
    source = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>A page</title>
<p id=\"t\">{{ name }}</p>
<a id=\"a\" title=\"{{ name }}\" href=\"/q?x={{ name|urlencode_strict }}\">q</a>
<script id=\"j\">var v = {{ name|script_json }};</script>
</html>
"
)]
struct Named {
    name: String,
}

async fn page(cx: &mut Context) -> Result<Render<Named>> {
    let name = cx.query_param("name")?;
    Ok(Render(Named { name }))
}

/// Adds the routes of this file.
pub(crate) fn add_to(application: Application) -> Application {
    application.get("/page", page)
}
