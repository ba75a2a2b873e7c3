//! The dialling side of one pair: keeps a link, and renews it when asked or when it is old.

use std::sync::Arc;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep, timeout};

use super::{
    PATH, Shared, Timing,
    handshake::{self, HandshakeError, Session},
    link::Peer,
    socket::Socket,
};

/// Dials whenever there is no link, or a fresh one is wanted; until it is aborted.
pub(super) async fn run(shared: Arc<Shared>, peer: Arc<Peer>) {
    let url = match url(&peer) {
        Ok(url) => url,
        Err(why) => {
            return tracing::error!(peer = %peer.id(), "the chain names an endpoint that {why}");
        }
    };
    let mut pauses = pauses_from_start(&shared.timing);
    let mut linked: Option<Instant> = None;
    let mut quiet = false;
    loop {
        let renews = peer.needs_link(&shared.timing).await;
        if linked.is_some_and(|since| since.elapsed() >= shared.timing.stable) {
            pauses = pauses_from_start(&shared.timing);
        }
        match timeout(shared.timing.handshake, dial(&shared, &peer, &url, renews)).await {
            Ok(Ok((session, socket))) => {
                peer.adopt(&shared, session, socket);
                linked = Some(Instant::now());
                quiet = false;
            }
            outcome => {
                let error = match outcome {
                    Ok(Err(error)) => error.to_string(),
                    _ => "the handshake took too long".into(),
                };
                // Once is enough for a peer that is down.
                if quiet {
                    tracing::debug!(peer = %peer.id(), url, error, "cannot link");
                } else {
                    tracing::warn!(peer = %peer.id(), url, error, "cannot link; trying again");
                }
                quiet = true;
                linked = None;
                if renews {
                    peer.renew();
                }
            }
        }
        sleep(pauses.next().unwrap_or(shared.timing.redial_max)).await;
    }
}

async fn dial(
    shared: &Shared,
    peer: &Peer,
    url: &str,
    renews: bool,
) -> Result<(Session, Socket), HandshakeError> {
    let mut socket = Socket::dial(url).await?;
    let info = peer.info();
    let session = handshake::initiate(
        &mut socket,
        &shared.local,
        &info.server,
        &info.noise_key,
        renews,
    )
    .await?;
    Ok((session, socket))
}

fn pauses_from_start(timing: &Timing) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(timing.redial_min)
        .with_max_delay(timing.redial_max)
        .without_max_times()
        .with_jitter()
        .build()
}

/// Where to dial, or what is wrong with the endpoint on the chain.
fn url(peer: &Peer) -> Result<String, &'static str> {
    let endpoint = peer
        .info()
        .checked_endpoint()
        .ok_or("is no WebSocket URL without path")?;
    if !endpoint.starts_with("ws://") {
        return Err(
            "begins with wss://, but this build dials ws:// only: the link has its own encryption inside",
        );
    }
    Ok(format!("{}{PATH}", endpoint.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use entropy_shared::{PartyId, canonical::ServerInfo};

    use super::*;

    #[test]
    fn only_plain_websocket_endpoints_are_dialled() {
        let of = |endpoint: &str| {
            let info = ServerInfo {
                server: PartyId([1; 32]),
                endpoint: endpoint.as_bytes().to_vec(),
                noise_key: [2; 32],
            };
            url(&Peer::new(info, true))
        };
        assert_eq!(
            of("ws://server.example:80").unwrap(),
            "ws://server.example:80/v1/peer"
        );
        assert_eq!(of("ws://[::1]:9/").unwrap(), "ws://[::1]:9/v1/peer");
        assert!(of("wss://server.example").unwrap_err().contains("wss://"));
        assert!(of("http://server.example").is_err());
        assert!(of("ws://server.example/elsewhere").is_err());
    }
}
