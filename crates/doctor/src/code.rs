//! Reason codes: what can be wrong, whom it breaks, why, and what to do. `docs/doctor.md` is made of this.
//!
//! A code never changes its meaning: people search for it, and machines compare it. Where a server refused a request with
//! an OAuth error, the finding carries that word too ([`crate::Finding::error`]); it is what grantd puts on the span of the
//! refused request as `error.type`.

use std::fmt;

use crate::clients::{COMPARE_ISSUERS, Client, Client::*, STRICT_SCHEMA};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A client fails, or a person is at risk.
    Breaks,
    /// A client may fail, or fails later; or what the specifications ask for is missing.
    Warning,
    /// No measured client minds.
    Note,
}

/// What is known of a code.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// How bad it is.
    pub severity: Severity,
    /// Who was seen to fail, driven against a server with this one fault.
    pub measured: &'static [Client],
    /// Of whom it was read in the source or the documentation, or reported by others.
    pub reported: &'static [Client],
    /// What is wrong, and what comes of it.
    pub says: &'static str,
    /// What to change.
    pub fix: &'static str,
}

macro_rules! codes {
    ($($(#[$topic:meta])* $variant:ident $name:literal $severity:ident [$($measured:expr)?] [$($reported:expr)?] $says:literal $fix:literal)*) => {
        /// What can be wrong with a deployment.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $says] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as it is printed.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What is known of it.
            pub const fn facts(self) -> Facts {
                match self {
                    $(Self::$variant => Facts {
                        severity: Severity::$severity,
                        measured: codes!(@clients $($measured)?),
                        reported: codes!(@clients $($reported)?),
                        says: $says,
                        fix: $fix,
                    }),*
                }
            }
        }
    };
    (@clients) => { &[] };
    (@clients $clients:expr) => { $clients };
}

const ALL: &[Client] = &Client::MEASURED;

codes! {
    // Connections.
    Unreachable "unreachable" Breaks [ALL] []
        "There is no connection to this address: the name is unknown, nothing listens there, or a firewall is in between."
        "Check the name, the port, and that the server can be reached from the internet. Claude on the web, ChatGPT and other hosted clients connect from their own networks."
    TlsFailed "tls_failed" Breaks [ALL] []
        "The connection cannot be made secure: the certificate is expired, for another name, or of an unknown authority."
        "Install a certificate of a public authority for this name, with its intermediate certificates. For an authority of your own, pass --ca-file here; hosted clients will still refuse it."
    NoAnswer "no_answer" Breaks [ALL] []
        "There was no answer in the time that was given, so a client has given up long before."
        "Find out what the request waits for: a cold start, a database, an upstream. Every OAuth endpoint should answer within a second."
    BrokenAnswer "broken_answer" Breaks [ALL] []
        "The answer breaks off, is no HTTP, or has no end."
        "Look at the proxy in front: it may cut answers, or mix up connections."
    VerySlowAnswer "very_slow_answer" Breaks [&[McpRemote]] [&[ClaudeAi]]
        "The answer takes more than ten seconds. Claude has given up by then, and says only that it could not connect."
        "Find out what the request waits for: a cold start, a database, an upstream. Every OAuth endpoint should answer within a second."
    SlowAnswer "slow_answer" Breaks [&[McpRemote]] []
        "The answer takes more than five seconds, which is how long mcp-remote waits."
        "Find out what the request waits for: a cold start, a database, an upstream. Every OAuth endpoint should answer within a second."
    NotHttps "not_https" Warning [] [&[ClaudeAi, ChatGpt]]
        "The address is plain http, and not on this machine: everybody on the way can read and change what is said."
        "Put a proxy with TLS in front, and use its https address everywhere, in the metadata too."

    // The MCP endpoint, without a token.
    OpenServer "open_server" Warning [] []
        "The server answers without a token: whoever finds the address may call it."
        "Answer 401 with a challenge to every request that has no token."
    FirstAnswer403 "first_answer_403" Breaks [&[TypeScript1, TypeScript2, Python1, Python2, FastMcp, McpRemote, Inspector, Go]] []
        "A request without a token is answered 403. Clients begin to sign in at a 401, and take a 403 for the end."
        "Answer 401 with a WWW-Authenticate challenge; 403 is for a token that lacks a scope. Often a firewall in front answers: let requests without a token through to the server."
    FirstAnswerNot401 "first_answer_not_401" Breaks [] []
        "A request without a token is not answered 401, so no client begins to sign in."
        "Answer 401 with a challenge before anything else is looked at. Check also that the address is the one of the MCP endpoint."
    GetProbeNot401 "get_probe_not_401" Warning [] [&[McpRemote, Rmcp, Codex]]
        "A GET without a token is not answered 401. Some clients look at the server with a GET first."
        "Check the token before the method, so that GET is answered as POST is."
    DiscoverNot401 "discover_not_401" Warning [] [&[TypeScript2, FastMcp, ClaudeCode330]]
        "The newer first request, server/discover, is not answered 401 while initialize is."
        "Check the token before the body is looked at, so that every method is answered alike."
    BodyReadBeforeAuth "body_read_before_auth" Warning [] []
        "A body that is no JSON-RPC is judged before the token is."
        "Check the token first: a client must hear 401 whatever it sent, and strangers should not reach a parser."
    DeleteNot401 "delete_not_401" Note [] []
        "A DELETE without a token is not answered 401. Clients end their sessions with DELETE."
        "Check the token before the method."
    McpRedirect "mcp_redirect" Breaks [] [&[TypeScript1, TypeScript2, Python2]]
        "The MCP address redirects in a way that clients do not follow, or that makes them lose their token."
        "Serve the address itself, or give people the address that it redirects to."
    McpRedirectFollowed "mcp_redirect_followed" Warning [] []
        "The MCP address redirects to another path of the same host. Some clients follow that, some do not."
        "Serve the address itself; with and without a slash at the end. Or give people the address that it redirects to."
    SlashNotServed "slash_not_served" Warning [] [&[ClaudeAi]]
        "The address is answered differently with a slash at its end than without, and some clients and people add or drop one."
        "Serve both spellings, without a redirect."

    // The challenge.
    ChallengeMissing "challenge_missing" Warning [] []
        "The 401 has no WWW-Authenticate header, so a client must guess where to sign in."
        "Add WWW-Authenticate: Bearer resource_metadata=\"...\", scope=\"...\". A proxy in front may have removed it."
    ChallengeRepeated "challenge_repeated" Warning [] [&[TypeScript1, TypeScript2, Go]]
        "The 401 has more than one WWW-Authenticate header, and clients read only one of them."
        "Send one, and Bearer first."
    ChallengeNotBearer "challenge_not_bearer" Warning [] [&[VsCode]]
        "The challenge does not begin with Bearer, so clients find nothing they understand in it."
        "Send one challenge, of the scheme Bearer."
    ChallengeSchemeCase "challenge_scheme_case" Warning [] [&[VsCode]]
        "The scheme of the challenge is not spelled `Bearer`, and some clients compare it letter by letter."
        "Spell it Bearer."
    ChallengeEmptyValue "challenge_empty_value" Breaks [&[Go]] []
        "A parameter of the challenge is empty, such as scope=\"\"."
        "Leave out what has no value."
    ChallengeEscapes "challenge_escapes" Warning [] [&[TypeScript1, TypeScript2]]
        "A value of the challenge has a backslash, which clients do not undo."
        "Use values that need no escaping."
    ChallengeMisleading "challenge_misleading" Warning [] [&[TypeScript1, TypeScript2]]
        "The text of one parameter of the challenge looks like another parameter, and clients that search for it find the wrong one."
        "Leave words such as scope= and error= out of descriptions and realms."
    ChallengeRealm "challenge_realm" Note [] []
        "The challenge has a realm. No client uses it."
        "Leave it out."
    ChallengeErrorWithoutToken "challenge_error_without_token" Note [] []
        "The challenge has an error although no token was sent (RFC 6750 §3.1)."
        "Say error only to who sent a token."
    ChallengeLacksMetadata "challenge_lacks_metadata" Warning [] []
        "The challenge does not say where the resource metadata is (RFC 9728 §5.1), so a client must guess."
        "Add resource_metadata=\"https://...\" with the absolute address of the document."
    ChallengeMetadataRelative "challenge_metadata_relative" Breaks [&[Python1, Python2, FastMcp]] []
        "The address of the resource metadata in the challenge is not absolute."
        "Put the whole address there, with https:// and the host."
    ChallengeLacksScope "challenge_lacks_scope" Note [] []
        "The challenge does not say which scopes to ask for."
        "Add scope=\"...\" with what a client needs for normal work: some clients cannot ask for more later."
    ChallengeHtmlBody "challenge_html_body" Note [] []
        "The 401 has an HTML page for a body."
        "Answer programs with JSON."
    BadTokenAccepted "bad_token_accepted" Breaks [] []
        "A token that was made up is accepted."
        "Check tokens. If the server is meant to be open, answer requests without a token too."
    BadTokenStatus "bad_token_status" Breaks [] [&[TypeScript1, TypeScript2, Python1, Python2]]
        "A token that is not valid is not answered 401. A client whose token has expired neither refreshes nor signs in again."
        "Answer 401 with error=\"invalid_token\" (RFC 6750 §3.1)."
    BadTokenNoError "bad_token_no_error" Warning [] []
        "A token that is not valid is answered 401 without error=\"invalid_token\"."
        "Add it to the challenge, with the parameters that the challenge without a token has."

    // Protected-resource metadata.
    WellKnownError "well_known_error" Breaks [ALL] []
        "A well-known address answers an error of the server, or that too much was asked. Every client that was tried gives up there."
        "Answer the document, or 404 in JSON where there is none. Keep limits and firewalls away from /.well-known/."
    WellKnownErrorBeside "well_known_error_beside" Warning [] []
        "A well-known address that clients come to only when they find nothing elsewhere answers an error of the server, or that too much was asked."
        "Answer the document, or 404 in JSON where there is none. Keep limits and firewalls away from /.well-known/."
    NoResourceMetadata "no_resource_metadata" Warning [] [&[VsCode, ClaudeAi]]
        "There is no resource metadata (RFC 9728), so clients guess that the authorization server is on the same host."
        "Serve it at /.well-known/oauth-protected-resource followed by the path of the MCP endpoint."
    ResourceMetadataNotAtPath "resource_metadata_not_at_path" Warning [] [&[ClaudeAi]]
        "The resource metadata is not where clients look first: the well-known path followed by the path of the MCP endpoint."
        "Serve it there too."
    ResourceMetadataNotAtRoot "resource_metadata_not_at_root" Warning [] [&[ClaudeAi]]
        "The resource metadata is not at the well-known path alone, where some clients look for it."
        "Serve it there too."
    ResourceMetadataStatus "resource_metadata_status" Warning [] []
        "The resource metadata is answered with a status that is neither 200 nor 404. It may be behind the sign-in it is needed for."
        "Let everybody read it, without a token."
    ResourceMetadataNotJson "resource_metadata_not_json" Warning [] []
        "Where the resource metadata should be is something else: often the HTML page of a web application, or of a firewall."
        "Serve the JSON document there; make the web application answer 404 below /.well-known/."
    ResourceMetadataContentType "resource_metadata_content_type" Warning [] [&[Go]]
        "The resource metadata is not served as application/json, and strict clients pass over it."
        "Set Content-Type: application/json."
    ResourceMetadataNull "resource_metadata_null" Warning [] [STRICT_SCHEMA]
        "The resource metadata has a member that is null, where clients expect a value or nothing."
        "Leave members out that have no value."
    MetadataRedirect "metadata_redirect" Breaks [&[Python1]] [&[McpRemote]]
        "A metadata document is answered with a redirect."
        "Serve the document at the address itself."
    ResourceMissing "resource_missing" Warning [] [STRICT_SCHEMA]
        "The resource metadata does not say which resource it is about (RFC 9728 §2)."
        "Add resource, with the address that people type."
    ResourceTrailingSlash "resource_trailing_slash" Breaks [&[TypeScript1, TypeScript2, McpRemote, Inspector, Rmcp, ClaudeCode197, ClaudeCode330, Codex]] []
        "The resource metadata calls the resource by the address with a slash more at its end."
        "Make resource equal to the address that people type, letter for letter."
    ResourceIsParent "resource_is_parent" Warning [] [&[VsCode, Gemini, Go]]
        "The resource metadata names an address above the one that was typed. Clients that compare them refuse, or pass over the document."
        "Make resource equal to the address that people type, letter for letter."
    ResourceMismatch "resource_mismatch" Breaks [] [&[TypeScript1, TypeScript2, McpRemote, Inspector, Rmcp, Go, ClaudeCode197, ClaudeCode330, Codex, VsCode, Gemini]]
        "The resource metadata is about another address than the one that was typed."
        "Make resource equal to the address that people type: usually a public address was not configured, or is an old one."
    UrlHasSlash "url_has_slash" Note [] [&[VsCode, Gemini, Go]]
        "The address was typed with a slash more at its end than the resource metadata has."
        "Give people the address without it."
    NoAuthorizationServers "no_authorization_servers" Warning [] []
        "The resource metadata names no authorization server, so clients guess that it is on the same host."
        "Add authorization_servers, with the issuer."
    NoScopes "no_scopes" Warning [&[McpRemote]] []
        "Neither the challenge nor the resource metadata names a scope, so clients ask for what comes to their mind, such as `openid email profile`."
        "Add scopes_supported to the resource metadata and scope to the challenge."
    BearerMethods "bearer_methods" Warning [] []
        "The resource metadata does not allow a token in the header, where every client sends it."
        "Set bearer_methods_supported to [\"header\"], or leave it out."
    CatchAllPage "catch_all_page" Warning [] []
        "A well-known address that nobody has ever heard of is answered as if something were there."
        "Answer 404 in JSON below /.well-known/ for what is not there."

    // Authorization-server metadata.
    NoServerMetadata "no_server_metadata" Breaks [&[Rmcp, Codex]] []
        "The authorization server publishes no metadata (RFC 8414), so clients guess its addresses, or refuse."
        "Serve it at /.well-known/oauth-authorization-server, followed by the path of the issuer if it has one."
    ServerMetadataNotJson "server_metadata_not_json" Breaks [] [&[TypeScript1, TypeScript2, McpRemote, Inspector, ClaudeCode197, ClaudeCode330]]
        "Where the metadata of the authorization server should be is something else: often the HTML page of a web application, or of a firewall."
        "Serve the JSON document there."
    ServerMetadataContentType "server_metadata_content_type" Breaks [&[Go]] []
        "The metadata of the authorization server is not served as application/json."
        "Set Content-Type: application/json."
    ServerMetadataNull "server_metadata_null" Breaks [STRICT_SCHEMA] []
        "The metadata of the authorization server has a member that is null, where clients expect a value or nothing."
        "Leave members out that have no value."
    ServerMetadataNotAtResource "server_metadata_not_at_resource" Note [] [&[McpRemote]]
        "The metadata of the authorization server is not below the path of the MCP endpoint, where older clients look."
        "Serve it at /.well-known/oauth-authorization-server followed by that path too."
    LacksEndpoint "lacks_endpoint" Breaks [] [&[TypeScript1, TypeScript2, McpRemote, Inspector, ClaudeCode197, ClaudeCode330]]
        "The metadata of the authorization server lacks what every client needs: issuer, authorization_endpoint or token_endpoint."
        "Add it."
    LacksResponseTypes "lacks_response_types" Breaks [STRICT_SCHEMA] []
        "The metadata of the authorization server lacks response_types_supported, or it does not list code."
        "Add response_types_supported: [\"code\"]."
    PkceNotAdvertised "pkce_not_advertised" Breaks [&[Go]] [&[Zed]]
        "The metadata of the authorization server does not say that it supports PKCE."
        "Add code_challenge_methods_supported: [\"S256\"]."
    PkceLacksS256 "pkce_lacks_s256" Breaks [] [&[TypeScript1, TypeScript2, McpRemote, Inspector, ClaudeCode197, ClaudeCode330, Go, Zed]]
        "The authorization server supports PKCE, but not the method S256, the only one that clients use."
        "Support S256, and say so in code_challenge_methods_supported."
    IssuerTrailingSlash "issuer_trailing_slash" Breaks [COMPARE_ISSUERS] []
        "The authorization server calls itself by its address with a slash more or less at the end than the resource metadata does."
        "Use one spelling of the issuer everywhere: in its metadata, in authorization_servers and in iss. Without a slash."
    AuthorizationServerTrailingSlash "authorization_server_trailing_slash" Breaks [&[Python2, FastMcp, Go]] []
        "The resource metadata names the authorization server with a slash at the end that its issuer does not have."
        "Write the issuer into authorization_servers, letter for letter."
    IssuerMismatch "issuer_mismatch" Breaks [&[TypeScript2, Python1, Python2, FastMcp, McpRemote, Inspector, Rmcp, Go, ClaudeCode330, Codex]] []
        "The authorization server says that it is another one than it was asked as (RFC 8414 §3.3)."
        "Configure the public address of the authorization server; and write its issuer into authorization_servers, letter for letter."
    NoRegistration "no_registration" Breaks [ALL] []
        "Clients can neither register (RFC 7591) nor use a metadata document as their id, so nobody who was not set up by hand gets in."
        "Offer registration_endpoint, or client_id_metadata_document_supported, or both."
    DocumentsOnly "documents_only" Warning [] [&[McpRemote, Inspector, Gemini]]
        "Clients must have a metadata document; those that have none cannot register."
        "Offer registration_endpoint beside it."
    DocumentsWithoutNone "documents_without_none" Warning [] [&[ClaudeAi]]
        "Metadata documents are supported, but clients without a secret are not listed; Claude then registers instead."
        "List none in token_endpoint_auth_methods_supported."
    NoneNotAdvertised "none_not_advertised" Warning [] [&[McpRemote, ClaudeAi]]
        "The authorization server does not say that clients without a secret are let in; most clients have none."
        "List none in token_endpoint_auth_methods_supported."
    RefreshNotAdvertised "refresh_not_advertised" Warning [] []
        "The authorization server does not say that it knows refresh tokens; people may have to sign in each hour."
        "List authorization_code and refresh_token in grant_types_supported."
    EndpointNotHttps "endpoint_not_https" Breaks [] []
        "An endpoint of the authorization server is no absolute https address, so codes and tokens could be read on the way, or the client refuses it."
        "Configure the public https address of the authorization server. Behind a proxy it may be building addresses from what the proxy sends it."
    EndpointElsewhere "endpoint_elsewhere" Note [] []
        "An endpoint of the authorization server is on another host than its issuer."
        "If that is not meant so, configure the public address; some firewalls and browsers get in the way of it."
    OpenidIncomplete "openid_incomplete" Warning [] [STRICT_SCHEMA]
        "The OpenID configuration lacks members that OpenID Connect Discovery requires; clients that come to it refuse it."
        "Complete it (jwks_uri, subject_types_supported, id_token_signing_alg_values_supported), or answer 404."

    // Registration.
    RegistrationRefused "registration_refused" Breaks [ALL] []
        "The registration of an ordinary client is refused."
        "Accept what clients send: unknown members, http://127.0.0.1 redirect URIs, no scope, any client name. A firewall may dislike 127.0.0.1 in a body."
    RegistrationRefusesApps "registration_refuses_apps" Warning [] [&[Cursor]]
        "A registration with several redirect URIs of different kinds is refused, and with a plain one it is not."
        "Accept private-use schemes such as cursor:// beside loopback and https."
    RegistrationRefusesPublic "registration_refuses_public" Breaks [&[FastMcp, Inspector, Rmcp, ClaudeCode197, ClaudeCode330, Codex]] [&[VsCode, Gemini, Copilot]]
        "A client without a secret may not register, and most clients are such."
        "Accept token_endpoint_auth_method none, with PKCE."
    RegistrationRedirect "registration_redirect" Breaks [ALL] []
        "The registration endpoint redirects, and the client's data is lost on the way."
        "Put the final address into registration_endpoint, and keep sign-in pages away from it."
    RegistrationNotJson "registration_not_json" Breaks [ALL] []
        "The registration is answered with something else than JSON."
        "Answer 201 with the registered client as JSON (RFC 7591 §3.2.1)."
    RegistrationContentType "registration_content_type" Warning [] [&[Go]]
        "The registration is not answered as application/json."
        "Set Content-Type: application/json."
    RegistrationStatus "registration_status" Note [] []
        "The registration is answered with another status than 201 (RFC 7591 §3.2.1)."
        "Answer 201."
    RegistrationNull "registration_null" Breaks [STRICT_SCHEMA] []
        "The answer to a registration has a member that is null, where clients expect a value or nothing."
        "Leave members out that have no value."
    RegistrationSecretNull "registration_secret_null" Breaks [&[TypeScript1, TypeScript2, Python2, McpRemote, Inspector, ClaudeCode197, ClaudeCode330]] []
        "The answer to a registration has a client_secret that is null."
        "Leave client_secret out for clients that have none."
    RegistrationLacksRedirectUris "registration_lacks_redirect_uris" Breaks [&[TypeScript1, TypeScript2, Python1, McpRemote, Inspector, Rmcp, ClaudeCode197, ClaudeCode330, Codex]] []
        "The answer to a registration does not repeat redirect_uris."
        "Always echo them (RFC 7591 §3.2.1)."
    RegistrationChangesRedirectUris "registration_changes_redirect_uris" Warning [] []
        "The answer to a registration has other redirect URIs than were sent."
        "Register and echo them as they are."
    RegistrationLacksClientId "registration_lacks_client_id" Breaks [ALL] []
        "The answer to a registration has no client_id."
        "Answer it, as a text."
    RegistrationLacksMethod "registration_lacks_method" Warning [] [&[Go]]
        "The answer to a registration does not say how the client authenticates; the Go SDK then sends an empty secret."
        "Echo token_endpoint_auth_method."
    RegistrationSecretForPublic "registration_secret_for_public" Warning [&[Python1, Python2, Inspector, Rmcp, Go, ClaudeCode197, ClaudeCode330]] []
        "A client that asked for no secret gets one, and begins to use it, each in a way of its own."
        "Leave client_secret out when token_endpoint_auth_method is none."
    RegistrationLacksExpiry "registration_lacks_expiry" Note [] []
        "The answer has a client_secret and no client_secret_expires_at (RFC 7591 §3.2.1)."
        "Add client_secret_expires_at: 0."
    RegistrationNotDeleted "registration_not_deleted" Warning [] []
        "The registration can be managed by its client (RFC 7592), and could not be deleted that way."
        "Answer 204 to a DELETE with the registration access token, or do not offer it."
    ClientIdCharacters "client_id_characters" Warning [] [&[TypeScript1, Python1, Go]]
        "The client_id has characters that clients encode differently in a header."
        "Use letters, digits, - and _ only."

    // The authorization endpoint.
    AuthorizeRefused "authorize_refused" Breaks [ALL] []
        "An ordinary authorization request is refused, so the person never sees a sign-in page."
        "See the error. Usual reasons: the resource is not known, a scope is not known, the redirect URI was not registered as it was sent."
    AuthorizeUnknownClient "authorize_unknown_client" Warning [&[FastMcp, McpRemote]] []
        "An unknown client is not answered 400 at the authorization endpoint. Clients look there to find out that they must register again."
        "Answer 400, before the person is asked to sign in."
    AuthorizeUnknownRedirectUri "authorize_unknown_redirect_uri" Warning [] [&[FastMcp]]
        "A redirect URI that is not registered is not answered 400 at the authorization endpoint."
        "Answer 400 with a page for the person, before anything else."
    AuthorizeOpenRedirect "authorize_open_redirect" Breaks [] []
        "The authorization endpoint redirects to an address that no client has registered: anybody can use this host to send people elsewhere (RFC 6749 §4.1.2.1)."
        "Answer 400 with a page, and never redirect, when the client or the redirect URI is unknown."
    AuthorizeLoopbackPort "authorize_loopback_port" Breaks [&[ClaudeCode197, ClaudeCode330]] [&[VsCode]]
        "A loopback redirect URI with another port than was registered is refused, and programs get another port at each start."
        "Ignore the port of http://127.0.0.1, http://[::1] and http://localhost when comparing (RFC 8252 §7.3)."
    AuthorizeUnknownScope "authorize_unknown_scope" Warning [] [&[ClaudeAi, McpRemote]]
        "A request is refused because it asks for a scope that is not known. Clients ask for offline_access and others unasked."
        "Grant the scopes that are known, or the usual ones, and pass over the rest."
    AuthorizeBare "authorize_bare" Warning [] [&[CSharp, Copilot]]
        "A request without scope and state is refused, though neither is required."
        "Grant the usual scopes where none is named, and answer without state where none was sent."
    AuthorizeSlashResource "authorize_slash_resource" Warning [&[Python1]] [&[ClaudeAi, CSharp]]
        "A resource without a path is refused with a slash at its end, which some clients add."
        "Accept both spellings."
    AuthorizeDocumentRefused "authorize_document_refused" Breaks [&[ClaudeCode197, ClaudeCode330, Codex]] [&[ClaudeAi, ChatGpt, VsCode, Zed]]
        "Clients with a metadata document are said to be let in, and one of them is refused. Clients do not fall back to registering."
        "Make sure that the server can fetch documents from the internet, or stop advertising client_id_metadata_document_supported."
    AuthorizeRedirectStatus "authorize_redirect_status" Warning [] [&[ClaudeAi, McpRemote, Inspector]]
        "The authorization endpoint redirects to the client with 307 or 308, which repeat a POST where only a GET is expected."
        "Use 302 or 303."
    StateChanged "state_changed" Breaks [ALL] []
        "The state does not come back to the client as it was sent."
        "Echo it byte for byte, encoded once."
    SpaceAsPlus "space_as_plus" Warning [] [&[Codex]]
        "Spaces are written as + in the address that goes to the client."
        "Write them as %20."
    IssMissing "iss_missing" Breaks [COMPARE_ISSUERS] []
        "The metadata promises iss in every answer to the client (RFC 9207), and there is none."
        "Send iss with successes and errors, or stop advertising authorization_response_iss_parameter_supported."
    IssNotAdvertised "iss_not_advertised" Breaks [&[Go]] []
        "The answer to the client has an iss (RFC 9207) that the metadata does not promise."
        "Add authorization_response_iss_parameter_supported: true to the metadata."
    IssMismatch "iss_mismatch" Breaks [COMPARE_ISSUERS] []
        "The iss that comes to the client is not the issuer of the metadata, letter for letter; a slash is enough."
        "Use one spelling of the issuer everywhere."

    // The token endpoint.
    TokenUnknownRefresh "token_unknown_refresh" Breaks [&[TypeScript1, TypeScript2, McpRemote, Rmcp, Go, ClaudeCode197, ClaudeCode330, Codex]] []
        "A refresh token that is not valid is not answered 400 invalid_grant. Clients get stuck there, or throw the person into a new sign-in for nothing."
        "Answer exactly 400 with the JSON error invalid_grant for every refresh token that is unknown, expired, revoked or used."
    TokenUnknownCode "token_unknown_code" Warning [] [&[ClaudeAi]]
        "A code that is not valid is not answered 400 invalid_grant."
        "Answer exactly 400 with the JSON error invalid_grant."
    TokenUnknownClient "token_unknown_client" Breaks [&[TypeScript1, TypeScript2, McpRemote, ClaudeCode197, ClaudeCode330]] []
        "A client that is not known any more is not answered 401 invalid_client, so it never registers again and its person is stuck."
        "Check the client before the grant, and answer 401 with the JSON error invalid_client."
    TokenContentType "token_content_type" Warning [] [&[Rmcp, Go]]
        "Errors of the token endpoint are not served as application/json."
        "Set Content-Type: application/json."
    TokenEmptySecret "token_empty_secret" Breaks [&[Go]] [&[CSharp]]
        "A client without a secret that sends an empty one is refused."
        "Take an empty secret for none."
    TokenRedirect "token_redirect" Breaks [ALL] []
        "The token endpoint redirects."
        "Put the final address into token_endpoint, and keep sign-in pages away from it."
    RevocationStatus "revocation_status" Warning [] []
        "The revocation endpoint does not answer 200 (RFC 7009 §2.2)."
        "Answer 200, for a token that is not known too."

    // Browsers.
    CorsPreflight "cors_preflight" Warning [] [&[Inspector]]
        "A browser that asks first (OPTIONS) is not let in, so clients that run in a web page cannot connect."
        "Answer OPTIONS without a token, and allow the headers authorization, content-type, accept, mcp-protocol-version, mcp-session-id, last-event-id, mcp-method and mcp-name."
    CorsHeaders "cors_headers" Warning [] [&[Inspector]]
        "An answer cannot be read by a client that runs in a web page."
        "Add Access-Control-Allow-Origin to every answer, errors too, and expose WWW-Authenticate and Mcp-Session-Id."

    // With a person who signs in.
    SignInRefused "sign_in_refused" Breaks [] []
        "The person signed in, and the client was told no."
        "See the error. The person may lack a right, or the request was changed on its way through the sign-in pages."
    CallbackNotGet "callback_not_get" Breaks [] [&[ClaudeAi, McpRemote, Inspector]]
        "The answer comes to the client as something else than a GET. It was redirected with 307 or 308 after a form."
        "Redirect with 302 or 303."
    ExchangeRefused "exchange_refused" Breaks [ALL] []
        "The code that the person's consent led to is refused."
        "See the error. The redirect URI, the verifier and the client are those of the request."
    TokenResponseNull "token_response_null" Breaks [STRICT_SCHEMA] []
        "The token response has a member that is null, where clients expect a value or nothing."
        "Leave members out that have no value."
    TokenResponseLacksType "token_response_lacks_type" Breaks [&[TypeScript1, TypeScript2, McpRemote, Inspector, Rmcp, ClaudeCode197, ClaudeCode330, Codex]] []
        "The token response has no token_type, or another than Bearer."
        "Add token_type: \"Bearer\"."
    TokenTypeCase "token_type_case" Note [] []
        "The token_type is not spelled `Bearer`."
        "Spell it Bearer."
    TokenResponseExpiresInText "token_response_expires_in_text" Breaks [&[Rmcp, Codex]] []
        "expires_in is no whole number."
        "Send it as a JSON number, of seconds."
    TokenResponseStatus "token_response_status" Breaks [&[Python1]] []
        "The token response has another status than 200."
        "Answer 200."
    TokenResponseContentType "token_response_content_type" Breaks [&[Rmcp, Go, Codex]] []
        "The token response is not served as application/json."
        "Set Content-Type: application/json."
    TokenResponseCacheable "token_response_cacheable" Warning [] []
        "The token response may be kept by caches (RFC 6749 §5.1)."
        "Set Cache-Control: no-store."
    TokenResponseLacksExpiresIn "token_response_lacks_expires_in" Note [] []
        "The token response does not say how long the token lives, so clients learn it from a refusal."
        "Add expires_in."
    TokenResponseLacksRefreshToken "token_response_lacks_refresh_token" Warning [] []
        "There is no refresh token, so the person signs in again whenever the access token expires."
        "Issue one with every code, whether offline_access was asked for or not."
    TokenResponseLacksScope "token_response_lacks_scope" Note [] []
        "The token response does not say what was granted."
        "Add scope."
    TokenShortLived "token_short_lived" Warning [&[ClaudeCode197, ClaudeCode330]] [&[VsCode]]
        "The access token lives five minutes or less, so that some clients refresh before every request."
        "Let access tokens live for an hour."
    AccessTokenRefused "access_token_refused" Breaks [ALL] []
        "The MCP endpoint refuses the token that the person has just been given."
        "Check that it accepts tokens of this issuer and this resource, at once and on every instance."
    McpCallFailed "mcp_call_failed" Breaks [ALL] []
        "The token is accepted, and initialize fails."
        "Look at the MCP server itself, and at the proxy between: it may be away."
    StreamRefused "stream_refused" Warning [] []
        "A GET for events with a good token is answered neither with a stream nor with 405."
        "Answer 405 where there are no events."
    RefreshRefused "refresh_refused" Breaks [ALL] []
        "The refresh token that has just been given is refused. Some clients send neither scope nor resource with it."
        "Keep what was granted where nothing is asked for, and let every client refresh that was given a refresh token."
    RefreshReuseRefused "refresh_reuse_refused" Warning [] [&[ClaudeCode197, ClaudeCode330]]
        "A refresh token that was used a moment ago is refused. Where several processes share a sign-in, or an answer is lost, somebody must sign in again."
        "Answer a refresh token again for a minute or more after its use."
    RefreshReuseRevokes "refresh_reuse_revokes" Warning [] [&[ClaudeCode197, ClaudeCode330]]
        "A refresh token that was used a moment ago ends the whole sign-in when it is sent again, also for the process that has the new one."
        "Answer a refresh token again for a minute or more after its use; take it for stolen later."
    RevokedTokenWorks "revoked_token_works" Breaks [] []
        "A token that was revoked still works."
        "End the grant when one of its tokens is revoked (RFC 7009 §2.1)."
    CodeAcceptedTwice "code_accepted_twice" Breaks [] []
        "A code works twice (RFC 6749 §4.1.2)."
        "Let each code work once."
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words_and_each_is_one() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            let name = code.as_str();
            assert!(seen.insert(name), "{name} twice");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
            let facts = code.facts();
            assert!(facts.says.ends_with('.') && facts.fix.ends_with('.'), "{name}");
            // Who was seen to fail is enough to break; a note breaks nobody.
            assert!(facts.severity != Severity::Note || facts.measured.is_empty(), "{name}");
        }
    }
}
