//! Modules in files: one, or the newest of a folder; and signs that they have changed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use semver::Version;

use super::{FetchError, Place, blocking};

/// What a file or a folder looked like: equal to a later one while nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(Vec<FileStamp>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FileStamp {
    path: PathBuf,
    modified: Option<SystemTime>,
    bytes: u64,
    /// A file that is renamed into place may keep the times and the size of the one before.
    inode: u64,
}

impl Stamp {
    pub(super) fn of_file(path: &Path) -> Self {
        Self(FileStamp::of(path.to_owned()).into_iter().collect())
    }

    pub(super) fn of_folder(folder: &Path) -> Self {
        let mut stamps: Vec<_> = modules(folder).unwrap_or_default().into_iter().filter_map(FileStamp::of).collect();
        stamps.sort();
        Self(stamps)
    }
}

impl FileStamp {
    fn of(path: PathBuf) -> Option<Self> {
        let metadata = fs::metadata(&path).ok()?;
        Some(Self { path, modified: metadata.modified().ok(), bytes: metadata.len(), inode: metadata.ino() })
    }
}

pub(super) async fn read(path: PathBuf, bytes_max: u64) -> Result<(Bytes, Place), FetchError> {
    blocking(move || read_file(&path, bytes_max)).await
}

/// The file with the highest version in its name, or the only one.
pub(super) async fn newest(folder: PathBuf, bytes_max: u64) -> Result<(Bytes, Place), FetchError> {
    blocking(move || {
        let files = modules(&folder).map_err(|error| FetchError::Unreadable { path: folder.clone(), error })?;
        read_file(&folder.join(choose(&folder, files)?), bytes_max)
    })
    .await
}

fn read_file(path: &Path, bytes_max: u64) -> Result<(Bytes, Place), FetchError> {
    let read = || -> io::Result<_> {
        let mut wasm = Vec::new();
        File::open(path)?.take(bytes_max + 1).read_to_end(&mut wasm)?;
        Ok((wasm, std::path::absolute(path)?))
    };
    let (wasm, path) = read().map_err(|error| FetchError::Unreadable { path: path.into(), error })?;
    if wasm.len() as u64 > bytes_max {
        return Err(FetchError::TooLarge { from: format!("file:{}", path.display()), bytes_max });
    }
    Ok((wasm.into(), Place::File(path)))
}

fn modules(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let is_module = |path: &PathBuf| path.extension().is_some_and(|is| is == "wasm") && !hidden(path);
    Ok(paths.into_iter().filter(is_module).collect())
}

fn choose(folder: &Path, files: Vec<PathBuf>) -> Result<PathBuf, FetchError> {
    let names: Vec<(Option<(String, Version)>, &PathBuf)> = files.iter().map(|file| (version(file), file)).collect();
    let newest = names.iter().max_by(|(a, _), (b, _)| a.cmp(b));
    let Some((newest_name, newest)) = newest else {
        return Err(FetchError::EmptyFolder { folder: folder.into() });
    };
    let of_one_name = |(name, _): &(Option<(String, Version)>, _)| match (name, newest_name) {
        (Some((name, _)), Some((newest, _))) => name == newest,
        _ => false,
    };
    if names.len() == 1 || names.iter().all(of_one_name) {
        return Ok(newest.to_path_buf());
    }
    let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut candidates: Vec<_> = files.iter().map(name).collect();
    candidates.sort();
    Err(FetchError::Ambiguous { folder: folder.into(), candidates })
}

/// `errors-1.4.0-rc.1.wasm` is version 1.4.0-rc.1 of `errors`.
fn version(file: &Path) -> Option<(String, Version)> {
    let stem = file.file_stem()?.to_str()?;
    let splits = stem.match_indices('-').map(|(at, _)| (&stem[..at], &stem[at + 1..]));
    splits.filter_map(|(name, version)| Some((name.to_owned(), Version::parse(version).ok()?))).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Result<String, String> {
        let files = names.iter().map(PathBuf::from).collect();
        let chosen = choose(Path::new("modules"), files).map_err(|error| error.to_string());
        chosen.map(|file| file.display().to_string())
    }

    #[test]
    fn the_highest_version_is_taken() {
        let files = ["search-issues-1.9.0.wasm", "search-issues-1.10.0.wasm", "search-issues-1.2.0.wasm"];
        assert_eq!(chosen(&files), Ok("search-issues-1.10.0.wasm".into()));
        assert_eq!(chosen(&["a-1.0.0-rc.1.wasm", "a-1.0.0.wasm"]), Ok("a-1.0.0.wasm".into()));
        assert_eq!(chosen(&["a.wasm"]), Ok("a.wasm".into()));
    }

    #[test]
    fn what_cannot_be_compared_is_named() {
        let message = |has: &str| {
            format!(
                "folder modules does not say which module is meant: it has {has}\n\nhint: name all of them \
                 NAME-VERSION.wasm with one NAME, as in errors-1.4.0.wasm; the highest version is taken"
            )
        };
        assert_eq!(chosen(&["b-1.0.0.wasm", "a-1.0.0.wasm"]), Err(message("a-1.0.0.wasm, b-1.0.0.wasm")));
        assert_eq!(chosen(&["a.wasm", "a-1.0.0.wasm"]), Err(message("a-1.0.0.wasm, a.wasm")));
        assert_eq!(chosen(&["a-1.wasm", "a-2.wasm"]), Err(message("a-1.wasm, a-2.wasm")));
        let empty = "folder modules has no module\n\nhint: put NAME-VERSION.wasm into it";
        assert_eq!(chosen(&[]), Err(empty.into()));
    }
}
