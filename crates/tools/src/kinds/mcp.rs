//! A tool that an MCP server has.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::catalogue::Entry;
use crate::definition::Profile;
use crate::failure::Failure;
use crate::mcp::Link;
use crate::request::Request;
use crate::tool::Tool;

pub(crate) fn entry(profile: Profile, tool: String, link: Arc<Link>) -> Entry {
    let service = format!("mcp {}", link.source.name());
    let source = link.source.name().to_owned();
    profile.entry("mcp", Arc::new(Remote { tool, link, service })).of_source(&source)
}

struct Remote {
    /// As the server calls it.
    tool: String,
    link: Arc<Link>,
    service: String,
}

#[async_trait]
impl Tool for Remote {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        self.link.call(&self.tool, request).await
    }

    fn service<'a>(&'a self, _request: &'a Request) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(&self.service))
    }
}
