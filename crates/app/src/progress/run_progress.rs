//! Prints the progress of a run: each node as it begins and ends, with its time and cost.

use std::collections::BTreeMap;

use baton_core::id::RunId;
use baton_core::run::{
    BlockReason, CallOutput, CallRole, DoubtFollowUp, EffectRequest, NodeAddress, NodeEnded, NodeOutcome, NodeWait,
    OutageAction, Run, RunEntry, RunEvent, RunState,
};
use baton_core::time::Time;
use baton_engine::RunFollower;
use baton_ports::registry::WorkflowVersion;
use serde_json::Value;

use super::next_command;
use crate::print;

/// Maximum length of a value on a line.
const SHOWN_MAX: usize = 96;

pub struct RunProgress {
    /// The run whose lines need no run id. If `None`, each run is named when its entries begin.
    subject: Option<RunId>,
    last_printed: Option<RunId>,
    /// The prefix of each line.
    margin: &'static str,
    began: BTreeMap<(RunId, NodeAddress), Time>,
    /// Results of tools, kept until their nodes end, because the state of a body is dropped as soon as the body is
    /// over.
    answered: BTreeMap<(RunId, NodeAddress), String>,
}

/// Prints the customer's message.
pub fn print_customer_message(text: &str) {
    print::line(format_args!("  {} {text}", print::paint("35", "customer:")));
}

impl RunProgress {
    /// Progress of a run that begins.
    pub fn new(run: &RunId, version: &WorkflowVersion) -> Self {
        print::line(format_args!(
            "run {run} of {} (revision {}, {})",
            version.workflow,
            version.revision,
            version.bundle.short()
        ));
        Self::resumed(run)
    }

    /// Progress of a run that began earlier and needs no first line.
    pub fn resumed(run: &RunId) -> Self {
        Self {
            subject: Some(run.clone()),
            last_printed: None,
            margin: "  ",
            began: BTreeMap::new(),
            answered: BTreeMap::new(),
        }
    }

    /// Indents the output, to follow a line that is indented itself.
    pub fn indented(mut self) -> Self {
        self.margin = "      ";
        self
    }

    /// Progress of all active runs.
    pub fn for_all_runs() -> Self {
        Self { subject: None, last_printed: None, margin: "  ", began: BTreeMap::new(), answered: BTreeMap::new() }
    }

    /// Prints what an entry recorded.
    pub fn print_entry(&mut self, id: &RunId, entry: &RunEntry) {
        // Entries that a fork inherits are not printed.
        let inherited = entry.events.iter().rposition(|event| matches!(event, RunEvent::Forked(_)));
        for event in entry.events.iter().skip(inherited.map_or(0, |place| place + 1)) {
            self.print_event(id, entry.at, event);
        }
    }

    fn print_event(&mut self, id: &RunId, at: Time, event: &RunEvent) {
        match event {
            RunEvent::Scheduled(scheduled) => {
                let node = scheduled.effect.call.node.clone();
                self.began.entry((id.clone(), node.clone())).or_insert(at);
                if let (EffectRequest::Tool { tool, .. }, CallRole::Undo) =
                    (&scheduled.request, scheduled.effect.call.role)
                {
                    self.print_node(id, "33", "↶", &node, &format!("undoing with {tool}"));
                }
            }
            RunEvent::Began { node, wait } => {
                self.began.entry((id.clone(), node.clone())).or_insert(at);
                if let NodeWait::Human { title, .. } = &**wait {
                    self.print_node(id, "34", "?", node, &format!("asks a person: {title}"));
                }
            }
            RunEvent::CustomerAsked { node, question, .. } => self.print_node(id, "34", "?", node, question),
            RunEvent::NotDone { effect, fault, again_at: Some(again), .. } => {
                let wait = print::format_duration(again.since(at));
                self.print_node(id, "33", "…", &effect.call.node, &format!("{fault}; again in {wait}"));
            }
            RunEvent::Blocked { effect, by: BlockReason::Budget { line, until } } => {
                self.print_node(
                    id,
                    "33",
                    "?",
                    &effect.call.node,
                    &format!("waits for money: {line} is used up until {until}"),
                );
            }
            RunEvent::Blocked { effect, by: BlockReason::RateLimit { until } } => {
                let wait = print::format_duration(until.since(at));
                self.print_node(
                    id,
                    "33",
                    "…",
                    &effect.call.node,
                    &format!("waits for its turn under a rate limit, for {wait}"),
                );
            }
            RunEvent::Blocked { effect, by: BlockReason::Circuit { until } } => {
                let wait = print::format_duration(until.since(at));
                let text = format!("waits for a service that failed several times running, for {wait}");
                self.print_node(id, "33", "…", &effect.call.node, &text);
            }
            RunEvent::Blocked { effect, by: BlockReason::Question { question, .. } } => {
                self.print_node(id, "34", "?", &effect.call.node, &question.message);
            }
            RunEvent::Blocked { effect, by: BlockReason::Key } => {
                self.print_node(id, "33", "?", &effect.call.node, "waits for the consumer's own key");
            }
            RunEvent::Doubted { effect, fault, next } => {
                let next = match next {
                    DoubtFollowUp::SendAgain { .. } => "the same key goes out again",
                    DoubtFollowUp::LookUp { .. } => "the service is asked",
                    DoubtFollowUp::Person => "a person must say what became of it",
                };
                self.print_node(id, "33", "?", &effect.call.node, &format!("{fault}; {next}"));
            }
            RunEvent::Degraded { effect, fault, detour, .. } => {
                let next = match detour {
                    OutageAction::Answered { .. } => "goes on without an answer".to_owned(),
                    OutageAction::Refused => "is not waited for".to_owned(),
                    OutageAction::Queued { at: again, .. } => {
                        format!("queued; again in {}", print::format_duration(again.since(at)))
                    }
                    OutageAction::Provider { name } => format!("`{name}` does it instead"),
                    OutageAction::Person => "a person is asked to do it by hand".to_owned(),
                };
                self.print_node(id, "33", "!", &effect.call.node, &format!("{fault}; {next}"));
            }
            RunEvent::Done(done) if done.effect.call.role == CallRole::Undo => {
                let output = match &done.output {
                    CallOutput::Tool(output) => short(output),
                    CallOutput::Model(_) | CallOutput::Code(_) | CallOutput::Step(_) => String::new(),
                };
                self.print_node(id, "32", "↶", &done.effect.call.node, &format!("undone {output}"));
            }
            RunEvent::Done(done) => {
                if let CallOutput::Tool(output) = &done.output {
                    self.answered.insert((id.clone(), done.effect.call.node.clone()), short(output));
                }
            }
            RunEvent::NotUndone { effect, fault } => {
                self.print_node(id, "31", "✗", &effect.call.node, &format!("not undone: {fault}"))
            }
            RunEvent::UndoAgain { effect, .. } => self.print_node(id, "32", "↶", &effect.call.node, "undone once more"),
            RunEvent::Ended(ended) => self.print_ended(id, at, ended),
            RunEvent::Compensating => print::line(format_args!("{}undoing what was done, newest first", self.margin)),
            _ => {}
        }
    }

    fn print_ended(&mut self, id: &RunId, at: Time, ended: &NodeEnded) {
        let (node, how) = (&ended.node, &ended.how);
        let answered = self.answered.remove(&(id.clone(), node.clone())).unwrap_or_default();
        let took = self.began.remove(&(id.clone(), node.clone())).map(|began| at.since(began));
        let took = took.filter(|took| took.as_millis() > 0).map(|took| format!(" {}", print::format_duration(took)));
        let took = took.unwrap_or_default();
        match how {
            NodeOutcome::Completed { output } if failures(output).next().is_some() => {
                let failed = failures(output).collect::<Vec<_>>().join("; ");
                let is_all = results(output).all(|(_, result)| result["success"] == false);
                let (colour, sign) = if is_all { ("31", "✗") } else { ("33", "!") };
                self.print_node(id, colour, sign, node, &format!("{failed}{took}"));
            }
            NodeOutcome::Completed { output } => {
                self.print_node(id, "32", "✓", node, &format!("{}{took}", short(output)))
            }
            NodeOutcome::Answered => self.print_node(id, "32", "✓", node, &format!("{answered}{took}")),
            NodeOutcome::Failed { fault } => self.print_node(id, "31", "✗", node, &format!("{fault}{took}")),
            NodeOutcome::Caught { fault } => self.print_node(id, "33", "!", node, &format!("{fault}; goes on{took}")),
            NodeOutcome::Skipped => self.print_node(id, "2", "·", node, "skipped"),
            NodeOutcome::Cancelled => self.print_node(id, "2", "·", node, "cut off"),
        }
    }

    fn print_node(&mut self, id: &RunId, colour: &str, sign: &str, node: &NodeAddress, text: &str) {
        let node = match &self.subject {
            Some(subject) if subject == id => node.to_string(),
            Some(subject) => {
                let inner =
                    id.as_str().strip_prefix(subject.as_str()).map_or(id.as_str(), |rest| rest.trim_start_matches('/'));
                format!("{inner} › {node}")
            }
            None => {
                if self.last_printed.as_ref() != Some(id) {
                    print::line(format_args!("run {id}"));
                    self.last_printed = Some(id.clone());
                }
                node.to_string()
            }
        };
        print::line(format_args!("{}{} {node:<24} {text}", self.margin, print::paint(colour, sign)));
    }
}

/// Results by tool, if the output has that form. A node that performs requested calls completes whether or not they
/// succeed.
fn results(output: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let is_result = |(tool, result): (&String, &Value)| result["tool"] == **tool && result["success"].is_boolean();
    output.as_object().filter(|results| results.iter().all(is_result)).into_iter().flatten()
}

/// Why calls failed.
fn failures(output: &Value) -> impl Iterator<Item = String> {
    results(output).filter(|(_, result)| result["success"] == false).map(|(tool, result)| {
        let said = |key: &str| result[key].as_str().unwrap_or_default();
        let why = if said("error_details").is_empty() { said("error") } else { said("error_details") };
        format!("`{tool}` failed: {}: {why}", said("error_code"))
    })
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The state of a run as one line: status, time, cost and error.
pub fn status_line(run: &Run) -> String {
    let state = run.state();
    let colour = if state == RunState::Completed { "32" } else { "33" };
    let fault = run.fault().map(|fault| format!(": {fault}")).unwrap_or_default();
    let took = print::format_duration(run.now().since(run.started_at()));
    let ending = if run.is_ending() && state == RunState::Waiting { " to end" } else { "" };
    format!("{}{ending} after {took}, {}{fault}", print::paint(colour, state.word()), run.cost())
}

/// Prints the last lines of a run: how it ended, what could not be undone, and either its output or what it waits for
/// and how to continue. `command` is how a command line for the project begins.
pub fn print_result(run: &Run, follower: &RunFollower, command: &str) {
    print::line(status_line(run));
    if let Some(action) = run.fault().and_then(|fault| fault.suggested_action.as_ref()) {
        print::note(format_args!("  hint: {action}"));
    }
    for row in not_undone(run) {
        print::line(row);
    }
    if let Some(output) = run.finished().map(|end| &end.output).filter(|output| !output.is_null()) {
        print::pretty(output);
    }
    for open in follower.open_waits() {
        print::line(next_command(&open, command, follower.entries(&open.run)));
    }
}

/// What a rollback did not undo, one line for each item.
fn not_undone(run: &Run) -> Vec<String> {
    // Read the current state: a person may have undone by hand what the rollback left.
    let report = run.finished().and_then(|end| end.undone.as_ref()).map(|_| run.saga().report()).unwrap_or_default();
    let rows = report.as_array().cloned().unwrap_or_default();
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let line = |row: &Value| {
        let why = match text(row, "state").as_str() {
            "undone" => return None,
            "irreversible" => format!("stays: {}", text(row, "reason")),
            "not_undone" => format!("not undone: {}", text(row, "reason")),
            "in_doubt" => "nobody knows whether it was undone".to_owned(),
            _ => "stays".to_owned(),
        };
        Some(format!("  {:<26} {why}", text(row, "node")))
    };
    rows.iter().filter_map(line).collect()
}
