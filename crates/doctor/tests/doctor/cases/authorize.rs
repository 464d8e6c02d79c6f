//! The authorization endpoint.

use super::*;

pub(crate) const AUTHORIZE: &[Case] = &[
    Case::new(
        "refused",
        |ask, reply, _| {
            if ask.is("GET /authorize") && reply.status == 200 {
                reply.instead(400, "invalid_target")
            }
        },
        &[AuthorizeRefused],
    ),
    Case::new(
        "refused to the client",
        |ask, reply, _| {
            if ask.is("GET /authorize") && reply.status == 200 {
                *reply = crate::server::redirect(ask, ("error", "invalid_scope".into()))
            }
        },
        &[AuthorizeRefused],
    ),
    Case::new(
        "to a place to sign in",
        |ask, reply, _| {
            if ask.is("GET /authorize") && reply.status == 200 {
                reply.instead(302, "");
                reply.set("location", "/login?next=x")
            }
        },
        &[],
    ),
    Case::new(
        "303",
        |ask, reply, _| {
            if reply.status == 302 && ask.is("GET /authorize") {
                reply.status = 303
            }
        },
        &[],
    ),
    Case::new(
        "307",
        |ask, reply, _| {
            if reply.status == 302 && ask.is("GET /authorize") {
                reply.status = 307
            }
        },
        &[AuthorizeRedirectStatus],
    ),
    Case::new(
        "signs in an unknown client",
        |ask, reply, _| {
            if ask.param("client_id").contains("unknown") && ask.is("GET /authorize") {
                reply.instead(302, "");
                reply.set("location", "/login")
            }
        },
        &[AuthorizeUnknownClient],
    ),
    Case::new(
        "signs in for an unknown redirect URI",
        |ask, reply, _| {
            if ask.param("redirect_uri").contains("invalid") && !ask.param("client_id").contains("unknown") {
                reply.page(200)
            }
        },
        &[AuthorizeUnknownRedirectUri],
    ),
    Case::new(
        "redirects anywhere",
        |ask, reply, _| {
            if ask.param("redirect_uri").contains("invalid") {
                *reply = crate::server::redirect(ask, ("error", "invalid_request".into()))
            }
        },
        &[AuthorizeOpenRedirect],
    ),
    Case::new(
        "the port must be the registered one",
        |ask, reply, state| {
            if ask.is("GET /authorize") && !state.has_exactly(ask.param("client_id"), ask.param("redirect_uri")) {
                reply.instead(400, "invalid_request")
            }
        },
        &[AuthorizeLoopbackPort],
    ),
    Case::new(
        "unknown scopes are refused",
        |ask, reply, _| {
            if ask.param("scope").contains("claudeai") {
                *reply = crate::server::redirect(ask, ("error", "invalid_scope".into()))
            }
        },
        &[AuthorizeUnknownScope],
    ),
    Case::new(
        "scope is required",
        |ask, reply, _| {
            if ask.is("GET /authorize") && ask.param("scope").is_empty() {
                reply.instead(400, "invalid_scope")
            }
        },
        &[AuthorizeBare],
    ),
    Case {
        paths: ("", ""),
        ..Case::new(
            "a slash is refused",
            |ask, reply, _| {
                if ask.param("resource").ends_with('/') {
                    reply.instead(400, "invalid_target")
                }
            },
            &[AuthorizeSlashResource],
        )
    },
    Case::new(
        "documents cannot be fetched",
        |ask, reply, _| {
            if ask.starts(AS) {
                reply.json(|body| body["client_id_metadata_document_supported"] = json!(true))
            }
            if ask.param("client_id").starts_with("https://") {
                reply.instead(503, "temporarily_unavailable")
            }
        },
        &[AuthorizeDocumentRefused],
    ),
    Case::new("state is cut", sent!(|location, _| location.replace("%26", "")), &[StateChanged]),
    Case::new("+ for a space", sent!(|location, _| location.replace("%20", "+")), &[SpaceAsPlus]),
    Case::new(
        "iss advertised but missing",
        sent!(|location, _| location.split("&iss=").next().unwrap().to_owned()),
        &[IssMissing],
    ),
    Case::new(
        "iss sent but not advertised",
        metadata!(|body, _| remove(body, "authorization_response_iss_parameter_supported")),
        &[IssNotAdvertised],
    ),
    Case::new(
        "iss with a trailing slash difference",
        sent!(|location, base| location.replace(&encoded(base), &encoded(&format!("{base}/")))),
        &[IssMismatch],
    ),
];
