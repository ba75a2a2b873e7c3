//! The server's HTTP face: health, readiness, what it is, which committees there are, metrics. Read-only and public.
//!
//! Answers from the last [`Status`] alone: no request makes this server ask the chain, the store or a peer for anything.

mod answers;
pub mod metrics;

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::{sync::watch, time::Instant};

use self::answers::{Committees, Info, Readiness, Version};
use crate::status::{Identity, Status};

/// No route takes a body.
const MAX_BODY_BYTES: usize = 1024;

/// Everything is answered from memory.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Face {
    identity: Identity,
    status: watch::Receiver<Status>,
    metrics: PrometheusHandle,
}

/// The routes `/healthz`, `/readyz`, `/metrics`, `/v1/info`, `/v1/version` and `/v1/committee`.
///
/// An error has the body `{"error": {"code": …, "message": …}}` with a code that never changes its meaning.
pub fn router(
    identity: Identity,
    status: watch::Receiver<Status>,
    metrics: PrometheusHandle,
) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render_metrics))
        .route("/v1/info", get(info))
        .route("/v1/version", get(version))
        .route("/v1/committee", get(committee))
        .fallback(|| async { Refusal::NotFound })
        .method_not_allowed_fallback(|| async { Refusal::MethodNotAllowed })
        .layer(middleware::from_fn(in_time))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Face {
            identity,
            status,
            metrics,
        })
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    NotFound,
    MethodNotAllowed,
    Timeout,
    NoBlockYet,
}

#[derive(Serialize)]
struct Failed {
    error: Reason,
}

#[derive(Serialize)]
struct Reason {
    code: &'static str,
    message: &'static str,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such resource",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this resource is only read, by GET",
            ),
            Self::Timeout => (
                StatusCode::SERVICE_UNAVAILABLE,
                "timeout",
                "the server is too busy to answer in time",
            ),
            Self::NoBlockYet => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no_block_yet",
                "this server has not seen a block of the chain yet",
            ),
        };
        (
            status,
            Json(Failed {
                error: Reason { code, message },
            }),
        )
            .into_response()
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::Timeout.into_response(),
    }
}

async fn healthz() -> &'static str {
    "ok"
}

async fn readyz(State(face): State<Face>) -> (StatusCode, Json<Readiness>) {
    let missing = face.status.borrow().missing(&face.identity, Instant::now());
    let status = if missing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Readiness::new(&missing)))
}

async fn render_metrics(State(face): State<Face>) -> impl IntoResponse {
    metrics::publish(&face.status.borrow());
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        face.metrics.render(),
    )
}

async fn info(State(face): State<Face>) -> Json<Info> {
    Json(Info::new(&face.identity, &face.status.borrow()))
}

async fn version() -> Json<Version> {
    Json(Version::CURRENT)
}

async fn committee(State(face): State<Face>) -> Result<Json<Committees>, Refusal> {
    let status = face.status.borrow();
    let heads = status.heads.as_ref().ok_or(Refusal::NoBlockYet)?;
    Ok(Json(Committees::new(&heads.finalized.view)))
}

#[cfg(test)]
mod tests;
