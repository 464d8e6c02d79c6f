//! The smuggling table: what two readers could read differently is refused, everything else is read as it is meant.

use axum::http::{HeaderName, HeaderValue};

use super::*;

fn refused(body: &[u8], says: &str) {
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    match read(body) {
        Ok(read) => panic!("{shown} was read as {read:?}"),
        Err(fault) => assert!(fault.text.contains(says), "{shown}: {} does not say {says}", fault.text),
    }
}

#[test]
fn what_could_be_read_differently_is_refused() {
    for (body, says) in [
        ("", "EOF"),
        ("null", "objects"),
        ("1", "objects"),
        ("\"tools/call\"", "objects"),
        ("{}", "needs a method"),
        ("[]", "not empty"),
        ("[[]]", "objects"),
        ("[1]", "objects"),
        ("[null]", "objects"),
        // Around the value, and other notations.
        ("\u{feff}{\"method\":\"ping\"}", "not one JSON value"),
        ("{\"method\":\"ping\"}{\"method\":\"tools/call\"}", "trailing"),
        ("{\"method\":\"ping\"}\n{\"method\":\"tools/call\"}", "trailing"),
        ("{\"method\":\"ping\"}\0", "trailing"),
        ("{\"method\":\"ping\",}", "not one JSON value"),
        ("{\"method\":\"ping\"/**/}", "not one JSON value"),
        ("{'method':'ping'}", "not one JSON value"),
        ("{method:\"ping\"}", "not one JSON value"),
        ("{\"method\":\"ping\",\"id\":NaN}", "not one JSON value"),
        ("{\"method\":\"pi\nng\"}", "not one JSON value"),
        // Twice.
        (r#"{"method":"ping","method":"tools/call"}"#, "twice"),
        (r#"{"method":"ping","m\u0065thod":"tools/call"}"#, "twice"),
        (r#"{"method":"ping","id":1,"id":2}"#, "twice"),
        (r#"{"method":"ping","method":"tools/call","id":1,"params":{}}"#, "twice"),
        (r#"{"method":"ping","params":{},"params":{}}"#, "twice"),
        (r#"{"method":"tools/call","params":{"name":"a","name":"b"}}"#, "twice"),
        (r#"{"method":"tools/call","params":{"name":"a","n\u0061me":"b"}}"#, "twice"),
        (r#"{"method":"resources/read","params":{"uri":"a","uri":"b"}}"#, "twice"),
        (r#"{"method":"completion/complete","params":{"ref":{"name":"a"},"ref":{"name":"b"}}}"#, "twice"),
        (r#"{"method":"completion/complete","params":{"ref":{"name":"a","name":"b"}}}"#, "twice"),
        (
            r#"{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[],"resourceSubscriptions":["a"]}}}"#,
            "twice",
        ),
        (r#"[{"method":"ping"},{"method":"ping","method":"tools/call"}]"#, "twice"),
        // Equal to some readers.
        (r#"{"method":"ping","Method":"tools/call"}"#, "looks like \"method\""),
        (r#"{"METHOD":"tools/call"}"#, "looks like \"method\""),
        (r#"{"\u004dethod":"tools/call"}"#, "looks like \"method\""),
        (r#"{"method":"ping","method\u0000":"tools/call"}"#, "looks like \"method\""),
        (r#"{"method":"ping","method\u0000x":"tools/call"}"#, "looks like \"method\""),
        (r#"{"method":"ping"," method":"tools/call"}"#, "looks like \"method\""),
        (r#"{"method":"ping","me_thod":"tools/call"}"#, "looks like \"method\""),
        ("{\"method\":\"ping\",\"method\u{200b}\":\"tools/call\"}", "looks like \"method\""),
        ("{\"method\":\"ping\",\"param\u{17f}\":{\"name\":\"b\"}}", "looks like \"params\""),
        (r#"{"method":"tools/call","params":{"name":"a"},"param\u017f":{"name":"b"}}"#, "looks like \"params\""),
        (r#"{"method":"tools/call","params":{"name":"a","Name":"b"}}"#, "looks like \"name\""),
        (r#"{"method":"resources/read","params":{"uri":"a","URI":"b"}}"#, "looks like \"uri\""),
        ("{\"method\":\"resources/read\",\"params\":{\"uri\":\"a\",\"ur\u{131}\":\"b\"}}", "looks like \"uri\""),
        ("{\"method\":\"resources/read\",\"params\":{\"uri\":\"a\",\"UR\u{130}\":\"b\"}}", "looks like \"uri\""),
        (r#"{"method":"tasks/get","params":{"taskId":"a","task_id":"b"}}"#, "looks like \"taskId\""),
        ("{\"method\":\"tasks/get\",\"params\":{\"taskId\":\"a\",\"tas\u{212a}Id\":\"b\"}}", "looks like \"taskId\""),
        (r#"{"method":"tasks/get","params":{"TaskID":"b"}}"#, "looks like \"taskId\""),
        (r#"{"method":"completion/complete","params":{"ref":{"name":"a","Uri":"b"}}}"#, "looks like \"uri\""),
        (r#"{"jsonrpc":"2.0","method":"ping","JSONRPC":"1.0"}"#, "looks like \"jsonrpc\""),
        // Methods and names that are none.
        (r#"{"method":null}"#, "printable ASCII"),
        (r#"{"method":["tools/call"]}"#, "printable ASCII"),
        (r#"{"method":""}"#, "printable ASCII"),
        (r#"{"method":"tools/call\u0000","params":{"name":"a"}}"#, "printable ASCII"),
        (r#"{"method":"tools/call ","params":{"name":"a"}}"#, "printable ASCII"),
        ("{\"method\":\"tools/c\u{430}ll\"}", "printable ASCII"),
        (r#"{"method":"\ud800"}"#, "printable ASCII"),
        (r#"{"method":"tools/call"}"#, "params.name"),
        (r#"{"method":"tools/call","params":null}"#, "params.name"),
        (r#"{"method":"tools/call","params":["a"]}"#, "params.name"),
        (r#"{"method":"tools/call","params":{}}"#, "params.name"),
        (r#"{"method":"tools/call","params":{"name":1}}"#, "params.name"),
        (r#"{"method":"tools/call","params":{"name":["a"]}}"#, "params.name"),
        (r#"{"method":"tools/call","params":{"name":"a\u0000b"}}"#, "params.name"),
        (r#"{"method":"tools/call","params":{"name":"a\n"}}"#, "params.name"),
        (r#"{"method":"tools/call","params":{"name":"\udc00"}}"#, "params.name"),
        (r#"{"method":"TOOLS/CALL","params":{}}"#, "params.name"),
        (r#"{"method":"resources/read","params":{"name":"a"}}"#, "params.uri"),
        (r#"{"method":"completion/complete","params":{"ref":{}}}"#, "params.ref"),
        (r#"{"method":"completion/complete","params":{"ref":{"name":"a","uri":1}}}"#, "params.ref"),
        (r#"{"method":"completion/complete","params":{"ref":"a"}}"#, "objects"),
        (
            r#"{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":"a"}}}"#,
            "resourceSubscriptions",
        ),
    ] {
        refused(body.as_bytes(), says);
    }
    refused(b"{\"method\":\"\xff\"}", "UTF-8");
    refused(b"{\"method\":\"\xc0\xaf\"}", "UTF-8");
    refused(b"\xff\xfe{\0\"\0", "UTF-8");
    refused(
        &"{\"method\":\"ping\"}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
        "not one JSON value",
    );
    let deep = |depth: usize| format!("{{\"method\":\"ping\",\"params\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    refused(deep(128).as_bytes(), "deeper");
    refused("[".repeat(4 << 20).as_bytes(), "deeper");
    assert!(read(deep(127).as_bytes()).is_ok());
    let many = |of: &str, count: usize| vec![of; count].join(",");
    let batch = |count: usize| format!("[{}]", many("{\"method\":\"ping\"}", count));
    refused(batch(1001).as_bytes(), "at most 1000");
    assert_eq!(read(batch(1000).as_bytes()).unwrap().len(), 1000);
    let listen = |count: usize| {
        let uris = many("\"a\"", count);
        format!(
            "{{\"method\":\"subscriptions/listen\",\"params\":{{\"notifications\":{{\"resourceSubscriptions\":[{uris}]}}}}}}"
        )
    };
    refused(listen(1001).as_bytes(), "at most 1000");
    refused(format!("{{\"method\":\"{}\"}}", "x".repeat(257)).as_bytes(), "printable ASCII");
}

#[test]
fn messages_are_read_as_they_are_meant() {
    for (body, method, names) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"clientInfo":{"name":"a","name":"b"}}}"#,
            Some("initialize"),
            &[][..],
        ),
        (
            r#"{"method":"tools/call","params":{"arguments":{"name":"x","Name":"y","name":"z"},"name":"a"}}"#,
            Some("tools/call"),
            &["a"],
        ),
        (r#"{"method":"t\u006fols/call","params":{"name":"\u0061\u00e9"}}"#, Some("tools/call"), &["a\u{e9}"]),
        (r#"{"method":"tools/call","params":{"name":"a","_meta":{"progressToken":1}}}"#, Some("tools/call"), &["a"]),
        (r#"{"method":"prompts/get","params":{"name":"a"}}"#, Some("prompts/get"), &["a"]),
        (r#"{"method":"resources/read","params":{"uri":"file:///a"}}"#, Some("resources/read"), &["file:///a"]),
        (r#"{"method":"resources/subscribe","params":{"uri":"a"}}"#, Some("resources/subscribe"), &["a"]),
        (r#"{"method":"tasks/update","params":{"taskId":"a"}}"#, Some("tasks/update"), &["a"]),
        (
            r#"{"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a"}}}"#,
            Some("completion/complete"),
            &["a"],
        ),
        (
            r#"{"method":"completion/complete","params":{"ref":{"uri":"u","name":"a"}}}"#,
            Some("completion/complete"),
            &["a", "u"],
        ),
        (
            r#"{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["a","b"]}}}"#,
            Some("subscriptions/listen"),
            &["a", "b"],
        ),
        (
            r#"{"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}}}"#,
            Some("subscriptions/listen"),
            &[],
        ),
        (r#"{"method":"subscriptions/listen"}"#, Some("subscriptions/listen"), &[]),
        (r#"{"method":"x/y","params":[1]}"#, Some("x/y"), &[]),
        (" \r\n\t{ \"method\" : \"ping\" } \n", Some("ping"), &[]),
        (r#"{"id":1,"result":{"method":"x"}}"#, None, &[]),
        (r#"{"id":1,"error":{"code":1,"message":"m"}}"#, None, &[]),
    ] {
        let [read] = read(body.as_bytes()).unwrap_or_else(|fault| panic!("{body}: {fault:?}")).try_into().unwrap();
        assert_eq!(
            (read.method.as_deref(), &read.names[..]),
            (method, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..]),
            "{body}"
        );
    }
    let batch = read(br#"[{"method":"ping"},{"id":"i","method":"tools/call","params":{"name":"a"}}]"#).unwrap();
    assert_eq!((batch.len(), batch[1].id.as_deref()), (2, Some("\"i\"")));
}

#[test]
fn only_plain_json_is_read() {
    let of = |list: &[(&str, &str)]| {
        let pairs = list.iter().map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        });
        let mut headers = HeaderMap::new();
        headers.extend(pairs);
        framing(&headers).is_ok()
    };
    for good in [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json; charset=\"UTF-8\"",
        "application/json;",
    ] {
        assert!(of(&[("content-type", good)]), "{good}");
    }
    for bad in [
        "",
        "text/plain",
        "application/json-seq",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-7",
        "application/json; x=\"; charset=utf-7\"",
        "application/json; charset",
        "application/json, text/plain",
    ] {
        assert!(!of(&[("content-type", bad)]), "{bad}");
    }
    assert!(!of(&[]));
    let json = ("content-type", "application/json");
    assert!(!of(&[json, json]));
    assert!(!of(&[json, ("content_type", "application/json; charset=utf-7")]));
    for encoding in ["gzip", "identity", ""] {
        assert!(!of(&[json, ("content-encoding", encoding)]), "{encoding}");
        assert!(!of(&[json, ("Content_Encoding", encoding)]), "{encoding}");
    }
}

/// Readers of other makes: which member they take for a name, and which of several.
struct Reader {
    takes: fn(&str, &str) -> bool,
    first: bool,
}

impl Reader {
    fn get<'a>(&self, object: &'a [(String, Json)], name: &str) -> Option<&'a Json> {
        let mut taken = object.iter().filter(|(key, _)| (self.takes)(key, name)).map(|(_, value)| value);
        if self.first { taken.next() } else { taken.next_back() }
    }

    /// The method and the name that it would execute.
    fn reads(&self, message: &[(String, Json)]) -> (Option<String>, Option<String>) {
        let text = |json: Option<&Json>| match json {
            Some(Json::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let method = text(self.get(message, "method"));
        let member = if method.as_deref() == Some("resources/read") { "uri" } else { "name" };
        let name = match self.get(message, "params") {
            Some(Json::Object(params)) => text(self.get(params, member)),
            _ => None,
        };
        (method, name)
    }
}

/// JSON with what an object may not have: members twice.
#[derive(Debug, Clone)]
enum Json {
    Text(String),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// As text; every other character of a member's name is escaped where `escape` says so.
    fn write(&self, escape: bool, out: &mut String) {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        match self {
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    if escape && key.is_ascii() {
                        let escaped: String = key.bytes().map(|byte| format!("\\u{:04x}", byte)).collect();
                        out.push_str(&format!("\"{escaped}\""));
                    } else {
                        out.push_str(&quoted(key));
                    }
                    out.push(':');
                    value.write(escape, out);
                }
                out.push('}');
            }
        }
    }
}

mod readers {
    use proptest::prelude::*;

    use super::*;

    fn key(of: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop_oneof![
            6 => prop::sample::select(of).prop_map(str::to_owned),
            1 => (prop::sample::select(of), 0..6_usize).prop_map(|(key, how)| match how {
                0 => key.to_uppercase(),
                1 => format!("{key}\0"),
                2 => format!("{key}\0x"),
                3 => key.replacen(|_: char| true, &key[..1].to_uppercase(), 1),
                4 => key.replace('s', "\u{17f}"),
                _ => format!("_{key}"),
            }),
        ]
    }

    fn object(keys: &'static [&'static str], value: BoxedStrategy<Json>) -> impl Strategy<Value = Vec<(String, Json)>> {
        prop::collection::vec((key(keys), value), 0..5)
    }

    fn text(of: &'static [&'static str]) -> BoxedStrategy<Json> {
        prop::sample::select(of).prop_map(|text| Json::Text(text.to_owned())).boxed()
    }

    fn message() -> impl Strategy<Value = Vec<(String, Json)>> {
        let params = object(&["name", "uri", "arguments"], text(&["a", "b"])).prop_map(Json::Object);
        let value = prop_oneof![text(&["tools/call", "tools/list", "resources/read"]), params].boxed();
        object(&["method", "method", "params", "params", "id"], value)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Whatever the upstream reads JSON with, it executes what the gate has judged.
        #[test]
        fn all_agree_on_what_was_let_through(message in message(), escape: bool) {
            let mut body = String::new();
            Json::Object(message.clone()).write(escape, &mut body);
            let Ok(judged) = read(body.as_bytes()) else { return Ok(()) };
            let exact = |key: &str, name: &str| key == name;
            let folds = |key: &str, name: &str| key.to_uppercase() == name.to_uppercase();
            let ends_at_nul = |key: &str, name: &str| key.split('\0').next() == Some(name);
            let plain = |key: &str, name: &str| key.replace('_', "").eq_ignore_ascii_case(name);
            for takes in [exact, folds, ends_at_nul, plain] {
                for first in [true, false] {
                    let (method, name) = Reader { takes, first }.reads(&message);
                    prop_assert_eq!(&judged[0].method, &method, "{}", body);
                    if matches!(method.as_deref(), Some("tools/call" | "resources/read")) {
                        prop_assert_eq!(judged[0].names.first(), name.as_ref(), "{}", body);
                    }
                }
            }
        }
    }
}
