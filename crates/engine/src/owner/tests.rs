//! Tests of the owner under a controlled clock, one input after another. The simulation tests everything else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_core::agent::{AgentObservation, AgentStep, AgentTask, StepFunction, ToolRequest};
use baton_core::bundle::Bundle;
use baton_core::definition;
use baton_core::fault::Fault;
use baton_core::model;
use baton_core::money::Usd;
use baton_core::run::{
    Approval, BlockReason, CallOutcome, DEADLINE_ACTOR, HumanDecision, NodeAddress, OnExpiry, RunOrigin, RunStarted,
    Signal,
};
use baton_core::tool::{self, AuditStatus, Caller, EffectClass, ToolContract};
use baton_ports::journal::{AggregateHandle, AggregateKind, JournalAppend, ProcessId};
use serde_json::{Value, json};

use super::*;

/// An agent that asks its model; each question costs a microdollar.
struct AskingAgent;

impl StepFunction for AskingAgent {
    fn step(&self, _: &AgentTask, _: &[AgentObservation]) -> AgentStep {
        AgentStep::AskModel(model::ModelRequest::default())
    }

    fn quote(&self, _: &model::ModelRequest) -> PriceQuote {
        PriceQuote::exactly(Usd::from_nanos(1_000))
    }
}

/// One tool, `book`, of this class, and one agent, `who`.
fn bundle(definition: Value, class: EffectClass) -> Bundle {
    let facts = ToolContract::new(class, Duration::from_secs(10));
    let agent = serde_json::from_value(json!({ "name": "who", "type": "simple" })).unwrap();
    Bundle {
        format: definition::BUNDLE_FORMAT,
        name: "w".to_owned(),
        definition,
        agents: BTreeMap::from([("who".to_owned(), agent)]),
        tools: BTreeMap::from([("book".to_owned(), facts)]),
        subworkflows: BTreeMap::new(),
    }
}

/// No lease ends here.
const LEASED: MonotonicTime = MonotonicTime::from_ms(10_000_000_000);

/// A store of one run: what was appended, and the current ownership.
struct SingleRunStore {
    hash: ContentHash,
    workflow: Arc<Workflow>,
    entries: Vec<Arc<[u8]>>,
    items: i64,
    epoch: u64,
}

impl SingleRunStore {
    /// A store with a run that calls `book`, which may be repeated.
    fn new() -> Self {
        Self::calling(EffectClass::Keyed)
    }

    fn calling(class: EffectClass) -> Self {
        let nodes = json!([{ "id": "book", "type": "tool", "tool": "book" }]);
        Self::with(json!({ "name": "w", "nodes": nodes, "edges": [] }), class)
    }

    fn of(definition: Value) -> Self {
        Self::with(definition, EffectClass::Keyed)
    }

    fn with(definition: Value, class: EffectClass) -> Self {
        let bundle = bundle(definition, class);
        let (_, hash) = bundle.seal().unwrap();
        let workflow = Arc::new(definition::compile(&bundle).unwrap());
        Self { hash, workflow, entries: Vec::new(), items: 0, epoch: 0 }
    }

    fn item(&mut self, incoming: &IncomingCommand) -> InboxItem {
        self.items += 1;
        let payload = serde_json::to_vec(incoming).unwrap().into();
        InboxItem { item: self.items, command_id: self.items.to_string(), payload, at: Time::EPOCH }
    }

    fn start(&mut self) -> InboxItem {
        let started = RunStarted {
            run: "r".into(),
            tenant: "clinic".into(),
            bundle: self.hash.clone(),
            input: Arc::default(),
            context: Value::Null,
            caller: Caller::default(),
            origin: RunOrigin::Caller,
        };
        self.item(&IncomingCommand::Start(Box::new(started)))
    }

    fn signal(&mut self) -> InboxItem {
        let (name, source) = ("news".to_owned(), String::new());
        self.item(&IncomingCommand::Signal(Signal {
            name,
            payload: Arc::default(),
            source,
            sequence: None,
            after_gap: false,
        }))
    }

    /// The next owner, from what was appended so far.
    fn claim(&mut self, now: Time) -> RunOwner {
        self.claim_left_at(None, now)
    }

    /// Like `claim`, with the wake-up time that the previous owner left.
    fn claim_left_at(&mut self, wake_at: Option<Time>, now: Time) -> RunOwner {
        self.epoch += 1;
        let claimed = ClaimedAggregate {
            ownership: Ownership { handle: AggregateHandle(1), process: ProcessId(1), epoch: self.epoch },
            tenant: "clinic".into(),
            kind: AggregateKind::Run,
            workflow: "w".to_owned(),
            seq: self.entries.len() as u64,
            departure: OwnerDeparture::Dropped,
            wake_at,
            last_at: self.entries.last().map(|entry| crate::decode(entry).unwrap().at),
            snapshot: None,
            tail: self.entries.clone(),
            inbox: Vec::new(),
        };
        let tail: Vec<RunEntry> = self.entries.iter().map(|entry| crate::decode(entry).unwrap()).collect();
        let versions = [(self.hash.clone(), self.workflow.clone())];
        RunOwner::claimed("r".into(), &claimed, Run::new(), &tail, versions, LEASED, now.into())
    }

    /// Feeds an owner, and stores what it appends.
    fn feed(&mut self, owner: &mut RunOwner, input: OwnerInput, now: Time) -> JournalAppend {
        self.feed_with(&AskingAgent, owner, input, now)
    }

    /// The same with another step function.
    fn feed_with(
        &mut self,
        think: &dyn StepFunction,
        owner: &mut RunOwner,
        input: OwnerInput,
        now: Time,
    ) -> JournalAppend {
        let outputs = owner.handle(input, now.into(), think, &EngineOptions::default());
        let append = outputs.into_iter().find_map(|output| match output {
            OwnerOutput::Append(append) => Some(*append),
            _ => None,
        });
        let append = append.expect("an append");
        self.entries.extend(append.entry.clone());
        append
    }
}

fn at(seconds: i64) -> Time {
    Time::from_ms(seconds * 1_000)
}

/// A run that starts now and has its call in flight.
fn that_has_sent(shelf: &mut SingleRunStore, now: Time) -> (RunOwner, EffectId) {
    let mut owner = shelf.claim(now);
    let start = shelf.start();
    shelf.feed(&mut owner, OwnerInput::Items(vec![start]), now);
    let sent = owner.handle(OwnerInput::Appended, now.into(), &AskingAgent, &EngineOptions::default());
    let effect = sent.into_iter().find_map(|output| match output {
        OwnerOutput::Dispatch(send) => Some(send.effect),
        _ => None,
    });
    (owner, effect.expect("a call"))
}

/// A run whose call had this outcome at 100 s, so that the run sleeps until 160 s.
fn that_sleeps_after(shelf: &mut SingleRunStore, outcome: CallOutcome) -> EffectId {
    let (mut owner, effect) = that_has_sent(shelf, at(100));
    let input = OwnerInput::Outcome { effect: effect.clone(), outcome, audit: None, spends: Vec::new() };
    let append = shelf.feed(&mut owner, input, at(100));
    assert_eq!(append.wake_at, Some(at(160)));
    assert!(append.release);
    effect
}

/// A run whose call is retried then.
fn that_waits_for_a_retry(shelf: &mut SingleRunStore) {
    let fault = Fault::new("BUSY", "come back in a minute");
    let outcome = CallOutcome::Tool(tool::ToolOutcome::NotDone { fault, retryable: true, retry_after: Some(60_000) });
    that_sleeps_after(shelf, outcome);
}

/// Who decided on a call, and their decision, from the audit rows of an append.
fn decisions(append: &JournalAppend) -> Vec<(&str, &str)> {
    let rows = append.audit.iter().map(|row| (row.user_id.as_deref(), row.details["decision"].as_str()));
    rows.map(|(by, said)| (by.unwrap_or_default(), said.unwrap_or_default())).collect()
}

#[test]
fn what_a_deadline_decides_has_its_row_whatever_the_run_was_woken_for() {
    for (then, said) in [(OnExpiry::Approve, "approved"), (OnExpiry::Reject, "rejected")] {
        let mut shelf = SingleRunStore::new();
        let leave = Approval { need: 2, until: Some(at(160)), then, ..Approval::of("h") };
        let by = BlockReason::Approval(Box::new(leave));
        let effect = that_sleeps_after(&mut shelf, CallOutcome::Blocked { by, cost: Usd::ZERO });
        // Taken over afterwards, with an answer to one of the two in the inbox.
        let mut owner = shelf.claim(at(170));
        let approve = IncomingCommand::Approve { effect, by: "ana".into(), approved: true, note: String::new() };
        let late = shelf.item(&approve);
        let append = shelf.feed(&mut owner, OwnerInput::Items(vec![late]), at(170));
        assert_eq!(decisions(&append), [(DEADLINE_ACTOR, said)]);
    }
}

#[test]
fn a_call_that_comes_before_people_after_its_deadline_has_a_row_too() {
    for (then, said) in [(OnExpiry::Approve, "approved"), (OnExpiry::Reject, "rejected")] {
        let mut shelf = SingleRunStore::new();
        let (mut owner, effect) = that_has_sent(&mut shelf, at(100));
        let leave = Approval { until: Some(at(160)), then, ..Approval::of("h") };
        let outcome = CallOutcome::Blocked { by: BlockReason::Approval(Box::new(leave)), cost: Usd::ZERO };
        // The clock was set forward while the call was in flight.
        let input = OwnerInput::Outcome { effect, outcome, audit: None, spends: Vec::new() };
        let append = shelf.feed(&mut owner, input, at(170));
        assert_eq!(decisions(&append), [(DEADLINE_ACTOR, said)]);
    }
}

#[test]
fn a_marked_call_is_not_asked_about_while_the_lease_is_too_short_to_send_it_under() {
    let sent = |outputs: &[OwnerOutput]| outputs.iter().any(|output| matches!(output, OwnerOutput::Dispatch(_)));
    for (class, goes_out) in [(EffectClass::Once, false), (EffectClass::Verify, false), (EffectClass::Keyed, true)] {
        let mut shelf = SingleRunStore::calling(class);
        let near = Time::from_ms(LEASED.as_ms() - 3_000);
        let mut owner = shelf.claim(near);
        let start = shelf.start();
        shelf.feed(&mut owner, OwnerInput::Items(vec![start]), near);
        let outputs = owner.handle(OwnerInput::Appended, near.into(), &AskingAgent, &EngineOptions::default());
        assert_eq!(sent(&outputs), goes_out, "{class:?}: {outputs:?}");
        let asks_again = outputs.iter().any(|output| matches!(output, OwnerOutput::WakeAt(at) if *at <= near));
        assert!(
            !asks_again && !outputs.iter().any(|output| matches!(output, OwnerOutput::Release { .. })),
            "{outputs:?}"
        );
        let longer = OwnerInput::Lease { until: LEASED + Duration::from_secs(15) };
        let outputs = owner.handle(longer, near.into(), &AskingAgent, &EngineOptions::default());
        assert_eq!(sent(&outputs), !goes_out, "{class:?}: {outputs:?}");
    }
}

#[test]
fn nothing_goes_out_under_a_lease_that_is_over() {
    let mut shelf = SingleRunStore::new();
    let mut owner = shelf.claim(at(100));
    let start = shelf.start();
    shelf.feed(&mut owner, OwnerInput::Items(vec![start]), at(100));
    // The machine slept while the append was in progress.
    let late = Time::from_ms(LEASED.as_ms());
    let outputs = owner.handle(OwnerInput::Appended, late.into(), &AskingAgent, &EngineOptions::default());
    assert!(
        !outputs.iter().any(|output| matches!(output, OwnerOutput::Dispatch(_) | OwnerOutput::Release { .. })),
        "{outputs:?}"
    );
    let renewed = OwnerInput::Lease { until: LEASED + Duration::from_secs(45) };
    let outputs = owner.handle(renewed, late.into(), &AskingAgent, &EngineOptions::default());
    assert!(
        outputs.iter().any(|output| matches!(output, OwnerOutput::Dispatch(_))),
        "it was its own all the time: {outputs:?}"
    );
}

#[test]
fn each_of_several_who_allow_a_call_has_a_row() {
    let mut shelf = SingleRunStore::new();
    let leave = Approval { need: 2, until: Some(at(160)), then: OnExpiry::Approve, ..Approval::of("h") };
    let by = BlockReason::Approval(Box::new(leave));
    let effect = that_sleeps_after(&mut shelf, CallOutcome::Blocked { by, cost: Usd::ZERO });
    let mut owner = shelf.claim(at(130));
    let approve = |by: &str| IncomingCommand::Approve {
        effect: effect.clone(),
        by: by.into(),
        approved: true,
        note: String::new(),
    };
    let (one, two) = (shelf.item(&approve("ana")), shelf.item(&approve("eva")));
    let append = shelf.feed(&mut owner, OwnerInput::Items(vec![one, two]), at(130));
    assert_eq!(decisions(&append), [("ana", "approved"), ("eva", "approved")], "one row a person");
}

#[test]
fn one_of_several_yeses_at_a_questions_deadline_has_its_row_beside_the_deadlines() {
    for (then, said) in [("approve", "approved"), ("reject", "rejected")] {
        let node = json!({
            "id": "ask", "type": "human", "title": "Well?", "needed": 2, "deadline": "60s", "on_deadline": then,
        });
        // A call in flight keeps the owner awake.
        let nodes =
            json!([{ "id": "begin", "type": "trigger" }, node, { "id": "book", "type": "tool", "tool": "book" }]);
        let edges = json!([{ "from": "begin", "to": "ask" }, { "from": "begin", "to": "book" }]);
        for late in [160, 170] {
            let mut shelf = SingleRunStore::of(json!({ "name": "w", "nodes": nodes, "edges": edges }));
            let mut owner = shelf.claim(at(100));
            let start = shelf.start();
            shelf.feed(&mut owner, OwnerInput::Items(vec![start]), at(100));
            owner.handle(OwnerInput::Appended, at(100).into(), &AskingAgent, &EngineOptions::default());
            let decision = HumanDecision::Approve { note: String::new() };
            let answer = IncomingCommand::Answer { node: NodeAddress::outer("ask"), by: "ana".into(), decision };
            let answer = shelf.item(&answer);
            let append = shelf.feed(&mut owner, OwnerInput::Items(vec![answer]), at(late));
            assert_eq!(decisions(&append), [("ana", "approved"), (DEADLINE_ACTOR, said)], "at {late}");
        }
    }
}

/// Asks for a tool that it was not given, and accepts the refusal.
struct UnofferedToolAgent;

impl StepFunction for UnofferedToolAgent {
    fn step(&self, _: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
        let wish = || ToolRequest { id: "1".to_owned(), tool: "wipe_disk".to_owned(), arguments: json!({}) };
        if seen.is_empty() {
            AgentStep::RequestTools(vec![wish()])
        } else {
            AgentStep::Answer { output: json!("then not") }
        }
    }

    fn quote(&self, _: &model::ModelRequest) -> PriceQuote {
        PriceQuote::default()
    }
}

#[test]
fn a_tool_that_an_agent_may_not_have_has_a_row() {
    let mut shelf = SingleRunStore::of(
        json!({ "name": "w", "nodes": [{ "id": "think", "type": "agent", "agent": "who" }], "edges": [] }),
    );
    let mut owner = shelf.claim(at(100));
    let start = shelf.start();
    let append = shelf.feed_with(&UnofferedToolAgent, &mut owner, OwnerInput::Items(vec![start]), at(100));
    let [row] = append.audit.as_slice() else { panic!("one row: {:?}", append.audit) };
    assert_eq!(
        (row.action.as_str(), row.status, row.error_code.as_deref()),
        ("wipe_disk", AuditStatus::Error, Some("TOOL_NOT_ALLOWED"))
    );
    assert_eq!((row.agent_name.as_deref(), row.run.as_ref().map(|run| run.as_str())), (Some("who"), Some("r")));
    assert_eq!((row.sent, row.at, row.details["node"].as_str()), (false, at(100), Some("think")));
    assert!(row.details["error"].as_str().is_some_and(|said| said.contains("not among this agent's tools")), "{row:?}");
}

#[test]
fn a_retry_is_not_forgotten_when_the_clock_goes_back_behind_it() {
    let mut shelf = SingleRunStore::new();
    that_waits_for_a_retry(&mut shelf);
    let mut owner = shelf.claim(at(170));
    let news = shelf.signal();
    // Its call is due and is sent; the process stops before the result arrives.
    shelf.feed(&mut owner, OwnerInput::Items(vec![news]), at(170));
    let mut owner = shelf.claim(at(120));
    let news = shelf.signal();
    let append = shelf.feed(&mut owner, OwnerInput::Items(vec![news]), at(120));
    assert_eq!(append.at, at(170), "a journal does not go back");
    assert!(!append.release, "and what was due stays due");
    let sent = owner.handle(OwnerInput::Appended, at(120).into(), &AskingAgent, &EngineOptions::default());
    assert!(sent.iter().any(|output| matches!(output, OwnerOutput::Dispatch(_))), "its call goes out: {sent:?}");
}

#[test]
fn a_clock_that_is_set_back_by_a_month_holds_nothing_up() {
    const MONTH: i64 = 30 * 24 * 3_600;
    let mut shelf = SingleRunStore::new();
    let (mut owner, effect) = that_has_sent(&mut shelf, at(MONTH + 100));
    // The wall clock is set back while the call is in flight; two seconds have passed.
    let now = ClockReading { wall: at(102), monotonic: MonotonicTime::from_ms((MONTH + 102) * 1_000) };
    let fault = Fault::new("BUSY", "come back in a minute");
    let outcome = CallOutcome::Tool(tool::ToolOutcome::NotDone { fault, retryable: true, retry_after: Some(60_000) });
    let input = OwnerInput::Outcome { effect, outcome, audit: None, spends: Vec::new() };
    let outputs = owner.handle(input, now, &AskingAgent, &EngineOptions::default());
    let append = outputs.into_iter().find_map(|output| match output {
        OwnerOutput::Append(append) => Some(*append),
        _ => None,
    });
    let append = append.expect("an append");
    assert_eq!((append.at, append.release), (at(MONTH + 102), true), "its own time goes on");
    assert_eq!(append.wake_at, Some(at(162)), "it is woken in a minute, as the wall's clock will show it");
    shelf.entries.extend(append.entry.clone());
    let mut next = shelf.claim_left_at(append.wake_at, at(162));
    let woken = next.handle(OwnerInput::Items(Vec::new()), at(162).into(), &AskingAgent, &EngineOptions::default());
    assert!(
        woken.iter().any(|output| matches!(output, OwnerOutput::Append(_) | OwnerOutput::Dispatch(_))),
        "{woken:?}"
    );
}

#[test]
fn a_time_that_came_while_a_dropped_call_was_paid_for_is_not_slept_past() {
    let mut shelf = SingleRunStore::of(json!({
        "name": "w",
        "nodes": [
            { "id": "begin", "type": "trigger" },
            { "id": "book", "type": "tool", "tool": "book" },
            { "id": "think", "type": "agent", "agent": "who" },
            { "id": "first", "type": "merge", "mode": "any" },
            { "id": "ask", "type": "human", "title": "Well?", "deadline": "30s" },
        ],
        "edges": [
            { "from": "begin", "to": "book" },
            { "from": "begin", "to": "think" },
            { "from": "book", "to": "first" },
            { "from": "think", "to": "first" },
            { "from": "first", "to": "ask" },
        ],
    }));
    let mut owner = shelf.claim(at(100));
    let start = shelf.start();
    shelf.feed(&mut owner, OwnerInput::Items(vec![start]), at(100));
    let sent = owner.handle(OwnerInput::Appended, at(100).into(), &AskingAgent, &EngineOptions::default());
    let sent = |of: &str| {
        let found = sent.iter().find_map(|output| match output {
            OwnerOutput::Dispatch(send) if send.effect.call.node.node == of.into() => Some(send.effect.clone()),
            _ => None,
        });
        found.expect("it went out")
    };
    let outcome = |effect, outcome| OwnerInput::Outcome { effect, outcome, audit: None, spends: Vec::new() };
    let booked = tool::ToolOutcome::Done { output: Arc::default(), cost: Usd::ZERO, cached: false };
    let held = owner.handle(
        outcome(sent("book"), CallOutcome::Tool(booked)),
        at(101).into(),
        &AskingAgent,
        &EngineOptions::default(),
    );
    assert!(matches!(held[..], [OwnerOutput::Drop { .. }]), "the loser's price is waited for: {held:?}");

    let dropped = outcome(sent("think"), CallOutcome::Dropped { cost: Usd::ZERO });
    let append = shelf.feed(&mut owner, dropped, at(200));
    assert_eq!((append.at, append.wake_at), (at(101), Some(at(131))), "all of one entry happens at one time");
    assert!(!append.release, "the deadline has passed by now");
}

#[test]
fn a_run_whose_decision_cannot_be_written_is_not_given_back_as_if_nothing_were_out() {
    let mut shelf = SingleRunStore::new();
    let mut owner = shelf.claim(at(100));
    let start = shelf.start();
    shelf.feed(&mut owner, OwnerInput::Items(vec![start]), at(100));
    let sent = owner.handle(OwnerInput::Appended, at(100).into(), &AskingAgent, &EngineOptions::default());
    assert!(sent.iter().any(|output| matches!(output, OwnerOutput::Dispatch(_))), "its call is out: {sent:?}");
    let mut out = Vec::new();
    owner.fail(&mut out);
    assert!(matches!(out[..], [OwnerOutput::Failed]), "{out:?}");
    let more = owner.handle(OwnerInput::Wake, at(101).into(), &AskingAgent, &EngineOptions::default());
    assert!(more.is_empty(), "nothing more comes of it: {more:?}");
    // The next owner must not assume that nothing was in flight: the call keeps its key, and a result now is not final.
    let mut next = shelf.claim(at(102));
    let taken = shelf.feed(&mut next, OwnerInput::Items(Vec::new()), at(101));
    let entry: RunEntry = crate::decode(taken.entry.as_deref().unwrap()).unwrap();
    assert!(entry.events.iter().any(|event| matches!(event, RunEvent::TakenOver { .. })), "{:?}", entry.events);
}

#[test]
fn a_refused_command_is_consumed_and_answered_and_the_journal_stays_as_it_is() {
    let question = json!({ "id": "ask", "type": "human", "title": "Well?" });
    let mut shelf = SingleRunStore::of(json!({ "name": "w", "nodes": [question], "edges": [] }));
    let mut owner = shelf.claim(at(100));
    let start = shelf.start();
    shelf.feed(&mut owner, OwnerInput::Items(vec![start]), at(100));
    owner.handle(OwnerInput::Appended, at(100).into(), &AskingAgent, &EngineOptions::default());
    let (before, seq) = (serde_json::to_string(owner.run()).unwrap(), owner.seq());

    // Found on waking up, after its owner is gone: nothing is compensated, and there is nothing to retry.
    let mut owner = shelf.claim(at(110));
    let answer = |node: &str| IncomingCommand::Answer {
        node: NodeAddress::outer(node),
        by: "ana".into(),
        decision: HumanDecision::Approve { note: String::new() },
    };
    let items = vec![shelf.item(&answer("nobody")), shelf.item(&IncomingCommand::Resume { by: "ana".to_owned() })];
    let numbers: Vec<i64> = items.iter().map(|item| item.item).collect();
    let append = shelf.feed(&mut owner, OwnerInput::Items(items), at(110));
    assert_eq!((append.entry, append.expected_seq, append.inbox_done), (None, seq, numbers.clone()));
    assert!(append.snapshot.is_none() && append.audit.is_empty() && append.spends.is_empty());
    let told = owner.handle(OwnerInput::Appended, at(110).into(), &AskingAgent, &EngineOptions::default());
    let refused = told.iter().filter_map(|output| match output {
        OwnerOutput::Refused { item, .. } => Some(*item),
        _ => None,
    });
    assert_eq!(refused.collect::<Vec<_>>(), numbers, "whoever sent them hears of it");
    assert_eq!((serde_json::to_string(owner.run()).unwrap(), owner.seq()), (before, seq));

    // The next attempt has the next number.
    let mut owner = shelf.claim(at(120));
    let good = shelf.item(&answer("ask"));
    let append = shelf.feed(&mut owner, OwnerInput::Items(vec![good]), at(120));
    assert_eq!((append.expected_seq, append.entry.is_some()), (seq, true));
}
