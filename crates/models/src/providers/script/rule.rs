//! One scripted reply: whom it answers, when, and with what.

use std::fmt;

use baton_core::expr::{Condition, EvalError, Params};
use baton_core::model::{Finish, ToolCall, Usage};
use baton_core::money::Usd;
use serde::Deserialize;
use serde_json::Value;

use super::view::View;

#[derive(Debug)]
pub(super) struct Rule {
    /// `replies/clinic.yaml, replies[2]`, for messages.
    pub place: String,
    pub agents: Vec<Pattern>,
    pub texts: Vec<TextMatch>,
    pub conditions: Vec<Condition>,
    pub replies: Replies,
}

#[derive(Debug)]
pub(super) enum Replies {
    /// For every turn.
    Always(Written),
    /// For one turn.
    At(u32, Written),
    /// One for each turn, from the first.
    Turns(Vec<Written>),
}

/// The text of one part of a request must hold one of these patterns.
#[derive(Debug)]
pub(super) struct TextMatch {
    pub part: Part,
    pub any: Vec<Pattern>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Prompt,
    Last,
    System,
}

impl Part {
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
pub(super) enum Fits<'a> {
    With(&'a Written),
    /// Why not.
    Not(String),
}

impl Rule {
    pub fn is_for(&self, agent: &str) -> bool {
        self.agents.iter().any(|pattern| pattern.is_whole(agent))
    }

    pub fn agents(&self) -> impl Iterator<Item = &str> {
        self.agents.iter().map(|pattern| pattern.written.as_str())
    }

    /// Whether it speaks of a model: by the one its reply says, or by a condition that looks at the one asked for.
    pub fn names(&self, model: &str) -> bool {
        let replies = match &self.replies {
            Replies::Always(written) | Replies::At(_, written) => std::slice::from_ref(written),
            Replies::Turns(turns) => turns.as_slice(),
        };
        replies.iter().any(|written| written.model.as_deref() == Some(model))
            || self.conditions.iter().any(|condition| condition.roots().contains("model"))
    }

    pub fn fits(&self, view: &View) -> Result<Fits<'_>, EvalError> {
        let written = match &self.replies {
            Replies::Always(written) => written,
            Replies::At(turn, written) if *turn == view.turn => written,
            Replies::At(turn, _) => return Ok(Fits::Not(format!("it is for turn {turn}"))),
            Replies::Turns(turns) => match turns.get(view.turn as usize - 1) {
                Some(written) => written,
                None => return Ok(Fits::Not(format!("it has only {} turns", turns.len()))),
            },
        };
        for text in &self.texts {
            if !text.holds(view) {
                return Ok(Fits::Not(text.to_string()));
            }
        }
        for condition in &self.conditions {
            if !condition.holds(&view.names())? {
                return Ok(Fits::Not("its condition does not hold".to_owned()));
            }
        }
        Ok(Fits::With(written))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl TextMatch {
    fn holds(&self, view: &View) -> bool {
        let text = match self.part {
            Part::Prompt => &view.prompt,
            Part::Last => &view.last,
            Part::System => &view.system,
        };
        self.any.iter().any(|pattern| pattern.is_in(text))
    }
}

impl fmt::Display for TextMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns: Vec<String> = self.any.iter().map(|pattern| format!("\"{}\"", pattern.written)).collect();
        write!(f, "{} is not in `{}`", patterns.join(" or "), self.part.word())
    }
}

/// Text in which `*` stands for any text. Case does not matter in messages.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    written: String,
    pieces: Vec<String>,
}

impl Pattern {
    pub fn new(written: &str) -> Self {
        Self { written: written.to_owned(), pieces: written.to_lowercase().split('*').map(str::to_owned).collect() }
    }

    /// Whether the pieces stand in the text, in order. The text is in lower case.
    fn is_in(&self, text: &str) -> bool {
        let mut rest = text;
        self.pieces.iter().all(|piece| match rest.find(piece.as_str()) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
    }

    /// Whether the pattern is the whole name.
    fn is_whole(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        match self.pieces.as_slice() {
            [only] => *only == name,
            [first, middle @ .., last] => {
                let Some(rest) = name.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()))
                else {
                    return false;
                };
                Self { written: String::new(), pieces: middle.to_vec() }.is_in(rest)
            }
            [] => false,
        }
    }
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Written {
    pub content: Content,
    /// Name, id where one is written, arguments.
    pub tool_calls: Vec<(String, Option<String>, Params)>,
    pub finish: Option<Finish>,
    pub usage: Usage,
    pub cost: Option<Usd>,
    pub latency_ms: u64,
    /// Unless written, as late as the other pieces come after each other.
    pub first_token_ms: Option<u64>,
    pub model: Option<String>,
    pub faults: Vec<Fault>,
}

#[derive(Debug)]
pub(super) enum Content {
    None,
    Text(Params),
    Json(Params),
}

#[derive(Debug)]
pub(super) struct Fault {
    /// Empty means every attempt.
    pub attempts: Vec<u32>,
    pub trouble: Trouble,
    pub retry_after_ms: Option<u64>,
    /// Pieces of the reply that come before it.
    pub after_pieces: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Trouble {
    Timeout,
    RateLimit,
    Unavailable,
    Malformed,
    Authentication,
    ContextTooLong,
    Filtered,
    /// The reply comes, cut in half.
    Truncated,
}

impl Written {
    /// The fault of an attempt.
    pub fn fault(&self, attempt: u32) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.attempts.is_empty() || fault.attempts.contains(&attempt))
    }

    pub fn text(&self, view: &View) -> Result<String, EvalError> {
        let (params, is_json) = match &self.content {
            Content::None => return Ok(String::new()),
            Content::Text(params) => (params, false),
            Content::Json(params) => (params, true),
        };
        Ok(match params.render(&view.names())? {
            Value::String(text) if !is_json => text,
            value => value.to_string(),
        })
    }

    /// Ids that are not written are made from the turn and the place.
    pub fn calls(&self, view: &View) -> Result<Vec<ToolCall>, EvalError> {
        let call = |(index, (name, id, arguments)): (usize, &(String, Option<String>, Params))| {
            Ok(ToolCall {
                id: id.clone().unwrap_or_else(|| format!("call_{}_{index}", view.turn)),
                name: name.clone(),
                arguments: arguments.render(&view.names())?,
            })
        };
        self.tool_calls.iter().enumerate().map(call).collect()
    }
}
