//! What the pages say, and what keeps them safe.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use grantd_proto::v1::{self, begin_authorization_response::Next};
use sha2::{Digest as _, Sha256};

use super::{Answer, Reply, client, consent, consent_required, facade, sign_in_required};

const COOKIE: (&str, &str) = ("cookie", "__Host-grantd=gds_s");

async fn page(consent: v1::ConsentRequired) -> Answer {
    facade(move |_| Ok(Reply::Begun(Box::new(Next::Consent(consent.clone())))))
        .get_with("/oauth/authorize?client_id=c", &[COOKIE])
        .await
}

/// The text a person reads, without tags.
fn text(html: &str) -> String {
    let body = html.split_once("<body>").unwrap().1;
    let mut out = String::new();
    let mut tag = false;
    for c in body.chars() {
        match c {
            '<' => tag = true,
            '>' => tag = false,
            c if !tag => out.push(c),
            _ => {}
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_policy_allows_just_the_stylesheet() {
    let sign_in = facade(|_| sign_in_required("http://localhost:1/")).get("/oauth/authorize").await;
    let consent = page(consent_required("http://localhost:1/")).await;
    let message = facade(|_| panic!()).get("/oauth/sign-out").await;
    for answer in [sign_in, consent, message] {
        let style = answer.body.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let policy = answer.header("content-security-policy");
        let hash = STANDARD.encode(Sha256::digest(style));
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; \
                 frame-ancestors 'none'; base-uri 'none'"
            )
        );
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cache-control"), "no-store");
        let html = answer.body.to_lowercase();
        for absent in ["<script", " style=", " onclick", "src=", "@import", "url(", "http-equiv"] {
            assert!(!html.contains(absent), "{absent}");
        }
        assert_eq!(html.matches("<h1").count(), 1);
        assert_eq!(html.matches("<main").count(), 1);
        assert!(html.contains("<html lang=\"en\">") && html.contains("name=\"viewport\""));
        for input in html.split("<input").skip(1).filter(|input| !input.contains("hidden")) {
            let id = input.split_once("id=\"").unwrap().1.split_once('"').unwrap().0;
            assert!(html.contains(&format!("<label for=\"{id}\"")), "{id} has a label");
        }
    }
}

#[tokio::test]
async fn consent_leads_with_where_the_answer_goes() {
    for (uri, leads, warns) in [
        (
            "http://localhost:3118/callback",
            "Give access to a program on this computer (localhost:3118)?",
            "any program on this computer",
        ),
        ("https://claude.ai/cb", "Give access to claude.ai?", "Anybody may register"),
        ("cursor://x/cb", "Give access to an app on this device (cursor:)?", "any app may claim those"),
    ] {
        let answer = page(consent_required(uri)).await;
        let text = text(&answer.body);
        assert!(text.starts_with(leads), "{text}");
        for part in [
            "It calls itself “Claude Code (t)”; grantd could not verify this.",
            warns,
            "Read your articles read:articles",
            "Write and publish articles write:articles",
            "https://mcp.example.com/mcp",
            "owner",
            "Not you? Sign out",
            uri,
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}

#[tokio::test]
async fn nothing_a_client_says_becomes_markup() {
    let attack = "\"><script>alert(1)</script><img src=x onerror=y>{{7*7}}\u{202e}\u{200b}\0";
    let mut evil = consent_required("http://localhost:1/<script>\"'?<b>");
    evil.client = Some(v1::Client { client_id: attack.to_owned(), ..client(attack) });
    evil.user = Some(v1::User { username: attack.to_owned(), ..Default::default() });
    evil.resource = attack.to_owned();
    evil.ticket = attack.to_owned();
    evil.scopes = vec![v1::ScopeDescription { name: attack.to_owned(), description: attack.to_owned() }];
    let answer = page(evil).await;
    answer.is_page(200, "id=\"approve\"");
    for absent in ["<script", "<img", "<b>", "\u{202e}", "\u{200b}", "\0", "\"\">"] {
        assert!(!answer.body.contains(absent), "{absent:?} in {}", answer.body);
    }
    let query = "client_id=%22%3E%3Cscript%3E&state=\"'";
    let uri: http::Uri = format!("/oauth/authorize?{}", query.replace('"', "%22")).parse().unwrap();
    let answer = facade(|_| consent("http://localhost:1/")).get(&uri.to_string()).await;
    assert!(!answer.body.contains("<script") && !answer.body.contains("state=\""));
}

#[tokio::test]
async fn a_client_without_a_name_is_said_to_have_none() {
    for name in ["", " \u{200b}\u{202e} "] {
        let mut consent = consent_required("http://localhost:1/");
        consent.client = Some(client(name));
        let answer = page(consent).await;
        assert!(text(&answer.body).contains("It does not say what it is"));
    }
}

/// WCAG 2 relative luminance of `#rrggbb`.
fn luminance(colour: &str) -> f64 {
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

#[test]
fn colours_have_enough_contrast() {
    let (light, dark) = crate::pages::STYLE.split_once("@media (prefers-color-scheme: dark)").unwrap();
    for theme in [light, dark] {
        let colour = |name: &str| {
            let (_, rest) = theme.split_once(&format!("--{name}: ")).unwrap();
            luminance(rest.split_once(';').unwrap().0)
        };
        let ratio = |a: &str, b: &str| {
            let (a, b) = (colour(a), colour(b));
            (a.max(b) + 0.05) / (a.min(b) + 0.05)
        };
        for (text, ground) in [
            ("ink", "card"),
            ("ink", "page"),
            ("ink", "note"),
            ("ink", "alert"),
            ("soft", "card"),
            ("soft", "page"),
            ("brand", "card"),
            ("on-brand", "brand"),
            ("on-brand", "brand-over"),
        ] {
            assert!(ratio(text, ground) >= 4.5, "{text} on {ground}: {}", ratio(text, ground));
        }
        // Borders of controls and the focus ring (WCAG 1.4.11).
        for (edge, ground) in [("soft", "card"), ("focus", "card")] {
            assert!(ratio(edge, ground) >= 3.0, "{edge} on {ground}");
        }
    }
}

/// Writes the pages for somebody to look at: `GRANTD_PAGES=dir cargo test -p grantd-facade samples`.
#[tokio::test]
async fn samples() {
    let Some(dir) = std::env::var_os("GRANTD_PAGES").map(std::path::PathBuf::from) else { return };
    std::fs::create_dir_all(&dir).unwrap();
    let write = |name: &str, answer: &Answer| std::fs::write(dir.join(name), &answer.body).unwrap();
    write("consent-loopback.html", &page(consent_required("http://localhost:3118/callback")).await);
    write("consent-https.html", &page(consent_required("https://claude.ai/api/mcp/auth_callback")).await);
    write("consent-app.html", &page(consent_required("cursor://anysphere.cursor-mcp/oauth/callback")).await);
    let mut long = consent_required(&format!("https://{}.example.com/cb", "very-long-label.".repeat(8)));
    long.client = Some(client(&"Claude ".repeat(30)));
    write("consent-long.html", &page(long).await);
    let sign_in = facade(|call| match call {
        super::Call::SignIn(_) => {
            Err(grantd_proto::error::status(tonic::Code::Unauthenticated, "invalid_credentials", "x"))
        }
        _ => sign_in_required("http://localhost:3118/callback"),
    });
    write("sign-in.html", &sign_in.get("/oauth/authorize?client_id=c").await);
    write("wrong.html", &sign_in.form("/oauth/sign-in", &[], "username=owner&password=x&continue=a").await);
    let refused = facade(|_| Err(super::redirectable("invalid_target", "https://a.example/cb")));
    write("error.html", &refused.get("/oauth/authorize?client_id=c").await);
    let unknown =
        facade(|_| Err(grantd_proto::error::status(tonic::Code::NotFound, "invalid_client", "unknown client")));
    write("unknown.html", &unknown.get("/oauth/authorize?client_id=c").await);
    write("sign-out.html", &unknown.get("/oauth/sign-out").await);
}

#[tokio::test]
async fn a_person_who_opens_the_root_is_told_what_to_do_and_a_program_is_not() {
    let facade = facade(|_| panic!());
    let page = facade.get_with("/", &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")]).await;
    assert_eq!(page.status, 200);
    assert!(text(&page.body).contains("https://mcp.example.com/mcp"), "{}", page.body);
    for accept in ["application/json", "*/*", "application/json, text/html;q=0.5"] {
        let answer = facade.get_with("/", &[("accept", accept)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (404, "application/json"), "{accept}");
    }
    let elsewhere = facade.get_with("/.well-known/nothing", &[("accept", "text/html")]).await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.header("content-type")), (404, "application/json"));
}
