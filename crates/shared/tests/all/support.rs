//! What several tests need: parties, and a root key whose secret the test knows.

use bitcoin::{
    key::Secp256k1,
    secp256k1::{All, Keypair, Message, PublicKey, Scalar, SecretKey},
};
use entropy_shared::{
    Committee, DerivationPath, Digest, Genesis, KeyId, PartyId, Scheme, Signature, TaprootTweak,
    VerifyingKey,
    canonical::proof_digest,
    derivation::derive,
    lifecycle::key::{AttemptOutcome, AttemptReport, AttemptResult},
    parameters::Parameters,
};

pub(crate) const GENESIS: Genesis = Genesis([1; 32]);

pub(crate) fn party(number: u8) -> PartyId {
    PartyId([number; 32])
}

/// A committee of parties 1 to `size`.
pub(crate) fn committee(size: u8, threshold: u16) -> Committee {
    Committee::new((1..=size).map(party), threshold).unwrap()
}

pub(crate) fn parameters() -> Parameters {
    Parameters {
        attempt_deadline_blocks: 20,
        ..Parameters::default()
    }
}

/// A root key with its secret, which on a real network nobody has.
pub(crate) struct Root {
    secret: SecretKey,
    secp: Secp256k1<All>,
}

impl Root {
    pub(crate) fn new(seed: u8) -> Self {
        Self {
            secret: SecretKey::from_slice(&[seed; 32]).unwrap(),
            secp: Secp256k1::new(),
        }
    }

    pub(crate) fn key(&self) -> VerifyingKey {
        VerifyingKey::Secp256k1(PublicKey::from_secret_key(&self.secp, &self.secret).serialize())
    }

    /// Signs as the holders of a child without a tweak would.
    pub(crate) fn sign(
        &self,
        scheme: Scheme,
        id: &KeyId,
        path: &DerivationPath,
        digest: &Digest,
    ) -> Signature {
        let derived = derive(scheme, &self.key(), id, path).unwrap();
        let offset = Scalar::from_be_bytes(derived.offset).unwrap();
        let secret = self.secret.add_tweak(&offset).unwrap();
        let message = Message::from_digest(digest.0);
        match scheme {
            Scheme::SchnorrTaproot => {
                let keypair = Keypair::from_secret_key(&self.secp, &secret);
                Signature::Bip340(
                    self.secp
                        .sign_schnorr_no_aux_rand(&message, &keypair)
                        .serialize(),
                )
            }
            _ => {
                let (recovery, bytes) = self
                    .secp
                    .sign_ecdsa_recoverable(&message, &secret)
                    .serialize_compact();
                Signature::EcdsaSecp256k1(ecdsa_bytes(&bytes, recovery.to_i32() as u8))
            }
        }
    }

    /// A true report of a server that holds a share of this key in its first epoch.
    pub(crate) fn ready(
        &self,
        server: PartyId,
        scheme: Scheme,
        attempt: u32,
        public_digest: Digest,
    ) -> AttemptReport {
        self.ready_in(1, server, scheme, attempt, public_digest)
    }

    /// A true report of a server that holds a share of this key.
    pub(crate) fn ready_in(
        &self,
        epoch: u32,
        server: PartyId,
        scheme: Scheme,
        attempt: u32,
        public_digest: Digest,
    ) -> AttemptReport {
        let digest = proof_digest(&GENESIS, scheme, epoch, attempt, &public_digest);
        let id = KeyId::of_proof(&GENESIS, scheme);
        let proof = self.sign(scheme, &id, &DerivationPath::default(), &digest);
        let result = AttemptResult {
            public_digest,
            root_key: self.key(),
        };
        AttemptReport {
            server,
            scheme,
            epoch,
            attempt,
            outcome: AttemptOutcome::Ready { result, proof },
        }
    }

    /// The key that a signature of [`Self::sign`] verifies under.
    pub(crate) fn final_key(
        &self,
        scheme: Scheme,
        id: &KeyId,
        path: &DerivationPath,
    ) -> VerifyingKey {
        derive(scheme, &self.key(), id, path)
            .unwrap()
            .final_key(scheme, &TaprootTweak::None)
            .unwrap()
    }
}

/// A report that the attempt failed.
pub(crate) fn failed(
    server: PartyId,
    scheme: Scheme,
    attempt: u32,
    accused: Vec<PartyId>,
) -> AttemptReport {
    AttemptReport {
        server,
        scheme,
        epoch: 1,
        attempt,
        outcome: AttemptOutcome::Failed {
            accused,
            missed: vec![],
        },
    }
}

pub(crate) fn ecdsa_bytes(compact: &[u8; 64], recovery: u8) -> [u8; 65] {
    let mut bytes = [recovery; 65];
    bytes[..64].copy_from_slice(compact);
    bytes
}

pub(crate) fn hex32(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

pub(crate) fn hex33(text: &str) -> [u8; 33] {
    hex::decode(text).unwrap().try_into().unwrap()
}
