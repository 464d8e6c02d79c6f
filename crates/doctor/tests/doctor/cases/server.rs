//! Metadata of the authorization server.

use super::*;

pub(crate) const SERVER: &[Case] = &[
    Case::new(
        "no AS metadata, endpoints at the root, iss sent",
        |ask, reply, _| {
            if ask.starts(AS) {
                reply.instead(404, "not_found")
            }
        },
        &[NoServerMetadata, IssNotAdvertised],
    ),
    Case::new(
        "no AS metadata, no endpoints",
        |ask, reply, _| {
            if ask.starts(AS) || ask.path == "/register" || ask.path == "/authorize" {
                reply.instead(404, "not_found")
            }
        },
        &[NoServerMetadata, NoRegistration],
    ),
    Case::new(
        "AS metadata answers 500",
        |ask, reply, _| {
            if ask.starts(AS) {
                reply.instead(500, "server_error")
            }
        },
        &[WellKnownError],
    ),
    Case::new(
        "AS metadata is HTML",
        |ask, reply, _| {
            if ask.starts(AS) {
                reply.page(200)
            }
        },
        &[ServerMetadataNotJson],
    ),
    Case::new(
        "AS metadata content-type text/plain",
        |ask, reply, _| {
            if ask.starts(AS) {
                reply.set("content-type", "text/plain")
            }
        },
        &[ServerMetadataContentType],
    ),
    Case::new(
        "AS metadata contains null members",
        metadata!(|body, _| body["jwks_uri"] = Value::Null),
        &[ServerMetadataNull],
    ),
    Case::new(
        "AS metadata not for the endpoint",
        |ask, reply, _| {
            if ask.path == format!("{AS}/mcp") {
                reply.instead(404, "not_found")
            }
        },
        &[ServerMetadataNotAtResource],
    ),
    Case::new("AS metadata lacks an endpoint", metadata!(|body, _| remove(body, "token_endpoint")), &[LacksEndpoint]),
    Case::new(
        "AS metadata lacks response_types_supported",
        metadata!(|body, _| remove(body, "response_types_supported")),
        &[LacksResponseTypes],
    ),
    Case::new(
        "AS metadata lacks code_challenge_methods_supported",
        metadata!(|body, _| remove(body, "code_challenge_methods_supported")),
        &[PkceNotAdvertised],
    ),
    Case::new(
        "PKCE plain only",
        metadata!(|body, _| body["code_challenge_methods_supported"] = json!(["plain"])),
        &[PkceLacksS256],
    ),
    Case::new(
        "AS metadata issuer has a trailing slash",
        metadata!(|body, base| body["issuer"] = json!(format!("{base}/"))),
        &[IssuerTrailingSlash],
    ),
    Case::new(
        "PRM authorization_servers has a trailing slash",
        resource!(|body, base| body["authorization_servers"] = json!([format!("{base}/")])),
        &[AuthorizationServerTrailingSlash],
    ),
    Case::new(
        "AS metadata issuer is another host",
        metadata!(|body, _| body["issuer"] = json!("https://other.example")),
        &[IssuerMismatch],
    ),
    Case::new(
        "no registration_endpoint and no CIMD",
        metadata!(|body, _| remove(body, "registration_endpoint")),
        &[NoRegistration],
    ),
    Case::new(
        "metadata documents only",
        metadata!(|body, _| {
            remove(body, "registration_endpoint");
            body["client_id_metadata_document_supported"] = json!(true);
        }),
        &[DocumentsOnly],
    ),
    Case::new(
        "metadata documents without none",
        metadata!(|body, _| {
            body["client_id_metadata_document_supported"] = json!(true);
            body["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        }),
        &[DocumentsWithoutNone],
    ),
    Case::new(
        "metadata documents beside registration",
        metadata!(|body, _| body["client_id_metadata_document_supported"] = json!(true)),
        &[],
    ),
    Case::new(
        "none is not listed",
        metadata!(|body, _| remove(body, "token_endpoint_auth_methods_supported")),
        &[NoneNotAdvertised],
    ),
    Case::new(
        "refresh is not listed",
        metadata!(|body, _| remove(body, "grant_types_supported")),
        &[RefreshNotAdvertised],
    ),
    Case::new(
        "a relative endpoint",
        metadata!(|body, _| body["revocation_endpoint"] = json!("/revoke")),
        &[EndpointNotHttps],
    ),
    Case::new(
        "an endpoint on another host",
        metadata!(|body, base| {
            body["revocation_endpoint"] = json!(format!("{}/revoke", base.replace("127.0.0.1", "localhost")));
        }),
        &[EndpointElsewhere],
    ),
    Case::new(
        "half an OpenID configuration",
        |ask, reply, _| {
            if ask.starts("/.well-known/openid-configuration") {
                reply.status = 200;
                reply.body = json!({"issuer": ask.base}).to_string()
            }
        },
        &[OpenidIncomplete],
    ),
    Case::new(
        "a whole OpenID configuration",
        |ask, reply, _| {
            if ask.starts("/.well-known/openid-configuration") {
                reply.status = 200;
                reply.body = json!({"jwks_uri": "x", "subject_types_supported": [], "id_token_signing_alg_values_supported": []}).to_string();
            }
        },
        &[],
    ),
    Case::new(
        "neither advertised nor sent",
        |ask, reply, _| {
            if ask.starts(AS) {
                reply.json(|body| remove(body, "authorization_response_iss_parameter_supported"))
            }
            let location = reply.header("location");
            if let Some((kept, _)) = location.split_once("&iss=") {
                reply.set("location", kept)
            }
        },
        &[],
    ),
];
