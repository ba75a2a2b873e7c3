//! The RPC that a node of this chain adds to that of every Substrate node: nonces and fees, and the
//! state of consensus.

use std::sync::Arc;

use entropy_runtime::opaque::Block;
use jsonrpsee::RpcModule;
use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_babe_rpc::{Babe, BabeApiServer};
use sc_consensus_grandpa::{
    FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState,
};
use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
use sc_rpc::SubscriptionTaskExecutor;
use sp_keystore::KeystorePtr;
use substrate_frame_rpc_system::{System, SystemApiServer};

use crate::service::{Backend, Client, Pool, SelectChain};

/// What the methods read from.
pub(crate) struct Sources {
    pub(crate) client: Arc<Client>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) select_chain: SelectChain,
    pub(crate) keystore: KeystorePtr,
    pub(crate) babe: BabeWorkerHandle<Block>,
    pub(crate) authorities: SharedAuthoritySet<entropy_runtime::Hash, entropy_runtime::BlockNumber>,
    pub(crate) voter: SharedVoterState,
    pub(crate) justifications: GrandpaJustificationStream<Block>,
    pub(crate) finality_proofs: Arc<FinalityProofProvider<Backend, Block>>,
}

/// The methods `system_*` of accounts, `payment_*`, `babe_*` and `grandpa_*`.
pub(crate) fn module(
    sources: &Sources,
    executor: SubscriptionTaskExecutor,
) -> Result<RpcModule<()>, jsonrpsee::core::RegisterMethodError> {
    let mut module = RpcModule::new(());
    let client = &sources.client;
    module.merge(System::new(client.clone(), sources.pool.clone()).into_rpc())?;
    module.merge(TransactionPayment::new(client.clone()).into_rpc())?;
    module.merge(
        Babe::new(
            client.clone(),
            sources.babe.clone(),
            sources.keystore.clone(),
            sources.select_chain.clone(),
        )
        .into_rpc(),
    )?;
    module.merge(
        Grandpa::new(
            executor,
            sources.authorities.clone(),
            sources.voter.clone(),
            sources.justifications.clone(),
            sources.finality_proofs.clone(),
        )
        .into_rpc(),
    )?;
    Ok(module)
}
