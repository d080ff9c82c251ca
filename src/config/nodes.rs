//! The list of nodes: `NAME=PEER_ADDR[@RACK]`, the same on every node.

use std::net::{SocketAddr, ToSocketAddrs};

/// The rack of a node that does not say.
pub(crate) const RACK_DEFAULT: &str = "default";
/// Longest node or rack name, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// One node of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodeEntry {
    /// Its name.
    pub(crate) name: String,
    /// Where it takes peers.
    pub(crate) peer_address: SocketAddr,
    /// Its availability zone, if the entry says.
    pub(crate) rack: Option<String>,
}

/// What is wrong with an entry, and the remedy.
pub(crate) type EntryProblem = (String, String);

impl NodeEntry {
    /// Reads `NAME=PEER_ADDR[@RACK]`.
    pub(crate) fn parse(entry: &str) -> Result<NodeEntry, EntryProblem> {
        let form = "write NAME=ADDRESS:PORT or NAME=ADDRESS:PORT@RACK, for example n1=10.0.0.1:7601@zone-a";
        let Some((name, rest)) = entry.split_once('=') else {
            return Err((format!("the node {entry:?} has no '='"), form.to_owned()));
        };
        let (address, rack) = match rest.split_once('@') {
            Some((address, rack)) => (address, Some(rack)),
            None => (rest, None),
        };
        check_name("node name", name)?;
        if let Some(rack) = rack {
            check_name("rack", rack)?;
        }
        let peer_address = parse_address(address)?;
        Ok(NodeEntry { name: name.to_owned(), peer_address, rack: rack.map(str::to_owned) })
    }
}

/// Node names and racks: 1 to 64 of `[A-Za-z0-9._-]`.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), EntryProblem> {
    let fits = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits {
        return Ok(());
    }
    let remedy = format!("use 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes and underscores");
    Err((format!("the {what} {name:?} is not allowed"), remedy))
}

/// `IP:PORT`, `[IPv6]:PORT`, or `NAME:PORT` with a name that resolves now.
pub(crate) fn parse_address(address: &str) -> Result<SocketAddr, EntryProblem> {
    let remedy = "write ADDRESS:PORT, for example 127.0.0.1:7600 or [::1]:7600";
    if let Ok(parsed) = address.parse::<SocketAddr>() {
        return Ok(parsed);
    }
    if address.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
        return Err((format!("{address:?} is not an address with a port"), remedy.to_owned()));
    }
    let found = address.to_socket_addrs().ok().and_then(|mut found| found.next());
    found.ok_or_else(|| (format!("the name in {address:?} does not resolve"), format!("correct the name, or {remedy}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_name_an_address_and_perhaps_a_rack() {
        let plain = NodeEntry::parse("n1=127.0.0.1:7601").expect("fits");
        assert_eq!((plain.name.as_str(), plain.rack), ("n1", None));
        let racked = NodeEntry::parse("n1=[::1]:7601@zone-a").expect("fits");
        assert_eq!(racked.rack.as_deref(), Some("zone-a"));
        assert_eq!(racked.peer_address.port(), 7601);
    }

    #[test]
    fn entries_that_are_none_are_refused_with_a_remedy() {
        for entry in [
            "",
            "n1",
            "n1=",
            "=127.0.0.1:1",
            "n1=127.0.0.1",
            "n1=127.0.0.1:99999",
            "n 1=127.0.0.1:1",
            "n1=127.0.0.1:1@",
            "n1=127.0.0.1:1@a@b",
            "n1=:7601",
        ] {
            let (what, remedy) = NodeEntry::parse(entry).expect_err(entry);
            assert!(!what.is_empty() && !remedy.is_empty(), "{entry}");
        }
    }
}
