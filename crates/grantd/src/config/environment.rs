//! The environment as a layer of the configuration: `GRANTD_TOKENS__ACCESS_TTL=1h` is `tokens.access_ttl = "1h"`.

use std::{collections::BTreeMap, path::Path};

use super::{Secret, secret_files};

/// Every variable of ours starts so.
pub(crate) const PREFIX: &str = "GRANTD_";

/// The key that facade and token service share.
pub(crate) const SERVICE_KEY: &str = "GRANTD_SERVICE_KEY";

/// The password of the user that the first start creates.
pub(crate) const OWNER_PASSWORD: &str = "GRANTD_OWNER_PASSWORD";

/// Variables of ours that are no keys of the configuration; the secrets among them may be read from files.
const OTHERS: [&str; 5] =
    ["GRANTD_CONFIG", OWNER_PASSWORD, "GRANTD_OWNER_PASSWORD_FILE", SERVICE_KEY, "GRANTD_SERVICE_KEY_FILE"];

/// The variables of ours. Read once, at start, and passed on as a value.
#[derive(Default)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of the process. A value that is no UTF-8 cannot be one of ours.
    pub(crate) fn of_process() -> Self {
        Self::new(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// From names and values; empty values count as unset, as everywhere in containers.
    pub(crate) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = |(name, value): &(String, String)| name.starts_with(PREFIX) && !value.trim().is_empty();
        Self(variables.into_iter().filter(ours).collect())
    }

    /// The same where a service key is set. `None` where one is already.
    pub(crate) fn with_a_service_key(&self) -> Option<Self> {
        if self.0.keys().any(|name| name.starts_with(SERVICE_KEY)) {
            return None;
        }
        let key = (SERVICE_KEY.to_owned(), "-".repeat(64));
        Some(Self(self.0.clone().into_iter().chain([key]).collect()))
    }

    /// One of them.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The secret in a variable, or in the file that the variable `NAME_FILE` names; with the name of the one that said it.
    /// The error names the variable to change.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<(Secret, String)>, String> {
        let by_file = format!("{name}_FILE");
        match (self.get(name), self.get(&by_file)) {
            (None, None) => Ok(None),
            (Some(value), None) => Ok(Some((Secret::from(value), name.to_owned()))),
            (None, Some(file)) => match secret_files::read(Path::new(file)) {
                Ok(secret) => Ok(Some((secret, by_file))),
                Err(reason) => Err(format!("{by_file}: {reason}")),
            },
            (Some(_), Some(_)) => Err(format!("{by_file}: {name} is set as well: set one of the two")),
        }
    }

    /// The variables that are keys, as paths and values.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (Vec<String>, toml::Value)> {
        self.0.iter().filter_map(|(name, value)| {
            let rest = name.strip_prefix(PREFIX)?;
            if OTHERS.contains(&name.as_str()) || is_service_link(rest, value) {
                return None;
            }
            Some((rest.to_lowercase().split("__").map(str::to_owned).collect(), read(value)))
        })
    }
}

/// The variable of a key.
pub(crate) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.to_uppercase().replace('.', "__"))
}

/// Whether Kubernetes made this variable: it puts `GRANTD_PORT_8080_TCP_ADDR` and the like into every pod beside a
/// service that is called `grantd`.
fn is_service_link(rest: &str, value: &str) -> bool {
    let under = |suffix: &str| rest == suffix || rest.ends_with(&format!("_{suffix}"));
    let port = rest.split_once("PORT_").is_some_and(|(_, after)| {
        after.split('_').next().is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    });
    !rest.contains("__")
        && (under("SERVICE_HOST")
            || under("SERVICE_PORT")
            || rest.contains("SERVICE_PORT_")
            || port
            || (under("PORT") && value.contains("://")))
}

/// A value as TOML where it plainly is TOML (a boolean, a number, an array, an inline table), else as text.
fn read(value: &str) -> toml::Value {
    let plain = value == "true" || value == "false" || value.parse::<i64>().is_ok();
    let nested = value.starts_with('[') || value.starts_with('{');
    let parsed = (plain || nested).then(|| format!("it = {value}").parse::<toml::Table>().ok()).flatten();
    parsed.and_then(|mut table| table.remove("it")).unwrap_or_else(|| toml::Value::String(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_keys() {
        let variables = Variables::new(
            [
                ("GRANTD_TOKENS__ACCESS_TTL", "1h"),
                ("GRANTD_FACADE__ISS_PARAMETER", "false"),
                ("GRANTD_FACADE__TRUSTED_REDIRECT_HOSTS", "[\"a.example\"]"),
                ("GRANTD_LISTEN", ""),
                ("GRANTD_OWNER_PASSWORD", "secret"),
                ("GRANTD_SERVICE_KEY", "12345678901234567890123456789012"),
                ("GRANTD_OWNER_PASSWORD_FILE", "/run/secrets/owner-password"),
                ("GRANTD_STORE__URL_FILE", "/run/secrets/redis-url"),
                ("GRANTD_SERVICE_HOST", "10.0.0.1"),
                ("GRANTD_PORT", "tcp://10.0.0.1:8080"),
                ("GRANTD_PORT_8080_TCP_ADDR", "10.0.0.1"),
                ("GRANTD_FACADE_SERVICE_PORT_HTTP", "8080"),
                ("GRANTD_TOKEN_SERVICE_PORT_8081_TCP", "tcp://10.0.0.2:8081"),
                ("PATH", "/bin"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let keys: Vec<_> = variables.keys().map(|(path, value)| (path.join("."), value)).collect();
        assert_eq!(
            keys,
            [
                ("facade.iss_parameter".to_owned(), toml::Value::Boolean(false)),
                ("facade.trusted_redirect_hosts".to_owned(), toml::Value::Array(vec!["a.example".into()])),
                ("store.url_file".to_owned(), "/run/secrets/redis-url".into()),
                ("tokens.access_ttl".to_owned(), "1h".into()),
            ]
        );
        let (key, said_by) = variables.secret(SERVICE_KEY).unwrap().unwrap();
        assert_eq!((key.expose().len(), said_by.as_str()), (32, SERVICE_KEY));
        assert_eq!(variable("tokens.access_ttl"), "GRANTD_TOKENS__ACCESS_TTL");
    }
}
