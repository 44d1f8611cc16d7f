//! `script`: replies from files, for examples, tests and offline use. The format is `docs/reference/scripted-replies.md`.
//!
//! A reply is a function of the request: the turn is one more than the assistant messages so far, and the attempt, which
//! only faults look at, is the generation in the effect's key. So a request that is repeated after a crash gets the same
//! reply, in this process or another, and no count is kept anywhere.

mod read;
mod rule;
mod view;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::expr::nearest;
use baton_core::model::{Finish, Reply, ToolCall};
use baton_core::money::Usd;
use baton_core::run::ModelFault;
use baton_ports::models::Asker;
use serde_json::Value;

use self::rule::{Fits, Rule, Trouble, Written};
use self::view::View;
use crate::error::Error;
use crate::fault::{code, lasting, transient};
use crate::price;
use crate::providers::{Answered, Ask, Failure, Provider};

/// Reasons an unmatched request's error gives.
const REASONS_SHOWN_MAX: usize = 6;

/// A file of replies, parsed. The name is only for messages.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptFile {
    pub name: String,
    pub document: Value,
}

/// All replies, in the order of the files and within them.
#[derive(Debug)]
pub(crate) struct Script {
    rules: Vec<Rule>,
}

impl Script {
    pub fn new(files: &[ScriptFile]) -> Result<Self, Error> {
        let mut rules = Vec::new();
        for file in files {
            rules.extend(read::rules(file)?);
        }
        Ok(Self { rules })
    }

    /// The first reply that fits, or why none does.
    fn find(&self, view: &View) -> Result<(&Rule, &Written), ModelFault> {
        let mut reasons = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.is_for(&view.agent)) {
            match rule.fits(view) {
                Ok(Fits::With(written)) => return Ok((rule, written)),
                Ok(Fits::Not(reason)) => reasons.push(format!("{rule}: {reason}")),
                Err(error) => {
                    return Err(lasting(code::SCRIPT_FAILED, format!("{rule}: its match failed: {error}")));
                }
            }
        }
        Err(self.nothing(view, reasons))
    }

    fn nothing(&self, view: &View, mut reasons: Vec<String>) -> ModelFault {
        let mut message = format!("no scripted reply for agent `{}`, turn {}", view.agent, view.turn);
        if self.rules.is_empty() {
            message.push_str("; there are no scripted replies at all: add a file to `replies/`, or set a key or a base URL for a real model");
        } else if reasons.is_empty() {
            let agents: BTreeSet<&str> = self.rules.iter().flat_map(Rule::agents).collect();
            let near = nearest(&view.agent, agents.iter().copied());
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let list = agents.iter().copied().collect::<Vec<_>>().join(", ");
            message.push_str(&format!("; there are replies for {list}{near}"));
        } else {
            let more = reasons.len().saturating_sub(REASONS_SHOWN_MAX);
            reasons.truncate(REASONS_SHOWN_MAX);
            let more = if more == 0 { String::new() } else { format!("; and {more} more") };
            message.push_str(&format!("; tried: {}{more}", reasons.join("; ")));
        }
        lasting(code::NO_SCRIPTED_REPLY, message)
    }
}

#[async_trait]
impl Provider for Script {
    async fn ask(&self, ask: &Ask<'_>) -> Result<Answered, Failure> {
        let view = View::of(ask.request, attempt(ask.asker));
        let (rule, written) = self.find(&view)?;
        let latency = Duration::from_millis(written.latency_ms);
        if latency > ask.limit {
            tokio::time::sleep(ask.limit).await;
            let late = format!("{rule}: no reply within {} ms", ask.limit.as_millis());
            return Err(transient(code::TIMEOUT, late).into());
        }
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        Ok(Answered { reply: answer(rule, written, &view, ask)?, full_for: None })
    }
}

/// Attempts are counted by the run: the last number of the effect's key rises after each recorded failure.
fn attempt(asker: &Asker) -> u32 {
    let generation = asker.key.rsplit('/').find_map(|part| part.parse::<u32>().ok());
    generation.unwrap_or(0).saturating_add(1)
}

fn answer(rule: &Rule, written: &Written, view: &View, ask: &Ask<'_>) -> Result<Reply, ModelFault> {
    let trouble = written.trouble(view.attempt);
    if let Some((kind, retry_after_ms)) = trouble
        && let Some(fault) = fault(rule, kind, retry_after_ms, view.attempt)
    {
        return Err(fault);
    }
    let failed = |error| lasting(code::SCRIPT_FAILED, format!("{rule}: its template failed: {error}"));
    let content = written.text(view).map_err(failed)?;
    let tool_calls = written.calls(view).map_err(failed)?;
    let finish = written.finish.unwrap_or(if tool_calls.is_empty() { Finish::Stop } else { Finish::ToolCalls });
    let usage = written.usage;
    let priced = ask.spec.map_or(Usd::ZERO, |spec| price::cost(spec, &usage));
    let reply = Reply {
        content,
        tool_calls,
        thinking: None,
        finish,
        usage,
        model: written.model.clone().unwrap_or_else(|| ask.model.to_owned()),
        provider: "script".to_owned(),
        cost: written.cost.unwrap_or(priced),
        latency_ms: written.latency_ms,
    };
    Ok(if matches!(trouble, Some((Trouble::Truncated, _))) { cut_off(reply) } else { reply })
}

/// The fault a trouble is; `None` for the one that spoils a reply instead.
fn fault(rule: &Rule, trouble: Trouble, retry_after_ms: Option<u64>, attempt: u32) -> Option<ModelFault> {
    let said = |what: &str| format!("{rule}: {what} (scripted for attempt {attempt})");
    let fault = match trouble {
        Trouble::Timeout => transient(code::TIMEOUT, said("no reply in time")),
        Trouble::RateLimit => transient(code::RATE_LIMIT_EXCEEDED, said("too many requests")),
        Trouble::Unavailable => transient(code::SERVICE_UNAVAILABLE, said("the provider fails")),
        Trouble::Malformed => transient(code::MALFORMED_REPLY, said("the reply cannot be read")),
        Trouble::Authentication => lasting(code::AUTHENTICATION_FAILED, said("the key was refused")),
        Trouble::ContextTooLong => lasting(code::CONTEXT_TOO_LONG, said("the messages are too long")),
        Trouble::Filtered => lasting(code::CONTENT_FILTERED, said("the request was refused for its content")),
        Trouble::Truncated => return None,
    };
    Some(ModelFault { retry_after: retry_after_ms, ..fault })
}

/// The first half of a reply, as the token limit leaves it.
fn cut_off(reply: Reply) -> Reply {
    let half = |text: &str| text.chars().take(text.chars().count() / 2).collect::<String>();
    let cut_call = |call: ToolCall| ToolCall { arguments: Value::String(half(&call.arguments.to_string())), ..call };
    Reply {
        content: half(&reply.content),
        tool_calls: reply.tool_calls.into_iter().map(cut_call).collect(),
        finish: Finish::Length,
        ..reply
    }
}

#[cfg(test)]
mod tests;
