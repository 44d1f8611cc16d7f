//! Courses of events that are written down to be read: a workflow, a script of what happens, what must come of it.
//! `scenarios/README.md` tells the format; `scenarios/*.md` are played by a test.
//!
//! Each is played in the simulated world, under many seeds: a seed chooses how long everything takes and who is first
//! where the script does not say, and the same must come of it. All that the simulation holds of any run holds here too.

mod line;
mod play;
mod told;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use baton_core::definition;
use baton_core::id::RunId;
use serde_json::{Value, json};

use crate::case::Drawing;
use crate::draw::Catalog;
use crate::simulation::script::{Cue, root};

pub use play::{Played, play};

/// A page of courses.
#[derive(Debug)]
pub struct Scenario {
    pub courses: Vec<Course>,
}

/// One course of events.
#[derive(Debug)]
pub struct Course {
    /// The heading it stands under.
    pub name: String,
    drawing: Arc<Drawing>,
    input: Value,
    cues: Vec<Cue>,
    expected: Vec<Expected>,
}

#[derive(Debug)]
struct Expected {
    what: What,
    text: String,
    /// Where the text stands in the page.
    span: Range<usize>,
}

#[derive(Debug)]
enum What {
    /// All events of a run, in order.
    Events(RunId),
    /// A line each of what came of it.
    Outcome,
}

/// A fenced block of a page.
struct Block<'p> {
    heading: &'p str,
    /// What stands behind the fence.
    kind: &'p str,
    line: usize,
    text: &'p str,
    span: Range<usize>,
}

impl Scenario {
    /// Reads a page.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn read(page: &str, catalog: &Catalog) -> Result<Self, String> {
        let mut workflows: Vec<Block<'_>> = Vec::new();
        let mut drawing: Option<Arc<Drawing>> = None;
        let mut courses: Vec<Course> = Vec::new();
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
                    courses.push(Course { name, drawing, input, cues, expected: Vec::new() });
                }
                ("outcome", Some(course)) => course.expected.push(Expected::of(What::Outcome, block)),
                (kind, Some(course)) if kind == "events" || kind.starts_with("events ") => {
                    let run = kind.strip_prefix("events ").map_or_else(root, RunId::from);
                    course.expected.push(Expected::of(What::Events(run), block));
                }
                ("outcome" | "events", None) => return Err(told("what must come of it comes after its script")),
                // Anything else is there to be read.
                _ => {}
            }
        }
        match courses.iter().find(|course| course.expected.is_empty()) {
            Some(course) => Err(format!("`{}` says of nothing what must come of it", course.name)),
            None if courses.is_empty() => Err("there is no script".to_owned()),
            None => Ok(Self { courses }),
        }
    }
}

impl Expected {
    fn of(what: What, block: Block<'_>) -> Self {
        Self { what, text: block.text.to_owned(), span: block.span }
    }
}

fn blocks(page: &str) -> Result<Vec<Block<'_>>, String> {
    let (mut blocks, mut heading, mut at) = (Vec::new(), "", 0);
    let mut open: Option<(&str, usize, usize)> = None;
    for (number, line) in page.split_inclusive('\n').enumerate() {
        let begin = at;
        at += line.len();
        match (line.trim_end().strip_prefix("```"), open) {
            (Some(kind), None) => open = Some((kind.trim(), number + 1, at)),
            (Some(_), Some((kind, line, from))) => {
                let span = from..begin;
                blocks.push(Block { heading, kind, line, text: &page[span.clone()], span });
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

/// Checks and compiles workflows as a project's are; the first is the one that is started.
fn draw(blocks: &[Block<'_>], catalog: &Catalog) -> Result<Drawing, String> {
    let tools = catalog.tools.iter().map(|(name, facts)| (name.clone(), Arc::new(facts.clone()))).collect();
    let agents = catalog.agents.clone();
    let mut known = definition::Catalog { agents, tools, workflows: BTreeMap::new() };
    let checked = definition::check_all(blocks.iter().map(|block| block.text.as_bytes()), &mut known);
    let (mut versions, mut first) = (BTreeMap::new(), None);
    for (checked, block) in checked.into_iter().zip(blocks) {
        let told = |what: String| format!("line {}: {what}", block.line);
        let Some((_, bundle)) = checked.ready() else {
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
    Ok(Drawing::written(versions, root))
}

fn script(block: &Block<'_>) -> Result<(Value, Vec<Cue>), String> {
    let (mut input, mut cues) = (json!({}), Vec::new());
    for (number, line) in block.text.lines().enumerate() {
        let told = |what: String| format!("line {}: {what}", block.line + number + 1);
        let line = line.split(" #").next().unwrap_or(line).trim();
        if let Some(given) = line.strip_prefix("start with ") {
            input = serde_json::from_str(given).map_err(|error| told(format!("the input is no JSON: {error}")))?;
        } else if !line.is_empty() && !line.starts_with('#') {
            cues.push(line::read(line).map_err(told)?);
        }
    }
    Ok((input, cues))
}
