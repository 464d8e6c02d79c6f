//! The scripts, and the arguments of the one that commits.

use std::sync::LazyLock;

use fred::types::{Key, Value, scripts};
use grantd_store::{Batch, Precondition, StoreError};

use crate::{config::ClockOffset, record, watch};

/// A script, called by its digest.
pub(crate) struct Script(LazyLock<scripts::Script>);

impl Script {
    pub(crate) fn digest(&self) -> String {
        self.0.sha1().to_string()
    }

    pub(crate) fn text(&self) -> String {
        self.0.lua().map(ToString::to_string).unwrap_or_default()
    }
}

pub(crate) static READ: Script = Script(LazyLock::new(|| scripts::Script::from_lua(include_str!("scripts/read.lua"))));
pub(crate) static COMMIT: Script =
    Script(LazyLock::new(|| scripts::Script::from_lua(include_str!("scripts/commit.lua"))));
pub(crate) static INDEX_ADD: Script =
    Script(LazyLock::new(|| scripts::Script::from_lua(include_str!("scripts/index_add.lua"))));
pub(crate) static INDEX_REMOVE: Script =
    Script(LazyLock::new(|| scripts::Script::from_lua(include_str!("scripts/index_remove.lua"))));
pub(crate) static INDEX_LIST: Script =
    Script(LazyLock::new(|| scripts::Script::from_lua(include_str!("scripts/index_list.lua"))));

/// The clock's offset as an argument.
pub(crate) fn offset(offset: &ClockOffset) -> Value {
    offset.millis().to_string().into()
}

fn count(of: usize) -> Value {
    of.to_string().into()
}

/// Keys and arguments of the commit script, in the order that its head describes.
pub(crate) fn commit(batch: Batch, clock: &ClockOffset) -> Result<(Vec<Key>, Vec<Value>), StoreError> {
    let Batch { id, preconditions, puts, deletes, announce } = batch;
    let mut keys: Vec<Key> = Vec::with_capacity(preconditions.len() + puts.len() + deletes.len());
    let mut arguments = vec![
        offset(clock),
        record::version(id).into(),
        watch::CHANNEL.into(),
        count(preconditions.len()),
        count(puts.len()),
        count(deletes.len()),
    ];
    for precondition in preconditions {
        match precondition {
            Precondition::Version(key, version) => {
                keys.push(key.as_str().into());
                arguments.push(record::version(version).into());
            }
            Precondition::Absent(key) => {
                keys.push(key.as_str().into());
                arguments.push("-".into());
            }
        }
    }
    for put in puts {
        keys.push(put.key.as_str().into());
        arguments.push(record::expiry(put.expires_at).into());
        arguments.push(Value::Bytes(record::encode(id, put.expires_at, &put.value)));
    }
    keys.extend(deletes.iter().map(|key| Key::from(key.as_str())));
    arguments.extend(announce.iter().map(|announcement| Value::from(watch::encode(announcement))));
    Ok((keys, arguments))
}
