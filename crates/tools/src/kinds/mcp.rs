//! A tool of an MCP server.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::catalogue::ToolEntry;
use crate::definition::ToolProfile;
use crate::mcp::{McpConnectionPool, OutputSchema};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

pub(crate) fn entry(
    profile: ToolProfile,
    tool: String,
    output: Option<&Value>,
    link: Arc<McpConnectionPool>,
) -> ToolEntry {
    let service = format!("mcp {}", link.source.name());
    let source = link.source.name().to_owned();
    let answers = output.map(OutputSchema::new);
    profile.entry("mcp", Arc::new(McpTool { tool, answers, link, service })).with_source(&source)
}

struct McpTool {
    /// The server's own name of the tool.
    tool: String,
    /// The output schema that the server declares.
    answers: Option<OutputSchema>,
    link: Arc<McpConnectionPool>,
    service: String,
}

#[async_trait]
impl ToolHandler for McpTool {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let answer = self.link.call(&self.tool, request).await?;
        match &self.answers {
            Some(answers) => answers.validate(&request.call.tool, answer, request.call.class),
            None => Ok(answer),
        }
    }

    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(&self.service))
    }
}
