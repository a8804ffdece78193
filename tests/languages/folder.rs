//! Languages from a folder, in the layouts of Tornado and of gettext.

use std::fs;
use std::path::{Path, PathBuf};

use squall::views::locale::Languages;

/// An empty folder of this test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("locale-{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn tags(languages: &Languages) -> Vec<&str> {
    languages.tags().collect()
}

#[test]
fn every_layout_is_read() {
    let folder = folder("layouts");
    write(&folder, "de.csv", "Hello,Hallo");
    write(&folder, "es_LA.po", "msgid \"Hello\"\nmsgstr \"Hola\"\n");
    write(
        &folder,
        "fr/LC_MESSAGES/site.po",
        "msgid \"Hello\"\nmsgstr \"Bonjour\"\n",
    );
    write(&folder, "it/site.ftl", "hello = Ciao\n");
    write(&folder, "README.txt", "not a language");
    write(&folder, ".hidden", "neither");
    write(&folder, "templates/page.html", "<p>");
    let languages = Languages::load("en", &folder).unwrap();
    assert_eq!(tags(&languages), ["en", "de", "es-LA", "fr", "it"]);
    assert_eq!(languages.best_for(&["fr-CA"]), "fr");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_compiled_file_stands_for_its_source() {
    let folder = folder("compiled");
    // The source is malformed, so reading it would fail; the compiled file has no entries.
    write(&folder, "de.po", "malformed");
    let mut empty = 0x9504_12de_u32.to_le_bytes().to_vec();
    empty.extend(
        [0, 0, 28, 28, 0, 28]
            .iter()
            .flat_map(|number: &u32| number.to_le_bytes()),
    );
    write(&folder, "de.mo", empty);
    assert_eq!(tags(&Languages::load("en", &folder).unwrap()), ["en", "de"]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_mistake_names_its_file() {
    for (name, content, problem) in [
        (
            "de.po",
            &b"msgid \"a\n"[..],
            "could not read PO translations for `de`: line 1: a string is not in quotes",
        ),
        ("de.po", b"\xff", "it is not UTF-8"),
        (
            "de.mo",
            b"no",
            "could not read MO translations for `de`: it does not begin as a `.mo` file",
        ),
        ("de.csv", b"a,b,many", "the third value is `many`"),
        ("de.ftl", b"no message", "could not read Fluent messages for `de`"),
        ("not a tag.csv", b"a,b", "could not read the language `not a tag`"),
        ("de/site.ftl", b"=", "could not read Fluent messages for `de`"),
    ] {
        let folder = folder("mistake");
        write(&folder, name, content);
        let error = Languages::load("en", &folder).unwrap_err().to_string();
        assert!(
            error.starts_with(&folder.join(name).display().to_string()),
            "{name}: {error}"
        );
        assert!(error.contains(problem), "{name}: {error}");
        fs::remove_dir_all(folder).unwrap();
    }
    let error = Languages::load("en", "/does/not/exist").unwrap_err().to_string();
    assert!(
        error.starts_with("could not read the folder /does/not/exist: "),
        "{error}"
    );
    assert!(Languages::new("not a tag").is_err());
}
