//! `rondo scrub`: has a running node look at everything it stores.

use std::io::Write;
use std::net::SocketAddr;

use indicatif::HumanBytes;
use serde_json::json;

use super::exit::{Exit, Outcome};
use super::jobs::{self, EndedJob};

/// `rondo scrub`.
#[derive(clap::Args, Debug)]
pub(crate) struct ScrubArguments {
    /// The admin port of the node
    #[arg(long, value_name = "ADDR", env = "RONDO_ADMIN", default_value = "127.0.0.1:7602")]
    admin: SocketAddr,
    /// How much of the stores' time it may take, in percent
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100), default_value_t = 50)]
    share: u8,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Scrubs and reports.
pub(crate) fn scrub(arguments: &ScrubArguments) -> Outcome {
    let EndedJob { exit, message, result } =
        jobs::perform(arguments.admin, "/admin/scrub", &json!({ "share_percent": arguments.share }))?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", json!({ "state": exit == Exit::Done, "message": message, "result": result }))?;
        return Ok(exit);
    }
    if !result.is_null() {
        let bytes = HumanBytes(result["bytes"].as_u64().unwrap_or_default());
        let (objects, files, damaged) = (&result["objects"], &result["files"], &result["damaged"]);
        writeln!(out, "{objects} objects and {files} files, {bytes}: {damaged} damaged places")?;
        for damage in result["damage"].as_array().into_iter().flatten() {
            let text = |field: &str| damage[field].as_str().unwrap_or_default().to_owned();
            writeln!(out, "  {}: {}", text("place"), text("what"))?;
        }
    }
    out.flush()?;
    if exit != Exit::Done && !message.is_empty() {
        super::data::eprint_line(&format!("rondo: {message}"));
    }
    Ok(exit)
}
