//! `agent`: an agent reads, requests tools and answers.

use std::collections::BTreeMap;

use super::super::diagnostic::DiagnosticCode;
use super::super::fields::{FieldSchema, FieldShape, MappingReader, field};
use super::super::json_schema;
use super::super::policy;
use super::super::reader::DefinitionReader;
use super::super::spec::{AgentNodeSpec, AgentSelector, NodeKindSpec};
use super::KindDescriptor;
use crate::agent::context::{self, ContextSource};
use crate::agent::{CostTier, ITERATIONS_MAX};
use crate::model::ModelProfile;

/// Maximum number of tokens that may be requested from a model.
const TOKENS_MAX: u32 = 1_000_000;
const TEMPERATURE_MAX: f64 = 2.0;
/// Maximum working time of an agent: one day, in seconds.
const SECONDS_MAX: u32 = 86_400;

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "agent",
    label: "an agent node",
    doc: "An agent reads, asks for tools and answers.",
    fields: FIELDS,
    inferring_keys: &["agent", "capability"],
    read,
};

const FIELDS: &[FieldSchema] = &[
    field(
        "agent",
        FieldShape::Text,
        "The agent's name: a file in `agents/`, or one that is shipped. It or `capability`.",
    ),
    field(
        "capability",
        FieldShape::Text,
        "In place of a name: whoever is good for this, the cheapest first; the others stand in for it.",
    ),
    field("cost_tier", FieldShape::Word(&["low", "medium", "high"]), "With `capability`: nobody dearer than this."),
    field(
        "fallback",
        FieldShape::Text,
        "The agent that stands in where this one is not well or gives up before it acted.",
    ),
    field("task", FieldShape::Template, "What it is asked to do, in place of the agent's own prompt."),
    field("prompt_template", FieldShape::Template, "The same as `task`."),
    field("prompt", FieldShape::Template, "The same as `task`."),
    field("system_prompt", FieldShape::Template, "In place of the agent's own."),
    field(
        "mode",
        FieldShape::Word(&["answer", "select"]),
        "`select`: it only chooses tools, which go to `tool_requests`; `answer` where left out.",
    ),
    field(
        "model_profile",
        FieldShape::Word(&["fast", "balanced", "powerful"]),
        "How good and how dear a model may be.",
    ),
    field("model", FieldShape::Text, "A model by name, past the router."),
    field("temperature", FieldShape::Number, "0 to 2."),
    field("max_tokens", FieldShape::Count, "The longest answer, in tokens."),
    field("max_iterations", FieldShape::Count, "Rounds of asking and acting."),
    field("max_execution_time", FieldShape::Count, "Seconds it may work, waiting for people not counted."),
    field(
        "tools",
        FieldShape::Names,
        "Tools it may ask for, in place of the agent's own; `app.*` means all of an app.",
    ),
    field("output_schema", FieldShape::Object, "JSON Schema of the answer, in place of the agent's own."),
    field(
        "context_sources",
        FieldShape::Names,
        "What memory tells it before it thinks: `conversation_history`, `knowledge_base`, `similar_conversations`, \
         `similar_executions`.",
    ),
    field(
        "context_strategy",
        FieldShape::Word(&["short_only", "long_only", "hybrid"]),
        "How memory is searched for it.",
    ),
    field("deadline", FieldShape::Duration, "How long a question of its waits for the customer."),
    field("on_deadline", FieldShape::Of("at_deadline"), "What happens then: `fail` (default), or `{default: VALUE}`."),
];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    let who = read_agent_selector(fields, reader);
    let prompt = fields
        .one_of(&["task", "prompt_template", "prompt"], &mut reader.findings)
        .and_then(|(key, node)| reader.template(&key.name, node, &[]));
    let system = fields
        .take("system_prompt", &mut reader.findings)
        .and_then(|node| Some((node.as_str()?.to_owned(), reader.template("system_prompt", node, &[])?)));
    let profiles =
        [("fast", ModelProfile::Fast), ("balanced", ModelProfile::Balanced), ("powerful", ModelProfile::Powerful)];
    let modes = [("answer", false), ("select", true)];
    let findings = &mut reader.findings;
    let mut written = AgentNodeSpec {
        agent: who?,
        fallback: fields.text("fallback", findings),
        max_execution_time: fields.count("max_execution_time", 1, SECONDS_MAX, findings).map(u64::from),
        prompt,
        system,
        only_selects_tools: fields.keyword("mode", &modes, findings).unwrap_or_default(),
        question_deadline: crate::graph::node::WaitDeadline::default(),
        profile: fields.keyword("model_profile", &profiles, findings),
        model: fields.text("model", findings).map(|model| model.value),
        temperature: fields.number("temperature", 0.0, TEMPERATURE_MAX, findings),
        max_tokens: fields.count("max_tokens", 1, TOKENS_MAX, findings),
        max_iterations: fields.count("max_iterations", 1, ITERATIONS_MAX, findings),
        tools: fields.names("tools", findings),
        output_schema: None,
        metadata: metadata(fields, reader),
    };
    written.output_schema = json_schema::read("output_schema", fields, reader);
    written.question_deadline = policy::deadline(fields, reader, false);
    Some(NodeKindSpec::Agent(Box::new(written)))
}

/// Reads the agent of a node: one agent by name, or any agent with a capability.
fn read_agent_selector(fields: &mut MappingReader<'_>, reader: &mut DefinitionReader) -> Option<AgentSelector> {
    let findings = &mut reader.findings;
    let (is_named, is_able) = (fields.has("agent"), fields.has("capability"));
    let (named, able) = (fields.text("agent", findings), fields.text("capability", findings));
    let costs = CostTier::ALL.map(|tier| (tier.word(), tier));
    let cost = fields.keyword("cost_tier", &costs, findings);
    match (named, able) {
        (Some(_), Some(capability)) => {
            let message = "`agent` and `capability` both say whose node it is";
            findings.push(capability.span.error(DiagnosticCode::Conflict, message).hint("keep one of the two"));
            None
        }
        (Some(name), None) => Some(AgentSelector::ByName(name)),
        (None, Some(capability)) => Some(AgentSelector::ByCapability { capability, cost }),
        (None, None) => {
            if !is_named && !is_able {
                fields.report_missing("agent", "name the agent, or the `capability` it needs", findings);
            }
            None
        }
    }
}

/// Reads the metadata for the agent's step function: the context that is requested from memory before its first step.
fn metadata(fields: &mut MappingReader<'_>, reader: &mut DefinitionReader) -> BTreeMap<String, serde_json::Value> {
    let sources = ContextSource::ALL.map(|source| (source.word(), source.word()));
    let strategies = ["short_only", "long_only", "hybrid"].map(|word| (word, word));
    let mut metadata = BTreeMap::new();
    if let Some(names) = fields.take("context_sources", &mut reader.findings) {
        let items = match &names.value {
            super::super::source::YamlValue::List(items) => items.as_slice(),
            _ => std::slice::from_ref(names),
        };
        let known: Vec<&str> = items
            .iter()
            .filter_map(|item| {
                super::super::fields::read_keyword("context_sources", item, &sources, &mut reader.findings)
            })
            .collect();
        metadata.insert(context::CONTEXT_SOURCES.to_owned(), known.into());
    }
    if let Some(strategy) = fields.keyword("context_strategy", &strategies, &mut reader.findings) {
        metadata.insert(context::CONTEXT_STRATEGY.to_owned(), strategy.into());
    }
    metadata
}
