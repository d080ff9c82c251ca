//! Servers that the benchmark starts, waits for, and always ends again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer for the first time.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A child process that ends with its owner.
pub struct Server {
    child: Child,
    /// Where it takes requests.
    pub address: SocketAddr,
}

impl Server {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The echo of this very program.
    pub fn echo(sizes: (usize, usize)) -> Result<Server, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .args(["echo-server", "--request-bytes", &sizes.0.to_string(), "--reply-bytes", &sizes.1.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the echo server: {error}"))?;
        let output = child.stdout.take().expect("stdout was asked to be piped");
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address).map_err(|error| error.to_string())?;
        let address = address.trim().parse().map_err(|error| format!("echo server said {address:?}: {error}"))?;
        Ok(Server { child, address })
    }

    /// A redis-server without persistence; `None` where there is none on this machine.
    pub fn redis() -> Result<Option<Server>, String> {
        let address = free_address()?;
        let spawned = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .stdout(Stdio::null())
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot start redis-server: {error}")),
        };
        let server = Server { child, address };
        wait_for("redis-server", || TcpStream::connect(address).is_ok())?;
        Ok(Some(server))
    }

    /// Ends it at once.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A rondo cluster on loopback, each node with one shard unless told otherwise.
pub struct Cluster {
    /// Its nodes, in order.
    pub nodes: Vec<Server>,
    directory: PathBuf,
}

impl Cluster {
    /// Starts `count` nodes from `program` with data under `directory`, and waits until all are ready.
    pub fn start(program: &Path, directory: PathBuf, count: usize, shards: usize) -> Result<Cluster, String> {
        let mut addresses = Vec::new();
        for _ in 0..count {
            addresses.push([free_address()?, free_address()?, free_address()?]);
        }
        let list: Vec<String> =
            addresses.iter().enumerate().map(|(index, [_, peer, _])| format!("n{index}={peer}@r{index}")).collect();
        let mut nodes = Vec::new();
        for (index, [client, peer, admin]) in addresses.iter().enumerate() {
            let child = Command::new(program)
                .arg("serve")
                .args(["--name", &format!("n{index}"), "--rack", &format!("r{index}"), "--nodes", &list.join(",")])
                .args(["--data", &directory.join(format!("n{index}")).to_string_lossy()])
                .args(["--listen", &client.to_string(), "--peer-listen", &peer.to_string()])
                .args(["--admin-listen", &admin.to_string(), "--shards", &shards.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
            nodes.push(Server { child, address: *client });
        }
        let cluster = Cluster { nodes, directory };
        for [_, _, admin] in &addresses {
            wait_for("rondo", || is_ready(*admin))?;
        }
        Ok(cluster)
    }

    /// The client addresses, separated by commas.
    pub fn addresses(&self) -> String {
        self.nodes.iter().map(|node| node.address.to_string()).collect::<Vec<_>>().join(",")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.clear();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("no free port: {error}"))?;
    listener.local_addr().map_err(|error| error.to_string())
}

fn is_ready(admin: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(admin)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) -> Result<(), String> {
    let start = Instant::now();
    while !is_there() {
        if start.elapsed() > READY_WITHIN {
            return Err(format!("{what} was not ready within {} s", READY_WITHIN.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
