//! `rondo dev`: starts, says what to type, sees a node die, and stops cleanly, whoever ends it.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use support::{eventually, http_get, rondo};
use tempfile::TempDir;

/// A running `rondo dev`.
struct Dev {
    child: Child,
    out: BufReader<ChildStdout>,
    errors: BufReader<ChildStderr>,
    directory: TempDir,
    base_port: u16,
}

impl Dev {
    /// Starts three nodes on free ports and waits for the words that say they are ready.
    fn start() -> Dev {
        let directory = TempDir::new().expect("a temporary directory");
        let base_port = free_ports();
        let mut child = Command::new(env!("CARGO_BIN_EXE_rondo"))
            .args(["dev", "--nodes", "3", "--base-port", &base_port.to_string(), "--data"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the rondo binary starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let errors = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut dev = Dev { child, out, errors, directory, base_port };
        let said = read_until(&mut dev.out, "Ctrl-C");
        assert!(said.contains("Ready."), "{said}{}", dev.rest_of_errors());
        dev
    }

    fn admin(&self, node: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.base_port + 10 * node + 2))
    }

    fn is_up(&self, node: u16) -> bool {
        http_get(self.admin(node), "/health/live").is_some()
    }

    fn client(&self, node: u16) -> String {
        format!("127.0.0.1:{}", self.base_port + 10 * node)
    }

    fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        let ended = eventually(|| {
            status = self.child.try_wait().expect("our own child can be waited for");
            status.is_some()
        });
        assert!(ended, "rondo dev did not end");
        status.expect("it ended")
    }

    fn rest_of_errors(&mut self) -> String {
        let _ = self.child.kill();
        let mut rest = String::new();
        let _ = self.errors.read_to_string(&mut rest);
        rest
    }

    /// The process id of a node: the child of ours that was started with its configuration file.
    fn pid_of(&self, node: u16) -> u32 {
        let config = self.directory.path().join(format!("n{}.toml", node + 1)).display().to_string();
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let children = std::fs::read_to_string(children).expect("the kernel lists children");
        let is_it = |pid: &&str| {
            let line = std::fs::read_to_string(PathBuf::from("/proc").join(pid).join("cmdline")).unwrap_or_default();
            line.contains(&config)
        };
        let pid = children.split_whitespace().find(is_it).expect("the node is a child of rondo dev");
        pid.parse().expect("a process id is a number")
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Its nodes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process id is not zero");
    kill_process(pid, signal).expect("the process is ours and runs");
}

/// All that is said up to and with the line that contains `words`.
fn read_until(source: &mut impl BufRead, words: &str) -> String {
    let mut said = String::new();
    while !said.contains(words) {
        if source.read_line(&mut said).expect("the output is text") == 0 {
            break;
        }
    }
    said
}

/// A base port whose nine ports are free now, and that no other test of this process gets. Somebody else may take one
/// before we do; then the test fails and says so.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let start = 20_000 + (std::process::id() % 400) as u16 * 30;
    let candidates = std::iter::repeat_with(|| start + 30 * NEXT.fetch_add(1, Ordering::Relaxed)).take(100);
    let is_free = |base: &u16| (0..3).all(|node| (0..3).all(|port| bind(base + 10 * node + port).is_ok()));
    candidates.into_iter().find(is_free).expect("nine free ports")
}

#[test]
fn a_cluster_starts_serves_loses_a_node_and_stops_cleanly() {
    let mut dev = Dev::start();
    let stored = rondo(&["put", "greeting", "hello", "--addr", &dev.client(0), "--w", "all"]);
    assert!(stored.status.success(), "{}", String::from_utf8_lossy(&stored.stderr));

    send(dev.pid_of(1), Signal::KILL);
    let said = read_until(&mut dev.errors, "serve --config");
    assert!(said.contains("n2 has ended"), "{said}");
    let found = rondo(&["get", "greeting", "--addr", &dev.client(2)]);
    assert_eq!(found.stdout, b"hello", "the quorum goes on: {}", String::from_utf8_lossy(&found.stderr));

    dev.signal(Signal::INT);
    assert_eq!(dev.wait().code(), Some(0), "{}", dev.rest_of_errors());
    assert!((0..3).all(|node| !dev.is_up(node)), "no node is left behind");
}

#[test]
fn nodes_end_with_the_process_that_started_them_even_if_it_is_killed() {
    let mut dev = Dev::start();
    dev.signal(Signal::KILL);
    dev.wait();
    assert!(eventually(|| (0..3).all(|node| !dev.is_up(node))), "a node goes on without its parent");
}

#[test]
fn a_directory_of_another_size_is_refused() {
    let directory = TempDir::new().expect("a temporary directory");
    std::fs::create_dir(directory.path().join("n1")).expect("the directory is made");
    let data = directory.path().to_str().expect("the path is text");
    let output = rondo(&["dev", "--data", data]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--nodes 1"));
}
