//! Compiles an agent's output schema.

use baton_core::agent::AgentDefinition;
use baton_core::fault::Fault;
use baton_core::structured::ReplySchema;

use crate::fault::code;

/// The agent's schema, if it has one.
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
