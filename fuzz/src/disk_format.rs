//! A small file or page, as a disk gives it back: which format, whether somebody sealed it again, then the bytes.

use rondo_storage::foreign::Format;

/// A small file or page, as a disk gives it back.
pub fn disk_format(input: &[u8]) {
    let [choice, sealing, bytes @ ..] = input else { return };
    let format = Format::ALL[usize::from(*choice) % Format::ALL.len()];
    let mut bytes = bytes.to_vec();
    if sealing % 2 == 1 {
        format.seal(&mut bytes);
    }
    if let Some(taken) = format.read(&bytes) {
        assert_eq!(format.read(&taken).as_ref(), Some(&taken), "{format:?}");
    }
}

/// Good bytes of every format, to begin from: a name, then an input.
pub fn disk_samples() -> impl Iterator<Item = (String, Vec<u8>)> {
    Format::ALL.into_iter().enumerate().map(|(choice, format)| {
        let input = [&[choice as u8, 1], format.sample().as_slice()].concat();
        (format!("{format:?}"), input)
    })
}
