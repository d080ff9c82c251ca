//! Clients that send rubbish, nothing, or too much: the node answers or hangs up, and goes on serving the others.

mod support;

use std::io::Write;
use std::process::Command;

use rondo_protocol::wire::client_reply::{ClientReply, DataAnswer};
use support::raw::{RawClient, get_frame, put_frame};
use support::{TestCluster, eventually, http_get, skip};

/// A well-behaved client still gets its answers.
fn assert_still_serves(cluster: &mut TestCluster) {
    let mut client = RawClient::greeted(cluster.node(0).client);
    client.send(&put_frame(7, "still", b"here"));
    assert!(matches!(client.reply(), Some((7, ClientReply::Data(DataAnswer::Stored { .. })))));
    client.send(&get_frame(8, "still"));
    assert!(matches!(client.reply(), Some((8, ClientReply::Data(DataAnswer::Found { .. })))));
}

/// Changes one frame in a way that its checksum no longer covers.
fn damaged(at: usize, to: &[u8]) -> Vec<u8> {
    let mut frame = get_frame(2, "key");
    frame[at..at + to.len()].copy_from_slice(to);
    frame
}

#[test]
fn a_damaged_frame_ends_its_connection_and_nothing_else() {
    let mut cluster = TestCluster::start(1, 2);
    let cases: [(&str, Vec<u8>); 7] = [
        ("magic", damaged(0, &[0xff, 0xff])),
        ("version", damaged(2, &[9])),
        ("length of 2^32-1", damaged(4, &u32::MAX.to_le_bytes())),
        ("length of 0", damaged(4, &0_u32.to_le_bytes())),
        ("checksum", damaged(16, &[0, 0, 0, 0])),
        ("body", damaged(24, &[0xee])),
        ("noise", (0..200_u8).map(|byte| byte.wrapping_mul(151).wrapping_add(13)).collect()),
    ];
    for (what, bytes) in cases {
        let mut client = RawClient::greeted(cluster.node(0).client);
        client.send(&bytes);
        assert!(client.is_ended(), "a frame with a bad {what} did not end the connection");
        let mut stranger = RawClient::silent(cluster.node(0).client);
        stranger.send(&bytes);
        assert!(stranger.is_ended(), "a bad {what} before the hello did not end the connection");
    }
    assert_still_serves(&mut cluster);
}

#[test]
fn a_frame_cut_off_in_the_middle_leaves_nothing_behind() {
    let mut cluster = TestCluster::start(1, 1);
    let frame = put_frame(2, "cut", b"off");
    for length in 0..frame.len() {
        let mut client = RawClient::greeted(cluster.node(0).client);
        client.send(&frame[..length]);
        client.stream.shutdown(std::net::Shutdown::Write).expect("our own half can be closed");
        assert!(client.is_ended(), "half a frame of {length} bytes was answered");
    }
    let mut client = RawClient::greeted(cluster.node(0).client);
    client.send(&get_frame(3, "cut"));
    assert!(matches!(client.reply(), Some((3, ClientReply::Data(DataAnswer::NotFound { .. })))));
}

#[test]
fn a_request_before_the_hello_is_not_served() {
    let mut cluster = TestCluster::start(1, 1);
    let mut client = RawClient::silent(cluster.node(0).client);
    client.send(&get_frame(1, "key"));
    assert!(client.is_ended());
}

#[test]
fn a_thousand_idle_connections_do_not_disturb_one_that_works() {
    let mut cluster = TestCluster::start(1, 2);
    let idle: Vec<RawClient> = (0..1000).map(|_| RawClient::greeted(cluster.node(0).client)).collect();
    assert_still_serves(&mut cluster);
    drop(idle);
    let is_forgotten = eventually(|| {
        let (_, metrics) = http_get(cluster.node(0).admin, "/metrics").expect("metrics are served");
        let open: f64 = metrics
            .lines()
            .filter(|line| line.starts_with("rondo_client_connections{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        open == 0.0
    });
    assert!(is_forgotten, "closed connections are still counted as open");
}

#[test]
fn a_client_that_never_reads_is_bounded_and_does_not_stop_the_others() {
    let mut cluster = TestCluster::start(1, 1);
    let mut writer = RawClient::greeted(cluster.node(0).client);
    writer.send(&put_frame(2, "large", &vec![7; 512 * 1024]));
    assert!(matches!(writer.reply(), Some((2, ClientReply::Data(DataAnswer::Stored { .. })))));
    let mut deaf = RawClient::greeted(cluster.node(0).client);
    let request = get_frame(3, "large");
    // Half a megabyte each: 2,000 of them would be a gigabyte if the node kept all the answers.
    for _ in 0..2_000 {
        if deaf.stream.write_all(&request).is_err() {
            break;
        }
    }
    assert_still_serves(&mut cluster);
    let (_, status) = http_get(cluster.node(0).admin, "/health/ready").expect("admin answers");
    assert!(!status.is_empty());
}

#[test]
fn the_admin_port_answers_with_what_it_promises() {
    let mut cluster = TestCluster::start(3, 2);
    assert_still_serves(&mut cluster);
    let admin = cluster.node(0).admin;
    assert_eq!(http_get(admin, "/health/live").expect("live answers").0, 200);
    assert_eq!(http_get(admin, "/health/ready").expect("ready answers").0, 200);
    assert_eq!(http_get(admin, "/nowhere").expect("unknown paths answer").0, 404);
    for path in ["/status", "/ring"] {
        let (status, body) = http_get(admin, path).expect("admin answers");
        assert_eq!(status, 200, "{path}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
    }
    let (_, metrics) = http_get(admin, "/metrics").expect("metrics are served");
    for core in ["0", "1"] {
        let label = format!("core=\"{core}\"");
        assert!(metrics.lines().any(|line| line.contains(&label)), "no series of core {core}:\n{metrics}");
    }
    assert!(metrics.lines().any(|line| line.contains("_bucket{")), "no histogram with real buckets:\n{metrics}");
}

#[test]
fn a_client_in_python_written_from_the_specification_alone_works() {
    let mut cluster = TestCluster::start(3, 2);
    let client = cluster.node(0).client;
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/rondo_client.py"))
        .args([client.ip().to_string(), client.port().to_string()])
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            skip(&format!("the Python client: python3 cannot be started: {error}"));
            return;
        }
    };
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
