//! What to do next, on standard output.

use crate::{config::Config, owner};

/// The text.
pub(crate) fn text(config: &Config) -> String {
    let path = config.resource.first().map_or("/mcp", |resource| resource.path());
    let url = config.public_url.join(path);
    let file = owner::password_file(&config.data_dir);
    let password = if file.exists() {
        format!("cat {}", file.display())
    } else {
        "the one in GRANTD_OWNER_PASSWORD at the first start (or: grantd user passwd owner)".to_owned()
    };
    format!(
        "
grantd protects a small MCP server at {url}

1. Add it to Claude Code:

     claude mcp add --transport http grantd-demo {url}

2. Sign in, in the browser that this opens:

     claude mcp login grantd-demo

     user      owner
     password  {password}

3. See that it is connected, and use it:

     claude mcp list
     claude \"Who am I, according to grantd-demo?\"

Other clients need the URL alone. Without a client:

     curl -i {url}                  a 401 that says where to look
     curl {issuer}/.well-known/oauth-authorization-server

Ctrl-C stops it. To protect a server of your own: grantd serve --upstream http://localhost:3000/mcp
",
        issuer = config.public_url
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_the_line_to_copy() {
        let text = text(&Config::default());
        assert!(text.contains("claude mcp add --transport http grantd-demo http://localhost:8080/mcp\n"), "{text}");
        assert!(text.contains("password"));
    }
}
