//! `script`: replies from files, for examples, tests and offline use. The format is `docs/reference/scripted-replies.md`.
//!
//! A reply is a function of the request: the turn is one more than the assistant messages so far, and the attempt, which
//! only faults look at, is the generation in the effect's key. So a request that is repeated after a crash gets the same
//! reply, in this process or another, and no count is kept anywhere.

mod play;
mod read;
mod rule;
mod view;

use std::collections::BTreeSet;

use async_trait::async_trait;
use baton_core::expr::nearest;
use baton_core::model::{Finish, Reply, Request, ToolCall};
use baton_core::money::Usd;
use baton_core::run::ModelFault;
use baton_ports::models::{Asker, Piece};
use serde_json::Value;

use self::rule::{Fault, Fits, Rule, Trouble, Written};
use self::view::View;
use crate::catalogue::Spec;
use crate::error::Error;
use crate::fault::{code, lasting, transient};
use crate::price;
use crate::providers::listener::Listener;
use crate::providers::names::Names;
use crate::providers::{Answered, Ask, Failure, Provider, Spent};

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
            message.push_str(&format!(
                "; there are replies for {list}{near}: write one for it into `replies/`, or set up a model"
            ));
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
    /// Files have no models of their own: only what some reply names.
    fn knows(&self, model: &str) -> bool {
        self.rules.iter().any(|rule| rule.names(model))
    }

    /// The reply is written already, and with it mostly its cost or its tokens. Only faults look at the attempt.
    fn price(&self, request: &Request, spec: Option<&Spec>) -> Option<Usd> {
        let (_, written) = self.find(&View::of(request, 1)).ok()?;
        let of_tokens = || spec.map(|spec| price::cost(spec, &written.usage)).filter(|cost| *cost > Usd::ZERO);
        written.cost.or_else(of_tokens)
    }

    async fn ask(&self, ask: &Ask<'_>) -> Result<Answered, Failure> {
        let view = View::of(ask.request, attempt(ask.asker));
        let (rule, written) = self.find(&view)?;
        let Outcome { pieces, end, spent } = Outcome::of(rule, written, &view, ask);
        let names = Names::of(&[]);
        let mut listener = Listener::new(ask.pieces, &names);
        let played = tokio::time::timeout(ask.limit, play::play(pieces, rule, written, ask, &mut listener)).await;
        let played = played.unwrap_or_else(|_| Err(listener.late(&rule.to_string(), ask.limit)));
        let end = played.and(end);
        end.map(|reply| Answered { reply, full_for: None, is_counted: true }).map_err(|fault| Failure {
            fault,
            told: listener.has_heard(),
            spent,
        })
    }
}

/// Attempts are counted by the run: the last number of the effect's key rises after each recorded failure.
fn attempt(asker: &Asker) -> u32 {
    let generation = asker.key.rsplit('/').find_map(|part| part.parse::<u32>().ok());
    generation.unwrap_or(0).saturating_add(1)
}

/// What an attempt comes to.
struct Outcome {
    /// What is told before the end.
    pieces: Vec<Piece>,
    end: Result<Reply, ModelFault>,
    /// What a reply that breaks off has cost.
    spent: Spent,
}

impl Outcome {
    fn of(rule: &Rule, written: &Written, view: &View, ask: &Ask<'_>) -> Self {
        let fault = written.fault(view.attempt);
        let failed = fault.and_then(|written| fault_of(rule, written, view.attempt));
        let silent = |fault: ModelFault| Self { pieces: Vec::new(), end: Err(fault), spent: Spent::NOTHING };
        let said = match (fault, failed) {
            (Some(fault), Some(failed)) if fault.after_pieces == 0 => return silent(failed),
            (fault, failed) => reply(rule, written, view, ask).map(|reply| (reply, fault, failed)),
        };
        match said {
            Err(fault) => silent(fault),
            Ok((reply, Some(fault), Some(failed))) => {
                let mut pieces = play::pieces(&reply);
                pieces.truncate(fault.after_pieces);
                Self { pieces, end: Err(failed), spent: Spent::Exactly(reply.cost) }
            }
            // The one fault that is no failure is a cut.
            Ok((reply, fault, _)) => {
                let reply = if fault.is_some() { cut_off(reply) } else { reply };
                Self { pieces: play::pieces(&reply), spent: Spent::Exactly(reply.cost), end: Ok(reply) }
            }
        }
    }
}

fn reply(rule: &Rule, written: &Written, view: &View, ask: &Ask<'_>) -> Result<Reply, ModelFault> {
    let failed = |error| lasting(code::SCRIPT_FAILED, format!("{rule}: its template failed: {error}"));
    let content = written.text(view).map_err(failed)?;
    let tool_calls = written.calls(view).map_err(failed)?;
    let finish = written.finish.unwrap_or(if tool_calls.is_empty() { Finish::Stop } else { Finish::ToolCalls });
    let usage = written.usage;
    let priced = ask.spec.map_or(Usd::ZERO, |spec| price::cost(spec, &usage));
    Ok(Reply {
        content,
        tool_calls,
        thinking: None,
        finish,
        usage,
        model: written.model.clone().unwrap_or_else(|| ask.model.to_owned()),
        provider: "script".to_owned(),
        cost: written.cost.unwrap_or(priced),
        latency_ms: written.latency_ms,
    })
}

/// The fault an attempt fails with; `None` for the one that spoils the reply instead.
fn fault_of(rule: &Rule, written: &Fault, attempt: u32) -> Option<ModelFault> {
    let said = |what: &str| format!("{rule}: {what} (scripted for attempt {attempt})");
    let fault = match written.trouble {
        Trouble::Timeout => transient(code::TIMEOUT, said("no reply in time")),
        Trouble::RateLimit => transient(code::RATE_LIMIT_EXCEEDED, said("too many requests")),
        Trouble::Unavailable => transient(code::SERVICE_UNAVAILABLE, said("the provider fails")),
        Trouble::Malformed => transient(code::MALFORMED_REPLY, said("the reply cannot be read")),
        Trouble::Authentication => lasting(code::AUTHENTICATION_FAILED, said("the key was refused")),
        Trouble::ContextTooLong => lasting(code::CONTEXT_TOO_LONG, said("the messages are too long")),
        Trouble::Filtered => lasting(code::CONTENT_FILTERED, said("the request was refused for its content")),
        Trouble::Truncated => return None,
    };
    Some(ModelFault { retry_after: written.retry_after_ms, ..fault })
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
