//! The catalogue: finds the folder of contenders and workloads, reads it, and selects from it by name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::contender::Contender;
use crate::workload::Workload;

/// All contenders and workloads, sorted by name.
#[derive(Debug)]
pub(crate) struct Catalogue {
    directory: PathBuf,
    contenders: Vec<Contender>,
    workloads: Vec<Workload>,
}

impl Catalogue {
    /// Reads `directory`, or the nearest `loadtest` folder in or above the current one.
    pub(crate) fn read(directory: Option<&Path>) -> Result<Self> {
        let directory = match directory {
            Some(directory) => std::path::absolute(directory)?,
            None => nearest(&std::env::current_dir()?)?,
        };
        let mut contenders = Vec::new();
        for folder in entries(&directory.join("contenders"))? {
            if folder.join("contender.toml").is_file() {
                let read = Contender::read_all(&folder);
                contenders.extend(read.with_context(|| folder.join("contender.toml").display().to_string())?);
            }
        }
        let mut workloads = Vec::new();
        for file in entries(&directory.join("workloads"))? {
            if file.extension().is_some_and(|extension| extension == "toml") {
                workloads.push(Workload::read(&file).with_context(|| file.display().to_string())?);
            }
        }
        contenders.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(Self {
            directory,
            contenders,
            workloads,
        })
    }

    /// Returns the contenders with these names, in this order; all of them if `names` is empty.
    pub(crate) fn contenders(&self, names: &[String]) -> Result<Vec<Contender>> {
        choose(&self.contenders, names, "contender", |contender| &contender.name)
    }

    /// Returns the workloads with these names, in this order; all of them if `names` is empty.
    pub(crate) fn workloads(&self, names: &[String]) -> Result<Vec<Workload>> {
        choose(&self.workloads, names, "workload", |workload| &workload.name)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

fn choose<T: Clone>(all: &[T], names: &[String], kind: &str, name_of: fn(&T) -> &String) -> Result<Vec<T>> {
    if names.is_empty() {
        return Ok(all.to_vec());
    }
    let chosen = names.iter().map(|name| {
        let found = all.iter().find(|item| name_of(item) == name);
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(|item| name_of(item).as_str()).collect();
            anyhow!("unknown {kind} `{name}`; choose from {}", known.join(", "))
        })
    });
    chosen.collect()
}

fn nearest(from: &Path) -> Result<PathBuf> {
    for folder in from.ancestors() {
        for candidate in [folder.join("loadtest"), folder.to_owned()] {
            if candidate.join("contenders").is_dir() && candidate.join("workloads").is_dir() {
                return Ok(candidate);
            }
        }
    }
    bail!(
        "could not find a loadtest folder in or above {}; name it with --directory",
        from.display()
    )
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed() -> Catalogue {
        Catalogue::read(Some(Path::new(env!("CARGO_MANIFEST_DIR")))).unwrap()
    }

    #[test]
    fn all_committed_files_are_valid() {
        let catalogue = committed();
        assert!(
            catalogue
                .contenders(&["floor-epoll".to_owned(), "squall-spin".to_owned()])
                .is_ok()
        );
        assert!(
            catalogue
                .workloads(&["plaintext-64".to_owned(), "latency-1".to_owned()])
                .is_ok()
        );
    }

    #[test]
    fn selected_names_keep_their_order_and_unknown_ones_are_named() {
        let catalogue = committed();
        let names = ["hyper".to_owned(), "axum".to_owned()];
        let chosen: Vec<String> = catalogue
            .contenders(&names)
            .unwrap()
            .into_iter()
            .map(|chosen| chosen.name)
            .collect();
        assert_eq!(chosen, names);
        let error = catalogue.contenders(&["hyperr".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("unknown contender `hyperr`") && error.contains("hyper,"),
            "{error}"
        );
    }

    #[test]
    fn folder_is_found_from_inside_and_from_above() {
        let house = tempfile::tempdir().unwrap();
        let loadtest = house.path().join("loadtest");
        for folder in ["contenders", "workloads", "src/deep"] {
            std::fs::create_dir_all(loadtest.join(folder)).unwrap();
        }
        assert_eq!(nearest(house.path()).unwrap(), loadtest);
        assert_eq!(nearest(&loadtest.join("src/deep")).unwrap(), loadtest);
        assert!(
            nearest(Path::new("/proc/self"))
                .unwrap_err()
                .to_string()
                .contains("--directory")
        );
    }
}
