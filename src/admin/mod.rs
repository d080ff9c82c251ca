//! The admin port: HTTP for probes, Prometheus and people, and for the jobs that operators begin.
//!
//! It lives on one thread of its own and looks at what the shards publish, so that no scrape ever costs a shard time.

mod health;
mod jobs;
mod listener;
mod ring;
mod status;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use crate::jobs::Jobs;
use crate::limits::ORDER_BYTES_MAX;
use crate::supervisor::Lifeline;
use listener::BoundedListener;

/// Serves on `listener` until the process ends.
pub(crate) fn start(listener: TcpListener, lifeline: Arc<Lifeline>, jobs: Arc<Jobs>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = move || {
        let served = runtime.block_on(async {
            let listener = BoundedListener::new(tokio::net::TcpListener::from_std(listener)?);
            axum::serve(listener, routes(Admin { lifeline, jobs })).await
        });
        if let Err(error) = served {
            tracing::error!(%error, "the admin port has ended; the node goes on");
        }
    };
    std::thread::Builder::new().name("admin".to_owned()).spawn(serve).map(drop)
}

/// What the answers are made of.
#[derive(Clone)]
struct Admin {
    lifeline: Arc<Lifeline>,
    jobs: Arc<Jobs>,
}

impl FromRef<Admin> for Arc<Lifeline> {
    fn from_ref(admin: &Admin) -> Arc<Lifeline> {
        Arc::clone(&admin.lifeline)
    }
}

impl FromRef<Admin> for Arc<Jobs> {
    fn from_ref(admin: &Admin) -> Arc<Jobs> {
        Arc::clone(&admin.jobs)
    }
}

fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/health/live", get(async || "live\n"))
        .route("/health/ready", get(ready))
        .route("/status", get(status))
        .route("/ring", get(ring))
        .route("/admin/jobs", get(jobs::list))
        .route("/admin/jobs/{id}/cancel", post(jobs::cancel))
        .route("/admin/backup", post(jobs::backup))
        .route("/admin/scrub", post(jobs::scrub))
        .layer(DefaultBodyLimit::max(ORDER_BYTES_MAX))
        .fallback(async || (StatusCode::NOT_FOUND, INDEX))
        .with_state(admin)
}

const INDEX: &str = "rondo\n/metrics\n/health/live\n/health/ready\n/status\n/ring\n/admin/jobs\n";

async fn index() -> &'static str {
    INDEX
}

async fn metrics(State(lifeline): State<Arc<Lifeline>>, State(jobs): State<Arc<Jobs>>) -> Response {
    let text = lifeline.with_node(rondo_shards::render_metrics).map(|text| text + &jobs.totals().render());
    text.map_or_else(not_yet, |text| ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

async fn ready(State(lifeline): State<Arc<Lifeline>>) -> Response {
    match lifeline.look(health::unready_reason) {
        None => (StatusCode::OK, "ready\n").into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

async fn status(State(lifeline): State<Arc<Lifeline>>, State(jobs): State<Arc<Jobs>>) -> Response {
    lifeline
        .with_node(|node| Json(status::status_json(&node.status(), &jobs)))
        .map_or_else(not_yet, IntoResponse::into_response)
}

async fn ring(State(lifeline): State<Arc<Lifeline>>) -> Response {
    lifeline.with_node(|node| Json(ring::ring_json(&node.status()))).map_or_else(not_yet, IntoResponse::into_response)
}

fn not_yet() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the node is starting or stopping\n").into_response()
}
