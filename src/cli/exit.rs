//! How a command ends: one number for each kind of ending, the same for every command.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use rondo_client::{Changed, Error};

use crate::config::Problems;

/// The endings. The numbers are a promise (docs/operations.md).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It is done.
    Done = 0,
    /// The key holds nothing.
    NotFound = 1,
    /// The command line or its input cannot be right; nothing was sent.
    BadInput = 2,
    /// Nothing happened, and the message says why.
    Refused = 3,
    /// A write may or may not have happened.
    Unknown = 4,
    /// It is done, and damage was found.
    Damaged = 5,
    /// A part of rondo failed.
    Failed = 70,
    /// The node stopped, but not all requests were answered within the drain limit.
    CutShort = 75,
    /// The configuration or the machine is not fit to run.
    Config = 78,
    /// A second signal ended the node at once.
    Interrupted = 130,
    /// Whoever read the output went away.
    BrokenPipe = 141,
}

/// A command that did not get its result, and what to say about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    /// The ending.
    pub(crate) exit: Exit,
    /// For standard error; empty to say nothing.
    pub(crate) message: String,
}

/// What every command gives back.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    /// An ending with its message.
    pub(crate) fn new(exit: Exit, message: impl Display) -> Failure {
        Failure { exit, message: message.to_string() }
    }

    /// A read that failed: it changed nothing, whatever happened on the way.
    pub(crate) fn of_read(error: &Error) -> Failure {
        Failure::new(exit_of_read(error), error)
    }

    /// A write that failed.
    pub(crate) fn of_write(error: &Error) -> Failure {
        Failure::new(exit_of_write(error), error)
    }
}

/// The ending of a read that failed so.
pub(crate) fn exit_of_read(error: &Error) -> Exit {
    if matches!(error, Error::BadInput(_)) { Exit::BadInput } else { Exit::Refused }
}

/// The ending of a write that failed so.
pub(crate) fn exit_of_write(error: &Error) -> Exit {
    match error.changed() {
        Changed::Perhaps => Exit::Unknown,
        Changed::Nothing => exit_of_read(error),
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<io::Error> for Failure {
    /// Trouble with the output.
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure { exit: Exit::BrokenPipe, message: String::new() },
            _ => Failure::new(Exit::Failed, format!("cannot write the output: {error}")),
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Failure {
        Failure::new(if problems.is_usage() { Exit::BadInput } else { Exit::Config }, problems)
    }
}
