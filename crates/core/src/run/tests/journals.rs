//! Golden journals: recorded entries must give the same state forever, in any process.
//!
//! `BATON_BLESS=1` writes missing journals, and rewrites the states; it never changes an existing journal.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command as Process;

use serde_json::{Value, json};

use super::agents::{answer, model, tools};
use super::fixture::{
    FixtureReply, RunFixture, asks, blocked, calls, circuit_open, done, down, fails, flaky, model_fails_at, not_found,
    ran, sandbox_fails, says, text_of, thought, unknown,
};
use super::flow::{
    FlowBuilder, agent, approval, child, condition, each, end, flow, form, merge, only, parallel, repeat_until, secs,
    signal, tool, transform, wait_for,
};
use super::programs::{code_step, replay, resume, stale, start};
use crate::agent::AgentStep;
use crate::graph::CombineMode;
use crate::graph::node::{MergeMode, OnDeadline};
use crate::money::{PriceQuote, Usd};
use crate::run::{
    Approval, BlockReason, CallOutcome, DoubtResolution, EVENTS_MAX, HumanDecision, OnExpiry, Run, RunCommand,
    RunEntry, RunEvent, RunState,
};
use crate::tool::{EffectClass, RetryPolicy, ToolContract};

/// Names the journal that a second process folds, and the file to which it writes the state.
const FOLD: &str = "BATON_FOLD";
const INTO: &str = "BATON_FOLD_INTO";

/// A golden journal's name, its workflow, and the script of its run.
type GoldenScenario = (&'static str, fn() -> FlowBuilder, fn(&mut RunFixture));

const SCENARIOS: [GoldenScenario; 16] = [
    ("booking", booking, |w| {
        let slots = json!({"slots": ["09:00-10:00", "10:00-11:00"], "price": 49.95});
        w.answers("find", [done(slots)]).answers("pay", [fails("DECLINED")]).answers("cancel", [flaky("BUSY")]);
        w.thinks(
            "ask",
            [model(), AgentStep::AskCustomer { question: "which?".into() }, answer(json!({"slot": "10:00"}))],
        );
        w.starts_with(json!({"customer": "Eva"}))
            .signals("message", json!({"text": "ten, please"}))
            .advance_time(secs(60));
    }),
    ("loops", loops, |w| {
        w.answers("poll", [done(json!({"ready": false})), done(json!({"ready": true}))]);
        w.answers("load", [done(json!(1.5)), fails("NO"), done(json!(null))]).starts();
    }),
    ("people", people, |w| {
        w.starts().pauses().approves("ask", "eve").resumes().approves("ask", "bob");
        w.person("fill", "eve", HumanDecision::Fill { form: json!({"size": 3}) }).advance_time(secs(60));
    }),
    ("signals", signals, |w| {
        w.starts()
            .signals_numbered(1)
            .signals_numbered(4)
            .signals_numbered(3)
            .advance_time(secs(5))
            .signals_numbered(2);
        w.signals("go", json!("last"));
    }),
    ("doubts", doubts, |w| {
        let leave = blocked(BlockReason::approval("h1"));
        w.answers("keyed", [unknown()])
            .answers("out", [FixtureReply::StaysOut])
            .answers("once", [FixtureReply::StaysOut, FixtureReply::StaysOut])
            .answers("verify", [unknown()])
            .answers("un_keyed", [unknown()]);
        w.answers("leave", [leave]).answers("read", [flaky("BUSY")]).finds([unknown(), not_found()]).starts();
        w.deliver_reply("once", FixtureReply::Comes(CallOutcome::NotSent));
        let first = w.out("once");
        w.crashes().resolves("once", DoubtResolution::Repeat).allows("leave", true).advance_time(secs(60));
        w.deliver_outcome(first, done(json!({"id": "late"}))).rolls_back().resolves("keyed", DoubtResolution::NotDone);
    }),
    ("leaves", leaves, |w| {
        let several = Approval {
            arguments: json!({"amount": 5}),
            need: 2,
            from: vec!["eve".into(), "bob".into()],
            until: Some(w.now() + secs(60)),
            ..Approval::of("h1")
        };
        let lapsing = Approval { until: Some(w.now() + secs(30)), then: OnExpiry::Approve, ..Approval::of("h2") };
        let late = Approval { until: Some(w.now() + secs(90)), ..Approval::of("h3") };
        let leave = |leave| blocked(BlockReason::Approval(Box::new(leave)));
        w.answers("pay", [leave(several)]).answers("tell", [leave(lapsing)]).answers("book", [leave(late)]);
        w.answers("un_pay", [fails("NO")]).starts().says("pay", "eve", true, "fine").says("pay", "bob", true, "");
        w.advance_time(secs(90)).undoes_by_hand("pay", "olga");
    }),
    ("questions", questions, |w| {
        w.answers("book", [asks("Which seat?", None), asks("Which meal?", None)]);
        w.answers("tell", [asks("To whom?", Some(secs(60)))]);
        w.answers("keep", [unknown(), asks("Which shelf?", None)]).answers("look", [asks("Where?", None)]).starts();
        w.fills("book", "eve", json!({"seat": "1A"}))
            .fills("book", "bob", json!({"seat": "rice"}))
            .says("look", "eve", false, "");
        w.advance_time(secs(10)).crashes().fills("keep", "eve", json!({"seat": "top"})).advance_time(secs(60));
    }),
    ("again", again, |w| {
        w.answers("un_book", [fails("DOWN"), fails("DOWN")]).answers("fail", [fails("NO")]).starts();
        w.child_ends("sub", "run/sub", RunState::Completed, true);
        let fault = Some(crate::fault::Fault::new("NOT_UNDONE", "stuck"));
        w.submit(RunCommand::ChildUndone { run: "run/sub".into(), fault });
        w.tries_again("book").rolls_back().child_undone("run/sub");
    }),
    ("agent", agents_own, |w| {
        w.answers("who", [says("let me see"), says("booked")])
            .answers("slow", [FixtureReply::StaysOut, FixtureReply::StaysOut]);
        w.thinks("idle", [AgentStep::AskCustomer { question: "still there?".into() }]);
        w.thinks("who", [model(), tools(&["find", "wire_money", "book"]), model(), answer(json!({"ok": true}))]);
        w.starts().advance_time(secs(30)).crashes().cancels(true).deliver_reply("slow", done(json!({"id": 9})));
    }),
    ("code", code, |w| {
        w.answers(
            "coder's code",
            [calls(&["find", "wire_money"], "cGF1c2Vk"), sandbox_fails(), stale(), ran(json!(7))],
        );
        w.answers("idle's code", [FixtureReply::StaysOut]).thinks("idle", [code_step(start("while True: pass"))]);
        let resume = resume("cGF1c2Vk", 2);
        let again = tools(&["find", "wire_money"]);
        w.thinks(
            "coder",
            [code_step(start("find(1)")), again, code_step(resume), code_step(replay()), answer(json!(7))],
        );
        w.starts().advance_time(secs(2)).crashes().advance_time(secs(30));
    }),
    ("replaced", replaced, |w| {
        let give_up = AgentStep::GiveUp(crate::fault::Fault::new("AGENT_GAVE_UP", "no"));
        w.answers(
            "custom's endpoint",
            [thought(tools(&["find"])), FixtureReply::StaysOut, thought(answer(json!({"ok": 1})))],
        );
        w.thinks("who", [model(), give_up, answer(json!("deputised"))]);
        w.thinks("custom", [AgentStep::AskEndpoint, AgentStep::AskEndpoint]).starts().advance_time(secs(1)).crashes();
    }),
    ("children", children, |w| {
        w.answers("last", [fails("NO")]).starts();
        w.child_ends("one", "run/one", RunState::Completed, true).child_ends(
            "each[0]/two",
            "run/each[0]/two",
            RunState::Completed,
            true,
        );
        w.cancels(true).child_ends("each[1]/two", "run/each[1]/two", RunState::Cancelled, false);
        w.child_undone("run/each[0]/two").child_undone("run/one");
    }),
    ("retried", retried, |w| {
        w.answers("b", [done(json!(1)), fails("NO")]).answers("undo_a", [fails("STUCK")]).starts();
        w.retries().retries_on(retried_newer());
        w.rolls_back();
    }),
    ("forked", forked, |w| {
        w.answers("slow", [FixtureReply::StaysOut])
            .starts()
            .advance_time(secs(1))
            .forks(false, json!({"n": 2}))
            .approves("ask", "eve");
        w.fill_journal(EVENTS_MAX / 5 * 4 - 1);
        w.signals("go", json!(1));
    }),
    ("outages", outages, |w| {
        let until = w.now() + secs(90);
        w.answers("find", vec![down(); 3]).answers("slots", [circuit_open(until)]).answers("tell", vec![down(); 4]);
        w.answers("book", [down(), down(), down(), done(json!({"id": 7}))]).answers("call", vec![down(); 3]);
        w.answers("pay", [circuit_open(until)]).starts().advance_time(secs(60));
        w.resolves("call", DoubtResolution::Done { output: json!({"by": "olga"}) }).rolls_back();
    }),
    (
        "money",
        || only(each("each", json!([1, 2, 3]), 3, only(agent("who", &[])))).max_cost(1.0),
        |w| {
            w.quote = PriceQuote::exactly(Usd::from_f64(0.25));
            w.thinks("who", [model(), model(), model()]);
            w.answers(
                "who",
                [
                    blocked(BlockReason::Key),
                    FixtureReply::OverBudget(secs(60)),
                    FixtureReply::StaysOut,
                    model_fails_at(0.125),
                ],
            )
            .starts();
            w.crashes().submit(RunCommand::KeyGiven { by: "eve".into() }).advance_time(secs(60));
        },
    ),
];

fn booking() -> FlowBuilder {
    let told = json!({"text": "Lo siento, no pudimos procesar tu pago.", "why": "{{ error.code }}"});
    flow(
        [
            tool("find").read(),
            agent("ask", &[]),
            tool("book").args(json!({"slot": "{{ ask.slot }}", "for": "{{ input.customer }}"})).undo("cancel"),
            tool("pay").args(json!({"amount": "{{ find.price }}"})).undo("refund"),
            tool("tell").args(told),
        ],
        "find>ask ask>book book>pay",
    )
    .on_compensated("tell")
    .timeout(secs(3_600))
}

fn loops() -> FlowBuilder {
    let body = flow(
        [
            tool("load").args(json!({"item": "{{ item }}"})).retry(RetryPolicy::NONE),
            transform("note", &[("log", json!("{{ item }}"))]),
        ],
        "load>note",
    );
    let branches = vec![
        ("left", only(each("inner", json!([null, 1]), 2, only(tool("leaf"))))),
        ("right", only(wait_for("nap", secs(0)))),
    ];
    flow(
        [
            each("each", json!(["x", null, "z"]), 1, body).collects(),
            repeat_until("until", "last.ready", only(tool("poll"))),
            parallel("fork", branches),
            end("end").gives(json!(null)),
        ],
        "each>until until>fork fork>end",
    )
    .variable("log", CombineMode::Append, json!([]))
}

fn people() -> FlowBuilder {
    flow(
        [
            approval("ask", 2),
            form("fill", json!({"type": "object"})),
            approval("late", 1).deadline(secs(60), OnDeadline::Reject),
            tool("no"),
        ],
        "ask:approved>fill fill>late late:rejected>no",
    )
}

/// A call that several people approve, one that is sent because the deadline approves it, and one that is then not
/// sent.
fn leaves() -> FlowBuilder {
    let nodes = [tool("pay").undo("un_pay").retry(RetryPolicy::NONE), tool("tell"), tool("book").undo("un_book")];
    flow(nodes, "pay>tell tell>book")
}

/// A call and a child whose compensation is attempted more than once.
fn again() -> FlowBuilder {
    let book = tool("book").undo("un_book").retry(RetryPolicy::NONE);
    flow([book, child("sub"), tool("fail")], "book>sub sub>fail")
}

fn signals() -> FlowBuilder {
    flow(
        [signal("one", "go"), signal("two", "go"), signal("three", "go"), signal("four", "go"), signal("five", "go")],
        "one>two two>three three>four four>five",
    )
}

fn doubts() -> FlowBuilder {
    let once = tool("once").once().undo("un_once").retry(RetryPolicy::NONE);
    let keyed = tool("keyed").undo("un_keyed").undoing(
        "un_keyed",
        ToolContract { retry: RetryPolicy::NONE, ..ToolContract::new(EffectClass::Once, secs(1)) },
    );
    flow([keyed, once, tool("verify").verify(), tool("read").read(), tool("leave"), tool("out")], "")
}

fn questions() -> FlowBuilder {
    flow([tool("book").once().undo("unbook"), tool("tell").once(), tool("keep"), tool("look").read()], "")
}

/// One tool for each policy for an unavailable service.
fn outages() -> FlowBuilder {
    let find = tool("find").read().when_down("empty").answering(&["query", "results"], json!({"results": []}));
    let slots = tool("slots").read().when_down("unavailable");
    let book = tool("book").when_down("provider other").undo("unbook");
    let tell = tool("tell").once().when_down("queue");
    let call = tool("call").when_down("manual").undo("uncall");
    flow([find, slots, book, tell, call, tool("pay").when_down("unavailable").continues()], "")
}

fn agents_own() -> FlowBuilder {
    let idle = agent("idle", &[]).timeout(secs(30)).continues();
    flow([agent("who", &["find", "book"]).undo("unbook"), tool("slow").undo("unslow"), idle, tool("z")], "who>z slow>z")
}

fn code() -> FlowBuilder {
    flow([agent("coder", &["find"]), agent("idle", &[]).timeout(secs(30)).continues(), tool("z")], "coder>z")
}

fn replaced() -> FlowBuilder {
    let custom = agent("custom", &["find"]).agent(|agent| {
        agent.kind = crate::agent::AgentKind::Custom;
        agent.endpoint = Some("https://think.example.com".to_owned());
    });
    flow([agent("who", &[]).falls_back_to(agent("deputy", &["find"])), custom], "who>custom")
}

fn children() -> FlowBuilder {
    flow([child("one"), each("each", json!([1, 2]), 2, only(child("two"))), tool("last")], "one>each each>last")
}

fn retried() -> FlowBuilder {
    let body = || flow([tool("a").undo("undo_a").irreversible("x"), tool("b")], "a>b");
    flow([each("each", json!([1, 2]), 1, body()).fails(), tool("c")], "").edge_if("each", "c", "nobody.knows")
}

fn retried_newer() -> FlowBuilder {
    let body = || flow([tool("a").undo("undo_a"), tool("b"), condition("new", "`true`")], "a>b b>new");
    flow([each("each", json!([1, 2]), 1, body()).fails(), tool("c")], "each>c")
}

fn forked() -> FlowBuilder {
    let lose = tool("lose").undo("unlose");
    flow(
        [
            lose,
            tool("slow").read(),
            wait_for("nap", secs(1)),
            transform("n", &[("n", json!(1))]),
            merge("m", MergeMode::Any).undo_losers(),
            approval("ask", 1),
            signal("go", "go"),
        ],
        "lose>slow slow>m nap>n n>m m>ask ask>go",
    )
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/journals")
}

fn updates_golden_files() -> bool {
    std::env::var_os("BATON_BLESS").is_some()
}

/// A golden journal: the recorded entries, and the resulting state.
struct GoldenJournal {
    entries: Vec<RunEntry>,
    state: Value,
}

fn read(name: &str) -> Option<GoldenJournal> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).ok()?;
    let mut golden: Value = serde_json::from_str(&text).unwrap();
    let state = golden["state"].take();
    Some(GoldenJournal { entries: serde_json::from_value(golden["entries"].take()).unwrap(), state })
}

fn write(name: &str, golden: &GoldenJournal) {
    // One entry per line, so that differences are readable.
    let lines: Vec<String> = golden.entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
    let text = format!("{{\"entries\": [\n{}\n],\n\"state\": {}}}\n", lines.join(",\n"), golden.state);
    // Other tests read the file concurrently, so it is created atomically.
    let (fresh, path) = (folder().join(format!("{name}.new")), folder().join(format!("{name}.json")));
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(&fresh, &path).unwrap();
}

fn folded(name: &str, entries: &[RunEntry]) -> Run {
    let (_, flow, _) = SCENARIOS.into_iter().find(|(known, ..)| *known == name).unwrap();
    let mut world = RunFixture::new(flow());
    if name == "retried" {
        world.knows(retried_newer());
    }
    let mut run = world.informed(Run::new());
    entries.iter().for_each(|entry| run.fold(entry));
    run
}

/// Runs a scenario now; returns its journal without the entries that only fill it.
fn record_scenario(scenario: GoldenScenario) -> GoldenJournal {
    let (name, flow, live) = scenario;
    let mut world = RunFixture::new(flow());
    live(&mut world);
    let state = serde_json::to_value(folded(name, &world.journal)).unwrap();
    GoldenJournal { entries: world.journal, state }
}

#[test]
fn golden_journals_lead_where_they_always_led() {
    for scenario in SCENARIOS {
        let name = scenario.0;
        if updates_golden_files() {
            let entries = read(name).unwrap_or_else(|| record_scenario(scenario)).entries;
            let state = serde_json::to_value(folded(name, &entries)).unwrap();
            write(name, &GoldenJournal { entries, state });
        }
        let golden = read(name).unwrap_or_else(|| panic!("no golden journal `{name}`: BATON_BLESS=1 writes it"));
        let run = folded(name, &golden.entries);
        let (told, found) = (golden.state.to_string(), serde_json::to_value(&run).unwrap().to_string());
        assert_eq!(told, found, "the journal `{name}` leads elsewhere");
    }
}

#[test]
fn golden_journals_fold_alike_in_another_process() {
    let folder = std::env::temp_dir().join(format!("baton-fold-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, ..) in SCENARIOS {
        let Some(golden) = read(name) else { panic!("no golden journal `{name}`") };
        let into = folder.join(name);
        let status = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "run::tests::journals::folds_a_journal_for_another_process"])
            .env(FOLD, name)
            .env(INTO, &into)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
        let there = std::fs::read_to_string(&into).unwrap();
        assert_eq!(there, text_of(&folded(name, &golden.entries)), "of `{name}`");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn folds_a_journal_for_another_process() {
    let (Some(name), Some(into)) = (std::env::var_os(FOLD), std::env::var_os(INTO)) else { return };
    let name = name.into_string().unwrap();
    let golden = read(&name).unwrap();
    std::fs::write(into, text_of(&folded(&name, &golden.entries))).unwrap();
}

#[test]
fn golden_journals_hold_every_kind_of_event() {
    let kinds: BTreeSet<&str> = SCENARIOS
        .iter()
        .filter_map(|(name, ..)| read(name))
        .flat_map(|golden| golden.entries)
        .flat_map(|entry| entry.events)
        .map(|event| kind(&event))
        .collect();
    let missing: Vec<&str> = KINDS.into_iter().filter(|kind| !kinds.contains(kind)).collect();
    assert_eq!(missing, [""; 0]);
}

const KINDS: [&str; 48] = [
    "started",
    "scheduled",
    "sending",
    "unsent",
    "taken_over",
    "done",
    "not_done",
    "degraded",
    "hold_lost",
    "doubted",
    "resolved",
    "blocked",
    "unblocked",
    "approved",
    "replied",
    "arrived_late",
    "abandoned",
    "began",
    "ended",
    "stepped",
    "agent_replaced",
    "request_refused",
    "customer_asked",
    "variable_set",
    "scope_opened",
    "scope_winding",
    "scope_closed",
    "branches_cut",
    "signal_kept",
    "signal_taken",
    "signal_held",
    "answered",
    "paused",
    "resumed",
    "node_winding",
    "child_cancelling",
    "winding",
    "compensating",
    "not_undone",
    "undo_again",
    "undone_by_hand",
    "child_undoing",
    "child_undone",
    "aftermath",
    "finished",
    "reopened",
    "forked",
    "journal_filling",
];

/// A new kind of event does not compile until it is named here, and the test does not pass until a golden journal
/// contains it.
fn kind(event: &RunEvent) -> &'static str {
    match event {
        RunEvent::Started(_) => "started",
        RunEvent::Scheduled(_) => "scheduled",
        RunEvent::Sending { .. } => "sending",
        RunEvent::Unsent { .. } => "unsent",
        RunEvent::TakenOver { .. } => "taken_over",
        RunEvent::Done(_) => "done",
        RunEvent::NotDone { .. } => "not_done",
        RunEvent::Degraded { .. } => "degraded",
        RunEvent::HoldLost { .. } => "hold_lost",
        RunEvent::Doubted { .. } => "doubted",
        RunEvent::Resolved { .. } => "resolved",
        RunEvent::Blocked { .. } => "blocked",
        RunEvent::Unblocked { .. } => "unblocked",
        RunEvent::Approved { .. } => "approved",
        RunEvent::Replied { .. } => "replied",
        RunEvent::ArrivedLate(_) => "arrived_late",
        RunEvent::Abandoned { .. } => "abandoned",
        RunEvent::Began { .. } => "began",
        RunEvent::Ended(_) => "ended",
        RunEvent::Stepped { .. } => "stepped",
        RunEvent::AgentReplaced { .. } => "agent_replaced",
        RunEvent::RequestRefused { .. } => "request_refused",
        RunEvent::CustomerAsked { .. } => "customer_asked",
        RunEvent::VariableSet { .. } => "variable_set",
        RunEvent::ScopeOpened { .. } => "scope_opened",
        RunEvent::ScopeWinding { .. } => "scope_winding",
        RunEvent::ScopeClosed { .. } => "scope_closed",
        RunEvent::BranchesCut { .. } => "branches_cut",
        RunEvent::SignalKept { .. } => "signal_kept",
        RunEvent::SignalTaken { .. } => "signal_taken",
        RunEvent::SignalHeld { .. } => "signal_held",
        RunEvent::Answered { .. } => "answered",
        RunEvent::Paused { .. } => "paused",
        RunEvent::Resumed { .. } => "resumed",
        RunEvent::NodeWinding { .. } => "node_winding",
        RunEvent::ChildCancelling { .. } => "child_cancelling",
        RunEvent::Winding { .. } => "winding",
        RunEvent::Compensating => "compensating",
        RunEvent::NotUndone { .. } => "not_undone",
        RunEvent::UndoAgain { .. } => "undo_again",
        RunEvent::UndoneByHand { .. } => "undone_by_hand",
        RunEvent::ChildUndoing { .. } => "child_undoing",
        RunEvent::ChildUndone { .. } => "child_undone",
        RunEvent::Aftermath => "aftermath",
        RunEvent::Finished(_) => "finished",
        RunEvent::Reopened(_) => "reopened",
        RunEvent::Forked(_) => "forked",
        RunEvent::JournalFilling { .. } => "journal_filling",
    }
}
