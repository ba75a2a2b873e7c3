//! The file that says which shares there are and holds their data keys, encrypted under the password's key.

use std::{collections::BTreeMap, fs, path::Path};

use codec::{Decode, Encode};
use zeroize::Zeroizing;

use super::{KEYS, files, seal::Key};
use crate::ports::{ShareName, Stage, StoreError};

const MAGIC: &[u8; 16] = b"entropy-keys\0\0\0\x01";
const CONTEXT: &[u8] = b"entropy/store/keys/v1";

/// More than an encoded entry takes.
const ENTRY_BYTES: usize = 256;

/// What the store knows of one share.
#[derive(Clone)]
pub(super) struct Entry {
    /// Whether it is in use.
    pub(super) stage: Stage,
    /// What its record is encrypted with.
    pub(super) key: Key,
}

/// All shares of the store.
#[derive(Clone, Default)]
pub(super) struct Keys(BTreeMap<ShareName, Entry>);

impl Keys {
    /// The entry of a share.
    pub(super) fn get(&self, name: &ShareName) -> Option<&Entry> {
        self.0.get(name)
    }

    /// All shares, in the order of their names.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&ShareName, &Entry)> {
        self.0.iter()
    }

    /// The names of all shares, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &ShareName> {
        self.0.keys()
    }

    /// These, with another entry for `name`.
    pub(super) fn with(&self, name: &ShareName, entry: Entry) -> Self {
        let mut changed = self.clone();
        changed.0.insert(name.clone(), entry);
        changed
    }

    /// These, without `name`.
    pub(super) fn without(&self, name: &ShareName) -> Self {
        let mut changed = self.clone();
        changed.0.remove(name);
        changed
    }

    /// Replaces the file in `dir`. `salt` binds it to its store.
    pub(super) fn write(
        &self,
        dir: &Path,
        password_key: &Key,
        salt: &[u8; 32],
    ) -> Result<(), StoreError> {
        // Reserved, because a vector that grows leaves copies behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(self.0.len() * ENTRY_BYTES));
        for (name, entry) in &self.0 {
            name.encode_to(&mut *plain);
            entry.stage.encode_to(&mut *plain);
            plain.extend_from_slice(entry.key.as_bytes());
        }
        let sealed = password_key.seal(&context(salt), &plain)?;
        files::replace(dir, KEYS, &[MAGIC.as_slice(), &sealed].concat())
    }

    /// Reads the file that [`Self::write`] wrote.
    pub(super) fn read(
        dir: &Path,
        password_key: &Key,
        salt: &[u8; 32],
    ) -> Result<Self, StoreError> {
        let path = dir.join(KEYS);
        let damaged = |what: &str| StoreError::Damaged(format!("{} {what}", path.display()));
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => damaged("is missing"),
            _ => files::failed(&path, &error),
        })?;
        files::check_private_file(&path)?;
        let sealed = bytes
            .strip_prefix(MAGIC)
            .ok_or_else(|| damaged("is not a keys file"))?;
        let plain = password_key
            .open(&context(salt), sealed)
            .ok_or_else(|| damaged("cannot be decrypted"))?;
        let mut rest = plain.as_slice();
        let mut keys = BTreeMap::new();
        while !rest.is_empty() {
            let (name, entry) =
                decode_entry(&mut rest).ok_or_else(|| damaged("has a malformed entry"))?;
            keys.insert(name, entry);
        }
        Ok(Self(keys))
    }
}

fn decode_entry(bytes: &mut &[u8]) -> Option<(ShareName, Entry)> {
    let name = ShareName::decode(bytes).ok()?;
    let stage = Stage::decode(bytes).ok()?;
    let (key, rest) = bytes.split_first_chunk::<32>()?;
    *bytes = rest;
    Some((
        name,
        Entry {
            stage,
            key: Key::from_bytes(key),
        },
    ))
}

fn context(salt: &[u8; 32]) -> Vec<u8> {
    [CONTEXT, salt].concat()
}
