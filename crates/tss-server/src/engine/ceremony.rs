//! One ceremony at work: a task that feeds it messages one at a time, each step on a blocking thread.

use std::{collections::BTreeMap, sync::Arc};

use codec::Encode;
use ed25519_dalek::SigningKey;
use entropy_protocol::{Ceremony, Failure, KeyShare, KeygenContext, SigningContext, Subject};
use entropy_shared::{CeremonyId, PartyId, Scheme, Signature};
use rand_core::OsRng;
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    time::Instant,
};
use tracing::{info, warn};

use super::blocking;
use crate::{
    coordinator::{Event, share_name},
    frames::Frame,
    ports::{Peers, ShareName, ShareStore},
};

/// Messages that one party may send to one ceremony: more than any protocol has rounds.
const PARTY_MESSAGES: usize = 64;

/// What is to be computed.
pub(super) enum Work {
    Keygen(KeygenContext),
    Sign(Box<SigningContext>, Arc<KeyShare>),
}

impl Work {
    pub(super) fn id(&self) -> CeremonyId {
        match self {
            Self::Keygen(context) => context.id(),
            Self::Sign(context, _) => context.id(),
        }
    }
}

/// What a ceremony's task needs of the engine.
pub(super) struct Surroundings<P, S> {
    pub(super) me: PartyId,
    pub(super) account: Arc<SigningKey>,
    pub(super) peers: Arc<P>,
    pub(super) store: Arc<S>,
    pub(super) heavy: Arc<Semaphore>,
    pub(super) events: mpsc::Sender<Happening>,
}

/// An event, and the share that it is about if that is new.
pub(super) struct Happening {
    pub(super) event: Event,
    pub(super) share: Option<(ShareName, Arc<KeyShare>)>,
}

impl From<Event> for Happening {
    fn from(event: Event) -> Self {
        Self { event, share: None }
    }
}

enum Input {
    Message(PartyId, Vec<u8>),
    Expire,
}

/// The way into a running ceremony.
#[derive(Debug)]
pub(super) struct Inbox {
    /// The parties and how many messages each has sent; frames of all others are not the ceremony's.
    counts: BTreeMap<PartyId, usize>,
    messages: mpsc::Sender<(PartyId, Vec<u8>)>,
    expiry: Arc<Notify>,
}

impl Inbox {
    /// Gives the ceremony a peer's message. Never waits; a party that sends more than a protocol can need is ignored.
    pub(super) fn deliver(&mut self, from: PartyId, payload: Vec<u8>) {
        let Some(count) = self.counts.get_mut(&from) else {
            return;
        };
        *count += 1;
        if *count <= PARTY_MESSAGES {
            // Fails only if the ceremony has ended: there is a place for every message that passes the limit.
            drop(self.messages.try_send((from, payload)));
        }
    }

    /// Ends the ceremony as soon as its current step is done, before messages that wait.
    pub(super) fn expire(&self) {
        self.expiry.notify_one();
    }
}

/// The ceremony's end of an [`Inbox`].
struct Inputs {
    messages: mpsc::Receiver<(PartyId, Vec<u8>)>,
    expiry: Arc<Notify>,
}

impl Inputs {
    /// What comes next; `None` if the engine has stopped.
    async fn next(&mut self) -> Option<Input> {
        tokio::select! {
            biased;
            () = self.expiry.notified() => Some(Input::Expire),
            message = self.messages.recv() => message.map(|(from, payload)| Input::Message(from, payload)),
        }
    }
}

/// Starts the ceremony; its end comes as an event.
pub(super) fn spawn<P: Peers, S: ShareStore>(work: Work, around: Surroundings<P, S>) -> Inbox {
    let parties = match &work {
        Work::Keygen(context) => context.committee.parties().to_vec(),
        Work::Sign(context, _) => context.signer_ids(),
    };
    let (messages, receiver) = mpsc::channel(parties.len() * PARTY_MESSAGES);
    let expiry = Arc::new(Notify::new());
    let inbox = Inputs {
        messages: receiver,
        expiry: expiry.clone(),
    };
    tokio::spawn(async move {
        let events = around.events.clone();
        let happening = match work {
            Work::Keygen(context) => {
                let (id, scheme) = (context.id(), context.scheme);
                let began = Instant::now();
                let result = generate(context, inbox, around).await;
                note("keygen", scheme, began, result.as_ref().err());
                match result {
                    Ok((name, share)) => {
                        let result = Ok((name.clone(), share.public().clone()));
                        Happening {
                            event: Event::KeygenEnded { id, result },
                            share: Some((name, share)),
                        }
                    }
                    Err(failure) => Event::KeygenEnded {
                        id,
                        result: Err(failure),
                    }
                    .into(),
                }
            }
            Work::Sign(context, share) => {
                let (id, scheme) = (context.id(), share.public().scheme);
                let kind = if matches!(context.subject, Subject::Request(_)) {
                    "sign"
                } else {
                    "proof"
                };
                let began = Instant::now();
                let result = sign(context, share, inbox, around).await;
                note(kind, scheme, began, result.as_ref().err());
                Happening::from(Event::SigningEnded { id, result })
            }
        };
        // Fails only if the engine has stopped.
        drop(events.send(happening).await);
    });
    Inbox {
        counts: parties.into_iter().map(|party| (party, 0)).collect(),
        messages,
        expiry,
    }
}

fn note(kind: &'static str, scheme: Scheme, began: Instant, failure: Option<&Failure>) {
    let elapsed = began.elapsed();
    let result = if failure.is_none() { "done" } else { "failed" };
    metrics::counter!("entropy_ceremonies_total", "kind" => kind, "scheme" => scheme.name(), "result" => result)
        .increment(1);
    match failure {
        None => {
            metrics::histogram!("entropy_ceremony_seconds", "kind" => kind, "scheme" => scheme.name())
                .record(elapsed.as_secs_f64());
            info!(kind, %scheme, millis = elapsed.as_millis() as u64, "ceremony done");
        }
        Some(failure) => {
            let blamed: Vec<_> = failure
                .blame
                .iter()
                .map(|blame| format!("{} {}", blame.party, blame.offence))
                .collect();
            warn!(kind, %scheme, %failure, ?blamed, "ceremony failed");
        }
    }
}

async fn generate<P: Peers, S: ShareStore>(
    context: KeygenContext,
    inbox: Inputs,
    around: Surroundings<P, S>,
) -> Result<(ShareName, Arc<KeyShare>), Failure> {
    let id = context.id();
    let store = around.store.clone();
    // Before the first frame: a restarted server would otherwise contradict its own messages.
    let fresh = blocking(move || store.mark_started(&id)).await;
    match fresh {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => {
            return Err(Failure::unattributed(
                "the ceremony had begun before this server restarted",
            ));
        }
        Ok(Err(error)) => return Err(Failure::unattributed(error.to_string())),
        Err(error) => return Err(Failure::unattributed(error.to_string())),
    }
    let heavy = (context.scheme == Scheme::EcdsaCggmp24).then(|| around.heavy.clone());
    let ceremony = entropy_protocol::keygen(&context, around.me, &around.account)
        .map_err(|error| Failure::unattributed(error.to_string()))?;
    let share = Arc::new(drive(id, ceremony, inbox, &around, heavy).await?);
    let name = share_name(share.public(), around.me);
    let (store, stored, encoded) = (around.store.clone(), name.clone(), share.clone());
    match blocking(move || store.stage(&stored, &encoded.encode())).await {
        Ok(Ok(())) => Ok((name, share)),
        Ok(Err(error)) => Err(Failure::unattributed(error.to_string())),
        Err(error) => Err(Failure::unattributed(error.to_string())),
    }
}

async fn sign<P: Peers, S: ShareStore>(
    context: Box<SigningContext>,
    share: Arc<KeyShare>,
    inbox: Inputs,
    around: Surroundings<P, S>,
) -> Result<Signature, Failure> {
    let id = context.id();
    let account = around.account.clone();
    let ceremony = blocking(move || entropy_protocol::sign(&context, &share, &account))
        .await
        .map_err(|error| Failure::unattributed(error.to_string()))?
        .map_err(|error| Failure::unattributed(error.to_string()))?;
    drive(id, ceremony, inbox, &around, None).await
}

async fn drive<T: Send + 'static, P: Peers, S: ShareStore>(
    id: CeremonyId,
    mut ceremony: Box<dyn Ceremony<Output = T>>,
    mut inbox: Inputs,
    around: &Surroundings<P, S>,
    heavy: Option<Arc<Semaphore>>,
) -> Result<T, Failure> {
    let mut input = None;
    loop {
        let permit = match &heavy {
            Some(heavy) => heavy.clone().acquire_owned().await.ok(),
            None => None,
        };
        let (returned, step) = blocking(move || {
            let step = match input {
                None => ceremony.start(&mut OsRng),
                Some(Input::Message(from, payload)) => {
                    ceremony.receive(&from, &payload, &mut OsRng)
                }
                Some(Input::Expire) => ceremony.expire(&mut OsRng),
            };
            (ceremony, step)
        })
        .await
        .map_err(|error| Failure::unattributed(error.to_string()))?;
        drop(permit);
        ceremony = returned;
        for outbound in step.outbound {
            let frame = Frame::Ceremony {
                id,
                payload: outbound.payload,
            };
            if !around.peers.send(&outbound.to, frame.encode()) {
                // The ceremony goes on: if the message mattered, its deadline tells.
                warn!(to = %outbound.to, %id, "a message of a ceremony could not be sent");
            }
        }
        if let Some(outcome) = step.outcome {
            return outcome;
        }
        input = match inbox.next().await {
            Some(input) => Some(input),
            None => return Err(Failure::unattributed("the server is stopping")),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_inbox_takes_messages_of_parties_only_so_many_of_each_and_ends_before_those_that_wait()
     {
        let (party, other, stranger) = (PartyId([1; 32]), PartyId([2; 32]), PartyId([3; 32]));
        let (messages, receiver) = mpsc::channel(2 * PARTY_MESSAGES);
        let expiry = Arc::new(Notify::new());
        let mut inputs = Inputs {
            messages: receiver,
            expiry: expiry.clone(),
        };
        let mut inbox = Inbox {
            counts: [(party, 0), (other, 0)].into(),
            messages,
            expiry,
        };
        for _ in 0..2 * PARTY_MESSAGES {
            inbox.deliver(stranger, vec![0]);
            inbox.deliver(party, vec![1]);
        }
        inbox.deliver(other, vec![2]);
        for _ in 0..PARTY_MESSAGES {
            assert!(matches!(inputs.next().await, Some(Input::Message(from, _)) if from == party));
        }
        inbox.expire();
        assert!(matches!(inputs.next().await, Some(Input::Expire)));
        assert!(matches!(inputs.next().await, Some(Input::Message(from, _)) if from == other));
    }
}
