//! `agent`: an agent reads, asks for tools and answers.

use std::collections::BTreeMap;

use super::super::document::{Agent, Part};
use super::super::fields::{Field, Fields, Shape, field, required};
use super::super::json_schema;
use super::super::policy;
use super::super::reader::Reader;
use super::Kind;
use crate::agent::ITERATIONS_MAX;
use crate::model::Profile;

/// The most tokens anyone may ask a model for.
const TOKENS_MAX: u32 = 1_000_000;
const TEMPERATURE_MAX: f64 = 2.0;

pub(crate) const KIND: Kind = Kind {
    word: "agent",
    what: "an agent node",
    doc: "An agent reads, asks for tools and answers.",
    fields: FIELDS,
    tells: &["agent"],
    read,
};

const FIELDS: &[Field] = &[
    required("agent", Shape::Text, "The agent's name: a file in `agents/`, or one that is shipped."),
    field("task", Shape::Template, "What it is asked to do, in place of the agent's own prompt."),
    field("prompt_template", Shape::Template, "The same as `task`."),
    field("prompt", Shape::Template, "The same as `task`."),
    field("system_prompt", Shape::Template, "In place of the agent's own."),
    field(
        "mode",
        Shape::Word(&["answer", "select"]),
        "`select`: it only chooses tools, which go to `tool_requests`; `answer` where left out.",
    ),
    field("model_profile", Shape::Word(&["fast", "balanced", "powerful"]), "How good and how dear a model may be."),
    field("model", Shape::Text, "A model by name, past the router."),
    field("temperature", Shape::Number, "0 to 2."),
    field("max_tokens", Shape::Count, "The longest answer, in tokens."),
    field("max_iterations", Shape::Count, "Rounds of asking and acting."),
    field("tools", Shape::Names, "Tools it may ask for, in place of the agent's own; `app.*` means all of an app."),
    field("output_schema", Shape::Object, "JSON Schema of the answer, in place of the agent's own."),
    field(
        "context_sources",
        Shape::Names,
        "What its context is made of: `conversation_history`, `knowledge_base`, `similar_conversations`.",
    ),
    field("context_strategy", Shape::Word(&["short_only", "long_only", "hybrid"]), "How memory is searched for it."),
    field("deadline", Shape::Duration, "How long a question of its waits for the customer."),
    field("on_deadline", Shape::Of("at_deadline"), "What happens then: `fail` (default), or `{default: VALUE}`."),
];

fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Part<'t>> {
    let agent = fields.text("agent", &mut reader.findings);
    if agent.is_none() && !fields.has("agent") {
        fields.missing("agent", "name the agent", &mut reader.findings);
    }
    let prompt = fields
        .one_of(&["task", "prompt_template", "prompt"], &mut reader.findings)
        .and_then(|(key, node)| reader.template(&key.name, node, &[]));
    let system = fields
        .take("system_prompt", &mut reader.findings)
        .and_then(|node| Some((node.as_str()?.to_owned(), reader.template("system_prompt", node, &[])?)));
    let profiles = [("fast", Profile::Fast), ("balanced", Profile::Balanced), ("powerful", Profile::Powerful)];
    let modes = [("answer", false), ("select", true)];
    let findings = &mut reader.findings;
    let mut written = Agent {
        agent: agent?,
        prompt,
        system,
        selects: fields.word("mode", &modes, findings).unwrap_or_default(),
        asks: crate::graph::node::Deadline::default(),
        profile: fields.word("model_profile", &profiles, findings),
        model: fields.text("model", findings).map(|model| model.value),
        temperature: fields.number("temperature", 0.0, TEMPERATURE_MAX, findings),
        max_tokens: fields.count("max_tokens", 1, TOKENS_MAX, findings),
        max_iterations: fields.count("max_iterations", 1, ITERATIONS_MAX, findings),
        tools: fields.names("tools", findings),
        output_schema: None,
        metadata: metadata(fields, reader),
    };
    written.output_schema = json_schema::read("output_schema", fields, reader);
    written.asks = policy::deadline(fields, reader, false);
    Some(Part::Agent(Box::new(written)))
}

/// What the memory room reads from the agent that runs.
fn metadata(fields: &mut Fields<'_>, reader: &mut Reader) -> BTreeMap<String, serde_json::Value> {
    let sources = ["conversation_history", "knowledge_base", "similar_conversations"].map(|word| (word, word));
    let strategies = ["short_only", "long_only", "hybrid"].map(|word| (word, word));
    let mut metadata = BTreeMap::new();
    if let Some(names) = fields.take("context_sources", &mut reader.findings) {
        let items = match &names.value {
            super::super::source::Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(names),
        };
        let known: Vec<&str> = items
            .iter()
            .filter_map(|item| super::super::fields::word("context_sources", item, &sources, &mut reader.findings))
            .collect();
        metadata.insert("context_sources".to_owned(), known.into());
    }
    if let Some(strategy) = fields.word("context_strategy", &strategies, &mut reader.findings) {
        metadata.insert("context_strategy".to_owned(), strategy.into());
    }
    metadata
}
