//! Tests of `contender.toml`: parsing, errors, and the commands.

use super::file::ContenderFile;
use super::*;

const CORES: Cores = Cores { server: 3, load: 1 };

const FORM: &str = r#"
    name = "quick"
    version = "1.2.3"
    note = "as documented"
    directory = "."
    [build]
    command = ["cargo", "build"]
    hint = "install cargo"
    [start]
    command = ["target/quick", "--listen={listen}"]
    arguments = ["--sleep"]
    [ready]
    path = "/up"
    [[variants]]
    name = "quick-spin"
    note = "spinning"
    arguments = ["--spin", "50us"]
"#;

const INSTALLED: &str = r#"
    name = "found"
    version_command = ["sh", "-c", "echo found/4.5"]
    note = "as packaged"
    directory = "."
    serves = ["websocket-echo"]
    [[requires]]
    program = "no-such-server"
    hint = "apt-get install it"
    [start]
    command = ["sh", "{scratch}/found.conf"]
    [ready]
    path = "/up"
    [stop]
    signal = "TERM"
    [[files]]
    name = "found.conf"
    content = "listen {listen}; keep {scratch}; serve {files};"
"#;

fn contenders(form: &str) -> Result<Vec<Contender>> {
    toml::from_str::<ContenderFile>(form)?.into_contenders(Path::new("contenders/quick"))
}

fn only(form: &str) -> Contender {
    contenders(form).unwrap().remove(0)
}

fn words(command: &Command) -> Vec<String> {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn variants_are_contenders_with_their_own_arguments() {
    let contenders = contenders(FORM).unwrap();
    let [main, variant] = contenders.as_slice() else {
        panic!("{contenders:?}")
    };
    assert_eq!(variant.name, "quick-spin");
    assert_eq!(variant.note, "spinning");
    assert_eq!(variant.version, main.version);
    assert_eq!(variant.build_key(), main.build_key());
    assert_eq!(main.command, ["target/quick", "--listen={listen}", "--sleep"]);
    assert_eq!(variant.command, ["target/quick", "--listen={listen}", "--spin", "50us"]);
}

#[test]
fn start_command_names_the_address_the_core_and_the_scratch_folder() {
    let places = Places {
        address: "127.0.0.1:8888".parse().unwrap(),
        scratch: Path::new("/tmp/own"),
        files: Path::new("/tmp/all"),
        upstream: None,
    };
    let pinned = only(FORM).start_command(places, CORES);
    assert_eq!(
        words(&pinned),
        [
            "taskset",
            "-c",
            "3",
            "target/quick",
            "--listen=127.0.0.1:8888",
            "--sleep"
        ]
    );
    assert_eq!(pinned.get_current_dir(), Some(Path::new("contenders/quick/.")));
    let path = pinned
        .get_envs()
        .find_map(|(name, value)| value.filter(|_| name == "PATH"));
    assert!(path.unwrap().to_string_lossy().contains("/usr/sbin"), "{path:?}");
    let found = only(INSTALLED);
    let pinned = found.start_command(places, CORES);
    assert_eq!(words(&pinned), ["taskset", "-c", "3", "sh", "/tmp/own/found.conf"]);
    let content = places.fill_in(&found.files[0].content);
    assert_eq!(content, "listen 127.0.0.1:8888; keep /tmp/own; serve /tmp/all;");
}

#[test]
fn contender_serves_http_by_default() {
    let [built, found] = [only(FORM), only(INSTALLED)];
    assert!(built.serves(Service::Http) && !built.serves(Service::WebsocketEcho));
    assert!(found.serves(Service::WebsocketEcho) && !found.serves(Service::Http));
    assert_eq!([built.stop, found.stop], [Stop::Kill, Stop::Term]);
}

#[test]
fn missing_program_is_named_with_its_hint() {
    let error = only(FORM).check_built().unwrap_err();
    assert_eq!(error.to_string(), "target/quick has not been built");
    only(FORM).check_requirements().unwrap();
    let found = only(INSTALLED);
    found.check_built().unwrap();
    found.build(&Interrupt::default()).unwrap();
    let error = found.check_requirements().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`no-such-server` is not installed (apt-get install it)"
    );
}

#[test]
fn participant_has_the_installed_version() {
    let mut found = only(INSTALLED);
    found.directory = PathBuf::from(".");
    let participant = found.participant();
    assert_eq!(
        (participant.name.as_str(), participant.version.as_str()),
        ("found", "4.5")
    );
    assert!(participant.build_command.is_empty());
    let built = only(FORM).participant();
    assert_eq!(built.version, "1.2.3");
    assert_eq!(built.build_command, ["cargo", "build"]);
}

#[test]
fn mistakes_are_named() {
    for (form, from, to, mistake) in [
        (FORM, "--listen={listen}", "--listen=:80", "{listen}"),
        (FORM, "[\"cargo\", \"build\"]", "[]", "build command is empty"),
        (FORM, "hint =", "hnit =", "hnit"),
        (FORM, "[ready]", "[raedy]", "raedy"),
        (FORM, "note = \"as", "colour = \"red\"\nnote = \"as", "colour"),
        (INSTALLED, "websocket-echo", "gopher", "gopher"),
        (INSTALLED, "[\"websocket-echo\"]", "[]", "`serves` is empty"),
        (
            INSTALLED,
            "[\"websocket-echo\"]",
            "[\"http\", \"https\"]",
            "over TLS and others are not",
        ),
        (INSTALLED, "TERM", "HUP", "HUP"),
        (INSTALLED, "\"found.conf\"", "\"../found.conf\"", "not a file name"),
        (INSTALLED, "{scratch}/found.conf", "found.conf", "cannot find its files"),
    ] {
        let error = contenders(&form.replacen(from, to, 1)).unwrap_err();
        assert!(format!("{error:#}").contains(mistake), "{mistake}: {error:#}");
    }
}

/// The declared version must be the one in the lock file.
#[test]
fn committed_versions_are_the_locked_ones() {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("contenders");
    let mut compared = 0;
    for folder in std::fs::read_dir(folders).unwrap() {
        let folder = folder.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let form: ContenderFile =
            toml::from_str(&std::fs::read_to_string(folder.join("contender.toml")).unwrap()).unwrap();
        let Some(package) = form.package else { continue };
        let lock = folder.join(&form.directory).join("Cargo.lock");
        let lock: Lock = toml::from_str(&std::fs::read_to_string(lock).unwrap()).unwrap();
        let locked = lock.package.iter().filter(|locked| locked.name == package);
        let versions: Vec<&str> = locked.map(|locked| locked.version.as_str()).collect();
        assert!(
            form.version
                .as_deref()
                .is_some_and(|version| versions.contains(&version)),
            "{}: {:?} is not among {versions:?}",
            form.name,
            form.version
        );
        compared += 1;
    }
    assert!(compared > 0);
}
