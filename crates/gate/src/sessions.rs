//! Whose an `Mcp-Session-Id` is: a session of one person is not to be used by another.
//!
//! By HTTP+SSE (MCP 2024-11-05) a session is a parameter of the address that the stream tells the client in its first event,
//! `/messages?session_id=..`. [`Address`] finds it there, and calls that carry it are bound alike. The upstream may read such
//! a parameter in several spellings (Python's UUID has many), so it is compared by its letters and digits.
//!
//! Remembered in this process, for sessions it saw begin; a bounded number, the least used forgotten first. With several
//! gates a session that began elsewhere is unknown here and passes: its upstream decides.

use grantd_oauth_types::Digest;

use crate::sse;

pub(crate) struct Sessions(moka::sync::Cache<Digest, std::sync::Arc<str>>);

impl Sessions {
    pub(crate) fn new() -> Self {
        Self(moka::sync::Cache::new(100_000))
    }

    /// The upstream opened a session for this person.
    pub(crate) fn opened(&self, resource: usize, session: &[u8], subject: &str) {
        self.0.insert(key(resource, session), subject.into());
    }

    /// The upstream told this person an address with this session in its query.
    pub(crate) fn opened_by_address(&self, resource: usize, session: &str, subject: &str) {
        self.0.insert(query_key(resource, session), subject.into());
    }

    /// Whether this person may use every session that a query names. Sessions are ASCII: other digits may be read as such.
    pub(crate) fn may_use_query(&self, resource: usize, query: &str, subject: &str) -> bool {
        in_query(query).iter().all(|session| {
            session.is_ascii() && self.0.get(&query_key(resource, session)).is_none_or(|owner| *owner == *subject)
        })
    }

    /// Whether this person may use the session.
    pub(crate) fn may_use(&self, resource: usize, session: &[u8], subject: &str) -> bool {
        self.0.get(&key(resource, session)).is_none_or(|owner| *owner == *subject)
    }
}

/// Whether a parameter names a session: `session_id`, `sessionId`, and what frameworks take for them (`sessionId[]`).
fn names_session(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    plain.to_ascii_lowercase().starts_with("sessionid")
}

/// The sessions in a query, read with either separator.
pub(crate) fn in_query(query: &str) -> Vec<String> {
    let split = query.replace(';', "&");
    [query, &split]
        .into_iter()
        .flat_map(|query| url::form_urlencoded::parse(query.as_bytes()))
        .filter(|(name, _)| names_session(name))
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// A session's letters and digits, without what a UUID or a number may begin with.
fn plain(session: &str) -> String {
    let letters = session.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    letters.replace("urn", "").replace("uuid", "").trim_start_matches(['0', 'x']).to_owned()
}

/// Looks for the address in the first event of a stream.
#[derive(Default)]
pub(crate) struct Address(sse::Splitter);

/// An address is in the first kilobytes, or nowhere.
const MAX: usize = 8 << 10;

impl Address {
    /// The sessions in the address, once the stream has told it, and none when it tells none. `None`: more is needed.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Option<Vec<String>> {
        self.0.push(piece.get(..MAX).unwrap_or(piece));
        while let Some(event) = self.0.next() {
            let event = String::from_utf8_lossy(&event);
            let data = sse::data(&event);
            match (sse::kind(&event), data.split_once('?')) {
                ("endpoint", Some((_, query))) => {
                    return Some(in_query(query.split('#').next().unwrap_or_default()));
                }
                ("endpoint", None) => return Some(Vec::new()),
                // A comment, such as a sign of life, is no event.
                _ if data.is_empty() => {}
                _ => return Some(Vec::new()),
            }
        }
        (self.0.held() > MAX).then(Vec::new)
    }
}

fn key(resource: usize, session: &[u8]) -> Digest {
    Digest::of(&[&resource.to_be_bytes()[..], session].concat())
}

/// Kept apart from the sessions of headers.
fn query_key(resource: usize, session: &str) -> Digest {
    key(resource, format!("?{}", plain(session)).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_an_address_is_its_persons_in_every_spelling() {
        let told = "endpoint: no\n\n: ping\n\nevent: endpoint\ndata: /messages?a=1&session_id=0b5d2c00d5e84d1fa8b9fbd6a1a1a1a1\n\n";
        let sessions = Sessions::new();
        for size in 1..told.len() {
            let mut address = Address::default();
            let found: Vec<_> =
                told.as_bytes().chunks(size).filter_map(|piece| address.push(piece)).flatten().collect();
            assert!(found.iter().any(|id| id == "0b5d2c00d5e84d1fa8b9fbd6a1a1a1a1"), "{size}: {found:?}");
            found.iter().for_each(|id| sessions.opened_by_address(1, id, "alice"));
        }
        for query in [
            "session_id=0b5d2c00d5e84d1fa8b9fbd6a1a1a1a1",
            "sessionId=0b5d2c00d5e84d1fa8b9fbd6a1a1a1a1",
            "session_id=0B5D2C00-D5E8-4D1F-A8B9-FBD6A1A1A1A1",
            "session_id=%7B0b5d2c00-d5e8-4d1f-a8b9-fbd6a1a1a1a1%7D",
            "session_id=urn:uuid:0b5d2c00-d5e8-4d1f-a8b9-fbd6a1a1a1a1",
            "session_id=+b5d2c00d5e84d1fa8b9fbd6a1a1a1a1",
            "%73ession_id=0b5d2c00d5e84d1fa8b9fbd6a1a1a1a%31",
            "sessionId[]=0b5d2c00d5e84d1fa8b9fbd6a1a1a1a1",
            "sessionId[0]=0b5d2c00d5e84d1fa8b9fbd6a1a1a1a1",
            "session_id=mine&session_id=0b5d2c00d5e84d1fa8b9fbd6a1a1a1a1",
            "a=1;session_id=0b5d2c00d5e84d1fa8b9fbd6a1a1a1a1",
        ] {
            assert!(sessions.may_use_query(1, query, "alice"), "{query}");
            assert!(!sessions.may_use_query(1, query, "mallory"), "{query}");
            assert!(sessions.may_use_query(2, query, "mallory"), "of another resource: {query}");
        }
        assert!(!sessions.may_use_query(1, "session_id=%D9%A0b5d2c00", "alice"), "digits that are not ASCII");
        assert!(sessions.may_use_query(1, "session_id=elsewhere", "mallory"), "began at another gate");
        assert!(sessions.may_use_query(1, "other=0b5d2c00d5e84d1fa8b9fbd6a1a1a1a1", "mallory"));
    }

    #[test]
    fn a_stream_without_an_address_is_not_held_in_memory() {
        for stream in ["data: {}\n\n", "event: endpoint\ndata: /messages\n\n", ": ping\n\ndata: a\n\n"] {
            let mut address = Address::default();
            assert_eq!(address.push(stream.as_bytes()), Some(Vec::new()), "{stream}");
        }
        let mut address = Address::default();
        assert!((0..200).any(|_| address.push(&[b'x'; 100]).is_some()));
    }
}
