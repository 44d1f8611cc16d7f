//! The tools and agents of the simulated world: one tool of each class, and of each kind of compensation.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_core::agent::AgentDefinition;
use baton_core::tool::{EffectClass, OnUnavailable, RetryPolicy, ToolCompensation, ToolContract};
use serde_json::{Value, json};

/// An agent that makes the moves in its task, one after another.
pub const AGENT: &str = "worker";
/// An agent with a remote endpoint; the other agent is its fallback.
pub const PROXY: &str = "proxy";
/// Agents with the shipped step functions. The replies of their model, turn by turn, are written in their task:
/// [`crate::model`] parses it.
pub const SIMPLE: &str = "simple";
pub const REASONING: &str = "reasoning";
/// A reasoning agent that uses the text protocol.
pub const TEXT: &str = "text";
pub const CODE: &str = "code";
/// Names of signals for drawn wait nodes.
pub const SIGNALS: [&str; 2] = ["paid", "arrived"];

/// What drawn workflows may name.
#[derive(Debug)]
pub struct SimCatalog {
    pub tools: BTreeMap<String, ToolContract>,
    pub agents: BTreeMap<String, AgentDefinition>,
}

/// Tools that a node may call, with their weights.
pub(super) const TOOLS: [(u64, &str); 8] =
    [(1, "pure"), (2, "read"), (4, "book"), (2, "keep"), (3, "charge"), (2, "mail"), (3, "ship"), (1, "patient")];

impl SimCatalog {
    pub fn new() -> Result<Self, serde_json::Error> {
        let tools = [
            ("pure", facts(EffectClass::Pure, 2)),
            ("read", standing(facts(EffectClass::Read, 3), OnUnavailable::Empty)),
            ("book", undone_by(facts(EffectClass::Keyed, 3), "unbook")),
            // It cannot be undone: a rollback only reports it.
            ("keep", standing(facts(EffectClass::Keyed, 2), OnUnavailable::Queue)),
            ("charge", undone_by(facts(EffectClass::Verify, 3), "refund")),
            (
                "mail",
                ToolContract {
                    irreversible: Some("a letter cannot be unread".to_owned()),
                    on_unavailable: Some(OnUnavailable::Provider("courier".to_owned())),
                    ..facts(EffectClass::Once, 2)
                },
            ),
            ("ship", standing(undone_by(facts(EffectClass::Once, 2), "unship"), OnUnavailable::Manual)),
            ("patient", undone_by(facts(EffectClass::Keyed, 6), "unship")),
            ("unbook", facts(EffectClass::Keyed, 4)),
            ("refund", facts(EffectClass::Verify, 4)),
            ("unship", facts(EffectClass::Once, 3)),
        ];
        let agent = json!({ "name": AGENT, "type": "reasoning", "prompt": "-", "tools": TOOLS.map(|(_, name)| name) });
        let proxy = json!({
            "name": PROXY, "type": "custom", "prompt": "-", "tools": TOOLS.map(|(_, name)| name), "fallback": AGENT,
            "endpoint": "https://think.example.com/step",
        });
        let shipped = shipped().into_iter();
        let agents = [agent, proxy].into_iter().chain(shipped).map(|written| {
            let agent: AgentDefinition = serde_json::from_value(written)?;
            Ok::<_, serde_json::Error>((agent.name.clone(), agent))
        });
        Ok(Self {
            tools: tools.map(|(name, facts)| (name.to_owned(), facts)).into(),
            agents: agents.collect::<Result<_, _>>()?,
        })
    }

    pub fn attempts_max(&self, tool: &str) -> Option<u32> {
        self.tools.get(tool).map(|facts| facts.retry.max_attempts)
    }
}

/// Whether an agent uses a shipped step function.
pub fn is_shipped(agent: &str) -> bool {
    [SIMPLE, REASONING, TEXT, CODE].contains(&agent)
}

/// One agent of each shipped kind, with its own prompts: of the built-in prompts, only the selection matters here.
fn shipped() -> [Value; 4] {
    let tools = TOOLS.map(|(_, name)| name);
    let outcomes = json!({ "ask_customer": true, "hand_over": true });
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
    let correct = "mend: {{ problem }}";
    [
        json!({
            "name": SIMPLE, "type": "simple", "prompt": "-", "output_schema": schema,
            "prompts": { "schema.en": "by schema", "correct.en": correct },
        }),
        json!({
            "name": REASONING, "type": "reasoning", "prompt": "-", "tools": tools, "metadata": outcomes,
            "max_iterations": 6,
            "prompts": { "select.en": "choose", "schema.en": "by schema", "correct.en": correct },
        }),
        json!({
            "name": TEXT, "type": "reasoning", "prompt": "-", "tools": tools, "fallback": REASONING,
            "metadata": { "ask_customer": true, "hand_over": true, "tool_protocol": "text" },
            "prompts": { "react.en": "by text", "correct.en": correct },
        }),
        json!({
            "name": CODE, "type": "code", "prompt": "-", "tools": tools, "metadata": outcomes, "fallback": TEXT,
            "prompts": {
                "plan.en": "{{ goal }}", "reflect.en": "reflect", "replan.en": "plan again", "correct.en": correct,
            },
        }),
    ]
}

fn facts(class: EffectClass, max_attempts: u32) -> ToolContract {
    let retry = RetryPolicy {
        max_attempts,
        initial: Duration::from_millis(400),
        multiplier: 2.0,
        max: Duration::from_secs(5),
        jitter: 0.2,
        retry_on: Vec::new(),
    };
    ToolContract { retry, ..ToolContract::new(class, Duration::from_secs(10)) }
}

fn standing(facts: ToolContract, way: OnUnavailable) -> ToolContract {
    ToolContract { on_unavailable: Some(way), ..facts }
}

fn undone_by(facts: ToolContract, tool: &str) -> ToolContract {
    // `v` changes while the run continues, so that a prompt that is rendered too late shows it. Not every workflow has
    // it.
    let v = "{{ shared_context.v | default(none) }}";
    let parameters = json!({ "undo": "{{ output.ref }}", "n": "{{ arguments.n }}", "v": v });
    ToolContract { compensation: Some(ToolCompensation { tool_name: tool.to_owned(), parameters }), ..facts }
}
