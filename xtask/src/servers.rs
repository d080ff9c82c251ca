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
    /// Where it keeps its data: `nI` is the directory of node I.
    pub directory: PathBuf,
    /// How each node was started, and its admin port.
    commands: Vec<(Vec<String>, SocketAddr)>,
    program: PathBuf,
}

impl Cluster {
    /// Starts `count` nodes from `program` with data under `directory` and these `flags`, and waits until all are ready.
    pub fn start(
        program: &Path,
        directory: PathBuf,
        count: usize,
        shards: usize,
        flags: &[&str],
    ) -> Result<Cluster, String> {
        let mut addresses = Vec::new();
        for _ in 0..count {
            addresses.push([free_address()?, free_address()?, free_address()?]);
        }
        let list: Vec<String> =
            addresses.iter().enumerate().map(|(index, [_, peer, _])| format!("n{index}={peer}@r{index}")).collect();
        let command = |(index, [client, peer, admin]): (usize, &[SocketAddr; 3])| {
            let data = directory.join(format!("n{index}"));
            let said: Vec<String> = vec![
                "serve".to_owned(),
                format!("--name=n{index}"),
                format!("--rack=r{index}"),
                format!("--nodes={}", list.join(",")),
                format!("--data={}", data.display()),
                format!("--listen={client}"),
                format!("--peer-listen={peer}"),
                format!("--admin-listen={admin}"),
                format!("--shards={shards}"),
            ];
            (said.into_iter().chain(flags.iter().map(|&flag| flag.to_owned())).collect(), *admin)
        };
        let commands = addresses.iter().enumerate().map(command).collect();
        let mut cluster = Cluster { nodes: Vec::new(), directory, commands, program: program.to_owned() };
        for (index, [client, ..]) in addresses.iter().enumerate() {
            let node = cluster.spawn(index, *client)?;
            cluster.nodes.push(node);
        }
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    /// Kills node `index`: no clean stop.
    pub fn kill(&mut self, index: usize) {
        self.nodes[index].end();
    }

    /// Kills node `index` (no clean stop), starts it again, and gives the time from the start to its first answer "ready".
    pub fn restart_killed(&mut self, index: usize) -> Result<Duration, String> {
        self.nodes[index].end();
        let began = Instant::now();
        self.nodes[index] = self.spawn(index, self.nodes[index].address)?;
        self.wait_until_ready()?;
        Ok(began.elapsed())
    }

    /// The admin port of a node.
    pub fn admin(&self, index: usize) -> SocketAddr {
        self.commands[index].1
    }

    fn spawn(&self, index: usize, address: SocketAddr) -> Result<Server, String> {
        let spawned = Command::new(&self.program)
            .args(&self.commands[index].0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = spawned.map_err(|error| format!("cannot start {}: {error}", self.program.display()))?;
        Ok(Server { child, address })
    }

    fn wait_until_ready(&self) -> Result<(), String> {
        self.commands.iter().try_for_each(|(_, admin)| wait_for("rondo", || is_ready(*admin)))
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
    http_get(admin, "/health/ready").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The whole answer of an admin port, head included.
pub fn http_get(admin: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
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
