//! The configuration, as the other crates want it.

use std::time::Duration;

use grantd_client_metadata::{Algorithm, Fetcher, FetcherConfig};
use grantd_core::{Lifetimes, Policy, ResourcePolicy, ScopePolicy};
use grantd_facade::{FacadeConfig, FacadeResource};
use grantd_gate::{GateConfig, GateResource};
use grantd_oauth_types::{ClientId, Scope, ScopeSet};
use grantd_proto::Role;
use grantd_telemetry::TelemetryConfig;
use grantd_token_service::{CallerKeys, DocumentConfig, ServiceConfig};
use rustls::pki_types::ServerName;

use super::{Config, client_metadata::ClientMetadata, resources::Resource, rules::Rule, token_service::Caller};
use crate::{error::Error, http::server::Limits, rpc::tls};

impl Config {
    /// For the token service.
    pub(crate) fn service(&self) -> Result<ServiceConfig, Error> {
        let documents = if self.client_metadata.enabled { Some(self.documents()?) } else { None };
        Ok(ServiceConfig { policy: self.policy(), argon2_parallel: self.sign_in.argon2_parallel, documents })
    }

    /// For clients with a metadata document.
    fn documents(&self) -> Result<DocumentConfig, Error> {
        let ClientMetadata { allowed_domains, ca_file, insecure_allow_private_addresses, .. } = &self.client_metadata;
        let fetcher = Fetcher::new(FetcherConfig {
            tls: tls::public_client(ca_file.as_deref().map(|file| (file, "client_metadata.ca_file")))?,
            allowed_domains: allowed_domains.clone(),
            allow_private_addresses: *insecure_allow_private_addresses,
        });
        let audiences = vec![self.public_url.as_str().to_owned(), self.public_url.join("/oauth/token")];
        Ok(DocumentConfig { fetcher, audiences })
    }

    /// For the rules.
    fn policy(&self) -> Policy {
        let tokens = &self.tokens;
        Policy {
            resources: self
                .resource
                .iter()
                .map(|resource| ResourcePolicy {
                    identifier: self.public_url.resource(resource.path()),
                    scopes: scope_set(&resource.scopes),
                    default_scopes: scope_set(&resource.default_scopes),
                    allow_groups: resource.allow_groups.clone(),
                    introspection_clients: resource
                        .introspection_clients
                        .iter()
                        .filter_map(|id| ClientId::parse(id))
                        .collect(),
                })
                .collect(),
            scopes: self
                .scopes
                .0
                .iter()
                .filter_map(|(name, scope)| {
                    let policy = ScopePolicy {
                        description: scope.description.clone(),
                        allow_groups: scope.allow_groups.clone(),
                        implies: scopes(&scope.implies),
                    };
                    Some((Scope::parse(name)?, policy))
                })
                .collect(),
            lifetimes: Lifetimes {
                access: tokens.access_ttl.0,
                refresh: tokens.refresh_ttl.0,
                code: tokens.code_ttl.0,
                request: tokens.request_ttl.0,
                client: tokens.client_ttl.0,
                unused_client: tokens.unused_client_ttl.0,
                session: self.sign_in.session_ttl.0,
                refresh_overlap: tokens.refresh_overlap.0,
                access_drain: tokens.access_drain.0,
                grant_max_age: tokens.grant_max_age.map(|age| age.0),
            },
            on_replay: tokens.on_replay.into(),
            auth_methods: tokens.auth_methods(),
        }
    }

    /// For the OAuth endpoints.
    pub(crate) fn facade(&self) -> FacadeConfig {
        FacadeConfig {
            public_url: self.public_url.clone(),
            resources: self
                .resource
                .iter()
                .map(|resource| FacadeResource {
                    path: resource.path().to_owned(),
                    scopes: scope_set(&resource.scopes),
                })
                .collect(),
            trusted_redirect_hosts: self.facade.trusted_redirect_hosts.clone(),
            auth_methods: self.tokens.auth_methods(),
            client_id_metadata_documents: self.client_metadata.enabled,
            assertion_algorithms: if self.client_metadata.enabled { Algorithm::NAMES.to_vec() } else { Vec::new() },
            iss_parameter: self.facade.iss_parameter,
            call_timeout: self.facade.call_timeout.0,
            max_calls: self.http.max_calls,
            max_body: self.facade.max_body.0,
        }
    }

    /// For the gate.
    pub(crate) fn gate(&self) -> Result<GateConfig, Error> {
        let resource = |at: usize, resource: &Resource| {
            // Checked before; an upstream is missing only where nothing is served.
            let upstream = resource.upstream.as_deref().unwrap_or_default().parse();
            Ok(GateResource {
                identifier: self.public_url.resource(resource.path()),
                name: resource.name.clone().unwrap_or_else(|| resource.path().trim_start_matches('/').to_owned()),
                paths: resource.paths.clone(),
                upstream: upstream.map_err(Error::because("an upstream is no URL"))?,
                upstream_tls: resource
                    .ca_file
                    .as_deref()
                    .map(|file| tls::public_client(Some((file, &format!("resource[{at}].ca_file")))))
                    .transpose()?,
                scopes: scope_set(&resource.scopes),
                default_scopes: scope_set(&resource.default_scopes),
                required_scopes: self::scopes(&resource.required_scopes),
                rules: resource.rule.iter().map(Rule::gate).collect(),
                trust_mcp_headers: resource.trust_mcp_headers,
                hide_forbidden_tools: resource.hide_forbidden_tools,
            })
        };
        Ok(GateConfig {
            public_url: self.public_url.clone(),
            resources: self
                .resource
                .iter()
                .enumerate()
                .map(|(at, each)| resource(at, each))
                .collect::<Result<_, Error>>()?,
            cache_max_age: self.gate.cache_max_age.0,
            cache_entries: 100_000,
            stream_max_age: Duration::from_secs(30),
            call_timeout: self.facade.call_timeout.0,
            max_calls: self.http.max_calls,
            upstream_timeout: self.gate.upstream_timeout.0,
            max_body: self.gate.max_body.0,
            allowed_origins: self.gate.allowed_origins.clone(),
        })
    }

    /// Who may call, by key.
    pub(crate) fn caller_keys(&self) -> CallerKeys {
        let with_key = self.token_service.caller.iter().filter(|caller| !caller.key.expose().is_empty());
        CallerKeys::new(
            with_key.map(|caller| (caller.name.clone(), Role::from(caller.role), caller.key.expose().to_owned())),
        )
    }

    /// Who may call, by the name in a certificate. Names that are none were refused when the configuration was checked.
    pub(crate) fn caller_names(&self) -> tls::Names {
        let named = |caller: &Caller| {
            let name = ServerName::try_from(caller.certificate.clone()?).ok()?;
            Some((name, grantd_proto::Caller { name: caller.name.clone(), role: Role::from(caller.role) }))
        };
        self.token_service.caller.iter().filter_map(named).collect()
    }

    /// For the HTTP listener.
    pub(crate) fn http_limits(&self) -> Limits {
        Limits { proxies: self.http.proxies(), connections: self.http.max_connections }
    }

    /// For logs and traces.
    pub(crate) fn telemetry(&self, service_name: &str) -> TelemetryConfig {
        TelemetryConfig {
            service_name: service_name.to_owned(),
            log_format: self.log.format(),
            log_filter: self.log.filter.clone(),
            scraped: self.operations.listen.is_some(),
        }
    }
}

impl Resource {
    /// The path that is its identifier; a checked resource has one.
    pub(crate) fn path(&self) -> &str {
        self.paths.first().map_or("/mcp", String::as_str)
    }
}

fn scope_set(scopes: &Option<Vec<String>>) -> ScopeSet {
    self::scopes(scopes.as_deref().unwrap_or_default())
}

/// Scopes that were checked.
pub(super) fn scopes(scopes: &[String]) -> ScopeSet {
    scopes.iter().filter_map(|scope| Scope::parse(scope)).collect()
}
