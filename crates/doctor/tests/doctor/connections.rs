//! Servers that are away, silent, slow, or speak something else.

use std::time::Duration;

use bytes::Bytes;
use grantd_doctor::{Answer, Callback, Code, Doctor, Failure, Observation, Options, Report, Step, Visit, check};
use http::{HeaderMap, Method};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use url::Url;

/// What the tests of this file come to.
pub(crate) const CODES: [Code; 7] = [
    Code::Unreachable,
    Code::TlsFailed,
    Code::NoAnswer,
    Code::BrokenAnswer,
    Code::VerySlowAnswer,
    Code::SlowAnswer,
    Code::NotHttps,
];

async fn look(url: String) -> Report {
    let options = Options { timeout: Duration::from_millis(300), ..Options::new(url) };
    let mut doctor = Doctor::new(options).await.unwrap();
    doctor.look().await;
    doctor.finish().await
}

/// A listener that answers every connection with the same bytes; none: never.
async fn listener(answer: Option<&'static [u8]>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    if let Some(answer) = answer {
                        let _ = stream.write_all(answer).await;
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn nobody_is_asked_for_ever() {
    let closed = {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        listener.local_addr().unwrap().port()
    };
    for (url, code) in [
        (format!("http://127.0.0.1:{closed}/mcp"), Code::Unreachable),
        (format!("https://127.0.0.1:{}/mcp", listener(Some(b"HTTP/1.1 400 no\r\n\r\n")).await), Code::TlsFailed),
        (format!("http://127.0.0.1:{}/mcp", listener(None).await), Code::NoAnswer),
        (format!("http://127.0.0.1:{}/mcp", listener(Some(b"SSH-2.0-x\r\n")).await), Code::BrokenAnswer),
        (
            format!("http://127.0.0.1:{}/mcp", listener(Some(b"HTTP/1.1 401 x\r\ncontent-length: 9\r\n\r\nx")).await),
            Code::BrokenAnswer,
        ),
    ] {
        let report = look(url).await;
        let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [code], "{report}");
        assert!(report.gave_up && report.requests == 3 && report.breaks, "{report}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_not_read() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(b"HTTP/1.1 401 no\r\nconnection: close\r\n\r\n").await;
                while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            });
        }
    });
    let options = Options::new(format!("http://127.0.0.1:{port}/mcp"));
    let mut doctor = Doctor::new(options).await.unwrap();
    doctor.look().await;
    let report = doctor.finish().await;
    assert_eq!(report.findings[0].code, Code::BrokenAnswer, "{report}");
    assert!(report.findings[0].seen.contains("262144"), "{report}");
}

fn observation(step: Step, outcome: Result<Answer, Failure>) -> Observation {
    let url = Url::parse("https://mcp.example.com/.well-known/x").unwrap();
    Observation { step, method: Method::GET, url, redirects: vec![], outcome }
}

fn visit(typed: &str, observations: Vec<Observation>) -> Visit {
    Visit {
        typed: typed.to_owned(),
        url: Url::parse(typed).unwrap(),
        state: "s".to_owned(),
        redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
        observations,
        callback: None::<Callback>,
    }
}

#[test]
fn patience_has_an_end() {
    for (millis, code) in [
        (10, None),
        (5_000, None),
        (5_001, Some(Code::SlowAnswer)),
        (10_000, Some(Code::SlowAnswer)),
        (10_001, Some(Code::VerySlowAnswer)),
    ] {
        let answer = Answer {
            status: 404,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            elapsed: Duration::from_millis(millis),
        };
        let visit = visit("https://mcp.example.com/mcp", vec![observation(Step::UnknownWellKnown, Ok(answer))]);
        let found: Vec<_> = check(&visit).into_iter().map(|finding| finding.code).collect();
        assert_eq!(found, code.into_iter().collect::<Vec<_>>(), "{millis} ms");
    }
}

#[test]
fn plain_http_is_for_this_machine() {
    for (typed, code) in [
        ("https://mcp.example.com/mcp", None),
        ("http://localhost:8080/mcp", None),
        ("http://127.0.0.1/mcp", None),
        ("http://[::1]/mcp", None),
        ("http://mcp.example.com/mcp", Some(Code::NotHttps)),
        ("http://192.0.2.1/mcp", Some(Code::NotHttps)),
    ] {
        let found: Vec<_> = check(&visit(typed, vec![])).into_iter().map(|finding| finding.code).collect();
        assert_eq!(found, code.into_iter().collect::<Vec<_>>(), "{typed}");
    }
}

#[tokio::test]
async fn what_is_no_address_is_refused() {
    for url in
        ["", "mcp.example.com/mcp", "ftp://a.example/", "https://", "https://user@a.example/mcp", "file:///etc/passwd"]
    {
        assert!(Doctor::new(Options::new(url)).await.is_err(), "{url}");
    }
    let options = Options { ca_file: Some("/nonexistent.pem".into()), ..Options::new("https://a.example/mcp") };
    assert!(Doctor::new(options).await.unwrap_err().to_string().contains("/nonexistent.pem"));
}
