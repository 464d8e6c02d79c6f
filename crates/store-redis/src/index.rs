//! Indexes: two sorted sets each, in one slot.
//!
//! Redis orders members by name only among equal scores, and finds expired ones only by score. So `names` holds every
//! member with score 0 (`ZRANGEBYLEX` pages through it from any name, stable while members come and go), and `expiries`
//! holds the same members scored by when they expire. A listing pages through the first and asks the second, looking
//! at no more than [`VISITED`] members a call; an addition sweeps up to 100 expired members from both, and sets both
//! to expire with their last member.

use bytes::Bytes;
use fred::types::{Key, Value};
use grantd_store::{Index, IndexPage, StoreError, Timestamp};

use crate::{config::ClockOffset, script};

/// How many members a listing looks at, live or expired, before it answers a short page.
const VISITED: usize = 4096;

/// The keys of an index: names, expiries. The hash tag of the second is what Redis Cluster hashes of the first.
pub(crate) fn keys(index: &Index) -> Vec<Key> {
    let name = index.as_str();
    let slot = grantd_store::Key::raw(name);
    let expiries = if slot.slot() == name {
        format!("oauth:index-expiry:{{{name}}}")
    } else {
        format!("oauth:index-expiry:{}", name.trim_start_matches("oauth:index:"))
    };
    vec![name.into(), expiries.into()]
}

/// When a member expires, as a score.
pub(crate) fn score(expires_at: Option<Timestamp>) -> Value {
    expires_at.map_or_else(|| "+inf".to_owned(), |at| at.0.to_string()).into()
}

pub(crate) fn list_arguments(offset: &ClockOffset, after: Option<&str>, limit: usize) -> Vec<Value> {
    let from = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
    vec![script::offset(offset), from.into(), limit.to_string().into(), VISITED.to_string().into()]
}

/// What the listing script answered.
pub(crate) fn page(answer: Vec<Bytes>) -> Result<IndexPage, StoreError> {
    let mut texts = answer.into_iter().map(|text| String::from_utf8(text.into()));
    let corrupt = |_| StoreError::Corrupt("an index holds what is no text".into());
    let more = texts.next().transpose().map_err(corrupt)?;
    let next = texts.next().transpose().map_err(corrupt)?;
    let members = texts.collect::<Result<Vec<_>, _>>().map_err(corrupt)?;
    Ok(IndexPage { members, next: next.filter(|_| more.as_deref() == Some("1")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_keys_of_an_index_are_in_one_slot() {
        for (index, expiries) in [
            (Index::clients(), "oauth:index-expiry:{oauth:index:clients}"),
            (Index::grants_of_subject("s:1"), "oauth:index-expiry:grants-of-subject:{s:1}"),
            (Index::grants_of_client("c"), "oauth:index-expiry:grants-of-client:{c}"),
        ] {
            let [names, expiry] = &keys(&index)[..] else { panic!("two keys") };
            assert_eq!(expiry.as_str(), Some(expiries));
            assert_eq!(names.cluster_hash(), expiry.cluster_hash());
        }
    }
}
