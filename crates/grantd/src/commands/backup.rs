//! `grantd backup`: the embedded store in another file.

use grantd_proto::v1::BackupRequest;

use crate::{
    admin::client::{Admin, Store, told},
    cli::Backup,
    error::Error,
    terminal,
};

/// Does what was asked.
pub(crate) async fn run(command: Backup) -> Result<(), Error> {
    let what = format!("cannot back up to {}", command.file.display());
    // The running process has a working directory of its own.
    let path = std::path::absolute(&command.file).map_err(Error::because(what.clone()))?;
    let path = path.to_str().ok_or_else(|| Error::failed(format!("{what}: the path is not UTF-8")))?.to_owned();
    let mut admin = Admin::connect(&command.target.load()?, Store::MustExist).await?;
    let done = admin.operator.backup(BackupRequest { path: path.clone() }).await.map_err(told(what))?.into_inner();
    terminal::say(&format!("Wrote {} records to {path}.", done.records));
    Ok(())
}
