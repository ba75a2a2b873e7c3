//! A user's wish for one signature: from the extrinsic to the recorded result.

use alloc::vec::Vec;
use codec::{Compact, Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::{cmp::Ordering, fmt};
use scale_info::TypeInfo;

use crate::{
    Balance, BlockNumber, Epoch,
    committee::{MAX_PARTIES, parties_max_encoded_len},
    derivation::{DerivationError, DerivationPath, TaprootTweak, derive},
    digest::{DigestError, Hasher, MAX_MESSAGE_BYTES, request_digest, signed_bytes, tagged_hash},
    ids::{AccountId, Digest, Genesis, KeyId, PartyId, RequestId},
    lifecycle::{key::ActiveKey, registry::KeyRecord},
    parameters::Parameters,
    scheme::Scheme,
    signature::{Signature, SignatureError, VerifyingKey},
};

/// What a user asks for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RequestContent {
    /// The key to sign with.
    pub key: KeyId,
    /// What to sign.
    pub message: Vec<u8>,
    /// How the message becomes the digest.
    pub hasher: Hasher,
    /// The path below the key.
    pub path: DerivationPath,
    /// The Taproot output key.
    pub tweak: TaprootTweak,
}

/// A request as the chain keeps it.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct RequestRecord {
    /// Who asked.
    pub requester: AccountId,
    /// What for.
    pub content: RequestContent,
    /// The key's scheme.
    pub scheme: Scheme,
    /// The digest of the message, computed by the chain; where Ed25519 signs the message itself, a hash that names it.
    pub digest: Digest,
    /// The key that the signature must verify under, derived and tweaked by the chain.
    pub final_key: VerifyingKey,
    /// The block of inclusion.
    pub submitted: BlockNumber,
    /// The first block in which a result no longer counts.
    pub expires: BlockNumber,
    /// Which holders will not or cannot sign it, of the epoch that was the last when one of them said so.
    pub refusals: Refusals,
    /// How it stands.
    pub state: RequestState,
}

/// The refusals of a request, at most one of each holder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Refusals {
    /// The epoch of the holders.
    pub epoch: Epoch,
    /// Who refuses, and why.
    pub by: Vec<(PartyId, Refusal)>,
}

/// Why a holder does not sign a request.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Refusal {
    /// As it sees the chain, the requester may not have this signature.
    #[codec(index = 0)]
    NotAuthorised,
    /// The key has programs, which its version cannot evaluate.
    #[codec(index = 1)]
    ProgramsNotSupported,
    /// A program of the key does not allow it.
    #[codec(index = 2)]
    ProgramRefused,
    /// Its attempts failed.
    #[codec(index = 3)]
    CannotSign {
        /// Whom it blames; without proof.
        accused: Vec<PartyId>,
    },
}

/// Why a request has failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum RequestFailure {
    /// So many holders refuse that too few are left to sign.
    #[codec(index = 0)]
    Refused {
        /// What most of them say, the first of several in the order of [`Refusal`]'s variants.
        reason: Refusal,
        /// Whom more than `n - t` of them blame.
        blamed: Vec<PartyId>,
    },
    /// The key was closed.
    #[codec(index = 1)]
    KeyClosed,
    /// The key has another owner.
    #[codec(index = 2)]
    KeyTransferred,
}

/// How a request stands.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum RequestState {
    /// Awaits its signature.
    #[codec(index = 0)]
    Open,
    /// Answered.
    #[codec(index = 1)]
    Signed {
        /// The signature, which has been verified.
        signature: Signature,
        /// The block in which it was recorded.
        at: BlockNumber,
    },
    /// No signature came in time. One may exist all the same.
    #[codec(index = 2)]
    Expired {
        /// The block in which it was given up.
        at: BlockNumber,
    },
    /// Nothing can sign it. A signature may exist all the same, if some did before others refused.
    #[codec(index = 3)]
    Failed {
        /// Why.
        failure: RequestFailure,
        /// The block in which that was clear.
        at: BlockNumber,
    },
    /// Its requester wants it no more. A signature may exist all the same.
    #[codec(index = 4)]
    Cancelled {
        /// The block in which the requester said so.
        at: BlockNumber,
    },
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Neither the key's owner nor anybody whom the owner lets ask.
    NotAllowed,
    /// A life time is 1 to this many blocks.
    LifeTime(BlockNumber),
    /// The message has no digest.
    Digest(DigestError),
    /// The path or tweak gives no key.
    Derivation(DerivationError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed => {
                f.write_str("the key's owner does not let this account request signatures")
            }
            Self::LifeTime(most) => {
                write!(f, "a request stays open for 1 to {most} blocks")
            }
            Self::Digest(error) => error.fmt(f),
            Self::Derivation(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

/// Why a result is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultError {
    /// The request has ended.
    NotOpen,
    /// The signature is not one of this request's digest under its key.
    Signature(SignatureError),
}

impl fmt::Display for ResultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => f.write_str("the request is not open"),
            Self::Signature(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ResultError {}

/// Why a refusal does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalError {
    /// The request has ended.
    NotOpen,
    /// It is of an epoch that has not begun here: another node may know it already.
    Future,
    /// It is of an epoch whose holders have been replaced.
    Obsolete,
    /// The server is not among the present holders of the root key.
    NotAHolder,
    /// The server has refused already.
    Repeated,
    /// It blames the server itself, somebody who holds no share, or anybody twice.
    BadAccusation,
}

impl fmt::Display for RefusalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOpen => "the request is not open",
            Self::Future => "the epoch that it is of has not begun",
            Self::Obsolete => "the epoch that it is of is over",
            Self::NotAHolder => "the server holds no share of the root key",
            Self::Repeated => "the server has refused already",
            Self::BadAccusation => "it blames itself, a stranger, or somebody twice",
        })
    }
}

impl core::error::Error for RefusalError {}

/// Why a request is not cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelError {
    /// The request has ended.
    NotOpen,
    /// Somebody else asked.
    NotRequester,
}

impl fmt::Display for CancelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOpen => "the request is not open",
            Self::NotRequester => "only who asked can cancel a request",
        })
    }
}

impl core::error::Error for CancelError {}

/// What is burnt for a request when `open` of at most `most` requests are open: the parameters' fee, doubled with each eighth
/// that is taken, so that filling the list costs far more than using it.
pub fn fee(open: u32, most: u32, parameters: &Parameters) -> Balance {
    let eighths = u64::from(open).saturating_mul(8) / u64::from(most.max(1));
    parameters.request_fee.saturating_mul(1 << eighths.min(8))
}

/// The id of what `requester` asks for in the transaction with this account nonce.
///
/// An account that sends no transactions of its own (a pure proxy, a multisig) always has the same nonce: what it asks for
/// again, once the chain keeps the earlier request no more, has the earlier one's id.
pub fn request_id(
    genesis: &Genesis,
    requester: &AccountId,
    nonce: u32,
    content: &RequestContent,
) -> RequestId {
    RequestId(tagged_hash(
        "entropy/request-id/v1",
        &(genesis, requester, nonce, content),
    ))
}

/// Takes a request: checks authority, computes the digest and the key that the signature must verify under.
///
/// It stays open for `lifetime` blocks, or for as many as the parameters allow.
pub fn open(
    content: RequestContent,
    requester: AccountId,
    key: &KeyRecord,
    root_key: &VerifyingKey,
    lifetime: Option<BlockNumber>,
    now: BlockNumber,
    parameters: &Parameters,
) -> Result<RequestRecord, OpenError> {
    if !key.may_request(&requester) {
        return Err(OpenError::NotAllowed);
    }
    let most = parameters.request_expiry_blocks;
    let lifetime = lifetime.unwrap_or(most);
    if lifetime == 0 || lifetime > most {
        return Err(OpenError::LifeTime(most));
    }
    let digest =
        request_digest(key.scheme, content.hasher, &content.message).map_err(OpenError::Digest)?;
    let final_key = derive(key.scheme, root_key, &content.key, &content.path)
        .and_then(|derived| derived.final_key(key.scheme, &content.tweak))
        .map_err(OpenError::Derivation)?;
    Ok(RequestRecord {
        requester,
        content,
        scheme: key.scheme,
        digest,
        final_key,
        submitted: now,
        expires: now.saturating_add(lifetime),
        refusals: Refusals::default(),
        state: RequestState::Open,
    })
}

impl RequestRecord {
    /// Whether a result would still be taken: costs nothing.
    pub fn check_open(&self, now: BlockNumber) -> Result<(), ResultError> {
        if self.is_open(now) {
            Ok(())
        } else {
            Err(ResultError::NotOpen)
        }
    }

    /// Why it has failed, if it has.
    pub const fn failure(&self) -> Option<&RequestFailure> {
        match &self.state {
            RequestState::Failed { failure, .. } => Some(failure),
            _ => None,
        }
    }

    fn is_open(&self, now: BlockNumber) -> bool {
        self.state == RequestState::Open && now < self.expires
    }

    /// Whether `signature` answers the request now.
    pub fn check_result(&self, signature: &Signature, now: BlockNumber) -> Result<(), ResultError> {
        self.check_open(now)?;
        let content = &self.content;
        let signed = signed_bytes(self.scheme, content.hasher, &content.message)
            .map_err(|_| ResultError::Signature(SignatureError::Invalid))?;
        signature
            .verify(&self.final_key, &signed)
            .map_err(ResultError::Signature)
    }

    /// Records the signature that answers the request; the same checks as [`Self::check_result`].
    pub fn answer(mut self, signature: Signature, now: BlockNumber) -> Result<Self, ResultError> {
        self.check_result(&signature, now)?;
        self.state = RequestState::Signed { signature, at: now };
        Ok(self)
    }

    /// Whether this server's refusal, made as a holder of `epoch`, counts now, while `holders` hold the root key.
    ///
    /// One of an earlier epoch never counts: otherwise anybody could repeat it after the change of holders that forgot it.
    pub fn check_refusal(
        &self,
        server: &PartyId,
        epoch: Epoch,
        refusal: &Refusal,
        holders: &ActiveKey,
        now: BlockNumber,
    ) -> Result<(), RefusalError> {
        if !self.is_open(now) {
            return Err(RefusalError::NotOpen);
        }
        match epoch.cmp(&holders.epoch) {
            Ordering::Greater => return Err(RefusalError::Future),
            Ordering::Less => return Err(RefusalError::Obsolete),
            Ordering::Equal => {}
        }
        if !holders.committee.contains(server) {
            return Err(RefusalError::NotAHolder);
        }
        let has_refused = self.refusals.by.iter().any(|(party, _)| party == server);
        if self.refusals.epoch == holders.epoch && has_refused {
            return Err(RefusalError::Repeated);
        }
        let Refusal::CannotSign { accused } = refusal else {
            return Ok(());
        };
        let plausible = accused.len() < usize::from(holders.committee.size())
            && accused
                .iter()
                .all(|party| party != server && holders.committee.contains(party))
            && (1..accused.len()).all(|i| !accused[..i].contains(&accused[i]));
        if plausible {
            Ok(())
        } else {
            Err(RefusalError::BadAccusation)
        }
    }

    /// Counts a refusal; the same checks as [`Self::check_refusal`]. The request fails when fewer than `t` holders are left.
    ///
    /// What holders of an earlier epoch said is forgotten.
    pub fn refuse(
        mut self,
        server: PartyId,
        epoch: Epoch,
        refusal: Refusal,
        holders: &ActiveKey,
        now: BlockNumber,
    ) -> Result<Self, RefusalError> {
        self.check_refusal(&server, epoch, &refusal, holders, now)?;
        if self.refusals.epoch != holders.epoch {
            self.refusals = Refusals {
                epoch: holders.epoch,
                by: Vec::new(),
            };
        }
        self.refusals.by.push((server, refusal));
        let committee = &holders.committee;
        let spare = usize::from(committee.size() - committee.threshold());
        if self.refusals.by.len() > spare {
            let blamed = committee.parties().iter().filter(|party| {
                let accusers = self.refusals.by.iter().filter(|(_, refusal)| {
                    matches!(refusal, Refusal::CannotSign { accused } if accused.contains(party))
                });
                accusers.count() > spare
            });
            self.state = RequestState::Failed {
                failure: RequestFailure::Refused {
                    reason: self.refusals.most_frequent(),
                    blamed: blamed.copied().collect(),
                },
                at: now,
            };
        }
        Ok(self)
    }

    /// Ends the request because its requester wants it no more.
    pub fn cancel(mut self, who: &AccountId, now: BlockNumber) -> Result<Self, CancelError> {
        if self.requester != *who {
            return Err(CancelError::NotRequester);
        }
        if !self.is_open(now) {
            return Err(CancelError::NotOpen);
        }
        self.state = RequestState::Cancelled { at: now };
        Ok(self)
    }

    /// Ends the request because of what became of its key, as expired if its time is over; unchanged if it has ended already.
    pub fn fail(self, failure: RequestFailure, now: BlockNumber) -> Self {
        let mut record = self.expire(now);
        if record.state == RequestState::Open {
            record.state = RequestState::Failed { failure, at: now };
        }
        record
    }

    /// Gives the request up if its time is over; unchanged otherwise.
    pub fn expire(mut self, now: BlockNumber) -> Self {
        if self.state == RequestState::Open && now >= self.expires {
            self.state = RequestState::Expired { at: now };
        }
        self
    }
}

impl Refusals {
    /// The reason given most often, without accusations.
    fn most_frequent(&self) -> Refusal {
        let kinds = [
            Refusal::NotAuthorised,
            Refusal::ProgramsNotSupported,
            Refusal::ProgramRefused,
            Refusal::CannotSign {
                accused: Vec::new(),
            },
        ];
        let count = |kind: &Refusal| {
            let same = |(_, refusal): &&(PartyId, Refusal)| {
                core::mem::discriminant(refusal) == core::mem::discriminant(kind)
            };
            self.by.iter().filter(same).count()
        };
        let mut most = Refusal::NotAuthorised;
        for kind in kinds {
            if count(&kind) > count(&most) {
                most = kind;
            }
        }
        most
    }
}

impl MaxEncodedLen for Refusal {
    fn max_encoded_len() -> usize {
        1 + parties_max_encoded_len()
    }
}

impl MaxEncodedLen for Refusals {
    fn max_encoded_len() -> usize {
        Epoch::max_encoded_len()
            + Compact::<u32>::max_encoded_len()
            + MAX_PARTIES as usize * (PartyId::max_encoded_len() + Refusal::max_encoded_len())
    }
}

impl MaxEncodedLen for RequestFailure {
    fn max_encoded_len() -> usize {
        1 + Refusal::max_encoded_len() + parties_max_encoded_len()
    }
}

impl MaxEncodedLen for RequestContent {
    fn max_encoded_len() -> usize {
        KeyId::max_encoded_len()
            + Compact::<u32>::max_encoded_len()
            + MAX_MESSAGE_BYTES as usize
            + Hasher::max_encoded_len()
            + DerivationPath::max_encoded_len()
            + TaprootTweak::max_encoded_len()
    }
}
