//! Reads file, environment and flags, and merges them, from weak to strong.
//!
//! Every value remembers where it came from, so that an error names the place to change and not just the key.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Config, Purpose, Variables,
    environment::{self, SERVICE_KEY},
    keys,
    problems::{ConfigError, Problem, Problems},
};

/// A flag that sets a key.
#[derive(Debug, Clone)]
pub(crate) struct Flag {
    /// As typed, such as `--listen`.
    pub(crate) name: &'static str,
    /// The key it sets, such as `listen`.
    pub(crate) key: &'static str,
    /// What was given.
    pub(crate) value: String,
}

/// Everything a configuration is read from.
#[derive(Default)]
pub(crate) struct Input<'a> {
    /// The file, if one was named.
    pub(crate) file: Option<&'a Path>,
    /// The environment.
    pub(crate) variables: Option<&'a Variables>,
    /// The command line.
    pub(crate) flags: Vec<Flag>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Environment,
    ServiceKey(String),
    Flag(&'static str),
}

/// Where each value came from, by its path. Of tables only an empty one is a value: what else stands in a table may come
/// from elsewhere, and is not to blame for what is missing.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The file that was read.
    file: Option<PathBuf>,
    said: BTreeMap<String, Source>,
}

impl Sources {
    /// Whether anybody set this key.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.said.contains_key(path)
    }

    /// The place to change a key at, for an error.
    fn place(&self, path: &str) -> String {
        // What was said of the key itself, of the array or table it was said in, or of what is in it.
        let mut above = std::iter::successors(Some(path), |whole| Some(whole.split_at(whole.rfind(['.', '['])?).0));
        let within = || self.said.keys().map(String::as_str).find(|key| is_within(key, path));
        let Some(said) = above.find(|whole| self.said.contains_key(*whole)).or_else(within) else {
            // A default: the file is where most would change it.
            return self.file.as_ref().map_or(path.to_owned(), |file| format!("{}: {path}", file.display()));
        };
        match self.said.get(said) {
            Some(Source::Flag(name)) => (*name).to_owned(),
            Some(Source::ServiceKey(variable)) => variable.clone(),
            Some(Source::Environment) if said == path => environment::variable(path),
            Some(Source::Environment) => format!("{}: {path}", environment::variable(said)),
            Some(Source::File(file)) => format!("{}: {path}", file.display()),
            None => path.to_owned(),
        }
    }

    /// Notes where a value came from, instead of what a weaker place said of it.
    fn set(&mut self, path: String, source: &Source) {
        self.said.retain(|key, _| !is_within(key, &path));
        self.said.insert(path, source.clone());
    }
}

/// Whether a key is below a table or in an array.
fn is_within(key: &str, whole: &str) -> bool {
    key.strip_prefix(whole).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// Reads, merges, completes and checks.
pub(crate) fn load(input: Input<'_>, purpose: Purpose) -> Result<Config, ConfigError> {
    let mut merged = toml::Table::new();
    let mut sources = Sources { file: input.file.map(Path::to_owned), ..Sources::default() };
    let mut unknown = Vec::new();
    let schema = keys::schema();

    if let Some(path) = input.file {
        let table = read_file(path)?;
        keys::unknown(&table, &schema, "", &mut |key, meant| {
            let meant = meant.map(|meant| format!("; did you mean `{meant}`?"));
            unknown.push(format!("{}: `{key}` is no key of grantd{}", path.display(), advice(meant)));
        });
        merge(&mut merged, table, "", &Source::File(path.to_owned()), &mut sources);
    }
    if let Some(variables) = input.variables {
        for (path, value) in variables.keys() {
            let table = nest(&path, value);
            keys::unknown(&table, &schema, "", &mut |key, meant| {
                let meant = meant.map(|meant| format!("; did you mean {}?", environment::variable(&meant)));
                unknown.push(format!("{}: this is no setting of grantd{}", environment::variable(&key), advice(meant)));
            });
            merge(&mut merged, table, "", &Source::Environment, &mut sources);
        }
    }
    for flag in input.flags {
        let path: Vec<_> = flag.key.split('.').map(str::to_owned).collect();
        let table = nest(&path, toml::Value::String(flag.value));
        merge(&mut merged, table, "", &Source::Flag(flag.name), &mut sources);
    }
    if !unknown.is_empty() {
        return Err(ConfigError(unknown));
    }

    let mut config: Config = serde_path_to_error::deserialize(toml::Value::Table(merged)).map_err(|error| {
        let path = error.path().to_string();
        ConfigError(vec![format!("{}: {}", sources.place(&path), error.inner().message())])
    })?;
    let mut problems = Problems::default();
    config.store.read_secrets(&sources, &mut problems);
    config.token_service.read_secrets(&mut problems);
    let service_key = input.variables.map(|variables| variables.secret(SERVICE_KEY)).transpose();
    match service_key.map(Option::flatten) {
        Ok(Some((key, variable))) => config.token_service.adopt(key, &variable, purpose, &mut sources),
        Ok(None) => {}
        Err(reason) => problems.add("", reason),
    }
    // What would follow from a secret that could not be read is no news.
    if problems.0.is_empty() {
        config.complete(purpose, &sources, &mut problems);
        config.check(purpose, &mut problems);
    }
    if problems.0.is_empty() {
        return Ok(config);
    }
    let said = |Problem { key, text }: Problem| match key.as_str() {
        "" => text,
        key => format!("{}: {text}", sources.place(key)),
    };
    Err(ConfigError(problems.0.into_iter().map(said).collect()))
}

impl Sources {
    /// Notes that a key came from `GRANTD_SERVICE_KEY`, or the variable that names its file.
    pub(crate) fn set_by_service_key(&mut self, path: String, variable: &str) {
        self.said.insert(path, Source::ServiceKey(variable.to_owned()));
    }
}

fn advice(meant: Option<String>) -> String {
    meant.unwrap_or_else(|| "; config.default.toml lists every key".to_owned())
}

fn read_file(path: &Path) -> Result<toml::Table, ConfigError> {
    let refuse = |what: String| ConfigError(vec![format!("{}: {what}", path.display())]);
    let text = std::fs::read_to_string(path).map_err(|error| refuse(format!("it cannot be read: {error}")))?;
    // The parser's error shows the line, and so may show a secret in it; the position and the reason will do.
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        let at = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        refuse(format!("{at}this is no TOML: {}", error.message()))
    })
}

/// A table that holds one value at a path.
fn nest(path: &[String], value: toml::Value) -> toml::Table {
    match path {
        [] => toml::Table::new(),
        [key] => toml::Table::from_iter([(key.clone(), value)]),
        [key, rest @ ..] => toml::Table::from_iter([(key.clone(), toml::Value::Table(nest(rest, value)))]),
    }
}

/// Puts `from` over `into`; tables are merged, everything else is replaced whole.
fn merge(into: &mut toml::Table, from: toml::Table, prefix: &str, source: &Source, sources: &mut Sources) {
    for (key, value) in from {
        let path = keys::join(prefix, &key);
        match value {
            toml::Value::Table(table) if !table.is_empty() => {
                let below = into.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                // A stronger table replaces a weaker text: a scope may be either.
                if !below.is_table() {
                    *below = toml::Value::Table(toml::Table::new());
                }
                // A value no more, where it was one.
                sources.said.remove(&path);
                if let toml::Value::Table(below) = below {
                    merge(below, table, &path, source, sources);
                }
            }
            // An empty table says nothing of what a weaker one holds.
            toml::Value::Table(empty) if into.get(&key).is_some_and(toml::Value::is_table) => drop(empty),
            value => {
                into.insert(key, value);
                sources.set(path, source);
            }
        }
    }
}
