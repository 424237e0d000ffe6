//! Files that other processes read and write at the same time.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;

use crate::clock::now_ms;

/// Writes a file beside and renames it, so that nobody reads half of it. Makes its folder.
///
/// # Errors
/// If the system refuses; nothing is left behind then.
pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let (partial, mut writing) = beside(folder)?;
    let written = writing.write_all(bytes).and_then(|()| fs::rename(&partial, file));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

/// A file that was not there. The number of the process is not enough: containers that share a folder may have the same.
fn beside(folder: &Path) -> io::Result<(PathBuf, File)> {
    for attempt in 0_u64.. {
        let partial = folder.join(format!(".{}.{}.{attempt}", process::id(), now_ms()));
        match File::create_new(&partial) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|writing| (partial, writing)),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_at_the_same_time_leaves_one_whole_file_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("tidegate-whole-file-{}", process::id()));
        let file = folder.join("below/file");
        std::thread::scope(|scope| {
            for byte in 0..8 {
                let file = &file;
                scope.spawn(move || (0..20).for_each(|_| write(file, &[byte; 100_000]).unwrap()));
            }
        });
        let bytes = fs::read(&file).unwrap();
        assert!(bytes.len() == 100_000 && bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(fs::read_dir(folder.join("below")).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }
}
