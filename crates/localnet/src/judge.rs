//! Judges signatures by code that shares nothing with ours: libsecp256k1's bindings, and BIP-32 and BIP-341 of `bitcoin`.

use anyhow::{Context, bail, ensure};
use bitcoin::{
    NetworkKind, TapNodeHash,
    bip32::{ChainCode, ChildNumber, Fingerprint, Xpub},
    hashes::{Hash as _, sha256, sha256d},
    key::TapTweak as _,
    secp256k1::{
        Message, PublicKey, Secp256k1, XOnlyPublicKey,
        ecdsa::{self, RecoverableSignature, RecoveryId},
        schnorr,
    },
};
use entropy_shared::{
    DerivationPath, Hasher, Signature, TaprootTweak, VerifyingKey,
    derivation::derive,
    lifecycle::request::{RequestRecord, RequestState},
};

/// Checks an answered request from the root key to the signature, and returns the signature.
///
/// Ours is only the first step, from the root key to the user's key and its chain code, which no standard defines.
pub fn judge(record: &RequestRecord, root_key: &VerifyingKey) -> anyhow::Result<Signature> {
    let RequestState::Signed { signature, .. } = record.state else {
        bail!("the request has no signature: {:?}", record.state)
    };
    let secp = Secp256k1::verification_only();
    let content = &record.content;
    let digest = match content.hasher {
        Hasher::Sha256 => sha256::Hash::hash(&content.message).to_byte_array(),
        Hasher::DoubleSha256 => sha256d::Hash::hash(&content.message).to_byte_array(),
        Hasher::Identity => content.message[..]
            .try_into()
            .context("the message is no digest")?,
        // `bitcoin` has none of these; tests of `shared` compare them with published values.
        Hasher::Keccak256 | Hasher::Blake2b256 | Hasher::Sha3_256 => record.digest.0,
    };
    ensure!(digest == record.digest.0, "the chain's digest is another");
    if let Signature::EcdsaP256(_) | Signature::Ed25519(_) = signature {
        bail!("there is no judge of signatures of {} here", record.scheme);
    }
    let message = Message::from_digest(digest);

    let user = derive(
        record.scheme,
        root_key,
        &content.key,
        &DerivationPath::default(),
    )?;
    let parent = Xpub {
        network: NetworkKind::Main,
        depth: 0,
        parent_fingerprint: Fingerprint::default(),
        child_number: ChildNumber::Normal { index: 0 },
        public_key: PublicKey::from_slice(user.key.as_bytes())
            .context("the user's key is no point")?,
        chain_code: ChainCode::from(user.chain_code),
    };
    let steps: Result<Vec<_>, _> = content
        .path
        .steps()
        .iter()
        .map(|step| ChildNumber::from_normal_idx(*step))
        .collect();
    let child = parent.derive_pub(&secp, &steps?)?.public_key;

    match signature {
        Signature::EcdsaSecp256k1(bytes) => {
            ensure!(
                child.serialize() == record.final_key.as_bytes(),
                "BIP-32 derives another key"
            );
            let signature = ecdsa::Signature::from_compact(&bytes[..64])?;
            let mut normalized = signature;
            normalized.normalize_s();
            ensure!(
                signature == normalized,
                "s is in the upper half of the group order"
            );
            secp.verify_ecdsa(&message, &signature, &child)
                .context("libsecp256k1 refuses the signature")?;
            let recovery = RecoveryId::from_i32(bytes[64].into())?;
            let recoverable = RecoverableSignature::from_compact(&bytes[..64], recovery)?;
            let recovered = secp.recover_ecdsa(&message, &recoverable)?;
            ensure!(recovered == child, "the recovery id recovers another key");
        }
        Signature::Bip340(bytes) => {
            let internal = XOnlyPublicKey::from(child);
            let output = match content.tweak {
                TaprootTweak::None => internal,
                TaprootTweak::KeyPath => internal.tap_tweak(&secp, None).0.to_x_only_public_key(),
                TaprootTweak::MerkleRoot(root) => internal
                    .tap_tweak(&secp, Some(TapNodeHash::from_byte_array(root)))
                    .0
                    .to_x_only_public_key(),
            };
            ensure!(
                output.serialize() == record.final_key.as_bytes(),
                "BIP-341 tweaks to another key"
            );
            let signature = schnorr::Signature::from_slice(&bytes)?;
            secp.verify_schnorr(&signature, &message, &output)
                .context("libsecp256k1 refuses the signature")?;
        }
        Signature::EcdsaP256(_) | Signature::Ed25519(_) => bail!("this has been refused above"),
    }
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use bitcoin::{
        key::Keypair,
        secp256k1::{All, Scalar, SecretKey},
    };
    use entropy_shared::{
        AccountId, Digest, KeyId, Scheme,
        lifecycle::{
            registry::{KeyRecord, Requesters},
            request::{RequestContent, open},
        },
    };

    use super::*;

    /// A network that one knows the secret of.
    struct Holder {
        secp: Secp256k1<All>,
        secret: SecretKey,
    }

    impl Holder {
        fn new() -> Self {
            let secret = SecretKey::from_slice(&[0x17; 32]).expect("is below the group order");
            Self {
                secp: Secp256k1::new(),
                secret,
            }
        }

        fn root_key(&self) -> VerifyingKey {
            VerifyingKey::Secp256k1(self.secret.public_key(&self.secp).serialize())
        }

        /// A request as the chain keeps it, answered by its holder.
        fn answered(
            &self,
            scheme: Scheme,
            hasher: Hasher,
            path: &str,
            tweak: TaprootTweak,
        ) -> RequestRecord {
            let (owner, root) = (AccountId([1; 32]), self.root_key());
            let content = RequestContent {
                key: KeyId([2; 32]),
                message: vec![0xab; 32],
                hasher,
                path: path.parse().expect("is a path"),
                tweak,
            };
            let derived =
                derive(scheme, &root, &content.key, &content.path).expect("there is such a key");
            let key = KeyRecord {
                owner,
                offered_to: None,
                registrant: owner,
                scheme,
                salt: [0; 32],
                verifying_key: derived.key,
                programs: Vec::new(),
                requesters: Requesters::Owner,
                registered: 1,
            };
            let mut record = open(content, owner, &key, &root, None, 2, &Default::default())
                .expect("is a request");
            let offset = Scalar::from_be_bytes(derived.offset).expect("is a scalar");
            let child = self.secret.add_tweak(&offset).expect("is not zero");
            let message = Message::from_digest(record.digest.0);
            let signature = if scheme == Scheme::SchnorrTaproot {
                let pair = Keypair::from_secret_key(&self.secp, &child);
                let pair = match tweak {
                    TaprootTweak::None => pair,
                    TaprootTweak::KeyPath => pair.tap_tweak(&self.secp, None).to_keypair(),
                    TaprootTweak::MerkleRoot(root) => pair
                        .tap_tweak(&self.secp, Some(TapNodeHash::from_byte_array(root)))
                        .to_keypair(),
                };
                Signature::Bip340(
                    self.secp
                        .sign_schnorr_no_aux_rand(&message, &pair)
                        .serialize(),
                )
            } else {
                let (id, compact) = self
                    .secp
                    .sign_ecdsa_recoverable(&message, &child)
                    .serialize_compact();
                let mut bytes = [0; 65];
                bytes[..64].copy_from_slice(&compact);
                bytes[64] = id.to_i32().try_into().expect("is 0 to 3");
                Signature::EcdsaSecp256k1(bytes)
            };
            record.state = RequestState::Signed { signature, at: 3 };
            record
        }

        fn requests(&self) -> Vec<RequestRecord> {
            use {Hasher::*, Scheme::*, TaprootTweak::*};
            vec![
                self.answered(EcdsaCggmp24, Keccak256, "m/0/5", None),
                self.answered(EcdsaCggmp24, DoubleSha256, "m", None),
                self.answered(SchnorrTaproot, Sha256, "m", None),
                self.answered(SchnorrTaproot, Identity, "m/86/2147483647", KeyPath),
                self.answered(SchnorrTaproot, Sha256, "m/1", MerkleRoot([0xa5; 32])),
            ]
        }
    }

    #[test]
    fn right_signatures_are_accepted() {
        let holder = Holder::new();
        for record in holder.requests() {
            let judged = judge(&record, &holder.root_key());
            judged.unwrap_or_else(|error| panic!("{record:?}: {error:#}"));
        }
    }

    #[test]
    fn a_wrong_signature_digest_key_or_root_is_refused() {
        let holder = Holder::new();
        for record in holder.requests() {
            let mut signature = record.clone();
            signature.state = match record.state {
                RequestState::Signed {
                    signature: Signature::EcdsaSecp256k1(mut bytes),
                    at,
                } => {
                    bytes[64] ^= 1;
                    RequestState::Signed {
                        signature: Signature::EcdsaSecp256k1(bytes),
                        at,
                    }
                }
                RequestState::Signed {
                    signature: Signature::Bip340(mut bytes),
                    at,
                } => {
                    bytes[40] ^= 1;
                    RequestState::Signed {
                        signature: Signature::Bip340(bytes),
                        at,
                    }
                }
                other => panic!("not answered: {other:?}"),
            };
            let mut digest = record.clone();
            digest.digest = Digest([0; 32]);
            let mut key = record.clone();
            key.final_key = match record.final_key {
                VerifyingKey::Secp256k1(mut bytes) => {
                    bytes[0] ^= 1;
                    VerifyingKey::Secp256k1(bytes)
                }
                _ => VerifyingKey::XOnly([0x79; 32]),
            };
            let mut open = record.clone();
            open.state = RequestState::Open;
            for wrong in [signature, digest, key, open] {
                assert!(judge(&wrong, &holder.root_key()).is_err(), "{wrong:?}");
            }
            let other = SecretKey::from_slice(&[0x18; 32]).expect("is below the group order");
            let other = VerifyingKey::Secp256k1(other.public_key(&holder.secp).serialize());
            assert!(judge(&record, &other).is_err(), "{record:?}");
        }
    }
}
