//! The connection to one node: what users ask of the chain, and what they read of it.

use std::time::Duration;

use codec::{Decode, DecodeAll, Encode};
use entropy_shared::{
    AccountId, BlockNumber, Genesis, KeyId, Parameters, PartyId, RequestId, Scheme,
    lifecycle::{
        registry::{AttachedProgram, KeyRecord, Requesters},
        request::{RequestContent, RequestRecord, RequestState},
    },
    view::{ChainView, SchemeState, VIEW_FORMAT},
};
use subxt::{
    OnlineClient, SubstrateConfig,
    backend::LegacyBackend,
    config::{DefaultExtrinsicParamsBuilder, RpcConfigFor},
    extrinsics::ExtrinsicEvents,
    rpcs::{RpcClient, methods::legacy::LegacyRpcMethods},
    tx::TransactionStatus,
    utils::AccountId32,
};

use crate::{
    account::Signer,
    binding::BindingProof,
    call::Call,
    error::{ClientError, describe},
};

/// For how many blocks after the last finalized one a transaction may be included.
const LONGEVITY_BLOCKS: u64 = 64;

/// How long a node may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(20);

/// A connection to a node. Clones share it.
///
/// What it reads is the state of the best block, which a reorganisation may still change; what it submits is done
/// once it is in a best block. If the connection breaks, every function fails from then on: connect again.
#[derive(Clone, Debug)]
pub struct Client {
    online: OnlineClient<SubstrateConfig>,
    rpc: LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>,
    genesis: Genesis,
}

impl Client {
    /// Connects to the node at a `ws://` or `wss://` URL. Without TLS whoever is on the way can lie about the chain.
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        let unreachable = |reason: String| ClientError::Unreachable {
            url: url.into(),
            reason,
        };
        let connected = tokio::time::timeout(CONNECT_TIME, async {
            let rpc = RpcClient::from_insecure_url(url)
                .await
                .map_err(|error| unreachable(describe(&error)))?;
            let backend = LegacyBackend::builder().build(rpc.clone());
            let online = OnlineClient::<SubstrateConfig>::from_backend(backend.into())
                .await
                .map_err(|error| unreachable(error.to_string()))?;
            let genesis = Genesis(online.genesis_hash().0);
            Ok(Self {
                online,
                rpc: LegacyRpcMethods::new(rpc),
                genesis,
            })
        });
        connected
            .await
            .unwrap_or_else(|_| Err(unreachable("it does not answer".into())))
    }

    /// Which chain the node follows.
    pub const fn genesis(&self) -> Genesis {
        self.genesis
    }

    /// Makes a server the server of the validator whose stash `signer` controls, or publishes what has changed about the one it has.
    pub async fn bind_server(
        &self,
        signer: &Signer,
        binding: &BindingProof,
    ) -> Result<(), ClientError> {
        let arguments = (&binding.info, binding.proof);
        self.submit(
            signer,
            Call::new("StakingExtension", "bind_server", arguments),
        )
        .await?;
        Ok(())
    }

    /// Registers a key: a child of the scheme's root key, which `signer` manages. The salt tells apart several keys of one owner.
    pub async fn register_key(
        &self,
        signer: &Signer,
        scheme: Scheme,
        salt: &[u8; 32],
        programs: &[AttachedProgram],
        requesters: &Requesters,
    ) -> Result<KeyId, ClientError> {
        let arguments = (scheme, salt, programs, requesters);
        self.submit(signer, Call::new("Registry", "register", arguments))
            .await?;
        Ok(KeyId::of(&self.genesis, scheme, &signer.account(), salt))
    }

    /// Asks for one signature; await it by [`Self::wait_for_signature`]. It expires after `lifetime` blocks, or after as many as
    /// the chain allows.
    pub async fn request(
        &self,
        signer: &Signer,
        content: &RequestContent,
        lifetime: Option<BlockNumber>,
    ) -> Result<RequestId, ClientError> {
        let events = self
            .submit(signer, Call::new("Signing", "request", (content, lifetime)))
            .await?;
        events
            .iter()
            .filter_map(Result::ok)
            .find(|event| event.pallet_name() == "Signing" && event.event_name() == "Requested")
            .and_then(|event| RequestId::decode(&mut event.field_bytes()).ok())
            .ok_or_else(|| ClientError::Malformed("a request raised no event that names it".into()))
    }

    /// The ids of the keys that `owner` has registered, in no particular order.
    pub async fn keys(&self, owner: &AccountId) -> Result<Vec<KeyId>, ClientError> {
        let node = |error: &dyn std::fmt::Display| ClientError::Node(error.to_string());
        let best = self.rpc.chain_get_block_hash(None).await?;
        let best = best.ok_or_else(|| ClientError::Node("it has lost its newest block".into()))?;
        let block = self
            .online
            .at_block(best)
            .await
            .map_err(|error| node(&error))?;
        let entries =
            subxt::storage::dynamic::<(AccountId32, [u8; 32]), u128>("Registry", "KeysOf");
        let mut entries = block
            .storage()
            .iter(entries, (AccountId32(owner.0),))
            .await
            .map_err(|error| node(&error))?;
        let mut keys = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(|error| node(&error))?;
            // The map's last key, the key's id, is not hashed.
            let id = entry.key_bytes().last_chunk().copied().map(KeyId);
            keys.push(
                id.ok_or_else(|| ClientError::Malformed("a key of a map is too short".into()))?,
            );
        }
        Ok(keys)
    }

    /// The key with this id.
    pub async fn key(&self, id: &KeyId) -> Result<Option<KeyRecord>, ClientError> {
        self.ask("ThresholdApi_key", id).await
    }

    /// The request with this id. The chain keeps an answered or expired one for a time that its parameters fix.
    pub async fn request_record(
        &self,
        id: &RequestId,
    ) -> Result<Option<RequestRecord>, ClientError> {
        self.ask("ThresholdApi_request", id).await
    }

    /// The chain's parameters.
    pub async fn parameters(&self) -> Result<Parameters, ClientError> {
        self.ask("ThresholdApi_parameters", ()).await
    }

    /// The chain as the server `party` sees it.
    pub async fn view(&self, party: &PartyId) -> Result<ChainView, ClientError> {
        let name = "ThresholdApi_view";
        let bytes = self
            .rpc
            .state_call(name, Some(&party.encode()), None)
            .await?;
        match u16::decode(&mut &bytes[..]) {
            Ok(VIEW_FORMAT) => decode(name, &bytes),
            Ok(format) => Err(ClientError::Malformed(format!(
                "the chain's view has format {format}, this client understands {VIEW_FORMAT}"
            ))),
            Err(_) => Err(ClientError::Malformed(format!(
                "the answer of {name} is empty"
            ))),
        }
    }

    /// Every enabled scheme, who holds its root key, or how far its generation is.
    pub async fn root_keys(&self) -> Result<Vec<SchemeState>, ClientError> {
        // What every server sees of the root keys is the same; nobody can have this account.
        Ok(self.view(&PartyId([0; 32])).await?.keys)
    }

    /// Waits until the request is answered or has expired, for at most `within`.
    pub async fn wait_for_signature(
        &self,
        id: &RequestId,
        within: Duration,
    ) -> Result<RequestRecord, ClientError> {
        self.until(
            &format!("a signature for request {id}"),
            within,
            async || {
                // A request may be missing for a while when a reorganisation has taken it back.
                let record = self.request_record(id).await?;
                Ok(record.filter(|record| record.state != RequestState::Open))
            },
        )
        .await
    }

    /// Waits, for at most `within`, until `check` finds something; it looks once at each new best block. `what` names it in the error.
    pub async fn until<T>(
        &self,
        what: &str,
        within: Duration,
        mut check: impl AsyncFnMut() -> Result<Option<T>, ClientError>,
    ) -> Result<T, ClientError> {
        let wait = async {
            let mut heads = self.rpc.chain_subscribe_new_heads().await?;
            loop {
                if let Some(found) = check().await? {
                    return Ok(found);
                }
                match heads.next().await {
                    Some(head) => head?,
                    None => return Err(ClientError::Node("the connection was closed".into())),
                };
            }
        };
        let timed_out = |_| {
            Err(ClientError::TimedOut {
                what: what.into(),
                within,
            })
        };
        tokio::time::timeout(within, wait)
            .await
            .unwrap_or_else(timed_out)
    }

    /// The number of the best block.
    pub async fn best_block(&self) -> Result<BlockNumber, ClientError> {
        self.block_number(None).await
    }

    /// The number of the last finalized block.
    pub async fn finalized_block(&self) -> Result<BlockNumber, ClientError> {
        let hash = self.rpc.chain_get_finalized_head().await?;
        self.block_number(Some(hash)).await
    }

    async fn block_number(
        &self,
        hash: Option<subxt::utils::H256>,
    ) -> Result<BlockNumber, ClientError> {
        let header = self.rpc.chain_get_header(hash).await?;
        let header =
            header.ok_or_else(|| ClientError::Node("it has lost its newest block".into()))?;
        header
            .number
            .try_into()
            .map_err(|_| ClientError::Malformed("a block's number exceeds 32 bits".into()))
    }

    /// Asks the runtime at the best block.
    async fn ask<T: Decode>(
        &self,
        function: &str,
        argument: impl Encode,
    ) -> Result<T, ClientError> {
        let bytes = self
            .rpc
            .state_call(function, Some(&argument.encode()), None)
            .await?;
        decode(function, &bytes)
    }

    /// Signs and submits, and returns once a best block includes the call and it has succeeded there.
    async fn submit(
        &self,
        signer: &Signer,
        call: Call,
    ) -> Result<ExtrinsicEvents<SubstrateConfig>, ClientError> {
        // A finalized block as the start of the transaction's era: no reorganisation can then invalidate it.
        let block = self
            .online
            .at_current_block()
            .await
            .map_err(|error| ClientError::Node(error.to_string()))?;
        let transactions = block.tx();
        let misfit = |error| {
            let Call { pallet, name, .. } = &call;
            ClientError::Malformed(format!(
                "the chain's call {pallet}.{name} is another: {error}"
            ))
        };
        let encoded = transactions.call_data(&call).map_err(misfit)?;
        transactions
            .from_call_data_bytes(&encoded)
            .map_err(misfit)?;

        let account = AccountId32(signer.account().0);
        // Counts those in the pool, too: several transactions in a row don't replace each other.
        let nonce = self.rpc.system_account_next_index(&account).await?;
        let parameters = DefaultExtrinsicParamsBuilder::new()
            .nonce(nonce)
            .mortal(LONGEVITY_BLOCKS)
            .build();
        let mut progress = transactions
            .create_signable(&call, &account, parameters)
            .await?
            .sign(signer.keypair())?
            .submit_and_watch()
            .await?;
        while let Some(status) = progress.next().await {
            match status.map_err(|error| ClientError::Node(error.to_string()))? {
                TransactionStatus::InBestBlock(included)
                | TransactionStatus::InFinalizedBlock(included) => {
                    return Ok(included.wait_for_success().await?);
                }
                TransactionStatus::Error { message }
                | TransactionStatus::Invalid { message }
                | TransactionStatus::Dropped { message } => {
                    return Err(ClientError::NotTaken(message));
                }
                TransactionStatus::Validated
                | TransactionStatus::Broadcasted
                | TransactionStatus::NoLongerInBestBlock => {}
            }
        }
        Err(ClientError::Node(
            "the connection was closed before the transaction was included".into(),
        ))
    }
}

fn decode<T: Decode>(function: &str, bytes: &[u8]) -> Result<T, ClientError> {
    T::decode_all(&mut &bytes[..]).map_err(|error| {
        ClientError::Malformed(format!("the answer of {function} cannot be read: {error}"))
    })
}
