//! Secrets from files: what systemd (`LoadCredential`), containers and Kubernetes mount, so that no secret stands in an
//! environment, where child processes and `inspect` commands show it.
//!
//! 1. Beside each secret there is a key or a variable of the same name that ends in `_file`: `store.url_file`,
//!    `token_service.key_file`, `[[token_service.caller]] key_file`, `GRANTD_SERVICE_KEY_FILE`, `GRANTD_OWNER_PASSWORD_FILE`.
//! 2. A file is read once, at start. White space around its content is left out.
//! 3. A secret that is given both ways is refused, because one of the two is out of date.

use std::{io::Read as _, path::Path};

use serde::{Deserialize as _, de::IntoDeserializer as _};

use super::{
    Secret,
    load::Sources,
    problems::Problems,
    store::{Store, StoreUrl},
    token_service::TokenService,
};

/// No secret is longer; whatever is was named by mistake.
const LONGEST: u64 = 64 * 1024;

/// Reads a secret. The error says what is wrong with the file, and nothing of what is in it.
pub(crate) fn read(file: &Path) -> Result<Secret, String> {
    let refuse = |what: &str| format!("{}: {what}", file.display());
    let unreadable = |error: std::io::Error| refuse(&format!("it cannot be read: {error}"));
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LONGEST) {
        return Err(refuse("it is too long for a secret"));
    }
    match std::str::from_utf8(&bytes).map(str::trim) {
        Ok("") => Err(refuse("it is empty")),
        Ok(text) => Ok(Secret::from(text)),
        Err(_) => Err(refuse("it is no text (UTF-8)")),
    }
}

impl Store {
    /// Takes `url` from `url_file`.
    pub(super) fn read_secrets(&mut self, sources: &Sources, problems: &mut Problems) {
        let Some(file) = &self.url_file else { return };
        if sources.has("store.url") {
            return problems.add("store.url_file", "store.url is set as well: set one of the two");
        }
        match read(file) {
            Ok(secret) => match StoreUrl::deserialize(secret.expose().into_deserializer()) {
                Ok(url) => self.url = url,
                Err(error) => {
                    let error: serde::de::value::Error = error;
                    problems.add("store.url_file", format!("{}: {error}", file.display()));
                }
            },
            Err(reason) => problems.add("store.url_file", reason),
        }
    }
}

impl TokenService {
    /// Takes `key` from `key_file`, for both ends.
    pub(super) fn read_secrets(&mut self, problems: &mut Problems) {
        const BOTH: &str = "key is set as well: set one of the two";
        if let Some(file) = &self.key_file {
            match read(file) {
                _ if self.key.is_some() => problems.add("token_service.key_file", BOTH),
                Ok(key) => self.key = Some(key),
                Err(reason) => problems.add("token_service.key_file", reason),
            }
        }
        for (at, caller) in self.caller.iter_mut().enumerate() {
            let Some(file) = &caller.key_file else { continue };
            let path = format!("token_service.caller[{at}].key_file");
            match read(file) {
                _ if !caller.key.expose().is_empty() => problems.add(path, BOTH),
                Ok(key) => caller.key = key,
                Err(reason) => problems.add(path, reason),
            }
        }
    }
}
