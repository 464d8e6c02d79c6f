//! Feeds what is kept of a fuzz target's inputs to its property. Part of the tests of each crate that has one.

use std::{fs, path::Path};

/// Gives every file of a target's corpus to its property. The file that breaks it is the last one printed.
pub(crate) fn replay(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds nothing", folder.display());
    for file in files {
        println!("{}", file.display());
        property(&fs::read(&file).unwrap());
    }
}
