//! No circle of imports between the files of a package: a file can be read after those it imports.
//!
//! A path is followed through re-exports to the file that defines its name. A parent's `mod` lines, and its re-exports of names it does not
//! use itself, do not count: they say where a file is found. Modules for tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::source::{Source, closing_brace, has_word, top_level};

/// The packages' sources.
const PACKAGES: [&str; 3] = ["src", "shards/src", "loadtest/src"];

/// Names of a path, from the package's root.
type ModulePath = Vec<String>;

/// A file that is a module.
struct Module {
    file: String,
    /// Its code without `use` items and without modules for tests.
    body: String,
    /// What its `use` items bring in, by the name it has here.
    imports: BTreeMap<String, ModulePath>,
    /// All paths it names, and whether a `pub use` names them.
    paths: Vec<(ModulePath, bool)>,
}

/// From each file to the files it imports, with a name it imports from there.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn no_files_import_one_another_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = Vec::new();
    for package in PACKAGES {
        let mut files = Vec::new();
        collect(root, package, &mut files);
        broken.extend(circles(&graph(package, &files)));
    }
    assert!(broken.is_empty(), "circles of imports:\n{}", broken.join("\n"));
}

#[test]
fn the_check_finds_a_circle_and_follows_re_exports() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let found = |files: &[(String, String)]| circles(&graph("src", files));
    let direct = [
        file("src/lib.rs", "mod a; mod b;"),
        file("src/a.rs", "use crate::b::B; pub struct A;"),
        file("src/b.rs", "pub struct B; fn f() -> crate::a::A { crate::a::A }"),
    ];
    assert_eq!(found(&direct), ["src/a.rs -> src/b.rs (B) -> src/a.rs (A)"]);
    let through_a_re_export = [
        file("src/lib.rs", "mod a; mod c;"),
        file("src/a/mod.rs", "mod b;\npub use b::B;"),
        file("src/a/b.rs", "use crate::c::{self, D}; pub struct B;"),
        file("src/c.rs", "use crate::{a::{B as Other}}; pub struct D;"),
    ];
    assert_eq!(
        found(&through_a_re_export),
        ["src/a/b.rs -> src/c.rs (c) -> src/a/b.rs (B)"]
    );
    let fine = [
        file("src/lib.rs", "mod a;\nmod b;\npub use a::A;"),
        file("src/a.rs", "use super::b::B; pub struct A; // crate::lib"),
        file("src/b.rs", "pub struct B; #[cfg(test)]\nmod tests { use crate::a::A; }"),
    ];
    assert!(found(&fine).is_empty(), "{:?}", found(&fine));
}

/// The sources below a folder, without those for tests alone.
fn collect(root: &Path, folder: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(root.join(folder)).expect(folder) {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            collect(root, &path, files);
        } else if name.ends_with(".rs") {
            files.push((path.clone(), fs::read_to_string(root.join(&path)).unwrap()));
        }
    }
}

/// Returns which file imports which, and by which name.
fn graph(package: &str, files: &[(String, String)]) -> Graph {
    let codes: Vec<_> = files
        .iter()
        .map(|(file, text)| (file, without_tests(&Source::new(file, text).code)))
        .collect();
    let is_for_tests = |path: &ModulePath| {
        (1..=path.len()).any(|end| {
            let (name, parent) = (&path[end - 1], &path[..end - 1]);
            let declared = format!("#[cfg(test)]\nmod {name};");
            let holder = codes.iter().find(|(file, _)| module_path(package, file) == parent);
            holder.is_some_and(|(_, code)| code.contains(&declared))
        })
    };
    let mut modules: BTreeMap<ModulePath, Module> = BTreeMap::new();
    for (file, code) in &codes {
        let path = module_path(package, file);
        if !is_for_tests(&path) {
            modules.insert(path, Module::read(file, code));
        }
    }
    let names: BTreeSet<ModulePath> = modules.keys().cloned().collect();
    for (path, module) in &mut modules {
        module.find_paths(path, &names);
    }
    let mut graph = Graph::new();
    for (path, module) in &modules {
        for (named, is_public) in &module.paths {
            let Some(target) = resolve(named, &modules, 0) else {
                continue;
            };
            let name = named.last().cloned().unwrap_or_default();
            let is_re_export = *is_public && target.starts_with(path) && !has_word(&module.body, &name);
            let (from, to) = (&module.file, &modules[target].file);
            if from != to && !is_re_export {
                let arrows = graph.entry(from.clone()).or_default();
                arrows.entry(to.clone()).or_insert(name);
            }
        }
    }
    graph
}

/// One circle of each set of files that reach one another, as short as they come.
fn circles(graph: &Graph) -> Vec<String> {
    let mut in_circles = BTreeSet::new();
    let mut found = Vec::new();
    for start in graph.keys() {
        let Some(circle) = shortest_circle(graph, start) else {
            continue;
        };
        if circle.iter().any(|file| in_circles.contains(file)) {
            continue;
        }
        let mut line = start.clone();
        for (from, to) in circle.iter().zip(circle.iter().skip(1).chain([start])) {
            line += &format!(" -> {to} ({})", graph[from][to]);
        }
        in_circles.extend(circle);
        found.push(line);
    }
    found
}

/// The files on a shortest way from a file back to it, the file itself first.
fn shortest_circle(graph: &Graph, start: &str) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut level = vec![start];
    while !level.is_empty() {
        let mut next = Vec::new();
        for from in level {
            for to in graph.get(from).into_iter().flat_map(BTreeMap::keys) {
                if to == start {
                    let mut way = vec![from.to_owned()];
                    while let Some(before) = came_from.get(way.last()?.as_str()) {
                        way.push((*before).to_owned());
                    }
                    way.reverse();
                    return Some(way);
                }
                if !came_from.contains_key(to.as_str()) {
                    came_from.insert(to, from);
                    next.push(to.as_str());
                }
            }
        }
        level = next;
    }
    None
}

/// The module that defines what a path names: re-exports are followed, to a bound.
fn resolve<'a>(named: &[String], modules: &'a BTreeMap<ModulePath, Module>, depth: usize) -> Option<&'a ModulePath> {
    let (path, module) = (0..=named.len())
        .rev()
        .find_map(|end| modules.get_key_value(&named[..end]))?;
    let rest = &named[path.len()..];
    if let Some((name, rest)) = rest.split_first()
        && let Some(imported) = module.imports.get(name)
        && depth < 8
    {
        return resolve(&[imported, rest].concat(), modules, depth + 1);
    }
    Some(path)
}

impl Module {
    fn read(file: &str, code: &str) -> Self {
        Self {
            file: file.to_owned(),
            body: code.to_owned(),
            imports: BTreeMap::new(),
            paths: Vec::new(),
        }
    }

    /// Takes the `use` items out of the body, and finds the paths in both.
    fn find_paths(&mut self, own: &[String], names: &BTreeSet<ModulePath>) {
        let mut body = String::new();
        let mut rest = self.body.as_str();
        while let Some((before, is_public, tree, after)) = next_use(rest) {
            body.push_str(before);
            for (path, alias) in expand(tree) {
                let Some(path) = absolute(&path, own, names) else {
                    continue;
                };
                let name = alias.or_else(|| path.last().cloned()).unwrap_or_default();
                if name != "*" {
                    self.imports.insert(name, path.clone());
                }
                self.paths.push((path, is_public));
            }
            rest = after;
        }
        body.push_str(rest);
        for path in paths_in(&body) {
            self.paths.extend(absolute(&path, own, names).map(|path| (path, false)));
        }
        self.body = body;
    }
}

/// The first `use` item of some code: what stands before it, whether it is public, its tree, and what stands behind it.
fn next_use(code: &str) -> Option<(&str, bool, &str, &str)> {
    let mut from = 0;
    loop {
        let at = from + code[from..].find("use ")?;
        let line = code[..at].rfind('\n').map_or(0, |end| end + 1);
        let before = code[line..at].trim();
        if before.is_empty() || before.starts_with("pub") && !before.contains(['{', ';', '=']) {
            let end = at + code[at..].find(';')?;
            return Some((&code[..line], !before.is_empty(), &code[at + 4..end], &code[end + 1..]));
        }
        from = at + 4;
    }
}

/// The paths of a `use` tree, each with the name it is given.
fn expand(tree: &str) -> Vec<(ModulePath, Option<String>)> {
    let tree = tree.trim();
    if let Some((head, list)) = tree.split_once('{') {
        let list = &list[..list.rfind('}').unwrap_or(list.len())];
        let head: ModulePath = words(head).map(str::to_owned).collect();
        let items = top_level(list).filter(|item| !item.trim().is_empty());
        let inside = items.flat_map(expand).collect::<Vec<_>>();
        return inside
            .into_iter()
            .map(|(path, alias)| ([head.clone(), path].concat(), alias))
            .collect();
    }
    let (path, alias) = tree
        .split_once(" as ")
        .map_or((tree, None), |(path, alias)| (path, Some(alias.trim().to_owned())));
    let path = path.split("::").map(|name| name.trim().to_owned());
    let inside_of_list = path.clone().count() == 1 && tree == "self";
    vec![(if inside_of_list { Vec::new() } else { path.collect() }, alias)]
}

/// The paths of more than one name in code that has no `use` items.
fn paths_in(code: &str) -> Vec<ModulePath> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("::") {
        let start = rest[..at]
            .rfind(|next: char| !is_part(next))
            .map_or(0, |before| before + 1);
        let end = rest[at..]
            .find(|next: char| !is_part(next) && next != ':')
            .map_or(rest.len(), |after| at + after);
        let path: ModulePath = rest[start..end]
            .split("::")
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let is_visibility = rest[..start].trim_end().ends_with("(in");
        if path.len() > 1 && !is_visibility {
            found.push(path);
        }
        rest = &rest[end.max(at + 2)..];
    }
    found
}

/// A path from the package's root; none where it leads into another package.
fn absolute(path: &[String], own: &[String], names: &BTreeSet<ModulePath>) -> Option<ModulePath> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([own, rest].concat()),
        "super" => {
            let climbs = path.iter().take_while(|name| *name == "super").count();
            Some([&own[..own.len().checked_sub(climbs)?], &path[climbs..]].concat())
        }
        _ => {
            let child = [own, path].concat();
            names.contains(&child[..=own.len()]).then_some(child)
        }
    }
}

/// The module that a file is.
fn module_path(package: &str, file: &str) -> ModulePath {
    let inside = file.strip_prefix(package).unwrap_or(file).trim_start_matches('/');
    let mut names: ModulePath = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        names.pop();
    }
    names
}

/// Code without its `#[cfg(test)] mod … {}`.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]\nmod ").or_else(|| rest.find("#[cfg(all(test")) {
        let brace = rest[at..].find(['{', ';']).map(|found| at + found);
        match brace.filter(|brace| rest[*brace..].starts_with('{')) {
            Some(brace) => {
                kept.push_str(&rest[..at]);
                let inside = &rest[brace + 1..];
                rest = closing_brace(inside).map_or("", |end| &inside[end + 1..]);
            }
            None => {
                let end = brace.unwrap_or(rest.len() - 1) + 1;
                kept.push_str(&rest[..end]);
                rest = &rest[end..];
            }
        }
    }
    kept + rest
}

fn is_part(next: char) -> bool {
    next.is_alphanumeric() || next == '_'
}

/// The names in a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|next| !is_part(next)).filter(|word| !word.is_empty())
}
