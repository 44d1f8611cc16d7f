//! An agent's output schema, made ready.

use baton_core::agent::AgentDefinition;
use baton_core::fault::Fault;
use baton_core::structured::ReplySchema;

use crate::fault::code;

/// The agent's schema, where it has one.
pub(crate) fn of(agent: &AgentDefinition) -> Result<Option<ReplySchema>, Fault> {
    let compiled = agent.output_schema.as_ref().map(ReplySchema::compile).transpose();
    compiled.map_err(|problem| {
        let name = &agent.name;
        Fault::new(
            code::OUTPUT_SCHEMA_INVALID,
            format!("agent `{name}`: its output_schema is not a JSON Schema: {problem}"),
        )
    })
}
