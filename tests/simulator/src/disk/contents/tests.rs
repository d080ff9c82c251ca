//! What a power cut leaves behind.

use super::*;
use crate::random::Permille;
use core::time::Duration;

fn mix(kept: u16, garbled: u16) -> DiskMix {
    DiskMix {
        latency: (Duration::ZERO, Duration::ZERO),
        kept: Permille(kept),
        garbled: Permille(garbled),
        piece_bytes: 512,
    }
}

fn crash_after(synced: &[u8], wet: &[u8], mix: DiskMix) -> (Vec<u8>, CrashDamage) {
    let mut contents = Contents::default();
    let file = contents.create("log").expect("the name is free");
    let changes = contents.journal_end("");
    contents.sync_dir("", changes);
    contents.write(file, 0, synced.to_vec());
    let written = contents.written(file);
    contents.sync(file, written);
    contents.write(file, synced.len() as u64, wet.to_vec());
    let damage = contents.crash(&mix, &mut Random::from_seed(1));
    let file = contents.open("log").expect("its name was synced");
    (contents.read(file, 0, usize::MAX), damage)
}

#[test]
fn what_was_synced_survives_and_what_was_wet_is_lost() {
    let (left, damage) = crash_after(&[1; 512], &[2; 1024], mix(0, 0));
    assert_eq!(left, [1; 512]);
    assert_eq!(damage, CrashDamage { lost: 2, ..CrashDamage::default() });
}

#[test]
fn each_wet_piece_has_its_own_fate() {
    let (left, damage) = crash_after(&[1; 512], &[2; 20 * 512], mix(500, 500));
    assert_eq!(left[..512], [1; 512]);
    assert!(damage.kept > 0 && damage.lost > 0 && damage.garbled > 0, "{damage:?}");
}

#[test]
fn a_write_after_the_sync_began_stays_wet() {
    let mut contents = Contents::default();
    let file = contents.create("log").expect("the name is free");
    contents.write(file, 0, vec![1; 512]);
    let begun = contents.written(file);
    contents.write(file, 512, vec![2; 512]);
    contents.sync(file, begun);
    assert_eq!(contents.files[0].durable, [1; 512]);
    assert_eq!(contents.files[0].wet.len(), 1);
}

#[test]
fn a_crash_keeps_a_first_part_of_the_changes_of_names() {
    for seed in 0..20 {
        let mut contents = Contents::default();
        for name in ["a", "b", "c"] {
            contents.create(name).expect("the name is free");
        }
        contents.crash(&mix(0, 0), &mut Random::from_seed(seed));
        let left = contents.list("").expect("the root is there");
        assert!(["a", "b", "c"].starts_with(&left.iter().map(String::as_str).collect::<Vec<_>>()));
    }
}
