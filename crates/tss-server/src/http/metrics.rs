//! The names of the metrics, what they mean, and the gauges that are read from the status.
//!
//! The engine counts ceremonies as they end; values go to the process's recorder, and vanish if there is none.

use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

use crate::{ports::Stage, status::Status};

const BEST: &str = "entropy_best_block";
const FINALIZED: &str = "entropy_finalized_block";
const PEERS: &str = "entropy_peers_connected";
const CEREMONIES: &str = "entropy_ceremonies_total";
const SECONDS: &str = "entropy_ceremony_seconds";
const CONNECTED: &str = "entropy_chain_connected";
const SHARES: &str = "entropy_shares";

/// Upper bounds of the buckets, in seconds: from a FROST signature to a CGGMP'24 key generation of a large committee.
const BUCKETS: [f64; 14] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0,
];

/// A recorder with our buckets, to be installed once in a process.
pub fn recorder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Full(SECONDS.into()), &BUCKETS)
}

/// Tells the installed recorder what each metric means.
pub fn describe() {
    describe_gauge!(BEST, "Number of the best block that was seen");
    describe_gauge!(FINALIZED, "Number of the finalized block that was seen");
    describe_gauge!(PEERS, "Peers with a live, authenticated link");
    describe_gauge!(CONNECTED, "Whether the node answers: 1 or 0");
    describe_gauge!(SHARES, "Shares in the store, by stage");
    describe_counter!(
        CEREMONIES,
        "Ceremonies of this server that ended, by kind, scheme and result"
    );
    describe_histogram!(
        SECONDS,
        "Seconds that successful ceremonies took, by kind and scheme"
    );
}

/// Sets what is read from the status only when somebody looks.
pub(super) fn publish(status: &Status) {
    gauge!(CONNECTED).set(u32::from(
        status.heads.is_some() && status.chain_error.is_none(),
    ));
    for (stage, label) in [(Stage::Staged, "staged"), (Stage::Active, "active")] {
        let count = status.shares.iter().filter(|(_, at)| *at == stage).count();
        gauge!(SHARES, "stage" => label).set(count as u32);
    }
}

#[cfg(test)]
mod tests {
    use metrics::{counter, histogram};
    use tokio::time::Instant;

    use super::*;
    use crate::status::tests::ready;

    #[test]
    fn gauges_counters_and_buckets_are_rendered_under_their_names() {
        let recorder = recorder().expect("there are buckets").build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            publish(&ready(Instant::now()));
            counter!(CEREMONIES, "kind" => "sign").increment(2);
            histogram!(SECONDS, "kind" => "sign").record(0.03);
        });
        let text = handle.render();
        for line in [
            "# TYPE entropy_ceremony_seconds histogram",
            "entropy_ceremonies_total{kind=\"sign\"} 2",
            "entropy_ceremony_seconds_bucket{kind=\"sign\",le=\"0.025\"} 0",
            "entropy_ceremony_seconds_bucket{kind=\"sign\",le=\"0.05\"} 1",
            "entropy_chain_connected 1",
            "entropy_shares{stage=\"active\"} 1",
            "entropy_shares{stage=\"staged\"} 0",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in:\n{text}"
            );
        }
    }
}
