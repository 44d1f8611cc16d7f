//! `script`: replies from files, for examples, tests and offline use. The format is described in
//! `docs/reference/scripted-replies.md`.
//!
//! A reply is a function of the request: the turn is one more than the number of assistant messages so far, and the
//! attempt, which only faults use, is the generation in the effect's key. A request that is repeated after a crash
//! therefore gets the same reply, in this process or another, and no counter is stored.

mod play;
mod read;
mod request_view;
mod rule;

use std::collections::BTreeSet;

use async_trait::async_trait;
use baton_core::model::{FinishReason, ModelReply, ModelRequest, ModelToolCall};
use baton_core::money::Usd;
use baton_core::run::ModelCallError;
use baton_expr::nearest;
use baton_ports::models::{ModelCaller, ReplyDelta};
use serde_json::Value;

use self::request_view::RequestView;
use self::rule::{ReplyRule, RuleMatch, ScriptedError, ScriptedErrorKind, ScriptedReply};
use crate::catalogue::ModelSpec;
use crate::error::ModelsError;
use crate::fault::{code, lasting, transient};
use crate::price;
use crate::providers::listener::PieceListener;
use crate::providers::tool_names::WireToolNames;
use crate::providers::{AttemptSpend, ModelProvider, ProviderError, ProviderReply, ProviderRequest};

/// Maximum number of reasons in the error of a request without a matching reply.
const REASONS_SHOWN_MAX: usize = 6;

/// A parsed file of replies. The name is only for messages.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptFile {
    pub name: String,
    pub document: Value,
}

/// All replies, in the order of the files and within them.
#[derive(Debug)]
pub(crate) struct ReplyScript {
    rules: Vec<ReplyRule>,
}

impl ReplyScript {
    pub fn new(files: &[ScriptFile]) -> Result<Self, ModelsError> {
        let mut rules = Vec::new();
        for file in files {
            rules.extend(read::rules(file)?);
        }
        Ok(Self { rules })
    }

    /// Returns the first matching reply, or why none matches.
    fn find(&self, view: &RequestView) -> Result<(&ReplyRule, &ScriptedReply), ModelCallError> {
        let mut reasons = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.matches_agent(&view.agent)) {
            match rule.evaluate(view) {
                Ok(RuleMatch::Match(written)) => return Ok((rule, written)),
                Ok(RuleMatch::NoMatch(reason)) => reasons.push(format!("{rule}: {reason}")),
                Err(error) => {
                    return Err(lasting(code::SCRIPT_FAILED, format!("{rule}: its match failed: {error}")));
                }
            }
        }
        Err(self.no_reply_fault(view, reasons))
    }

    fn no_reply_fault(&self, view: &RequestView, mut reasons: Vec<String>) -> ModelCallError {
        let mut message = format!("no scripted reply for agent `{}`, turn {}", view.agent, view.turn);
        if self.rules.is_empty() {
            message.push_str("; there are no scripted replies at all: add a file to `replies/`, or set a key or a base URL for a real model");
        } else if reasons.is_empty() {
            let agents: BTreeSet<&str> = self.rules.iter().flat_map(ReplyRule::agents).collect();
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
impl ModelProvider for ReplyScript {
    /// Files have no models of their own, only those that replies name.
    fn knows(&self, model: &str) -> bool {
        self.rules.iter().any(|rule| rule.mentions_model(model))
    }

    /// The reply is already written, and usually its cost or its tokens too. Only faults depend on the attempt.
    fn price(&self, request: &ModelRequest, spec: Option<&ModelSpec>) -> Option<Usd> {
        let (_, written) = self.find(&RequestView::of(request, 1)).ok()?;
        let of_tokens = || spec.map(|spec| price::cost(spec, &written.usage)).filter(|cost| *cost > Usd::ZERO);
        written.cost.or_else(of_tokens)
    }

    async fn ask(&self, ask: &ProviderRequest<'_>) -> Result<ProviderReply, ProviderError> {
        let view = RequestView::of(ask.request, attempt(ask.asker));
        let (rule, written) = self.find(&view)?;
        let ScriptedOutcome { pieces, end, spent } = ScriptedOutcome::of(rule, written, &view, ask);
        let names = WireToolNames::of(&[]);
        let mut listener = PieceListener::new(ask.pieces, &names);
        let played = tokio::time::timeout(ask.limit, play::play(pieces, rule, written, ask, &mut listener)).await;
        let played = played.unwrap_or_else(|_| Err(listener.timeout_fault(&rule.to_string(), ask.limit)));
        let end = played.and(end);
        end.map(|reply| ProviderReply { reply, exhausted_for: None, is_counted: true }).map_err(|fault| ProviderError {
            fault,
            has_streamed: listener.has_received(),
            spent,
        })
    }
}

/// The run counts attempts: the last number of the effect's key rises after each recorded failure.
fn attempt(asker: &ModelCaller) -> u32 {
    let generation = asker.key.rsplit('/').find_map(|part| part.parse::<u32>().ok());
    generation.unwrap_or(0).saturating_add(1)
}

/// The outcome of an attempt.
struct ScriptedOutcome {
    /// The deltas before the end.
    pieces: Vec<ReplyDelta>,
    end: Result<ModelReply, ModelCallError>,
    /// The cost of a reply that breaks off.
    spent: AttemptSpend,
}

impl ScriptedOutcome {
    fn of(rule: &ReplyRule, written: &ScriptedReply, view: &RequestView, ask: &ProviderRequest<'_>) -> Self {
        let fault = written.fault(view.attempt);
        let failed = fault.and_then(|written| fault_of(rule, written, view.attempt));
        let silent = |fault: ModelCallError| Self { pieces: Vec::new(), end: Err(fault), spent: AttemptSpend::NOTHING };
        let said = match (fault, failed) {
            (Some(fault), Some(failed)) if fault.after_pieces == 0 => return silent(failed),
            (fault, failed) => reply(rule, written, view, ask).map(|reply| (reply, fault, failed)),
        };
        match said {
            Err(fault) => silent(fault),
            Ok((reply, Some(fault), Some(failed))) => {
                let mut pieces = play::pieces(&reply);
                pieces.truncate(fault.after_pieces);
                Self { pieces, end: Err(failed), spent: AttemptSpend::Exactly(reply.cost) }
            }
            // The only fault that is not a failure is truncation.
            Ok((reply, fault, _)) => {
                let reply = if fault.is_some() { cut_off(reply) } else { reply };
                Self { pieces: play::pieces(&reply), spent: AttemptSpend::Exactly(reply.cost), end: Ok(reply) }
            }
        }
    }
}

fn reply(
    rule: &ReplyRule,
    written: &ScriptedReply,
    view: &RequestView,
    ask: &ProviderRequest<'_>,
) -> Result<ModelReply, ModelCallError> {
    let failed = |error| lasting(code::SCRIPT_FAILED, format!("{rule}: its template failed: {error}"));
    let content = written.text(view).map_err(failed)?;
    let tool_calls = written.calls(view).map_err(failed)?;
    let finish =
        written.finish.unwrap_or(if tool_calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls });
    let usage = written.usage;
    let priced = ask.spec.map_or(Usd::ZERO, |spec| price::cost(spec, &usage));
    Ok(ModelReply {
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

/// The error that an attempt fails with; `None` for the fault that truncates the reply instead.
fn fault_of(rule: &ReplyRule, written: &ScriptedError, attempt: u32) -> Option<ModelCallError> {
    let said = |what: &str| format!("{rule}: {what} (scripted for attempt {attempt})");
    let fault = match written.kind {
        ScriptedErrorKind::Timeout => transient(code::TIMEOUT, said("no reply in time")),
        ScriptedErrorKind::RateLimit => transient(code::RATE_LIMIT_EXCEEDED, said("too many requests")),
        ScriptedErrorKind::Unavailable => transient(code::SERVICE_UNAVAILABLE, said("the provider fails")),
        ScriptedErrorKind::Malformed => transient(code::MALFORMED_REPLY, said("the reply cannot be read")),
        ScriptedErrorKind::Authentication => lasting(code::AUTHENTICATION_FAILED, said("the key was refused")),
        ScriptedErrorKind::ContextTooLong => lasting(code::CONTEXT_TOO_LONG, said("the messages are too long")),
        ScriptedErrorKind::Filtered => lasting(code::CONTENT_FILTERED, said("the request was refused for its content")),
        ScriptedErrorKind::Truncated => return None,
    };
    Some(ModelCallError { retry_after: written.retry_after_ms, ..fault })
}

/// The first half of a reply, as if cut by the token limit.
fn cut_off(reply: ModelReply) -> ModelReply {
    let half = |text: &str| text.chars().take(text.chars().count() / 2).collect::<String>();
    let cut_call =
        |call: ModelToolCall| ModelToolCall { arguments: Value::String(half(&call.arguments.to_string())), ..call };
    ModelReply {
        content: half(&reply.content),
        tool_calls: reply.tool_calls.into_iter().map(cut_call).collect(),
        finish: FinishReason::Length,
        ..reply
    }
}

#[cfg(test)]
mod tests;
