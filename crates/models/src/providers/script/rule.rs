//! One scripted reply: which requests it answers, on which turn, and with what.

use std::fmt;

use baton_core::model::{FinishReason, ModelToolCall, TokenUsage};
use baton_core::money::Usd;
use baton_expr::{Condition, EvalError, ParamsTemplate};
use serde::Deserialize;
use serde_json::Value;

use super::request_view::RequestView;

#[derive(Debug)]
pub(super) struct ReplyRule {
    /// `replies/clinic.yaml, replies[2]`, for messages.
    pub place: String,
    pub agents: Vec<TextPattern>,
    pub texts: Vec<TextMatch>,
    pub conditions: Vec<Condition>,
    pub replies: RuleReplies,
}

#[derive(Debug)]
pub(super) enum RuleReplies {
    /// For every turn.
    Always(ScriptedReply),
    /// For one turn.
    OnTurn(u32, ScriptedReply),
    /// One for each turn, from the first.
    Turns(Vec<ScriptedReply>),
}

/// The text of one part of a request must contain one of these patterns.
#[derive(Debug)]
pub(super) struct TextMatch {
    pub part: RequestPart,
    pub any: Vec<TextPattern>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum RequestPart {
    Prompt,
    Last,
    System,
}

impl RequestPart {
    pub const ALL: [(&'static str, Self); 3] =
        [("prompt", Self::Prompt), ("last", Self::Last), ("system", Self::System)];

    fn word(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Last => "last",
            Self::System => "system",
        }
    }
}

/// Whether a rule answers a request.
pub(super) enum RuleMatch<'a> {
    Match(&'a ScriptedReply),
    /// The reason.
    NoMatch(String),
}

impl ReplyRule {
    pub fn matches_agent(&self, agent: &str) -> bool {
        self.agents.iter().any(|pattern| pattern.is_whole(agent))
    }

    pub fn agents(&self) -> impl Iterator<Item = &str> {
        self.agents.iter().map(|pattern| pattern.written.as_str())
    }

    /// Whether it mentions a model: as the model of its reply, or in a condition on the requested model.
    pub fn mentions_model(&self, model: &str) -> bool {
        let replies = match &self.replies {
            RuleReplies::Always(written) | RuleReplies::OnTurn(_, written) => std::slice::from_ref(written),
            RuleReplies::Turns(turns) => turns.as_slice(),
        };
        replies.iter().any(|written| written.model.as_deref() == Some(model))
            || self.conditions.iter().any(|condition| condition.roots().contains("model"))
    }

    pub fn evaluate(&self, view: &RequestView) -> Result<RuleMatch<'_>, EvalError> {
        let written = match &self.replies {
            RuleReplies::Always(written) => written,
            RuleReplies::OnTurn(turn, written) if *turn == view.turn => written,
            RuleReplies::OnTurn(turn, _) => return Ok(RuleMatch::NoMatch(format!("it is for turn {turn}"))),
            RuleReplies::Turns(turns) => match turns.get(view.turn as usize - 1) {
                Some(written) => written,
                None => return Ok(RuleMatch::NoMatch(format!("it has only {} turns", turns.len()))),
            },
        };
        for text in &self.texts {
            if !text.holds(view) {
                return Ok(RuleMatch::NoMatch(text.to_string()));
            }
        }
        for condition in &self.conditions {
            if !condition.holds(&view.names())? {
                return Ok(RuleMatch::NoMatch("its condition does not hold".to_owned()));
            }
        }
        Ok(RuleMatch::Match(written))
    }
}

impl fmt::Display for ReplyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl TextMatch {
    fn holds(&self, view: &RequestView) -> bool {
        let text = match self.part {
            RequestPart::Prompt => &view.prompt,
            RequestPart::Last => &view.last,
            RequestPart::System => &view.system,
        };
        self.any.iter().any(|pattern| pattern.is_contained_in(text))
    }
}

impl fmt::Display for TextMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns: Vec<String> = self.any.iter().map(|pattern| format!("\"{}\"", pattern.written)).collect();
        write!(f, "{} is not in `{}`", patterns.join(" or "), self.part.word())
    }
}

/// Text in which `*` matches any text. Matching in messages is case-insensitive.
#[derive(Debug, Clone)]
pub(super) struct TextPattern {
    written: String,
    pieces: Vec<String>,
}

impl TextPattern {
    pub fn new(written: &str) -> Self {
        Self { written: written.to_owned(), pieces: written.to_lowercase().split('*').map(str::to_owned).collect() }
    }

    /// Whether the text contains the pieces in order. The text is in lower case.
    fn is_contained_in(&self, text: &str) -> bool {
        let mut rest = text;
        self.pieces.iter().all(|piece| match rest.find(piece.as_str()) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
    }

    /// Whether the pattern matches the whole name.
    fn is_whole(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        match self.pieces.as_slice() {
            [only] => *only == name,
            [first, middle @ .., last] => {
                let Some(rest) = name.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()))
                else {
                    return false;
                };
                Self { written: String::new(), pieces: middle.to_vec() }.is_contained_in(rest)
            }
            [] => false,
        }
    }
}

/// The reply itself.
#[derive(Debug)]
pub(super) struct ScriptedReply {
    pub content: ScriptedContent,
    /// Name, optional id, arguments.
    pub tool_calls: Vec<(String, Option<String>, ParamsTemplate)>,
    pub finish: Option<FinishReason>,
    pub usage: TokenUsage,
    pub cost: Option<Usd>,
    pub latency_ms: u64,
    /// By default the interval between the other deltas.
    pub first_token_ms: Option<u64>,
    pub model: Option<String>,
    pub faults: Vec<ScriptedError>,
}

#[derive(Debug)]
pub(super) enum ScriptedContent {
    None,
    Text(ParamsTemplate),
    Json(ParamsTemplate),
}

#[derive(Debug)]
pub(super) struct ScriptedError {
    /// Empty means every attempt.
    pub attempts: Vec<u32>,
    pub kind: ScriptedErrorKind,
    pub retry_after_ms: Option<u64>,
    /// The number of deltas of the reply before the failure.
    pub after_pieces: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ScriptedErrorKind {
    Timeout,
    RateLimit,
    Unavailable,
    Malformed,
    Authentication,
    ContextTooLong,
    Filtered,
    /// The reply arrives, cut in half.
    Truncated,
}

impl ScriptedReply {
    /// The error of an attempt.
    pub fn fault(&self, attempt: u32) -> Option<&ScriptedError> {
        self.faults.iter().find(|fault| fault.attempts.is_empty() || fault.attempts.contains(&attempt))
    }

    pub fn text(&self, view: &RequestView) -> Result<String, EvalError> {
        let (params, is_json) = match &self.content {
            ScriptedContent::None => return Ok(String::new()),
            ScriptedContent::Text(params) => (params, false),
            ScriptedContent::Json(params) => (params, true),
        };
        Ok(match params.render(&view.names())? {
            Value::String(text) if !is_json => text,
            value => value.to_string(),
        })
    }

    /// Missing ids are generated from the turn and the index.
    pub fn calls(&self, view: &RequestView) -> Result<Vec<ModelToolCall>, EvalError> {
        let call = |(index, (name, id, arguments)): (usize, &(String, Option<String>, ParamsTemplate))| {
            Ok(ModelToolCall {
                id: id.clone().unwrap_or_else(|| format!("call_{}_{index}", view.turn)),
                name: name.clone(),
                arguments: arguments.render(&view.names())?,
            })
        };
        self.tool_calls.iter().enumerate().map(call).collect()
    }
}
