//! Real nodes for tests: each a process of its own, on a loopback address of its own, in a directory of its own.
//!
//! A test owns its cluster; when it ends, however it ends, its processes are ended too, by their ids.

#![expect(dead_code, reason = "each test binary uses its own part of this module")]

pub mod archive;
pub mod raw;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Longest wait for anything that should happen soon; generous, because two cores run many tests.
pub const SOON: Duration = Duration::from_secs(30);

/// Some nodes, numbered from 0, each in a rack of its own.
pub struct TestCluster {
    /// Their directories.
    pub directory: TempDir,
    nodes: Vec<TestNode>,
}

/// One node: how to start it, and the process if it runs.
pub struct TestNode {
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
    /// Where clients connect.
    pub client: SocketAddr,
    /// Where peers connect.
    pub peer: SocketAddr,
    /// Where the admin HTTP answers.
    pub admin: SocketAddr,
}

impl TestCluster {
    /// Starts `count` nodes of `shards` shards each and waits until all are ready.
    pub fn start(count: usize, shards: usize) -> TestCluster {
        let mut cluster = TestCluster::lay_out(count, shards);
        for index in 0..count {
            cluster.nodes[index].launch();
        }
        for node in &cluster.nodes {
            node.wait_until_ready();
        }
        cluster
    }

    /// Chooses addresses and directories without starting anything.
    pub fn lay_out(count: usize, shards: usize) -> TestCluster {
        let directory = TempDir::new().expect("a temporary directory");
        let host = own_loopback_address();
        let addresses = |index: usize| {
            let port = 7600 + 10 * index as u16;
            [port, port + 1, port + 2].map(|port| SocketAddr::from((host, port)))
        };
        let list: Vec<String> = (0..count).map(|index| format!("n{index}={}@r{index}", addresses(index)[1])).collect();
        let config = directory.path().join("keyspaces.toml");
        std::fs::write(&config, "[[keyspace]]\nname = \"carts\"\npolicy = \"siblings\"\n").expect("config is written");
        let nodes = (0..count)
            .map(|index| {
                let [client, peer, admin] = addresses(index);
                let arguments = [
                    ("--config", config.display().to_string()),
                    ("--name", format!("n{index}")),
                    ("--rack", format!("r{index}")),
                    ("--nodes", list.join(",")),
                    ("--data", directory.path().join(format!("n{index}")).display().to_string()),
                    ("--listen", client.to_string()),
                    ("--peer-listen", peer.to_string()),
                    ("--admin-listen", admin.to_string()),
                    ("--shards", shards.to_string()),
                ];
                let arguments = arguments.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
                TestNode {
                    arguments: std::iter::once("serve".to_owned()).chain(arguments).collect(),
                    log: directory.path().join(format!("n{index}.log")),
                    child: None,
                    client,
                    peer,
                    admin,
                }
            })
            .collect();
        TestCluster { directory, nodes }
    }

    /// Adds lines to the configuration of all nodes, which do not run yet.
    pub fn configure(&self, settings: &str) {
        let config = self.directory.path().join("keyspaces.toml");
        let keyspaces = std::fs::read_to_string(&config).expect("config is there");
        std::fs::write(&config, format!("{settings}{keyspaces}")).expect("config is written");
    }

    /// The node of that number.
    pub fn node(&mut self, index: usize) -> &mut TestNode {
        &mut self.nodes[index]
    }

    /// The client addresses of all nodes.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.client.to_string()).collect()
    }

    /// Runs a client command of the binary against all nodes.
    pub fn rondo(&self, arguments: &[&str]) -> Output {
        rondo(&[arguments, &["--addr", &self.addresses().join(",")]].concat())
    }
}

impl TestNode {
    /// The arguments it is started with, `serve` first.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// The next start has so many shards.
    pub fn set_shards(&mut self, shards: usize) {
        self.set("--shards", &shards.to_string());
    }

    /// The next start has another value of a flag.
    pub fn set(&mut self, flag: &str, value: &str) {
        match self.arguments.iter().position(|argument| argument == flag) {
            Some(place) => self.arguments[place + 1] = value.to_owned(),
            None => self.arguments.extend([flag.to_owned(), value.to_owned()]),
        }
    }

    /// Starts it with another value for this flag from now on.
    pub fn set_argument(&mut self, flag: &str, value: &str) {
        let place = self.arguments.iter().position(|argument| argument == flag).expect("a flag that is given");
        self.arguments[place + 1] = value.to_owned();
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the node runs").id()
    }

    /// Ends it in good order.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "it did not stop well: {status}; its log:\n{}", self.log());
    }

    /// Starts the process without waiting.
    pub fn launch(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).expect("log file opens");
        let child = Command::new(env!("CARGO_BIN_EXE_rondo"))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log file is shared"))
            .stderr(log)
            .spawn()
            .expect("the rondo binary starts");
        self.child = Some(child);
    }

    /// Starts it again and waits until it is ready.
    pub fn restart(&mut self) {
        self.launch();
        self.wait_until_ready();
    }

    /// Waits until `/health/ready` says yes.
    pub fn wait_until_ready(&self) {
        let is_ready = eventually(|| http_get(self.admin, "/health/ready").is_some_and(|(status, _)| status == 200));
        assert!(is_ready, "node did not become ready; its log:\n{}", self.log());
    }

    /// What it has written to its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the node runs");
        let pid = Pid::from_raw(child.id() as i32).expect("a process id is not zero");
        kill_process(pid, signal).expect("the process is ours and runs");
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let status = self.wait();
        assert_eq!(status.signal(), Some(9));
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("the node runs");
        let mut status = None;
        let ended = eventually(|| {
            status = child.try_wait().expect("our own child can be waited for");
            status.is_some()
        });
        assert!(ended, "the node did not end; its log:\n{}", self.log());
        self.child = None;
        status.expect("it ended")
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs the binary to its end.
pub fn rondo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rondo"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the rondo binary starts")
}

/// Looks again and again whether `condition` holds, for at most [`SOON`].
pub fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < SOON {
        if condition() {
            return true;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    condition()
}

/// Says that a test cannot run here, past the harness's capture, so that the count of skips is true.
pub fn skip(why: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "SKIPPED {why}");
}

/// Status and body of a GET, or `None` if nobody answers.
pub fn http_get(server: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(server).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split_whitespace().nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n")?.1.to_owned();
    Some((status, body))
}

/// An address of 127.0.0.0/8 that no other test uses, so that ports never clash: process id and a count make it.
fn own_loopback_address() -> Ipv4Addr {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let pid = std::process::id();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, 1 + (pid % 250) as u8, 1 + (pid / 250 % 250) as u8, 1 + (count % 250) as u8)
}
