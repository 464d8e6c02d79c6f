//! Metrics: what a scraper reads after a flow, what goes over OTLP, and that no label comes from outside.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
    },
    common::v1::any_value::Value,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::harness::{
    Client, Deployment, Options, PASSWORD,
    client::{CALLBACK, Pair, VERIFIER, pair},
    fleet::Fleet,
    free_port, http,
};

const DOCUMENTED: &str = include_str!("../docs/operations/metrics.md");

/// What is logged as a security event is one of those that are counted, and the page lists them and no others.
#[test]
fn every_security_event_is_counted_and_documented() {
    let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    let mut emitters = Vec::new();
    for file in sources(&crates) {
        let source = std::fs::read_to_string(&file).unwrap();
        let path = file.strip_prefix(&crates).unwrap().to_str().unwrap().to_owned();
        let emitted = source.matches("\"grantd::security\"").count();
        if emitted > 0 {
            // One for each, and the function itself.
            assert!(source.matches("count(").count() > emitted, "{path} logs what it does not count");
            emitters.push(path.clone());
        }
        if ["core/src/event.rs", "token-service/src/events.rs"].contains(&path.as_str()) {
            names.extend(
                source.lines().filter_map(|line| Some(line.split_once(" => \"")?.1.split_once('"')?.0.to_owned())),
            );
        }
        // And whoever has no variant of the rules says the name there: events::sign_in("sign_in.failed", ..).
        for call in source.split("events::").skip(1) {
            let named = call.split_once('(').map(|(_, rest)| rest.trim_start()).and_then(|rest| rest.strip_prefix('"'));
            names.extend(named.and_then(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    assert_eq!(emitters, ["token-service/src/events.rs"], "a security event that is logged elsewhere is not counted");
    let row = DOCUMENTED.lines().find(|line| line.starts_with("| `grantd.security.events`")).unwrap();
    let says = row.split(" | ").nth(3).unwrap();
    let documented: BTreeSet<String> = says.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(names.len() > 15, "{names:?}");
    assert_eq!(names, documented, "the events in the sources, and those in docs/operations/metrics.md");
}

/// The sources of every crate, without their tests.
fn sources(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|name| ["tests", "benches"].contains(&name.to_str().unwrap()));
        if path.is_dir() && !is_test {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") && !is_test {
            found.push(path);
        }
    }
    found
}

/// One line of Prometheus' text format.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

fn samples(text: &str) -> Vec<Sample> {
    let read = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        // No label of ours holds a comma or a quote.
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        let labels = labels.map(|label| {
            let (name, value) = label.split_once('=').unwrap();
            (name.to_owned(), value.trim_matches('"').to_owned())
        });
        Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().unwrap() }
    };
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(read).collect()
}

/// The sum of the series of this name that have these labels.
fn sum(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |sample: &&Sample| {
        sample.name == name
            && labels.iter().all(|(name, value)| sample.labels.contains(&((*name).to_owned(), (*value).to_owned())))
    };
    samples.iter().filter(has).map(|sample| sample.value).sum()
}

async fn scraped(operations: &str) -> Vec<Sample> {
    let answer = http().get(format!("{operations}/metrics")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    samples(&answer.text().await.unwrap())
}

/// What a flow has told grantd.
struct Told {
    secrets: Vec<String>,
    /// Names, ids, addresses, and what a peer makes up.
    others: Vec<String>,
}

/// A flow with one of most things that are counted.
async fn flow(issuer: &str) -> Told {
    let client = Client::register(issuer).await;
    client.sign_in(&client.authorize_query(&[]), "nobody-of-this-name", "x").await;
    let code = client.code().await;
    let first = pair(client.exchange(&code).await).await;
    for _ in 0..3 {
        assert!(client.is_accepted(&first.access).await);
    }
    let second = pair(client.refresh(&first.refresh).await).await;
    assert_eq!(client.refresh("gdr_wrong").await.status(), 400);
    let odd = reqwest::Method::from_bytes(b"INVENTED-METHOD").unwrap();
    for path in ["/not/there/invented-path", "/oauth/register/invented-client", "/mcp"] {
        client.http.request(odd.clone(), format!("{issuer}{path}")).send().await.unwrap();
        client.http.get(format!("{issuer}{path}?query=invented-query")).send().await.unwrap();
    }
    let Pair { access, refresh, .. } = second;
    let secrets = [&code, &first.access, &first.refresh, &access, &refresh, VERIFIER, PASSWORD];
    let others = [&client.id, "nobody-of-this-name", "owner", "invented", "INVENTED", "gdr_", "127.0.0.1", CALLBACK];
    Told { secrets: secrets.map(str::to_owned).to_vec(), others: others.map(str::to_owned).to_vec() }
}

/// No label holds anything of these, and there are no more series than we know of.
fn is_bounded(samples: &[Sample], told: &Told) {
    for sample in samples.iter().filter(|sample| sample.name != "target_info") {
        for (name, value) in &sample.labels {
            let mut told = told.secrets.iter().chain(&told.others);
            assert!(!told.any(|told| value.contains(told.as_str())), "{name}={value} in {}", sample.name);
        }
    }
    let series: BTreeSet<_> =
        samples.iter().filter(|sample| !sample.name.ends_with("_bucket")).map(|s| &s.name).collect();
    assert!(series.len() < 60, "{series:?}");
}

/// What the HTTP half counted.
fn of_the_facade(samples: &[Sample]) {
    let requests = |labels: &[(&str, &str)]| sum(samples, "http_server_request_duration_seconds_count", labels);
    let token = ("http_route", "/oauth/token");
    assert_eq!(requests(&[token, ("http_response_status_code", "200"), ("http_request_method", "POST")]), 2.0);
    assert_eq!(requests(&[token, ("http_response_status_code", "400")]), 1.0);
    assert_eq!(requests(&[("http_route", "/mcp"), ("http_response_status_code", "502")]), 3.0);
    assert_eq!(requests(&[("http_route", "/oauth/register/{client_id}"), ("http_request_method", "_OTHER")]), 1.0);
    assert_eq!(requests(&[("http_route", "/readyz")]), 0.0, "probes are not counted");
    assert_eq!(sum(samples, "http_server_active_requests", &[]), 0.0);
    let checks = |reason| sum(samples, "grantd_gate_checks_total", &[("reason", reason)]);
    assert_eq!((checks("asked"), checks("cached"), checks("no_token"), checks("malformed")), (1.0, 2.0, 2.0, 0.0));
    assert_eq!(sum(samples, "grantd_gate_announcements_total", &[("about", "superseded_token")]), 1.0);
    assert_eq!(sum(samples, "grantd_gate_calls", &[]), 0.0);
    assert_eq!(sum(samples, "grantd_facade_calls_shed_total", &[]), 0.0);
}

/// What the half with the store counted.
fn of_the_service(samples: &[Sample], system: &str) {
    let calls = |method: &str, code: &str| {
        let method = format!("grantd.v1.{method}");
        let labels = [("rpc_method", method.as_str()), ("rpc_response_status_code", code)];
        sum(samples, "rpc_server_call_duration_seconds_count", &labels)
    };
    assert_eq!(calls("TokenService/IssueToken", "OK"), 2.0);
    assert_eq!(calls("TokenService/IssueToken", "INVALID_ARGUMENT"), 1.0);
    assert_eq!(calls("TokenService/VerifyToken", "OK"), 1.0);
    assert_eq!(calls("IdentityService/SignIn", "OK"), 1.0);
    let event = |name| sum(samples, "grantd_security_events_total", &[("event", name)]);
    for name in [
        "user.created",
        "client.registered",
        "sign_in.failed",
        "sign_in.succeeded",
        "consent.given",
        "tokens.issued",
        "refresh.rotated",
    ] {
        assert_eq!(event(name), 1.0, "{name}");
    }
    assert_eq!(event("refresh.replayed"), 0.0);
    let store = |operation, outcome| {
        let labels = [("db_system_name", system), ("db_operation_name", operation), ("outcome", outcome)];
        sum(samples, "db_client_operation_duration_seconds_count", &labels)
    };
    assert!(store("get", "read") > 5.0 && store("commit", "committed") >= 5.0 && store("get", "error") == 0.0);
}

#[tokio::test]
async fn a_flow_is_counted_all_in_one() {
    let operations = free_port();
    let env = vec![("GRANTD_OPERATIONS__LISTEN".to_owned(), format!("127.0.0.1:{operations}"))];
    let deployment = Deployment::embedded(Options { env, ..Options::default() }).await;
    let told = flow(deployment.issuer()).await;
    let samples = scraped(&format!("http://127.0.0.1:{operations}")).await;
    of_the_facade(&samples);
    of_the_service(&samples, "redb");
    is_bounded(&samples, &told);
}

#[tokio::test]
async fn a_flow_is_counted_in_each_half() {
    let mut fleet = Fleet::start(Options::default(), 1).await;
    let told = flow(&fleet.issuer).await;
    // Over a network: the announcement may come after the answer.
    let operations = fleet.facade.operations.clone();
    let heard = || async { sum(&scraped(&operations).await, "grantd_gate_announcements_total", &[]) > 0.0 };
    fleet.facade.process.until("an announcement", heard).await;
    let facade = scraped(&fleet.facade.operations).await;
    of_the_facade(&facade);
    assert_eq!(sum(&facade, "grantd_token_service_addresses", &[("state", "in_use")]), 1.0);
    let service = scraped(&fleet.services[0].operations).await;
    of_the_service(&service, "redis");
    for samples in [&facade, &service] {
        is_bounded(samples, &told);
    }
    // Strangers at the port of the token service make no series.
    let stranger = format!("http://127.0.0.1:{}/invented.Service/Invented", fleet.services[0].port);
    let request =
        ::http::Request::post(stranger).header("content-type", "application/grpc").body(Empty::<Bytes>::new());
    let http2 = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    http2.request(request.unwrap()).await.unwrap();
    let service = scraped(&fleet.services[0].operations).await;
    assert_eq!(sum(&service, "rpc_server_call_duration_seconds_count", &[("rpc_method", "_OTHER")]), 1.0);
    is_bounded(&service, &told);
}

#[tokio::test]
async fn a_broken_stream_of_announcements_and_a_call_sent_again_are_counted() {
    let mut fleet = Fleet::start(Options::default(), 1).await;
    let client = Client::register(&fleet.issuer).await;
    fleet.services[0].process.kill().await;
    fleet.facade.process.until_output("gate.watch_lost").await;
    assert_eq!(client.refresh("gdr_wrong").await.status(), 503);
    let samples = scraped(&fleet.facade.operations).await;
    assert!(sum(&samples, "grantd_gate_announcement_gaps_total", &[]) >= 1.0);
    assert_eq!(sum(&samples, "grantd_facade_calls_retried_total", &[("rpc", "issue_token")]), 3.0);
}

/// A collector of metrics and log records.
#[derive(Clone, Default)]
struct Collector {
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    logs: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.logs.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tokio::test]
async fn metrics_and_logs_go_over_otlp() {
    let collector = Collector::default();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder()
        .add_service(MetricsServiceServer::new(collector.clone()))
        .add_service(LogsServiceServer::new(collector.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let env =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_TRACES_EXPORTER", "none"), ("RUST_LOG", "debug")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut deployment = Deployment::embedded(Options { env, ..Options::default() }).await;
    let told = flow(deployment.issuer()).await;
    deployment.processes[0].signal("TERM").await;
    assert!(deployment.processes[0].wait().await.success(), "it flushes");

    let metrics = collector.metrics.lock().unwrap().clone();
    let names: BTreeSet<String> = metrics
        .iter()
        .flat_map(|request| &request.resource_metrics)
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| scope.metrics.iter().map(|metric| metric.name.clone()))
        .collect();
    for name in [
        "http.server.request.duration",
        "rpc.server.call.duration",
        "db.client.operation.duration",
        "grantd.gate.checks",
        "grantd.security.events",
    ] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    for name in &names {
        assert!(DOCUMENTED.contains(&format!("| `{name}` |")), "docs/operations/metrics.md lacks {name}");
    }
    let logs = collector.logs.lock().unwrap().clone();
    let records: Vec<_> = logs
        .iter()
        .flat_map(|request| &request.resource_logs)
        .flat_map(|resource| &resource.scope_logs)
        .flat_map(|scope| scope.log_records.iter().map(move |record| (scope.scope.clone(), record)))
        .collect();
    let event = |name: &str| {
        records.iter().any(|(_, record)| {
            record.attributes.iter().any(|attribute| {
                let value = attribute.value.as_ref().and_then(|value| value.value.clone());
                attribute.key == "event" && value == Some(Value::StringValue(name.to_owned()))
            })
        })
    };
    assert!(event("tokens.issued") && event("sign_in.failed") && event("serving"));
    // What sending them makes is not sent, however talkative the log is.
    for (scope, _) in &records {
        let target = scope.as_ref().map(|scope| scope.name.clone()).unwrap_or_default();
        let transport = ["h2", "hyper", "tonic", "tower", "opentelemetry"];
        assert!(!transport.iter().any(|krate| target.starts_with(krate)), "{target}");
    }
    // Names and ids are for the log, and no secret is for anybody.
    let (metrics, logs) = (format!("{metrics:?}"), format!("{logs:?}"));
    for secret in &told.secrets {
        let end = &secret[secret.len() - 20..];
        assert!(!metrics.contains(end) && !logs.contains(end), "a secret was sent: {}", &secret[..4]);
    }
    assert!(!metrics.contains("nobody-of-this-name") && !metrics.contains("invented"));
}
