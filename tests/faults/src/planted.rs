//! Bugs planted in the storage, by name, and the experiments that must notice them.

use rondo_storage::Engine;
use rondo_storage::planted::{Planted, plant_everywhere};

/// The experiment that must notice a bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// Power cuts under a shard.
    PowerCuts,
    /// Damage to its files.
    Damage,
    /// Power cuts, and looks at the device, right after a store has said that it is durable.
    StoreCuts,
}

impl Method {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Method::PowerCuts => "power cuts",
            Method::Damage => "damage",
            Method::StoreCuts => "a cut and a look at the device after a flush",
        }
    }
}

/// A bug that can be planted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bug {
    /// Its name on the command line.
    pub name: &'static str,
    /// The storage's name for it.
    planted: Planted,
    /// Who must notice it.
    pub noticed_by: Method,
    /// Is it a bug of this engine alone?
    pub only: Option<Engine>,
}

/// All of them.
pub const BUGS: &[Bug] = &[
    Bug {
        name: "skip-store-sync",
        planted: Planted::SkipStoreSync,
        noticed_by: Method::StoreCuts,
        only: Some(Engine::Sled),
    },
    Bug { name: "skip-log-sync", planted: Planted::SkipSync, noticed_by: Method::PowerCuts, only: None },
    Bug { name: "drop-log-early", planted: Planted::DropLogEarly, noticed_by: Method::PowerCuts, only: None },
    Bug { name: "accept-torn-tail", planted: Planted::TornTailAccepted, noticed_by: Method::Damage, only: None },
    Bug { name: "skip-checksum", planted: Planted::SkipCrc, noticed_by: Method::Damage, only: None },
    Bug {
        name: "accept-torn-manifest",
        planted: Planted::TornManifestAccepted,
        noticed_by: Method::Damage,
        only: None,
    },
];

/// Plants the bug of that name in all threads of this process.
///
/// # Errors
/// No bug has that name.
pub fn plant_by_name(name: &str) -> Result<(), String> {
    let bug = BUGS.iter().find(|bug| bug.name == name).ok_or_else(|| {
        let names: Vec<&str> = BUGS.iter().map(|bug| bug.name).collect();
        format!("no bug is called {name:?}; choose one of {}", names.join(", "))
    })?;
    plant_everywhere(Some(bug.planted));
    Ok(())
}
