//! Files and folders that only their owner may read, and that are whole after a crash.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use crate::ports::StoreError;

const OTHERS: u32 = 0o077;

/// Makes `dir`, with its parents, for the owner alone; refuses one that others may enter.
pub(super) fn make_private_folder(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| failed(dir, &error))?;
    check_private_folder(dir)
}

/// Refuses a folder that others may enter.
pub(super) fn check_private_folder(dir: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(dir).map_err(|error| failed(dir, &error))?;
    if !metadata.is_dir() {
        return Err(StoreError::Foreign(format!(
            "{} is not a folder",
            dir.display()
        )));
    }
    check_mode(dir, metadata.permissions().mode(), 0o700)
}

/// Refuses a file that others may read or write.
pub(super) fn check_private_file(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(path).map_err(|error| failed(path, &error))?;
    check_mode(path, metadata.permissions().mode(), 0o600)
}

fn check_mode(path: &Path, mode: u32, expected: u32) -> Result<(), StoreError> {
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(StoreError::Exposed(format!(
        "{path} has mode {:o}: chmod {expected:o} {path}",
        mode & 0o777
    )))
}

/// Whether the folder has no entries.
pub(super) fn is_empty(dir: &Path) -> Result<bool, StoreError> {
    Ok(fs::read_dir(dir)
        .map_err(|error| failed(dir, &error))?
        .next()
        .is_none())
}

/// The name under which [`replace`] writes what will be `name`.
pub(super) fn temporary(name: &str) -> String {
    format!("{name}.new")
}

/// Makes `bytes` the content of the file `name` in `dir`: after a crash it has the old content or the new.
pub(super) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let (new, path) = (dir.join(temporary(name)), dir.join(name));
    let write = || -> io::Result<()> {
        // One that a crash has left may have any mode.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|error| failed(&path, &error))
}

/// Flushes a folder and everything in it to the disk, and closes it to other users.
pub(super) fn settle(dir: &Path) -> Result<(), StoreError> {
    let entries = fs::read_dir(dir).map_err(|error| failed(dir, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| failed(dir, &error))?.path();
        // sled removes files it no longer needs on threads of its own.
        match settle_entry(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path, &error)),
            Ok(Kind::Folder) => settle(&path)?,
            Ok(Kind::File) => {}
        }
    }
    File::open(dir)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed(dir, &error))
}

enum Kind {
    File,
    Folder,
}

fn settle_entry(path: &Path) -> io::Result<Kind> {
    let metadata = fs::symlink_metadata(path)?;
    let (kind, mode) = if metadata.is_dir() {
        (Kind::Folder, 0o700)
    } else {
        (Kind::File, 0o600)
    };
    if metadata.permissions().mode() & OTHERS != 0 {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    if matches!(kind, Kind::File) {
        File::open(path)?.sync_all()?;
    }
    Ok(kind)
}

/// An error of the file system at `path`.
pub(super) fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io(format!("{}: {error}", path.display()))
}
