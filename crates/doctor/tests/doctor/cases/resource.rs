//! Protected-resource metadata.

use super::*;

pub(crate) const RESOURCE: &[Case] = &[
    Case::new(
        "no PRM",
        |ask, reply, _| {
            if ask.starts(PRM) {
                reply.instead(404, "not_found")
            }
        },
        &[NoResourceMetadata],
    ),
    Case::new(
        "PRM only at root",
        |ask, reply, _| {
            if ask.path == format!("{PRM}/mcp") {
                reply.instead(404, "not_found")
            }
        },
        &[ResourceMetadataNotAtPath],
    ),
    Case::new(
        "PRM only at path",
        |ask, reply, _| {
            if ask.path == PRM {
                reply.instead(404, "not_found")
            }
        },
        &[ResourceMetadataNotAtRoot],
    ),
    Case::new(
        "PRM is HTML",
        |ask, reply, _| {
            if ask.starts(PRM) {
                reply.page(200)
            }
        },
        &[ResourceMetadataNotJson],
    ),
    Case::new(
        "PRM elsewhere only",
        |ask, reply, _| {
            if ask.is_mcp() {
                reply.set(
                    "www-authenticate",
                    &reply.header("www-authenticate").replace(&format!("{PRM}/mcp"), "/elsewhere"),
                );
            } else if ask.starts(PRM) {
                reply.instead(404, "not_found");
            } else if ask.starts("/elsewhere") {
                reply.status = 200;
                reply.body = json!({"resource": format!("{}/mcp", ask.base), "authorization_servers": [ask.base], "scopes_supported": ["read"]}).to_string();
            }
        },
        &[ResourceMetadataNotAtPath, ResourceMetadataNotAtRoot],
    ),
    Case::new(
        "PRM needs a token",
        |ask, reply, _| {
            if ask.starts(PRM) {
                reply.instead(401, "unauthorized")
            }
        },
        &[ResourceMetadataStatus],
    ),
    Case::new(
        "PRM is text",
        |ask, reply, _| {
            if ask.starts(PRM) {
                reply.set("content-type", "text/plain")
            }
        },
        &[ResourceMetadataContentType],
    ),
    Case::new(
        "PRM answers 500",
        |ask, reply, _| {
            if ask.starts(PRM) {
                reply.instead(500, "server_error")
            }
        },
        &[WellKnownError],
    ),
    Case::new(
        "PRM answers 429",
        |ask, reply, _| {
            if ask.path == PRM {
                reply.instead(429, "slow_down")
            }
        },
        &[WellKnownErrorBeside],
    ),
    Case::new(
        "PRM redirects",
        |ask, reply, _| {
            if ask.starts(&format!("{PRM}/mcp")) {
                reply.instead(308, "");
                reply.set("location", PRM)
            }
        },
        &[MetadataRedirect],
    ),
    Case::new(
        "PRM redirects to a sign-in",
        |ask, reply, _| {
            if ask.starts(&format!("{PRM}/mcp")) {
                reply.instead(302, "");
                reply.set("location", "https://login.example/?code=1")
            }
        },
        &[MetadataRedirect],
    ),
    Case::new("PRM with null", resource!(|body, _| body["resource_name"] = Value::Null), &[ResourceMetadataNull]),
    Case::new("PRM without resource", resource!(|body, _| remove(body, "resource")), &[ResourceMissing]),
    Case::new(
        "PRM.resource = server URL + /",
        resource!(|body, base| body["resource"] = json!(format!("{base}/mcp/"))),
        &[ResourceTrailingSlash],
    ),
    Case::new("PRM.resource = origin", resource!(|body, base| body["resource"] = json!(base)), &[ResourceIsParent]),
    Case::new(
        "PRM.resource of another host",
        resource!(|body, _| body["resource"] = json!("https://old.example/mcp")),
        &[ResourceMismatch],
    ),
    Case { paths: ("/mcp", "/mcp/"), ..Case::new("typed with a slash", |_, _, _| {}, &[UrlHasSlash]) },
    Case::new(
        "PRM without authorization_servers",
        resource!(|body, _| remove(body, "authorization_servers")),
        &[NoAuthorizationServers],
    ),
    Case::new(
        "no scopes anywhere",
        |ask, reply, _| {
            if ask.starts(PRM) {
                reply.json(|body| remove(body, "scopes_supported"))
            }
            if ask.is_mcp() {
                reply.set("www-authenticate", &reply.header("www-authenticate").replace(", scope=\"read\"", ""))
            }
        },
        &[NoScopes],
    ),
    Case::new(
        "tokens in the query only",
        resource!(|body, _| body["bearer_methods_supported"] = json!(["query"])),
        &[BearerMethods],
    ),
    Case::new(
        "a page for everything",
        |ask, reply, _| {
            if ask.starts("/.well-known/grantd") {
                reply.page(200)
            }
        },
        &[CatchAllPage],
    ),
];
