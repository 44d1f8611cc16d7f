//! Parses a file of scripted replies. Problems are reported with file and place.

use baton_core::model::{FinishReason, TokenUsage};
use baton_core::money::Usd;
use baton_expr::{Condition, ConditionLanguage, ParamsDialect, ParamsTemplate, ParseError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::ScriptFile;
use super::rule::{
    ReplyRule, RequestPart, RuleReplies, ScriptedContent, ScriptedError, ScriptedErrorKind, ScriptedReply, TextMatch,
    TextPattern,
};
use crate::error::ModelsError;

/// Maximum number of replies in one file.
const REPLIES_MAX: usize = 10_000;
/// Maximum number of turns in one reply.
const TURNS_MAX: usize = 1_000;
/// The longest latency, and the longest retry delay of a provider: one hour.
const WAIT_MS_MAX: u64 = 3_600_000;

/// A problem, and its place within one reply.
struct ScriptError {
    place: String,
    what: String,
}

impl ScriptError {
    fn new(place: &str, what: impl Into<String>) -> Self {
        Self { place: place.to_owned(), what: what.into() }
    }

    fn parse(place: &str, error: &ParseError) -> Self {
        let hint = error.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
        Self::new(place, format!("{error}{hint}"))
    }
}

pub(super) fn rules(file: &ScriptFile) -> Result<Vec<ReplyRule>, ModelsError> {
    let wrong = |place: &str, problem: String| ModelsError::Script {
        file: file.name.clone(),
        place: place.to_owned(),
        problem,
    };
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ScriptDocument {
        #[serde(default)]
        agent: Option<OneOrManyTexts>,
        replies: Vec<Value>,
    }
    let document: ScriptDocument =
        ScriptDocument::deserialize(&file.document).map_err(|error| wrong("the document", error.to_string()))?;
    if document.replies.len() > REPLIES_MAX {
        return Err(wrong(
            "replies",
            format!("{} replies are too many; at most {REPLIES_MAX} a file", document.replies.len()),
        ));
    }
    let mut rules = Vec::with_capacity(document.replies.len());
    for (index, reply) in document.replies.iter().enumerate() {
        let place = format!("replies[{index}]");
        let rule = rule(reply, document.agent.as_ref(), format!("{}, {place}", file.name));
        rules.push(rule.map_err(|problem| {
            let inner = problem.place;
            wrong(&if inner.is_empty() { place } else { format!("{place}.{inner}") }, problem.what)
        })?);
    }
    Ok(rules)
}

#[derive(Deserialize, Clone)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum OneOrManyTexts {
    One(String),
    Many(Vec<String>),
}

impl OneOrManyTexts {
    fn patterns(&self) -> Vec<TextPattern> {
        match self {
            Self::One(text) => vec![TextPattern::new(text)],
            Self::Many(texts) => texts.iter().map(|text| TextPattern::new(text)).collect(),
        }
    }
}

fn rule(source: &Value, agent: Option<&OneOrManyTexts>, place: String) -> Result<ReplyRule, ScriptError> {
    let Value::Object(fields) = source else {
        return Err(ScriptError::new("", "a reply is an object, such as {agent: router, json: {agent: support}}"));
    };
    let mut fields = fields.clone();
    let own: Option<OneOrManyTexts> = take(&mut fields, "agent")?;
    let agents = match own.as_ref().or(agent) {
        Some(agent) => agent.patterns(),
        None => {
            return Err(ScriptError::new(
                "agent",
                "missing: name the agent here or at the top of the file, `*` for any",
            ));
        }
    };
    let (texts, conditions) = match fields.remove("match") {
        Some(matched) => read_match(&matched)?,
        None => (Vec::new(), Vec::new()),
    };
    Ok(ReplyRule { place, agents, texts, conditions, replies: replies(fields)? })
}

fn replies(mut fields: Map<String, Value>) -> Result<RuleReplies, ScriptError> {
    let turn: Option<u32> = take(&mut fields, "turn")?;
    let Some(turns) = take::<Vec<Value>>(&mut fields, "turns")? else {
        let written = parse_reply(Value::Object(fields), "")?;
        return Ok(match turn {
            Some(0) => return Err(ScriptError::new("turn", "turns are counted from 1")),
            Some(turn) => RuleReplies::OnTurn(turn, written),
            None => RuleReplies::Always(written),
        });
    };
    if turn.is_some() {
        return Err(ScriptError::new("turn", "`turn` and `turns` exclude each other"));
    }
    if let Some(name) = fields.keys().next() {
        return Err(ScriptError::new(name, "with `turns`, what is answered stands in each turn"));
    }
    if turns.is_empty() || turns.len() > TURNS_MAX {
        return Err(ScriptError::new("turns", format!("1 to {TURNS_MAX} turns are allowed, not {}", turns.len())));
    }
    let turn = |(index, turn): (usize, Value)| parse_reply(turn, &format!("turns[{index}]"));
    Ok(RuleReplies::Turns(turns.into_iter().enumerate().map(turn).collect::<Result<_, _>>()?))
}

/// A plain text is searched for in the prompt.
fn read_match(source: &Value) -> Result<(Vec<TextMatch>, Vec<Condition>), ScriptError> {
    if let Value::String(text) = source {
        return Ok((vec![TextMatch { part: RequestPart::Prompt, any: vec![TextPattern::new(text)] }], Vec::new()));
    }
    let Value::Object(fields) = source else {
        return Err(ScriptError::new("match", "a text, or an object of prompt, last, system, jmespath, expr"));
    };
    let mut fields = fields.clone();
    let mut texts = Vec::new();
    for (name, part) in RequestPart::ALL {
        if let Some(any) = take::<OneOrManyTexts>(&mut fields, name).map_err(|problem| within("match", problem))? {
            texts.push(TextMatch { part, any: any.patterns() });
        }
    }
    let mut conditions = Vec::new();
    for (name, language) in [("jmespath", ConditionLanguage::JmesPath), ("expr", ConditionLanguage::Expr)] {
        if let Some(source) = take::<String>(&mut fields, name).map_err(|problem| within("match", problem))? {
            let place = format!("match.{name}");
            conditions.push(Condition::parse(language, &source).map_err(|error| ScriptError::parse(&place, &error))?);
        }
    }
    match fields.keys().next() {
        None => Ok((texts, conditions)),
        Some(name) => Err(ScriptError::new(
            "match",
            format!("unknown field `{name}`, expected one of `prompt`, `last`, `system`, `jmespath`, `expr`"),
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplySource {
    content: Option<String>,
    json: Option<Value>,
    #[serde(default)]
    tool_calls: Vec<ToolCallSource>,
    finish: Option<FinishReason>,
    #[serde(default)]
    usage: UsageSource,
    cost_usd: Option<f64>,
    #[serde(default)]
    latency_ms: u64,
    first_token_ms: Option<u64>,
    model: Option<String>,
    #[serde(default)]
    faults: Vec<ScriptedErrorSource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolCallSource {
    name: String,
    id: Option<String>,
    #[serde(default)]
    arguments: Value,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct UsageSource {
    input_tokens: u64,
    output_tokens: u64,
    cached_tokens: u64,
    cache_write_tokens: u64,
    cache_write_hour_tokens: u64,
}

impl UsageSource {
    fn usage(&self) -> TokenUsage {
        TokenUsage {
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cached_tokens: self.cached_tokens,
            cache_write_tokens: self.cache_write_tokens,
            cache_write_hour_tokens: self.cache_write_hour_tokens,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptedErrorSource {
    fault: ScriptedErrorKind,
    #[serde(default)]
    attempts: AttemptNumbers,
    retry_after_ms: Option<u64>,
    #[serde(default)]
    after_pieces: usize,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an attempt, counted from 1, or a list of them")]
enum AttemptNumbers {
    One(u32),
    Many(Vec<u32>),
}

impl Default for AttemptNumbers {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

fn parse_reply(source: Value, place: &str) -> Result<ScriptedReply, ScriptError> {
    let source: ReplySource = serde_json::from_value(source).map_err(|error| {
        let beside = if place.is_empty() { "; beside these: `agent`, `match`, `turn`, `turns`" } else { "" };
        ScriptError::new(place, format!("{error}{beside}"))
    })?;
    let at = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    let params = |name: &str, value: &Value| {
        ParamsTemplate::parse(value, ParamsDialect::Edges).map_err(|error| ScriptError::parse(&at(name), &error))
    };
    let content = match (source.content, source.json) {
        (Some(_), Some(_)) => return Err(ScriptError::new(place, "`content` and `json` exclude each other")),
        (Some(text), None) => ScriptedContent::Text(params("content", &Value::String(text))?),
        (None, Some(value)) => ScriptedContent::Json(params("json", &value)?),
        (None, None) => ScriptedContent::None,
    };
    let faults = faults(source.faults, &at)?;
    let breaks_off = faults.iter().any(|fault| fault.after_pieces > 0);
    let always_fails = !breaks_off
        && faults.iter().any(|fault| fault.attempts.is_empty() && fault.kind != ScriptedErrorKind::Truncated);
    if matches!(content, ScriptedContent::None) && source.tool_calls.is_empty() && !always_fails {
        return Err(ScriptError::new(
            place,
            "nothing is answered: write `content`, `json`, `tool_calls`, or `faults` for every attempt",
        ));
    }
    let cost = source.cost_usd.map(|usd| match usd {
        0.0..=1_000.0 => Ok(Usd::from_f64(usd)),
        _ => Err(ScriptError::new(&at("cost_usd"), format!("from 0 to 1000 USD, not {usd}"))),
    });
    let latency_ms = bounded(source.latency_ms, &at("latency_ms"))?;
    if let Some(first) = source.first_token_ms.filter(|first| *first > latency_ms) {
        let problem = format!("{first} ms are more than the whole reply's latency_ms, {latency_ms}");
        return Err(ScriptError::new(&at("first_token_ms"), problem));
    }
    Ok(ScriptedReply {
        content,
        tool_calls: source
            .tool_calls
            .into_iter()
            .map(|call| Ok((call.name, call.id, params("tool_calls", &arguments(call.arguments))?)))
            .collect::<Result<_, ScriptError>>()?,
        finish: source.finish,
        usage: source.usage.usage(),
        cost: cost.transpose()?,
        latency_ms,
        first_token_ms: source.first_token_ms,
        model: source.model,
        faults,
    })
}

fn arguments(written: Value) -> Value {
    if written.is_null() { json!({}) } else { written }
}

fn faults(sources: Vec<ScriptedErrorSource>, at: &dyn Fn(&str) -> String) -> Result<Vec<ScriptedError>, ScriptError> {
    let fault = |source: ScriptedErrorSource| {
        let attempts = match source.attempts {
            AttemptNumbers::One(attempt) => vec![attempt],
            AttemptNumbers::Many(attempts) => attempts,
        };
        if attempts.contains(&0) {
            return Err(ScriptError::new(&at("faults"), "attempts are counted from 1"));
        }
        let retry_after_ms = source.retry_after_ms.map(|ms| bounded(ms, &at("faults"))).transpose()?;
        if source.fault == ScriptedErrorKind::Truncated && source.after_pieces > 0 {
            return Err(ScriptError::new(
                &at("faults"),
                "a truncated reply comes whole; `after_pieces` is for other faults",
            ));
        }
        Ok(ScriptedError { attempts, kind: source.fault, retry_after_ms, after_pieces: source.after_pieces })
    };
    sources.into_iter().map(fault).collect()
}

fn bounded(ms: u64, place: &str) -> Result<u64, ScriptError> {
    if ms > WAIT_MS_MAX {
        return Err(ScriptError::new(place, format!("at most {WAIT_MS_MAX} ms, not {ms}")));
    }
    Ok(ms)
}

/// Removes a field from an object; the caller handles the remaining ones.
fn take<T: DeserializeOwned>(fields: &mut Map<String, Value>, name: &str) -> Result<Option<T>, ScriptError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            serde_json::from_value(value).map(Some).map_err(|error| ScriptError::new(name, error.to_string()))
        }
    }
}

fn within(outer: &str, problem: ScriptError) -> ScriptError {
    ScriptError { place: format!("{outer}.{}", problem.place), ..problem }
}
