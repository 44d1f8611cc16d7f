//! The definition of a workflow test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use baton_core::definition::{parse_duration, source};
use baton_core::run::{DecisionMaker, HumanDecision, RunState};
use baton_core::time::Time;
use baton_expr::{Condition, ConditionLanguage};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::UsageError;
use crate::project::{self, display_path};

/// Maximum number of tests in one file.
const TESTS_MAX: usize = 1_000;
/// Maximum number of entries in one script.
const SCRIPT_MAX: usize = 1_000;
/// The kinds of task inbox items.
const DESK_KINDS: [&str; 6] = ["approval", "form", "question", "doubt", "tool_approval", "not_undone"];

/// A test, checked as far as possible before it runs.
#[derive(Debug)]
pub struct WorkflowTest {
    pub file: PathBuf,
    pub name: String,
    pub workflow: String,
    pub input: Value,
    pub context: Value,
    pub now: Option<Time>,
    pub tools: Vec<baton_tools::ToolDefinition>,
    pub script: Vec<TestAction>,
    pub expect: TestExpectation,
}

/// One entry of a script.
#[derive(Clone, Debug)]
pub enum TestAction {
    Say(String),
    Signal { name: String, payload: Value },
    Answer { node: String, by: DecisionMaker, decision: HumanDecision },
    Wait(Duration),
    Cancel { compensate: bool },
    Rollback,
}

/// The expected result. An absent field is not checked.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TestExpectation {
    pub state: Option<RunState>,
    pub path: Option<Vec<NameOrGroup>>,
    #[serde(deserialize_with = "present_value")]
    pub output: Option<Value>,
    pub outputs: Map<String, Value>,
    /// `null` if the run must have no error.
    #[serde(deserialize_with = "present_value")]
    pub error: Option<Value>,
    pub effects: Option<Vec<NameOrGroup>>,
    pub desk: Option<Vec<String>>,
    pub holds: Vec<String>,
}

/// One name, or a group in any order.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum NameOrGroup {
    One(String),
    Group(Vec<String>),
}

impl TestAction {
    /// The entry in a few words.
    pub fn word(&self) -> String {
        match self {
            Self::Say(text) => format!("say: {text}"),
            Self::Signal { name, .. } => format!("signal: {name}"),
            Self::Answer { node, decision: HumanDecision::Approve { .. }, .. } => format!("approve: {node}"),
            Self::Answer { node, decision: HumanDecision::Reject { .. }, .. } => format!("reject: {node}"),
            Self::Answer { node, decision: HumanDecision::Fill { .. }, .. } => format!("fill: {node}"),
            Self::Wait(time) => format!("wait: {time:?}"),
            Self::Cancel { compensate: true } => "cancel: compensate".to_owned(),
            Self::Cancel { compensate: false } => "cancel: true".to_owned(),
            Self::Rollback => "rollback: true".to_owned(),
        }
    }
}

/// Reads the tests of a file. Paths of `@FILE` are relative to `root`.
pub fn read(file: &Path, root: &Path) -> anyhow::Result<Vec<WorkflowTest>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct TestFile {
        tests: Vec<Value>,
    }
    let document = project::read_value(file)?;
    let wrong = |reason: String| UsageError::new(format!("{}: {reason}", display_path(file)));
    let tests = serde_json::from_value::<TestFile>(document).map_err(|error| wrong(error.to_string()))?.tests;
    if tests.len() > TESTS_MAX {
        return Err(wrong(format!("it has {} tests and may have {TESTS_MAX}", tests.len())).into());
    }
    let lines = lines(file);
    let case = |(place, test): (usize, Value)| {
        let name = test.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        parse_test(file, root, test).map_err(|reason| {
            let line = lines.get(place).map(|line| format!(":{line}")).unwrap_or_default();
            let name = if name.is_empty() { format!("test {}", place + 1) } else { format!("test `{name}`") };
            UsageError::new(format!("{}{line}: {name}: {reason}", display_path(file))).into()
        })
    };
    tests.into_iter().enumerate().map(case).collect()
}

/// The lines on which the tests of a file begin.
fn lines(file: &Path) -> Vec<u32> {
    let Some(tree) = project::read(file).ok().and_then(|text| source::read(&text).ok()) else { return Vec::new() };
    let source::YamlValue::Map(map) = &tree.value else { return Vec::new() };
    match map.get("tests").map(|(_, tests)| &tests.value) {
        Some(source::YamlValue::List(tests)) => tests.iter().map(|test| test.span.line).collect(),
        _ => Vec::new(),
    }
}

fn parse_test(file: &Path, root: &Path, test: Value) -> Result<WorkflowTest, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct TestDocument {
        name: String,
        workflow: String,
        #[serde(default)]
        input: Value,
        #[serde(default)]
        context: Value,
        #[serde(default)]
        now: Option<String>,
        #[serde(default)]
        tools: Value,
        #[serde(default)]
        script: Vec<Value>,
        expect: TestExpectation,
    }
    let written: TestDocument = serde_json::from_value(test).map_err(|error| error.to_string())?;
    let now = written.now.as_deref().map(|now| {
        now.parse::<Time>().map_err(|_| format!("`now: {now}` is no instant; write it as `2025-11-07T09:00:00Z`"))
    });
    if written.script.len() > SCRIPT_MAX {
        return Err(format!("the script has {} entries and may have {SCRIPT_MAX}", written.script.len()));
    }
    check(&written.expect)?;
    let tools = match written.tools {
        Value::Null => Vec::new(),
        tools => baton_tools::ToolDefinition::parse(tools).map_err(|error| error.to_string())?.tools,
    };
    Ok(WorkflowTest {
        file: file.to_owned(),
        name: written.name,
        workflow: written.workflow,
        input: input(written.input, root)?,
        context: written.context,
        now: now.transpose()?,
        tools,
        script: written.script.into_iter().map(parse_action).collect::<Result<_, _>>()?,
        expect: written.expect,
    })
}

/// The input itself, an empty object by default, or the contents of `@FILE`.
fn input(input: Value, root: &Path) -> Result<Value, String> {
    match input {
        Value::Null => Ok(Value::Object(Map::new())),
        Value::String(text) => match text.strip_prefix('@') {
            Some(file) => project::read_value(&root.join(file)).map_err(|error| error.to_string()),
            None => Ok(Value::String(text)),
        },
        other => Ok(other),
    }
}

fn check(expect: &TestExpectation) -> Result<(), String> {
    for expression in &expect.holds {
        Condition::parse(ConditionLanguage::JmesPath, expression)
            .map_err(|error| format!("`{expression}`: {error}"))?;
    }
    if let Some(kind) = expect.desk.iter().flatten().find(|kind| !DESK_KINDS.contains(&kind.as_str())) {
        return Err(format!("`{kind}` is no kind of desk item; there are {}", DESK_KINDS.join(", ")));
    }
    if let Some(error) = expect.error.as_ref().filter(|error| !error.is_string() && !error.is_null()) {
        return Err(format!("`error: {error}` is no code"));
    }
    let is_empty = expect.state.is_none()
        && expect.path.is_none()
        && expect.output.is_none()
        && expect.outputs.is_empty()
        && expect.error.is_none()
        && expect.effects.is_none()
        && expect.desk.is_none()
        && expect.holds.is_empty();
    if is_empty { Err("`expect` expects nothing".to_owned()) } else { Ok(()) }
}

/// Keys that name an action, each with the keys that are allowed beside it.
const ACTS: [(&str, &[&str]); 8] = [
    ("say", &[]),
    ("signal", &["payload"]),
    ("approve", &["by", "note"]),
    ("reject", &["by", "note"]),
    ("fill", &["form", "by"]),
    ("wait", &[]),
    ("cancel", &[]),
    ("rollback", &[]),
];

/// Parses a script entry: one of the keys of [`ACTS`], and the keys that are allowed beside it.
fn parse_action(entry: Value) -> Result<TestAction, String> {
    let shown = entry.to_string();
    let wrong = |reason: String| format!("script entry {shown}: {reason}");
    let Value::Object(mut fields) = entry else { return Err(wrong("it is no object".to_owned())) };
    let named: Vec<_> = ACTS.iter().filter(|(word, _)| fields.contains_key(*word)).collect();
    let [(word, beside)] = named.as_slice() else {
        let words: Vec<&str> = ACTS.iter().map(|(word, _)| *word).collect();
        return Err(wrong(format!("it has one of {}", words.join(", "))));
    };
    if let Some(odd) = fields.keys().find(|key| key != word && !beside.contains(&key.as_str())) {
        return Err(wrong(format!("`{odd}` means nothing beside `{word}`")));
    }
    let what = fields.remove(*word).unwrap_or_default();
    action_of(word, &what, fields).map_err(wrong)
}

fn action_of(word: &str, what: &Value, mut beside: Map<String, Value>) -> Result<TestAction, String> {
    let by = match beside.get("by") {
        Some(Value::Object(known)) => {
            let wrong = |why: String| format!("`by` is a name, or `{{name, roles, skills}}`: {why}");
            if let Some(odd) = known.keys().find(|key| !["name", "roles", "skills"].contains(&key.as_str())) {
                return Err(wrong(format!("`{odd}` means nothing there")));
            }
            serde_json::from_value(beside["by"].clone()).map_err(|error| wrong(error.to_string()))?
        }
        Some(name) => text(name).into(),
        None => DecisionMaker::from("tester"),
    };
    let note = beside.get("note").map(text).unwrap_or_default();
    let answer = |decision| Ok(TestAction::Answer { node: text(what), by, decision });
    match word {
        "say" => Ok(TestAction::Say(text(what))),
        "signal" => Ok(TestAction::Signal { name: text(what), payload: beside.remove("payload").unwrap_or_default() }),
        "approve" => answer(HumanDecision::Approve { note }),
        "reject" => answer(HumanDecision::Reject { note }),
        "fill" => answer(HumanDecision::Fill { form: beside.remove("form").ok_or("`form` is missing")? }),
        "wait" => Ok(TestAction::Wait(parse_duration(&text(what))?)),
        "cancel" if *what == Value::Bool(true) => Ok(TestAction::Cancel { compensate: false }),
        "cancel" if what == "compensate" => Ok(TestAction::Cancel { compensate: true }),
        "cancel" => Err("`cancel` is `true` or `compensate`".to_owned()),
        _ if *what == Value::Bool(true) => Ok(TestAction::Rollback),
        _ => Err(format!("`{word}` is `true`")),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Distinguishes `null` from an absent field.
fn present_value<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}
