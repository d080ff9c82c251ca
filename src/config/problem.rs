//! What is wrong with a configuration, where, and what to do about it.
//!
//! Somebody reads this at three in the morning on a machine that will not start. So every problem names its place (the
//! flag, or the file and line), says what was found, and ends with a remedy. All problems are told at once.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a setting came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// A flag of the command line, with its dashes.
    Flag(&'static str),
    /// A line of the configuration file, counted from 1.
    Line {
        /// The file as it was named.
        file: PathBuf,
        /// The line.
        line: usize,
    },
    /// Nobody said it: the setting's name.
    Absent(&'static str),
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    /// Where.
    pub(crate) place: Place,
    /// What was found.
    pub(crate) what: String,
    /// What to do.
    pub(crate) remedy: String,
}

/// Everything that is wrong with a configuration; never empty when it is returned as an error.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Place {
    /// The place `offset` bytes into `text`, which is the content of `file`.
    pub(crate) fn in_file(file: &Path, text: &str, offset: usize) -> Place {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        Place::Line { file: file.to_owned(), line }
    }
}

impl Problems {
    /// Notes one more.
    pub(crate) fn add(&mut self, place: &Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Problem { place: place.clone(), what: what.into(), remedy: remedy.into() });
    }

    /// `value` if nothing is wrong.
    pub(crate) fn none_or<T>(self, value: impl FnOnce() -> T) -> Result<T, Problems> {
        if self.0.is_empty() { Ok(value()) } else { Err(self) }
    }

    /// True if the command line alone is at fault, so that the caller mistyped rather than misconfigured.
    pub(crate) fn is_usage(&self) -> bool {
        self.0.iter().all(|problem| matches!(problem.place, Place::Flag(_) | Place::Absent(_)))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Flag(flag) => write!(f, "{flag}"),
            Place::Line { file, line } => write!(f, "{}, line {line}", file.display()),
            Place::Absent(setting) => write!(f, "`{setting}`, which nobody set"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  remedy: {}", self.place, self.what, self.remedy)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_file_is_a_line_counted_from_one() {
        let text = "a = 1\nb = 2\n";
        let line_at = |offset| match Place::in_file(Path::new("f"), text, offset) {
            Place::Line { line, .. } => line,
            Place::Flag(_) | Place::Absent(_) => 0,
        };
        assert_eq!(line_at(0), 1);
        assert_eq!(line_at(6), 2);
        assert_eq!(line_at(1000), 3);
    }

    #[test]
    fn a_mistyped_flag_is_usage_and_a_bad_file_is_not() {
        let mut problems = Problems::default();
        problems.add(&Place::Flag("--shards"), "0 shards", "ask for 1");
        assert!(problems.is_usage());
        problems.add(&Place::in_file(Path::new("f"), "", 0), "x", "y");
        assert!(!problems.is_usage());
    }
}
