//! Parameters in the syntax of other frameworks. As literals they would match no request, so they are errors.

/// Finds a parameter in the syntax of another framework; the error completes the sentence "the pattern …".
pub(super) fn check(text: &str) -> Result<(), String> {
    let regular_expression = regular_expression(text).map(|found| (found, rest_or_segment(found, "name")));
    let segments = text.split('/').filter_map(parameter);
    match regular_expression.into_iter().chain(segments).next() {
        Some((found, ours)) => Err(format!(
            "has `{found}`, a parameter of other frameworks; write `{ours}`"
        )),
        None => Ok(()),
    }
}

/// Describes a type that is unknown here; the error completes the sentence "the pattern …".
pub(super) fn unknown_type(name: &str, kind: &str) -> String {
    if kind.starts_with(['.', '*', '(']) || kind == "path" {
        return format!("has the unknown type `{kind}`; for the rest of the path, write `{{*{name}}}`");
    }
    format!("has the unknown type `{kind}`; use u32, u64, i32, i64, uuid or slug")
}

/// A parameter in one segment, and how it is written here.
fn parameter(segment: &str) -> Option<(&str, String)> {
    // Express, Sinatra, Rails, axum before 0.8: `:id`, `:id?`, `:id.json`.
    if let Some(name) = segment.strip_prefix(':').map(leading_name)
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
    {
        return Some((segment, format!("{{{name}}}")));
    }
    // Express, Rails, Rocket and gorilla: `*`, `**`, `*path`.
    if let Some(name) = segment.strip_prefix('*').map(|rest| rest.trim_start_matches('*')) {
        let name = leading_name(name);
        return Some((segment, format!("{{*{}}}", if name.is_empty() { "path" } else { name })));
    }
    // Flask, Rocket, Django: `<id>`, `<int:id>`, `<path:rest>`, `<rest..>`.
    let (_, inside) = segment.split_once('<')?;
    let (inside, _) = inside.split_once('>')?;
    let (kind, name) = inside.split_once(':').unwrap_or(("", inside));
    let takes_rest = kind == "path" || name.ends_with("..");
    let name = leading_name(name);
    let name = if name.is_empty() { "name" } else { name };
    let ours = match kind {
        "int" => format!("{{{name}:u64}}"),
        "uuid" | "slug" => format!("{{{name}:{kind}}}"),
        _ if takes_rest => format!("{{*{name}}}"),
        _ => format!("{{{name}}}"),
    };
    Some((segment, ours))
}

/// A group of a regular expression (Tornado, Django, actix-web): parentheses around characters that only a regular
/// expression has there. `/a(b)` remains a path.
fn regular_expression(text: &str) -> Option<&str> {
    let start = text.find('(')?;
    let tail = text.get(start..)?;
    let end = tail.find(')')?;
    let group = tail.get(..=end)?;
    group.contains(['\\', '[', '*', '+', '|', '?']).then_some(group)
}

/// A group that matches slashes takes the rest of the path.
fn rest_or_segment(group: &str, name: &str) -> String {
    let named = group.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    let name = named.map_or(name, |(name, _)| name);
    if group.contains(".*") || group.contains(".+") {
        format!("{{*{name}}}")
    } else {
        format!("{{{name}}}")
    }
}

/// The ASCII letters, digits and `_` at the start.
fn leading_name(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{check, unknown_type};

    #[test]
    fn an_error_says_how_the_parameter_is_written_here() {
        for (text, found, ours) in [
            ("/users/:id", ":id", "{id}"),
            ("/users/:id/posts", ":id", "{id}"),
            ("/users/:id?", ":id?", "{id}"),
            (r"/users/:id(\d+)", r"(\d+)", "{name}"),
            ("/static/*", "*", "{*path}"),
            ("/static/**", "**", "{*path}"),
            ("/static/*file", "*file", "{*file}"),
            ("/users/<id>", "<id>", "{id}"),
            ("/users/<int:id>/", "<int:id>", "{id:u64}"),
            ("/users/<uuid:id>", "<uuid:id>", "{id:uuid}"),
            ("/files/<path:file>", "<path:file>", "{*file}"),
            ("/files/<file..>", "<file..>", "{*file}"),
            (r"/users/(\d+)", r"(\d+)", "{name}"),
            ("/users/([0-9]+)", "([0-9]+)", "{name}"),
            ("/users/([^/]+)/posts", "([^/]+)", "{name}"),
            ("/files/(.*)", "(.*)", "{*name}"),
            (r"/users/(?P<id>\d+)", r"(?P<id>\d+)", "{id}"),
        ] {
            let problem = check(text).unwrap_err();
            assert_eq!(
                problem,
                format!("has `{found}`, a parameter of other frameworks; write `{ours}`"),
                "{text}"
            );
        }
    }

    #[test]
    fn accepts_paths_that_only_resemble_them() {
        for text in [
            "/",
            "",
            "/items:batch",
            "/items/{id}:undelete",
            "/a:b/c*d",
            "/Foo_(bar)",
            "/Products(1)",
            "/12:30",
            "/:",
            "/:8080",
            "/a)b(",
            "/{*rest}",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn an_unknown_type_for_the_rest_of_the_path_names_the_catch_all() {
        for kind in [".*", ".+", "path"] {
            assert!(unknown_type("tail", kind).ends_with("write `{*tail}`"), "{kind}");
        }
        assert!(unknown_type("id", "int").contains("u64"));
    }
}
