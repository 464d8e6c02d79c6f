//! Service keys: how callers on a listener are told apart.

use grantd_proto::{Caller, IdentityServiceClient, Role, TokenServiceClient, Transport};
use grantd_token_service::{AuthLayer, CallerKeys, CertifiedCaller};
use tonic::{Code, Status};
use tower::{Layer as _, ServiceExt as _, util::BoxCloneSyncService};

use crate::{
    roles::{all, needs},
    support::{Rig, reason},
};

const KEYS: [(&str, Role); 3] = [
    ("verify-key-0123456789-0123456789", Role::Verify),
    ("flow-key-0123456789-0123456789-01", Role::Flow),
    ("admin-key-0123456789-0123456789-0", Role::Admin),
];

fn caller(role: Role) -> Caller {
    Caller { name: "test".into(), role }
}

/// A listener's way in, for requests that `change` makes.
fn listener(
    rig: &Rig,
    change: impl Fn(&mut http::Request<tonic::body::Body>) + Clone + Send + Sync + 'static,
) -> Transport {
    let keys = KEYS.map(|(key, role)| (format!("{role:?}"), role, key.to_owned()));
    let guarded = AuthLayer::new(CallerKeys::new(keys)).layer(rig.service.routes().prepare());
    let changed = tower::util::MapRequestLayer::new(move |mut request| {
        change(&mut request);
        request
    });
    BoxCloneSyncService::new(changed.layer(guarded).map_err(Into::into))
}

fn with_headers(rig: &Rig, headers: &[&str]) -> Transport {
    let headers: Vec<http::HeaderValue> = headers.iter().map(|header| header.parse().unwrap()).collect();
    listener(rig, move |request| {
        for header in &headers {
            request.headers_mut().append(http::header::AUTHORIZATION, header.clone());
        }
    })
}

async fn answers(transport: Transport) -> Vec<(&'static str, Result<(), Status>)> {
    all(TokenServiceClient::new(transport.clone()), IdentityServiceClient::new(transport)).await
}

#[tokio::test]
async fn a_key_gives_its_role_and_no_more() {
    let rig = Rig::new().await;
    for (key, role) in KEYS {
        for scheme in ["Bearer", "bearer"] {
            for (method, answer) in answers(with_headers(&rig, &[&format!("{scheme} {key}")])).await {
                let status = answer.err();
                let forbidden = status.as_ref().filter(|status| status.code() == Code::PermissionDenied);
                assert_eq!(forbidden.is_some(), role < needs(method), "{method} as {role:?}: {status:?}");
                if let Some(status) = forbidden {
                    assert_eq!(reason(status), "forbidden", "{method}");
                }
                let stranger = status.is_some_and(|status| reason(&status) == "unauthenticated");
                assert!(!stranger, "{method} as {role:?}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_good_key_no_method_is_reached() {
    let rig = Rig::new().await;
    let (key, upper) = (KEYS[2].0, KEYS[2].0.to_uppercase());
    for headers in [
        vec![],
        vec![String::new()],
        vec!["Bearer".into()],
        vec!["Bearer ".into()],
        vec![key.into()],
        vec![format!("Basic {key}")],
        vec![format!("Bearer  {key}")],
        vec![format!("Bearer {key}x")],
        vec![format!("Bearer {}", &key[1..])],
        vec![format!("Bearer {upper}")],
        vec!["Bearer wrong".into(), format!("Bearer {key}")],
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        for (method, answer) in answers(with_headers(&rig, &headers)).await {
            let status = answer.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{method} {headers:?}");
            assert_eq!(reason(&status), "unauthenticated", "{method} {headers:?}");
            assert!(!format!("{status:?}").contains(key), "{method}");
        }
    }
}

#[tokio::test]
async fn a_certificate_stands_in_for_a_key_but_not_for_a_wrong_one() {
    let rig = Rig::new().await;
    let certified = |key: Option<&'static str>| {
        listener(&rig, move |request| {
            request.extensions_mut().insert(CertifiedCaller(Some(caller(Role::Admin))));
            if let Some(key) = key {
                let header = format!("Bearer {key}").parse().unwrap();
                request.headers_mut().insert(http::header::AUTHORIZATION, header);
            }
        })
    };
    for (key, expected) in [(None, Some(Role::Admin)), (Some(KEYS[0].0), Some(Role::Verify)), (Some("wrong"), None)] {
        for (method, answer) in answers(certified(key)).await {
            let code = answer.err().map(|status| (status.code(), reason(&status)));
            let is_stranger = code.as_ref().is_some_and(|(_, reason)| reason == "unauthenticated");
            let is_forbidden = code.is_some_and(|(code, _)| code == Code::PermissionDenied);
            assert_eq!(is_stranger, expected.is_none(), "{method} {key:?}");
            assert_eq!(is_forbidden, expected.is_some_and(|role| role < needs(method)), "{method} {key:?}");
        }
    }
}

#[tokio::test]
async fn a_caller_that_was_left_in_the_request_is_nobody() {
    let rig = Rig::new().await;
    let forged = listener(&rig, |request| {
        request.extensions_mut().insert(caller(Role::Admin));
    });
    for (method, answer) in answers(forged).await {
        assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated, "{method}");
    }
}

#[tokio::test]
async fn in_process_nobody_calls_without_a_caller() {
    let rig = Rig::new().await;
    let unchanged = tower::util::MapRequestLayer::new(|request: http::Request<tonic::body::Body>| request);
    let bare: Transport = BoxCloneSyncService::new(unchanged.layer(rig.service.routes().prepare()).map_err(Into::into));
    for (method, answer) in answers(bare).await {
        let status = answer.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "unauthenticated"), "{method}");
    }
}
