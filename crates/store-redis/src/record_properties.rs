//! What holds for every text that Redis may keep as a record. Shared with the fuzz target, which includes this file and
//! `record.rs` by their paths: the module is private.

use bytes::Bytes;
use grantd_store::{Key, StoreError};

use super::record;

/// What was written is read, and what is read was written so.
pub(crate) fn redis_record(input: &[u8]) {
    let bytes = Bytes::copy_from_slice(input);
    let entry = match record::decode(&Key::access("grant", "hash"), &bytes) {
        Ok(entry) => entry,
        Err(error) => {
            let StoreError::Corrupt(why) = error else { panic!("{error:?}") };
            assert_eq!(why, "a record of kind \"access\" does not begin as records do");
            return;
        }
    };
    assert!(input.ends_with(&entry.value));
    let again = record::encode(entry.version, entry.expires_at, &entry.value);
    // The commit script reads version and expiry by its own rules, so there must be one way to write them.
    assert_eq!(&again[..], input);
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    #[test]
    fn redis_record() {
        super::replay::replay("redis_record", super::redis_record);
    }
}
