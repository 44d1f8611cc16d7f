//! Context that memory adds before an agent's first step: `context_sources`. It is requested through tools, like every
//! effect of a run, so it is journaled and a replay sees the same.

use serde_json::Value;

use super::AgentDefinition;

/// The field of a node that is copied to the metadata of the node's agent.
pub const CONTEXT_SOURCES: &str = "context_sources";
pub const CONTEXT_STRATEGY: &str = "context_strategy";
/// Metadata key: the tools that an agent has only for its context.
pub const CONTEXT_TOOLS: &str = "context_tools";

/// Recent messages, documents and conversations, up to a number of tokens.
pub const GET_CONTEXT: &str = "get_context";
/// Past executions with a similar goal.
pub const SIMILAR_EXECUTIONS: &str = "similar_executions";

/// A context source that a node may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextSource {
    ConversationHistory,
    KnowledgeBase,
    SimilarConversations,
    SimilarExecutions,
}

impl ContextSource {
    pub const ALL: [Self; 4] =
        [Self::ConversationHistory, Self::KnowledgeBase, Self::SimilarConversations, Self::SimilarExecutions];

    pub fn word(self) -> &'static str {
        match self {
            Self::ConversationHistory => "conversation_history",
            Self::KnowledgeBase => "knowledge_base",
            Self::SimilarConversations => "similar_conversations",
            Self::SimilarExecutions => "similar_executions",
        }
    }

    /// Returns the tool that provides this source.
    pub fn tool(self) -> &'static str {
        match self {
            Self::ConversationHistory | Self::KnowledgeBase | Self::SimilarConversations => GET_CONTEXT,
            Self::SimilarExecutions => SIMILAR_EXECUTIONS,
        }
    }
}

/// Returns whether an agent's context uses this source.
pub fn uses_source(agent: &AgentDefinition, source: ContextSource) -> bool {
    let named = agent.metadata.get(CONTEXT_SOURCES).and_then(Value::as_array);
    named.is_some_and(|named| named.iter().any(|word| word == source.word()))
}

/// Returns the tools that provide an agent's context, without duplicates.
pub fn context_tools(agent: &AgentDefinition) -> Vec<&'static str> {
    let mut tools: Vec<&str> =
        ContextSource::ALL.into_iter().filter(|one| uses_source(agent, *one)).map(ContextSource::tool).collect();
    tools.dedup();
    tools
}

/// Returns whether an agent has a tool only for its context. Such a tool is not offered to its model.
pub fn is_context_only(agent: &AgentDefinition, tool: &str) -> bool {
    let lent = agent.metadata.get(CONTEXT_TOOLS).and_then(Value::as_array);
    lent.is_some_and(|lent| lent.iter().any(|name| name == tool))
}
