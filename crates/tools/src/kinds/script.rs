//! A scripted tool: answers as its definition says, and says that it is scripted.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::expr::{EvalError, Names, Params};
use baton_core::fault::Fault;
use baton_core::tool::Class;
use baton_ports::clock::Clock;
use baton_ports::records::{Error, Op, Records};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::catalogue::Entry;
use crate::code;
use crate::contact;
use crate::definition::{Profile, Reply, Rule, Script, When, scripted};
use crate::failure::Failure;
use crate::keyed::{Act, Rejected};
use crate::request::Request;
use crate::tool::Tool;

/// Turns by run and tool, and the turn of each key.
const TURNS: &str = "script_turns";
/// How often others may take a turn before we give up.
const TRIES_MAX: usize = 100;

pub(crate) fn entry(profile: Profile, script: Script, records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Entry {
    let tool = Arc::new(Scripted { script, records, clock });
    profile.entry("script", tool)
}

struct Scripted {
    script: Script,
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Tool for Scripted {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        self.answer(request).await.map(Arc::unwrap_or_clone)
    }

    async fn answer(&self, request: &Request) -> Result<Arc<Value>, Failure> {
        let keeps = matches!(request.call.class, Class::Keyed | Class::Verify);
        let act = Act::new(&*self.records, request);
        if keeps && let Some(output) = act.recorded().await? {
            return Ok(output.into());
        }
        let turn = if self.script.counts { self.turn(request).await? } else { 1 };
        let names = Scene { request, turn };
        let rule = self.rule(&names)?;
        contact::made();
        // The shortest sleep there is takes a millisecond.
        if !rule.latency.is_zero() {
            tokio::time::sleep(rule.latency).await;
        }
        let output = match &rule.reply {
            Reply::Ready(output) => output.clone(),
            Reply::Output(output) => filled(output, &names)?.into(),
            Reply::Fault(fault) => {
                if let Some(acted) = &fault.acted {
                    self.keep(&act, filled(acted, &names)?).await?;
                }
                return Err(fault.failure(request));
            }
        };
        if !keeps {
            return Ok(output);
        }
        self.keep(&act, Arc::unwrap_or_clone(output)).await.map(Arc::new)
    }

    /// A scripted tool stands for a service, and fails as one.
    fn service<'a>(&'a self, request: &'a Request) -> Option<Cow<'a, str>> {
        (request.call.class != Class::Pure).then(|| Cow::Borrowed(&*request.call.tool))
    }

    async fn look_up(&self, request: &Request) -> Result<Value, Failure> {
        let recorded = Act::new(&*self.records, request)
            .recorded()
            .await
            .map_err(|failure| Failure::Unknown { fault: failure.fault().clone() })?;
        recorded.ok_or_else(|| {
            Failure::later(code::SERVICE_UNAVAILABLE, format!("`{}` has not acted under this key", request.call.tool))
        })
    }
}

impl Scripted {
    fn rule(&self, names: &Scene<'_>) -> Result<&Rule, Failure> {
        for (index, rule) in self.script.rules.iter().enumerate() {
            let matches = rule.matches(names).map_err(|error| {
                Failure::refused(code::EXPRESSION_FAILED, format!("`results.{index}.when`: {}", error.message))
            })?;
            if matches {
                return Ok(rule);
            }
        }
        let message = format!("no result of the script `{}` matches these arguments", names.request.call.tool);
        Err(Failure::refused(code::NO_SCRIPTED_RESULT, message))
    }

    async fn keep(&self, act: &Act<'_>, output: Value) -> Result<Value, Failure> {
        act.commit(Vec::new(), output, self.clock.now()).await.map_err(|rejected| match rejected {
            Rejected::Failed(failure) => failure,
            Rejected::Conflict { .. } => Failure::later(code::STORAGE_UNAVAILABLE, "the key's row is being written"),
        })
    }

    /// Which call of this tool in its run this is, from 1; the same however often the key is sent.
    async fn turn(&self, request: &Request) -> Result<u64, Failure> {
        let call = &request.call;
        let (counter, own) = (format!("{}/{}", call.run, call.tool), format!("key/{}", call.key));
        let read = async |key: &str| {
            let record = self.records.get(&call.tenant, TURNS, key).await;
            record.map_err(|error| Failure::unreadable(&error))
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
                    Op::CompareAndSet { space: space.clone(), key, version: last.version, value: value.clone() }
                }
                None => Op::Insert { space: space.clone(), key, value: value.clone() },
            };
            let batch = vec![Op::Insert { space, key: own, value }, count];
            match self.records.commit(&call.tenant, batch, self.clock.now()).await {
                Ok(()) => return Ok(turn),
                Err(Error::Conflict { .. }) => {}
                // Nothing was acted yet, whatever became of the count.
                Err(error) => return Err(Failure::unreadable(&error)),
            }
        }
        Err(Failure::later(code::STORAGE_UNAVAILABLE, "others keep taking the turn"))
    }
}

/// The output, saying that it is scripted.
fn filled(output: &Params, names: &Scene<'_>) -> Result<Value, Failure> {
    let output = output.render(names).map_err(|error| {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Failure::refused(code::EXPRESSION_FAILED, format!("`output`: {}{hint}", error.message))
    })?;
    Ok(scripted(output))
}

impl crate::definition::ScriptedFault {
    fn failure(&self, request: &Request) -> Failure {
        let mut fault = Fault::new(self.code.clone(), format!("scripted: {}", self.message));
        fault.customer = self.customer.get(&request.language.into()).map(|words| words.as_str().into());
        if self.unknown {
            return Failure::Unknown { fault };
        }
        Failure::NotDone { fault, retryable: self.retryable, retry_after: self.retry_after_ms }
    }
}

impl Rule {
    fn matches(&self, names: &Scene<'_>) -> Result<bool, EvalError> {
        let call = &names.request.call;
        if self.turn.is_some_and(|turn| turn != names.turn)
            || self.attempt.is_some_and(|attempt| attempt != call.attempt)
        {
            return Ok(false);
        }
        match &self.when {
            When::Always => Ok(true),
            When::Arguments(given) => Ok(holds(given, &call.arguments)),
            When::Condition(condition) => condition.holds(names),
        }
    }
}

/// Whether every given field is there and equal; objects are compared the same way, inside.
fn holds(given: &Map<String, Value>, arguments: &Value) -> bool {
    given.iter().all(|(name, value)| match (value, arguments.get(name)) {
        (Value::Object(inner), Some(argument)) => holds(inner, argument),
        (Value::Number(one), Some(Value::Number(other))) => one.as_f64() == other.as_f64(),
        (value, Some(argument)) => value == argument,
        (value, None) => value.is_null(),
    })
}

/// A call as a script's names.
struct Scene<'r> {
    request: &'r Request,
    turn: u64,
}

impl Names for Scene<'_> {
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

    fn known(&self) -> Vec<String> {
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
