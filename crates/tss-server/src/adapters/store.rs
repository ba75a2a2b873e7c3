//! The share store and the server's identity: encrypted records in sled, under the operator's password.
//!
//! May not know what a share means, nor decide when one is promoted or erased. The folder, mode 0700, holds:
//!
//! * `header` – format version, Argon2id parameters, salt, the pinned genesis, and the server's two secret keys, encrypted.
//!   Written last when a store is created, so that a folder with a header is a complete store;
//! * `keys` – for every share its name, its stage and its own random data key, all encrypted under the password's key.
//!   Replaced atomically: this replacement is the moment at which a share becomes staged, becomes active, or is gone;
//! * `db` – sled: each share under its data key, with its full name as associated data, and the ceremonies ever started.
//!   sled holds the lock against a second process.
//!
//! A data key belongs to one share name, so erasing one attempt leaves the epoch's others alone. sled keeps old bytes of
//! what it removes; without the data key they say nothing. What file system and disk keep of a replaced `keys` file is
//! beyond this program: it is readable with the password only.

mod files;
mod header;
mod keys;
mod seal;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use codec::Encode;
use ed25519_dalek::SigningKey;
use entropy_shared::{CeremonyId, Genesis, PartyId};
use zeroize::Zeroizing;

use self::{
    header::{Header, Identity},
    keys::{Entry, Keys},
    seal::{Kdf, Key},
};
use crate::ports::{ShareName, ShareStore, Stage, StoreError};

const HEADER: &str = "header";
const KEYS: &str = "keys";
const DATABASE: &str = "db";

/// Where the database says whose it is: by the store's salt.
const OWNER: &str = "owner";

/// sled's cache, in bytes: the engine keeps in memory what it uses.
const CACHE_BYTES: u64 = 4 << 20;

/// The share store of one server, and the server's identity.
///
/// Has no `Debug`: it holds every key. Dropping it closes the folder.
pub struct SledStore {
    dir: PathBuf,
    header: Header,
    identity: Identity,
    password_key: Key,
    keys: Mutex<Keys>,
    database: sled::Db,
    shares: sled::Tree,
    started: sled::Tree,
    #[cfg(test)]
    hook: tests::Hook,
}

impl SledStore {
    /// Makes a store in `dir`, with a fresh account key and a fresh Noise key from the operating system's randomness.
    ///
    /// `dir` must be absent, or empty and closed to other users; it is never cleared. Takes 64 MiB and a fraction of a
    /// second for the password's key (Argon2id, the second recommended parameters of RFC 9106).
    pub fn create(
        dir: &Path,
        password: &Zeroizing<String>,
        genesis: Genesis,
    ) -> Result<Self, StoreError> {
        Self::create_with(dir, password, genesis, Kdf::RFC9106_SECOND)
    }

    /// Opens the store that [`Self::create`] made in `dir`.
    ///
    /// Changes nothing unless the password is right and no other process has the folder open.
    pub fn open(dir: &Path, password: &Zeroizing<String>) -> Result<Self, StoreError> {
        files::check_private_folder(dir)?;
        let header = match fs::read(dir.join(HEADER)) {
            Ok(bytes) => Header::parse(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(without_header(dir));
            }
            Err(error) => return Err(files::failed(&dir.join(HEADER), &error)),
        };
        files::check_private_file(&dir.join(HEADER))?;
        let password_key = header.password_key(password.as_bytes())?;
        let identity = header.identity(&password_key)?;
        let store = Self::start(dir, header, identity, password_key)?;
        store.check_database()?;
        Ok(store)
    }

    /// The server's account key, which signs its reports and what may become evidence.
    pub fn account(&self) -> &SigningKey {
        &self.identity.account
    }

    /// The server's account: the public key of [`Self::account`].
    pub fn party(&self) -> PartyId {
        PartyId(self.identity.account.verifying_key().to_bytes())
    }

    /// The X25519 secret that the server proves in Noise handshakes.
    pub fn noise_secret(&self) -> &Zeroizing<[u8; 32]> {
        &self.identity.noise_secret
    }

    /// The public key of [`Self::noise_secret`], as the chain publishes it.
    pub fn noise_public(&self) -> [u8; 32] {
        self.identity.noise_public
    }

    /// The chain that the store was created for.
    pub fn genesis(&self) -> Genesis {
        self.header.genesis()
    }

    /// [`Self::create`] with another cost of guessing the password.
    pub(crate) fn create_with(
        dir: &Path,
        password: &Zeroizing<String>,
        genesis: Genesis,
        kdf: Kdf,
    ) -> Result<Self, StoreError> {
        files::make_private_folder(dir)?;
        if !files::is_empty(dir)? {
            return Err(if dir.join(HEADER).exists() {
                StoreError::Foreign(
                    "the folder already holds a share store, which is left as it is".into(),
                )
            } else {
                without_header(dir)
            });
        }
        let identity = Identity::generate()?;
        let (header, password_key) = Header::new(genesis, kdf, password.as_bytes(), &identity)?;
        Keys::default().write(dir, &password_key, header.salt())?;
        let store = Self::start(dir, header, identity, password_key)?;
        store
            .database
            .insert(OWNER, store.header.salt())
            .map_err(sled_failed)?;
        store.flush()?;
        files::replace(dir, HEADER, store.header.as_bytes())?;
        Ok(store)
    }

    fn start(
        dir: &Path,
        header: Header,
        identity: Identity,
        password_key: Key,
    ) -> Result<Self, StoreError> {
        let database = open_database(&dir.join(DATABASE))?;
        let shares = database.open_tree("shares").map_err(sled_failed)?;
        let started = database.open_tree("started").map_err(sled_failed)?;
        // Only now: whoever holds sled's lock may be replacing the file.
        let keys = Keys::read(dir, &password_key, header.salt())?;
        let store = Self {
            dir: dir.to_path_buf(),
            header,
            identity,
            password_key,
            keys: Mutex::new(keys),
            database,
            shares,
            started,
            #[cfg(test)]
            hook: tests::Hook::default(),
        };
        files::settle(&dir.join(DATABASE))?;
        Ok(store)
    }

    /// Refuses a database that is not this store's, or has been lost and made anew; says which shares' records are missing.
    ///
    /// Records without data key, which a crash leaves behind, stay: they would be another's if `keys` or `db` alone came
    /// from a backup, and they take little space.
    fn check_database(&self) -> Result<(), StoreError> {
        let owner = self.database.get(OWNER).map_err(sled_failed)?;
        if owner.as_deref() != Some(self.header.salt()) {
            return Err(StoreError::Damaged(
                "the database is missing, or is another store's".into(),
            ));
        }
        for name in self.keys().names() {
            if !self
                .shares
                .contains_key(name.encode())
                .map_err(sled_failed)?
            {
                tracing::error!(?name, "the share store has lost the record of a share");
            }
        }
        Ok(())
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        // Memory follows the disk in one assignment, so a panic elsewhere cannot have left it half changed.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `changed` the state on disk, then in memory.
    fn commit(&self, keys: &mut Keys, changed: Keys) -> Result<(), StoreError> {
        #[cfg(test)]
        self.hook.reached("before the keys file")?;
        changed.write(&self.dir, &self.password_key, self.header.salt())?;
        *keys = changed;
        #[cfg(test)]
        self.hook.reached("after the keys file")?;
        Ok(())
    }

    /// Waits until everything that sled holds is on the disk.
    fn flush(&self) -> Result<(), StoreError> {
        self.database.flush().map_err(sled_failed)?;
        // sled 0.34 writes the range back without the file's size or the disk's cache, and does not sync its blob files.
        files::settle(&self.dir.join(DATABASE))
    }

    fn decrypt(&self, name: &ShareName, entry: &Entry) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let record = self.shares.get(name.encode()).map_err(sled_failed)?;
        let record = record
            .ok_or_else(|| StoreError::Damaged(format!("the record of {name:?} is missing")))?;
        entry
            .key
            .open(&share_context(name), &record)
            .ok_or_else(|| {
                StoreError::Damaged(format!("the record of {name:?} cannot be decrypted"))
            })
    }
}

impl ShareStore for SledStore {
    fn stage(&self, name: &ShareName, share: &[u8]) -> Result<(), StoreError> {
        if name.genesis != self.genesis() || name.party != self.party() {
            return Err(StoreError::Foreign(format!(
                "{name:?} is of another chain or another server"
            )));
        }
        let mut keys = self.keys();
        if let Some(entry) = keys.get(name) {
            let same = self.decrypt(name, entry)?.as_slice() == share;
            return if same {
                Ok(())
            } else {
                Err(StoreError::Exists(Box::new(name.clone())))
            };
        }
        let key = Key::random()?;
        let record = key.seal(&share_context(name), share)?;
        #[cfg(test)]
        self.hook.reached("before the record")?;
        self.shares
            .insert(name.encode(), record)
            .map_err(sled_failed)?;
        #[cfg(test)]
        self.hook.reached("before the record's flush")?;
        self.flush()?;
        let changed = keys.with(
            name,
            Entry {
                stage: Stage::Staged,
                key,
            },
        );
        self.commit(&mut keys, changed)
    }

    fn promote(&self, name: &ShareName) -> Result<(), StoreError> {
        let mut keys = self.keys();
        let entry = keys
            .get(name)
            .ok_or_else(|| StoreError::Missing(Box::new(name.clone())))?;
        if entry.stage == Stage::Active {
            return Ok(());
        }
        let changed = keys.with(
            name,
            Entry {
                stage: Stage::Active,
                key: entry.key.clone(),
            },
        );
        self.commit(&mut keys, changed)
    }

    fn erase(&self, name: &ShareName) -> Result<(), StoreError> {
        let mut keys = self.keys();
        if keys.get(name).is_none() {
            return Ok(());
        }
        let changed = keys.without(name);
        // From here on the share is beyond recovery; what follows frees space.
        self.commit(&mut keys, changed)?;
        self.shares.remove(name.encode()).map_err(sled_failed)?;
        #[cfg(test)]
        self.hook.reached("before the removal's flush")?;
        self.flush()
    }

    fn list(&self) -> Result<Vec<(ShareName, Stage)>, StoreError> {
        Ok(self
            .keys()
            .entries()
            .map(|(name, entry)| (name.clone(), entry.stage))
            .collect())
    }

    fn load(&self, name: &ShareName) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let keys = self.keys();
        let entry = keys
            .get(name)
            .ok_or_else(|| StoreError::Missing(Box::new(name.clone())))?;
        self.decrypt(name, entry)
    }

    fn mark_started(&self, id: &CeremonyId) -> Result<bool, StoreError> {
        let before = self
            .started
            .insert(id.as_bytes(), &[])
            .map_err(sled_failed)?;
        #[cfg(test)]
        self.hook.reached("before the mark's flush")?;
        // Also for a mark that is there: the call that made it may have failed to flush it.
        self.flush()?;
        Ok(before.is_none())
    }
}

/// What binds a share's record to its place.
fn share_context(name: &ShareName) -> Vec<u8> {
    (b"entropy/store/share/v1", name).encode()
}

fn open_database(path: &Path) -> Result<sled::Db, StoreError> {
    files::make_private_folder(path)?;
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    // sled asserts what it reads, so a damaged file may panic instead of giving an error.
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(database)) => Ok(database),
        // sled tells a lock that is taken by its message alone.
        Ok(Err(sled::Error::Io(error))) if error.to_string().contains("could not acquire lock") => {
            Err(StoreError::Locked)
        }
        Ok(Err(error)) => Err(sled_failed(error)),
        Err(_) => Err(StoreError::Damaged("the database cannot be read".into())),
    }
}

fn sled_failed(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Corruption { at, .. } => {
            StoreError::Damaged(format!("the database is corrupt at {at:?}"))
        }
        sled::Error::Unsupported(what) => StoreError::Foreign(what),
        other => StoreError::Io(other.to_string()),
    }
}

/// Why a folder without header is not a store.
fn without_header(dir: &Path) -> StoreError {
    let has = |name: &str| dir.join(name).exists() || dir.join(files::temporary(name)).exists();
    StoreError::Foreign(match files::is_empty(dir) {
        Ok(true) => "the folder is empty: create a store first".into(),
        Ok(false) if has(KEYS) || has(HEADER) => {
            "creating the store was interrupted, so it holds nothing yet: remove the folder and create it again".into()
        }
        _ => "the folder holds other files, and no share store".into(),
    })
}
