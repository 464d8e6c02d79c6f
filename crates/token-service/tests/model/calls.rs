//! Calls of the services, as facade and gate make them: sent again with the same `request_id`, to any process, when the
//! answer does not come.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use grantd_proto::{
    Caller, Role,
    v1::{
        self, authorization_decision::Outcome, issue_token_request::Grant as Sent,
        token_service_server::TokenService as _, verify_token_response::Result as Verdict,
    },
};
use grantd_token_service::{Service, ServiceConfig};
use tokio::sync::Notify;
use tonic::{Code, Request, Status};

use crate::{
    base::{Base, RESOURCE, VERIFIER},
    sim::Sim,
};

/// What somebody asks for.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Approve,
    /// Code and verifier.
    Exchange(String, String),
    Refresh(String),
    Verify(String),
    VerifyGrant,
    RevokeToken(String),
    RevokeGrant,
}

/// By whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Holder(usize),
    Thief,
    Forger,
    /// Somebody else whose answer changes nobody's mind: a gate, a browser, the operator.
    Other,
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) number: usize,
    pub(crate) who: Who,
    pub(crate) ask: Ask,
    pub(crate) request_id: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Code(String),
    Tokens(v1::IssueTokenResponse),
    Allowed(bool),
    Done,
}

/// A call that has come to an end.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) call: Call,
    pub(crate) start: Start,
    pub(crate) answer: Result<Answer, Status>,
}

/// What was so when a call began.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) head: Option<grantd_core::records::Grant>,
    pub(crate) superseded: BTreeMap<u64, u64>,
    pub(crate) failovers: u32,
}

/// The process that a call is sent to, and what cuts the connection.
type Line = (usize, Arc<Notify>);

/// The processes that run; a crashed one is replaced.
#[derive(Clone)]
pub(crate) struct Processes {
    running: Arc<Mutex<Vec<(usize, Service)>>>,
    /// Of each call under way.
    lines: Arc<Mutex<BTreeMap<usize, Line>>>,
    next: usize,
    guarded: bool,
}

impl Processes {
    /// Guarded processes listen for failovers.
    pub(crate) fn new(guarded: bool) -> Self {
        Self { running: Arc::default(), lines: Arc::default(), next: 0, guarded }
    }

    pub(crate) fn start(&mut self, sim: &Sim, base: &Base) {
        let config = ServiceConfig { policy: base.policy.clone(), argon2_parallel: 1, documents: None };
        let service = Service::new(sim.store(self.next), config);
        if self.guarded {
            // Starts the guard.
            drop(service.routes());
        }
        self.running.lock().unwrap().push((self.next, service));
        self.next += 1;
    }

    /// A process ends in the middle of everything.
    pub(crate) fn crash(&mut self, sim: &Sim, base: &Base) {
        let at = sim.state().rng.below(self.running.lock().unwrap().len());
        let (process, _) = self.running.lock().unwrap().remove(at);
        sim.state().tell(|| format!("process {process} crashes"));
        sim.state().crash(process);
        self.lines.lock().unwrap().values().filter(|(of, _)| *of == process).for_each(|(_, cut)| cut.notify_one());
        self.start(sim, base);
    }

    pub(crate) fn is_any_under_way(&self) -> bool {
        !self.lines.lock().unwrap().is_empty()
    }

    /// A connection breaks; what the process does for the call goes on.
    pub(crate) fn cut(&self, sim: &Sim) {
        let lines = self.lines.lock().unwrap();
        let numbers: Vec<_> = lines.keys().copied().collect();
        if numbers.is_empty() {
            return;
        }
        let mut state = sim.state();
        let number = *state.rng.pick(&numbers);
        state.disturbed = true;
        state.tell(|| format!("call {number} loses its connection"));
        lines[&number].1.notify_one();
    }

    pub(crate) async fn run(self, sim: Sim, base: Arc<Base>, call: Call, start: Start) -> Done {
        const ATTEMPTS: usize = 3;
        let mut answer = Err(Status::unavailable("nobody answered"));
        for attempt in 0..ATTEMPTS {
            let cut = Arc::new(Notify::new());
            let service = {
                let mut state = sim.state();
                if attempt > 0 {
                    state.tell(|| format!("call {} is sent again", call.number));
                }
                let running = self.running.lock().unwrap();
                let (process, service) = state.rng.pick(&running);
                self.lines.lock().unwrap().insert(call.number, (*process, cut.clone()));
                service.clone()
            };
            let attempted = tokio::select! {
                biased;
                () = cut.notified() => None,
                answer = dispatch(&service, &base, &call) => Some(answer),
            };
            self.lines.lock().unwrap().remove(&call.number);
            match attempted {
                Some(Err(status)) if status.code() != Code::Unavailable => {
                    answer = Err(status);
                    break;
                }
                Some(Ok(well)) => {
                    if attempt > 0 {
                        sim.state().model.marks.insert("answered when sent again");
                    }
                    answer = Ok(well);
                    break;
                }
                _ => {
                    let pause = sim.state().rng.below(5) as u64;
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }
        }
        Done { call, start, answer }
    }
}

fn request<T>(message: T, role: Role) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller { name: "model".into(), role });
    request
}

async fn dispatch(service: &Service, base: &Base, call: &Call) -> Result<Answer, Status> {
    let request_id = call.request_id.clone();
    let client =
        || Some(v1::ClientAuthentication { client_id: base.client_id.clone(), ..v1::ClientAuthentication::default() });
    let issue = |grant| {
        let message = v1::IssueTokenRequest {
            request_id: request_id.clone(),
            client: client(),
            grant: Some(grant),
            ..v1::IssueTokenRequest::default()
        };
        service.issue_token(request(message, Role::Flow))
    };
    let allowed = |answer: v1::VerifyTokenResponse| Answer::Allowed(matches!(answer.result, Some(Verdict::Allowed(_))));
    Ok(match &call.ask {
        Ask::Approve => {
            let message = v1::ApproveAuthorizationRequest {
                request_id,
                ticket: base.ticket.clone(),
                session_secret: base.session.clone(),
                remote_address: String::new(),
            };
            let decision = service.approve_authorization(request(message, Role::Flow)).await?.into_inner();
            match decision.outcome {
                Some(Outcome::Code(code)) => Answer::Code(code),
                other => Answer::Code(format!("{other:?}")),
            }
        }
        Ask::Exchange(code, verifier) => {
            let (code, code_verifier) = (code.clone(), verifier.clone());
            let grant = v1::AuthorizationCodeGrant { code, code_verifier, ..v1::AuthorizationCodeGrant::default() };
            Answer::Tokens(issue(Sent::AuthorizationCode(grant)).await?.into_inner())
        }
        Ask::Refresh(token) => {
            let grant = v1::RefreshTokenGrant { refresh_token: token.clone(), ..v1::RefreshTokenGrant::default() };
            Answer::Tokens(issue(Sent::RefreshToken(grant)).await?.into_inner())
        }
        Ask::Verify(access) => {
            let message = v1::VerifyTokenRequest {
                access_token: access.clone(),
                resource: RESOURCE.into(),
                required_scopes: vec!["read".into()],
            };
            allowed(service.verify_token(request(message, Role::Verify)).await?.into_inner())
        }
        Ask::VerifyGrant => {
            let message = v1::VerifyGrantRequest {
                grant_id: base.grant_id.to_string(),
                resource: RESOURCE.into(),
                required_scopes: vec![],
            };
            allowed(service.verify_grant(request(message, Role::Verify)).await?.into_inner())
        }
        Ask::RevokeToken(token) => {
            let message = v1::RevokeTokenRequest { request_id, client: client(), token: token.clone() };
            service.revoke_token(request(message, Role::Flow)).await?;
            Answer::Done
        }
        Ask::RevokeGrant => {
            let message = v1::RevokeGrantRequest { request_id, grant_id: base.grant_id.to_string() };
            service.revoke_grant(request(message, Role::Admin)).await?;
            Answer::Done
        }
    })
}

/// An honest exchange of the history's code.
pub(crate) fn exchange(base: &Base) -> Ask {
    Ask::Exchange(base.code.to_text(), VERIFIER.into())
}
