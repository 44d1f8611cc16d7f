//! A tool that an MCP server has.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::catalogue::Entry;
use crate::definition::Profile;
use crate::failure::Failure;
use crate::mcp::{Answers, Link};
use crate::request::Request;
use crate::tool::Tool;

pub(crate) fn entry(profile: Profile, tool: String, output: Option<&Value>, link: Arc<Link>) -> Entry {
    let service = format!("mcp {}", link.source.name());
    let source = link.source.name().to_owned();
    let answers = output.map(Answers::new);
    profile.entry("mcp", Arc::new(Remote { tool, answers, link, service })).of_source(&source)
}

struct Remote {
    /// As the server calls it.
    tool: String,
    /// What its server says it answers with.
    answers: Option<Answers>,
    link: Arc<Link>,
    service: String,
}

#[async_trait]
impl Tool for Remote {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let answer = self.link.call(&self.tool, request).await?;
        match &self.answers {
            Some(answers) => answers.kept(&request.call.tool, answer, request.call.class),
            None => Ok(answer),
        }
    }

    fn service<'a>(&'a self, _request: &'a Request) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(&self.service))
    }
}
