//! What the kernel says about a process: CPU time and resident memory.

use std::fs;

/// Kernel ticks of `/proc` a second; Linux has said 100 to user space on every architecture since 2.6.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds (user and system, all threads) that process `pid` has used so far.
pub fn cpu_seconds(pid: u32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The command's name stands in parentheses and may hold spaces: count fields behind it.
    let fields = stat.rsplit(')').next().unwrap_or("");
    let ticks = |index: usize| fields.split_whitespace().nth(index).and_then(|field| field.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS_PER_SECOND),
        _ => Err(format!("{path} has an unknown shape")),
    }
}

/// Resident memory of process `pid`, in bytes.
pub fn resident_bytes(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| kib * 1024)
        .ok_or_else(|| format!("{path} has no VmRSS"))
}

/// Bytes that process `pid` has had written to devices so far.
pub fn written_bytes(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/io");
    let io = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    io.lines()
        .find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
        .ok_or_else(|| format!("{path} has no write_bytes"))
}
