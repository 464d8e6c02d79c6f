//! Records to bytes and back: JSON with a schema version, readable with `redis-cli`.
//!
//! Every stored value is `{"schema": 1, "<kind>": {...}}`. A reader refuses a schema newer than its own; an older one
//! would be migrated here. The shapes stand in the `shape` module, apart from the types of `grantd-core`, so that a rule can change
//! its types without changing what is stored.

use bytes::Bytes;
use grantd_core::{
    Announce, RecordKey,
    change::Record,
    records::{AccessRecord, Client, CodeRecord, Grant, PendingRequest, RefreshRecord, Session, UsedAssertion, User},
};

use crate::{Announcement, Key, StoreError};

mod shape;
mod text;

/// The schema this code writes.
pub const SCHEMA: u32 = 1;

/// The key of a record.
pub fn key(of: &RecordKey) -> Key {
    match of {
        RecordKey::Client(id) => Key::client(&id.key()),
        RecordKey::Request(id) => Key::request(&id.to_string()),
        RecordKey::Code(id, digest) => Key::code(&id.to_string(), &digest.to_string()),
        RecordKey::Access(id, digest) => Key::access(&id.to_string(), &digest.to_string()),
        RecordKey::Refresh(id, digest) => Key::refresh(&id.to_string(), &digest.to_string()),
        RecordKey::Grant(id) => Key::grant(&id.to_string()),
        RecordKey::Session(digest) => Key::session(&digest.to_string()),
        RecordKey::User(username) => Key::user(username),
        RecordKey::Assertion(digest) => Key::assertion(&digest.to_string()),
    }
}

/// The announcement of a rule.
pub fn announcement(of: &Announce) -> Announcement {
    match of {
        Announce::Revoked(id) => Announcement::RevokedGrant(id.to_string()),
        Announce::Superseded(id) => Announcement::SupersededGrant(id.to_string()),
        Announce::Changed(id) => Announcement::ChangedGrant(id.to_string()),
    }
}

/// The bytes of a record.
pub fn encode(record: Record) -> Result<Bytes, StoreError> {
    match record {
        Record::Client(record) => record.encode(),
        Record::Request(record) => record.encode(),
        Record::Code(record) => record.encode(),
        Record::Access(record) => record.encode(),
        Record::Refresh(record) => record.encode(),
        Record::Grant(record) => record.encode(),
        Record::Session(record) => record.encode(),
        Record::User(record) => record.encode(),
        Record::Assertion(record) => record.encode(),
    }
}

/// A record that can be stored.
pub trait Stored: Sized {
    /// The bytes.
    fn encode(self) -> Result<Bytes, StoreError>;
    /// Reads the bytes; [`StoreError::Corrupt`] when they are damaged or of a newer schema.
    fn decode(bytes: &[u8]) -> Result<Self, StoreError>;
}

#[derive(serde::Deserialize)]
struct SchemaOnly {
    schema: u32,
}

/// Tells a newer schema from damage.
fn unreadable(kind: &str, bytes: &[u8], error: &serde_json::Error) -> StoreError {
    match serde_json::from_slice::<SchemaOnly>(bytes) {
        Ok(SchemaOnly { schema }) if schema > SCHEMA => {
            StoreError::Corrupt(format!("a {kind} of schema {schema}; this grantd reads up to {SCHEMA}: upgrade it"))
        }
        // The text of a serde error may quote the value; its place is enough.
        _ => StoreError::Corrupt(format!("a damaged {kind} (line {}, column {})", error.line(), error.column())),
    }
}

macro_rules! stored {
    ($($type:ty, $kind:ident, $shape:literal;)+) => { $(
        const _: () = {
            #[derive(serde::Serialize, serde::Deserialize)]
            struct Envelope {
                schema: u32,
                #[serde(with = $shape)]
                $kind: $type,
            }

            impl Stored for $type {
                fn encode(self) -> Result<Bytes, StoreError> {
                    serde_json::to_vec(&Envelope { schema: SCHEMA, $kind: self })
                        .map(Bytes::from)
                        .map_err(|_| StoreError::Misuse("a record that cannot be encoded"))
                }

                fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
                    match serde_json::from_slice::<Envelope>(bytes) {
                        Ok(envelope) if envelope.schema <= SCHEMA => Ok(envelope.$kind),
                        Ok(envelope) => Err(StoreError::Corrupt(format!(
                            "a {} of schema {}; this grantd reads up to {SCHEMA}: upgrade it",
                            stringify!($kind), envelope.schema
                        ))),
                        Err(error) => Err(unreadable(stringify!($kind), bytes, &error)),
                    }
                }
            }
        };
    )+ };
}

stored! {
    Client, client, "shape::ClientShape";
    PendingRequest, request, "shape::RequestShape";
    CodeRecord, code, "shape::CodeShape";
    AccessRecord, access, "shape::AccessShape";
    RefreshRecord, refresh, "shape::RefreshShape";
    Grant, grant, "shape::GrantShape";
    Session, session, "shape::SessionShape";
    User, user, "shape::UserShape";
    UsedAssertion, assertion, "shape::AssertionShape";
}

#[cfg(test)]
mod tests;
