//! The data directory.

use std::{
    fs::DirBuilder,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::Path,
};

use crate::error::Error;

/// Makes the data directory, for this user alone. One that is there already keeps its mode: it may be a mounted volume.
pub(crate) fn create(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(Error::because(format!(
        "cannot create the data directory {}; choose another with --data-dir",
        path.display()
    )))
}

/// The user this process runs as, as the owner of something it has just made.
pub(crate) fn owner_of(path: &Path) -> std::io::Result<u32> {
    Ok(std::fs::symlink_metadata(path)?.uid())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/data");
        create(&path).unwrap();
        create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
