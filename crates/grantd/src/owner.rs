//! The first user, `owner`: made by the first start, with a password that somebody can find.
//!
//! 1. With users in the store there is nothing to do.
//! 2. The password is `GRANTD_OWNER_PASSWORD`, or in the file that `GRANTD_OWNER_PASSWORD_FILE` names, or it is made up and written to `DATA_DIR/owner-password` first, so that a
//!    crash in between leaves no user whose password nobody knows.
//! 3. The user is created; should another replica have been first, the file is taken away again.

use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use grantd_core::users::{self, check_password};
use grantd_token_service::{OWNER, OwnerOutcome, Service};
use rand::{TryRng as _, rngs::SysRng};

use crate::{
    config::{OWNER_PASSWORD, Variables},
    error::Error,
    terminal,
};

/// Makes sure that somebody can sign in.
pub(crate) async fn ensure(service: &Service, data_dir: &Path) -> Result<(), Error> {
    let failed = || Error::because("cannot create the first user");
    if service.has_users().await.map_err(Error::because("cannot read the users from the store"))? {
        return Ok(());
    }
    if let Some((password, variable)) = password_from(&Variables::of_process())? {
        if service.ensure_owner(password).await.map_err(failed())? == OwnerOutcome::Created {
            tracing::info!(event = "owner.created", "created the user {OWNER:?} with the password in {variable}");
        }
        return Ok(());
    }
    let password = make_up()?;
    let file = password_file(data_dir);
    write(&file, &password).map_err(Error::because(format!("cannot write {}", file.display())))?;
    match service.ensure_owner(password.clone()).await.map_err(failed())? {
        OwnerOutcome::Created => {
            tracing::info!(event = "owner.created", file = %file.display(), "created the user {OWNER:?}; its password is in the file");
            // A log, a container's output: others read those. A person at a terminal may see it.
            if terminal::is_read_by_a_person() {
                terminal::say(&format!("\n  Sign in as  {OWNER}\n  Password    {password}\n"));
            }
        }
        OwnerOutcome::Exists => {
            let _ = std::fs::remove_file(&file);
        }
    }
    Ok(())
}

/// Where a made-up password is.
pub(crate) fn password_file(data_dir: &Path) -> PathBuf {
    data_dir.join("owner-password")
}

/// Takes the file away when the password in it is no longer right. Nothing to do for other users.
pub(crate) fn forget_password(data_dir: &Path, username: &str) -> Result<(), Error> {
    if users::username(username).as_deref() != Ok(OWNER) {
        return Ok(());
    }
    let file = password_file(data_dir);
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::because(format!(
            "the password in {} is no longer right; cannot remove it",
            file.display()
        ))(error)),
        _ => Ok(()),
    }
}

/// Checks the variables before anything is opened or listened on.
pub(crate) fn check_variables() -> Result<(), Error> {
    password_from(&Variables::of_process()).map(drop)
}

/// The password, and the variable that said it.
fn password_from(variables: &Variables) -> Result<Option<(String, String)>, Error> {
    match variables.secret(OWNER_PASSWORD).map_err(Error::Usage)? {
        None => Ok(None),
        Some((password, variable)) => {
            // A password in a variable is taken to the letter: white space at its ends was typed.
            let password = variables.get(OWNER_PASSWORD).unwrap_or(password.expose());
            match check_password(password) {
                Ok(()) => Ok(Some((password.to_owned(), variable))),
                Err(reason) => Err(Error::Usage(format!("{variable}: {reason}"))),
            }
        }
    }
}

/// 100 bits in groups that can be read out loud: no letter looks like a digit.
fn make_up() -> Result<String, Error> {
    const LETTERS: [char; 32] = [
        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j', 'k', 'm', 'n', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y',
        'z', '2', '3', '4', '5', '6', '7', '8', '9', '0',
    ];
    let mut random = [0_u8; 20];
    SysRng.try_fill_bytes(&mut random).map_err(Error::because("the system gave no randomness"))?;
    let letters = random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32)));
    let mut password = String::new();
    for (at, letter) in letters.enumerate() {
        if at > 0 && at % 4 == 0 {
            password.push('-');
        }
        password.push(*letter);
    }
    Ok(password)
}

/// Readable by nobody else from its first moment on; a file of an earlier start is replaced whole.
fn write(file: &Path, password: &str) -> std::io::Result<()> {
    let new = file.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut handle = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    writeln!(handle, "{password}")?;
    handle.sync_all()?;
    std::fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn made_up_passwords_are_readable_and_differ() {
        let (one, two) = (make_up().unwrap(), make_up().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 24);
        assert!(one.split('-').all(|group| group.len() == 4), "{one}");
        check_password(&one).unwrap();
    }

    #[test]
    fn the_file_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = password_file(dir.path());
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        write(&file, "abcd-efgh").unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "abcd-efgh\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_weak_variable_is_refused() {
        let from = |value: &str| password_from(&Variables::new([(OWNER_PASSWORD.to_owned(), value.to_owned())]));
        assert!(from("short").is_err());
        assert_eq!(from("").unwrap(), None);
        assert_eq!(from("long enough").unwrap(), Some(("long enough".to_owned(), OWNER_PASSWORD.to_owned())));
    }

    #[test]
    fn the_password_may_be_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let variable = format!("{OWNER_PASSWORD}_FILE");
        let from = || password_from(&Variables::new([(variable.clone(), file.path().display().to_string())]));
        std::fs::write(file.path(), "short\n").unwrap();
        let error = from().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{variable}: ")) && !error.contains("short\n"), "{error}");
        std::fs::write(file.path(), "long enough\n").unwrap();
        assert_eq!(from().unwrap(), Some(("long enough".to_owned(), variable.clone())));
    }
}
