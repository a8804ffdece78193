//! The sources of a program, watched with inotify: the folders of all files it was built from, and those of its packages.
//!
//! Why folders: editors replace files rather than write them, and a new file belongs to no rule of Cargo yet. A change
//! that turns out to matter to no build costs one run of Cargo, which finds nothing to do.
//!
//! Invariant: the number of watched folders is bounded, and hidden files and the target folder are not watched.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::{self, Errno};

use super::dep_info;

/// Most folders that are watched. 1024: far more than a workspace has, and a small part of the kernel's limit.
const FOLDERS_MAX: usize = 1024;

/// How deep the folders `src` and `templates` of a package are watched.
const DEPTH_MAX: usize = 16;

/// The bytes of events that are read at once. 16 KiB: some hundred.
const EVENT_BYTES: usize = 16 * 1024;

/// The folders of a package whose every file is a source, also before Cargo knows it.
const SOURCE_FOLDERS: [&str; 2] = ["src", "templates"];

/// The folder of templates that are read anew for each page.
const TEMPLATES: &str = "templates";

/// The sources of a program.
#[derive(Debug)]
pub(super) struct Sources {
    inotify: OwnedFd,
    /// Cargo's list of the sources.
    dep_info: PathBuf,
    /// The folder of the program's own package.
    package: PathBuf,
    /// Whether changes of templates count.
    with_templates: bool,
    watched: HashMap<i32, Watched>,
}

/// A folder that is watched, and which of its files are sources.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Watched {
    /// Every file.
    Sources(PathBuf),
    /// What Cargo reads there.
    Package(PathBuf),
    /// None; the list of the sources is there.
    Artifacts(PathBuf),
}

/// An event: the number of the watch, what happened, and the file's name.
type FileEvent = (i32, ReadFlags, OsString);

impl Sources {
    /// Begins to watch.
    ///
    /// # Errors
    ///
    /// The kernel has no inotify instance left.
    pub(super) fn watch(executable: &Path, package: PathBuf, with_templates: bool) -> io::Result<Self> {
        let mut sources = Self {
            inotify: inotify::init(CreateFlags::CLOEXEC)?,
            dep_info: executable.with_extension("d"),
            package,
            with_templates,
            watched: HashMap::new(),
        };
        sources.watch_folders();
        Ok(sources)
    }

    /// Waits for a change, and returns a file that has changed.
    ///
    /// # Errors
    ///
    /// The kernel's events cannot be read.
    pub(super) fn next_change(&mut self) -> io::Result<PathBuf> {
        loop {
            let events = self.events()?;
            // Folders may be new, and a build may have found new sources.
            self.watch_folders();
            let changed = events.iter().find_map(|event| self.changed(event));
            for (watch, _, _) in events.iter().filter(|(_, flags, _)| flags.contains(ReadFlags::IGNORED)) {
                self.watched.remove(watch);
            }
            if let Some(changed) = changed {
                return Ok(changed);
            }
        }
    }

    /// Reads at least one event.
    fn events(&self) -> io::Result<Vec<FileEvent>> {
        let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut events = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| name.to_bytes().to_vec());
                    let name = OsString::from_vec(name.unwrap_or_default());
                    events.push((event.wd(), event.events(), name));
                }
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            }
            if reader.is_buffer_empty() {
                return Ok(events);
            }
        }
    }

    /// The file that an event says has changed, if it is a source.
    fn changed(&self, (watch, flags, name): &FileEvent) -> Option<PathBuf> {
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            return Some(self.package.clone());
        }
        // A file is complete when its writer closes it. A link or a folder comes whole.
        let watched = self.watched.get(watch)?;
        if *flags == ReadFlags::CREATE {
            let path = watched.folder().join(name);
            if fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
                return None;
            }
        }
        match watched {
            Watched::Sources(folder) if !is_hidden(name) => Some(folder.join(name)),
            Watched::Package(folder) if is_of_cargo(name) => Some(folder.join(name)),
            Watched::Sources(_) | Watched::Package(_) | Watched::Artifacts(_) => None,
        }
    }

    /// Watches every folder of sources there is now. The kernel knows a folder that is watched already.
    fn watch_folders(&mut self) {
        let flags = WatchFlags::CLOSE_WRITE | WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        for folder in self.folders() {
            // A folder that has gone meanwhile, or is one too many for the kernel, is left out.
            if let Ok(watch) = inotify::add_watch(&self.inotify, folder.folder(), flags) {
                self.watched.insert(watch, folder);
            }
        }
    }

    /// The folders to watch; those whose every file is a source come last, and count if a folder is named twice.
    fn folders(&self) -> Vec<Watched> {
        let listed = fs::read_to_string(&self.dep_info).unwrap_or_default();
        let listed = dep_info::sources(&listed);
        let mut packages = BTreeSet::from([self.package.clone()]);
        let mut sources = BTreeSet::new();
        for folder in listed.iter().filter_map(|file| file.parent()) {
            sources.insert(folder.to_owned());
            packages.extend(package_of(folder).map(Path::to_owned));
        }
        for package in &packages {
            sources.remove(package);
            for folder in SOURCE_FOLDERS {
                add_folders(&package.join(folder), &mut sources, DEPTH_MAX);
            }
        }
        if !self.with_templates {
            let templates = self.package.join(TEMPLATES);
            sources.retain(|folder| !folder.starts_with(&templates));
        }
        let artifacts = self
            .dep_info
            .parent()
            .map(|folder| Watched::Artifacts(folder.to_owned()));
        let packages = packages.into_iter().map(Watched::Package);
        let sources = sources.into_iter().map(Watched::Sources);
        artifacts
            .into_iter()
            .chain(packages)
            .chain(sources)
            .take(FOLDERS_MAX)
            .collect()
    }
}

impl Watched {
    fn folder(&self) -> &Path {
        match self {
            Self::Sources(folder) | Self::Package(folder) | Self::Artifacts(folder) => folder,
        }
    }
}

/// The nearest folder with a `Cargo.toml`.
fn package_of(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| folder.join("Cargo.toml").is_file())
}

/// Adds a folder and those in it.
fn add_folders(folder: &Path, folders: &mut BTreeSet<PathBuf>, depth: usize) {
    if folders.len() >= FOLDERS_MAX || depth == 0 {
        return;
    }
    let Ok(entries) = fs::read_dir(folder) else { return };
    folders.insert(folder.to_owned());
    for entry in entries.flatten() {
        // Links are not followed: they may form a circle.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_hidden(&entry.file_name()) {
            add_folders(&entry.path(), folders, depth - 1);
        }
    }
}

/// Whether a file is hidden, or an editor's copy.
fn is_hidden(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") || name.ends_with(b"~")
}

/// Whether Cargo reads a file of this name in the folder of a package.
fn is_of_cargo(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    matches!(bytes, b"Cargo.toml" | b"Cargo.lock" | b"rust-toolchain.toml")
        || bytes.ends_with(b".rs") && !is_hidden(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package with one source and one template, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("squall-sources-{}-{name}", std::process::id()));
            fs::create_dir_all(folder.join("src/inner")).unwrap();
            fs::create_dir_all(folder.join("templates")).unwrap();
            fs::write(folder.join("Cargo.toml"), "").unwrap();
            Self(folder)
        }

        /// Writes a file as an editor does: under another name first.
        fn save(&self, file: &str) {
            let new = self.0.join(format!("{file}~"));
            fs::write(&new, "text").unwrap();
            fs::rename(new, self.0.join(file)).unwrap();
        }

        fn watch(&self, with_templates: bool) -> Sources {
            Sources::watch(&self.0.join("target/debug/app"), self.0.clone(), with_templates).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn sources_that_are_written_replaced_removed_or_new_are_changes_and_other_files_are_ignored() {
        let folder = Folder::new("changes");
        let mut sources = folder.watch(true);
        let mut expect = |file: &str| assert_eq!(sources.next_change().unwrap(), folder.0.join(file));
        fs::write(folder.0.join("src/main.rs"), "text").unwrap();
        expect("src/main.rs");
        for (other, source) in [
            ("notes.txt", "src/inner/a.rs"),
            ("src/.hidden", "templates/home.html"),
            ("Cargo.orig", "Cargo.toml"),
        ] {
            folder.save(other);
            folder.save(source);
            expect(source);
        }
        fs::remove_file(folder.0.join("src/inner/a.rs")).unwrap();
        expect("src/inner/a.rs");
        fs::create_dir(folder.0.join("src/new")).unwrap();
        expect("src/new");
        folder.save("src/new/b.rs");
        expect("src/new/b.rs");
    }

    #[test]
    fn the_files_that_cargo_lists_are_watched_too_once_it_lists_them() {
        let (folder, other) = (Folder::new("listing"), Folder::new("listed"));
        fs::create_dir_all(folder.0.join("target/debug")).unwrap();
        fs::create_dir_all(other.0.join("pages")).unwrap();
        let mut sources = folder.watch(true);
        let rule = format!("/app: {}\n", other.0.join("pages/home.html").display());
        fs::write(folder.0.join("target/debug/app.d"), rule).unwrap();
        folder.save("src/main.rs");
        assert_eq!(sources.next_change().unwrap(), folder.0.join("src/main.rs"));
        for file in ["pages/home.html", "src/lib.rs", "Cargo.toml"] {
            other.save(file);
            assert_eq!(sources.next_change().unwrap(), other.0.join(file));
        }
    }

    #[test]
    fn templates_that_are_read_anew_for_each_page_are_ignored() {
        let folder = Folder::new("templates");
        let mut sources = folder.watch(false);
        folder.save("templates/home.html");
        folder.save("src/main.rs");
        assert_eq!(sources.next_change().unwrap(), folder.0.join("src/main.rs"));
    }
}
