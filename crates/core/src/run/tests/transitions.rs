//! Every command in every state: accepted or refused, and printed as a table for people.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::fixture::{FixtureReply, RunFixture, asks, blocked, fails, unknown};
use super::flow::{FlowBuilder, NodeBuilder, agent, approval, child, flow, signal, tool, wait_for};
use super::flow::{only, secs};
use crate::agent::AgentStep;
use crate::run::{
    BlockReason, CallId, CallOutcome, CallRole, ChildResult, DoubtResolution, Effect, EffectId, HumanDecision,
    HumanTask, NodeAddress, OwnerDeparture, RunCommand, RunForked, RunState,
};
use crate::tool;

const WORDS: [&str; 20] = [
    "start",
    "outcome",
    "sending",
    "taken_over",
    "wake",
    "stepped",
    "signal",
    "answer",
    "approve",
    "fill",
    "resolve",
    "key_given",
    "child_ended",
    "child_undone",
    "pause",
    "resume",
    "cancel",
    "retry",
    "rollback",
    "fork",
];

/// One open node of every kind.
fn open_ends() -> [NodeBuilder; 8] {
    let (key, form) = (tool("key"), tool("form"));
    let doubt = tool("doubt").once();
    [doubt, tool("leave"), approval("ask", 1), signal("go", "go"), child("sub"), agent("who", &[]), key, form]
}

fn waiting() -> RunFixture {
    let mut w = RunFixture::new(flow(open_ends(), ""));
    w.answers("doubt", [unknown()]).answers("leave", [blocked(BlockReason::approval("h"))]);
    w.answers("key", [blocked(BlockReason::Key)]).answers("form", [asks("which?", None)]);
    w.thinks("who", [AgentStep::AskCustomer { question: "which?".into() }]).starts();
    w
}

/// As [`waiting`], with a call in flight, a call that is not sent yet, and an agent that was just answered.
fn running() -> RunFixture {
    let nodes = open_ends().into_iter().chain([wait_for("w", secs(1)), tool("next").once()]);
    let mut w = RunFixture::new(flow(nodes, "w>next"));
    w.answers("doubt", [unknown()]).answers("leave", [blocked(BlockReason::approval("h"))]);
    w.answers("key", [blocked(BlockReason::Key)]).answers("form", [asks("which?", None)]);
    w.thinks("who", [AgentStep::AskCustomer { question: "which?".into() }]).starts();
    w.now = w.now + secs(1);
    w.only_decides(RunCommand::Wake);
    w.only_decides(RunCommand::Signal(super::fixture::signal("message", json!("ten"), None)));
    w
}

fn saga() -> FlowBuilder {
    let undone_by_child = child("sub");
    flow([tool("a").undo("un"), undone_by_child, tool("b")], "a>sub sub>b")
}

fn compensating() -> RunFixture {
    let mut w = RunFixture::new(saga());
    w.answers("b", [fails("NO")]).answers("un", [FixtureReply::StaysOut]).starts();
    w.child_ends("sub", "run/sub", RunState::Completed, true);
    w
}

/// A run in each state, with as much open in it as possible.
fn run_in(state: RunState) -> RunFixture {
    let acted = || flow([tool("a").undo("un"), tool("b").fails()], "a>b");
    let mut w = match state {
        RunState::Pending => RunFixture::new(only(tool("a"))),
        RunState::Running => running(),
        RunState::Waiting => waiting(),
        RunState::Paused => {
            let mut w = running();
            w.only_decides(RunCommand::Pause { by: "ana".into() });
            w
        }
        RunState::Completed => RunFixture::new(acted()),
        RunState::Failed => {
            let mut w = RunFixture::new(acted());
            w.answers("b", [fails("NO")]);
            w
        }
        RunState::Compensating => compensating(),
        RunState::Compensated => {
            let mut w = RunFixture::new(flow([tool("a").undo("un"), tool("b")], "a>b"));
            w.answers("b", [fails("NO")]);
            w
        }
        RunState::Cancelled => RunFixture::new(flow([tool("a").undo("un"), approval("ask", 1)], "a>ask")),
        RunState::TimedOut => RunFixture::new(only(approval("ask", 1)).timeout(secs(1))),
    };
    match state {
        RunState::Completed | RunState::Failed | RunState::Compensated => drop(w.starts()),
        RunState::Cancelled => drop(w.starts().cancels(false)),
        RunState::TimedOut => drop(w.starts().advance_time(secs(1))),
        RunState::Pending | RunState::Running | RunState::Waiting | RunState::Paused | RunState::Compensating => {}
    }
    assert_eq!(w.run.state(), state);
    w
}

/// The command of this name, aimed at the matching open item; otherwise at nothing.
fn command(word: &str, w: &RunFixture) -> RunCommand {
    let nowhere =
        EffectId { call: CallId { node: NodeAddress::outer("nowhere"), call: 0, role: CallRole::Act }, generation: 0 };
    let open = w.run.human_tasks();
    let doubt =
        open.iter().find_map(|ask| if let HumanTask::Doubt(effect) = ask { Some(effect.clone()) } else { None });
    let leave =
        open.iter().find_map(|ask| if let HumanTask::Approval(effect) = ask { Some(effect.clone()) } else { None });
    let form =
        open.iter().find_map(|ask| if let HumanTask::Question(effect) = ask { Some(effect.clone()) } else { None });
    let sendable = w.run.pending(w.now).find_map(|effect| match effect {
        Effect::Send { effect, .. } => Some(effect),
        Effect::LookUp { .. } => None,
    });
    let by = || "ana".to_owned();
    let run = || "run/sub".into();
    let out = || sendable.clone().or(doubt.clone()).unwrap_or(nowhere.clone());
    match word {
        "start" => w.start_command(json!({})),
        "outcome" => {
            let done = tool::ToolOutcome::Done {
                output: json!({"id": 1}).into(),
                cost: crate::money::Usd::ZERO,
                cached: false,
            };
            RunCommand::Outcome { effect: out(), outcome: CallOutcome::Tool(done) }
        }
        "sending" => RunCommand::Sending { effect: out(), epoch: 1, deadline: w.now + secs(1) },
        "taken_over" => RunCommand::TakenOver { epoch: 2, departure: OwnerDeparture::Crashed, went_back: false },
        "wake" => RunCommand::Wake,
        "stepped" => {
            let (node, step) = (NodeAddress::outer("who"), AgentStep::Answer { output: json!(1) });
            RunCommand::Stepped { node, step, quote: crate::money::PriceQuote::default() }
        }
        "signal" => RunCommand::Signal(super::fixture::signal("go", json!(1), None)),
        "answer" => RunCommand::Answer {
            node: NodeAddress::outer("ask"),
            by: by().into(),
            decision: HumanDecision::Approve { note: String::new() },
        },
        "approve" => RunCommand::Approve {
            effect: leave.unwrap_or(nowhere),
            by: by().into(),
            approved: true,
            note: String::new(),
        },
        "fill" => RunCommand::Fill { effect: form.unwrap_or(nowhere), by: by(), form: json!({"seat": "1A"}) },
        "resolve" => {
            let resolution = DoubtResolution::Done { output: json!({"id": 1}) };
            RunCommand::Resolve { effect: doubt.unwrap_or(nowhere), by: by(), resolution }
        }
        "key_given" => RunCommand::KeyGiven { by: by() },
        "child_ended" => {
            let ended = ChildResult {
                run: run(),
                state: RunState::Completed,
                output: std::sync::Arc::default(),
                fault: None,
                cost: crate::money::Usd::ZERO,
                acted: false,
            };
            RunCommand::ChildEnded { node: NodeAddress::outer("sub"), ended }
        }
        "child_undone" => RunCommand::ChildUndone { run: run(), fault: None },
        "pause" => RunCommand::Pause { by: by() },
        "resume" => RunCommand::Resume { by: by() },
        "cancel" => RunCommand::Cancel { by: by(), compensate: true, asked_by: Vec::new() },
        "retry" => w.retry_command(),
        "rollback" => RunCommand::Rollback { by: by(), asked_by: Vec::new() },
        "fork" => {
            let variables = std::collections::BTreeMap::new();
            let forked = RunForked { run: "fork".into(), from: "run".into(), by: by(), variables, owns_undo: false };
            RunCommand::Fork { forked: Box::new(forked) }
        }
        other => panic!("no command `{other}`"),
    }
}

/// `→ state` if the state changes, `✓` if something was recorded, `·` if there was nothing to record, otherwise the
/// refusal's code.
fn cell(word: &str, state: RunState) -> String {
    let mut w = run_in(state);
    let command = command(word, &w);
    assert_eq!(command.word(), word);
    let recorded = w.journal.len();
    w.only_decides(command);
    match &w.refused {
        Some(refusal) => refusal.code().to_owned(),
        None if w.run.state() != state => format!("→ {}", w.run.state()),
        None if w.journal.len() > recorded => "✓".to_owned(),
        None => "·".to_owned(),
    }
}

fn table() -> String {
    let mut text = String::from(HEAD);
    let _ = write!(text, "| |");
    RunState::ALL.iter().for_each(|state| {
        let _ = write!(text, " {state} |");
    });
    let _ = write!(text, "\n| --- |{}\n", " --- |".repeat(RunState::ALL.len()));
    for word in WORDS {
        let _ = write!(text, "| `{word}` |");
        for state in RunState::ALL {
            let _ = write!(text, " {} |", cell(word, state));
        }
        text.push('\n');
    }
    text
}

const HEAD: &str = "\
# Every command in every state

What a run makes of each command, by the state it is in. Generated by a test that walks every pair
(`BATON_BLESS=1 cargo test -p baton-core transitions` writes it anew); the run in each column has something of every
kind open that the command could be about.

- `→ state`: taken, and the run is in that state then
- `✓`: taken and recorded, the state stays
- `·`: taken, and there was nothing to record
- `RUN-…`: refused with that code, and nothing changed

Some cells need a word. `outcome` in an ended run is refused unless a person had given that call up: then it is
recorded, and undone if the run was rolled back. `answer` and `child_ended` find nothing to answer where the run
waits for something else. `fork` is the first command of the new run, folded from the old one's past. A run that winds
down is `running` while something is in flight and `waiting` while only a person or a child is awaited; there a
second `cancel` is refused with RUN-013.

";

#[test]
fn every_command_in_every_state_is_walked_or_refused_as_the_docs_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/transitions.md");
    let table = table();
    if std::env::var_os("BATON_BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, table, "BATON_BLESS=1 writes it anew");
}

#[test]
fn every_command_has_a_row() {
    let w = run_in(RunState::Waiting);
    for word in WORDS {
        assert_eq!(command(word, &w).word(), word);
    }
}
