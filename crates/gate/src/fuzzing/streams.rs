//! What an upstream answers, where it is looked at: event streams, lists of tools, and the sessions of addresses.

use grantd_oauth_types::ScopeSet;
use serde_json::{Value, json};

use crate::{
    GateRule,
    hidden::{Events, Hidden},
    sessions::{self, Address, Sessions},
    sse::{self, Splitter},
};

/// An event stream. The input's first byte says in what pieces the rest arrives.
pub fn stream(input: &[u8]) {
    let Some((size, stream)) = input.split_first() else { return };
    let size = usize::from(*size).max(1);
    let events = |size: usize| {
        let (mut splitter, mut events) = (Splitter::default(), Vec::new());
        for piece in stream.chunks(size) {
            splitter.push(piece);
            while let Some(event) = splitter.next() {
                events.push(event.to_vec());
            }
        }
        (events, splitter.rest().to_vec())
    };
    let (whole, rest) = events(stream.len().max(1));
    assert_eq!(events(size), (whole.clone(), rest.clone()), "in pieces of {size}");
    assert_eq!([whole.concat(), rest].concat(), stream, "nothing is lost or made up");

    // Each has at most one event that a client would dispatch, and it is the one that is read.
    let text: Vec<String> = whole.iter().map(|event| String::from_utf8_lossy(event).into_owned()).collect();
    for event in &text {
        let dispatched = dispatched(event);
        assert!(dispatched.len() <= 1, "{event:?}");
        match dispatched.first() {
            Some((kind, data)) => {
                assert_eq!(&sse::data(event), data, "{event:?}");
                assert_eq!(sse::kind(event) == "endpoint", kind == "endpoint", "{event:?}");
                let other = sse::with_data(event, "other");
                let again = self::dispatched(&other);
                assert_eq!(again, [(kind.clone(), "other".to_owned())], "{event:?}");
            }
            None => assert!(sse::data(event).is_empty(), "{event:?}"),
        }
    }
    tools(stream, size);
    address(stream, size);
}

/// The events of a stream, their kinds and data, by the letter of the HTML Standard §9.2.6.
fn dispatched(text: &str) -> Vec<(String, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut kind, mut data) = (Vec::new(), String::new(), String::new());
    // What follows the last line end is no line.
    let lines = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    for line in lines.split('\n') {
        if line.is_empty() {
            let (kind, mut data) = (std::mem::take(&mut kind), std::mem::take(&mut data));
            if data.pop().is_some() {
                events.push((if kind.is_empty() { "message".to_owned() } else { kind }, data));
            }
            continue;
        }
        let (name, value) =
            line.split_once(':').map_or((line, ""), |(name, value)| (name, value.strip_prefix(' ').unwrap_or(value)));
        match name {
            "event" => kind = value.to_owned(),
            "data" => data.extend([value, "\n"]),
            _ => {}
        }
    }
    events
}

/// Hides what is called `secret..`.
fn hidden() -> Hidden {
    let rule = GateRule {
        methods: vec!["tools/call".to_owned()],
        names: vec!["secret*".to_owned()],
        scopes: ScopeSet::parse_lenient("admin"),
    };
    Hidden::of(vec![rule], ScopeSet::parse_lenient("mcp"))
}

/// Tools are hidden from a stream however it arrives.
fn tools(stream: &[u8], size: usize) {
    let passed = |size: usize| {
        let mut events = Events::new(hidden());
        let mut out: Vec<u8> = stream.chunks(size).filter_map(|piece| events.push(piece)).flatten().collect();
        out.extend(events.rest());
        out
    };
    let whole = passed(stream.len().max(1));
    assert_eq!(passed(size), whole, "in pieces of {size}");
    // Once is enough.
    let mut again = Events::new(hidden());
    let twice = [again.push(&whole).unwrap_or_default(), again.rest()].concat();
    assert_eq!(twice, whole);
}

/// The sessions of an address are bound to who was told them, in each spelling.
fn address(stream: &[u8], size: usize) {
    // Beyond this a stream that arrives at once is cut.
    if stream.len() > 4 << 10 {
        return;
    }
    let told = |size: usize| {
        let mut address = Address::default();
        stream.chunks(size).find_map(|piece| address.push(piece))
    };
    let found = told(stream.len().max(1));
    assert_eq!(told(size), found, "in pieces of {size}");
    let known = Sessions::new();
    for session in found.iter().flatten() {
        known.opened_by_address(0, session, "alice");
        let encoded: String = session.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for query in
            [format!("session_id={encoded}"), format!("a=1;sessionId={encoded}"), format!("SESSION-ID[]={encoded}&b")]
        {
            assert!(!known.may_use_query(0, &query, "mallory"), "{query}");
            assert_eq!(known.may_use_query(0, &query, "alice"), session.is_ascii(), "{query}");
            assert!(sessions::in_query(&query).contains(session), "{query}");
        }
    }
}

/// An answer to `tools/list`. The input is JSON.
pub fn list(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let changed = hidden().message(text);
    let Ok(read) = serde_json::from_str::<Value>(text) else {
        // Numbers out of range, and halves of a surrogate pair: some read them.
        assert!(changed.is_none_or(|changed| !changed.is_empty()));
        return;
    };
    if let Some(changed) = changed {
        assert!(serde_json::from_str::<Value>(&changed).is_ok(), "{changed}");
    }
    // Written without doubt (each member once, nothing escaped that need not be), it is shown without those tools.
    let plain = read.to_string();
    let shown = hidden().message(&plain).unwrap_or_else(|| plain.clone());
    let Ok(shown) = serde_json::from_str::<Value>(&shown) else { unreachable!("it was JSON") };
    let expected = match read {
        Value::Array(batch) => batch.into_iter().map(without).collect(),
        one => without(one),
    };
    assert_eq!(shown, expected);
}

fn without(mut message: Value) -> Value {
    let Some(result) = message.get_mut("result").and_then(Value::as_object_mut) else { return message };
    let Some(Value::Array(tools)) = result.get_mut("tools") else { return message };
    // The name may be the URL `secret:..`, and case does not matter; what rules read in a name is theirs to say.
    let is_hidden = |tool: &Value| {
        let name = tool.get("name").and_then(Value::as_str).map(str::to_owned);
        tool.is_object() && name.is_some_and(|name| hidden().hides(&name))
    };
    tools.retain(|tool| !is_hidden(tool));
    if result.get("cacheScope").is_some_and(|scope| *scope != json!("private")) {
        result.insert("cacheScope".to_owned(), json!("private"));
    }
    message
}
