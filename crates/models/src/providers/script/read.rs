//! Reading a file of scripted replies. What is wrong is named by file and place.

use baton_core::expr::{Condition, Dialect, Language, Params, ParseError};
use baton_core::model::{Finish, Usage};
use baton_core::money::Usd;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::ScriptFile;
use super::rule::{Content, Fault, Part, Pattern, Replies, Rule, TextMatch, Trouble, Written};
use crate::error::Error;

/// Replies one file may have.
const REPLIES_MAX: usize = 10_000;
/// Turns one reply may have.
const TURNS_MAX: usize = 1_000;
/// The longest latency, and the longest wait a provider may ask for: an hour.
const WAIT_MS_MAX: u64 = 3_600_000;

/// What is wrong, and where within one reply.
struct Problem {
    place: String,
    what: String,
}

impl Problem {
    fn new(place: &str, what: impl Into<String>) -> Self {
        Self { place: place.to_owned(), what: what.into() }
    }

    fn parse(place: &str, error: &ParseError) -> Self {
        let hint = error.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
        Self::new(place, format!("{error}{hint}"))
    }
}

pub(super) fn rules(file: &ScriptFile) -> Result<Vec<Rule>, Error> {
    let wrong =
        |place: &str, problem: String| Error::Script { file: file.name.clone(), place: place.to_owned(), problem };
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        #[serde(default)]
        agent: Option<OneOrMany>,
        replies: Vec<Value>,
    }
    let document: Document =
        Document::deserialize(&file.document).map_err(|error| wrong("the document", error.to_string()))?;
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
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn patterns(&self) -> Vec<Pattern> {
        match self {
            Self::One(text) => vec![Pattern::new(text)],
            Self::Many(texts) => texts.iter().map(|text| Pattern::new(text)).collect(),
        }
    }
}

fn rule(source: &Value, agent: Option<&OneOrMany>, place: String) -> Result<Rule, Problem> {
    let Value::Object(fields) = source else {
        return Err(Problem::new("", "a reply is an object, such as {agent: router, json: {agent: support}}"));
    };
    let mut fields = fields.clone();
    let own: Option<OneOrMany> = take(&mut fields, "agent")?;
    let agents = match own.as_ref().or(agent) {
        Some(agent) => agent.patterns(),
        None => {
            return Err(Problem::new("agent", "missing: name the agent here or at the top of the file, `*` for any"));
        }
    };
    let (texts, conditions) = match fields.remove("match") {
        Some(matched) => read_match(&matched)?,
        None => (Vec::new(), Vec::new()),
    };
    Ok(Rule { place, agents, texts, conditions, replies: replies(fields)? })
}

fn replies(mut fields: Map<String, Value>) -> Result<Replies, Problem> {
    let turn: Option<u32> = take(&mut fields, "turn")?;
    let Some(turns) = take::<Vec<Value>>(&mut fields, "turns")? else {
        let written = written(Value::Object(fields), "")?;
        return Ok(match turn {
            Some(0) => return Err(Problem::new("turn", "turns are counted from 1")),
            Some(turn) => Replies::At(turn, written),
            None => Replies::Always(written),
        });
    };
    if turn.is_some() {
        return Err(Problem::new("turn", "`turn` and `turns` exclude each other"));
    }
    if let Some(name) = fields.keys().next() {
        return Err(Problem::new(name, "with `turns`, what is answered stands in each turn"));
    }
    if turns.is_empty() || turns.len() > TURNS_MAX {
        return Err(Problem::new("turns", format!("1 to {TURNS_MAX} turns are allowed, not {}", turns.len())));
    }
    let turn = |(index, turn): (usize, Value)| written(turn, &format!("turns[{index}]"));
    Ok(Replies::Turns(turns.into_iter().enumerate().map(turn).collect::<Result<_, _>>()?))
}

/// A text alone is looked for in the prompt.
fn read_match(source: &Value) -> Result<(Vec<TextMatch>, Vec<Condition>), Problem> {
    if let Value::String(text) = source {
        return Ok((vec![TextMatch { part: Part::Prompt, any: vec![Pattern::new(text)] }], Vec::new()));
    }
    let Value::Object(fields) = source else {
        return Err(Problem::new("match", "a text, or an object of prompt, last, system, jmespath, expr"));
    };
    let mut fields = fields.clone();
    let mut texts = Vec::new();
    for (name, part) in Part::ALL {
        if let Some(any) = take::<OneOrMany>(&mut fields, name).map_err(|problem| within("match", problem))? {
            texts.push(TextMatch { part, any: any.patterns() });
        }
    }
    let mut conditions = Vec::new();
    for (name, language) in [("jmespath", Language::JmesPath), ("expr", Language::Expr)] {
        if let Some(source) = take::<String>(&mut fields, name).map_err(|problem| within("match", problem))? {
            let place = format!("match.{name}");
            conditions.push(Condition::parse(language, &source).map_err(|error| Problem::parse(&place, &error))?);
        }
    }
    match fields.keys().next() {
        None => Ok((texts, conditions)),
        Some(name) => Err(Problem::new(
            "match",
            format!("unknown field `{name}`, expected one of `prompt`, `last`, `system`, `jmespath`, `expr`"),
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    content: Option<String>,
    json: Option<Value>,
    #[serde(default)]
    tool_calls: Vec<CallSource>,
    finish: Option<Finish>,
    #[serde(default)]
    usage: UsageSource,
    cost_usd: Option<f64>,
    #[serde(default)]
    latency_ms: u64,
    first_token_ms: Option<u64>,
    model: Option<String>,
    #[serde(default)]
    faults: Vec<FaultSource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallSource {
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
    fn usage(&self) -> Usage {
        Usage {
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
struct FaultSource {
    fault: Trouble,
    #[serde(default)]
    attempts: Attempts,
    retry_after_ms: Option<u64>,
    #[serde(default)]
    after_pieces: usize,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an attempt, counted from 1, or a list of them")]
enum Attempts {
    One(u32),
    Many(Vec<u32>),
}

impl Default for Attempts {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

fn written(source: Value, place: &str) -> Result<Written, Problem> {
    let source: Source = serde_json::from_value(source).map_err(|error| {
        let beside = if place.is_empty() { "; beside these: `agent`, `match`, `turn`, `turns`" } else { "" };
        Problem::new(place, format!("{error}{beside}"))
    })?;
    let at = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    let params = |name: &str, value: &Value| {
        Params::parse(value, Dialect::Edges).map_err(|error| Problem::parse(&at(name), &error))
    };
    let content = match (source.content, source.json) {
        (Some(_), Some(_)) => return Err(Problem::new(place, "`content` and `json` exclude each other")),
        (Some(text), None) => Content::Text(params("content", &Value::String(text))?),
        (None, Some(value)) => Content::Json(params("json", &value)?),
        (None, None) => Content::None,
    };
    let faults = faults(source.faults, &at)?;
    let breaks_off = faults.iter().any(|fault| fault.after_pieces > 0);
    let always_fails =
        !breaks_off && faults.iter().any(|fault| fault.attempts.is_empty() && fault.trouble != Trouble::Truncated);
    if matches!(content, Content::None) && source.tool_calls.is_empty() && !always_fails {
        return Err(Problem::new(
            place,
            "nothing is answered: write `content`, `json`, `tool_calls`, or `faults` for every attempt",
        ));
    }
    let cost = source.cost_usd.map(|usd| match usd {
        0.0..=1_000.0 => Ok(Usd::from_f64(usd)),
        _ => Err(Problem::new(&at("cost_usd"), format!("from 0 to 1000 USD, not {usd}"))),
    });
    let latency_ms = bounded(source.latency_ms, &at("latency_ms"))?;
    if let Some(first) = source.first_token_ms.filter(|first| *first > latency_ms) {
        let problem = format!("{first} ms are more than the whole reply's latency_ms, {latency_ms}");
        return Err(Problem::new(&at("first_token_ms"), problem));
    }
    Ok(Written {
        content,
        tool_calls: source
            .tool_calls
            .into_iter()
            .map(|call| Ok((call.name, call.id, params("tool_calls", &arguments(call.arguments))?)))
            .collect::<Result<_, Problem>>()?,
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

fn faults(sources: Vec<FaultSource>, at: &dyn Fn(&str) -> String) -> Result<Vec<Fault>, Problem> {
    let fault = |source: FaultSource| {
        let attempts = match source.attempts {
            Attempts::One(attempt) => vec![attempt],
            Attempts::Many(attempts) => attempts,
        };
        if attempts.contains(&0) {
            return Err(Problem::new(&at("faults"), "attempts are counted from 1"));
        }
        let retry_after_ms = source.retry_after_ms.map(|ms| bounded(ms, &at("faults"))).transpose()?;
        if source.fault == Trouble::Truncated && source.after_pieces > 0 {
            return Err(Problem::new(
                &at("faults"),
                "a truncated reply comes whole; `after_pieces` is for other faults",
            ));
        }
        Ok(Fault { attempts, trouble: source.fault, retry_after_ms, after_pieces: source.after_pieces })
    };
    sources.into_iter().map(fault).collect()
}

fn bounded(ms: u64, place: &str) -> Result<u64, Problem> {
    if ms > WAIT_MS_MAX {
        return Err(Problem::new(place, format!("at most {WAIT_MS_MAX} ms, not {ms}")));
    }
    Ok(ms)
}

/// Takes a field out of an object; what remains is somebody else's.
fn take<T: DeserializeOwned>(fields: &mut Map<String, Value>, name: &str) -> Result<Option<T>, Problem> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value).map(Some).map_err(|error| Problem::new(name, error.to_string())),
    }
}

fn within(outer: &str, problem: Problem) -> Problem {
    Problem { place: format!("{outer}.{}", problem.place), ..problem }
}
