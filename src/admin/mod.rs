//! The admin port: HTTP for probes, Prometheus and people. Reads only.
//!
//! It lives on one thread of its own and looks at what the shards publish, so that no scrape ever costs a shard time.

mod health;
mod listener;
mod ring;
mod status;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::supervisor::Lifeline;
use listener::BoundedListener;

/// Serves on `listener` until the process ends.
pub(crate) fn start(listener: TcpListener, lifeline: Arc<Lifeline>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = move || {
        let served = runtime.block_on(async {
            let listener = BoundedListener::new(tokio::net::TcpListener::from_std(listener)?);
            axum::serve(listener, routes(lifeline)).await
        });
        if let Err(error) = served {
            tracing::error!(%error, "the admin port has ended; the node goes on");
        }
    };
    std::thread::Builder::new().name("admin".to_owned()).spawn(serve).map(drop)
}

fn routes(lifeline: Arc<Lifeline>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/health/live", get(async || "live\n"))
        .route("/health/ready", get(ready))
        .route("/status", get(status))
        .route("/ring", get(ring))
        .fallback(async || (StatusCode::NOT_FOUND, INDEX))
        .with_state(lifeline)
}

const INDEX: &str = "rondo\n/metrics\n/health/live\n/health/ready\n/status\n/ring\n";

async fn index() -> &'static str {
    INDEX
}

async fn metrics(State(lifeline): State<Arc<Lifeline>>) -> Response {
    let text = lifeline.with_node(rondo_shards::render_metrics);
    text.map_or_else(not_yet, |text| ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

async fn ready(State(lifeline): State<Arc<Lifeline>>) -> Response {
    match lifeline.look(health::unready_reason) {
        None => (StatusCode::OK, "ready\n").into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

async fn status(State(lifeline): State<Arc<Lifeline>>) -> Response {
    lifeline
        .with_node(|node| Json(status::status_json(&node.status())))
        .map_or_else(not_yet, IntoResponse::into_response)
}

async fn ring(State(lifeline): State<Arc<Lifeline>>) -> Response {
    lifeline.with_node(|node| Json(ring::ring_json(&node.status()))).map_or_else(not_yet, IntoResponse::into_response)
}

fn not_yet() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the node is starting or stopping\n").into_response()
}
