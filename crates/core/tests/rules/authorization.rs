//! From the authorization request to the person's decision.

use grantd_core::{
    Event, RecordKey, approve,
    approve::Refusal,
    authorize::{self, AuthorizationRequest, Fault, MAX_STATE},
    records::{Session, User},
    users,
};
use grantd_oauth_types::{OAuthErrorCode, Secret, Ticket};

use crate::fixture::{Asked, LOOPBACK, MCP, NOW, OTHER, WEB, client, draw, policy, request, scopes, secs, user};

fn with(change: impl Fn(&mut AuthorizationRequest)) -> AuthorizationRequest {
    let mut request = request();
    change(&mut request);
    request
}

#[test]
fn faults_go_to_who_may_hear_of_them() {
    use OAuthErrorCode::{InvalidClient, InvalidRequest, InvalidTarget, UnsupportedResponseType};
    let known = client(1, &[LOOPBACK, WEB]);
    let one = client(2, &[WEB]);
    let text = |text: &str| text.to_owned();
    // (client, request, code, where the client is told; none: the person is)
    let rows = [
        (None, request(), InvalidClient, None),
        (Some(&known), with(|r| r.redirect_uri = text("https://evil.example/")), InvalidRequest, None),
        (Some(&known), with(|r| r.redirect_uri = text("javascript:alert(1)")), InvalidRequest, None),
        (Some(&known), with(|r| r.redirect_uri = text("")), InvalidRequest, None),
        // The redirect URI comes first, whatever else is wrong.
        (
            Some(&known),
            AuthorizationRequest { redirect_uri: text("https://evil.example/"), ..AuthorizationRequest::default() },
            InvalidRequest,
            None,
        ),
        (Some(&known), with(|r| r.response_type = text("")), InvalidRequest, Some(LOOPBACK)),
        (Some(&known), with(|r| r.response_type = text("token")), UnsupportedResponseType, Some(LOOPBACK)),
        (Some(&known), with(|r| r.response_type = text("code token")), UnsupportedResponseType, Some(LOOPBACK)),
        (Some(&known), with(|r| r.code_challenge = text("")), InvalidRequest, Some(LOOPBACK)),
        (Some(&known), with(|r| r.code_challenge = "A".repeat(42)), InvalidRequest, Some(LOOPBACK)),
        (Some(&known), with(|r| r.code_challenge = format!("{}=", "A".repeat(43))), InvalidRequest, Some(LOOPBACK)),
        (Some(&known), with(|r| r.code_challenge_method = text("plain")), InvalidRequest, Some(LOOPBACK)),
        (Some(&known), with(|r| r.code_challenge_method = text("")), InvalidRequest, Some(LOOPBACK)),
        (Some(&known), with(|r| r.code_challenge_method = text("s256")), InvalidRequest, Some(LOOPBACK)),
        (Some(&known), with(|r| r.resource = vec![text("https://x.example/mcp")]), InvalidTarget, Some(LOOPBACK)),
        (Some(&known), with(|r| r.resource = vec![text(MCP), text(OTHER)]), InvalidTarget, Some(LOOPBACK)),
        (Some(&known), with(|r| r.state = Some("x".repeat(MAX_STATE + 1))), InvalidRequest, Some(LOOPBACK)),
        (
            Some(&one),
            with(|r| (r.redirect_uri, r.response_type) = (text(""), text("x"))),
            UnsupportedResponseType,
            Some(WEB),
        ),
    ];
    for (client, request, code, told) in rows {
        match (authorize::check(&policy(), client, &request).unwrap_err(), told) {
            (Fault::Direct(error), None) => assert_eq!(error.code, code, "{request:?}"),
            (Fault::Redirect(uri, error), Some(told)) => {
                assert_eq!((uri.as_str(), error.code), (told, code), "{request:?}");
            }
            (fault, _) => unreachable!("{request:?}: {fault:?}"),
        }
    }
}

#[test]
fn scope_and_resource_are_read_with_tolerance() {
    let client = client(1, &[LOOPBACK]);
    for (scope, resource, granted, of) in [
        ("", &[][..], "read write", MCP),
        ("read", &[], "read", MCP),
        (" read  read ", &[], "read", MCP),
        ("openid offline_access", &[], "read write", MCP),
        ("openid admin", &[], "admin", MCP),
        ("", &[MCP], "read write", MCP),
        ("", &["https://mcp.example.com/mcp/"], "read write", MCP),
        ("", &["https://mcp.example.com"], "read write", MCP),
        ("", &["https://mcp.example.com/"], "read write", MCP),
        ("", &["", MCP], "read write", MCP),
        ("", &[MCP, MCP], "read write", MCP),
        ("", &[MCP, "https://mcp.example.com"], "read write", MCP),
        ("write", &[OTHER], "read", OTHER),
        ("", &[OTHER], "read", OTHER),
    ] {
        let request = with(|request| {
            request.scope = scope.into();
            request.resource = resource.iter().map(|text| (*text).to_owned()).collect();
        });
        let policy = policy();
        let checked = authorize::check(&policy, Some(&client), &request).unwrap();
        assert_eq!(
            (checked.scope, checked.resource.identifier.as_str()),
            (scopes(granted), of),
            "{scope:?} {resource:?}"
        );
    }
}

#[test]
fn the_port_of_loopback_is_free_and_nothing_else_is() {
    let known = client(1, &[LOOPBACK, WEB]);
    for (uri, good) in [
        (LOOPBACK, true),
        ("http://localhost:1/callback", true),
        ("http://localhost/callback", true),
        (WEB, true),
        ("http://localhost:3118/callback/", false),
        ("http://localhost:3118/callback?x=1", false),
        ("http://127.0.0.1:3118/callback", false),
        ("https://app.example:444/cb", false),
        ("https://app.example/CB", false),
    ] {
        let checked = authorize::check(&policy(), Some(&known), &with(|r| r.redirect_uri = uri.into())).is_ok();
        assert_eq!(checked, good, "{uri}");
    }
}

#[test]
fn what_is_granted_is_what_all_three_allow() {
    let client = client(1, &[LOOPBACK]);
    for (groups, scope, resource, granted) in [
        (&["owner"][..], "", MCP, Some("read write")),
        (&["owner"], "read admin", MCP, Some("read")),
        (&["owner", "admins"], "read admin", MCP, Some("read admin")),
        (&["owner"], "admin", MCP, None),
        (&["admins"], "admin", MCP, None),
        (&["guests"], "", MCP, None),
        (&["guests"], "", OTHER, Some("read")),
        (&["guests"], "read write admin", OTHER, Some("read")),
        (&[], "", OTHER, None),
    ] {
        let request = with(|request| (request.scope, request.resource) = (scope.into(), vec![resource.into()]));
        let (policy, user) = (policy(), user("person", groups));
        let checked = authorize::check(&policy, Some(&client), &request).unwrap();
        let begun = authorize::begin(&policy, &client, &checked, &user, Secret::new([1; 32]).digest(), NOW, &draw(3));
        match (begun, granted) {
            (Ok((pending, _, change)), Some(granted)) => {
                assert_eq!(pending.consent.scope, scopes(granted), "{groups:?} {scope:?}");
                assert_eq!(pending.expires_at, NOW.plus(secs(600)));
                assert_eq!(change.unchanged, [RecordKey::Request(pending.grant_id)]);
            }
            (Err(Fault::Redirect(_, error)), None) => assert_eq!(error.code, OAuthErrorCode::AccessDenied),
            (other, _) => unreachable!("{groups:?} {scope:?}: {other:?}"),
        }
    }
}

#[test]
fn a_ticket_works_in_its_session_for_its_person() {
    let asked = Asked::new(policy());
    let (foreign, other_session, _) = users::open_session(&asked.policy, &asked.user, NOW, &draw(50));
    let stranger = User { subject: "somebody".into(), ..user("stranger", &["owner"]) };
    let strangers = Session { subject: "somebody".into(), ..asked.session.clone() };
    let mut changed = asked.user.clone();
    changed.epoch += 1;
    let altered = Ticket { grant_id: asked.ticket.grant_id, secret: Secret::new([0; 32]) };
    let facts = asked.facts();
    let rows = [
        ("as it should be", facts, &asked.ticket, &asked.secret, Ok(())),
        (
            "no request",
            approve::Loaded { request: None, ..facts },
            &asked.ticket,
            &asked.secret,
            Err(Refusal::TicketExpired),
        ),
        ("another ticket", facts, &altered, &asked.secret, Err(Refusal::TicketExpired)),
        (
            "nobody is signed in",
            approve::Loaded { session: None, user: None, ..facts },
            &asked.ticket,
            &asked.secret,
            Err(Refusal::LoginRequired),
        ),
        (
            "another session of the same person",
            approve::Loaded { session: Some(&other_session), ..facts },
            &asked.ticket,
            &foreign,
            Err(Refusal::LoginRequired),
        ),
        (
            "another person",
            approve::Loaded { session: Some(&strangers), user: Some(&stranger), ..facts },
            &asked.ticket,
            &asked.secret,
            Err(Refusal::LoginRequired),
        ),
        (
            "a new password since",
            approve::Loaded { user: Some(&changed), ..facts },
            &asked.ticket,
            &asked.secret,
            Err(Refusal::LoginRequired),
        ),
        (
            "the person is gone",
            approve::Loaded { user: None, ..facts },
            &asked.ticket,
            &asked.secret,
            Err(Refusal::LoginRequired),
        ),
    ];
    for (name, facts, ticket, secret, expected) in rows {
        let approved = approve::approve(&asked.policy, facts, ticket, secret, NOW).map(drop);
        assert_eq!(approved, expected, "approve: {name}");
        assert_eq!(approve::deny(facts, ticket, secret).map(drop), expected, "deny: {name}");
    }
}

#[test]
fn approving_twice_gives_one_code_and_denying_ends_it() {
    let asked = Asked::new(policy());
    let (approved, change, event) =
        approve::approve(&asked.policy, asked.facts(), &asked.ticket, &asked.secret, NOW).unwrap();
    assert_eq!(event, Some(Event::ConsentGiven));
    let id = asked.ticket.grant_id;
    assert_eq!(change.unchanged, [RecordKey::Request(id), RecordKey::Grant(id)]);
    assert_eq!(change.deletes, [RecordKey::Request(id)]);
    assert_eq!(change.puts[0].1.expires_at(), Some(NOW.plus(secs(600))));

    let (_, record) = asked.approved();
    let again = approve::Loaded { request: None, code: Some(&record), ..asked.facts() };
    let (second, nothing, event) =
        approve::approve(&asked.policy, again, &asked.ticket, &asked.secret, NOW.plus(secs(5))).unwrap();
    assert_eq!(second, approved);
    assert!(nothing.is_empty() && event.is_none());
    // But in its session only.
    let (foreign, session, _) = users::open_session(&asked.policy, &asked.user, NOW, &draw(50));
    let elsewhere = approve::Loaded { session: Some(&session), ..again };
    let refused = approve::approve(&asked.policy, elsewhere, &asked.ticket, &foreign, NOW).unwrap_err();
    assert_eq!(refused, Refusal::LoginRequired);
    // Once it is approved there is nothing to deny.
    assert_eq!(approve::deny(again, &asked.ticket, &asked.secret).unwrap_err(), Refusal::TicketExpired);

    let (_, change, event) = approve::deny(asked.facts(), &asked.ticket, &asked.secret).unwrap();
    assert_eq!((change.deletes, event), (vec![RecordKey::Request(id)], Event::ConsentDenied));
}

#[test]
fn scopes_imply_others_at_the_check_and_for_who_grants() {
    let mut policy = policy();
    for (scope, implied) in [("admin", "write"), ("write", "read elsewhere")] {
        policy.scopes.get_mut(&scopes(scope).iter().next().unwrap().clone()).unwrap().implies = scopes(implied);
    }
    let [mcp, other] = [&policy.resources[0], &policy.resources[1]];
    for (granted, resource, all) in [
        ("read", mcp, "read"),
        ("write", mcp, "read write"),
        ("admin", mcp, "admin read write"),
        ("admin", other, "admin read"),
        ("", mcp, ""),
    ] {
        assert_eq!(policy.with_implied(&scopes(granted), resource), scopes(all), "{granted}");
    }
    // A circle, should one come through, ends.
    let mut circle = policy.clone();
    circle.scopes.get_mut(&scopes("read").iter().next().unwrap().clone()).unwrap().implies = scopes("admin");
    assert_eq!(circle.with_implied(&scopes("read"), mcp), scopes("admin read write"));

    // `admin` is for admins only, whatever implies it.
    let groups = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (groups, grantable) in [(groups(&["owner"]), "write"), (groups(&["owner", "admins"]), "admin write")] {
        assert_eq!(authorize::grantable(&policy, mcp, &scopes("admin write"), &groups), scopes(grantable));
    }
    for (groups, grantable) in [(groups(&["owner"]), ""), (groups(&["owner", "admins"]), "read")] {
        assert_eq!(authorize::grantable(&circle, mcp, &scopes("read"), &groups), scopes(grantable));
    }
}
