//! What memory adds before an agent thinks: `context_sources`. It is asked for by tools, as anything is that a
//! run wants of the world, so it is journaled and a replay sees the same.

use serde_json::Value;

use super::AgentDefinition;

/// The fields of a node, which become metadata of the agent that works on it.
pub const CONTEXT_SOURCES: &str = "context_sources";
pub const CONTEXT_STRATEGY: &str = "context_strategy";
/// Metadata: the tools that an agent has for its context alone.
pub const CONTEXT_TOOLS: &str = "context_tools";

/// Recent messages, documents and conversations, within a number of tokens.
pub const GET_CONTEXT: &str = "get_context";
/// Executions with a goal like this one.
pub const SIMILAR_EXECUTIONS: &str = "similar_executions";

/// A source that a node may name.
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

    /// The tool that is asked for it.
    pub fn tool(self) -> &'static str {
        match self {
            Self::ConversationHistory | Self::KnowledgeBase | Self::SimilarConversations => GET_CONTEXT,
            Self::SimilarExecutions => SIMILAR_EXECUTIONS,
        }
    }
}

/// Whether an agent's context is made of this.
pub fn uses_source(agent: &AgentDefinition, source: ContextSource) -> bool {
    let named = agent.metadata.get(CONTEXT_SOURCES).and_then(Value::as_array);
    named.is_some_and(|named| named.iter().any(|word| word == source.word()))
}

/// The tools an agent's context is asked of, each once.
pub fn context_tools(agent: &AgentDefinition) -> Vec<&'static str> {
    let mut tools: Vec<&str> =
        ContextSource::ALL.into_iter().filter(|one| uses_source(agent, *one)).map(ContextSource::tool).collect();
    tools.dedup();
    tools
}

/// Whether an agent has a tool for its context alone: its model is not offered it.
pub fn is_context_only(agent: &AgentDefinition, tool: &str) -> bool {
    let lent = agent.metadata.get(CONTEXT_TOOLS).and_then(Value::as_array);
    lent.is_some_and(|lent| lent.iter().any(|name| name == tool))
}
