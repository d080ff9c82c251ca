//! What an operator should know about a data directory that can be used all the same.

use core::fmt;
use std::path::PathBuf;

/// Something odd about a data directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DirNotice {
    /// Everybody may read in it.
    OthersMayLook {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Its files are not those that were written.
    Copied,
    /// One of the two identity files was missing; it is made anew.
    IdentityMissing,
    /// One of the two identity files was damaged; it is made anew.
    IdentitySetAside {
        /// Which.
        name: &'static str,
        /// The name that it has now.
        aside: String,
        /// Expected and found.
        what: String,
    },
}

impl fmt::Display for DirNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirNotice::OthersMayLook { path, mode } => write!(
                f,
                "everybody on this machine may look into {0} (mode {mode:04o}) and read what is stored: chmod 700 {0}",
                path.display()
            ),
            DirNotice::Copied => write!(
                f,
                "the data directory was copied, restored or moved to another disk since it was last used: the node takes a \
                 new incarnation; never let two copies run"
            ),
            DirNotice::IdentityMissing => {
                write!(f, "one of the files identity and identity.copy was missing; it is made anew from the other")
            }
            DirNotice::IdentitySetAside { name, aside, what } => {
                write!(f, "the file {name} was damaged ({what}): it is now {aside}, and made anew from the other copy")
            }
        }
    }
}
