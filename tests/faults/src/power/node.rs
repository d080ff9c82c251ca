//! A real `rondo serve` process with its data on an image.

use core::time::Duration;
use rondo_storage::Engine;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Longest wait for a node to become ready or to end.
const NODE_WITHIN: Duration = Duration::from_secs(60);
/// Longest wait for an answer of its admin port.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The memtable of the nodes: the smallest there is, so that checkpoints, new segments and merges are always near.
pub const MEMTABLE_BYTES: f64 = 1024.0 * 1024.0;

/// One node: where it lies, and the process if it runs.
#[derive(Debug)]
pub struct Node {
    program: PathBuf,
    data: PathBuf,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    /// Where clients connect.
    pub client: SocketAddr,
    admin: SocketAddr,
}

/// The addresses of node `index`: client, peers, admin. The host is one that no other process uses.
fn addresses(index: usize) -> [SocketAddr; 3] {
    let pid = std::process::id();
    let host = Ipv4Addr::new(127, 2 + (pid % 240) as u8, 1 + (pid / 240 % 240) as u8, 7);
    let port = 7600 + 10 * index as u16;
    [port, port + 1, port + 2].map(|port| SocketAddr::from((host, port)))
}

impl Node {
    /// Node `index` of `count`, with its data in `mount` and everything else beside it.
    ///
    /// # Errors
    /// The configuration could not be written.
    pub fn lay_out(program: &Path, mount: &Path, index: usize, count: usize) -> Result<Node, String> {
        let [client, peer, admin] = addresses(index);
        let nodes: Vec<String> = (0..count).map(|node| format!("\"n{node}={}@r{node}\"", addresses(node)[1])).collect();
        let (data, config) = (mount.join("data"), mount.with_file_name("rondo.toml"));
        let settings = format!(
            "cluster = \"faults\"\nname = \"n{index}\"\nrack = \"r{index}\"\ndata = {data:?}\nnodes = [{}]\n\
             listen = \"{client}\"\npeer-listen = \"{peer}\"\nadmin-listen = \"{admin}\"\n\
             memtable-mib = 1\ncache-mib = 1\nstore-cache-mib = 8\ndrain-seconds = 5\n",
            nodes.join(", ")
        );
        std::fs::write(&config, settings).map_err(|error| format!("cannot write {}: {error}", config.display()))?;
        let log = mount.with_file_name("node.log");
        Ok(Node { program: program.to_owned(), data, config, log, child: None, client, admin })
    }

    /// Starts the process without waiting.
    ///
    /// # Errors
    /// The binary cannot be run.
    pub fn launch(&mut self, engine: Engine, shards: u16) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("cannot run {}: {error}", self.program.display());
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--config").arg(&self.config).args(["--shards", &shards.to_string()]);
        command.args(["--engine", engine.name()]);
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        self.child = Some(command.spawn().map_err(failed)?);
        Ok(())
    }

    /// Waits until it is ready; an error is the end of its log.
    ///
    /// # Errors
    /// It ended, or was not ready in time.
    pub fn wait_until_ready(&mut self) -> Result<(), String> {
        let until = Instant::now() + NODE_WITHIN;
        while Instant::now() < until {
            if http_get(self.admin, "/health/ready").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                return Ok(());
            }
            if self.has_ended() {
                return Err(format!("it ended while it started:\n{}", self.log_end()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("it was not ready within {NODE_WITHIN:?}:\n{}", self.log_end()))
    }

    /// Has the process ended?
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()))
    }

    /// Is more in memory than one memtable? Then a checkpoint is under way.
    pub fn is_checkpointing(&self) -> bool {
        let metrics = http_get(self.admin, "/metrics").unwrap_or_default();
        let bytes = metrics.lines().filter(|line| line.starts_with("rondo_memtable_bytes"));
        bytes.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).any(|bytes| bytes > MEMTABLE_BYTES)
    }

    /// Asks it to stop, as a service manager does.
    pub fn ask_to_stop(&self) {
        if let Some(pid) = self.child.as_ref().and_then(|child| Pid::from_raw(child.id() as i32)) {
            // It may have ended by itself already.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It did not end in time, or not with success.
    pub fn wait_for_end(&mut self) -> Result<(), String> {
        let until = Instant::now() + NODE_WITHIN;
        while !self.has_ended() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = self.child.as_mut().map(|child| child.try_wait()).transpose().ok().flatten().flatten();
        match status {
            Some(status) if status.success() => Ok(()),
            status => Err(format!("it did not stop well ({status:?}):\n{}", self.log_end())),
        }
    }

    /// `kill -9`, if it runs.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts a command of the binary on its data directory, while it does not serve.
    ///
    /// # Errors
    /// The binary cannot be run.
    pub fn start_tool(&mut self, arguments: &[&str]) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("cannot run {}: {error}", self.program.display());
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--data").arg(&self.data).stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        self.child = Some(command.spawn().map_err(failed)?);
        Ok(())
    }

    /// What its directory keeps its objects in, as the node's own tool tells it.
    ///
    /// # Errors
    /// The tool failed, or named no engine.
    pub fn engine_in_force(&self) -> Result<Engine, String> {
        let output = Command::new(&self.program).args(["engine", "show", "--json", "--data"]).arg(&self.data).output();
        let output = output.map_err(|error| format!("cannot run {}: {error}", self.program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).replace(' ', "");
        let named = Engine::ALL.into_iter().find(|engine| text.contains(&format!("\"engine\":\"{engine}\"")));
        named.ok_or_else(|| format!("no engine in {text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The whole answer to a GET, or `None` if nobody answers.
fn http_get(server: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&server, ANSWER_WITHIN).ok()?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
