//! A user's key as the chain keeps it: who manages it, who may request its signatures, and the programs that guard it.

use alloc::vec::Vec;
use codec::{Compact, Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

use crate::{
    Balance, BlockNumber,
    ids::{AccountId, ProgramId},
    parameters::Parameters,
    scheme::Scheme,
    signature::VerifyingKey,
};

/// The most programs that a key may carry.
pub const MAX_PROGRAMS: u32 = 8;

/// The longest configuration of a program on a key, in bytes.
pub const MAX_CONFIGURATION_BYTES: u32 = 4 * 1024;

/// The most accounts that an owner may name as requesters.
pub const MAX_REQUESTERS: u32 = 32;

/// How many bytes an id that never comes back costs: the id, and the storage's prefix before it.
pub const RETIRED_BYTES: u32 = 64;

/// A program that guards a key, and how.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct AttachedProgram {
    /// The program.
    pub program: ProgramId,
    /// What the program is told about this key; at most [`MAX_CONFIGURATION_BYTES`] bytes, described by the program's schema.
    pub configuration: Vec<u8>,
}

/// Who may request signatures of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Requesters {
    /// The owner alone.
    #[default]
    #[codec(index = 0)]
    Owner,
    /// The owner and these accounts; at most [`MAX_REQUESTERS`], strictly ascending.
    #[codec(index = 1)]
    Accounts(Vec<AccountId>),
    /// Anybody. The key needs at least one program.
    #[codec(index = 2)]
    Anyone,
}

/// A registered key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct KeyRecord {
    /// Who manages it.
    pub owner: AccountId,
    /// Who has been offered the ownership and may accept it.
    pub offered_to: Option<AccountId>,
    /// Who registered it, which with scheme and salt makes the id; never changes.
    pub registrant: AccountId,
    /// The scheme of its signatures.
    pub scheme: Scheme,
    /// The registrant's salt.
    pub salt: [u8; 32],
    /// The key at the empty path, before any tweak.
    pub verifying_key: VerifyingKey,
    /// The programs that must all allow a signature; at most [`MAX_PROGRAMS`].
    pub programs: Vec<AttachedProgram>,
    /// Who may request signatures.
    pub requesters: Requesters,
    /// The block in which it was registered.
    pub registered: BlockNumber,
}

/// Why programs or requesters cannot be set on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPolicyError {
    /// More than [`MAX_PROGRAMS`].
    TooManyPrograms(usize),
    /// A program is named twice.
    DuplicateProgram(ProgramId),
    /// A configuration has more than [`MAX_CONFIGURATION_BYTES`] bytes.
    ConfigurationTooLong(usize),
    /// More than [`MAX_REQUESTERS`].
    TooManyRequesters(usize),
    /// The list of requesters is not strictly ascending.
    RequestersNotAscending,
    /// Anybody may request, and no program guards the key.
    Unguarded,
}

impl fmt::Display for KeyPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyPrograms(got) => {
                write!(
                    f,
                    "a key carries at most {MAX_PROGRAMS} programs, not {got}"
                )
            }
            Self::DuplicateProgram(id) => write!(f, "program {id} is named twice"),
            Self::ConfigurationTooLong(got) => write!(
                f,
                "a program's configuration has at most {MAX_CONFIGURATION_BYTES} bytes, not {got}"
            ),
            Self::TooManyRequesters(got) => {
                write!(
                    f,
                    "a key names at most {MAX_REQUESTERS} requesters, not {got}"
                )
            }
            Self::RequestersNotAscending => {
                f.write_str("requesters are listed in strictly ascending order")
            }
            Self::Unguarded => f.write_str(
                "a key for which anybody may request signatures needs at least one program",
            ),
        }
    }
}

impl core::error::Error for KeyPolicyError {}

/// Whether a key may have these programs and requesters; says nothing about whether the programs are stored.
pub fn check_policy(
    programs: &[AttachedProgram],
    requesters: &Requesters,
) -> Result<(), KeyPolicyError> {
    if programs.len() > MAX_PROGRAMS as usize {
        return Err(KeyPolicyError::TooManyPrograms(programs.len()));
    }
    for (i, attached) in programs.iter().enumerate() {
        if programs[..i]
            .iter()
            .any(|other| other.program == attached.program)
        {
            return Err(KeyPolicyError::DuplicateProgram(attached.program));
        }
        if attached.configuration.len() > MAX_CONFIGURATION_BYTES as usize {
            return Err(KeyPolicyError::ConfigurationTooLong(
                attached.configuration.len(),
            ));
        }
    }
    match requesters {
        Requesters::Owner => Ok(()),
        Requesters::Accounts(accounts) if accounts.len() > MAX_REQUESTERS as usize => {
            Err(KeyPolicyError::TooManyRequesters(accounts.len()))
        }
        Requesters::Accounts(accounts) if accounts.windows(2).any(|pair| pair[0] >= pair[1]) => {
            Err(KeyPolicyError::RequestersNotAscending)
        }
        Requesters::Accounts(_) => Ok(()),
        Requesters::Anyone if programs.is_empty() => Err(KeyPolicyError::Unguarded),
        Requesters::Anyone => Ok(()),
    }
}

/// How many bytes of programs, their configurations and requesters the owner pays a deposit for.
pub fn policy_bytes(programs: &[AttachedProgram], requesters: &Requesters) -> u32 {
    let configurations: usize = programs
        .iter()
        .map(|attached| ProgramId::max_encoded_len() + attached.configuration.len())
        .sum();
    let accounts = match requesters {
        Requesters::Owner | Requesters::Anyone => 0,
        Requesters::Accounts(accounts) => accounts.len() * AccountId::max_encoded_len(),
    };
    u32::try_from(configurations.saturating_add(accounts)).unwrap_or(u32::MAX)
}

/// Why a key does not change hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnershipError {
    /// The key is offered to the account that owns it.
    AlreadyOwner,
    /// The key is not offered to the account that accepts it.
    NotOffered,
}

impl fmt::Display for OwnershipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyOwner => f.write_str("a key is offered to another account than its owner"),
            Self::NotOffered => {
                f.write_str("only the account to which its owner has offered a key can accept it")
            }
        }
    }
}

impl core::error::Error for OwnershipError {}

impl KeyRecord {
    /// Whether `account` may request signatures of the key.
    pub fn may_request(&self, account: &AccountId) -> bool {
        self.owner == *account
            || match &self.requesters {
                Requesters::Owner => false,
                Requesters::Accounts(accounts) => accounts.contains(account),
                Requesters::Anyone => !self.programs.is_empty(),
            }
    }

    /// How many bytes of programs, their configurations and requesters the owner pays a deposit for.
    pub fn policy_bytes(&self) -> u32 {
        policy_bytes(&self.programs, &self.requesters)
    }

    /// What is held from the owner: so much for the key, and so much for each byte of [`Self::policy_bytes`].
    pub fn deposit(&self, parameters: &Parameters) -> Balance {
        let bytes = Balance::from(self.policy_bytes());
        parameters
            .key_deposit
            .saturating_add(parameters.key_byte_deposit.saturating_mul(bytes))
    }

    /// Offers the key to another account, in place of any earlier offer, or takes the offer back.
    pub fn offer(self, to: Option<AccountId>) -> Result<Self, OwnershipError> {
        if to == Some(self.owner) {
            return Err(OwnershipError::AlreadyOwner);
        }
        Ok(Self {
            offered_to: to,
            ..self
        })
    }

    /// Makes the account to which the key is offered its owner; everything else stays as it is.
    pub fn accept(self, by: AccountId) -> Result<Self, OwnershipError> {
        if self.offered_to != Some(by) {
            return Err(OwnershipError::NotOffered);
        }
        Ok(Self {
            owner: by,
            offered_to: None,
            ..self
        })
    }

    /// Whether the id is used up when the owner closes the key.
    ///
    /// The id commits to the registrant, who alone can register it again. Unless the registrant is also who closes the key, that
    /// would give the key back to somebody who has given it away.
    pub fn retires(&self) -> bool {
        self.owner != self.registrant
    }

    /// What is burnt when the key goes to another owner: the price of [`RETIRED_BYTES`] if its registrant gives it away, for
    /// the id is to be remembered for ever once the key is closed.
    pub fn transfer_fee(&self, parameters: &Parameters) -> Balance {
        if self.retires() {
            0
        } else {
            parameters
                .key_byte_deposit
                .saturating_mul(RETIRED_BYTES.into())
        }
    }
}

impl MaxEncodedLen for AttachedProgram {
    fn max_encoded_len() -> usize {
        ProgramId::max_encoded_len()
            + Compact::<u32>::max_encoded_len()
            + MAX_CONFIGURATION_BYTES as usize
    }
}

impl MaxEncodedLen for Requesters {
    fn max_encoded_len() -> usize {
        1 + Compact::<u32>::max_encoded_len()
            + MAX_REQUESTERS as usize * AccountId::max_encoded_len()
    }
}

impl MaxEncodedLen for KeyRecord {
    fn max_encoded_len() -> usize {
        3 * AccountId::max_encoded_len()
            + 1
            + Scheme::max_encoded_len()
            + <[u8; 32]>::max_encoded_len()
            + VerifyingKey::max_encoded_len()
            + Compact::<u32>::max_encoded_len()
            + MAX_PROGRAMS as usize * AttachedProgram::max_encoded_len()
            + Requesters::max_encoded_len()
            + BlockNumber::max_encoded_len()
    }
}
