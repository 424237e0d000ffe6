//! What was fetched, by digest, on disk: written whole, verified whenever it is read. Files may be shared by
//! processes, and any of them may be deleted at any time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;

use super::blocking;
use crate::digest::Digest;
use crate::whole_file;

/// A folder of files named by their digests.
#[derive(Clone)]
pub(super) struct Store {
    folder: PathBuf,
    bytes_max: u64,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Component,
    /// Of an image: which component it has.
    Manifest,
}

/// Past this, what was not used for longest goes.
const BYTES_MAX: u64 = 1 << 30;

impl Store {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), bytes_max: BYTES_MAX }
    }

    /// The bytes with this digest, if they are there and not damaged.
    pub(super) async fn get(&self, digest: Digest, kind: Kind) -> Option<Bytes> {
        let file = self.file(digest, kind);
        blocking(move || read(&file, digest)).await
    }

    /// Without it a module is still used, only not found again when its place is down; so a failure is a warning.
    pub(super) async fn keep(&self, bytes: Bytes, kind: Kind) {
        let store = self.clone();
        blocking(move || {
            let file = store.file(Digest::of(&bytes), kind);
            if let Err(error) = store.write(&file, &bytes) {
                tracing::warn!(file = %file.display(), %error, "module not kept, a rollback will have to fetch it again");
            }
        })
        .await;
    }

    fn file(&self, digest: Digest, kind: Kind) -> PathBuf {
        let extension = match kind {
            Kind::Component => "wasm",
            Kind::Manifest => "json",
        };
        self.folder.join(format!("{}.{extension}", digest.hex()))
    }

    fn write(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        whole_file::write(file, bytes)?;
        self.make_room()
    }

    fn make_room(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)?.flatten() {
            // One that another process has just deleted needs no room.
            if let Ok(metadata) = entry.metadata() {
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        files.sort();
        let mut bytes = 0;
        for (_, length, file) in files.into_iter().rev() {
            bytes += length;
            if bytes > self.bytes_max {
                let _ = fs::remove_file(file);
            }
        }
        Ok(())
    }
}

fn read(file: &Path, digest: Digest) -> Option<Bytes> {
    let bytes = fs::read(file).ok()?;
    if Digest::of(&bytes) != digest {
        tracing::warn!(file = %file.display(), "stored module is damaged, deleting it");
        let _ = fs::remove_file(file);
        return None;
    }
    // The time of the last use; without it, the file is only deleted earlier.
    let _ = File::open(file).and_then(|file| file.set_modified(SystemTime::now()));
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn store(name: &str) -> Store {
        let folder = std::env::temp_dir().join(format!("tidegate-store-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        Store::new(&folder)
    }

    #[tokio::test]
    async fn gives_back_what_it_was_given() {
        let store = store("same");
        let bytes = Bytes::from_static(b"a component");
        assert_eq!(store.get(Digest::of(&bytes), Kind::Component).await, None);
        store.keep(bytes.clone(), Kind::Component).await;
        assert_eq!(store.get(Digest::of(&bytes), Kind::Component).await, Some(bytes.clone()));
        assert_eq!(store.get(Digest::of(&bytes), Kind::Manifest).await, None);
        assert_eq!(fs::read_dir(&store.folder).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn damage_is_seen() {
        let store = store("damaged");
        let bytes = Bytes::from_static(b"a component");
        store.keep(bytes.clone(), Kind::Component).await;
        let file = store.file(Digest::of(&bytes), Kind::Component);
        fs::write(&file, b"a komponent").unwrap();
        assert_eq!(store.get(Digest::of(&bytes), Kind::Component).await, None);
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn what_was_not_used_for_longest_goes() {
        let store = Store { bytes_max: 25, ..store("full") };
        let all: Vec<Bytes> = (0..3).map(|number| Bytes::from(vec![number; 10])).collect();
        let file = |at: usize| store.file(Digest::of(&all[at]), Kind::Component);
        for (at, bytes) in all[..2].iter().enumerate() {
            store.keep(bytes.clone(), Kind::Component).await;
            let long_ago = SystemTime::now() - Duration::from_secs(100 - at as u64);
            File::open(file(at)).unwrap().set_modified(long_ago).unwrap();
        }
        assert!(store.get(Digest::of(&all[0]), Kind::Component).await.is_some());
        store.keep(all[2].clone(), Kind::Component).await;
        assert_eq!([0, 1, 2].map(|at| file(at).exists()), [true, false, true]);
    }
}
