//! Builds the records of calls: `llm_routing_decisions`.

use std::sync::Arc;
use std::time::Duration;

use baton_core::model::ModelReply;
use baton_core::money::Usd;
use baton_core::run::ModelCallError;
use baton_core::time::Time;
use baton_ports::decisions::ModelDecision;
use baton_ports::models::ModelCaller;
use serde_json::{Value, json};

use crate::fallback::ModelCall;
use crate::providers::{ProviderError, ProviderReply};
use crate::recorder::DecisionRecord;
use crate::router::ModelCandidate;

/// Maximum number of characters of an error in a record.
const MESSAGE_CHARS_MAX: usize = 500;
/// The number of parts of an effect's key after the node: the call's number and its generation.
const KEY_TAIL: usize = 2;

/// The record of an attempt at a model. The first one of a call contains the choice.
pub(crate) fn of_attempt(
    call: &ModelCall<'_>,
    candidate: &ModelCandidate,
    number: u32,
    answer: &Result<ProviderReply, ProviderError>,
    cost: Usd,
    took: Duration,
    now: Time,
) -> DecisionRecord {
    let served = candidate.model.served.as_ref().map_or("", |served| &served.name);
    let fault = answer.as_ref().err().map(|failure| &failure.fault.fault);
    let decision = ModelDecision {
        attempt: number,
        model: candidate.model.name.clone(),
        provider: served.to_owned(),
        estimated_cost: candidate.cost,
        usage: answer.as_ref().ok().map(|answered| answered.reply.usage),
        actual_cost: cost,
        latency_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        success: answer.is_ok(),
        error_code: fault.map(|fault| fault.code.clone().into_owned()),
        error_message: fault.map(|fault| fault.message.chars().take(MESSAGE_CHARS_MAX).collect()),
        ..blank(call, now)
    };
    DecisionRecord { decision, choice: (number == 0).then(|| Arc::clone(&call.choice)) }
}

/// The record of a call without any candidate.
pub(crate) fn of_no_candidate(call: &ModelCall<'_>, fault: &ModelCallError, now: Time) -> DecisionRecord {
    let decision = ModelDecision {
        error_code: Some(fault.fault.code.clone().into_owned()),
        error_message: Some(fault.fault.message.chars().take(MESSAGE_CHARS_MAX).collect()),
        ..blank(call, now)
    };
    DecisionRecord { decision, choice: Some(Arc::clone(&call.choice)) }
}

/// The record of a call that was answered from the cache.
pub(crate) fn of_cached(call: &ModelCall<'_>, reply: &ModelReply, now: Time) -> DecisionRecord {
    let decision = ModelDecision {
        model: reply.model.clone(),
        provider: reply.provider.clone(),
        success: true,
        cached: true,
        ..blank(call, now)
    };
    DecisionRecord { decision, choice: None }
}

fn blank(call: &ModelCall<'_>, now: Time) -> ModelDecision {
    let ModelCall { asker, request, choice, .. } = call;
    ModelDecision {
        tenant: asker.tenant.clone(),
        key: asker.key.clone(),
        attempt: 0,
        run: asker.run.clone(),
        workflow: asker.workflow.clone(),
        node: node(asker),
        agent: request.agent.clone(),
        key_id: asker.key_id.clone(),
        profile: choice.profile,
        model: String::new(),
        provider: String::new(),
        estimated_tokens: choice.tokens,
        estimated_cost: Usd::ZERO,
        usage: None,
        actual_cost: Usd::ZERO,
        latency_ms: 0,
        success: false,
        cached: false,
        error_code: None,
        error_message: None,
        explanation: None,
        created_at: now,
    }
}

/// The node of a run's call, taken from its key: `RUN/NODE/CALL/GENERATION`.
fn node(asker: &ModelCaller) -> Option<String> {
    let behind = asker.key.strip_prefix(asker.run.as_ref()?.as_str())?.strip_prefix('/')?;
    behind.rsplitn(KEY_TAIL + 1, '/').nth(KEY_TAIL).map(str::to_owned)
}

/// The records of one call, newest first, in a readable form.
pub(crate) fn explanation(key: &str, records: &[ModelDecision]) -> Option<Value> {
    let choice = records.iter().find_map(|record| record.explanation.as_deref());
    // It was written as JSON; text that cannot be parsed is shown unchanged.
    let choice = choice.map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
    let attempts: Vec<Value> = records.iter().rev().map(attempt).collect();
    (!attempts.is_empty()).then(|| json!({ "key": key, "choice": choice, "attempts": attempts }))
}

fn attempt(record: &ModelDecision) -> Value {
    json!({
        "attempt": record.attempt,
        "model": record.model,
        "provider": record.provider,
        "success": record.success,
        "cached": record.cached,
        "error_code": record.error_code,
        "error_message": record.error_message,
        "usage": record.usage,
        "estimated_cost_usd": record.estimated_cost.as_f64(),
        "cost_usd": record.actual_cost.as_f64(),
        "latency_ms": record.latency_ms,
        "at": record.created_at.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::test_support::asker;

    #[test]
    fn the_node_is_read_out_of_the_key() {
        let of = |run: &str, key: &str| node(&ModelCaller { run: Some(run.into()), key: key.to_owned(), ..asker(1) });
        assert_eq!(of("r1", "r1/ask/0/0").as_deref(), Some("ask"));
        assert_eq!(of("r1/child", "r1/child/loop[3]/ask/2/1").as_deref(), Some("loop[3]/ask"));
        assert_eq!(of("r1", "elsewhere/ask/0/0"), None);
        assert_eq!(node(&ModelCaller { run: None, key: "chatcmpl-1".into(), ..asker(1) }), None);
    }
}
