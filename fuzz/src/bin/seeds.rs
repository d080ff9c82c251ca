//! Writes the corpora that fuzzing begins from: `seeds DIRECTORY`.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let directory = PathBuf::from(env::args_os().nth(1).unwrap_or_else(|| "corpus".into()));
    for target in rondo_fuzz::targets() {
        let corpus = directory.join(target.name);
        fs::create_dir_all(&corpus)?;
        for (name, bytes) in target.seeds {
            fs::write(corpus.join(name), bytes)?;
        }
    }
    Ok(())
}
