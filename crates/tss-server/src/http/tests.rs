use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::status::tests::{IDENTITY, ready};

/// Serves a status on a port of the system's choice; it ends with the test's runtime.
async fn serve(status: Status) -> (SocketAddr, watch::Sender<Status>) {
    let (sender, receiver) = watch::channel(status);
    let metrics = metrics::recorder()
        .expect("there are buckets")
        .build_recorder()
        .handle();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let router = router(IDENTITY, receiver, metrics);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, sender)
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status line");
    let body = answer.split_once("\r\n\r\n").expect("a head").1.to_owned();
    (status, body)
}

async fn get_json(address: SocketAddr, path: &str) -> (u16, Value) {
    let (status, body) = ask(address, "GET", path).await;
    (status, serde_json::from_str(&body).expect("JSON"))
}

#[tokio::test]
async fn readiness_follows_the_status() {
    let (address, status) = serve(Status::default()).await;
    assert_eq!(ask(address, "GET", "/healthz").await, (200, "ok".into()));
    let (code, body) = get_json(address, "/readyz").await;
    assert_eq!(code, 503);
    assert_eq!(body["ready"], false);
    assert_eq!(body["missing"][0]["code"], "no_recent_heads");
    status.send_replace(ready(Instant::now()));
    assert_eq!(
        get_json(address, "/readyz").await,
        (200, json!({"ready": true, "missing": []}))
    );
}

#[tokio::test]
async fn info_tells_identity_and_binding() {
    let (address, status) = serve(Status::default()).await;
    let unbound = json!({
        "party": format!("0x{}", "01".repeat(32)),
        "noise_key": format!("0x{}", "4e".repeat(32)),
        "genesis": format!("0x{}", "6e".repeat(32)),
        "version": env!("CARGO_PKG_VERSION"),
        "stash": null,
        "endpoint": null,
    });
    assert_eq!(get_json(address, "/v1/info").await, (200, unbound));
    status.send_replace(ready(Instant::now()));
    let (_, bound) = get_json(address, "/v1/info").await;
    assert_eq!(bound["stash"], format!("0x{}", "57".repeat(32)));
    assert_eq!(bound["endpoint"], "ws://server.example:4000");
}

#[tokio::test]
async fn version_tells_the_software() {
    let (address, _status) = serve(Status::default()).await;
    let expected = json!({"version": env!("CARGO_PKG_VERSION"), "view_format": 3});
    assert_eq!(get_json(address, "/v1/version").await, (200, expected));
}

#[tokio::test]
async fn committee_lists_every_scheme_once_a_block_was_seen() {
    let (address, status) = serve(Status::default()).await;
    let (code, body) = get_json(address, "/v1/committee").await;
    assert_eq!(
        (code, &body["error"]["code"]),
        (503, &json!("no_block_yet"))
    );
    status.send_replace(ready(Instant::now()));
    let (code, body) = get_json(address, "/v1/committee").await;
    assert_eq!((code, &body["block"]), (200, &json!(10)));
    let parties: Vec<_> = (1..=4)
        .map(|i| format!("0x{}", format!("{i:02x}").repeat(32)))
        .collect();
    let expected = json!([{
        "scheme": "schnorr-taproot",
        "state": "active",
        "epoch": 1,
        "attempt": 2,
        "parties": parties,
        "threshold": 3,
        "root_key": format!("0x{}", "02".repeat(33)),
        "public_digest": format!("0x{}", "d1".repeat(32)),
        "since": 8,
    }]);
    assert_eq!(body["schemes"], expected);
}

#[tokio::test]
async fn what_is_not_there_is_refused_with_a_code() {
    let (address, _status) = serve(Status::default()).await;
    let (code, body) = get_json(address, "/v1/shares").await;
    assert_eq!((code, &body["error"]["code"]), (404, &json!("not_found")));
    let (code, body) = ask(address, "POST", "/v1/info").await;
    assert_eq!(code, 405);
    assert!(body.contains("method_not_allowed"), "{body}");
}

#[tokio::test]
async fn metrics_are_text_for_prometheus() {
    let (address, _status) = serve(Status::default()).await;
    let (code, _) = ask(address, "GET", "/metrics").await;
    assert_eq!(code, 200);
}
