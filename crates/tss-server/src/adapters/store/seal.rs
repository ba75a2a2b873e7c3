//! Authenticated encryption of what the store writes, and the password's key.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): its 24-byte nonces may be chosen at random without counting.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::{AeadInPlace, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

use crate::ports::StoreError;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// By how much what is sealed is longer than the plain text.
pub(super) const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// What it costs to try a password: the parameters of Argon2id (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kdf {
    /// Memory, in KiB.
    pub(crate) memory: u32,
    /// Passes over it.
    pub(crate) passes: u32,
    /// Lanes.
    pub(crate) lanes: u32,
}

impl Kdf {
    /// The second recommended option of RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes.
    pub(crate) const RFC9106_SECOND: Self = Self {
        memory: 64 * 1024,
        passes: 3,
        lanes: 4,
    };

    /// The most that a header may ask for: more is damage, not caution.
    const MAXIMUM: Self = Self {
        memory: 1024 * 1024,
        passes: 64,
        lanes: 64,
    };

    /// Whether a header may ask for this much.
    pub(super) fn is_sane(self) -> bool {
        let most = Self::MAXIMUM;
        self.memory <= most.memory && self.passes <= most.passes && self.lanes <= most.lanes
    }
}

/// A key for authenticated encryption, wiped when dropped.
#[derive(Clone)]
pub(super) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// A fresh key from the operating system's randomness.
    pub(super) fn random() -> Result<Self, StoreError> {
        let mut key = Zeroizing::new([0; 32]);
        fill_random(&mut *key)?;
        Ok(Self(key))
    }

    /// The key that a password gives.
    pub(super) fn from_password(
        password: &[u8],
        salt: &[u8; 32],
        kdf: Kdf,
    ) -> Result<Self, StoreError> {
        let refused = |error: argon2::Error| {
            StoreError::Foreign(format!("Argon2id refuses its parameters: {error}"))
        };
        let params = Params::new(kdf.memory, kdf.passes, kdf.lanes, Some(32)).map_err(refused)?;
        let mut memory = Zeroizing::new(vec![Block::default(); params.block_count()]);
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(password, salt, &mut *key, memory.as_mut_slice())
            .map_err(refused)?;
        Ok(Self(key))
    }

    /// The key that these bytes are.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The key's bytes.
    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Encrypts under a fresh random nonce: nonce, cipher text, tag.
    pub(super) fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = XNonce::default();
        fill_random(&mut nonce)?;
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .cipher()
            .encrypt_in_place_detached(&nonce, context, &mut sealed[NONCE_BYTES..])
            .map_err(|_| StoreError::Io("the record is too long to be encrypted".into()))?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Decrypts what [`Self::seal`] made with the same key and context; `None` for anything else.
    pub(super) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES)?;
        let (text, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_BYTES)?)?;
        let mut plain = Zeroizing::new(text.to_vec());
        self.cipher()
            .decrypt_in_place_detached(
                XNonce::from_slice(nonce),
                context,
                &mut plain,
                Tag::from_slice(tag),
            )
            .ok()?;
        Some(plain)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.as_slice().into())
    }
}

/// Fills with the operating system's randomness.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), StoreError> {
    OsRng.try_fill_bytes(bytes).map_err(|error| {
        StoreError::Io(format!("the operating system gives no randomness: {error}"))
    })
}
