//! The MCP endpoint, its challenge, and browsers.

use super::*;

pub(crate) const MCP: &[Case] = &[
    Case::new(
        "first answer 403 instead of 401",
        |ask, reply, _| {
            if ask.is_mcp() && reply.status == 401 {
                reply.status = 403
            }
        },
        &[FirstAnswer403],
    ),
    Case::new(
        "first answer 404",
        |ask, reply, _| {
            if ask.is_mcp() {
                reply.instead(404, "not_found")
            }
        },
        &[FirstAnswerNot401],
    ),
    Case::new(
        "the server itself fails",
        |ask, reply, _| {
            if ask.is_mcp() {
                reply.page(502)
            }
        },
        &[FirstAnswerNot401],
    ),
    Case::new(
        "no token needed",
        |ask, reply, _| {
            if ask.is_mcp() {
                reply.instead(200, "")
            }
        },
        &[OpenServer],
    ),
    Case::new(
        "no token needed and no metadata",
        |ask, reply, _| {
            if ask.is_mcp() { reply.instead(200, "") } else { reply.instead(404, "not_found") }
        },
        &[OpenServer],
    ),
    Case::new(
        "GET is 405",
        |ask, reply, _| {
            if ask.is("GET /mcp") {
                reply.instead(405, "invalid_request")
            }
        },
        &[GetProbeNot401],
    ),
    Case::new(
        "server/discover is 400",
        |ask, reply, _| {
            if ask.is_mcp() && ask.body.windows(8).any(|at| at == b"discover") {
                reply.instead(400, "invalid_request")
            }
        },
        &[DiscoverNot401],
    ),
    Case::new(
        "bodies are parsed first",
        |ask, reply, _| {
            if ask.is("POST /mcp") && &ask.body[..] == b"{" {
                reply.instead(400, "invalid_request")
            }
        },
        &[BodyReadBeforeAuth],
    ),
    Case::new(
        "DELETE is 405",
        |ask, reply, _| {
            if ask.is("DELETE /mcp") {
                reply.instead(405, "invalid_request")
            }
        },
        &[DeleteNot401],
    ),
    Case::new(
        "redirects elsewhere",
        |ask, reply, _| {
            if ask.is_mcp() {
                reply.instead(302, "");
                reply.set("location", "https://login.example/")
            }
        },
        &[McpRedirect],
    ),
    Case::new(
        "redirects to the slash",
        |ask, reply, _| {
            if ask.path == "/mcp" && ask.is_mcp() {
                reply.instead(307, "");
                reply.set("location", "/mcp/")
            }
        },
        &[McpRedirectFollowed],
    ),
    Case::new(
        "the slash is not there",
        |ask, reply, _| {
            if ask.path == "/mcp/" {
                reply.instead(404, "not_found")
            }
        },
        &[SlashNotServed],
    ),
    Case::new(
        "401 without WWW-Authenticate",
        |ask, reply, _| {
            if ask.is_mcp() {
                reply.remove("www-authenticate")
            }
        },
        &[ChallengeMissing],
    ),
    Case::new(
        "two challenges",
        |ask, reply, _| {
            if ask.is_mcp() && reply.status == 401 {
                reply.headers.push(("www-authenticate".into(), "Basic realm=\"x\"".into()))
            }
        },
        &[ChallengeRepeated],
    ),
    Case::new("another scheme", challenge!(|_| "Basic realm=\"x\"".into()), &[ChallengeNotBearer]),
    Case::new("scheme lower-case", challenge!(|value| value.replace("Bearer", "bearer")), &[ChallengeSchemeCase]),
    Case::new(
        "scope=\"\" in the challenge",
        challenge!(|value| value.replace("\"read\"", "\"\"")),
        &[ChallengeEmptyValue],
    ),
    Case::new("a backslash", challenge!(|value| format!("{value}, x=\"a\\\"b\"")), &[ChallengeEscapes]),
    Case::new(
        "a description that looks like a parameter",
        challenge!(|value| format!("{value}, x=\"no scope=a\"")),
        &[ChallengeMisleading],
    ),
    Case::new("with realm", challenge!(|value| format!("{value}, realm=\"x\"")), &[ChallengeRealm]),
    Case::new(
        "with error=",
        challenge!(|value| format!("{value}, error=\"invalid_token\"")),
        &[ChallengeErrorWithoutToken],
    ),
    Case::new("no resource_metadata", challenge!(|_| "Bearer scope=\"read\"".into()), &[ChallengeLacksMetadata]),
    Case::new(
        "resource_metadata relative URL",
        |ask, reply, _| {
            if ask.is_mcp() {
                reply.set("www-authenticate", &reply.header("www-authenticate").replace(&ask.base, ""))
            }
        },
        &[ChallengeMetadataRelative],
    ),
    Case::new(
        "no scope in the challenge",
        challenge!(|value| value.replace(", scope=\"read\"", "")),
        &[ChallengeLacksScope],
    ),
    Case::new(
        "401 with HTML body",
        |ask, reply, _| {
            if ask.is_mcp() {
                reply.body = "<html>".into();
                reply.set("content-type", "text/html")
            }
        },
        &[ChallengeHtmlBody],
    ),
    Case::new(
        "any token is good",
        |ask, reply, _| {
            if ask.is_mcp() && !ask.header("authorization").is_empty() {
                reply.instead(200, "")
            }
        },
        &[BadTokenAccepted],
    ),
    Case::new(
        "a bad token is 403",
        |ask, reply, _| {
            if ask.is_mcp() && !ask.header("authorization").is_empty() {
                reply.status = 403
            }
        },
        &[BadTokenStatus],
    ),
    Case::new(
        "a bad token is 401 without error",
        |ask, reply, _| {
            if ask.is_mcp() {
                reply
                    .set("www-authenticate", &reply.header("www-authenticate").replace("error=\"invalid_token\", ", ""))
            }
        },
        &[BadTokenNoError],
    ),
    Case::new(
        "no preflight",
        |ask, reply, _| {
            if ask.method == "OPTIONS" {
                reply.instead(405, "invalid_request")
            }
        },
        &[CorsPreflight],
    ),
    Case::new(
        "too few headers allowed",
        |ask, reply, _| {
            if ask.is("OPTIONS /mcp") {
                reply.set("access-control-allow-headers", "*, content-type")
            }
        },
        &[CorsPreflight],
    ),
    Case::new(
        "preflight without origin",
        |ask, reply, _| {
            if ask.is("OPTIONS /token") {
                reply.remove("access-control-allow-origin")
            }
        },
        &[CorsPreflight],
    ),
    Case::new(
        "errors that no page can read",
        |_, reply, _| {
            if reply.status >= 400 {
                reply.remove("access-control-allow-origin")
            }
        },
        &[CorsHeaders],
    ),
    Case::new(
        "a challenge that no page can read",
        |ask, reply, _| {
            if ask.is_mcp() {
                reply.remove("access-control-expose-headers")
            }
        },
        &[CorsHeaders],
    ),
];
