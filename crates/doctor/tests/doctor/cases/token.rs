//! The token endpoint.

use super::*;

pub(crate) const TOKEN: &[Case] = &[
    Case::new(
        "refresh is invalid_request",
        |ask, reply, _| {
            if ask.param("grant_type") == "refresh_token" && reply.status == 400 {
                reply.instead(400, "invalid_request")
            }
        },
        &[TokenUnknownRefresh],
    ),
    Case::new(
        "refresh is 500",
        |ask, reply, _| {
            if ask.param("grant_type") == "refresh_token" && reply.status == 400 {
                reply.page(502)
            }
        },
        &[TokenUnknownRefresh],
    ),
    Case::new(
        "refresh is 401 invalid_grant",
        |ask, reply, _| {
            if ask.param("grant_type") == "refresh_token" && reply.status == 400 {
                reply.status = 401
            }
        },
        &[TokenUnknownRefresh],
    ),
    Case::new(
        "a code is invalid_request",
        |ask, reply, _| {
            if ask.param("grant_type") == "authorization_code" {
                reply.instead(400, "invalid_request")
            }
        },
        &[TokenUnknownCode],
    ),
    Case::new(
        "the grant is judged first",
        |ask, reply, _| {
            if ask.path == "/token" && reply.status == 401 {
                reply.instead(400, "invalid_grant")
            }
        },
        &[TokenUnknownClient],
    ),
    Case::new(
        "invalid_client with 400",
        |ask, reply, _| {
            if ask.path == "/token" && reply.status == 401 {
                reply.status = 400
            }
        },
        &[],
    ),
    Case::new(
        "errors are text",
        |ask, reply, _| {
            if ask.is("POST /token") {
                reply.set("content-type", "text/plain")
            }
        },
        &[TokenContentType],
    ),
    Case::new(
        "empty secrets are refused",
        |ask, reply, _| {
            if ask.form.contains_key("client_secret") {
                reply.instead(401, "invalid_client")
            }
        },
        &[TokenEmptySecret],
    ),
    Case::new(
        "redirects",
        |ask, reply, _| {
            if ask.is("POST /token") {
                reply.instead(302, "");
                reply.set("location", "/login")
            }
        },
        &[TokenRedirect],
    ),
    Case::new(
        "revocation is 400",
        |ask, reply, _| {
            if ask.is("POST /revoke") {
                reply.instead(400, "invalid_request")
            }
        },
        &[RevocationStatus],
    ),
];
