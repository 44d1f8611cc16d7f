//! A scripted tool: returns the results of its definition, marked as scripted.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::tool::EffectClass;
use baton_expr::{EvalContext, EvalError, ParamsTemplate};
use baton_ports::clock::Clock;
use baton_ports::records::{RecordError, RecordOp, RecordStore};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::catalogue::ToolEntry;
use crate::code;
use crate::definition::{RuleCondition, ScriptDefinition, ScriptReply, ToolProfile, ToolScriptRule, mark_scripted};
use crate::idempotency::{ActError, IdempotentAct};
use crate::reach_tracker;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// The record space of turns by run and tool, and of the turn of each key.
const TURNS: &str = "script_turns";
/// Maximum number of attempts when concurrent calls take the same turn.
const TRIES_MAX: usize = 100;

pub(crate) fn entry(
    profile: ToolProfile,
    script: ScriptDefinition,
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
) -> ToolEntry {
    let tool = Arc::new(ScriptTool { script, records, clock });
    profile.entry("script", tool)
}

struct ScriptTool {
    script: ScriptDefinition,
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl ToolHandler for ScriptTool {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        self.answer(request).await.map(Arc::unwrap_or_clone)
    }

    async fn answer(&self, request: &PreparedRequest) -> Result<Arc<Value>, ToolError> {
        let keeps = matches!(request.call.class, EffectClass::Keyed | EffectClass::Verify);
        let act = IdempotentAct::new(&*self.records, request);
        if keeps && let Some(output) = act.recorded().await? {
            return Ok(output.into());
        }
        let turn = if self.script.counts { self.turn(request).await? } else { 1 };
        let names = ScriptScope { request, turn };
        let rule = self.rule(&names)?;
        reach_tracker::mark_reached();
        // Even the shortest sleep takes a millisecond, so skip it for a zero latency.
        if !rule.latency.is_zero() {
            tokio::time::sleep(rule.latency).await;
        }
        let output = match &rule.reply {
            ScriptReply::Ready(output) => output.clone(),
            ScriptReply::Output(output) => filled(output, &names)?.into(),
            ScriptReply::Fault(fault) => {
                if let Some(acted) = &fault.acted {
                    self.commit_once(&act, filled(acted, &names)?).await?;
                }
                return Err(fault.failure(request));
            }
        };
        if !keeps {
            return Ok(output);
        }
        self.commit_once(&act, Arc::unwrap_or_clone(output)).await.map(Arc::new)
    }

    /// A scripted tool stands for a service, and fails as one.
    fn service<'a>(&'a self, request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        (request.call.class != EffectClass::Pure).then(|| Cow::Borrowed(&*request.call.tool))
    }

    async fn look_up(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let recorded = IdempotentAct::new(&*self.records, request)
            .recorded()
            .await
            .map_err(|failure| ToolError::Unknown { fault: failure.fault().clone() })?;
        recorded.ok_or_else(|| {
            ToolError::transient(
                code::SERVICE_UNAVAILABLE,
                format!("`{}` has not acted under this key", request.call.tool),
            )
        })
    }
}

impl ScriptTool {
    fn rule(&self, names: &ScriptScope<'_>) -> Result<&ToolScriptRule, ToolError> {
        for (index, rule) in self.script.rules.iter().enumerate() {
            let matches = rule.matches(names).map_err(|error| {
                ToolError::permanent(code::EXPRESSION_FAILED, format!("`results.{index}.when`: {}", error.message))
            })?;
            if matches {
                return Ok(rule);
            }
        }
        let message = format!("no result of the script `{}` matches these arguments", names.request.call.tool);
        Err(ToolError::permanent(code::NO_SCRIPTED_RESULT, message))
    }

    async fn commit_once(&self, act: &IdempotentAct<'_>, output: Value) -> Result<Value, ToolError> {
        act.commit(Vec::new(), output, self.clock.now()).await.map_err(|rejected| match rejected {
            ActError::Failed(failure) => failure,
            ActError::Conflict { .. } => {
                ToolError::transient(code::STORAGE_UNAVAILABLE, "the key's row is being written")
            }
        })
    }

    /// Returns which call of this tool in its run this is, from 1. The result is the same for every attempt under one
    /// key.
    async fn turn(&self, request: &PreparedRequest) -> Result<u64, ToolError> {
        let call = &request.call;
        let (counter, own) = (format!("{}/{}", call.run, call.tool), format!("key/{}", call.key));
        let read = async |key: &str| {
            let record = self.records.get(&call.tenant, TURNS, key).await;
            record.map_err(|error| ToolError::from_read(&error))
        };
        let turn_of = |value: &Value| value["turn"].as_u64().unwrap_or(0);
        for _ in 0..TRIES_MAX {
            if let Some(record) = read(&own).await? {
                return Ok(turn_of(&record.value));
            }
            let last = read(&counter).await?;
            let turn = last.as_ref().map_or(0, |record| turn_of(&record.value)) + 1;
            let (space, value) = (TURNS.to_owned(), json!({"turn": turn}));
            let (key, own) = (counter.clone(), own.clone());
            let count = match last {
                Some(last) => {
                    RecordOp::CompareAndSet { space: space.clone(), key, version: last.version, value: value.clone() }
                }
                None => RecordOp::Insert { space: space.clone(), key, value: value.clone() },
            };
            let batch = vec![RecordOp::Insert { space, key: own, value }, count];
            match self.records.commit(&call.tenant, batch, self.clock.now()).await {
                Ok(()) => return Ok(turn),
                Err(RecordError::Conflict { .. }) => {}
                // Nothing has acted yet, whatever happened to the count.
                Err(error) => return Err(ToolError::from_read(&error)),
            }
        }
        Err(ToolError::transient(code::STORAGE_UNAVAILABLE, "others keep taking the turn"))
    }
}

/// Renders the output and marks it as scripted.
fn filled(output: &ParamsTemplate, names: &ScriptScope<'_>) -> Result<Value, ToolError> {
    let output = output.render(names).map_err(|error| {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        ToolError::permanent(code::EXPRESSION_FAILED, format!("`output`: {}{hint}", error.message))
    })?;
    Ok(mark_scripted(output))
}

impl crate::definition::ScriptedFault {
    fn failure(&self, request: &PreparedRequest) -> ToolError {
        let mut fault = Fault::new(self.code.clone(), format!("scripted: {}", self.message));
        fault.customer = self.customer.get(&request.language.into()).map(|words| words.as_str().into());
        if self.unknown {
            return ToolError::Unknown { fault };
        }
        ToolError::NotDone { fault, retryable: self.retryable, retry_after: self.retry_after_ms }
    }
}

impl ToolScriptRule {
    fn matches(&self, names: &ScriptScope<'_>) -> Result<bool, EvalError> {
        let call = &names.request.call;
        if self.turn.is_some_and(|turn| turn != names.turn)
            || self.attempt.is_some_and(|attempt| attempt != call.attempt)
        {
            return Ok(false);
        }
        match &self.when {
            RuleCondition::Always => Ok(true),
            RuleCondition::Arguments(given) => Ok(matches_arguments(given, &call.arguments)),
            RuleCondition::Condition(condition) => condition.holds(names),
        }
    }
}

/// Returns whether every given field is present and equal; nested objects are compared the same way.
fn matches_arguments(given: &Map<String, Value>, arguments: &Value) -> bool {
    given.iter().all(|(name, value)| match (value, arguments.get(name)) {
        (Value::Object(inner), Some(argument)) => matches_arguments(inner, argument),
        (Value::Number(one), Some(Value::Number(other))) => one.as_f64() == other.as_f64(),
        (value, Some(argument)) => value == argument,
        (value, None) => value.is_null(),
    })
}

/// A call, as the names of a script.
struct ScriptScope<'r> {
    request: &'r PreparedRequest,
    turn: u64,
}

impl EvalContext for ScriptScope<'_> {
    fn lookup(&self, root: &str) -> Option<Cow<'_, Value>> {
        let call = &self.request.call;
        Some(match root {
            "arguments" => Cow::Borrowed(&*call.arguments),
            "attempt" => Cow::Owned(call.attempt.into()),
            "id" => Cow::Owned(self.request.id("sc").into()),
            "key" => Cow::Owned(call.key.as_str().into()),
            "run" => Cow::Owned(call.run.as_str().into()),
            "turn" => Cow::Owned(self.turn.into()),
            _ => return None,
        })
    }

    fn known_names(&self) -> Vec<String> {
        crate::definition::SCRIPT_NAMES.iter().map(|name| (*name).to_owned()).collect()
    }

    fn now(&self) -> Timestamp {
        self.request.call.at.to_timestamp()
    }

    fn zone(&self) -> &str {
        self.request.zone()
    }
}

#[cfg(test)]
mod tests;
