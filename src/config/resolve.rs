//! From what was said to what is meant: flags before file before default, and each setting checked against the others.
//!
//! Goes on after a problem with a harmless value in its place, so that all problems are told at once.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use rondo_protocol::ring::VNodeBits;
use rondo_shards::{Engine, NodeConfig, StoreRewrite, UnknownEngine};

use super::Settings;
use super::checks::{check_advertised, check_cores, check_exposure, check_memory, check_ports, check_ring};
use super::file::LoadedFile;
use super::flags::ServeFlags;
use super::keyspaces::resolve_keyspaces;
use super::nodes::{check_name, parse_address};
use super::problem::{Place, Problems};
use super::sourced::{Bounds, Sourced};
use crate::jobs::ScrubSchedule;
use crate::limits::{
    ADMIN_PORT, CACHE_MIB, CLIENT_PORT, CONNECTIONS_MAX, DISK_FREE_MIN_MIB, DRAIN_SECONDS, FILTER_MIB, MEMTABLE_MIB,
    PEER_PORT, SCRUB_INTERVAL_HOURS, SCRUB_SHARE_PERCENT, STORE_CACHE_MIB, STORE_REWRITE_MIB, STORE_REWRITE_RATIO,
    VNODE_BITS,
};

/// The two sources of settings.
pub(super) struct Sources<'a> {
    pub(super) flags: &'a ServeFlags,
    pub(super) file: Option<&'a LoadedFile>,
}

/// What the process may use of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The cores.
    pub(crate) cores: Vec<usize>,
    /// Bytes of memory, as far as the system says.
    pub(crate) memory: Option<u64>,
}

/// Merges and checks.
pub(crate) fn resolve(flags: &ServeFlags, file: Option<&LoadedFile>, machine: &Machine) -> Result<Settings, Problems> {
    let sources = Sources { flags, file };
    let mut problems = Problems::default();
    let problems_ref = &mut problems;

    let name = sources.name(problems_ref);
    let nodes = sources.nodes(problems_ref);
    let own = nodes.value.iter().find(|entry| entry.name == name.value).cloned();
    let listen = sources.address("--listen", |flags| &flags.listen, |file| file.config.listen.as_ref(), problems_ref);
    let peer = sources.address(
        "--peer-listen",
        |flags| &flags.peer_listen,
        |file| file.config.peer_listen.as_ref(),
        problems_ref,
    );
    let admin = sources.address(
        "--admin-listen",
        |flags| &flags.admin_listen,
        |file| file.config.admin_listen.as_ref(),
        problems_ref,
    );
    let advertise =
        sources.address("--advertise", |flags| &flags.advertise, |file| file.config.advertise.as_ref(), problems_ref);
    let listen = listen.unwrap_or_else(|| default_address("listen", CLIENT_PORT));
    let admin = admin.unwrap_or_else(|| default_address("admin-listen", ADMIN_PORT));
    let peer = peer.unwrap_or_else(|| match &own {
        Some(entry) => Sourced { value: entry.peer_address, place: nodes.place.clone() },
        None => default_address("peer-listen", PEER_PORT),
    });
    let insecure_no_auth = flags.insecure_no_auth
        || file.and_then(|file| file.config.insecure_no_auth.as_ref()).is_some_and(|said| *said.get_ref());
    check_exposure(&[&listen, &peer, &admin], insecure_no_auth, problems_ref);
    check_ports(&[&listen, &peer, &admin], problems_ref);
    check_advertised(&listen, advertise.as_ref(), problems_ref);

    let rack = sources.rack(own.as_ref(), problems_ref);
    let entries = sources.entries(&nodes, &name, &rack, &peer, problems_ref);
    let vnode_bits = sources.vnode_bits(problems_ref);
    check_ring(vnode_bits, &entries, &nodes.place, problems_ref);
    let (shards, cores) = sources.shards(&machine.cores, problems_ref);
    let memtable = sources.number(|file| file.config.memtable_mib.as_ref());
    let cache = sources.number(|file| file.config.cache_mib.as_ref());
    let store_cache = sources.number(|file| file.config.store_cache_mib.as_ref());
    let filter = sources.number(|file| file.config.filter_mib.as_ref());
    let disk_free_min = sources.number(|file| file.config.disk_free_min_mib.as_ref());
    let mib = |bounds: Bounds, said: &Option<Sourced<i64>>, problems: &mut Problems| {
        (bounds.check(said.as_ref(), problems) as usize) << 20
    };
    let node = NodeConfig {
        name: name.value,
        rack,
        data: sources.data(problems_ref),
        listen: listen.value,
        peer_listen: peer.value,
        advertise: advertise.map(|said| said.value),
        cluster: sources.cluster(problems_ref),
        keyspaces: resolve_keyspaces(file, entries.len(), problems_ref),
        nodes: entries,
        vnode_bits,
        shards,
        cores,
        memtable_bytes: mib(MEMTABLE_MIB, &memtable, problems_ref),
        cache_bytes: mib(CACHE_MIB, &cache, problems_ref),
        store_cache_bytes: mib(STORE_CACHE_MIB, &store_cache, problems_ref),
        filter_bytes: mib(FILTER_MIB, &filter, problems_ref),
        store_rewrite: sources.store_rewrite(problems_ref),
        engine: sources.engine(problems_ref),
        disk_free_min_bytes: mib(DISK_FREE_MIN_MIB, &disk_free_min, problems_ref) as u64,
        connections_max: CONNECTIONS_MAX
            .check(sources.number(|file| file.config.connections_max.as_ref()).as_ref(), problems_ref)
            as usize,
    };
    check_memory(&node, machine.memory, [&memtable, &cache, &store_cache, &filter], problems_ref);
    let drain =
        Sourced::pick("--drain-seconds", flags.drain_seconds.as_ref(), file, |file| file.config.drain_seconds.as_ref());
    let drain_limit = Duration::from_secs(DRAIN_SECONDS.check(drain.as_ref(), problems_ref) as u64);
    let scrub = sources.scrub(problems_ref);
    let log = Sourced::pick("--log", flags.log.as_ref(), file, |file| file.config.log.as_ref());
    if let Some(log) = &log
        && let Err(error) = crate::logging::check(&log.value)
    {
        problems.add(
            &log.place,
            format!("the log filter {:?} is not valid: {error}", log.value),
            "write a level such as info, or info,rondo_shards=debug",
        );
    }
    let log = log.map_or_else(|| "info".to_owned(), |log| log.value);
    problems.none_or(|| Settings { node, admin_listen: admin.value, insecure_no_auth, drain_limit, scrub, log })
}

impl Sources<'_> {
    fn number(&self, key: impl Fn(&LoadedFile) -> Option<&toml::Spanned<i64>>) -> Option<Sourced<i64>> {
        Sourced::pick("", None, self.file, key)
    }

    fn cluster(&self, problems: &mut Problems) -> String {
        let said =
            Sourced::pick("--cluster", self.flags.cluster.as_ref(), self.file, |file| file.config.cluster.as_ref());
        let Some(cluster) = said else { return "rondo".to_owned() };
        if let Err((what, remedy)) = check_name("cluster name", &cluster.value) {
            problems.add(&cluster.place, what, remedy);
        }
        cluster.value
    }

    fn engine(&self, problems: &mut Problems) -> Engine {
        let said = Sourced::pick("--engine", self.flags.engine.as_ref(), self.file, |file| file.config.engine.as_ref());
        let Some(said) = said else { return Engine::default() };
        said.value.parse().unwrap_or_else(|error: UnknownEngine| {
            problems.add(
                &said.place,
                error.to_string(),
                "sled for reads that fit in memory, lsm for much writing or more data",
            );
            Engine::default()
        })
    }

    fn store_rewrite(&self, problems: &mut Problems) -> StoreRewrite {
        let ratio = self.number(|file| file.config.store_rewrite_ratio.as_ref());
        let mib = self.number(|file| file.config.store_rewrite_mib.as_ref());
        StoreRewrite {
            ratio: STORE_REWRITE_RATIO.check(ratio.as_ref(), problems) as u32,
            bytes_min: (STORE_REWRITE_MIB.check(mib.as_ref(), problems) as u64) << 20,
        }
    }

    fn data(&self, problems: &mut Problems) -> PathBuf {
        let said = Sourced::pick("--data", self.flags.data.as_ref(), self.file, |file| file.config.data.as_ref());
        let Some(data) = said else {
            problems.add(
                &Place::Absent("data"),
                "there is no data directory",
                "say --data DIR, or data = \"DIR\" in the file",
            );
            return PathBuf::new();
        };
        if data.value.as_os_str().is_empty() {
            problems.add(&data.place, "the data directory is empty", "name a directory; it is created if it is absent");
        }
        if data.value.exists() && !data.value.is_dir() {
            problems.add(
                &data.place,
                format!("{} is not a directory", data.value.display()),
                "name a directory, or remove the file",
            );
        }
        data.value
    }

    fn address(
        &self,
        flag_name: &'static str,
        flag: impl Fn(&ServeFlags) -> &Option<String>,
        key: impl Fn(&LoadedFile) -> Option<&toml::Spanned<String>>,
        problems: &mut Problems,
    ) -> Option<Sourced<SocketAddr>> {
        let said = Sourced::pick(flag_name, flag(self.flags).as_ref(), self.file, key)?;
        match parse_address(&said.value) {
            Ok(value) => Some(Sourced { value, place: said.place }),
            Err((what, remedy)) => {
                problems.add(&said.place, what, remedy);
                None
            }
        }
    }

    fn vnode_bits(&self, problems: &mut Problems) -> VNodeBits {
        let bits = VNODE_BITS.check(self.number(|file| file.config.vnode_bits.as_ref()).as_ref(), problems);
        u8::try_from(bits).ok().and_then(VNodeBits::new).unwrap_or(VNodeBits::DEFAULT)
    }

    fn scrub(&self, problems: &mut Problems) -> ScrubSchedule {
        let hours = self.number(|file| file.config.scrub_interval_hours.as_ref());
        let share = self.number(|file| file.config.scrub_share_percent.as_ref());
        ScrubSchedule {
            interval: Duration::from_secs(3600 * SCRUB_INTERVAL_HOURS.check(hours.as_ref(), problems) as u64),
            share_percent: SCRUB_SHARE_PERCENT.check(share.as_ref(), problems) as u8,
        }
    }

    /// How many shards, and the cores they are pinned to.
    fn shards(&self, usable: &[usize], problems: &mut Problems) -> (NonZeroU16, Vec<usize>) {
        let cores = Sourced::pick("--cores", self.flags.cores.as_ref(), self.file, |file| file.config.cores.as_ref());
        let cores = match cores {
            Some(said) => check_cores(&said, usable, problems),
            None => usable.to_vec(),
        };
        let said = Sourced::pick("--shards", self.flags.shards.as_ref(), self.file, |file| file.config.shards.as_ref());
        let wanted = said.as_ref().map_or(cores.len() as i64, |said| said.value);
        if let Some(said) = &said
            && !(1..=cores.len() as i64).contains(&wanted)
        {
            let what = format!("{wanted} shards, and this process may use {} cores", cores.len());
            problems.add(&said.place, what, format!("choose 1 to {}, or give the process more cores", cores.len()));
        }
        let count = wanted.clamp(1, cores.len().max(1) as i64).min(i64::from(u16::MAX));
        let shards = NonZeroU16::new(count as u16).expect("clamped to at least 1");
        (shards, cores.into_iter().take(count as usize).collect())
    }
}

fn default_address(setting: &'static str, port: u16) -> Sourced<SocketAddr> {
    Sourced { value: SocketAddr::from(([127, 0, 0, 1], port)), place: Place::Absent(setting) }
}
