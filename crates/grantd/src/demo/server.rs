//! The demo's MCP server: three tools over a list of articles in memory.
//!
//! It knows no OAuth. Like any server behind grantd it reads who calls from headers ([`Identity`]), and may look at the
//! granted scopes itself where a tool needs one.

use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use rmcp::{
    Json, ServerHandler,
    handler::server::{tool::Extension, wrapper::Parameters},
    model::{Implementation, ServerCapabilities, ServerConfig},
    tool, tool_handler, tool_router,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::identity::Identity;

/// As many as fit on a demo's shelf.
const MAX_ARTICLES: usize = 100;
/// The longest title or text, in bytes.
const MAX_TEXT: usize = 10_000;

/// An article.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Article {
    /// What it is called.
    title: String,
    /// What it says.
    text: String,
    /// Who published it.
    author: String,
}

/// All articles.
#[derive(Debug, Serialize, JsonSchema)]
struct Articles {
    /// The oldest first.
    articles: Vec<Article>,
}

/// What to publish.
#[derive(Debug, Deserialize, JsonSchema)]
struct Draft {
    /// What it is called.
    title: String,
    /// What it says.
    #[serde(default)]
    text: String,
}

/// The server; one shelf for all sessions.
#[derive(Clone)]
pub(super) struct Demo {
    articles: Arc<Mutex<Vec<Article>>>,
}

impl Default for Demo {
    fn default() -> Self {
        let welcome = Article {
            title: "Welcome".to_owned(),
            text: "This article came through grantd.".to_owned(),
            author: "grantd".to_owned(),
        };
        Self { articles: Arc::new(Mutex::new(vec![welcome])) }
    }
}

/// The caller, or why there is none.
fn caller(parts: &Parts) -> Result<Identity, String> {
    Identity::of(&parts.headers).ok_or_else(|| "this request did not come through grantd".to_owned())
}

#[tool_router]
impl Demo {
    #[tool(
        description = "Tells who is signed in, and what this client may do for them",
        annotations(read_only_hint = true)
    )]
    fn whoami(&self, Extension(parts): Extension<Parts>) -> Result<Json<Identity>, String> {
        caller(&parts).map(Json)
    }

    #[tool(description = "Lists the published articles", annotations(read_only_hint = true))]
    fn list_articles(&self, Extension(parts): Extension<Parts>) -> Result<Json<Articles>, String> {
        allow(&caller(&parts)?, "read:articles")?;
        let articles = self.articles.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Json(Articles { articles }))
    }

    #[tool(description = "Publishes an article in the name of the person who is signed in")]
    fn publish_article(
        &self,
        Parameters(draft): Parameters<Draft>,
        Extension(parts): Extension<Parts>,
    ) -> Result<Json<Article>, String> {
        let who = caller(&parts)?;
        allow(&who, "write:articles")?;
        if draft.title.trim().is_empty() || draft.title.len() > MAX_TEXT || draft.text.len() > MAX_TEXT {
            return Err(format!("an article needs a title, and title and text have at most {MAX_TEXT} bytes"));
        }
        let article = Article { title: draft.title, text: draft.text, author: who.preferred_username };
        let mut articles = self.articles.lock().unwrap_or_else(PoisonError::into_inner);
        if articles.len() == MAX_ARTICLES {
            articles.remove(0);
        }
        articles.push(article.clone());
        Ok(Json(article))
    }
}

fn allow(who: &Identity, scope: &str) -> Result<(), String> {
    if who.may(scope) { Ok(()) } else { Err(format!("this needs the scope {scope}, which was not granted")) }
}

#[tool_handler]
impl ServerHandler for Demo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("grantd-demo", env!("CARGO_PKG_VERSION")))
            .with_instructions("A small server behind grantd. Call whoami to see who is signed in.")
    }
}
