//! Durable puts of 1 KB under ever new keys: plain engines, nodes, and what no node could be faster than.
//!
//! The cases take turns, so that a neighbour who is loud for a while disturbs all of them alike; the table has medians.

use serde_json::Value;

use super::{ENGINES, HOT_KEYS, MANY_KEYS, StorageOptions, cluster_of, load, metric, number, plain};
use crate::proc::written_bytes;

/// Writers at once, each waiting for its put.
const WRITERS: [usize; 2] = [1, 64];

/// What is measured.
#[derive(Clone, Copy)]
enum Case {
    /// An engine used directly, or the disk alone.
    Plain(&'static str, &'static str),
    /// A node on this engine.
    Node(&'static str),
}

/// One measurement, or the median of some, each figure for itself.
#[derive(Clone, Copy)]
struct Figures {
    puts_per_second: f64,
    cpu_micros: f64,
    device_bytes: f64,
    /// Not a number where no latency is measured.
    p99_9_micros: f64,
}

/// Prints the table, and what the disk and the network leave room for.
pub fn measure(options: &StorageOptions) -> Result<(), String> {
    println!(
        "| durable puts of 1 KB, new keys, median of {} | writers | puts/s | x plain sled | CPU/put | device bytes/put | p99.9 |",
        options.rounds
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let (mut sled_alone, mut disk_alone) = (f64::NAN, f64::NAN);
    for writers in WRITERS {
        let cases = cases(writers);
        let mut measured: Vec<Vec<Figures>> = cases.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.rounds {
            for (case, measured) in cases.iter().zip(&mut measured) {
                measured.push(run(*case, writers, options)?);
            }
        }
        let medians: Vec<Figures> = measured.iter().map(|figures| median_of(figures)).collect();
        let sled = medians[0].puts_per_second;
        cases.iter().zip(&medians).for_each(|(case, figures)| print(*case, writers, figures, sled));
        if writers == 1 {
            (sled_alone, disk_alone) = (sled, medians[2].puts_per_second);
        }
    }
    let request_micros = request_alone(options)?;
    let least_micros = 1e6 / disk_alone + request_micros;
    println!(
        "\nOne writer waits for a request and its reply ({request_micros:.0} us for a cached get) and for the disk ({:.0} us, mean): {least_micros:.0} us together, so {:.0} puts/s at most, {:.1} x plain sled.",
        1e6 / disk_alone,
        1e6 / least_micros,
        1e6 / least_micros / sled_alone,
    );
    Ok(())
}

/// Plain sled comes first: the others are measured by it.
fn cases(writers: usize) -> Vec<Case> {
    let mut cases = vec![Case::Plain("sled", "plain sled + fdatasync"), Case::Plain("fjall", "plain fjall")];
    if writers == 1 {
        cases.push(Case::Plain("disk", "the disk alone: 4 KB over written blocks, fdatasync"));
    }
    cases.extend(ENGINES.map(Case::Node));
    cases
}

fn run(case: Case, writers: usize, options: &StorageOptions) -> Result<Figures, String> {
    match case {
        Case::Plain(engine, _) => {
            let row = plain(engine, writers, options)?;
            Ok(Figures {
                puts_per_second: number(&row, "puts_per_second"),
                cpu_micros: number(&row, "cpu_micros_per_put"),
                device_bytes: number(&row, "written_bytes_per_put"),
                p99_9_micros: f64::NAN,
            })
        }
        Case::Node(engine) => run_node(engine, writers, options),
    }
}

fn run_node(engine: &str, writers: usize, options: &StorageOptions) -> Result<Figures, String> {
    let cluster = cluster_of(engine)?;
    let before = written_bytes(cluster.nodes[0].pid())?;
    let result = load(&cluster, options, &["--reads", "0", "--keys", MANY_KEYS], writers)?;
    // Warm-up writes too: the bytes of all puts by the puts of the whole run.
    let bytes = written_bytes(cluster.nodes[0].pid())?.saturating_sub(before) as f64;
    let puts = metric(&cluster, "rondo_requests_total{core=\"0\",kind=\"put\"}");
    Ok(Figures {
        puts_per_second: number(&result["put"], "per_second"),
        cpu_micros: number(&result, "server_cpu_micros_per_operation"),
        device_bytes: bytes / puts.max(1.0),
        p99_9_micros: number(&result["put"], "p99.9_micros"),
    })
}

/// The usual time of a request that asks no disk, over one connection, in microseconds.
fn request_alone(options: &StorageOptions) -> Result<f64, String> {
    let cluster = cluster_of(ENGINES[0])?;
    super::fill_hot_keys(&cluster)?;
    let result: Value = load(&cluster, options, &["--reads", "1", "--keys", HOT_KEYS], 1)?;
    Ok(number(&result["get"], "p50_micros"))
}

fn median_of(figures: &[Figures]) -> Figures {
    let median = |figure: fn(&Figures) -> f64| {
        let mut sorted: Vec<f64> = figures.iter().map(figure).collect();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    Figures {
        puts_per_second: median(|figures| figures.puts_per_second),
        cpu_micros: median(|figures| figures.cpu_micros),
        device_bytes: median(|figures| figures.device_bytes),
        p99_9_micros: median(|figures| figures.p99_9_micros),
    }
}

fn print(case: Case, writers: usize, figures: &Figures, sled: f64) {
    let name = match case {
        Case::Plain(_, name) => name.to_owned(),
        Case::Node(engine) => format!("rondo, {engine}"),
    };
    let Figures { puts_per_second: rate, cpu_micros, device_bytes, p99_9_micros } = figures;
    let tail = if p99_9_micros.is_nan() { String::new() } else { format!("{:.1} ms", p99_9_micros / 1e3) };
    println!(
        "| {name} | {writers} | {rate:.0} | {:.1} | {cpu_micros:.1} us | {device_bytes:.0} | {tail} |",
        rate / sled
    );
}
