//! A scripted environment for a run, which checks the invariants of every decision.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::flow::FlowBuilder;
use crate::agent::{AgentConstraints, AgentStep, ProgramOutcome, ProgramSnapshot, ToolRequest};
use crate::bundle::ContentHash;
use crate::fault::Fault;
use crate::graph::Workflow;
use crate::id::RunId;
use crate::model;
use crate::money::{PriceQuote, Usd};
use crate::run::state::NodeActivity;
use crate::run::{
    BlockReason, CallOutcome, ChildResult, DecisionMaker, DoubtResolution, Effect, EffectId, EffectRequest,
    HumanDecision, ModelCallError, NodeAddress, OwnerDeparture, Run, RunCommand, RunEntry, RunEvent, RunForked,
    RunOrigin, RunRefusal, RunStarted, RunState, Signal, executed_path,
};
use crate::time::Time;
use crate::tool::{self, Caller};

/// The reply to a request.
#[derive(Clone, Debug)]
pub enum FixtureReply {
    Comes(CallOutcome),
    /// It stays in flight until [`RunFixture::deliver_reply`].
    StaysOut,
    /// It is held back for this long.
    HeldBack(Duration),
    /// A budget is used up for this long.
    OverBudget(Duration),
}

pub fn done(output: Value) -> FixtureReply {
    FixtureReply::Comes(CallOutcome::Tool(tool::ToolOutcome::Done {
        output: output.into(),
        cost: Usd::ZERO,
        cached: false,
    }))
}

pub fn costs(usd: f64) -> FixtureReply {
    FixtureReply::Comes(CallOutcome::Tool(tool::ToolOutcome::Done {
        output: json!({}).into(),
        cost: Usd::from_f64(usd),
        cached: false,
    }))
}

/// It did not act, and another attempt would not help.
pub fn fails(code: &'static str) -> FixtureReply {
    not_done(code, false, None)
}

/// It did not act; another attempt may succeed.
pub fn flaky(code: &'static str) -> FixtureReply {
    not_done(code, true, None)
}

pub fn not_done(code: &'static str, retryable: bool, retry_after: Option<u64>) -> FixtureReply {
    let fault = Fault::new(code, "scripted");
    FixtureReply::Comes(CallOutcome::Tool(tool::ToolOutcome::NotDone { fault, retryable, retry_after }))
}

/// It was rejected for good before it was sent.
pub fn stopped(code: &'static str) -> FixtureReply {
    FixtureReply::Comes(CallOutcome::Stopped { fault: Fault::new(code, "scripted") })
}

/// It did not act, and asks a person first, with this deadline.
pub fn asks(message: &str, within: Option<Duration>) -> FixtureReply {
    let schema = json!({"type": "object", "properties": {"seat": {"type": "string"}}, "required": ["seat"]});
    let question = Box::new(tool::ToolQuestion { message: message.to_owned(), schema, resume: Value::Null });
    let within = within.map(|within| u64::try_from(within.as_millis()).unwrap());
    FixtureReply::Comes(CallOutcome::Tool(tool::ToolOutcome::Asks { question, within }))
}

/// It is unknown whether it acted.
pub fn unknown() -> FixtureReply {
    FixtureReply::Comes(CallOutcome::Tool(tool::ToolOutcome::Unknown { fault: Fault::new("TIMEOUT", "scripted") }))
}

pub fn not_found() -> FixtureReply {
    FixtureReply::Comes(CallOutcome::NotFound)
}

pub fn blocked(by: BlockReason) -> FixtureReply {
    FixtureReply::Comes(CallOutcome::Blocked { by, cost: Usd::ZERO })
}

/// The circuit of its service is open until then.
pub fn circuit_open(until: Time) -> FixtureReply {
    FixtureReply::Comes(CallOutcome::CircuitOpen { until, fault: Fault::new(tool::CIRCUIT_OPEN, "scripted") })
}

/// It did not act: its service is down.
pub fn down() -> FixtureReply {
    flaky("SERVICE_UNAVAILABLE")
}

pub fn says(content: &str) -> FixtureReply {
    FixtureReply::Comes(CallOutcome::Model(Ok(model::ModelReply {
        content: content.to_owned(),
        tool_calls: Vec::new(),
        thinking: None,
        finish: model::FinishReason::Stop,
        usage: model::TokenUsage::default(),
        model: "m".to_owned(),
        provider: "script".to_owned(),
        cost: Usd::from_f64(0.01),
        latency_ms: 1,
    })))
}

pub fn model_fails(code: &'static str) -> FixtureReply {
    let fault = Fault::new(code, "scripted");
    FixtureReply::Comes(CallOutcome::Model(Err(ModelCallError::permanent(fault))))
}

/// As [`model_fails`], at a cost: it was sent, and no reply arrived.
pub fn model_fails_at(usd: f64) -> FixtureReply {
    let failed = ModelCallError::transient(Fault::new("TIMEOUT", "scripted"));
    FixtureReply::Comes(CallOutcome::Model(Err(ModelCallError { cost: Usd::from_f64(usd), ..failed })))
}

/// A program finished.
pub fn ran(output: Value) -> FixtureReply {
    FixtureReply::Comes(CallOutcome::Code(Ok(ProgramOutcome::Finished { output, printed: "done\n".to_owned() })))
}

/// A program paused for calls of these tools.
pub fn calls(tools: &[&str], snapshot: &str) -> FixtureReply {
    let call = |(place, tool): (usize, &&str)| ToolRequest {
        id: format!("py-{place}"),
        tool: (*tool).to_owned(),
        arguments: json!({"n": place}),
    };
    let calls = tools.iter().enumerate().map(call).collect();
    let snapshot = ProgramSnapshot { version: "1".to_owned(), bytes: snapshot.to_owned() };
    FixtureReply::Comes(CallOutcome::Code(Ok(ProgramOutcome::Calls { calls, snapshot, printed: String::new() })))
}

/// An agent's endpoint decides the next step.
pub fn thought(step: AgentStep) -> FixtureReply {
    FixtureReply::Comes(CallOutcome::Step(Ok(step)))
}

/// The sandbox could not run it.
pub fn sandbox_fails() -> FixtureReply {
    FixtureReply::Comes(CallOutcome::Code(Err(Fault::new("SANDBOX_UNAVAILABLE", "scripted"))))
}

/// A run with its environment.
pub struct RunFixture {
    pub run: Run,
    pub journal: Vec<RunEntry>,
    pub now: Time,
    versions: BTreeMap<ContentHash, Arc<Workflow>>,
    version: ContentHash,
    replies: BTreeMap<String, VecDeque<FixtureReply>>,
    look_ups: VecDeque<FixtureReply>,
    steps: BTreeMap<String, VecDeque<AgentStep>>,
    in_flight: BTreeMap<EffectId, String>,
    /// Every request that was sent: its key, the tool, the arguments.
    pub ledger: Vec<(String, String, Value)>,
    /// The answers to its questions that each request contained.
    pub brought: Vec<Vec<tool::QuestionOutcome>>,
    /// Keys with a recorded answer.
    answered: BTreeSet<String>,
    /// Sends of unknown outcome that are not resolved yet.
    doubted: BTreeSet<EffectId>,
    /// Entries that only fill the journal, by the entry they come before.
    filled: Vec<(usize, RunEntry)>,
    epoch: u64,
    calls: u32,
    /// The estimated cost of a model call.
    pub quote: PriceQuote,
    /// The reply to every request without a scripted one.
    pub fate: Option<FixtureReply>,
    advice: Arc<AgentConstraints>,
    /// Why the last command was refused.
    pub refused: Option<RunRefusal>,
}

impl RunFixture {
    pub fn new(flow: FlowBuilder) -> Self {
        let version = ContentHash::of(b"1");
        Self {
            run: Run::new(),
            journal: Vec::new(),
            now: Time::from_ms(1_000_000),
            versions: BTreeMap::from([(version.clone(), Arc::new(flow.workflow()))]),
            version,
            replies: BTreeMap::new(),
            look_ups: VecDeque::new(),
            steps: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            ledger: Vec::new(),
            brought: Vec::new(),
            answered: BTreeSet::new(),
            doubted: BTreeSet::new(),
            filled: Vec::new(),
            epoch: 1,
            calls: 0,
            quote: PriceQuote::default(),
            fate: None,
            advice: Arc::default(),
            refused: None,
        }
    }

    // ---- scripted replies

    /// Scripts the replies to the next requests of a tool, or of a model by its agent's name; the others succeed.
    pub fn answers(&mut self, tool: &str, replies: impl IntoIterator<Item = FixtureReply>) -> &mut Self {
        self.replies.entry(tool.to_owned()).or_default().extend(replies);
        self
    }

    /// Scripts the next look-ups; the others find nothing.
    pub fn finds(&mut self, replies: impl IntoIterator<Item = FixtureReply>) -> &mut Self {
        self.look_ups.extend(replies);
        self
    }

    /// Scripts an agent's next steps, node by node; after them it answers.
    pub fn thinks(&mut self, node: &str, steps: impl IntoIterator<Item = AgentStep>) -> &mut Self {
        self.steps.entry(node.to_owned()).or_default().extend(steps);
        self
    }

    /// Sets the constraints of the tenant's agents from now on.
    pub fn advises(&mut self, advice: AgentConstraints) -> &mut Self {
        self.advice = Arc::new(advice);
        self.run.set_agent_constraints(self.advice.clone());
        self
    }

    // ---- events

    pub fn starts(&mut self) -> &mut Self {
        self.starts_with(json!({}))
    }

    pub fn starts_with(&mut self, input: Value) -> &mut Self {
        let command = self.start_command(input);
        self.submit(command)
    }

    /// Starts as a run of a conversation.
    pub fn starts_in(&mut self, conversation: &str) -> &mut Self {
        let mut command = self.start_command(json!({}));
        if let RunCommand::Start { started, .. } = &mut command {
            started.origin = RunOrigin::Conversation { conversation: conversation.into() };
        }
        self.submit(command)
    }

    pub fn start_command(&self, input: Value) -> RunCommand {
        let started = RunStarted {
            run: RunId::new("run"),
            tenant: "acme".into(),
            bundle: self.version.clone(),
            input: Arc::new(input),
            context: Value::Null,
            caller: Caller::default(),
            origin: RunOrigin::Caller,
        };
        let workflow = self.versions[&self.version].clone();
        RunCommand::Start { started: Box::new(started), workflow }
    }

    /// Submits a command, and handles everything that follows without time passing.
    pub fn submit(&mut self, command: RunCommand) -> &mut Self {
        self.refused = self.decide(command).err();
        self.settle();
        self
    }

    /// Submits a command alone: its effects are not answered.
    pub fn only_decides(&mut self, command: RunCommand) -> &mut Self {
        self.refused = self.decide(command).err();
        self
    }

    pub fn now(&self) -> Time {
        self.now
    }

    /// Advances time; everything that becomes due is handled at its time.
    pub fn advance_time(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while let Some(next) = self.run.wake_at(self.now).filter(|at| *at <= end) {
            self.now = self.now.max(next);
            self.submit(RunCommand::Wake);
        }
        self.now = end;
        self.submit(RunCommand::Wake)
    }

    /// Delivers the reply to a request in flight.
    pub fn deliver_reply(&mut self, tool: &str, reply: FixtureReply) -> &mut Self {
        let found = self.in_flight.iter().find(|(_, name)| *name == tool).map(|(effect, _)| effect.clone());
        let effect = found.unwrap_or_else(|| panic!("`{tool}` is not out"));
        self.in_flight.remove(&effect);
        self.deliver_outcome(effect, reply)
    }

    /// Delivers an outcome, whether it is awaited or not.
    pub fn deliver_outcome(&mut self, effect: EffectId, reply: FixtureReply) -> &mut Self {
        let FixtureReply::Comes(outcome) = reply else { panic!("it stays out") };
        self.note(&effect, &outcome);
        self.submit(RunCommand::Outcome { effect, outcome })
    }

    /// The process crashes; another one folds the run from its journal and takes it over.
    pub fn crashes(&mut self) -> &mut Self {
        self.take_over(OwnerDeparture::Crashed)
    }

    /// The owner stopped and reported that; another one takes the run over.
    pub fn change_owner(&mut self) -> &mut Self {
        self.take_over(OwnerDeparture::Dropped)
    }

    /// The owner released the run with nothing in flight; another one takes it over after `wait`.
    pub fn release_for(&mut self, wait: Duration) -> &mut Self {
        assert!(self.in_flight.is_empty(), "who has something out does not let go: {:?}", self.in_flight);
        self.now = self.now + wait;
        self.take_over(OwnerDeparture::Released)
    }

    fn take_over(&mut self, left: OwnerDeparture) -> &mut Self {
        self.run = self.replayed();
        let may_be_out = |id: &EffectId| {
            let call = &self.run.calls[&id.call];
            call.class.has_side_effects() && (self.in_flight.contains_key(id) || call.may_be_out_unmarked(self.now))
        };
        let open = self.run.calls.iter();
        let open = open.map(|(id, call)| EffectId { call: id.clone(), generation: call.generation });
        if left != OwnerDeparture::Released {
            self.doubted.extend(open.filter(may_be_out));
        }
        self.in_flight.clear();
        self.epoch += 1;
        self.submit(RunCommand::TakenOver { epoch: self.epoch, departure: left, went_back: false })
    }

    pub fn pauses(&mut self) -> &mut Self {
        self.submit(RunCommand::Pause { by: "ana".into() })
    }

    pub fn resumes(&mut self) -> &mut Self {
        self.submit(RunCommand::Resume { by: "ana".into() })
    }

    pub fn cancels(&mut self, compensate: bool) -> &mut Self {
        self.submit(RunCommand::Cancel { by: "ana".into(), compensate, asked_by: Vec::new() })
    }

    pub fn rolls_back(&mut self) -> &mut Self {
        self.submit(RunCommand::Rollback { by: "ana".into(), asked_by: Vec::new() })
    }

    pub fn retries(&mut self) -> &mut Self {
        let command = self.retry_command();
        self.submit(command)
    }

    pub fn retry_command(&self) -> RunCommand {
        let workflow = self.versions[&self.version].clone();
        RunCommand::Retry { by: "ana".into(), bundle: self.version.clone(), workflow }
    }

    /// Retries on a newer version.
    pub fn retries_on(&mut self, flow: FlowBuilder) -> &mut Self {
        self.knows(flow);
        self.retries()
    }

    /// Registers a newer version.
    pub fn knows(&mut self, flow: FlowBuilder) {
        self.version = ContentHash::of(format!("{}", self.versions.len() + 1).as_bytes());
        self.versions.insert(self.version.clone(), Arc::new(flow.workflow()));
    }

    /// Continues as a fork of what has been recorded so far: the fork of this run is `fork`, and the fork of that one
    /// `fork-fork`.
    pub fn forks(&mut self, owns_undo: bool, variables: Value) -> &mut Self {
        self.forks_as("ana", owns_undo, variables)
    }

    pub fn forks_as(&mut self, by: &str, owns_undo: bool, variables: Value) -> &mut Self {
        let variables = variables.as_object().unwrap().clone().into_iter().collect();
        let from = self.run.id().unwrap().clone();
        let run = if from.as_str() == "run" { RunId::new("fork") } else { RunId::new(format!("{from}-fork")) };
        let forked = RunForked { run, from, by: by.into(), variables, owns_undo };
        self.in_flight.clear();
        self.doubted.clear();
        self.submit(RunCommand::Fork { forked: Box::new(forked) })
    }

    pub fn signals(&mut self, name: &str, payload: Value) -> &mut Self {
        self.submit(RunCommand::Signal(signal(name, payload, None)))
    }

    /// A signal with the sender's own number.
    pub fn signals_numbered(&mut self, number: u64) -> &mut Self {
        self.submit(RunCommand::Signal(signal("go", json!(number), Some(number))))
    }

    pub fn approves(&mut self, node: &str, by: &str) -> &mut Self {
        self.person(node, by, HumanDecision::Approve { note: String::new() })
    }

    pub fn rejects(&mut self, node: &str, by: &str) -> &mut Self {
        self.person(node, by, HumanDecision::Reject { note: "no".into() })
    }

    pub fn person(&mut self, node: &str, by: impl Into<DecisionMaker>, decision: HumanDecision) -> &mut Self {
        self.submit(RunCommand::Answer { node: NodeAddress::parse(node), by: by.into(), decision })
    }

    /// A person resolves a call of unknown outcome.
    pub fn resolves(&mut self, node: &str, resolution: DoubtResolution) -> &mut Self {
        let effect = self.asks().into_iter().find_map(|ask| match ask {
            crate::run::HumanTask::Doubt(effect) if effect.call.node.to_string() == node => Some(effect),
            _ => None,
        });
        let effect = effect.unwrap_or_else(|| panic!("`{node}` is not in doubt"));
        self.submit(RunCommand::Resolve { effect, by: "ana".into(), resolution })
    }

    /// A person approves or rejects a call that needs an approval.
    pub fn allows(&mut self, node: &str, approved: bool) -> &mut Self {
        self.says(node, "ana", approved, "")
    }

    /// Approves or rejects as this person.
    pub fn says(&mut self, node: &str, by: impl Into<DecisionMaker>, approved: bool, note: &str) -> &mut Self {
        let effect = self.asks().into_iter().find_map(|ask| match ask {
            crate::run::HumanTask::Approval(effect)
            | crate::run::HumanTask::Budget(effect)
            | crate::run::HumanTask::Question(effect)
                if effect.call.node.to_string() == node =>
            {
                Some(effect)
            }
            _ => None,
        });
        let effect = effect.unwrap_or_else(|| panic!("`{node}` needs no leave"));
        self.submit(RunCommand::Approve { effect, by: by.into(), approved, note: note.to_owned() })
    }

    /// A person answers a call's question.
    pub fn fills(&mut self, node: &str, by: &str, form: Value) -> &mut Self {
        let effect = self.asks().into_iter().find_map(|ask| match ask {
            crate::run::HumanTask::Question(effect) if effect.call.node.to_string() == node => Some(effect),
            _ => None,
        });
        let effect = effect.unwrap_or_else(|| panic!("`{node}` asks nothing"));
        self.submit(RunCommand::Fill { effect, by: by.to_owned(), form })
    }

    /// A person undid the effect at the service, after its compensation failed.
    pub fn undoes_by_hand(&mut self, node: &str, by: &str) -> &mut Self {
        let effect = self.not_undone(node).into_iter().next().unwrap_or_else(|| panic!("nothing of `{node}` is left"));
        self.submit(RunCommand::Resolve {
            effect,
            by: by.to_owned(),
            resolution: DoubtResolution::Done { output: Value::Null },
        })
    }

    /// A person retries a failed compensation: its last attempt.
    pub fn tries_again(&mut self, node: &str) -> &mut Self {
        let left = self.not_undone(node).pop().unwrap_or_else(|| panic!("nothing of `{node}` is left"));
        self.submit(RunCommand::Resolve { effect: left, by: "olga".to_owned(), resolution: DoubtResolution::Repeat })
    }

    /// Attempts to undo this node's effects that finally failed.
    pub fn not_undone(&self, node: &str) -> Vec<EffectId> {
        let attempts = self.events().filter_map(|event| match event {
            RunEvent::NotUndone { effect, .. } if effect.call.node.to_string() == node => Some(effect.clone()),
            _ => None,
        });
        attempts.collect()
    }

    pub fn child_ends(&mut self, node: &str, run: &str, state: RunState, acted: bool) -> &mut Self {
        let fault = (state != RunState::Completed).then(|| Fault::new("CHILD", "scripted"));
        let ended = ChildResult {
            run: run.into(),
            state,
            output: Arc::new(json!({"from": run})),
            fault,
            cost: Usd::from_f64(0.5),
            acted,
        };
        self.submit(RunCommand::ChildEnded { node: NodeAddress::parse(node), ended })
    }

    pub fn child_undone(&mut self, run: &str) -> &mut Self {
        self.submit(RunCommand::ChildUndone { run: run.into(), fault: None })
    }

    /// Fills the journal up to this number of events with some that change nothing.
    pub fn fill_journal(&mut self, events: u64) -> &mut Self {
        let missing = events - self.run.events();
        let filling = RunEvent::JournalFilling { events: 0, limit: 0 };
        let entry = RunEntry { at: self.now, events: vec![filling; usize::try_from(missing).unwrap()] };
        self.run.fold(&entry);
        self.filled.push((self.journal.len(), entry));
        self
    }

    // ---- progress

    fn settle(&mut self) {
        for _ in 0..100_000 {
            if self.run.has_more_work() {
                self.decide(RunCommand::Wake).unwrap();
            } else if let Some(node) = self.run.agent_to_step().map(|(node, ..)| node) {
                let steps = self.steps.get_mut(node.node.as_str());
                let step = steps.and_then(VecDeque::pop_front).unwrap_or(AgentStep::Answer { output: json!("answer") });
                self.decide(RunCommand::Stepped { node, step, quote: self.quote }).unwrap();
            } else if !self.send_next() {
                return;
            }
        }
        panic!("the run never comes to rest");
    }

    /// Sends the next effect that is not in flight, and answers it.
    fn send_next(&mut self) -> bool {
        let fresh = self.run.pending(self.now).find_map(|effect| match effect {
            Effect::Send { effect, .. } | Effect::LookUp { effect, .. } if self.in_flight.contains_key(&effect) => None,
            Effect::Send { effect, request, class, timeout, replies, .. } => {
                Some((effect, request.clone(), class.needs_marker().then_some(timeout), replies.to_vec(), false))
            }
            Effect::LookUp { effect, request, .. } => Some((effect, request.clone(), None, Vec::new(), true)),
        });
        let Some((effect, request, marked, replies, is_look_up)) = fresh else { return false };
        if !replies.is_empty() {
            self.brought.push(replies.into_iter().map(|reply| reply.said).collect());
        }
        if let Some(timeout) = marked {
            let command =
                RunCommand::Sending { effect: effect.clone(), epoch: self.epoch, deadline: self.now + timeout };
            self.decide(command).unwrap();
        }
        let (name, arguments) = match &request {
            EffectRequest::Tool { tool, arguments, .. } => (tool.clone(), (**arguments).clone()),
            EffectRequest::Model(request) => (request.agent.clone(), serde_json::to_value(request).unwrap()),
            EffectRequest::Code { agent, program } => {
                (format!("{agent}'s code"), serde_json::to_value(program).unwrap())
            }
            EffectRequest::Step { agent, .. } => {
                let shown = self.run.agent(&effect.call.node).unwrap();
                (format!("{agent}'s endpoint"), serde_json::to_value(shown).unwrap())
            }
        };
        let reply = if is_look_up {
            self.look_ups.pop_front().unwrap_or_else(not_found)
        } else {
            self.record_request(&effect, &name, arguments);
            self.reply_of(&name, &request)
        };
        let reply = match reply {
            FixtureReply::HeldBack(wait) => blocked(BlockReason::RateLimit { until: self.now + wait }),
            FixtureReply::OverBudget(wait) => {
                let line = "the hourly budget of tenant `acme`".to_owned();
                blocked(BlockReason::Budget { line, until: self.now + wait })
            }
            reply => reply,
        };
        match reply {
            FixtureReply::StaysOut | FixtureReply::HeldBack(_) | FixtureReply::OverBudget(_) => {
                drop(self.in_flight.insert(effect, name))
            }
            FixtureReply::Comes(outcome) => {
                self.note(&effect, &outcome);
                self.decide(RunCommand::Outcome { effect, outcome }).unwrap();
            }
        }
        true
    }

    fn reply_of(&mut self, name: &str, request: &EffectRequest) -> FixtureReply {
        let scripted = self.replies.get_mut(name).and_then(VecDeque::pop_front);
        self.calls += 1;
        scripted.or_else(|| self.fate.clone()).unwrap_or_else(|| match request {
            EffectRequest::Tool { .. } => done(json!({"id": format!("{name}-{}", self.calls)})),
            EffectRequest::Model(_) => says("hello"),
            EffectRequest::Code { .. } => ran(json!("ran")),
            EffectRequest::Step { .. } => thought(AgentStep::Answer { output: json!("thought") }),
        })
    }

    /// Checks that one key never has two sets of arguments, that nothing is requested whose answer is recorded, and
    /// that no other key is used while a send under the last one may have acted.
    fn record_request(&mut self, effect: &EffectId, tool: &str, arguments: Value) {
        let key = effect.key(self.run.id().unwrap());
        let before = self.ledger.iter().find(|(known, ..)| *known == key);
        if let Some((_, known, with)) = before {
            assert_eq!((known.as_str(), with), (tool, &arguments), "key `{key}` carries two sets of arguments");
        }
        assert!(!self.answered.contains(&key), "`{key}` is asked again although its answer is recorded");
        let older = self.doubted.iter().find(|known| known.call == effect.call && known.generation < effect.generation);
        assert!(older.is_none(), "`{key}` is asked while {older:?} is in doubt");
        self.ledger.push((key, tool.to_owned(), arguments));
    }

    /// Records what an outcome says about a key. An attempt that did not act settles its key, unless an earlier one may
    /// have acted.
    fn note(&mut self, effect: &EffectId, outcome: &CallOutcome) {
        let class = self.run.calls.get(&effect.call).map(|call| call.class);
        let is_settled = match outcome {
            CallOutcome::Tool(tool::ToolOutcome::Done { .. })
            | CallOutcome::Model(Ok(_))
            | CallOutcome::Code(Ok(_))
            | CallOutcome::Step(Ok(_))
            | CallOutcome::NotFound => true,
            CallOutcome::Tool(tool::ToolOutcome::NotDone { retryable, .. }) => {
                !(class == Some(tool::EffectClass::Keyed) && *retryable && self.doubted.contains(effect))
            }
            CallOutcome::Tool(tool::ToolOutcome::Asks { .. }) => {
                !(class == Some(tool::EffectClass::Keyed) && self.doubted.contains(effect))
            }
            CallOutcome::Tool(tool::ToolOutcome::Unknown { .. }) => {
                self.doubted.extend(class.filter(|class| class.has_side_effects()).map(|_| effect.clone()));
                false
            }
            CallOutcome::Model(Err(_))
            | CallOutcome::Code(Err(_))
            | CallOutcome::Step(Err(_))
            | CallOutcome::Stopped { .. }
            | CallOutcome::Dropped { .. }
            | CallOutcome::Blocked { .. }
            | CallOutcome::CircuitOpen { .. }
            | CallOutcome::NotSent => false,
        };
        if is_settled {
            self.doubted.remove(effect);
            if *outcome != CallOutcome::NotFound {
                self.answered.insert(effect.key(self.run.id().unwrap()));
            }
        }
    }

    /// Decides, and checks the invariants of the decision.
    fn decide(&mut self, command: RunCommand) -> Result<Vec<RunEvent>, RunRefusal> {
        if let RunCommand::Resolve { effect, .. } = &command {
            self.doubted.remove(effect);
        }
        let before = self.run.clone();
        let mut loaded = self.round_trip(&before);
        let decided = self.run.decide(command.clone(), self.now);
        let again = loaded.decide(command, self.now);
        assert_eq!(decided, again, "a run loaded from its snapshot decides otherwise");
        match &decided {
            Ok(events) => {
                let entry = RunEntry { at: self.run.now(), events: events.clone() };
                let text = serde_json::to_string(&entry).unwrap();
                let read: RunEntry = serde_json::from_str(&text).unwrap();
                assert_eq!(read, entry, "an entry reads back as another");
                assert_eq!(serde_json::to_string(&read).unwrap(), text);
                let mut folded = self.informed(before);
                folded.fold(&read);
                assert_eq!(text_of(&folded), text_of(&self.run), "the fold disagrees with the decision {events:#?}");
                if !events.is_empty() {
                    self.journal.push(entry);
                }
            }
            Err(refusal) => {
                assert_eq!(text_of(&before), text_of(&self.run), "a refused command changed something: {refusal}");
            }
        }
        assert_eq!(text_of(&loaded), text_of(&self.run), "a snapshot leads elsewhere");
        super::invariants::hold(&self.run, self.now);
        decided
    }

    fn round_trip(&self, run: &Run) -> Run {
        let loaded: Run = serde_json::from_str(&text_of(run)).unwrap();
        assert_eq!(text_of(&loaded), text_of(run), "a snapshot reads back as another");
        self.informed(loaded)
    }

    pub fn informed(&self, mut run: Run) -> Run {
        run.set_agent_constraints(self.advice.clone());
        for (hash, workflow) in &self.versions {
            run.add_version(hash.clone(), workflow.clone());
        }
        run
    }

    /// The run, folded from its journal alone.
    pub fn replayed(&self) -> Run {
        let mut run = self.informed(Run::new());
        for (place, entry) in self.journal.iter().enumerate() {
            self.filled.iter().filter(|(before, _)| *before == place).for_each(|(_, filling)| run.fold(filling));
            run.fold(entry);
        }
        assert_eq!(text_of(&run), text_of(&self.run), "the journal leads elsewhere");
        run
    }

    // ---- assertions

    pub fn asks(&self) -> Vec<crate::run::HumanTask> {
        self.run.human_tasks()
    }

    #[track_caller]
    pub fn assert_state(&self, state: RunState) -> &Self {
        assert_eq!(self.run.state(), state, "fault: {:?}, asked: {:?}", self.run.fault(), self.tools());
        self
    }

    /// The nodes that ran, in the order they were settled.
    #[track_caller]
    pub fn assert_path(&self, path: &str) -> &Self {
        let nodes: Vec<String> = executed_path(&self.journal).iter().map(ToString::to_string).collect();
        assert_eq!(nodes.join(" "), path);
        self
    }

    fn tools(&self) -> String {
        self.ledger.iter().map(|(_, tool, _)| tool.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// The tools and agents' models that were called, in order, including repetitions.
    #[track_caller]
    pub fn asked(&self, tools: &str) -> &Self {
        assert_eq!(self.tools(), tools);
        self
    }

    /// The last arguments of a tool.
    #[track_caller]
    pub fn asked_with(&self, tool: &str, arguments: Value) -> &Self {
        let last = self.ledger.iter().rfind(|(_, name, _)| name == tool);
        assert_eq!(last.map(|(.., with)| with), Some(&arguments), "of `{tool}`");
        self
    }

    /// Every call that was sent had its own key.
    #[track_caller]
    pub fn assert_unique_keys(&self) -> &Self {
        let keys: BTreeSet<&str> = self.ledger.iter().map(|(key, ..)| key.as_str()).collect();
        assert_eq!(keys.len(), self.ledger.len(), "{:?}", self.ledger);
        self
    }

    /// The number of journal entries.
    #[track_caller]
    pub fn entries(&self, count: usize) -> &Self {
        assert_eq!(self.journal.len(), count);
        self
    }

    /// The keys of all sent requests.
    #[track_caller]
    pub fn keys(&self, keys: &[&str]) -> &Self {
        assert_eq!(self.ledger.iter().map(|(key, ..)| key.as_str()).collect::<Vec<_>>(), keys);
        self
    }

    #[track_caller]
    pub fn assert_output(&self, output: Value) -> &Self {
        assert_eq!(self.run.finished().map(|finished| (*finished.output).clone()), Some(output));
        self
    }

    #[track_caller]
    pub fn output_of(&self, node: &str, output: Value) -> &Self {
        assert_eq!(self.run.outputs().get(node), Some(&output));
        self
    }

    #[track_caller]
    pub fn has(&self, key: &str, value: Value) -> &Self {
        assert_eq!(self.run.variables().get(key).map(|held| (**held).clone()), Some(value));
        self
    }

    #[track_caller]
    pub fn failed_with(&self, code: &str) -> &Self {
        assert_eq!(self.run.fault().map(|fault| fault.code.as_ref()), Some(code), "{:?}", self.run.fault());
        self
    }

    #[track_caller]
    pub fn refused_with(&self, code: &str) -> &Self {
        assert_eq!(self.refused.as_ref().map(RunRefusal::code), Some(code), "{:?}", self.refused);
        self
    }

    #[track_caller]
    pub fn accepted(&self) -> &Self {
        assert_eq!(self.refused, None);
        self
    }

    /// A node's status, by its address.
    #[track_caller]
    pub fn node_is(&self, node: &str, status: &str) -> &Self {
        let row = self.run.nodes().into_iter().find(|row| row.node.to_string() == node);
        assert_eq!(row.map(|row| row.status), Some(status), "of `{node}`");
        self
    }

    /// How often an event of this kind was recorded.
    #[track_caller]
    pub fn recorded(&self, kind: &str, times: usize) -> &Self {
        assert_eq!(self.events().filter(|event| kind_of(event) == kind).count(), times, "of `{kind}`");
        self
    }

    pub fn events(&self) -> impl Iterator<Item = &RunEvent> {
        self.journal.iter().flat_map(|entry| &entry.events)
    }

    /// The effect that has been in flight for longest, by its name.
    pub fn oldest_out(&self) -> Option<EffectId> {
        self.in_flight.keys().next().cloned()
    }

    /// Marks a send as no longer awaited.
    pub fn drop_send(&mut self, effect: &EffectId) {
        self.in_flight.remove(effect);
    }

    /// Abandoned calls that may still be answered.
    pub fn forgotten(&self) -> Vec<EffectId> {
        self.run.forgotten.keys().cloned().collect()
    }

    /// Children that have not ended, by node and run, and whether they were asked to stop.
    pub fn children(&self) -> Vec<(String, String, bool)> {
        let mut children = Vec::new();
        for (path, scope) in &self.run.scopes {
            for place in &scope.active {
                let activity = scope.nodes[*place as usize].activity.as_deref();
                if let Some(NodeActivity::Child { run, cancelling, .. }) = activity {
                    let node = NodeAddress::new(path.clone(), scope.graph.nodes[*place as usize].id.clone());
                    children.push((node.to_string(), run.to_string(), *cancelling));
                }
            }
        }
        children
    }

    /// Children that were asked to undo their effects and have not reported that they did.
    pub fn children_to_undo(&self) -> Vec<String> {
        let mut open = Vec::new();
        for event in self.events() {
            match event {
                RunEvent::ChildUndoing { effect, run } => open.push((effect.call.clone(), run.to_string())),
                RunEvent::ChildUndone { effect, .. } => open.retain(|(call, _)| *call != effect.call),
                _ => {}
            }
        }
        open.into_iter().map(|(_, run)| run).collect()
    }

    /// The last effect of a tool.
    pub fn out(&self, tool: &str) -> EffectId {
        let found = self.in_flight.iter().find(|(_, name)| *name == tool);
        found.map(|(effect, _)| effect.clone()).unwrap_or_else(|| panic!("`{tool}` is not out"))
    }

    /// Open tasks: `human:node`, `doubt:node`, `approval:node`, `question:node`, `customer:node`.
    #[track_caller]
    pub fn waits_for(&self, asks: &str) -> &Self {
        let word = |ask: &crate::run::HumanTask| match ask {
            crate::run::HumanTask::Human(node) => format!("human:{node}"),
            crate::run::HumanTask::Customer(node) => format!("customer:{node}"),
            crate::run::HumanTask::Doubt(effect) => format!("doubt:{}", effect.call.node),
            crate::run::HumanTask::Approval(effect) => format!("approval:{}", effect.call.node),
            crate::run::HumanTask::Question(effect) => format!("question:{}", effect.call.node),
            crate::run::HumanTask::Budget(effect) => format!("budget:{}", effect.call.node),
            crate::run::HumanTask::Key(effect) => format!("key:{}", effect.call.node),
        };
        assert_eq!(self.asks().iter().map(word).collect::<Vec<_>>().join(" "), asks);
        self
    }

    /// The state of each effect of the saga, newest first.
    #[track_caller]
    pub fn undone(&self, rows: &[(&str, &str)]) -> &Self {
        let report = self.run.saga().report();
        let told: Vec<(&str, &str)> = report
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| Some((row["node"].as_str()?, row["state"].as_str()?)))
            .collect();
        assert_eq!(told, rows);
        self
    }
}

pub fn signal(name: &str, payload: Value, sequence: Option<u64>) -> Signal {
    Signal { name: name.to_owned(), payload: Arc::new(payload), source: "s".to_owned(), sequence, after_gap: false }
}

pub fn kind_of(event: &RunEvent) -> String {
    match serde_json::to_value(event).unwrap() {
        Value::String(kind) => kind,
        Value::Object(map) => map.keys().next().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}

pub fn text_of(run: &Run) -> String {
    serde_json::to_string(run).unwrap()
}

/// The entry point of the tests: a workflow, the events of its run, and the assertions.
#[track_caller]
pub fn check(
    given: FlowBuilder,
    when: impl FnOnce(&mut RunFixture) -> &mut RunFixture,
    expect: impl FnOnce(&RunFixture) -> &RunFixture,
) {
    let mut world = RunFixture::new(given);
    when(&mut world);
    expect(&world);
    world.replayed();
}
