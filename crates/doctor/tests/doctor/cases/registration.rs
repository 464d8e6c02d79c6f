//! Registration.

use super::*;

pub(crate) const REGISTRATION: &[Case] = &[
    Case::new(
        "refused",
        |ask, reply, _| {
            if ask.is("POST /register") {
                reply.instead(400, "invalid_client_metadata")
            }
        },
        &[RegistrationRefused],
    ),
    Case::new(
        "needs a token",
        |ask, reply, _| {
            if ask.is("POST /register") {
                reply.instead(401, "invalid_token")
            }
        },
        &[RegistrationRefused],
    ),
    Case::new(
        "refuses apps",
        |ask, reply, _| {
            if ask.is("POST /register") && ask.body.windows(9).any(|at| at == b"cursor://") {
                reply.instead(400, "invalid_redirect_uri")
            }
        },
        &[RegistrationRefusesApps],
    ),
    Case::new(
        "refuses clients without a secret",
        |ask, reply, _| {
            if ask.is("POST /register") && ask.body.windows(6).any(|at| at == b"\"none\"") {
                reply.instead(400, "invalid_client_metadata")
            }
        },
        &[RegistrationRefusesPublic],
    ),
    Case::new(
        "redirects",
        |ask, reply, _| {
            if ask.is("POST /register") {
                reply.instead(302, "");
                reply.set("location", "/login")
            }
        },
        &[RegistrationRedirect],
    ),
    Case::new(
        "HTML",
        |ask, reply, _| {
            if ask.is("POST /register") {
                reply.page(200)
            }
        },
        &[RegistrationNotJson],
    ),
    Case::new(
        "text/plain",
        |ask, reply, _| {
            if ask.is("POST /register") {
                reply.set("content-type", "text/plain")
            }
        },
        &[RegistrationContentType],
    ),
    Case::new(
        "DCR 200 instead of 201",
        |ask, reply, _| {
            if ask.is("POST /register") {
                reply.status = 200
            }
        },
        &[RegistrationStatus],
    ),
    Case::new(
        "DCR response has null members",
        registered!(|body| body["client_uri"] = Value::Null),
        &[RegistrationNull],
    ),
    Case::new(
        "DCR response client_secret: null",
        registered!(|body| body["client_secret"] = Value::Null),
        &[RegistrationSecretNull],
    ),
    Case::new(
        "DCR response lacks redirect_uris",
        registered!(|body| remove(body, "redirect_uris")),
        &[RegistrationLacksRedirectUris],
    ),
    Case::new(
        "other redirect URIs",
        registered!(|body| body["redirect_uris"] = json!(["https://a.example/"])),
        &[RegistrationChangesRedirectUris],
    ),
    Case::new("no client_id", registered!(|body| remove(body, "client_id")), &[RegistrationLacksClientId]),
    Case::new(
        "DCR no auth method",
        registered!(|body| remove(body, "token_endpoint_auth_method")),
        &[RegistrationLacksMethod],
    ),
    Case::new(
        "DCR minimal",
        registered!(|body| *body = json!({"client_id": body["client_id"], "redirect_uris": body["redirect_uris"]})),
        &[RegistrationLacksMethod],
    ),
    Case::new(
        "a secret although none was asked",
        registered!(|body| {
            body["client_secret"] = json!("s");
            body["client_secret_expires_at"] = json!(0);
        }),
        &[RegistrationSecretForPublic],
    ),
    Case::new(
        "DCR no client_secret_expires_at",
        registered!(|body| body["client_secret"] = json!("s")),
        &[RegistrationSecretForPublic, RegistrationLacksExpiry],
    ),
    Case::new(
        "cannot be deleted",
        |ask, reply, _| {
            if ask.method == "DELETE" && ask.path != "/mcp" {
                reply.instead(403, "access_denied")
            }
        },
        &[RegistrationNotDeleted],
    ),
    Case::new(
        "a client_id with a colon",
        |ask, reply, _| {
            if ask.is("POST /register") {
                reply.json(|body| body["client_id"] = json!("a:b"))
            }
            // The server knows it by the name it gave.
            if ask.param("client_id") == "a:b" && ask.path == "/token" {
                reply.instead(400, "invalid_grant")
            }
            if ask.param("client_id") == "a:b"
                && ask.path == "/authorize"
                && ask.param("redirect_uri").starts_with("http:")
            {
                reply.instead(200, "")
            }
        },
        &[ClientIdCharacters],
    ),
];
