//! `docs/faults.md` has the moments and the troubles that the code knows, no more and no fewer.

use rondo_faults::damage::cell::Cell;
use rondo_faults::damage::table::Table;
use rondo_faults::matrix::{disk_rows, document, power_rows};
use rondo_storage::Engine;
use std::path::Path;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const REMEDY: &str = "run `rondo-faults matrix --write docs/faults.md`";

#[test]
fn the_damage_table_has_every_fault_in_every_file_of_both_engines() {
    let known =
        Engine::ALL.into_iter().flat_map(|engine| Cell::all(engine).into_iter().map(move |cell| (engine, cell)));
    let mut known: Vec<_> =
        known.map(|(engine, cell)| vec![engine.to_string(), cell.file.to_string(), cell.fault.to_string()]).collect();
    let mut written = document::rows(&text("docs/faults.md"), &Table::head(), 3);
    known.sort();
    written.sort();
    assert_eq!(written, known, "{REMEDY}");
}

#[test]
fn the_power_cut_table_has_every_moment() {
    let known = Engine::ALL.into_iter().flat_map(power_rows::rows).map(|row| row.to_vec());
    let written = document::rows(&text("docs/faults.md"), power_rows::HEAD, 3);
    assert_eq!(written, known.collect::<Vec<_>>(), "{REMEDY}");
}

#[test]
fn every_trouble_of_a_disk_names_a_test_that_exists() {
    let tests = text("tests/disk_faults/main.rs");
    for row in disk_rows::DISK_ROWS {
        assert!(tests.contains(&format!("fn {}(", row.test)), "tests/disk_faults/main.rs has no test {}", row.test);
    }
    let written = document::rows(&text("docs/faults.md"), disk_rows::HEAD, 1);
    let known = disk_rows::DISK_ROWS.iter().map(|row| vec![row.fault.to_owned()]);
    assert_eq!(written, known.collect::<Vec<_>>(), "{REMEDY}");
}
