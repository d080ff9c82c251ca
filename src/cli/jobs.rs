//! Following a job of a running node: ask for it, show how far it is, cancel it on Ctrl-C, tell how it ended.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::data::eprint_line;
use super::exit::{Exit, Failure};
use crate::http::{self, HttpAnswer};
use crate::limits::{JOB_LOOK_INTERVAL, JOB_SILENCE_MAX};
use crate::signals;

/// Steps of the bar.
const BAR_STEPS: u64 = 1000;

/// A job that has ended, as the node tells it.
pub(super) struct EndedJob {
    pub(super) exit: Exit,
    pub(super) message: String,
    pub(super) result: Value,
}

/// Begins a job with a POST to `path`, and follows it to its end.
pub(super) fn perform(admin: SocketAddr, path: &str, order: &Value) -> Result<EndedJob, Failure> {
    let stop =
        signals::listen().map_err(|error| Failure::new(Exit::Failed, format!("cannot listen for signals: {error}")))?;
    let answer = http::post(admin, path, order).map_err(|error| no_answer(admin, &error))?;
    let id = begun(admin, &answer)?;
    let bar = bar();
    let mut heard_at = Instant::now();
    loop {
        if stop.recv_timeout(JOB_LOOK_INTERVAL).is_ok() {
            eprint_line("cancelling; a second signal leaves the job alone");
            http::post(admin, &format!("/admin/jobs/{id}/cancel"), &Value::Null)
                .map_err(|error| no_answer(admin, &error))?;
        }
        match look(admin, id) {
            Ok(job) => {
                heard_at = Instant::now();
                let share = job["progress"]["share"].as_f64().unwrap_or_default();
                bar.set_position((share * BAR_STEPS as f64) as u64);
                bar.set_message(describe_progress(&job["progress"]));
                if job["state"] != "running" {
                    bar.finish_and_clear();
                    return Ok(ended(&job));
                }
            }
            Err(error) if heard_at.elapsed() > JOB_SILENCE_MAX => return Err(error),
            Err(_) => {}
        }
    }
}

fn begun(admin: SocketAddr, answer: &HttpAnswer) -> Result<u64, Failure> {
    let exit = match answer.status {
        202 => {
            let json: Option<Value> = serde_json::from_str(&answer.body).ok();
            let id = json.and_then(|json| json["job"].as_u64());
            return id.ok_or_else(|| Failure::new(Exit::Refused, format!("{admin} does not say which job it began")));
        }
        400 => Exit::BadInput,
        _ => Exit::Refused,
    };
    Err(Failure::new(exit, format!("{admin}: {}", answer.body.trim())))
}

fn look(admin: SocketAddr, id: u64) -> Result<Value, Failure> {
    let answer = http::get(admin, "/admin/jobs").map_err(|error| no_answer(admin, &error))?;
    let json: Value = serde_json::from_str(&answer.body).map_err(|_| {
        Failure::new(Exit::Refused, format!("{admin} answers {}: {}", answer.status, answer.body.trim()))
    })?;
    let job = json["jobs"].as_array().into_iter().flatten().find(|job| job["id"] == id).cloned();
    job.ok_or_else(|| {
        Failure::new(Exit::Refused, format!("{admin} knows nothing of job {id}: was the node restarted?"))
    })
}

fn ended(job: &Value) -> EndedJob {
    let exit = match job["state"].as_str() {
        Some("done") => Exit::Done,
        Some("damaged") => Exit::Damaged,
        Some("cancelled") => Exit::Interrupted,
        _ => Exit::Failed,
    };
    let message = job["message"].as_str().unwrap_or_default().to_owned();
    EndedJob { exit, message, result: job["result"].clone() }
}

fn no_answer(admin: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Refused,
        format!("{admin} does not answer: {error}; is it the --admin address of a running node?"),
    )
}

fn describe_progress(progress: &Value) -> String {
    let bytes = progress["bytes"].as_u64().unwrap_or_default();
    format!("{} keys, {}", progress["keys"], indicatif::HumanBytes(bytes))
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {percent} % {msg}, {elapsed}");
    let bar = ProgressBar::new(BAR_STEPS).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A bar over bytes or records; nothing where nobody looks.
pub(super) fn bar_of(total: u64, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
