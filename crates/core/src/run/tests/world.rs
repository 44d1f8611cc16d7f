//! A world that answers what a run asks, by script, and holds every decision to what is promised of decisions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::flow::Flow;
use crate::agent::{Advice, Ran, Snapshot, Step, ToolRequest};
use crate::bundle::Hash;
use crate::fault::Fault;
use crate::graph::Workflow;
use crate::id::RunId;
use crate::model;
use crate::money::{Quote, Usd};
use crate::run::state::Activity;
use crate::run::{
    Address, Block, ChildEnd, Command, Decider, Decision, Departure, Effect, EffectId, Entry, Event, Forked,
    ModelFault, Origin, Outcome, Refusal, Request, Resolution, Run, Signal, Started, State, path_of,
};
use crate::time::Time;
use crate::tool::{self, Caller};

/// What a request comes to.
#[derive(Clone, Debug)]
pub enum Reply {
    Comes(Outcome),
    /// It stays out until [`World::returns`].
    StaysOut,
    /// It is not let out for so long.
    HeldBack(Duration),
    /// A budget is used up for so long.
    OverBudget(Duration),
}

pub fn done(output: Value) -> Reply {
    Reply::Comes(Outcome::Tool(tool::Outcome::Done { output: output.into(), cost: Usd::ZERO, cached: false }))
}

pub fn costs(usd: f64) -> Reply {
    Reply::Comes(Outcome::Tool(tool::Outcome::Done {
        output: json!({}).into(),
        cost: Usd::from_f64(usd),
        cached: false,
    }))
}

/// It did not act, and another attempt would not help.
pub fn fails(code: &'static str) -> Reply {
    not_done(code, false, None)
}

/// It did not act; another attempt may.
pub fn flaky(code: &'static str) -> Reply {
    not_done(code, true, None)
}

pub fn not_done(code: &'static str, retryable: bool, retry_after: Option<u64>) -> Reply {
    let fault = Fault::new(code, "scripted");
    Reply::Comes(Outcome::Tool(tool::Outcome::NotDone { fault, retryable, retry_after }))
}

/// It was not let out, and will not be: nobody was asked.
pub fn stopped(code: &'static str) -> Reply {
    Reply::Comes(Outcome::Stopped { fault: Fault::new(code, "scripted") })
}

/// It did not act, and asks a person first, for so long.
pub fn asks(message: &str, within: Option<Duration>) -> Reply {
    let schema = json!({"type": "object", "properties": {"seat": {"type": "string"}}, "required": ["seat"]});
    let question = Box::new(tool::Question { message: message.to_owned(), schema, resume: Value::Null });
    let within = within.map(|within| u64::try_from(within.as_millis()).unwrap());
    Reply::Comes(Outcome::Tool(tool::Outcome::Asks { question, within }))
}

/// Nobody can tell whether it acted.
pub fn unknown() -> Reply {
    Reply::Comes(Outcome::Tool(tool::Outcome::Unknown { fault: Fault::new("TIMEOUT", "scripted") }))
}

pub fn not_found() -> Reply {
    Reply::Comes(Outcome::NotFound)
}

pub fn blocked(by: Block) -> Reply {
    Reply::Comes(Outcome::Blocked { by, cost: Usd::ZERO })
}

/// Its service is left alone until then.
pub fn circuit_open(until: Time) -> Reply {
    Reply::Comes(Outcome::CircuitOpen { until, fault: Fault::new(tool::CIRCUIT_OPEN, "scripted") })
}

/// It did not act: its service is down.
pub fn down() -> Reply {
    flaky("SERVICE_UNAVAILABLE")
}

pub fn says(content: &str) -> Reply {
    Reply::Comes(Outcome::Model(Ok(model::Reply {
        content: content.to_owned(),
        tool_calls: Vec::new(),
        thinking: None,
        finish: model::Finish::Stop,
        usage: model::Usage::default(),
        model: "m".to_owned(),
        provider: "script".to_owned(),
        cost: Usd::from_f64(0.01),
        latency_ms: 1,
    })))
}

pub fn model_fails(code: &'static str) -> Reply {
    let fault = Fault::new(code, "scripted");
    Reply::Comes(Outcome::Model(Err(ModelFault::lasting(fault))))
}

/// As [`model_fails`], for a price: it was sent, and nothing came back.
pub fn model_fails_at(usd: f64) -> Reply {
    let failed = ModelFault::transient(Fault::new("TIMEOUT", "scripted"));
    Reply::Comes(Outcome::Model(Err(ModelFault { cost: Usd::from_f64(usd), ..failed })))
}

/// A program came to its end.
pub fn ran(output: Value) -> Reply {
    Reply::Comes(Outcome::Code(Ok(Ran::Finished { output, printed: "done\n".to_owned() })))
}

/// A program stopped for calls of these tools.
pub fn calls(tools: &[&str], snapshot: &str) -> Reply {
    let call = |(place, tool): (usize, &&str)| ToolRequest {
        id: format!("py-{place}"),
        tool: (*tool).to_owned(),
        arguments: json!({"n": place}),
    };
    let calls = tools.iter().enumerate().map(call).collect();
    let snapshot = Snapshot { version: "1".to_owned(), bytes: snapshot.to_owned() };
    Reply::Comes(Outcome::Code(Ok(Ran::Calls { calls, snapshot, printed: String::new() })))
}

/// Whoever thinks for an agent says what it wants next.
pub fn thought(step: Step) -> Reply {
    Reply::Comes(Outcome::Step(Ok(step)))
}

/// The sandbox could not run it.
pub fn sandbox_fails() -> Reply {
    Reply::Comes(Outcome::Code(Err(Fault::new("SANDBOX_UNAVAILABLE", "scripted"))))
}

/// A run and all that is around it.
pub struct World {
    pub run: Run,
    pub journal: Vec<Entry>,
    pub now: Time,
    versions: BTreeMap<Hash, Arc<Workflow>>,
    version: Hash,
    replies: BTreeMap<String, VecDeque<Reply>>,
    look_ups: VecDeque<Reply>,
    steps: BTreeMap<String, VecDeque<Step>>,
    in_flight: BTreeMap<EffectId, String>,
    /// Every request that reached the world: its key, the tool, the arguments.
    pub ledger: Vec<(String, String, Value)>,
    /// What was said to each question, with every request that took some along.
    pub brought: Vec<Vec<tool::Said>>,
    /// Keys whose answer is recorded.
    answered: BTreeSet<String>,
    /// Sends that may have acted, and nobody has said since whether they did.
    doubted: BTreeSet<EffectId>,
    /// Entries that only fill the journal, by the entry they come before.
    filled: Vec<(usize, Entry)>,
    epoch: u64,
    calls: u32,
    /// About what a model call may cost.
    pub quote: Quote,
    /// What every request comes to that no reply is arranged for.
    pub fate: Option<Reply>,
    advice: Arc<Advice>,
    /// Why the last command was refused.
    pub refused: Option<Refusal>,
}

impl World {
    pub fn new(flow: Flow) -> Self {
        let version = Hash::of(b"1");
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
            quote: Quote::default(),
            fate: None,
            advice: Arc::default(),
            refused: None,
        }
    }

    // ---- what is arranged

    /// Answers the next requests of a tool, or of a model by its agent's name; what is not arranged succeeds.
    pub fn answers(&mut self, tool: &str, replies: impl IntoIterator<Item = Reply>) -> &mut Self {
        self.replies.entry(tool.to_owned()).or_default().extend(replies);
        self
    }

    /// Answers the next look-ups; what is not arranged is not found.
    pub fn finds(&mut self, replies: impl IntoIterator<Item = Reply>) -> &mut Self {
        self.look_ups.extend(replies);
        self
    }

    /// What an agent asks for next, node by node; then it answers.
    pub fn thinks(&mut self, node: &str, steps: impl IntoIterator<Item = Step>) -> &mut Self {
        self.steps.entry(node.to_owned()).or_default().extend(steps);
        self
    }

    /// What holds for the tenant's agents from here on.
    pub fn advises(&mut self, advice: Advice) -> &mut Self {
        self.advice = Arc::new(advice);
        self.run.advise(self.advice.clone());
        self
    }

    // ---- what happens

    pub fn starts(&mut self) -> &mut Self {
        self.starts_with(json!({}))
    }

    pub fn starts_with(&mut self, input: Value) -> &mut Self {
        let command = self.start_command(input);
        self.does(command)
    }

    /// As a conversation's.
    pub fn starts_in(&mut self, conversation: &str) -> &mut Self {
        let mut command = self.start_command(json!({}));
        if let Command::Start { started, .. } = &mut command {
            started.origin = Origin::Conversation { conversation: conversation.into() };
        }
        self.does(command)
    }

    pub fn start_command(&self, input: Value) -> Command {
        let started = Started {
            run: RunId::new("run"),
            tenant: "acme".into(),
            bundle: self.version.clone(),
            input: Arc::new(input),
            context: Value::Null,
            caller: Caller::default(),
            origin: Origin::Caller,
        };
        let workflow = self.versions[&self.version].clone();
        Command::Start { started: Box::new(started), workflow }
    }

    /// A command, and all that follows from it without time passing.
    pub fn does(&mut self, command: Command) -> &mut Self {
        self.refused = self.decide(command).err();
        self.settle();
        self
    }

    /// A command alone: nothing it sets in motion is answered.
    pub fn only_decides(&mut self, command: Command) -> &mut Self {
        self.refused = self.decide(command).err();
        self
    }

    pub fn now(&self) -> Time {
        self.now
    }

    /// Time passes; whatever falls due on the way is looked at when it does.
    pub fn passes(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while let Some(next) = self.run.wake_at(self.now).filter(|at| *at <= end) {
            self.now = self.now.max(next);
            self.does(Command::Wake);
        }
        self.now = end;
        self.does(Command::Wake)
    }

    /// A request that stayed out comes back.
    pub fn returns(&mut self, tool: &str, reply: Reply) -> &mut Self {
        let found = self.in_flight.iter().find(|(_, name)| *name == tool).map(|(effect, _)| effect.clone());
        let effect = found.unwrap_or_else(|| panic!("`{tool}` is not out"));
        self.in_flight.remove(&effect);
        self.comes_back(effect, reply)
    }

    /// An outcome, whether somebody waits for it or not.
    pub fn comes_back(&mut self, effect: EffectId, reply: Reply) -> &mut Self {
        let Reply::Comes(outcome) = reply else { panic!("it stays out") };
        self.note(&effect, &outcome);
        self.does(Command::Outcome { effect, outcome })
    }

    /// The process dies; another folds the run from its journal and takes it over.
    pub fn crashes(&mut self) -> &mut Self {
        self.is_taken_over(Departure::Died)
    }

    /// Whoever moved it stopped over it, and said so; another takes it over.
    pub fn changes_hands(&mut self) -> &mut Self {
        self.is_taken_over(Departure::Dropped)
    }

    /// Whoever moved it let go of it with nothing out; another takes it over after `wait`.
    pub fn sleeps(&mut self, wait: Duration) -> &mut Self {
        assert!(self.in_flight.is_empty(), "who has something out does not let go: {:?}", self.in_flight);
        self.now = self.now + wait;
        self.is_taken_over(Departure::InOrder)
    }

    fn is_taken_over(&mut self, left: Departure) -> &mut Self {
        self.run = self.replayed();
        let may_be_out = |id: &EffectId| {
            let call = &self.run.calls[&id.call];
            call.class.acts() && (self.in_flight.contains_key(id) || call.may_be_out_unmarked(self.now))
        };
        let open = self.run.calls.iter();
        let open = open.map(|(id, call)| EffectId { call: id.clone(), generation: call.generation });
        if left != Departure::InOrder {
            self.doubted.extend(open.filter(may_be_out));
        }
        self.in_flight.clear();
        self.epoch += 1;
        self.does(Command::TakenOver { epoch: self.epoch, left, went_back: false })
    }

    pub fn pauses(&mut self) -> &mut Self {
        self.does(Command::Pause { by: "ana".into() })
    }

    pub fn resumes(&mut self) -> &mut Self {
        self.does(Command::Resume { by: "ana".into() })
    }

    pub fn cancels(&mut self, compensate: bool) -> &mut Self {
        self.does(Command::Cancel { by: "ana".into(), compensate, asked_by: Vec::new() })
    }

    pub fn rolls_back(&mut self) -> &mut Self {
        self.does(Command::Rollback { by: "ana".into(), asked_by: Vec::new() })
    }

    pub fn retries(&mut self) -> &mut Self {
        let command = self.retry_command();
        self.does(command)
    }

    pub fn retry_command(&self) -> Command {
        let workflow = self.versions[&self.version].clone();
        Command::Retry { by: "ana".into(), bundle: self.version.clone(), workflow }
    }

    /// Retries on a newer version.
    pub fn retries_on(&mut self, flow: Flow) -> &mut Self {
        self.knows(flow);
        self.retries()
    }

    /// A newer version.
    pub fn knows(&mut self, flow: Flow) {
        self.version = Hash::of(format!("{}", self.versions.len() + 1).as_bytes());
        self.versions.insert(self.version.clone(), Arc::new(flow.workflow()));
    }

    /// Goes on as a fork of what has been recorded so far: of this run `fork`, and of that one `fork-fork`.
    pub fn forks(&mut self, owns_undo: bool, variables: Value) -> &mut Self {
        self.forks_as("ana", owns_undo, variables)
    }

    pub fn forks_as(&mut self, by: &str, owns_undo: bool, variables: Value) -> &mut Self {
        let variables = variables.as_object().unwrap().clone().into_iter().collect();
        let from = self.run.id().unwrap().clone();
        let run = if from.as_str() == "run" { RunId::new("fork") } else { RunId::new(format!("{from}-fork")) };
        let forked = Forked { run, from, by: by.into(), variables, owns_undo };
        self.in_flight.clear();
        self.doubted.clear();
        self.does(Command::Fork { forked: Box::new(forked) })
    }

    pub fn signals(&mut self, name: &str, payload: Value) -> &mut Self {
        self.does(Command::Signal(signal(name, payload, None)))
    }

    /// A signal with the sender's own number.
    pub fn signals_numbered(&mut self, number: u64) -> &mut Self {
        self.does(Command::Signal(signal("go", json!(number), Some(number))))
    }

    pub fn approves(&mut self, node: &str, by: &str) -> &mut Self {
        self.person(node, by, Decision::Approve { note: String::new() })
    }

    pub fn rejects(&mut self, node: &str, by: &str) -> &mut Self {
        self.person(node, by, Decision::Reject { note: "no".into() })
    }

    pub fn person(&mut self, node: &str, by: impl Into<Decider>, decision: Decision) -> &mut Self {
        self.does(Command::Answer { node: Address::parse(node), by: by.into(), decision })
    }

    /// A person says what became of a call whose outcome nobody knows.
    pub fn resolves(&mut self, node: &str, resolution: Resolution) -> &mut Self {
        let effect = self.asks().into_iter().find_map(|ask| match ask {
            crate::run::Ask::Doubt(effect) if effect.call.node.to_string() == node => Some(effect),
            _ => None,
        });
        let effect = effect.unwrap_or_else(|| panic!("`{node}` is not in doubt"));
        self.does(Command::Resolve { effect, by: "ana".into(), resolution })
    }

    /// A person allows, or does not allow, a call that needs leave.
    pub fn allows(&mut self, node: &str, approved: bool) -> &mut Self {
        self.says(node, "ana", approved, "")
    }

    /// Says so as somebody.
    pub fn says(&mut self, node: &str, by: impl Into<Decider>, approved: bool, note: &str) -> &mut Self {
        let effect = self.asks().into_iter().find_map(|ask| match ask {
            crate::run::Ask::Approval(effect) | crate::run::Ask::Budget(effect) | crate::run::Ask::Question(effect)
                if effect.call.node.to_string() == node =>
            {
                Some(effect)
            }
            _ => None,
        });
        let effect = effect.unwrap_or_else(|| panic!("`{node}` needs no leave"));
        self.does(Command::Approve { effect, by: by.into(), approved, note: note.to_owned() })
    }

    /// A person answers what a call asks.
    pub fn fills(&mut self, node: &str, by: &str, form: Value) -> &mut Self {
        let effect = self.asks().into_iter().find_map(|ask| match ask {
            crate::run::Ask::Question(effect) if effect.call.node.to_string() == node => Some(effect),
            _ => None,
        });
        let effect = effect.unwrap_or_else(|| panic!("`{node}` asks nothing"));
        self.does(Command::Fill { effect, by: by.to_owned(), form })
    }

    /// Somebody undid at the service what no compensation could.
    pub fn undoes_by_hand(&mut self, node: &str, by: &str) -> &mut Self {
        let effect = self.not_undone(node).into_iter().next().unwrap_or_else(|| panic!("nothing of `{node}` is left"));
        self.does(Command::Resolve { effect, by: by.to_owned(), resolution: Resolution::Done { output: Value::Null } })
    }

    /// Somebody wants tried once more what a compensation could not undo: its last attempt.
    pub fn tries_again(&mut self, node: &str) -> &mut Self {
        let left = self.not_undone(node).pop().unwrap_or_else(|| panic!("nothing of `{node}` is left"));
        self.does(Command::Resolve { effect: left, by: "olga".to_owned(), resolution: Resolution::Repeat })
    }

    /// Attempts to undo what this node did that finally did not.
    pub fn not_undone(&self, node: &str) -> Vec<EffectId> {
        let attempts = self.events().filter_map(|event| match event {
            Event::NotUndone { effect, .. } if effect.call.node.to_string() == node => Some(effect.clone()),
            _ => None,
        });
        attempts.collect()
    }

    pub fn child_ends(&mut self, node: &str, run: &str, state: State, acted: bool) -> &mut Self {
        let fault = (state != State::Completed).then(|| Fault::new("CHILD", "scripted"));
        let ended = ChildEnd {
            run: run.into(),
            state,
            output: Arc::new(json!({"from": run})),
            fault,
            cost: Usd::from_f64(0.5),
            acted,
        };
        self.does(Command::ChildEnded { node: Address::parse(node), ended })
    }

    pub fn child_undone(&mut self, run: &str) -> &mut Self {
        self.does(Command::ChildUndone { run: run.into(), fault: None })
    }

    /// Fills the journal up to so many events with some that change nothing.
    pub fn fill_journal(&mut self, events: u64) -> &mut Self {
        let missing = events - self.run.events();
        let filling = Event::JournalFilling { events: 0, limit: 0 };
        let entry = Entry { at: self.now, events: vec![filling; usize::try_from(missing).unwrap()] };
        self.run.fold(&entry);
        self.filled.push((self.journal.len(), entry));
        self
    }

    // ---- how it moves

    fn settle(&mut self) {
        for _ in 0..100_000 {
            if self.run.has_more() {
                self.decide(Command::Wake).unwrap();
            } else if let Some(node) = self.run.thinking().map(|(node, ..)| node) {
                let steps = self.steps.get_mut(node.node.as_str());
                let step = steps.and_then(VecDeque::pop_front).unwrap_or(Step::Answer { output: json!("answer") });
                self.decide(Command::Stepped { node, step, quote: self.quote }).unwrap();
            } else if !self.send_next() {
                return;
            }
        }
        panic!("the run never comes to rest");
    }

    /// Lets out the next effect that is not out, and answers it.
    fn send_next(&mut self) -> bool {
        let fresh = self.run.pending(self.now).find_map(|effect| match effect {
            Effect::Send { effect, .. } | Effect::LookUp { effect, .. } if self.in_flight.contains_key(&effect) => None,
            Effect::Send { effect, request, class, timeout, replies, .. } => {
                Some((effect, request.clone(), class.is_marked().then_some(timeout), replies.to_vec(), false))
            }
            Effect::LookUp { effect, request, .. } => Some((effect, request.clone(), None, Vec::new(), true)),
        });
        let Some((effect, request, marked, replies, is_look_up)) = fresh else { return false };
        if !replies.is_empty() {
            self.brought.push(replies.into_iter().map(|reply| reply.said).collect());
        }
        if let Some(timeout) = marked {
            let command = Command::Sending { effect: effect.clone(), epoch: self.epoch, deadline: self.now + timeout };
            self.decide(command).unwrap();
        }
        let (name, arguments) = match &request {
            Request::Tool { tool, arguments, .. } => (tool.clone(), (**arguments).clone()),
            Request::Model(request) => (request.agent.clone(), serde_json::to_value(request).unwrap()),
            Request::Code { agent, program } => (format!("{agent}'s code"), serde_json::to_value(program).unwrap()),
            Request::Step { agent, .. } => {
                let shown = self.run.agent(&effect.call.node).unwrap();
                (format!("{agent}'s endpoint"), serde_json::to_value(shown).unwrap())
            }
        };
        let reply = if is_look_up {
            self.look_ups.pop_front().unwrap_or_else(not_found)
        } else {
            self.reach_the_world(&effect, &name, arguments);
            self.reply_of(&name, &request)
        };
        let reply = match reply {
            Reply::HeldBack(wait) => blocked(Block::RateLimit { until: self.now + wait }),
            Reply::OverBudget(wait) => {
                let line = "the hourly budget of tenant `acme`".to_owned();
                blocked(Block::Budget { line, until: self.now + wait })
            }
            reply => reply,
        };
        match reply {
            Reply::StaysOut | Reply::HeldBack(_) | Reply::OverBudget(_) => drop(self.in_flight.insert(effect, name)),
            Reply::Comes(outcome) => {
                self.note(&effect, &outcome);
                self.decide(Command::Outcome { effect, outcome }).unwrap();
            }
        }
        true
    }

    fn reply_of(&mut self, name: &str, request: &Request) -> Reply {
        let scripted = self.replies.get_mut(name).and_then(VecDeque::pop_front);
        self.calls += 1;
        scripted.or_else(|| self.fate.clone()).unwrap_or_else(|| match request {
            Request::Tool { .. } => done(json!({"id": format!("{name}-{}", self.calls)})),
            Request::Model(_) => says("hello"),
            Request::Code { .. } => ran(json!("ran")),
            Request::Step { .. } => thought(Step::Answer { output: json!("thought") }),
        })
    }

    /// One key never carries two sets of arguments, nothing is asked whose answer is recorded, and no other key is used
    /// while a send under the last may have acted.
    fn reach_the_world(&mut self, effect: &EffectId, tool: &str, arguments: Value) {
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

    /// What an outcome says of a key. That an attempt did not act settles its key, unless one before it may have.
    fn note(&mut self, effect: &EffectId, outcome: &Outcome) {
        let class = self.run.calls.get(&effect.call).map(|call| call.class);
        let is_settled = match outcome {
            Outcome::Tool(tool::Outcome::Done { .. })
            | Outcome::Model(Ok(_))
            | Outcome::Code(Ok(_))
            | Outcome::Step(Ok(_))
            | Outcome::NotFound => true,
            Outcome::Tool(tool::Outcome::NotDone { retryable, .. }) => {
                !(class == Some(tool::Class::Keyed) && *retryable && self.doubted.contains(effect))
            }
            Outcome::Tool(tool::Outcome::Asks { .. }) => {
                !(class == Some(tool::Class::Keyed) && self.doubted.contains(effect))
            }
            Outcome::Tool(tool::Outcome::Unknown { .. }) => {
                self.doubted.extend(class.filter(|class| class.acts()).map(|_| effect.clone()));
                false
            }
            Outcome::Model(Err(_))
            | Outcome::Code(Err(_))
            | Outcome::Step(Err(_))
            | Outcome::Stopped { .. }
            | Outcome::Dropped { .. }
            | Outcome::Blocked { .. }
            | Outcome::CircuitOpen { .. }
            | Outcome::NotSent => false,
        };
        if is_settled {
            self.doubted.remove(effect);
            if *outcome != Outcome::NotFound {
                self.answered.insert(effect.key(self.run.id().unwrap()));
            }
        }
    }

    /// Decides, and holds the decision to its promises.
    fn decide(&mut self, command: Command) -> Result<Vec<Event>, Refusal> {
        if let Command::Resolve { effect, .. } = &command {
            self.doubted.remove(effect);
        }
        let before = self.run.clone();
        let mut loaded = self.loaded(&before);
        let decided = self.run.decide(command.clone(), self.now);
        let again = loaded.decide(command, self.now);
        assert_eq!(decided, again, "a run loaded from its snapshot decides otherwise");
        match &decided {
            Ok(events) => {
                let entry = Entry { at: self.run.now(), events: events.clone() };
                let text = serde_json::to_string(&entry).unwrap();
                let read: Entry = serde_json::from_str(&text).unwrap();
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

    fn loaded(&self, run: &Run) -> Run {
        let loaded: Run = serde_json::from_str(&text_of(run)).unwrap();
        assert_eq!(text_of(&loaded), text_of(run), "a snapshot reads back as another");
        self.informed(loaded)
    }

    pub fn informed(&self, mut run: Run) -> Run {
        run.advise(self.advice.clone());
        for (hash, workflow) in &self.versions {
            run.know(hash.clone(), workflow.clone());
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

    // ---- what is to be seen

    pub fn asks(&self) -> Vec<crate::run::Ask> {
        self.run.asks()
    }

    #[track_caller]
    pub fn is(&self, state: State) -> &Self {
        assert_eq!(self.run.state(), state, "fault: {:?}, asked: {:?}", self.run.fault(), self.tools());
        self
    }

    /// The nodes that ran, in the order they were settled.
    #[track_caller]
    pub fn went(&self, path: &str) -> &Self {
        let nodes: Vec<String> = path_of(&self.journal).iter().map(ToString::to_string).collect();
        assert_eq!(nodes.join(" "), path);
        self
    }

    fn tools(&self) -> String {
        self.ledger.iter().map(|(_, tool, _)| tool.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// The tools and agents' models that were asked, in order, repetitions included.
    #[track_caller]
    pub fn asked(&self, tools: &str) -> &Self {
        assert_eq!(self.tools(), tools);
        self
    }

    /// The arguments a tool was last asked with.
    #[track_caller]
    pub fn asked_with(&self, tool: &str, arguments: Value) -> &Self {
        let last = self.ledger.iter().rfind(|(_, name, _)| name == tool);
        assert_eq!(last.map(|(.., with)| with), Some(&arguments), "of `{tool}`");
        self
    }

    /// Every call that went out had a key of its own.
    #[track_caller]
    pub fn no_key_twice(&self) -> &Self {
        let keys: BTreeSet<&str> = self.ledger.iter().map(|(key, ..)| key.as_str()).collect();
        assert_eq!(keys.len(), self.ledger.len(), "{:?}", self.ledger);
        self
    }

    /// How many entries the journal has.
    #[track_caller]
    pub fn entries(&self, count: usize) -> &Self {
        assert_eq!(self.journal.len(), count);
        self
    }

    /// The keys under which the world was asked.
    #[track_caller]
    pub fn keys(&self, keys: &[&str]) -> &Self {
        assert_eq!(self.ledger.iter().map(|(key, ..)| key.as_str()).collect::<Vec<_>>(), keys);
        self
    }

    #[track_caller]
    pub fn gives(&self, output: Value) -> &Self {
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
        assert_eq!(self.refused.as_ref().map(Refusal::code), Some(code), "{:?}", self.refused);
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

    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.journal.iter().flat_map(|entry| &entry.events)
    }

    /// The effect that has been out for longest, by its name.
    pub fn oldest_out(&self) -> Option<EffectId> {
        self.in_flight.keys().next().cloned()
    }

    /// Nobody waits for this any more.
    pub fn lets_go(&mut self, effect: &EffectId) {
        self.in_flight.remove(effect);
    }

    /// Calls that were given up and may yet be answered.
    pub fn forgotten(&self) -> Vec<EffectId> {
        self.run.forgotten.keys().cloned().collect()
    }

    /// Children that have not ended, by node and run, and whether they were asked to stop.
    pub fn children(&self) -> Vec<(String, String, bool)> {
        let mut children = Vec::new();
        for (path, scope) in &self.run.scopes {
            for place in &scope.active {
                let activity = scope.nodes[*place as usize].activity.as_deref();
                if let Some(Activity::Child { run, cancelling, .. }) = activity {
                    let node = Address::new(path.clone(), scope.graph.nodes[*place as usize].id.clone());
                    children.push((node.to_string(), run.to_string(), *cancelling));
                }
            }
        }
        children
    }

    /// Children that were asked to undo what they did and have not said that they have.
    pub fn children_to_undo(&self) -> Vec<String> {
        let mut open = Vec::new();
        for event in self.events() {
            match event {
                Event::ChildUndoing { effect, run } => open.push((effect.call.clone(), run.to_string())),
                Event::ChildUndone { effect, .. } => open.retain(|(call, _)| *call != effect.call),
                _ => {}
            }
        }
        open.into_iter().map(|(_, run)| run).collect()
    }

    /// The effect a tool was last asked under.
    pub fn out(&self, tool: &str) -> EffectId {
        let found = self.in_flight.iter().find(|(_, name)| *name == tool);
        found.map(|(effect, _)| effect.clone()).unwrap_or_else(|| panic!("`{tool}` is not out"))
    }

    /// Waits for people: `human:node`, `doubt:node`, `approval:node`, `question:node`, `customer:node`.
    #[track_caller]
    pub fn waits_for(&self, asks: &str) -> &Self {
        let word = |ask: &crate::run::Ask| match ask {
            crate::run::Ask::Human(node) => format!("human:{node}"),
            crate::run::Ask::Customer(node) => format!("customer:{node}"),
            crate::run::Ask::Doubt(effect) => format!("doubt:{}", effect.call.node),
            crate::run::Ask::Approval(effect) => format!("approval:{}", effect.call.node),
            crate::run::Ask::Question(effect) => format!("question:{}", effect.call.node),
            crate::run::Ask::Budget(effect) => format!("budget:{}", effect.call.node),
            crate::run::Ask::Key(effect) => format!("key:{}", effect.call.node),
        };
        assert_eq!(self.asks().iter().map(word).collect::<Vec<_>>().join(" "), asks);
        self
    }

    /// How each effect of the saga stands, newest first.
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

pub fn kind_of(event: &Event) -> String {
    match serde_json::to_value(event).unwrap() {
        Value::String(kind) => kind,
        Value::Object(map) => map.keys().next().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}

pub fn text_of(run: &Run) -> String {
    serde_json::to_string(run).unwrap()
}

/// The one door: a workflow, what happens to its run, and what is to be seen then.
#[track_caller]
pub fn check(given: Flow, when: impl FnOnce(&mut World) -> &mut World, expect: impl FnOnce(&World) -> &World) {
    let mut world = World::new(given);
    when(&mut world);
    expect(&world);
    world.replayed();
}
