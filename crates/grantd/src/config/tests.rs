//! What a configuration says, and what it says when it is wrong.

use std::{net::SocketAddr, path::Path};

use super::{keys, values::Lifetime, *};

const DEFAULT_FILE: &str = include_str!("../../../../config.default.toml");

/// Loads with a file of this text, these variables and these flags.
fn read(
    file: &str,
    variables: &[(&str, &str)],
    flags: &[(&'static str, &'static str, &str)],
    purpose: Purpose,
) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("grantd.toml");
    std::fs::write(&path, file).unwrap();
    let variables = Variables::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let flags = flags.iter().map(|(name, key, value)| Flag { name, key, value: (*value).to_owned() }).collect();
    load(Input { file: Some(&path), variables: Some(&variables), flags }, purpose)
        .map_err(|error| error.to_string().replace(dir.path().to_str().unwrap(), ""))
}

/// `grantd serve --upstream ..` with a file.
fn serve(file: &str) -> Result<Config, String> {
    read(file, &[], &[("--upstream", "upstream", "http://127.0.0.1:3000/mcp")], Purpose::Serve)
}

#[test]
fn the_default_file_says_what_the_defaults_are() {
    let table: toml::Table = DEFAULT_FILE.parse().unwrap();
    let config: Config = toml::Value::Table(table).try_into().unwrap();
    assert_eq!(config, Config::default());
    let loaded = load(Input { file: Some(Path::new("../../config.default.toml")), ..Input::default() }, Purpose::Tool);
    loaded.unwrap();
}

#[test]
fn the_default_file_documents_every_key() {
    // What is optional stands there commented out: `# key = "value"`.
    let uncommented: String = DEFAULT_FILE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(code) if code.starts_with('[') || code.split_once(" = ").is_some_and(|(key, _)| is_key(key)) => code,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let table: toml::Table = uncommented.parse().unwrap_or_else(|error| panic!("{error}\n{uncommented}"));
    keys::unknown(&table, &keys::schema(), "", &mut |key, _| panic!("config.default.toml has {key}"));
    for path in keys::leaves(&keys::schema()) {
        assert!(has(&toml::Value::Table(table.clone()), &path), "config.default.toml lacks {path}");
        let from_environment =
            !path.starts_with("resource") && !path.starts_with("scopes") && !path.contains(".caller");
        let variable = super::environment::variable(&path);
        assert!(!from_environment || DEFAULT_FILE.contains(&variable), "config.default.toml lacks {variable}");
    }
    // And it works: the examples in it are taken as they stand, but for files of secrets that stand beside the secret, and the
    // authority of an upstream that is not asked by TLS.
    let uncommented: String = uncommented
        .lines()
        .filter(|line| !line.contains("_file = \"/etc/grantd/secrets/") && !line.contains("/upstream-ca.crt"))
        .flat_map(|line| [line, "\n"])
        .collect();
    read(&uncommented, &[], &[], Purpose::Serve).unwrap();
    read(&uncommented, &[], &[], Purpose::TokenService).unwrap();
    read(&uncommented, &[], &[], Purpose::Facade).unwrap();
}

fn is_key(text: &str) -> bool {
    let text = text.trim_matches('"');
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b':')
}

fn has(value: &toml::Value, path: &str) -> bool {
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    let children: Vec<&toml::Value> = match value {
        toml::Value::Table(table) if key == keys::ANY => table.values().collect(),
        toml::Value::Table(table) => table.get(key).into_iter().collect(),
        toml::Value::Array(items) => return items.iter().any(|item| has(item, path)),
        _ => return false,
    };
    match rest {
        Some(rest) => children.iter().any(|child| has(child, rest)),
        None => !children.is_empty(),
    }
}

#[test]
fn flags_beat_variables_and_variables_beat_the_file() {
    let file = "listen = \"127.0.0.1:1\"\n[tokens]\naccess_ttl = \"2h\"\ncode_ttl = \"1m\"";
    let config = read(
        file,
        &[("GRANTD_LISTEN", "127.0.0.1:2"), ("GRANTD_TOKENS__ACCESS_TTL", "3h")],
        &[("--listen", "listen", "127.0.0.1:3")],
        Purpose::Tool,
    )
    .unwrap();
    assert_eq!(config.listen, SocketAddr::from(([127, 0, 0, 1], 3)));
    assert_eq!(config.tokens.access_ttl, Lifetime::secs(3 * 3600));
    assert_eq!(config.tokens.code_ttl, Lifetime::secs(60));
}

#[test]
fn what_is_left_open_follows_from_what_was_said() {
    let config = serve("listen = \"127.0.0.1:9000\"").unwrap();
    assert_eq!(config.public_url.as_str(), "http://localhost:9000");
    let config = serve("public_url = \"http://localhost:9001\"").unwrap();
    assert_eq!(config.listen, SocketAddr::from(([127, 0, 0, 1], 9001)));
    let config = serve("[tokens]\naccess_ttl = \"2h\"").unwrap();
    assert_eq!(config.tokens.refresh_overlap, Lifetime::secs(7200));

    let config = serve("").unwrap();
    assert_eq!(config.resource.len(), 1);
    assert_eq!(config.resource[0].paths, ["/mcp"]);
    assert_eq!(config.resource[0].upstream.as_deref(), Some("http://127.0.0.1:3000/mcp"));
    assert_eq!(config.resource[0].scopes.as_deref().unwrap(), ["mcp"]);
    assert_eq!(config.service().unwrap().policy.resources[0].default_scopes.to_string(), "mcp");
    let demo = read("", &[], &[], Purpose::Demo).unwrap();
    assert_eq!(demo.service().unwrap().policy.resources[0].scopes.to_string(), "read:articles write:articles");
}

#[test]
fn the_service_key_serves_both_ends() {
    let key = "k".repeat(40);
    let variables = [("GRANTD_SERVICE_KEY", key.as_str())];
    let service = read("", &variables, &[], Purpose::TokenService).unwrap();
    assert_eq!(service.caller_keys().find(key.as_bytes()).unwrap().role, grantd_proto::Role::Flow);
    let flags = [("--upstream", "upstream", "http://127.0.0.1:3000/mcp")];
    let facade = read("", &variables, &flags, Purpose::Facade).unwrap();
    assert_eq!(facade.token_service.key.unwrap().expose(), key);
    let short = [("GRANTD_SERVICE_KEY", "short")];
    for purpose in [Purpose::TokenService, Purpose::Facade] {
        let error = read("", &short, &flags, purpose).unwrap_err();
        assert!(error.contains("GRANTD_SERVICE_KEY: ") && error.contains("at least 32"), "{error}");
    }
}

#[test]
fn errors_name_the_place_and_the_way_out() {
    for (file, says) in [
        (
            "[tokens]\nacces_ttl = \"1h\"",
            "/grantd.toml: `tokens.acces_ttl` is no key of grantd; did you mean `tokens.access_ttl`?",
        ),
        ("[tokens]\naccess_ttl = \"5m\"", "/grantd.toml: tokens.access_ttl: 5m is too short: Claude Code refreshes"),
        ("[tokens]\naccess_ttl = \"soon\"", "/grantd.toml: tokens.access_ttl: write a number and a unit"),
        ("[tokens]\naccess_ttl = 3600", "/grantd.toml: tokens.access_ttl: write a number and a unit"),
        ("[tokens]\naccess_ttl = true", "/grantd.toml: tokens.access_ttl: it must be a text in quotes, not a boolean"),
        ("[tokens]\nrefresh_overlap = \"60d\"", "tokens.refresh_overlap: it must not be longer"),
        ("[tokens]\non_replay = \"maybe\"", "tokens.on_replay: unknown variant `maybe`"),
        ("public_url = \"http://mcp.example.com\"", "public_url: it must start with https://"),
        ("public_url = [", "/grantd.toml: line 1: this is no TOML"),
        ("listen = \"localhost\"", "listen: write an IP address and a port"),
        ("public_url = \"https://a.example/oauth\"", "public_url: its path begins like one of grantd's own"),
        ("public_url = \"https://a.example/token/x\"", "public_url: its path begins like one of grantd's own"),
        ("[store]\nurl = \"postgres://a\"", "store.url: write \"embedded:\""),
        ("[store]\nurl = \"redis-cluster:\"", "/grantd.toml: store.url: it names no host"),
        ("[store]\nurl = \"redis://a?node=b:1\"", "/grantd.toml: store.url: it has a parameter that is not known"),
        ("[store]\nurl = \"redis-sentinel://a\"", "/grantd.toml: store.url: expected redis[s]-sentinel://"),
        (
            "[store]\nclient_cert = \"tls.crt\"",
            "/grantd.toml: store.client_cert: client_cert and client_key go together",
        ),
        ("[store]\nclient_key = \"tls.key\"", "/grantd.toml: store.client_key: client_cert and client_key go together"),
        (
            "[store]\nurl = \"redis://a\"\nca_file = \"ca.crt\"",
            "/grantd.toml: store.ca_file: TLS to Redis: certificates are configured, but the URL does not say TLS",
        ),
        (
            "[token_service.tls]\ncert_file = \"tls.crt\"",
            "/grantd.toml: token_service.tls.cert_file: cert_file and key_file go together",
        ),
        ("[gate]\ncache_max_age = \"5m\"", "gate.cache_max_age: it must be at most 1m"),
        (
            "[facade]\ntrusted_redirect_hosts = [\"https://a.example\"]",
            "facade.trusted_redirect_hosts[0]: write a host name",
        ),
        ("[operations]\nlisten = \"9090\"", "operations.listen: write an IP address and a port"),
        ("[operations]\nlisten = \"127.0.0.1:8080\"", "operations.listen: 127.0.0.1:8080 is taken by listen"),
        ("[shutdown]\ndelay = \"6m\"", "shutdown.delay: it must be at most 5m"),
        ("[shutdown]\ndeadline = \"0s\"", "shutdown.deadline: it must be between 1s and 1h"),
        ("[token_service]\nurl = 1", "token_service.url: write a text in quotes, or several in an array"),
        ("[log]\nformat = \"xml\"", "log.format: a log format is one of"),
        (
            "[log]\nfilter = \"warn,grantd=loud\"",
            "/grantd.toml: log.filter: \"grantd=loud\" is no directive: write a level",
        ),
        ("[gate]\nallowed_origins = [\"*\", \"nonsense\"]", "/grantd.toml: gate.allowed_origins[1]: write the origin"),
        ("[gate]\nallowed_origins = [\"null\"]", "gate.allowed_origins[0]: write the origin"),
        ("[gate]\nallowed_origins = [\"localhost:3000\"]", "gate.allowed_origins[0]: write the origin"),
        ("[gate]\nallowed_origins = [\"https://App.example.com/\"]", "write \"https://app.example.com\""),
        ("[gate]\nallowed_origins = [\"https://a.example:443\"]", "write \"https://a.example\""),
        ("[gate]\nallowed_origins = [\"https://a.example/page\"]", "write \"https://a.example\""),
        ("[gate]\nallowed_origins = [\"https://ex\u{e4}mple.com\"]", "write \"https://xn--exmple-cua.com\""),
        ("[gate]\nallowed_origins = [\"chrome-extension://abc/\"]", "write \"chrome-extension://abc\""),
        ("[[resource]]\npaths = [\"mcp\"]", "resource[0].paths: \"mcp\": a path starts with a slash"),
        ("[[resource]]\npaths = [\"/oauth/x\"]", "this path is grantd's own"),
        ("[[resource]]\npaths = [\"/a\", \"/a\"]", "\"/a\" is there twice"),
        ("[[resource]]\npaths = [\"/a\"]\nallow_groups = []", "resource[0].allow_groups: nobody could approve"),
        ("[[resource]]\npaths = [\"/a\"]\nscopes = [\"x\"]", "\"x\" is not in [scopes]"),
        (
            "[[resource]]\npaths = [\"/a\"]\nscopes = [\"x\"]\ndefault_scopes = [\"y\"]\n[scopes]\nx = \"X\"\ny = \"Y\"",
            "resource[0].default_scopes: \"y\" is not one of",
        ),
        (
            "[[resource]]\npaths = [\"/a\"]\nrequired_scopes = [\"x\"]",
            "resource[0].required_scopes: \"x\" is not one of the resource's scopes",
        ),
        (
            "[[resource]]\npaths = [\"/a\"]\ndefault_scopes = [\"x\"]\nrequired_scopes = [\"y\"]\n[scopes]\nx = \"X\"\ny = \"Y\"",
            "resource[0].required_scopes: \"y\" is neither in default_scopes nor implied there",
        ),
        (
            "[[resource]]\npaths = [\"/a\"]\nca_file = \"ca.crt\"",
            "resource[0].ca_file: the upstream is not asked by TLS",
        ),
        ("[scopes]\na = {implies = [\"b\"]}", "scopes.a.implies: \"b\" is not in [scopes]"),
        ("[scopes]\na = {implies = [\"a\"]}", "scopes.a.implies: it implies itself"),
        (
            "[scopes]\na = {implies = [\"b\"]}\nb = {implies = [\"c\"]}\nc = {implies = [\"a\"]}",
            "scopes.c.implies: it implies itself",
        ),
        (
            "[[resource]]\npaths = [\"/a\"]\ntrust_mcp_headers = true",
            "resource[0].trust_mcp_headers: without a [[resource.rule]]",
        ),
        (
            "[[resource]]\npaths = [\"/a\"]\nhide_forbidden_tools = true",
            "resource[0].hide_forbidden_tools: without a [[resource.rule]]",
        ),
        (
            "[[resource]]\npaths = [\"/a\"]\n[[resource.rule]]\nmethods = [\"tools/call\"]",
            "resource[0].rule[0].scopes: say which",
        ),
        (
            "[[resource]]\npaths = [\"/a\"]\n[[resource.rule]]\nscopes = [\"x\"]",
            "resource[0].rule[0].scopes: \"x\" is not one of",
        ),
        (
            "[[resource]]\npaths = [\"/a\"]\n[[resource.rule]]\nscopes = [\"mcp\"]\nmethods = [\"tool/call\"]",
            "MCP has no method \"tool/call\"; did you mean \"tools/call\"?",
        ),
        (
            "[[resource]]\npaths = [\"/a\"]\n[[resource.rule]]\nscopes = [\"mcp\"]\nmethods = [\"!\"]",
            "resource[0].rule[0].methods: \"!\" is no pattern",
        ),
        (
            "[[resource]]\npaths = [\"/a\"]\n[[resource.rule]]\nscopes = [\"mcp\"]\nnames = [\"\"]",
            "resource[0].rule[0].names: \"\" is no pattern",
        ),
        (
            "[[resource]]\npaths = [\"/a\"]\n[[resource.rule]]\nscopes = [\"mcp\"]\nmethods = [\"tools/list\"]\nnames = [\"a\"]",
            "these methods name nothing",
        ),
        ("[[resource]]\npaths = [\"/a\"]\n[[resource.rule]]\nscope = [\"mcp\"]", "resource[0].rule[0].scope"),
        (
            "[[resource]]\npaths = [\"/a\"]\n[[resource]]\npaths = [\"/b\"]",
            "--upstream: there are several [[resource]]",
        ),
        ("[scopes]\n\"a b\" = \"A\"", "/grantd.toml: scopes.a b: a scope is printable ASCII"),
        ("[scopes]\n\"a b\" = {description = \"A\"}", "/grantd.toml: scopes.a b: a scope is printable ASCII"),
        ("[scopes]\n\"a b\" = {}", "/grantd.toml: scopes.a b: a scope is printable ASCII"),
        ("[scopes]\na = {description = 1}", "/grantd.toml: scopes.a"),
        ("[scopes]\na = 1", "scopes.a: invalid type: integer `1`, expected a description"),
        (
            "[[token_service.caller]]\nname = \"a\"\nkey = \"short\"",
            "token_service.caller[0].key: a service key has at least 32",
        ),
        ("[[token_service.caller]]\nrole = \"root\"", "token_service.caller[0].role: unknown variant `root`"),
    ] {
        let error = serve(file).unwrap_err();
        assert!(error.contains(says), "{file}\n  says: {error}\n  not:  {says}");
    }
}

#[test]
fn every_unknown_key_is_named_at_once() {
    let error = read("lisen = 1\n[gaet]\n", &[("GRANTD_TOKENS__ACCES_TTL", "1h")], &[], Purpose::Tool).unwrap_err();
    for says in [
        "did you mean `listen`?",
        "did you mean `gate`?",
        "GRANTD_TOKENS__ACCES_TTL: this is no setting of grantd; did you mean GRANTD_TOKENS__ACCESS_TTL?",
    ] {
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn errors_name_variables_and_flags() {
    let error = read("", &[("GRANTD_TOKENS__ACCESS_TTL", "1m")], &[], Purpose::Tool).unwrap_err();
    assert!(error.contains("\n  GRANTD_TOKENS__ACCESS_TTL: 1m is too short"), "{error}");
    let error = read("", &[], &[("--listen", "listen", "nowhere")], Purpose::Tool).unwrap_err();
    assert!(error.contains("\n  --listen: write an IP address"), "{error}");
    let error = read("", &[], &[("--upstream", "upstream", "localhost:3000")], Purpose::Serve).unwrap_err();
    assert!(error.contains("\n  --upstream: an upstream is an http://"), "{error}");
    let error =
        read("", &[("GRANTD_RESOURCE", "[{paths = [\"/a\"], upstrem = \"b\"}]")], &[], Purpose::Tool).unwrap_err();
    assert!(error.contains("did you mean"), "{error}");
}

/// What is missing is not the fault of a neighbour that happens to stand in the same section.
#[test]
fn a_neighbour_is_not_blamed() {
    let listen = ("GRANTD_TOKEN_SERVICE__LISTEN", "127.0.0.1:9000");
    let error = read("", &[listen], &[], Purpose::TokenService).unwrap_err();
    assert!(
        error.contains("\n  /grantd.toml: token_service.caller: nobody could call: set GRANTD_SERVICE_KEY"),
        "{error}"
    );
    let file = "[tokens]\naccess_ttl = \"60d\"\n[scopes]\na = \"A\"\n";
    let error = read(file, &[("GRANTD_TOKENS__CODE_TTL", "1m")], &[], Purpose::Tool).unwrap_err();
    assert!(error.contains("\n  /grantd.toml: tokens.refresh_ttl: ") && !error.contains("GRANTD_TOKENS"), "{error}");
    // What a stronger place replaces is forgotten, whatever its form; and what an empty table holds is nothing.
    let file = "[scopes]\na = {description = \"A\", implies = [\"b\"]}\n[tokens]\n";
    let error = read(file, &[("GRANTD_SCOPES__A", "{implies = [\"c\"]}")], &[], Purpose::Tool).unwrap_err();
    assert!(error.contains("\n  GRANTD_SCOPES__A__IMPLIES: \"c\" is not in [scopes]"), "{error}");
    let texts = "[scopes]\na = {implies = [\"b\"]}\n";
    let config = read(texts, &[("GRANTD_SCOPES__A", "A text")], &[], Purpose::Tool).unwrap();
    assert_eq!(config.scopes.0["a"].description, "A text");
    let config = read("[tokens]\naccess_ttl = \"2h\"", &[("GRANTD_TOKENS", "{}")], &[], Purpose::Tool).unwrap();
    assert_eq!(config.tokens.access_ttl, Lifetime::secs(7200));
}

#[test]
fn origins_are_taken_as_browsers_write_them() {
    let origins =
        "[\"*\", \"https://a.example\", \"http://a.example:8080\", \"vscode-webview://abc\", \"https://[::1]:3000\"]";
    serve(&format!("[gate]\nallowed_origins = {origins}")).unwrap();
}

#[test]
fn unsafe_listeners_are_refused_with_the_reason() {
    let key = "[[token_service.caller]]\nname = \"a\"\nkey = \"0123456789012345678901234567890123456789\"\n";
    for (file, purpose, says) in [
        (String::new(), Purpose::TokenService, "nobody could call: set GRANTD_SERVICE_KEY"),
        (format!("[token_service]\nlisten = \"0.0.0.0:8081\"\n{key}"), Purpose::TokenService, "in the clear"),
        ("upstream = \"http://a/\"".to_owned(), Purpose::Facade, "token_service.key: set GRANTD_SERVICE_KEY"),
        (
            "upstream = \"http://a/\"\n[token_service]\nurl = \"http://tokens.example:8081\"".to_owned(),
            Purpose::Facade,
            "in the clear",
        ),
        (String::new(), Purpose::Serve, "where is your MCP server?"),
        (
            "upstream = \"http://a/\"\n[token_service]\nurl = []".to_owned(),
            Purpose::Facade,
            "token_service.url: name at least one token service",
        ),
        (
            "upstream = \"http://a/\"\n[token_service]\nurl = [\"http://127.0.0.1:1\", \"https://127.0.0.1:2\"]"
                .to_owned(),
            Purpose::Facade,
            "all of them are https://, or none",
        ),
        (
            "upstream = \"http://a/\"\n[token_service]\nurl = [\"http://127.0.0.1:1\", \"http://b.example:2\"]"
                .to_owned(),
            Purpose::Facade,
            "in the clear",
        ),
        (
            "upstream = \"http://a/\"\n[token_service]\nurl = \"http://127.0.0.1:1/grpc\"".to_owned(),
            Purpose::Facade,
            "write scheme, host and port only",
        ),
        (
            format!("[operations]\nlisten = \"127.0.0.1:8081\"\n{key}"),
            Purpose::TokenService,
            "operations.listen: 127.0.0.1:8081 is taken by token_service.listen",
        ),
        (format!("{key}{key}"), Purpose::TokenService, "two callers have the same key"),
        (format!("[token_service.tls]\ncert_file = \"a\"\n{key}"), Purpose::TokenService, "go together"),
        (
            format!("[token_service]\nlisten = \"0.0.0.0:8081\"\ntls.ca_file = \"a\"\n{key}"),
            Purpose::TokenService,
            "in the clear",
        ),
        (format!("{key}certificate = \"a.example\""), Purpose::TokenService, "only with token_service.tls"),
        (format!("{key}certificate = \"not a name\""), Purpose::TokenService, "write a DNS name"),
        (
            "[[token_service.caller]]\nname = \"a\"".to_owned(),
            Purpose::TokenService,
            "a service key has at least 32 characters",
        ),
    ] {
        let error = read(&file, &[], &[], purpose).unwrap_err();
        assert!(error.contains(says), "{file}\n  says: {error}\n  not:  {says}");
    }
    let allowed = format!("[token_service]\nlisten = \"0.0.0.0:8081\"\ninsecure_plaintext = true\n{key}");
    read(&allowed, &[], &[], Purpose::TokenService).unwrap();
    let several = "[token_service]\nurl = [\"http://127.0.0.1:1\", \"http://[::1]:2\"]\n";
    let flags = [("--upstream", "upstream", "http://127.0.0.1:3000/mcp")];
    let config = read(several, &[("GRANTD_SERVICE_KEY", &"k".repeat(40))], &flags, Purpose::Facade).unwrap();
    assert_eq!(config.token_service.url.0, ["http://127.0.0.1:1", "http://[::1]:2"]);
    let with_tls = "[token_service]\nlisten = \"0.0.0.0:8081\"\n\
        tls = { cert_file = \"a\", key_file = \"b\", ca_file = \"c\" }\n\
        [[token_service.caller]]\nname = \"a\"\ncertificate = \"a.example\"";
    let config = read(with_tls, &[], &[], Purpose::TokenService).unwrap();
    assert_eq!(config.caller_names().len(), 1);
    assert_eq!(config.caller_keys().find(b""), None, "a caller without a key is not known by an empty one");
}

#[test]
fn no_secret_is_shown() {
    let key = "s3cr3t-key-0123456789012345678901234567";
    let file = format!(
        "[store]\nurl = \"redis-sentinel://user:hunter2@127.0.0.1/?sentinelServiceName=m&sentinelPassword=s3cr3t\"\n[token_service]\nkey = \"{key}\"\n[[token_service.caller]]\nname = \"a\"\nkey = \"{key}\"\n"
    );
    let config = serve(&file).unwrap();
    for shown in [format!("{config:?}"), toml::to_string_pretty(&config).unwrap()] {
        assert!(!shown.contains("s3cr3t") && !shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("redacted"), "{shown}");
    }
    // Nor by the error of a value next to it, or of the value itself.
    for wrong in [
        "[token_service]\nkey = [\"s3cr3t\"]",
        "[token_service]\nkey = \"s3cr3t\n",
        "[store]\nurl = \"redes://:hunter2@a\"",
    ] {
        let error = serve(wrong).unwrap_err();
        assert!(!error.contains("s3cr3t") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn secrets_may_be_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let key = "s3cr3t-key-0123456789012345678901234567";
    let key_file = file("key", &format!("{key}\n"));
    let other = file("other", &"o".repeat(40));
    let url_file = file("url", "redis://:hunter2@127.0.0.1:6379/1\n");
    let upstream = [("--upstream", "upstream", "http://127.0.0.1:3000/mcp")];

    let by_variables = [("GRANTD_SERVICE_KEY_FILE", key_file.as_str()), ("GRANTD_STORE__URL_FILE", url_file.as_str())];
    let service = read("", &by_variables, &[], Purpose::TokenService).unwrap();
    assert_eq!(service.caller_keys().find(key.as_bytes()).unwrap().role, grantd_proto::Role::Flow);
    let StoreUrl::Redis(url) = &service.store.url else { panic!("{:?}", service.store) };
    assert_eq!(url.password(), Some("hunter2"));
    let facade = read("", &by_variables, &upstream, Purpose::Facade).unwrap();
    assert_eq!(facade.token_service.key.unwrap().expose(), key);

    let callers = format!(
        "[token_service]\nkey_file = \"{key_file}\"\n[[token_service.caller]]\nname = \"a\"\nkey_file = \"{other}\"\n"
    );
    let service = read(&callers, &[], &[], Purpose::TokenService).unwrap();
    assert_eq!(service.caller_keys().find("o".repeat(40).as_bytes()).unwrap().role, grantd_proto::Role::Verify);
    let facade = read(&callers, &[], &upstream, Purpose::Facade).unwrap();
    assert_eq!(facade.token_service.key.unwrap().expose(), key);

    let (empty, long, short) = (file("empty", " \n"), file("long", &"a".repeat(70_000)), file("short", "s3cr3t"));
    let url = file("wrong-url", "redes://:s3cr3t@a");
    let binary = dir.path().join("binary");
    std::fs::write(&binary, b"\xff\xfes3cr3t").unwrap();
    let (binary, missing) = (binary.display().to_string(), dir.path().join("missing").display().to_string());
    for (variables, says) in [
        (vec![("GRANTD_SERVICE_KEY_FILE", &missing)], "GRANTD_SERVICE_KEY_FILE: /missing: it cannot be read"),
        (vec![("GRANTD_SERVICE_KEY_FILE", &empty)], "GRANTD_SERVICE_KEY_FILE: /empty: it is empty"),
        (vec![("GRANTD_SERVICE_KEY_FILE", &long)], "it is too long"),
        (vec![("GRANTD_SERVICE_KEY_FILE", &binary)], "it is no text"),
        (vec![("GRANTD_SERVICE_KEY_FILE", &short)], "GRANTD_SERVICE_KEY_FILE: a service key has at least 32"),
        (
            vec![("GRANTD_SERVICE_KEY_FILE", &key_file), ("GRANTD_SERVICE_KEY", &key_file)],
            "GRANTD_SERVICE_KEY_FILE: GRANTD_SERVICE_KEY is set as well",
        ),
        (vec![("GRANTD_STORE__URL_FILE", &missing)], "GRANTD_STORE__URL_FILE: /missing: it cannot be read"),
        (vec![("GRANTD_STORE__URL_FILE", &url)], "GRANTD_STORE__URL_FILE: /wrong-url: write \"embedded:\""),
        (
            vec![("GRANTD_STORE__URL_FILE", &url_file), ("GRANTD_STORE__URL", &url_file)],
            "GRANTD_STORE__URL: write \"embedded:\"",
        ),
        (vec![("GRANTD_TOKEN_SERVICE__KEY_FILE", &missing)], "GRANTD_TOKEN_SERVICE__KEY_FILE: /missing: it cannot"),
    ] {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let error = read("", &variables, &[], Purpose::TokenService).unwrap_err();
        let error = error.replace(dir.path().to_str().unwrap(), "");
        assert!(error.contains(says) && !error.contains("s3cr3t"), "{error}\n  not: {says}");
    }
    let both = [("GRANTD_STORE__URL_FILE", url_file.as_str()), ("GRANTD_STORE__URL", "embedded:")];
    let error = read("", &both, &[], Purpose::Tool).unwrap_err();
    assert!(error.contains("GRANTD_STORE__URL_FILE: store.url is set as well"), "{error}");
    let twice = format!("{callers}key = \"{key}\"\n");
    let error = read(&twice, &[], &[], Purpose::Tool).unwrap_err();
    assert!(error.contains("token_service.caller[0].key_file: key is set as well"), "{error}");
}
