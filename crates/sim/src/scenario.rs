//! Written scenarios: a workflow, a script of events, and the expected outcome. `scenarios/README.md` describes the
//! format; a test plays `scenarios/*.md`.
//!
//! Each is played in the simulated world, under many seeds. A seed chooses how long everything takes and what comes
//! first if the script does not say; the outcome must be the same. All promises of the simulation are checked here too.

mod play;
mod script_line;
mod transcript;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use baton_core::definition;
use baton_core::id::RunId;
use serde_json::{Value, json};

use crate::case::WorkflowSet;
use crate::draw::SimCatalog;
use crate::simulation::script::{ScriptLine, root};

pub use play::{ScenarioResult, play};

/// A page of scenarios.
#[derive(Debug)]
pub struct ScenarioPage {
    pub cases: Vec<ScenarioCase>,
}

/// One scenario.
#[derive(Debug)]
pub struct ScenarioCase {
    /// The heading above it.
    pub name: String,
    workflows: Arc<WorkflowSet>,
    input: Value,
    script: Vec<ScriptLine>,
    expected: Vec<ScenarioExpectation>,
}

#[derive(Debug)]
struct ScenarioExpectation {
    kind: ExpectationKind,
    text: String,
    /// The range of the text in the page.
    span: Range<usize>,
}

#[derive(Debug)]
enum ExpectationKind {
    /// All events of a run, in order.
    Events(RunId),
    /// One line for each part of the outcome.
    Outcome,
}

/// A fenced block of a page.
struct FencedBlock<'p> {
    heading: &'p str,
    /// The text after the fence.
    kind: &'p str,
    line: usize,
    text: &'p str,
    span: Range<usize>,
}

impl ScenarioPage {
    /// Parses a page.
    ///
    /// # Errors
    /// The problem, and its line.
    pub fn read(page: &str, catalog: &SimCatalog) -> Result<Self, String> {
        let mut workflows: Vec<FencedBlock<'_>> = Vec::new();
        let mut drawing: Option<Arc<WorkflowSet>> = None;
        let mut courses: Vec<ScenarioCase> = Vec::new();
        for block in blocks(page)? {
            let told = |what: &str| format!("line {}: {what}", block.line);
            match (block.kind, courses.last_mut()) {
                ("yaml", _) => workflows.push(block),
                ("script", _) => {
                    if !workflows.is_empty() {
                        drawing = Some(Arc::new(draw(&std::mem::take(&mut workflows), catalog)?));
                    }
                    let drawing = drawing.clone().ok_or_else(|| told("a script comes after its workflow"))?;
                    let (input, cues) = script(&block)?;
                    let name = block.heading.to_owned();
                    courses.push(ScenarioCase { name, workflows: drawing, input, script: cues, expected: Vec::new() });
                }
                ("outcome", Some(course)) => {
                    course.expected.push(ScenarioExpectation::of(ExpectationKind::Outcome, block))
                }
                (kind, Some(course)) if kind == "events" || kind.starts_with("events ") => {
                    let run = kind.strip_prefix("events ").map_or_else(root, RunId::from);
                    course.expected.push(ScenarioExpectation::of(ExpectationKind::Events(run), block));
                }
                ("outcome" | "events", None) => return Err(told("what must come of it comes after its script")),
                // All other text is for people.
                _ => {}
            }
        }
        match courses.iter().find(|course| course.expected.is_empty()) {
            Some(course) => Err(format!("`{}` says of nothing what must come of it", course.name)),
            None if courses.is_empty() => Err("there is no script".to_owned()),
            None => Ok(Self { cases: courses }),
        }
    }
}

impl ScenarioExpectation {
    fn of(what: ExpectationKind, block: FencedBlock<'_>) -> Self {
        Self { kind: what, text: block.text.to_owned(), span: block.span }
    }
}

fn blocks(page: &str) -> Result<Vec<FencedBlock<'_>>, String> {
    let (mut blocks, mut heading, mut at) = (Vec::new(), "", 0);
    let mut open: Option<(&str, usize, usize)> = None;
    for (number, line) in page.split_inclusive('\n').enumerate() {
        let begin = at;
        at += line.len();
        match (line.trim_end().strip_prefix("```"), open) {
            (Some(kind), None) => open = Some((kind.trim(), number + 1, at)),
            (Some(_), Some((kind, line, from))) => {
                let span = from..begin;
                blocks.push(FencedBlock { heading, kind, line, text: &page[span.clone()], span });
                open = None;
            }
            (None, None) => {
                if let Some(text) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')) {
                    heading = text.trim_end();
                }
            }
            (None, Some(_)) => {}
        }
    }
    match open {
        Some((_, line, _)) => Err(format!("line {line}: the block is never closed")),
        None => Ok(blocks),
    }
}

/// Checks and compiles workflows like those of a project; the first one is started.
fn draw(blocks: &[FencedBlock<'_>], catalog: &SimCatalog) -> Result<WorkflowSet, String> {
    let tools = catalog.tools.iter().map(|(name, facts)| (name.clone(), Arc::new(facts.clone()))).collect();
    let agents = catalog.agents.clone();
    let mut known = definition::DefinitionCatalog { agents, tools, workflows: BTreeMap::new() };
    let checked = definition::check_all(blocks.iter().map(|block| block.text.as_bytes()), &mut known);
    let (mut versions, mut first) = (BTreeMap::new(), None);
    for (checked, block) in checked.into_iter().zip(blocks) {
        let told = |what: String| format!("line {}: {what}", block.line);
        let Some((_, bundle)) = checked.runnable() else {
            let worst = checked.diagnostics.iter().min_by_key(|found| found.severity);
            let worst = worst.map(|found| definition::render(found, "workflow", block.text));
            return Err(told(worst.unwrap_or_else(|| "the workflow cannot be run".to_owned())));
        };
        let (_, hash) = bundle.seal().map_err(|error| told(error.to_string()))?;
        let workflow = definition::compile(bundle).map_err(|error| told(error.to_string()))?;
        first.get_or_insert_with(|| hash.clone());
        versions.insert(hash, Arc::new(workflow));
    }
    let root = first.ok_or("there is no workflow")?;
    Ok(WorkflowSet::from_definitions(versions, root))
}

fn script(block: &FencedBlock<'_>) -> Result<(Value, Vec<ScriptLine>), String> {
    let (mut input, mut cues) = (json!({}), Vec::new());
    for (number, line) in block.text.lines().enumerate() {
        let told = |what: String| format!("line {}: {what}", block.line + number + 1);
        let line = line.split(" #").next().unwrap_or(line).trim();
        if let Some(given) = line.strip_prefix("start with ") {
            input = serde_json::from_str(given).map_err(|error| told(format!("the input is no JSON: {error}")))?;
        } else if !line.is_empty() && !line.starts_with('#') {
            cues.push(script_line::read(line).map_err(told)?);
        }
    }
    Ok((input, cues))
}
