//! The part of the admin port that does something: jobs are begun, looked at and cancelled.
//!
//! Like the rest it has no authentication, so it is there only where the port is: on loopback, unless the operator said
//! otherwise. A web page in a browser on this machine reaches loopback too: its requests carry an `Origin`, and are
//! refused.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::jobs::{BackupOrder, Jobs, NotBegun, ScrubOrder};

/// `GET /admin/jobs`.
pub(super) async fn list(State(jobs): State<Arc<Jobs>>) -> Response {
    Json(jobs.to_json()).into_response()
}

/// `POST /admin/backup`.
pub(super) async fn backup(
    State(jobs): State<Arc<Jobs>>,
    headers: HeaderMap,
    order: Result<Json<BackupOrder>, JsonRejection>,
) -> Response {
    begin(&headers, order, move |order| jobs.backup(order)).await
}

/// `POST /admin/scrub`.
pub(super) async fn scrub(
    State(jobs): State<Arc<Jobs>>,
    headers: HeaderMap,
    order: Result<Json<ScrubOrder>, JsonRejection>,
) -> Response {
    begin(&headers, order, move |order| jobs.scrub(order)).await
}

/// `POST /admin/jobs/ID/cancel`.
pub(super) async fn cancel(State(jobs): State<Arc<Jobs>>, headers: HeaderMap, Path(id): Path<u64>) -> Response {
    if let Some(refusal) = refuse_pages(&headers) {
        return refusal;
    }
    if jobs.cancel(id) {
        (StatusCode::ACCEPTED, Json(json!({ "job": id }))).into_response()
    } else {
        (StatusCode::NOT_FOUND, format!("there is no job {id}\n")).into_response()
    }
}

async fn begin<T: Send + 'static>(
    headers: &HeaderMap,
    order: Result<Json<T>, JsonRejection>,
    begin: impl FnOnce(T) -> Result<u64, NotBegun> + Send + 'static,
) -> Response {
    if let Some(refusal) = refuse_pages(headers) {
        return refusal;
    }
    let order = match order {
        Ok(Json(order)) => order,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{}\n", error.body_text())).into_response(),
    };
    // Orders look at directories, which may take a moment; probes and scrapes must not wait for that.
    let begun = tokio::task::spawn_blocking(move || begin(order)).await;
    match begun.unwrap_or_else(|error| Err(NotBegun::NoThread(error.to_string()))) {
        Ok(id) => (StatusCode::ACCEPTED, Json(json!({ "job": id }))).into_response(),
        Err(NotBegun::Running { id, kind }) => {
            let kind = kind.word();
            let text = format!("a {kind} is running already (job {id}); wait for its end, or cancel it\n");
            (StatusCode::CONFLICT, text).into_response()
        }
        Err(NotBegun::Bad(why)) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
        Err(NotBegun::NotServing) => super::not_yet(),
        Err(NotBegun::NoThread(why)) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("no thread could be started: {why}\n")).into_response()
        }
    }
}

fn refuse_pages(headers: &HeaderMap) -> Option<Response> {
    let text = "requests of web pages are refused here\n";
    headers.contains_key(header::ORIGIN).then(|| (StatusCode::FORBIDDEN, text).into_response())
}
