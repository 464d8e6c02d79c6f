//! What is said, and what never is.

use std::time::Duration;

use grantd_doctor::{Code, Doctor, Options, Secret};
use serde_json::Value;

use super::{
    Case,
    server::{self, Server},
};

#[tokio::test]
async fn a_finding_says_who_fails_and_what_to_do() {
    let case = Case::new(
        "a slash",
        |ask, reply, _| {
            if ask.starts("/.well-known/oauth-authorization-server") {
                reply.json(|body| body["issuer"] = format!("{}/\u{1b}[2J", ask.base).into());
            }
        },
        &[Code::IssuerMismatch],
    );
    let report = case.report().await;
    let text = report.to_string();
    for said in [
        "BREAKS  issuer_mismatch",
        "seen to fail: TypeScript SDK 2.4",
        "fix:",
        "1 fault that breaks clients.",
        &report.trace_id,
    ] {
        assert!(text.contains(said), "{said} in {text}");
    }
    assert!(!text.contains('\u{1b}'), "nothing of a server moves the cursor");
    let json: Value = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["breaks"], &json["complete"]), (&true.into(), &false.into()));
    let finding = &json["findings"][0];
    assert_eq!((&finding["code"], &finding["severity"]), (&"issuer_mismatch".into(), &"breaks".into()));
    assert_eq!(finding["measured"].as_array().unwrap().len(), 10);
    assert!(finding["seen"].as_str().unwrap().contains("issuer is http"));
    assert!(finding.get("error").is_none());
}

#[tokio::test]
async fn a_refusal_carries_the_word_of_the_server() {
    let case = Case::new(
        "refused",
        |ask, reply, _| {
            if ask.is("GET /authorize") && reply.status == 200 {
                *reply = server::redirect(ask, ("error", "invalid_target".into()));
            }
        },
        &[Code::AuthorizeRefused],
    );
    let report = case.report().await;
    assert_eq!(report.findings[0].error.as_deref(), Some("invalid_target"));
}

/// Even where a server repeats what it gave in confidence.
#[tokio::test]
async fn no_secret_is_told() {
    let case = Case::signed_in(
        "tells all",
        |ask, reply, _| {
            let token = ask.header("authorization").to_owned();
            if reply.note == "let in" || ask.method == "DELETE" {
                reply.instead(500, "server_error");
                reply.json(|body| body["error_description"] = format!("cannot use {token}").into());
            } else if reply.note == "spent" || reply.note == "code again" || reply.note == "revoked" {
                let sent = format!("{:?}", ask.form);
                reply.instead(400, "invalid_request");
                reply.json(|body| body["error_description"] = sent.into());
            }
        },
        &[],
    );
    let report = case.report().await;
    assert!(report.findings.len() >= 3, "{report}");
    let said = format!("{report}{report:?}{}", serde_json::to_string(&report).unwrap());
    for kind in ["access", "refresh", "code", "management", "secret"] {
        assert!(!said.contains(&format!("mock-{kind}-")), "{said}");
    }
    assert!(said.contains("(redacted)"));
    assert_eq!(format!("{:?}", Secret::new("x")), "Secret(redacted)");
}

#[tokio::test]
async fn a_client_that_cannot_be_deleted_is_named() {
    let case = Case::new(
        "no management",
        |ask, reply, _| {
            if ask.is("POST /register") {
                reply.json(|body| {
                    body.as_object_mut().unwrap().remove("registration_client_uri");
                });
            }
        },
        &[],
    );
    let report = case.report().await;
    let client = report.client_left_behind.clone().expect("it stays");
    assert!(client.starts_with("mock-client-") && report.to_string().contains(&client), "{report}");
}

/// The management token goes to nobody but who gave it.
#[tokio::test]
async fn no_token_goes_elsewhere() {
    let case = Case::new(
        "management elsewhere",
        |ask, reply, _| {
            if ask.is("POST /register") {
                let elsewhere = format!("{}/register/x", ask.base.replace("127.0.0.1", "localhost"));
                reply.json(|body| body["registration_client_uri"] = elsewhere.into());
            }
            assert!(!ask.path.starts_with("/register/"), "the token was sent elsewhere");
        },
        &[],
    );
    let report = case.report().await;
    assert!(report.client_left_behind.is_some() && report.findings.is_empty(), "{report}");
}

#[tokio::test]
async fn nobody_is_waited_for_without_end() {
    let server = Server::start("/mcp", |_, _, _| {}).await;
    let mut doctor = Doctor::new(Options::new(format!("{}/mcp", server.base))).await.unwrap();
    doctor.look().await;
    assert!(!doctor.sign_in(|_| {}, Duration::from_millis(50)).await);
    let report = doctor.finish().await;
    assert!(!report.complete && report.findings.is_empty(), "{report}");
}

/// An answer with another state is somebody else's: its code is not used.
#[tokio::test]
async fn a_code_with_another_state_is_not_used() {
    let case = Case::signed_in(
        "another state",
        |ask, reply, _| {
            if ask.param("approve") == "1" {
                reply.set("location", &reply.header("location").replace("state=", "state=x"));
            }
            assert_ne!(reply.note, "exchanged", "the code was used");
        },
        &[],
    );
    let report = case.report().await;
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!((report.complete, &codes[..]), (false, &[Code::StateChanged][..]), "{report}");
}
