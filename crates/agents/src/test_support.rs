//! Shared helpers for the tests of this crate: short constructors for tasks, replies and results.

use baton_core::agent::{AgentDefinition, AgentKind, AgentObservation, AgentStep, AgentTask, StepFunction};
use baton_core::fault::Fault;
use baton_core::model::{FinishReason, ModelMessage, ModelReply, ModelRequest, ModelToolCall, TokenUsage, ToolOffer};
use baton_core::money::Usd;
use baton_core::tool::ToolEnvelope;
use serde_json::{Value, json};

use crate::StepFunctions;

pub(crate) fn task(kind: AgentKind) -> AgentTask {
    let agent = AgentDefinition::new("helper", kind);
    let tools = vec![
        offer("get_order", json!({"id": {"type": "string"}})),
        offer("search_kb", json!({"query": {"type": "string"}})),
        offer("create_return", json!({"order": {"type": "string"}, "reason": {"type": "string"}})),
    ];
    let (system, prompt) = ("Be kind.".to_owned(), "Where is order 7?".to_owned());
    AgentTask { agent, system, prompt, tools, selects: false, language: String::new() }
}

fn offer(name: &str, properties: Value) -> ToolOffer {
    ToolOffer {
        name: name.to_owned(),
        description: format!("Does {name}"),
        parameters: json!({"type": "object", "properties": properties}),
        strict: None,
    }
}

pub(crate) fn reply(content: &str, tool_calls: Vec<ModelToolCall>, finish: FinishReason) -> ModelReply {
    ModelReply {
        content: content.to_owned(),
        tool_calls,
        thinking: None,
        finish,
        usage: TokenUsage::default(),
        model: "m".to_owned(),
        provider: "script".to_owned(),
        cost: Usd::ZERO,
        latency_ms: 0,
    }
}

/// The model answered with text.
pub(crate) fn said(content: &str) -> AgentObservation {
    AgentObservation::Replied(reply(content, Vec::new(), FinishReason::Stop))
}

/// The model requested tools: id, name, arguments.
pub(crate) fn called(calls: &[(&str, &str, Value)]) -> AgentObservation {
    let call = |(id, name, arguments): &(&str, &str, Value)| ModelToolCall {
        id: (*id).to_owned(),
        name: (*name).to_owned(),
        arguments: arguments.clone(),
    };
    AgentObservation::Replied(reply("", calls.iter().map(call).collect(), FinishReason::ToolCalls))
}

pub(crate) fn cut_off(content: &str) -> AgentObservation {
    AgentObservation::Replied(reply(content, Vec::new(), FinishReason::Length))
}

pub(crate) fn results(results: &[(&str, Value)]) -> AgentObservation {
    AgentObservation::Tools(results.iter().map(|(id, data)| ((*id).to_owned(), envelope(data.clone(), None))).collect())
}

pub(crate) fn envelope(data: Value, error_code: Option<&str>) -> ToolEnvelope {
    ToolEnvelope {
        success: error_code.is_none(),
        tool: "t".to_owned(),
        data,
        error: error_code.map(|_| "No pudimos.".to_owned()),
        error_code: error_code.map(str::to_owned),
        error_details: None,
        suggested_action: None,
        audit_id: Some("audit_1".to_owned()),
        duration_ms: 3,
        cached: false,
        cost_usd: 0.01,
        degraded: false,
    }
}

pub(crate) fn step(task: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
    StepFunctions::default().step(task, seen)
}

pub(crate) fn asked(task: &AgentTask, seen: &[AgentObservation]) -> ModelRequest {
    match step(task, seen) {
        AgentStep::AskModel(request) => request,
        other => panic!("it should ask the model, not {other:?}"),
    }
}

pub(crate) fn answered(task: &AgentTask, seen: &[AgentObservation]) -> Value {
    match step(task, seen) {
        AgentStep::Answer { output } => output,
        other => panic!("it should answer, not {other:?}"),
    }
}

pub(crate) fn gave_up(task: &AgentTask, seen: &[AgentObservation]) -> Fault {
    match step(task, seen) {
        AgentStep::GiveUp(fault) => fault,
        other => panic!("it should give up, not {other:?}"),
    }
}

/// The last message of the next request, as text.
pub(crate) fn last_message(task: &AgentTask, seen: &[AgentObservation]) -> String {
    match asked(task, seen).messages.pop() {
        Some(
            ModelMessage::User { content, .. }
            | ModelMessage::System { content, .. }
            | ModelMessage::Assistant { content, .. },
        ) => content,
        Some(ModelMessage::Tool { content, .. }) => content,
        None => String::new(),
    }
}
