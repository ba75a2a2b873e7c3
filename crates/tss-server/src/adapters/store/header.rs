//! The store's first file: how the password becomes a key, which chain, and who the server is.

use ed25519_dalek::SigningKey;
use entropy_shared::Genesis;
use sha2::{Digest, Sha256};
use snow::{
    params::DHChoice,
    resolvers::{CryptoResolver, DefaultResolver},
};
use zeroize::Zeroizing;

use super::seal::{Kdf, Key, OVERHEAD_BYTES, fill_random};
use crate::ports::StoreError;

const MAGIC: &[u8; 16] = b"entropy-store\0\0\0";
const VERSION: u16 = 1;
const CONTEXT: &[u8] = b"entropy/store/header/v1";

/// The account's seed and the Noise secret.
const SECRET_BYTES: usize = 64;
/// Where the encrypted part begins: magic, version, three parameters, salt and genesis stand before it in clear.
const CLEAR_BYTES: usize = 16 + 2 + 3 * 4 + 32 + 32;
const SUM_BYTES: usize = 32;
const HEADER_BYTES: usize = CLEAR_BYTES + SECRET_BYTES + OVERHEAD_BYTES + SUM_BYTES;

/// Who the server is.
pub(super) struct Identity {
    pub(super) account: SigningKey,
    pub(super) noise_secret: Zeroizing<[u8; 32]>,
    pub(super) noise_public: [u8; 32],
}

impl Identity {
    /// A fresh one.
    pub(super) fn generate() -> Result<Self, StoreError> {
        let mut secrets = Zeroizing::new([0; SECRET_BYTES]);
        fill_random(&mut *secrets)?;
        Self::from_secrets(&secrets)
    }

    fn from_secrets(secrets: &[u8; SECRET_BYTES]) -> Result<Self, StoreError> {
        let (mut seed, mut noise_secret) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        seed.copy_from_slice(&secrets[..32]);
        noise_secret.copy_from_slice(&secrets[32..]);
        let account = SigningKey::from_bytes(&seed);
        let noise_public = noise_public(&noise_secret)?;
        Ok(Self {
            account,
            noise_secret,
            noise_public,
        })
    }

    fn secrets(&self) -> Zeroizing<[u8; SECRET_BYTES]> {
        let mut secrets = Zeroizing::new([0; SECRET_BYTES]);
        secrets[..32].copy_from_slice(self.account.as_bytes());
        secrets[32..].copy_from_slice(&*self.noise_secret);
        secrets
    }
}

/// The public key of an X25519 secret, by the library that will use it.
pub(super) fn noise_public(secret: &[u8; 32]) -> Result<[u8; 32], StoreError> {
    let mut dh = DefaultResolver
        .resolve_dh(&DHChoice::Curve25519)
        .ok_or_else(|| StoreError::Io("this build has no X25519".into()))?;
    dh.set(secret);
    let mut public = [0; 32];
    public.copy_from_slice(dh.pubkey());
    Ok(public)
}

/// A header whose clear part has been read; its checksum was right.
pub(super) struct Header {
    bytes: [u8; HEADER_BYTES],
    kdf: Kdf,
    salt: [u8; 32],
    genesis: Genesis,
}

impl Header {
    /// The header of a new store, and the password's key.
    pub(super) fn new(
        genesis: Genesis,
        kdf: Kdf,
        password: &[u8],
        identity: &Identity,
    ) -> Result<(Self, Key), StoreError> {
        let mut salt = [0; 32];
        fill_random(&mut salt)?;
        let password_key = Key::from_password(password, &salt, kdf)?;
        let mut clear = Vec::with_capacity(CLEAR_BYTES);
        clear.extend_from_slice(MAGIC);
        clear.extend_from_slice(&VERSION.to_le_bytes());
        for parameter in [kdf.memory, kdf.passes, kdf.lanes] {
            clear.extend_from_slice(&parameter.to_le_bytes());
        }
        clear.extend_from_slice(&salt);
        clear.extend_from_slice(genesis.as_bytes());
        let sealed = password_key.seal(&context(&clear), &*identity.secrets())?;
        let mut bytes = [0; HEADER_BYTES];
        let (body, sum) = bytes.split_at_mut(HEADER_BYTES - SUM_BYTES);
        body[..CLEAR_BYTES].copy_from_slice(&clear);
        body[CLEAR_BYTES..].copy_from_slice(&sealed);
        sum.copy_from_slice(&Sha256::digest(&*body));
        Ok((
            Self {
                bytes,
                kdf,
                salt,
                genesis,
            },
            password_key,
        ))
    }

    /// Reads what [`Self::as_bytes`] gave.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        if bytes.get(..16) != Some(MAGIC) {
            return Err(StoreError::Foreign(
                "the header is of something else".into(),
            ));
        }
        let version = bytes
            .get(16..18)
            .map(|field| u16::from_le_bytes([field[0], field[1]]));
        if let Some(version) = version.filter(|version| *version != VERSION) {
            return Err(StoreError::Foreign(format!(
                "it has format {version}, and this version reads {VERSION}"
            )));
        }
        let damaged = |what: &str| StoreError::Damaged(format!("the header {what}"));
        let bytes: [u8; HEADER_BYTES] = bytes
            .try_into()
            .map_err(|_| damaged("has the wrong length"))?;
        // Tells damage from a wrong password; whoever alters the file on purpose is met by the encryption.
        let (body, sum) = bytes.split_at(HEADER_BYTES - SUM_BYTES);
        if Sha256::digest(body).as_slice() != sum {
            return Err(damaged("has another checksum than it says"));
        }
        let word =
            |at: usize| u32::from_le_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
        let kdf = Kdf {
            memory: word(18),
            passes: word(22),
            lanes: word(26),
        };
        if !kdf.is_sane() {
            return Err(damaged("asks for more work than any version does"));
        }
        let (mut salt, mut genesis) = ([0; 32], [0; 32]);
        salt.copy_from_slice(&body[30..62]);
        genesis.copy_from_slice(&body[62..94]);
        Ok(Self {
            bytes,
            kdf,
            salt,
            genesis: Genesis(genesis),
        })
    }

    /// The file's content.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The pinned chain. Authentic once [`Self::identity`] has succeeded.
    pub(super) fn genesis(&self) -> Genesis {
        self.genesis
    }

    /// Tells this store from every other.
    pub(super) fn salt(&self) -> &[u8; 32] {
        &self.salt
    }

    /// The key that `password` gives for this store.
    pub(super) fn password_key(&self, password: &[u8]) -> Result<Key, StoreError> {
        Key::from_password(password, &self.salt, self.kdf)
    }

    /// Decrypts the server's keys, which checks the password and authenticates the whole header.
    pub(super) fn identity(&self, password_key: &Key) -> Result<Identity, StoreError> {
        let (clear, rest) = self.bytes.split_at(CLEAR_BYTES);
        let sealed = &rest[..SECRET_BYTES + OVERHEAD_BYTES];
        let plain = password_key
            .open(&context(clear), sealed)
            .ok_or(StoreError::WrongPassword)?;
        let mut secrets = Zeroizing::new([0; SECRET_BYTES]);
        secrets.copy_from_slice(&plain);
        Identity::from_secrets(&secrets)
    }
}

fn context(clear: &[u8]) -> Vec<u8> {
    [CONTEXT, clear].concat()
}
