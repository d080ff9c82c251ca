//! `rondo-faults matrix`

use super::damage::DamageOptions;
use super::power_cuts::PowerCutsOptions;
use rondo_faults::damage::outcome::Outcome;
use rondo_faults::damage::table::Table;
use rondo_faults::matrix::{disk_rows, document, power_rows};
use std::fmt::Write;
use std::path::PathBuf;

/// Options of the command.
#[derive(clap::Args)]
pub struct MatrixOptions {
    #[command(flatten)]
    damage: DamageOptions,
    /// Power cuts for each engine.
    #[arg(long, default_value_t = 20)]
    cuts: u64,
    /// The binary of the node, whose power is cut [default: `rondo` beside this program].
    #[arg(long)]
    rondo: Option<PathBuf>,
    /// Put the matrix into this document, in place of the one that it has.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// True if nothing was violated.
pub fn run(options: &MatrixOptions) -> Result<bool, String> {
    let (mut violations, mut text) = (Vec::new(), String::new());
    let tables = options.damage.campaigns()?;
    for table in &tables {
        say(&mut text, &format!("`rondo-faults damage --seed {}`: {}.\n", options.damage.seed, table.summary()));
        violations.extend(table.violations.clone());
    }
    say(&mut text, &format!("\n{}", Table::head()));
    tables.iter().for_each(|table| say(&mut text, &table.markdown()));
    let cuts = PowerCutsOptions::for_matrix(&options.damage, options.cuts, options.rondo.clone());
    let summaries = cuts.summaries()?;
    say(&mut text, "\n### Power cuts\n\n");
    for (engine, summary) in &summaries {
        say(
            &mut text,
            &format!("`rondo-faults power-cuts --seed {}`: {}.\n", options.damage.seed, summary.line(*engine)),
        );
        violations.extend(summary.violations.clone());
    }
    say(&mut text, &format!("\n{}", power_rows::HEAD));
    summaries.iter().for_each(|(engine, summary)| say(&mut text, &power_rows::markdown(*engine, summary)));
    say(&mut text, &format!("\n### Disks in trouble\n\n{}{}", disk_rows::HEAD, disk_rows::markdown()));
    print!("{text}");
    for violation in &violations {
        println!("{} {violation}", Outcome::Violation.name().to_uppercase());
    }
    if let Some(path) = &options.write {
        document::write(path, &text)?;
    }
    Ok(violations.is_empty())
}

fn say(text: &mut String, more: &str) {
    text.write_str(more).expect("a string takes everything");
}
