//! The JSON-RPC messages in the body of a POST: their methods, and what they name.
//!
//! What the gate reads must be what the upstream will execute, whatever reads JSON there. So anything that two readers could
//! read differently is refused:
//!
//! 1. [`framing`]: the body is JSON in UTF-8 and says so, without an encoding around it.
//! 2. [`read`]: one value and nothing around it, not too deep. A message is an object; a batch is an array of them.
//! 3. A member that decides (`method`, `params`, and what is named in there) stands there once, and none beside it differs
//!    only by case, punctuation or a character that folds to its name: some readers take those for the same.
//! 4. A method is printable ASCII, and a name has no control characters.
//!
//! Members that decide nothing, such as a tool's arguments, are not looked into. What a call needs is for [`crate::rules`].

use std::fmt;

use axum::http::{HeaderMap, StatusCode};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::headers::folded;

/// serde_json refuses deeper values, and so do many upstreams.
const MAX_DEPTH: usize = 128;
/// The longest method, in bytes.
pub(crate) const MAX_METHOD: usize = 256;
/// The most messages of a batch, and the most URIs that one request listens to. Each is compared with each rule.
const MAX_MANY: usize = 1000;
/// The longest id that an error repeats, in bytes.
const MAX_ID: usize = 256;

/// A message, as far as it decides what is needed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Message {
    /// Absent for a response: the answer to a question of the server.
    pub(crate) method: Option<String>,
    /// What it names: a tool, a prompt, the URI of a resource, a task. Several where one request listens to several.
    pub(crate) names: Vec<String>,
    /// Its id, as it was written.
    pub(crate) id: Option<String>,
}

/// Why a body is refused, as JSON-RPC says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    pub(crate) code: i32,
    pub(crate) text: String,
    /// Of the message that is at fault, where it is known.
    pub(crate) id: Option<String>,
}

/// JSON-RPC 2.0 §5.1.
const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0 §5.1.
pub(crate) const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC 2.0 §5.1.
const INVALID_PARAMS: i32 = -32602;

impl Fault {
    pub(crate) fn new(code: i32, text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, text: text.into(), id: None }
    }

    fn unsupported(text: &str) -> Self {
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, ..Self::new(INVALID_REQUEST, text) }
    }

    pub(crate) fn of(mut self, message: &Message) -> Self {
        self.id.clone_from(&message.id);
        self
    }
}

/// What clients may call in MCP, of every revision up to 2026-07-28 and of its tasks extension, and whether it names
/// something. For who checks a configuration: other methods are possible.
pub const METHODS: [(&str, bool); 27] = [
    ("completion/complete", true),
    ("initialize", false),
    ("logging/setLevel", false),
    ("notifications/cancelled", false),
    ("notifications/elicitation/complete", false),
    ("notifications/initialized", false),
    ("notifications/message", false),
    ("notifications/progress", false),
    ("notifications/roots/list_changed", false),
    ("notifications/tasks/status", false),
    ("ping", false),
    ("prompts/get", true),
    ("prompts/list", false),
    ("resources/list", false),
    ("resources/read", true),
    ("resources/subscribe", true),
    ("resources/templates/list", false),
    ("resources/unsubscribe", true),
    ("server/discover", false),
    ("subscriptions/listen", true),
    ("tasks/cancel", true),
    ("tasks/get", true),
    ("tasks/list", false),
    ("tasks/result", true),
    ("tasks/update", true),
    ("tools/call", true),
    ("tools/list", false),
];

/// Where the names of a method are. Methods of every revision up to 2026-07-28, and of its tasks extension.
enum Named {
    /// This member of `params`.
    Member(&'static str),
    /// `params.ref`, which has a name or a URI.
    Reference,
    /// `params.notifications.resourceSubscriptions`: any number of URIs.
    Subscriptions,
    Nothing,
}

fn named_by(method: &str) -> Named {
    match method.to_ascii_lowercase().as_str() {
        "tools/call" | "prompts/get" => Named::Member("name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Named::Member("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => Named::Member("taskId"),
        "completion/complete" => Named::Reference,
        "subscriptions/listen" => Named::Subscriptions,
        _ => Named::Nothing,
    }
}

/// Whether a method has a name that its `Mcp-Name` header repeats (MCP 2026-07-28, and SEP-2663 for tasks).
pub(crate) fn is_mirrored(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read" | "tasks/get" | "tasks/update" | "tasks/cancel")
}

/// Refuses a body that the upstream could decode into another than the one that was read.
pub(crate) fn framing(headers: &HeaderMap) -> Result<(), Fault> {
    // A server behind CGI takes `Content_Encoding` for the same header.
    let all = |name: &'static str| headers.iter().filter(move |(known, _)| folded(known.as_str()) == name);
    if all("content-encoding").next().is_some() {
        return Err(Fault::unsupported("send the body without a Content-Encoding"));
    }
    let mut kinds = all("content-type").map(|(_, value)| value.to_str().unwrap_or_default());
    match (kinds.next(), kinds.next()) {
        (Some(kind), None) if is_json(kind) => Ok(()),
        _ => Err(Fault::unsupported("send one Content-Type: application/json, in UTF-8")),
    }
}

fn is_json(kind: &str) -> bool {
    let mut parts = kind.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let charset = match (parts.next(), parts.next()) {
        (None | Some(""), None) => "utf-8",
        (Some(parameter), None) => match parameter.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("charset") => value.trim_matches('"'),
            _ => return false,
        },
        _ => return false,
    };
    media.eq_ignore_ascii_case("application/json") && charset.eq_ignore_ascii_case("utf-8")
}

/// Reads a body: one message, or a batch of at least one.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Message>, Fault> {
    let text = std::str::from_utf8(body).map_err(|_| Wrong::unreadable("it is not UTF-8"))?;
    if is_too_deep(body) {
        return Err(Wrong::unreadable(format!("it is nested deeper than {MAX_DEPTH}")).into());
    }
    if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('[') {
        return Ok(vec![message(text)?]);
    }
    let batch: Vec<&RawValue> = serde_json::from_str(text).map_err(Wrong::from)?;
    if batch.is_empty() || batch.len() > MAX_MANY {
        return Err(Fault::new(INVALID_REQUEST, format!("a batch is not empty, and has at most {MAX_MANY} messages")));
    }
    batch.into_iter().map(|raw| message(raw.get())).collect()
}

/// What is wrong with a value.
struct Wrong {
    /// It is no JSON.
    unreadable: bool,
    text: String,
}

impl Wrong {
    fn unreadable(what: impl fmt::Display) -> Self {
        Self { unreadable: true, text: format!("the body is not one JSON value: {what}") }
    }
}

impl From<String> for Wrong {
    fn from(text: String) -> Self {
        Self { unreadable: false, text }
    }
}

impl From<serde_json::Error> for Wrong {
    /// Errors of this reader tell the place, not the content.
    fn from(error: serde_json::Error) -> Self {
        match error.is_data() {
            true => "a message, its params and their parts are objects".to_owned().into(),
            false => Self::unreadable(error),
        }
    }
}

impl From<Wrong> for Fault {
    fn from(wrong: Wrong) -> Self {
        Self::new(if wrong.unreadable { PARSE_ERROR } else { INVALID_REQUEST }, wrong.text)
    }
}

/// Brackets outside of strings; whether they match is for the reader.
fn is_too_deep(body: &[u8]) -> bool {
    // Most bodies have few brackets, and counting them is cheap.
    if body.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

fn message(json: &str) -> Result<Message, Fault> {
    let invalid = |text: &str| Fault::new(INVALID_REQUEST, text);
    let [method, params, id, result, error, _] =
        members(json, ["method", "params", "id", "result", "error", "jsonrpc"])?;
    let id = id.map(RawValue::get).filter(|id| id.len() <= MAX_ID && !id.starts_with(['{', '['])).map(str::to_owned);
    let mut message = Message { method: None, names: Vec::new(), id };
    let Some(method) = method else {
        return match (result, error) {
            (None, None) => Err(invalid("a message needs a method").of(&message)),
            _ => Ok(message),
        };
    };
    let method = text(method)
        .filter(|method| (1..=MAX_METHOD).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| invalid("a method is a short text of printable ASCII characters").of(&message))?;
    message.names = names(&method, params).map_err(|why| Fault::new(INVALID_PARAMS, why.text).of(&message))?;
    message.method = Some(method);
    Ok(message)
}

/// What a request names. A request that must name something and does not is refused.
fn names(method: &str, params: Option<&RawValue>) -> Result<Vec<String>, Wrong> {
    let missing =
        |name: &str| Wrong::from(format!("params.{name} of {method} must be a text without control characters"));
    let params = params.filter(|params| params.get().starts_with('{'));
    let required = |place: &str, found: Option<&RawValue>| found.and_then(name).ok_or_else(|| missing(place));
    match (named_by(method), params) {
        (Named::Nothing, _) | (Named::Subscriptions, None) => Ok(Vec::new()),
        (Named::Member(place), params) => {
            let [found] = params.map_or(Ok([None]), |params| members(params.get(), [place]))?;
            Ok(vec![required(place, found)?])
        }
        (Named::Reference, params) => {
            let [reference] = params.map_or(Ok([None]), |params| members(params.get(), ["ref"]))?;
            let [name, uri] =
                reference.ok_or_else(|| missing("ref")).and_then(|it| members(it.get(), ["name", "uri"]))?;
            let found: Result<Vec<_>, _> =
                [name, uri].into_iter().flatten().map(|it| required("ref", Some(it))).collect();
            found.and_then(|found| if found.is_empty() { Err(missing("ref")) } else { Ok(found) })
        }
        (Named::Subscriptions, Some(params)) => {
            let place = "notifications.resourceSubscriptions";
            let [filter] = members(params.get(), ["notifications"])?;
            let Some(filter) = filter.filter(|filter| filter.get() != "null") else { return Ok(Vec::new()) };
            let [uris] = members(filter.get(), ["resourceSubscriptions"])?;
            let Some(uris) = uris.filter(|uris| uris.get() != "null") else { return Ok(Vec::new()) };
            let uris: Vec<&RawValue> = serde_json::from_str(uris.get()).map_err(|_| missing(place))?;
            if uris.len() > MAX_MANY {
                return Err(format!("listen to at most {MAX_MANY} resources in one request").into());
            }
            uris.into_iter().map(|uri| required(place, Some(uri))).collect()
        }
    }
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn name(raw: &RawValue) -> Option<String> {
    text(raw).filter(|name| !name.chars().any(char::is_control))
}

/// These members of an object, each at most once; others that some reader would take for one of them are refused.
fn members<'a, const N: usize>(json: &'a str, known: [&'static str; N]) -> Result<[Option<&'a RawValue>; N], Wrong> {
    struct Known<const N: usize>([&'static str; N]);

    impl<'de, const N: usize> Visitor<'de> for Known<N> {
        type Value = Result<[Option<&'de RawValue>; N], String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut found, mut fault) = ([None; N], None);
            while let Some(Key(key)) = map.next_key()? {
                let value: &RawValue = map.next_value()?;
                let exact = self.0.iter().position(|known| *known == key);
                match exact.and_then(|at| found.get_mut(at)) {
                    Some(Some(_)) => fault = Some(format!("the member {key:?} is there twice")),
                    Some(place) => *place = Some(value),
                    None => {
                        if let Some(known) = self.0.iter().find(|known| looks_like(&key, known)) {
                            fault = Some(format!("a member looks like {known:?} and is spelled otherwise"));
                        }
                    }
                }
            }
            Ok(fault.map_or(Ok(found), Err))
        }
    }

    let mut reader = serde_json::Deserializer::from_str(json);
    let found = reader.deserialize_map(Known(known))?;
    reader.end()?;
    Ok(found?)
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

/// Whether some reader could take `key` for `known`: by case, in the alphabets that fold to ASCII too, or because it drops
/// punctuation, or ends at a NUL.
fn looks_like(key: &str, known: &str) -> bool {
    let fold = |text: &str| -> String {
        let upper = text.chars().flat_map(char::to_uppercase);
        upper.flat_map(char::to_lowercase).filter(char::is_ascii_alphanumeric).collect()
    };
    if key.is_ascii() && key.len() < known.len() {
        return false;
    }
    let (folded, known) = (fold(key), fold(known));
    folded == known || (key.contains('\0') && folded.starts_with(&known))
}

#[cfg(test)]
mod tests;
