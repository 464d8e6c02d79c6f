//! One request is one trace through all halves, and nothing secret is in any span, log line or error. Against a real OTLP
//! receiver: the collector's own gRPC service.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value,
    trace::v1::Span,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::harness::{
    Client, Deployment, Options, PASSWORD,
    client::{CALLBACK, VERIFIER, pair, param},
};

#[derive(Clone, Default)]
pub(crate) struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let service = format!("{:?}", resource.resource);
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().unwrap().extend(spans.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub(crate) async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (collector, endpoint)
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.0.lock().unwrap().iter().map(|(_, span)| span.clone()).collect()
    }
}

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

async fn one_trace(mut deployment: Deployment, collector: Collector) {
    let client = Client::register(deployment.issuer()).await;
    let page = client.consent_page(&[]).await;
    let session = page.cookie.split_once('=').unwrap().1.to_owned();
    let ticket = param(&page.approve, "ticket").unwrap();
    let approved = client.follow(&page, &page.approve).await;
    let code = param(approved.headers()["location"].to_str().unwrap(), "code").unwrap();
    let first = pair(client.exchange(&code).await).await;
    client.call(&first.access).await;
    client.exchange("gdc_wrong").await;
    // In the wrong field.
    let typed = "a-password-that-was-typed-as-a-name";
    client.sign_in(&client.authorize_query(&[]), typed, "x").await;
    client.refresh("gdr_wrong").await;

    // One /oauth/token call under a trace of ours.
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", first.refresh.as_str()), ("client_id", client.id.as_str())];
    let answer = client
        .http
        .post(format!("{}/oauth/token", client.base))
        .header("traceparent", format!("00-{TRACE_ID}-b7ad6b7169203331-01"))
        .form(&form)
        .send()
        .await
        .unwrap();
    let second = pair(answer).await;
    let confidential = Client::register_as(deployment.issuer(), serde_json::json!({"redirect_uris": [CALLBACK]})).await;
    let third = confidential.pair().await;
    let base = deployment.issuer();
    let registration = client.http.get(format!("{base}/oauth/register/{}", confidential.id));
    registration.bearer_auth(&confidential.registration).send().await.unwrap().error_for_status().unwrap();
    for endpoint in ["introspect", "revoke"] {
        let request = client.http.post(format!("{base}/oauth/{endpoint}")).form(&[("token", &third.refresh)]);
        let request = request.basic_auth(&confidential.id, confidential.secret.as_ref());
        request.send().await.unwrap().error_for_status().unwrap();
    }

    // SIGTERM flushes.
    for process in deployment.processes.iter_mut().rev() {
        process.signal("TERM").await;
        assert!(process.wait().await.success(), "{}", process.output());
    }

    let spans = collector.spans();
    let trace: Vec<_> = spans.iter().filter(|span| hex(&span.trace_id) == TRACE_ID).collect();
    let names: Vec<_> = trace.iter().map(|span| span.name.as_str()).collect();
    for wanted in ["POST /oauth/token", "grantd.v1.TokenService/IssueToken", "store.get", "store.commit"] {
        assert!(names.contains(&wanted), "no {wanted:?} in the trace: {names:?}");
    }
    // Every span but the first hangs below another of the same trace.
    let ids: Vec<_> = trace.iter().map(|span| span.span_id.clone()).collect();
    let roots = trace.iter().filter(|span| !ids.contains(&span.parent_span_id)).count();
    assert_eq!(roots, 1, "{names:?}");

    let mut shown = format!("{spans:?}");
    shown.push_str(&deployment.logs());
    let secrets = [
        &first.access,
        &first.refresh,
        &second.access,
        &second.refresh,
        &code,
        &ticket,
        &session,
        confidential.secret.as_ref().unwrap(),
        &confidential.registration,
        &third.refresh,
    ];
    for secret in secrets {
        assert!(!shown.contains(&secret[secret.len() - 30..]), "a secret was shown: {}", &secret[..4]);
    }
    assert!(!shown.contains(VERIFIER) && !shown.contains(PASSWORD) && !shown.contains(typed));
    assert!(shown.contains("sign_in.failed"));
    assert!(
        shown.contains("sign_in.succeeded") && shown.contains("tokens.issued") && shown.contains("refresh.rotated")
    );
}

/// A client that fails at the last step, beside another that does well: by the id on its first 401 one finds all it did,
/// what its person did in a browser of another name, and why it failed.
async fn one_flow(mut deployment: Deployment, collector: Collector) {
    let named = |name: &str| {
        let policy = reqwest::redirect::Policy::none();
        reqwest::Client::builder().user_agent(name).redirect(policy).build().unwrap()
    };
    let well_known = ["oauth-protected-resource/mcp", "oauth-authorization-server"];
    for name in ["does well", "fails"] {
        let http = named(name);
        let base = deployment.issuer();
        let refused = http.post(format!("{base}/mcp")).body("{}").send().await.unwrap();
        assert_eq!(refused.status(), 401);
        for document in well_known {
            http.get(format!("{base}/.well-known/{document}")).send().await.unwrap();
        }
        let metadata = serde_json::json!({"token_endpoint_auth_method": "none", "redirect_uris": [CALLBACK]});
        let answer = http.post(format!("{base}/oauth/register")).json(&metadata).send().await.unwrap();
        let registered: serde_json::Value = answer.json().await.unwrap();
        let person = Client {
            base: base.to_owned(),
            id: registered["client_id"].as_str().unwrap().to_owned(),
            secret: None,
            registration: String::new(),
            http: named("a browser"),
        };
        let code = person.code().await;
        // At the other facade, where there is one.
        let client = Client { http, ..person.at(deployment.other()) };
        let verifier = if name == "fails" { "f".repeat(43) } else { VERIFIER.to_owned() };
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier.as_str()),
        ];
        assert_eq!(client.token(&form).await.status().is_success(), name == "does well");
    }
    for process in deployment.processes.iter_mut().rev() {
        process.signal("TERM").await;
        assert!(process.wait().await.success(), "{}", process.output());
    }

    let spans = collector.spans();
    let flow = |span: &Span| attribute(span, "grantd.flow.id");
    let first: Vec<_> = spans.iter().filter(|s| s.name == "POST /mcp").map(|s| flow(s).unwrap()).collect();
    let [well, fails] = &first[..] else { panic!("{first:?}") };
    assert_ne!(well, fails);
    let steps = |id: &String| {
        let traces: Vec<_> =
            spans.iter().filter(|s| flow(s).as_ref() == Some(id)).map(|s| s.trace_id.clone()).collect();
        spans.iter().filter(|span| traces.contains(&span.trace_id)).collect::<Vec<_>>()
    };
    let steps = [steps(well), steps(fails)];
    for step in &steps {
        let names: Vec<_> = step.iter().map(|span| span.name.as_str()).collect();
        for wanted in [
            "POST /mcp",
            "GET /.well-known/oauth-protected-resource/mcp",
            "GET /.well-known/oauth-authorization-server",
            "POST /oauth/register",
            "GET /oauth/authorize",
            "GET /oauth/authorize/approve",
            "POST /oauth/token",
        ] {
            assert!(names.contains(&wanted), "no {wanted:?} in the flow: {names:?}");
        }
        let clients: std::collections::HashSet<_> =
            step.iter().filter_map(|s| attribute(s, "grantd.client.id")).collect();
        assert_eq!(clients.len(), 1, "{clients:?}");
    }
    let why = |steps: &[&Span]| {
        let at =
            |name: &str| steps.iter().find(|span| span.name == name).and_then(|span| attribute(span, "error.type"));
        (at("POST /mcp"), at("facade.token"))
    };
    assert_eq!(why(&steps[0]), (Some("unauthorized".into()), None));
    assert_eq!(why(&steps[1]), (Some("unauthorized".into()), Some("invalid_grant".into())));
}

/// An attribute that is a text.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    let any_value::Value::StringValue(text) = value else { panic!("{key} is no text") };
    Some(text)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn exporting(endpoint: String) -> Options {
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("RUST_LOG", "grantd=debug,warn".to_owned())];
    Options { env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(), ..Options::default() }
}

#[tokio::test]
async fn on_the_embedded_store() {
    let (collector, endpoint) = Collector::start().await;
    one_trace(Deployment::embedded(exporting(endpoint)).await, collector).await;
}

#[tokio::test]
async fn on_two_facades_and_redis() {
    let (collector, endpoint) = Collector::start().await;
    one_trace(Deployment::distributed(exporting(endpoint)).await, collector).await;
}

#[tokio::test]
async fn a_failed_flow_is_followed_by_one_id_on_the_embedded_store() {
    let (collector, endpoint) = Collector::start().await;
    one_flow(Deployment::embedded(exporting(endpoint)).await, collector).await;
}

#[tokio::test]
async fn a_failed_flow_is_followed_by_one_id_through_all_halves() {
    let (collector, endpoint) = Collector::start().await;
    one_flow(Deployment::distributed(exporting(endpoint)).await, collector).await;
}
