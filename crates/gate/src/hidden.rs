//! Leaves tools that the token may not call out of lists of tools (`hide_forbidden_tools`).
//!
//! Nothing rests on it: a call is checked whether its tool was shown or not.
//!
//! 1. An answer to `tools/list` is JSON: it is read whole, and passed on without those tools.
//! 2. Or it is a stream: event by event, each as soon as it is complete. The streams that a GET opens are looked at too: an
//!    answer may come there when a client resumes, or by HTTP+SSE.
//! 3. What says nothing of tools, and a list in which nothing is hidden, is passed on byte for byte. A list that says that
//!    everybody may be shown it (`cacheScope`) is then for this token only.
//!
//! What is too large to look at, or cannot be read, is not passed on.

use std::{collections::BTreeMap, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use grantd_oauth_types::ScopeSet;
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    GateResource, GateRule,
    rules::{self, Names},
    sse,
};

/// The largest answer, or event, that is looked at.
const MAX: usize = 16 << 20;

/// What hides tools for one token.
#[derive(Debug, Clone)]
pub(crate) struct Hidden {
    rules: Arc<[GateRule]>,
    granted: ScopeSet,
}

/// An object, its members as they were written.
type Object = BTreeMap<String, Box<RawValue>>;

impl Hidden {
    pub(crate) fn new(resource: &GateResource, granted: ScopeSet) -> Self {
        Self::of(resource.rules.clone(), granted)
    }

    pub(crate) fn of(rules: Vec<GateRule>, granted: ScopeSet) -> Self {
        Self { rules: rules.into(), granted }
    }

    /// Whether a tool of this name may not be called.
    pub(crate) fn hides(&self, tool: &str) -> bool {
        let needed = rules::needed(&self.rules, "tools/call", Names::These(&[tool.to_owned()]));
        !self.granted.contains_all(&needed)
    }

    fn is_hidden(&self, tool: &RawValue) -> bool {
        #[derive(Deserialize)]
        struct Tool {
            name: String,
        }
        serde_json::from_str::<Tool>(tool.get()).is_ok_and(|tool| self.hides(&tool.name))
    }

    /// A message, or a batch, without hidden tools. `None`: as it is.
    pub(crate) fn message(&self, text: &str) -> Option<String> {
        // An upstream may escape the word, but none does.
        if !text.contains("\"tools\"") {
            return None;
        }
        if text.trim_start().starts_with('[') {
            let batch: Vec<Box<RawValue>> = serde_json::from_str(text).ok()?;
            // Of messages, not of batches: how deep an upstream nests them must not decide how deep this calls itself.
            let changed: Vec<_> = batch.iter().map(|message| self.one(message.get())).collect();
            if changed.iter().all(Option::is_none) {
                return None;
            }
            let all = batch.iter().zip(&changed).map(|(old, new)| new.as_deref().unwrap_or(old.get()));
            return Some(format!("[{}]", all.collect::<Vec<_>>().join(",")));
        }
        self.one(text)
    }

    fn one(&self, text: &str) -> Option<String> {
        let mut message: Object = serde_json::from_str(text).ok()?;
        let mut result: Object = serde_json::from_str(message.get("result")?.get()).ok()?;
        let tools: Vec<Box<RawValue>> = serde_json::from_str(result.get("tools")?.get()).ok()?;
        let shown: Vec<_> = tools.iter().filter(|tool| !self.is_hidden(tool)).collect();
        let is_public = result.get("cacheScope").is_some_and(|scope| scope.get() != "\"private\"");
        if shown.len() == tools.len() && !is_public {
            return None;
        }
        result.insert("tools".to_owned(), serde_json::value::to_raw_value(&shown).ok()?);
        if is_public {
            result.insert("cacheScope".to_owned(), serde_json::value::to_raw_value("private").ok()?);
        }
        message.insert("result".to_owned(), serde_json::value::to_raw_value(&result).ok()?);
        serde_json::to_string(&message).ok()
    }

    /// A whole JSON answer without hidden tools. `None`: it is too large, or broke off, or is no text.
    pub(crate) async fn answer(&self, body: hyper::body::Incoming) -> Option<Body> {
        let bytes = Limited::new(body, MAX).collect().await.ok()?.to_bytes();
        let changed = self.message(std::str::from_utf8(&bytes).ok()?);
        Some(changed.map_or_else(|| Body::from(bytes), Body::from))
    }

    /// A complete event without hidden tools.
    fn event(&self, event: Bytes) -> Bytes {
        let Ok(text) = std::str::from_utf8(&event) else { return event };
        let changed = self.message(&sse::data(text)).map(|data| sse::with_data(text, &data.replace('\n', " ")));
        changed.map_or(event, Bytes::from)
    }
}

/// A stream on its way.
pub(crate) struct Events {
    hidden: Hidden,
    splitter: sse::Splitter,
}

impl Events {
    pub(crate) fn new(hidden: Hidden) -> Self {
        Self { hidden, splitter: sse::Splitter::default() }
    }

    /// What may go on now that this piece came; possibly nothing. `None`: an event is too large.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Option<Bytes> {
        self.splitter.push(piece);
        let mut out = bytes::BytesMut::new();
        while let Some(event) = self.splitter.next() {
            out.extend_from_slice(&self.hidden.event(event));
        }
        (self.splitter.held() <= MAX).then(|| out.freeze())
    }

    /// What is left at the end. Nobody dispatches an event that is not complete.
    pub(crate) fn rest(&mut self) -> Bytes {
        self.splitter.rest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_that_nests_without_end_harms_nobody() {
        let hidden = Hidden::of(Vec::new(), ScopeSet::default());
        for depth in [2, 100_000] {
            let text = format!("{}{{\"result\":{{\"tools\":[]}}}}{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(hidden.message(&text), None, "{depth}");
        }
    }
}
