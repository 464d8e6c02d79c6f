//! With a person who signs in.

use super::*;

pub(crate) const SIGN_IN: &[Case] = &[
    Case::signed_in(
        "refused in the end",
        |ask, reply, _| {
            if ask.param("approve") == "1" {
                *reply = crate::server::redirect(ask, ("error", "access_denied".into()))
            }
        },
        &[SignInRefused],
    ),
    Case { person: Person::Posts, ..Case::new("the form is repeated", |_, _, _| {}, &[CallbackNotGet]) },
    Case::signed_in(
        "the good code is refused",
        |_, reply, _| {
            if reply.note == "exchanged" {
                reply.instead(400, "invalid_grant")
            }
        },
        &[ExchangeRefused],
    ),
    Case::signed_in(
        "token response: refresh_token: null",
        |_, reply, _| {
            if reply.note == "exchanged" {
                reply.json(|body| body["refresh_token"] = Value::Null)
            }
        },
        &[TokenResponseNull],
    ),
    Case::signed_in("token response: scope: null", issued!(|body| body["scope"] = Value::Null), &[TokenResponseNull]),
    Case::signed_in(
        "token response: no token_type",
        issued!(|body| remove(body, "token_type")),
        &[TokenResponseLacksType],
    ),
    Case::signed_in(
        "token response: bearer lower-case",
        issued!(|body| body["token_type"] = json!("bearer")),
        &[TokenTypeCase],
    ),
    Case::signed_in(
        "token response: another type",
        issued!(|body| body["token_type"] = json!("mac")),
        &[TokenResponseLacksType],
    ),
    Case::signed_in(
        "token response: expires_in as a string",
        issued!(|body| body["expires_in"] = json!("3600")),
        &[TokenResponseExpiresInText],
    ),
    Case::signed_in(
        "token response: HTTP 201",
        |ask, reply, _| {
            if ask.is("POST /token") && reply.status == 200 {
                reply.status = 201
            }
        },
        &[TokenResponseStatus],
    ),
    Case::signed_in(
        "token response: text/plain",
        |ask, reply, _| {
            if ask.is("POST /token") && reply.status == 200 {
                reply.set("content-type", "text/plain")
            }
        },
        &[TokenResponseContentType],
    ),
    Case::signed_in(
        "charset in content type",
        |ask, reply, _| {
            if ask.is("POST /token") {
                reply.set("content-type", "application/json; charset=utf-8")
            }
        },
        &[],
    ),
    Case::signed_in(
        "cacheable",
        |ask, reply, _| {
            if ask.is("POST /token") {
                reply.remove("cache-control")
            }
        },
        &[TokenResponseCacheable],
    ),
    Case::signed_in("no expires_in", issued!(|body| remove(body, "expires_in")), &[TokenResponseLacksExpiresIn]),
    Case::signed_in(
        "no refresh_token",
        issued!(|body| remove(body, "refresh_token")),
        &[TokenResponseLacksRefreshToken],
    ),
    Case::signed_in("no scope", issued!(|body| remove(body, "scope")), &[TokenResponseLacksScope]),
    Case::signed_in("five minutes", issued!(|body| body["expires_in"] = json!(300)), &[TokenShortLived]),
    Case::signed_in(
        "the good token is refused",
        |_, reply, _| {
            if reply.note == "let in" {
                reply.instead(401, "invalid_token")
            }
        },
        &[AccessTokenRefused],
    ),
    Case::signed_in(
        "the upstream is away",
        |_, reply, _| {
            if reply.note == "let in" {
                reply.instead(502, "bad_gateway")
            }
        },
        &[McpCallFailed],
    ),
    Case::signed_in(
        "no events for who has a token",
        |ask, reply, _| {
            if reply.note == "let in" && ask.method == "GET" {
                reply.instead(500, "x")
            }
        },
        &[StreamRefused],
    ),
    Case::signed_in(
        "the good refresh token is refused",
        |_, reply, _| {
            if reply.note == "refreshed" {
                reply.instead(400, "invalid_grant")
            }
        },
        &[RefreshRefused],
    ),
    Case::signed_in(
        "the spent refresh token is refused",
        |_, reply, state| {
            if reply.note == "spent" {
                reply.instead(400, "invalid_grant");
                state.forget_last();
            }
        },
        &[RefreshReuseRefused],
    ),
    Case::signed_in(
        "the spent refresh token ends all",
        |_, reply, state| {
            if reply.note == "spent" {
                reply.instead(400, "invalid_grant");
                state.is_revoked = true;
            }
        },
        &[RefreshReuseRevokes],
    ),
    Case::signed_in(
        "refresh tokens that do not rotate",
        |ask, reply, _| {
            if ask.param("grant_type") == "refresh_token" && reply.status == 200 {
                reply.json(|body| remove(body, "refresh_token"));
            }
        },
        &[],
    ),
    Case::signed_in(
        "revocation does nothing",
        |ask, _, state| {
            if ask.path == "/revoke" {
                state.is_revoked = false
            }
        },
        &[RevokedTokenWorks],
    ),
    Case::signed_in(
        "a revoked token is invalid_request",
        |_, reply, _| {
            if reply.note == "revoked" {
                reply.instead(400, "invalid_request")
            }
        },
        &[TokenUnknownRefresh],
    ),
    Case::signed_in(
        "the code works twice",
        |_, reply, state| {
            if reply.note == "code again" {
                reply.status = 200;
                reply.body = state.tokens().to_string();
            }
        },
        &[CodeAcceptedTwice],
    ),
    Case::signed_in(
        "iss is missing at the end only",
        |ask, reply, _| {
            if ask.param("approve") == "1" {
                let location = reply.header("location");
                reply.set("location", location.split("&iss=").next().unwrap());
            }
        },
        &[IssMissing],
    ),
    Case::signed_in(
        "state is wrong at the end only",
        |ask, reply, _| {
            if ask.param("approve") == "1" {
                reply.set("location", &reply.header("location").replace("state=", "state=x"));
            }
        },
        &[StateChanged],
    ),
];
