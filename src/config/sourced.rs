//! A value together with the place it came from, so that a complaint about it can name the place.

use toml::Spanned;

use super::file::LoadedFile;
use super::problem::{Place, Problems};

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Sourced<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it was said.
    pub(crate) place: Place,
}

impl<T: Clone> Sourced<T> {
    /// The flag if it was given, else the file's key, else nothing.
    pub(crate) fn pick(
        flag_name: &'static str,
        flag: Option<&T>,
        file: Option<&LoadedFile>,
        key: impl Fn(&LoadedFile) -> Option<&Spanned<T>>,
    ) -> Option<Sourced<T>> {
        if let Some(value) = flag {
            return Some(Sourced { value: value.clone(), place: Place::Flag(flag_name) });
        }
        let file = file?;
        let spanned = key(file)?;
        Some(Sourced { value: spanned.get_ref().clone(), place: file.place_of(spanned) })
    }
}

/// A whole number within bounds, and what it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// For the message, with its unit.
    pub(crate) what: &'static str,
    /// Smallest.
    pub(crate) min: i64,
    /// Largest.
    pub(crate) max: i64,
    /// If nobody says.
    pub(crate) default: i64,
}

impl Bounds {
    /// The number said, or the default; out of bounds is a problem, and the default goes on in its place.
    pub(crate) fn check(self, said: Option<&Sourced<i64>>, problems: &mut Problems) -> i64 {
        let Some(said) = said else { return self.default };
        if (self.min..=self.max).contains(&said.value) {
            return said.value;
        }
        let what = format!("{} is {}", self.what, said.value);
        problems.add(&said.place, what, format!("choose {} to {}", self.min, self.max));
        self.default
    }
}
