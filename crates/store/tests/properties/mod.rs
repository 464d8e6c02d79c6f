//! What holds for every value of a store, whoever wrote it. Shared with the fuzz target, which includes this file by its
//! path.

use grantd_core::records::{
    AccessRecord, Client, CodeRecord, Grant, PendingRequest, RefreshRecord, Session, UsedAssertion, User,
};
use grantd_store::{
    StoreError,
    codec::{SCHEMA, Stored},
};

/// The input is the bytes of a record.
pub(crate) fn records(input: &[u8]) {
    let kinds = [
        is_read::<Client>(input),
        is_read::<PendingRequest>(input),
        is_read::<CodeRecord>(input),
        is_read::<AccessRecord>(input),
        is_read::<RefreshRecord>(input),
        is_read::<Grant>(input),
        is_read::<Session>(input),
        is_read::<User>(input),
        is_read::<UsedAssertion>(input),
    ];
    assert!(kinds.into_iter().filter(|is| *is).count() <= 1 || names_twice(input), "one value is two kinds of record");
}

/// Whether it is read; then it is written so that it is read the same, and from then on stays as it is.
fn is_read<T: Stored + Clone + PartialEq + std::fmt::Debug>(input: &[u8]) -> bool {
    let record = match T::decode(input) {
        Ok(record) => record,
        Err(error) => {
            // It goes into logs. `Corrupt` holds a kind, a place or a version, and nothing of the value.
            let StoreError::Corrupt(why) = &error else { panic!("{error:?}") };
            assert!(why.len() < 120 && why.bytes().all(|b| matches!(b, b' '..=b'~')), "{why}");
            return false;
        }
    };
    let written = record.clone().encode().expect("what was read can be written");
    assert!(written.starts_with(format!("{{\"schema\":{SCHEMA},\"").as_bytes()));
    let again = T::decode(&written).expect("what was written can be read");
    assert_eq!(again, record);
    assert_eq!(again.encode().expect("as before"), written);
    true
}

/// Members that a kind does not know are ignored, so a value may hold several records beside each other. None of ours
/// does.
fn names_twice(input: &[u8]) -> bool {
    let members: Result<std::collections::BTreeMap<String, serde_json::Value>, _> = serde_json::from_slice(input);
    members.is_ok_and(|members| members.len() > 2)
}
