//! `rondo ping`: is anybody there, and how far away.

use std::io::Write;

use serde_json::json;

use super::exit::{Exit, Failure, Outcome};
use super::target::Target;

/// `rondo ping`.
#[derive(clap::Args, Debug)]
pub(crate) struct PingArguments {
    #[command(flatten)]
    target: Target,
}

/// Pings each address given; all must answer.
pub(crate) fn ping(arguments: PingArguments) -> Outcome {
    let target = &arguments.target;
    let mut exit = Exit::Done;
    let mut out = std::io::stdout().lock();
    for address in &target.addr {
        let client = rondo_client::blocking::Client::connect(&[address]);
        let answer = client.and_then(|client| client.ping(Some(address)));
        match &answer {
            Ok(round_trip) if target.json => {
                writeln!(out, "{}", json!({ "address": address, "round_trip_us": round_trip.as_micros() as u64 }))?;
            }
            Ok(round_trip) => writeln!(out, "{address} answers in {round_trip:.1?}")?,
            Err(error) if target.json => {
                writeln!(out, "{}", json!({ "address": address, "reason": error.to_string() }))?;
            }
            Err(error) => writeln!(out, "{address} does not answer: {error}")?,
        }
        if let Err(error) = &answer {
            exit = exit.max(Failure::of_read(error).exit);
        }
    }
    out.flush()?;
    Ok(exit)
}
