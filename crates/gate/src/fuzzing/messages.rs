//! Messages in the body of a POST, the headers that repeat them, and what the rules make of both.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use grantd_oauth_types::ScopeSet;
use serde::{
    Deserializer as _,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    GateRule,
    message::{self, Message},
    mirrored,
    rules::{self, Names},
};

/// A call at a resource with rules. The input is headers, a line each, then an empty line and the body.
pub fn message(input: &[u8]) {
    let at = input.windows(2).position(|two| two == b"\n\n");
    let (head, body) = at.and_then(|at| Some((input.get(..at)?, input.get(at + 2..)?))).unwrap_or((b"", input));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    framing(&headers);
    match message::read(body) {
        Ok(messages) => {
            read(body, &messages);
            repeated(&headers, &messages);
        }
        Err(fault) => {
            assert!(fault.text.len() < 1000 && !fault.text.chars().any(char::is_control), "{:?}", fault.text);
            is_id(fault.id.as_deref());
        }
    }
}

/// As a server behind CGI folds names.
fn folds_to(name: &HeaderName, other: &str) -> bool {
    super::folded(name.as_str()) == other
}

/// What was let in says that it is JSON, once, and has nothing around it.
fn framing(headers: &HeaderMap) {
    if message::framing(headers).is_err() {
        return;
    }
    let kinds: Vec<_> = headers.iter().filter(|(name, _)| folds_to(name, "content-type")).collect();
    assert!(matches!(&kinds[..], [(_, kind)] if kind.as_bytes().to_ascii_lowercase().starts_with(b"application/json")));
    assert!(!headers.keys().any(|name| folds_to(name, "content-encoding")));
    let said = kinds.first().map_or("", |(_, kind)| kind.to_str().unwrap_or_default()).to_ascii_lowercase();
    assert_eq!(said.matches("charset").count(), said.matches("utf-8").count(), "{said}");
}

/// An id is repeated as it was written, so it is one plain value.
fn is_id(id: Option<&str>) {
    let Some(id) = id else { return };
    assert!(id.len() <= 256 && !id.starts_with(['{', '[']), "{id}");
    assert!(serde_json::from_str::<&RawValue>(id).is_ok_and(|read| read.get() == id), "{id}");
}

/// Readers of other makes: which member they take for a name.
const TAKES: [fn(&str, &str) -> bool; 5] = [
    |key, name| key == name,
    |key, name| key.to_uppercase() == name.to_uppercase(),
    |key, name| key.to_lowercase() == name.to_lowercase(),
    |key, name| key.split('\0').next() == Some(name),
    |key, name| key.replace(['_', '-', ' '], "").eq_ignore_ascii_case(name),
];

/// And which of several.
type Picks = fn(Vec<&RawValue>) -> Option<&RawValue>;
const PICKS: [Picks; 2] = [|found| found.first().copied(), |found| found.last().copied()];

/// The members of an object, all of them, in their order. `None`: it is none.
fn object(json: &str) -> Option<Vec<(String, &RawValue)>> {
    struct All;
    impl<'de> Visitor<'de> for All {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(member) = map.next_entry::<String, &RawValue>()? {
                all.push(member);
            }
            Ok(all)
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(All).ok()
}

/// Whatever the upstream reads JSON with, it executes what was judged.
fn read(body: &[u8], messages: &[Message]) {
    let Ok(text) = std::str::from_utf8(body) else { unreachable!("it was read") };
    let batch: Result<Vec<&RawValue>, _> = serde_json::from_str(text);
    let parts = batch.as_ref().map_or_else(|_| vec![text], |batch| batch.iter().map(|one| one.get()).collect());
    assert!((1..=1000).contains(&messages.len()));
    assert_eq!(parts.len(), messages.len());
    for (part, message) in parts.iter().zip(messages) {
        is_id(message.id.as_deref());
        assert!(message.method.as_ref().is_none_or(|method| method.bytes().all(|byte| byte.is_ascii_graphic())));
        assert!(!message.names.iter().any(|name| name.chars().any(char::is_control)));
        for takes in TAKES {
            for picks in PICKS {
                let get = |json: &str, name: &str| -> Option<String> {
                    let all = object(json)?;
                    let found = all.iter().filter(|(key, _)| takes(key, name)).map(|(_, value)| *value).collect();
                    picks(found).map(|value| value.get().to_owned())
                };
                let text = |json: Option<String>| json.and_then(|json| serde_json::from_str::<String>(&json).ok());
                let method = text(get(part, "method"));
                assert_eq!(message.method, method, "{part}");
                let member = match method.unwrap_or_default().to_ascii_lowercase().as_str() {
                    "tools/call" | "prompts/get" => "name",
                    "resources/read" | "resources/subscribe" | "resources/unsubscribe" => "uri",
                    "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => "taskId",
                    _ => continue,
                };
                let named = text(get(part, "params").and_then(|params| get(&params, member)));
                assert_eq!(named.as_slice(), message.names, "{part}");
            }
        }
    }
    // Blanks around it, and a batch of one, say the same.
    let again = |text: &str| message::read(text.as_bytes()).ok();
    assert_eq!(again(&format!(" \r\n\t{text} \n")).as_deref(), Some(messages));
    if batch.is_err() {
        // One level more may be one too many.
        let one = again(&format!("[{text}]"));
        assert!(one.is_none_or(|one| one == messages));
    }
}

/// What headers say that were let through beside this body is what the body says; and where headers stand for the body,
/// they ask for at least what it does.
fn repeated(headers: &HeaderMap, messages: &[Message]) {
    if mirrored::agree(headers, messages).is_err() {
        return;
    }
    let said = |name: &str| -> Vec<&HeaderValue> {
        headers.iter().filter(|(known, _)| folds_to(known, name)).map(|(_, value)| value).collect()
    };
    let (methods, names) = (said("mcp-method"), said("mcp-name"));
    assert!(methods.len() <= 1 && names.len() <= 1);
    for message in messages {
        let agrees = |value: &&HeaderValue| value.to_str().ok().map(str::trim) == message.method.as_deref();
        assert!(methods.iter().all(agrees));
        assert!(names.is_empty() || !message.names.is_empty());
    }
    let Ok((method, name)) = mirrored::trusted(headers) else { return };
    let of = |methods: &[&str], names: &[&str], scope: &str| GateRule {
        methods: methods.iter().map(|text| (*text).to_owned()).collect(),
        names: names.iter().map(|text| (*text).to_owned()).collect(),
        scopes: ScopeSet::parse_lenient(scope),
    };
    let rules = [
        of(&["tools/*"], &["a*", "*b"], "one"),
        of(&["resources/*"], &["file:///a/*", "!file:///a/b*"], "two"),
        of(&[], &["!a*"], "three"),
        of(&["!ping"], &[], "four"),
    ];
    let name = name.map(|name| [name]);
    let by_headers = rules::needed(&rules, &method, name.as_ref().map_or(Names::Unknown, |name| Names::These(name)));
    // Where one body has one message: a header cannot stand for several.
    if let [only] = messages
        && only.method.is_some()
    {
        assert!(by_headers.contains_all(&rules::needed_by_all(&rules, messages)), "{only:?}");
    }
}
