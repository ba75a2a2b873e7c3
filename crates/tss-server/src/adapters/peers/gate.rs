//! Bounds what those who have not proven who they are can take of this server.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Handshakes under way at the same time, of all remotes.
const CONCURRENT: usize = 64;

/// Failed attempts that a remote has at once, and how many it gets back each second.
const BURST: f64 = 20.0;
const PER_SECOND: f64 = 2.0;

/// Remotes remembered. Beyond this many the limit of concurrency must do.
const REMEMBERED: usize = 1024;

/// Lets attempts in. Cheap to clone; all clones count together.
#[derive(Clone)]
pub(super) struct Gate {
    concurrent: Arc<Semaphore>,
    remotes: Arc<Mutex<HashMap<IpAddr, Tokens>>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            concurrent: Arc::new(Semaphore::new(CONCURRENT)),
            remotes: Arc::default(),
        }
    }
}

#[derive(Clone, Copy)]
struct Tokens {
    count: f64,
    at: Instant,
}

impl Tokens {
    fn refilled(self, now: Instant) -> Self {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * PER_SECOND;
        Self {
            count: (self.count + gained).min(BURST),
            at: now,
        }
    }
}

/// One attempt that was let in; counts as under way until it is dropped.
pub(super) struct Permit {
    _concurrent: OwnedSemaphorePermit,
    gate: Gate,
    remote: Option<IpAddr>,
}

impl Permit {
    /// The attempt succeeded, so it does not count against the remote.
    pub(super) fn refund(self) {
        if let Some(remote) = self.remote {
            let mut remotes = self
                .gate
                .remotes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(tokens) = remotes.get_mut(&remote) {
                tokens.count += 1.0;
            }
        }
    }
}

impl Gate {
    /// Lets one attempt in, or not.
    pub(super) fn enter(&self, remote: Option<IpAddr>) -> Option<Permit> {
        self.enter_at(remote, Instant::now())
    }

    fn enter_at(&self, remote: Option<IpAddr>, now: Instant) -> Option<Permit> {
        let remote = remote.map(network);
        let permit = self.concurrent.clone().try_acquire_owned().ok()?;
        if let Some(remote) = remote {
            let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
            if remotes.len() >= REMEMBERED {
                remotes.retain(|_, tokens| tokens.refilled(now).count < BURST);
            }
            if remotes.len() < REMEMBERED || remotes.contains_key(&remote) {
                let tokens = remotes.entry(remote).or_insert(Tokens {
                    count: BURST,
                    at: now,
                });
                *tokens = tokens.refilled(now);
                if tokens.count < 1.0 {
                    return None;
                }
                tokens.count -= 1.0;
            }
        }
        Some(Permit {
            _concurrent: permit,
            gate: self.clone(),
            remote,
        })
    }
}

/// What counts as one remote: whoever has one IPv6 address has the /64 network around it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const REMOTE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const OTHER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

    #[test]
    fn a_remote_that_fails_must_wait_and_others_need_not() {
        let (gate, now) = (Gate::default(), Instant::now());
        assert_eq!(
            (0..100)
                .filter(|_| gate.enter_at(REMOTE, now).is_some())
                .count(),
            20
        );
        assert!(gate.enter_at(OTHER, now).is_some());
        let later = now + Duration::from_secs(2);
        assert_eq!(
            (0..100)
                .filter(|_| gate.enter_at(REMOTE, later).is_some())
                .count(),
            4
        );
        let much_later = now + Duration::from_secs(3600);
        assert_eq!(
            (0..100)
                .filter(|_| gate.enter_at(REMOTE, much_later).is_some())
                .count(),
            20
        );
    }

    #[test]
    fn success_is_not_counted() {
        let (gate, now) = (Gate::default(), Instant::now());
        for _ in 0..100 {
            gate.enter_at(REMOTE, now).unwrap().refund();
        }
    }

    #[test]
    fn attempts_under_way_are_limited_for_all_together() {
        let gate = Gate::default();
        let held: Vec<_> = (0..100).map_while(|_| gate.enter(None)).collect();
        assert_eq!(held.len(), CONCURRENT);
        assert!(gate.enter(OTHER).is_none());
        drop(held);
        assert!(gate.enter(OTHER).is_some());
    }

    #[test]
    fn an_ipv6_network_is_one_remote_and_memory_is_bounded() {
        let (gate, now) = (Gate::default(), Instant::now());
        let v6 = |high: u64, low: u64| {
            Some(IpAddr::V6(
                (u128::from(high) << 64 | u128::from(low)).into(),
            ))
        };
        assert_eq!(
            (0..100)
                .filter(|low| gate.enter_at(v6(0x2001_0db8 << 32, *low), now).is_some())
                .count(),
            20
        );
        for high in 0..5000 {
            assert!(
                gate.enter_at(v6(0x2001_0db9 << 32 | high, 1), now)
                    .is_some()
            );
        }
        assert_eq!(gate.remotes.lock().unwrap().len(), REMEMBERED);
    }
}
