//! The text of a record: `{version} {expires_at} {value}`.
//!
//! The version is base64url (22 characters), the expiry milliseconds since 1970 or `-`; the value follows as it is.
//! `redis-cli GET` shows all three. The commit script reads the first two by the same rules.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use grantd_store::{CommitId, Entry, Key, StoreError, Timestamp};

/// The text of a version.
pub(crate) fn version(id: CommitId) -> String {
    URL_SAFE_NO_PAD.encode(id.0)
}

/// The text of an expiry.
pub(crate) fn expiry(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.0.to_string())
}

/// A record as Redis keeps it.
pub(crate) fn encode(id: CommitId, expires_at: Option<Timestamp>, value: &[u8]) -> Bytes {
    let head = format!("{} {} ", version(id), expiry(expires_at));
    [head.as_bytes(), value].concat().into()
}

/// A record as Redis kept it, expired or not.
pub(crate) fn decode(key: &Key, record: &Bytes) -> Result<Entry, StoreError> {
    parse(record).ok_or_else(|| {
        let kind = key.as_str().split(':').nth(1).unwrap_or_default();
        StoreError::Corrupt(format!("a record of kind {kind:?} does not begin as records do"))
    })
}

fn parse(record: &Bytes) -> Option<Entry> {
    let mut parts = record.splitn(3, |byte| *byte == b' ');
    let (id, at, value) = (parts.next()?, parts.next()?, parts.next()?);
    let version = CommitId(URL_SAFE_NO_PAD.decode(id).ok()?.try_into().ok()?);
    let expires_at = match at {
        b"-" => None,
        digits => Some(Timestamp(number(digits)?)),
    };
    Some(Entry { value: record.slice_ref(value), version, expires_at })
}

/// What `TIME` answers.
pub(crate) fn time(seconds: &[u8], micros: &[u8]) -> Result<Timestamp, StoreError> {
    let time = number(seconds).zip(number(micros));
    time.map(|(seconds, micros)| Timestamp(seconds.saturating_mul(1000).saturating_add(micros / 1000)))
        .ok_or_else(|| StoreError::Corrupt("Redis does not tell the time".into()))
}

/// As we write numbers: no sign, and no zeros before them. The commit script compares and computes with the text.
fn number(digits: &[u8]) -> Option<u64> {
    let canonical = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits.first() != Some(&b'0'));
    std::str::from_utf8(digits).ok().filter(|_| canonical)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_record() {
        let id = CommitId([0xff; 16]);
        assert_eq!(encode(id, None, b"{}"), "_____________________w - {}".as_bytes());
        assert_eq!(encode(id, Some(Timestamp(1234)), b""), "_____________________w 1234 ".as_bytes());
        for value in [&b""[..], b" ", b"a b\0\n\xff"] {
            for at in [None, Some(Timestamp(0)), Some(Timestamp(u64::MAX))] {
                let entry = decode(&Key::raw("oauth:test:x"), &encode(id, at, value)).unwrap();
                assert_eq!((&entry.value[..], entry.version, entry.expires_at), (value, id, at));
            }
        }
    }

    #[test]
    fn what_is_no_record_is_corrupt_and_not_shown() {
        for text in [
            "",
            "x",
            "_____________________w",
            "_____________________w -",
            "short - x",
            "_____________________w 1x secret",
        ] {
            let error = decode(&Key::raw("oauth:access:{id}:hash"), &Bytes::from(text)).unwrap_err();
            assert!(matches!(&error, StoreError::Corrupt(why) if why.contains("access")), "{text}: {error}");
            assert!(!error.to_string().contains("hash") && !error.to_string().contains("secret"), "{error}");
        }
    }
}
