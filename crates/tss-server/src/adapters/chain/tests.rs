//! The adapter against a node that is played by the test: real WebSocket, real JSON-RPC, scripted answers.

mod metadata;
mod node;

use entropy_shared::{
    PartyId, RequestId, Scheme, Signature,
    lifecycle::key::{AttemptOutcome, AttemptReport},
};

use self::node::{GENESIS, Node, block_hash};
use super::*;

const PARTY: PartyId = PartyId([1; 32]);

fn follow(nodes: &[&Node]) -> SubxtChain {
    SubxtChain::follow(
        nodes.iter().map(|node| node.url()).collect(),
        GENESIS,
        PARTY,
    )
}

/// The next heads with these numbers; what comes before them is passed over.
async fn wait_for(chain: &SubxtChain, best: BlockNumber, finalized: BlockNumber) -> Heads {
    loop {
        match chain.next_heads().await {
            Ok(heads)
                if (heads.best.view.block, heads.finalized.view.block) == (best, finalized) =>
            {
                return heads;
            }
            Ok(_) | Err(ChainError::Unreachable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn keygen() -> Submission {
    Submission::Keygen {
        report: AttemptReport {
            server: PARTY,
            scheme: Scheme::EcdsaCggmp24,
            epoch: 1,
            attempt: 1,
            outcome: AttemptOutcome::Failed {
                accused: Vec::new(),
                missed: vec![],
            },
        },
        valid_until: 20,
        signature: [3; 64],
    }
}

#[tokio::test]
async fn heads_come_with_their_views() {
    let node = Node::start(GENESIS).await;
    node.set_heads(5, 3);
    let chain = follow(&[&node]);
    let heads = wait_for(&chain, 5, 3).await;
    assert_eq!(
        (heads.best.hash, heads.finalized.hash),
        (block_hash(5), block_hash(3))
    );
    // The finalized block and the next best one.
    node.set_heads(6, 5);
    wait_for(&chain, 6, 5).await;
}

#[tokio::test]
async fn a_block_is_read_once_though_it_is_first_best_and_then_finalized() {
    let node = Node::start(GENESIS).await;
    node.set_heads(5, 5);
    let chain = follow(&[&node]);
    wait_for(&chain, 5, 5).await;
    for block in 6..10 {
        node.set_heads(block, block - 1);
        wait_for(&chain, block, block - 1).await;
    }
    assert_eq!(
        node.calls("ThresholdApi_view"),
        5,
        "one for each block from 5 to 9"
    );
}

#[tokio::test]
async fn another_chain_is_refused() {
    let node = Node::start(Genesis([9; 32])).await;
    let chain = follow(&[&node]);
    let error = chain.next_heads().await.expect_err("it is not ours");
    assert!(
        matches!(error, ChainError::OtherChain { expected: GENESIS, found } if found == Genesis([9; 32])),
        "{error}"
    );
    assert_eq!(node.calls("ThresholdApi_view"), 0);
    assert_eq!(
        SubxtChain::fetch_genesis(&node.url())
            .await
            .expect("it answers"),
        Genesis([9; 32])
    );
}

#[tokio::test]
async fn the_next_node_takes_over_from_one_that_cannot_serve() {
    let (other, good) = (
        Node::start(Genesis([9; 32])).await,
        Node::start(GENESIS).await,
    );
    good.set_heads(2, 1);
    let chain = follow(&[&other, &good]);
    loop {
        match chain.next_heads().await {
            Ok(heads) => break assert_eq!(heads.best.view.block, 2),
            Err(ChainError::OtherChain { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn after_a_disconnect_it_says_so_and_goes_on() {
    let node = Node::start(GENESIS).await;
    node.set_heads(5, 3);
    let chain = follow(&[&node]);
    wait_for(&chain, 5, 3).await;
    node.disconnect();
    let error = chain.next_heads().await.expect_err("the connection broke");
    assert!(matches!(error, ChainError::Unreachable(_)), "{error}");
    // The same heads: whoever saw the error learns that it has passed.
    wait_for(&chain, 5, 3).await;
    node.set_heads(6, 4);
    wait_for(&chain, 6, 4).await;
}

#[tokio::test]
async fn records_are_looked_up_at_the_block() {
    let node = Node::start(GENESIS).await;
    node.set_heads(5, 3);
    let chain = follow(&[&node]);
    let heads = wait_for(&chain, 5, 3).await;
    assert_eq!(
        chain
            .key(heads.best.hash, KeyId([7; 32]))
            .await
            .expect("it answers"),
        None
    );
    assert_eq!(
        chain
            .request(heads.best.hash, RequestId([7; 32]))
            .await
            .expect("it answers"),
        None
    );
    let error = chain
        .key([0; 32], KeyId([7; 32]))
        .await
        .expect_err("there is no such block");
    assert!(error.to_string().contains("UnknownBlock"), "{error}");
}

#[tokio::test]
async fn submissions_reach_the_pool_in_the_runtimes_encoding() {
    let node = Node::start(GENESIS).await;
    node.set_heads(9, 8);
    let chain = follow(&[&node]);
    wait_for(&chain, 9, 8).await;
    chain.submit(keygen()).await.expect("taken");
    let result = Submission::Result {
        request: RequestId([4; 32]),
        signature: Signature::Bip340([5; 64]),
        server: PARTY,
        valid_until: 21,
        server_signature: [6; 64],
    };
    chain.submit(result).await.expect("taken");
    assert_eq!(node.calls("Metadata_metadata_at_version"), 1);
    let [first, second] = &node.submitted()[..] else {
        panic!("two were sent")
    };
    // General, version 0, era of 64 blocks from block 8, nonce, tip, mode, pallet, call.
    let prefix = |call: [u8; 2]| [&[0x45, 0x00, 0x85, 0x00, 0, 0, 0][..], &call].concat();
    assert_eq!(first[2..11], prefix(metadata::REPORT_KEYGEN));
    assert_eq!(second[2..11], prefix(metadata::SUBMIT_RESULT));
}

#[tokio::test]
async fn metadata_is_read_again_when_the_runtime_changes() {
    let node = Node::start(GENESIS).await;
    node.set_heads(9, 8);
    let chain = follow(&[&node]);
    wait_for(&chain, 9, 8).await;
    chain.submit(keygen()).await.expect("taken");
    node.set_spec_version(2);
    node.set_heads(10, 9);
    wait_for(&chain, 10, 9).await;
    chain.submit(keygen()).await.expect("taken");
    assert_eq!(node.calls("Metadata_metadata_at_version"), 2);
}

#[tokio::test]
async fn what_the_pool_refuses_is_told_in_its_words() {
    let node = Node::start(GENESIS).await;
    node.set_heads(9, 8);
    let chain = follow(&[&node]);
    wait_for(&chain, 9, 8).await;
    node.refuse(1010, "Invalid Transaction");
    let error = chain.submit(keygen()).await.expect_err("refused");
    assert!(
        matches!(&error, ChainError::Refused(text) if text.contains("Invalid Transaction")),
        "{error}"
    );
    // The pool has it already: nothing is wrong.
    node.refuse(1013, "Transaction Already Imported");
    chain.submit(keygen()).await.expect("it is in the pool");
}

#[tokio::test]
async fn drift_of_the_runtime_is_named() {
    let drifted = [
        (
            metadata::build("Staking", &["CheckNonce"]),
            "no pallet StakingExtension",
        ),
        (
            metadata::build("StakingExtension", &["ChargeAssets"]),
            "ChargeAssets",
        ),
    ];
    for (metadata, expected) in drifted {
        let metadata = subxt::Metadata::decode_from(&metadata).expect("well-formed");
        let error = Format::read(&metadata).expect_err("it drifted").to_string();
        assert!(error.contains(expected), "“{expected}” is not in: {error}");
    }
    let swapped = metadata::with_swapped_arguments();
    let metadata = subxt::Metadata::decode_from(&swapped).expect("well-formed");
    let error = Format::read(&metadata).expect_err("it drifted").to_string();
    assert!(
        error.contains("(valid_until, report, signature)"),
        "{error}"
    );
}

#[test]
fn eras_begin_at_the_finalized_block_unless_it_is_old() {
    let tip = |best, finalized| Tip {
        hash: [0; 32],
        spec_version: 1,
        best,
        finalized,
    };
    assert_eq!(tip(0, 0).anchor(), 0);
    assert_eq!(tip(100, 97).anchor(), 97);
    assert_eq!(tip(100, 20).anchor(), 100 - MAX_ANCHOR_LAG);
}

#[tokio::test]
async fn only_the_newest_news_are_kept_and_given_once() {
    let chain = SubxtChain::follow(Vec::new(), GENESIS, PARTY);
    chain.shared.publish(Err(ChainError::Format(1)));
    chain.shared.publish(Err(ChainError::Format(2)));
    assert!(matches!(
        chain.next_heads().await,
        Err(ChainError::Format(2))
    ));
    assert!(chain.shared.lock().unread.is_none());
}

#[tokio::test]
async fn calls_without_a_connection_say_so() {
    let chain = SubxtChain::follow(Vec::new(), GENESIS, PARTY);
    for error in [
        chain
            .key([0; 32], KeyId([0; 32]))
            .await
            .map(drop)
            .expect_err("there is no node"),
        chain.submit(keygen()).await.expect_err("there is no node"),
    ] {
        assert!(matches!(error, ChainError::Unreachable(_)), "{error}");
    }
}
