//! One connection to one node: raw calls, their errors sorted by whose fault they are. Knows nothing of reconnecting.

use std::{error::Error, iter, pin::Pin, time::Duration};

use codec::{Decode, DecodeAll, Encode};
use entropy_shared::{
    Genesis, PartyId,
    view::{ChainView, VIEW_FORMAT},
};
use futures::{FutureExt, Stream, StreamExt};
use subxt::{
    Metadata,
    config::Hasher,
    config::substrate::{BlakeTwo256, SubstrateHeader},
    rpcs::{
        self, RpcClient, UserError,
        client::{ReconnectingRpcClient, reconnecting_rpc_client::PingConfig, rpc_params},
    },
    utils::H256,
};

use crate::ports::{BlockHash, ChainError, Head};

/// The longest answer that is read: above that of the runtime's metadata, which is the longest that we ask for.
const MAX_ANSWER_BYTES: u32 = 16 << 20;

/// The version of the metadata that is asked for: the first that lists extensions by version.
const METADATA_VERSION: u32 = 16;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const PING_INTERVAL: Duration = Duration::from_secs(10);
const SILENCE_LIMIT: Duration = Duration::from_secs(25);

/// What a node's pool answers to a transaction that it holds already.
const ALREADY_IMPORTED: i32 = 1013;

/// A live connection whose node serves the pinned chain. Every call fails once it has broken.
pub(super) struct Link {
    client: RpcClient,
}

/// Hashes of heads as the node announces them.
pub(super) struct HeadStream(
    Pin<Box<dyn Stream<Item = Result<SubstrateHeader<H256>, rpcs::Error>> + Send>>,
);

impl Link {
    /// Connects without looking at which chain the node serves.
    async fn open(url: &str) -> Result<Self, ChainError> {
        let client = ReconnectingRpcClient::builder()
            // One attempt: which node to try next, and when, is our caller's to say.
            .retry_policy(iter::empty())
            .max_request_size(MAX_ANSWER_BYTES)
            .max_response_size(MAX_ANSWER_BYTES)
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(REQUEST_TIMEOUT)
            // A peer that vanished without closing the connection shows itself by not answering pings.
            .enable_ws_ping(
                PingConfig::new()
                    .ping_interval(PING_INTERVAL)
                    .inactive_limit(SILENCE_LIMIT),
            )
            .build(url)
            .await
            .map_err(|error| {
                ChainError::Unreachable(format!("cannot connect to {url}: {}", with_causes(&error)))
            })?;
        Ok(Self {
            client: RpcClient::new(client),
        })
    }

    /// Connects to the node at `url`, a `ws://` or `wss://` URL, and checks that it serves the pinned chain.
    pub(super) async fn connect(url: &str, genesis: Genesis) -> Result<Self, ChainError> {
        let link = Self::open(url).await?;
        let found = link.genesis().await?;
        if found != genesis {
            return Err(ChainError::OtherChain {
                expected: genesis,
                found,
            });
        }
        Ok(link)
    }

    async fn genesis(&self) -> Result<Genesis, ChainError> {
        let hash: Option<H256> = self
            .client
            .request("chain_getBlockHash", rpc_params![0u32])
            .await
            .map_err(sort)?;
        hash.map(|hash| Genesis(hash.0))
            .ok_or_else(|| ChainError::Malformed("the node knows no block 0".into()))
    }

    /// Best blocks from now on, beginning with the present one.
    pub(super) async fn best_heads(&self) -> Result<HeadStream, ChainError> {
        self.heads("chain_subscribeNewHeads", "chain_unsubscribeNewHeads")
            .await
    }

    /// Finalized blocks from now on, beginning with the present one.
    pub(super) async fn finalized_heads(&self) -> Result<HeadStream, ChainError> {
        self.heads(
            "chain_subscribeFinalizedHeads",
            "chain_unsubscribeFinalizedHeads",
        )
        .await
    }

    async fn heads(&self, subscribe: &str, unsubscribe: &str) -> Result<HeadStream, ChainError> {
        let stream = self
            .client
            .subscribe(subscribe, rpc_params![], unsubscribe)
            .await
            .map_err(sort)?;
        Ok(HeadStream(stream.boxed()))
    }

    /// The view of `party` at a block.
    pub(super) async fn view(&self, party: &PartyId, at: BlockHash) -> Result<Head, ChainError> {
        let bytes = self.call("ThresholdApi_view", &party.encode(), at).await?;
        Ok(Head {
            hash: at,
            view: decode_view(&bytes)?,
        })
    }

    /// Calls a function of the runtime API at a block and reads its answer as exactly one `T`.
    pub(super) async fn query<T: Decode>(
        &self,
        function: &str,
        arguments: &impl Encode,
        at: BlockHash,
    ) -> Result<T, ChainError> {
        decode(
            function,
            &self.call(function, &arguments.encode(), at).await?,
        )
    }

    /// The runtime's metadata at a block.
    pub(super) async fn metadata(&self, at: BlockHash) -> Result<Metadata, ChainError> {
        let bytes: Option<Vec<u8>> = self
            .query("Metadata_metadata_at_version", &METADATA_VERSION, at)
            .await?;
        let bytes = bytes.ok_or_else(|| {
            ChainError::Malformed(format!(
                "the runtime has no metadata of version {METADATA_VERSION}"
            ))
        })?;
        decode("Metadata_metadata_at_version", &bytes)
    }

    /// Hands an extrinsic to the node's pool; one that the pool holds already counts as taken.
    pub(super) async fn submit(&self, extrinsic: &[u8]) -> Result<(), ChainError> {
        let hash: Result<H256, _> = self
            .client
            .request("author_submitExtrinsic", rpc_params![to_hex(extrinsic)])
            .await;
        match hash {
            Ok(_) => Ok(()),
            Err(rpcs::Error::User(error)) if error.code == ALREADY_IMPORTED => Ok(()),
            Err(rpcs::Error::User(error)) => Err(ChainError::Refused(describe(&error))),
            Err(error) => Err(sort(error)),
        }
    }

    async fn call(
        &self,
        function: &str,
        arguments: &[u8],
        at: BlockHash,
    ) -> Result<Vec<u8>, ChainError> {
        let parameters = rpc_params![function, to_hex(arguments), H256(at)];
        let answer: String = self
            .client
            .request("state_call", parameters)
            .await
            .map_err(sort)?;
        hex::decode(answer.strip_prefix("0x").unwrap_or(&answer))
            .map_err(|error| ChainError::Malformed(format!("{function}: {error}")))
    }
}

impl HeadStream {
    /// Waits for the next head and skips all but the newest of those that have come meanwhile.
    ///
    /// May be cancelled: nothing is lost.
    pub(super) async fn newest(&mut self) -> Result<BlockHash, ChainError> {
        let mut next = self.0.next().await;
        loop {
            let header = next
                .ok_or_else(|| {
                    ChainError::Unreachable("the node ended the subscription of heads".into())
                })?
                .map_err(sort)?;
            match self.0.next().now_or_never() {
                Some(newer) => next = newer,
                None => return Ok(BlakeTwo256.hash(&header.encode()).0),
            }
        }
    }
}

/// Asks the node at `url` for the genesis of the chain that it serves.
pub(super) async fn fetch_genesis(url: &str) -> Result<Genesis, ChainError> {
    Link::open(url).await?.genesis().await
}

/// Reads a view, its format first: what follows it is known only for ours.
fn decode_view(bytes: &[u8]) -> Result<ChainView, ChainError> {
    let mut rest = bytes;
    let format = u16::decode(&mut rest)
        .map_err(|error| ChainError::Malformed(format!("ThresholdApi_view: {error}")))?;
    if format != VIEW_FORMAT {
        return Err(ChainError::Format(format));
    }
    decode("ThresholdApi_view", bytes)
}

fn decode<T: Decode>(function: &str, bytes: &[u8]) -> Result<T, ChainError> {
    T::decode_all(&mut &bytes[..])
        .map_err(|error| ChainError::Malformed(format!("{function}: {error}")))
}

fn sort(error: rpcs::Error) -> ChainError {
    match error {
        rpcs::Error::User(error) => ChainError::Malformed(describe(&error)),
        rpcs::Error::Serialization(_)
        | rpcs::Error::Deserialization(_)
        | rpcs::Error::Decode(_) => ChainError::Malformed(with_causes(&error)),
        _ => ChainError::Unreachable(with_causes(&error)),
    }
}

fn describe(error: &UserError) -> String {
    match &error.data {
        Some(data) => format!("{error}: {data}"),
        None => error.to_string(),
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        // Many errors repeat their cause in their own text.
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

fn to_hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use entropy_shared::parameters::Parameters;

    use super::*;

    fn view() -> ChainView {
        ChainView {
            format: VIEW_FORMAT,
            spec_version: 1,
            genesis: Genesis([7; 32]),
            block: 5,
            parameters: Parameters::default(),
            binding: None,
            keys: Vec::new(),
            peers: Vec::new(),
            requests: Vec::new(),
        }
    }

    #[test]
    fn view_of_our_format_is_read() {
        assert_eq!(decode_view(&view().encode()).expect("ours"), view());
    }

    #[test]
    fn another_format_is_named_even_if_the_rest_is_unreadable() {
        let mut bytes = (VIEW_FORMAT + 1).encode();
        bytes.push(0xff);
        assert!(
            matches!(decode_view(&bytes), Err(ChainError::Format(format)) if format == VIEW_FORMAT + 1)
        );
    }

    #[test]
    fn truncated_or_longer_views_are_malformed() {
        let bytes = view().encode();
        let longer = [&bytes[..], &[0]].concat();
        for bytes in [&bytes[..bytes.len() - 1], &bytes[..1], &longer] {
            assert!(
                matches!(decode_view(bytes), Err(ChainError::Malformed(_))),
                "{} bytes",
                bytes.len()
            );
        }
    }

    #[test]
    fn the_nodes_reason_stays_in_the_error() {
        let data =
            serde_json::value::RawValue::from_string("\"Custom error: 3\"".into()).expect("JSON");
        let error = UserError {
            code: 1010,
            message: "Invalid Transaction".into(),
            data: Some(data),
        };
        assert_eq!(
            describe(&error),
            "Invalid Transaction (1010): \"Custom error: 3\""
        );
    }
}
