//! `grantd backup`: the embedded store in another file, or on standard output.
//!
//! 1. The process that has the store open writes the copy, to a file that it is told.
//! 2. For standard output (`-`) that file is beside the store, and passed on from there: so a copy can be taken out of a
//!    container that holds no other program. It has lost its name by then, so nothing is left of it, however this ends.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use grantd_proto::v1::BackupRequest;

use crate::{
    admin::client::{Admin, Store, request_id, told},
    cli::Backup,
    config::Config,
    error::Error,
    terminal,
};

/// Does what was asked.
pub(crate) async fn run(command: Backup) -> Result<(), Error> {
    let config = command.target.load()?;
    if command.file == Path::new("-") {
        return to_standard_output(&config).await;
    }
    let what = format!("cannot back up to {}", command.file.display());
    let mut admin = Admin::connect(&config, Store::MustExist).await?;
    let (path, records) = write(&mut admin, &command.file, what).await?;
    terminal::say(&format!("Wrote {records} records to {}.", path.display()));
    Ok(())
}

async fn to_standard_output(config: &Config) -> Result<(), Error> {
    if terminal::is_read_by_a_person() {
        return Err(Error::Usage("the copy is no text: send it to a file (grantd backup - > FILE)".to_owned()));
    }
    let mut admin = Admin::connect(config, Store::MustExist).await?;
    let name = format!("backup-{}.tmp", URL_SAFE_NO_PAD.encode(request_id()?));
    let (path, _) = write(&mut admin, &config.data_dir.join(name), "cannot back up".to_owned()).await?;
    let passed_on = tokio::task::spawn_blocking(move || {
        let copy = fs::File::open(&path);
        fs::remove_file(&path)?;
        io::copy(&mut copy?, &mut io::stdout().lock())
    });
    let passed_on = passed_on.await.map_err(io::Error::from).flatten();
    passed_on.map(drop).map_err(Error::because("cannot pass the copy on"))
}

/// Has the copy written; gives the absolute path, and how many records there are.
async fn write(admin: &mut Admin, file: &Path, what: String) -> Result<(PathBuf, u64), Error> {
    // The running process has a working directory of its own.
    let path = std::path::absolute(file).map_err(Error::because(what.clone()))?;
    let text = path.to_str().ok_or_else(|| Error::failed(format!("{what}: the path is not UTF-8")))?.to_owned();
    let done = admin.operator.backup(BackupRequest { path: text }).await.map_err(told(what))?.into_inner();
    Ok((path, done.records))
}
