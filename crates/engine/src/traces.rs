//! Runs as traces, the tree of seed 004: a run, its nodes, their calls.
//!
//! Spans are read out of the journal, so a trace goes on where another process takes the run over, and ids are derived from
//! the run's: nothing has to be remembered. A span is told when it ends; a run that waits for days is seen as far as it has
//! come. What was said (prompts, arguments, answers, people's names) is in none of them.

mod span;
#[cfg(test)]
mod tests;

use std::collections::btree_map::{self, BTreeMap};

use baton_core::bundle;
use baton_core::fault::Fault;
use baton_core::id::RunId;
use baton_core::run::{
    Address, Answer, Began, Block, CallId, Detour, Done, EffectId, Ended, Entry, Event, How, Origin, Request, Role,
    Started, State,
};
use baton_core::time::Time;
use baton_core::trace::{SpanId, TraceId, span_named, span_of, trace_of};

use self::span::Open;
pub use self::span::{Moment, Said, Span};

/// Moments kept of one span; a call that is tried again for ever has no more.
const MOMENTS_MAX: usize = 32;

/// One run, with what of it has begun and not ended.
pub struct Trace {
    run: RunId,
    workflow: String,
    trace: TraceId,
    /// The span of the whole run.
    whole: SpanId,
    /// What is going on: the run itself; or where it had ended, its retry or its rollback.
    now: Option<Open>,
    undoing: Option<Open>,
    nodes: BTreeMap<Address, Open>,
    calls: BTreeMap<CallId, Open>,
    seq: u64,
    /// Spans that have begun: a node may begin twice within a millisecond.
    begun: u64,
    ended: Vec<Span>,
}

impl Trace {
    /// Of a run of this workflow, of which nothing was read.
    pub fn new(run: RunId, workflow: String) -> Self {
        let (trace, whole) = (trace_of(&run), span_named(&[run.as_str()]));
        Self {
            run,
            workflow,
            trace,
            whole,
            now: None,
            undoing: None,
            nodes: BTreeMap::new(),
            calls: BTreeMap::new(),
            seq: 0,
            begun: 0,
            ended: Vec::new(),
        }
    }

    /// Entries that were read.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether nothing of it goes on.
    pub fn is_over(&self) -> bool {
        self.seq > 0 && self.now.is_none()
    }

    /// What this entry ends.
    pub fn fold(&mut self, entry: &Entry) -> Vec<Span> {
        self.seq += 1;
        for event in &entry.events {
            self.take(event, entry.at);
        }
        std::mem::take(&mut self.ended)
    }

    fn take(&mut self, event: &Event, at: Time) {
        match event {
            Event::Started(started) => self.start(started, at),
            Event::Forked(forked) => self.fork(&forked.from, at),
            Event::Reopened(_) => {
                let id = self.next_id();
                self.now = Some(Open::new("run.again", id, Some(self.whole), at));
            }
            Event::Finished(finished) => self.finish(finished.state, finished.fault.as_ref(), at),
            Event::Compensating => {
                let id = self.next_id();
                self.undoing = Some(Open::new("run.undo", id, Some(self.around()), at));
            }
            Event::Aftermath => {
                let undoing = self.undoing.take();
                self.end(undoing, None, at);
            }
            Event::Began { node, wait } => self.begin(node, wait, at),
            Event::Ended(ended) => self.settle(ended, at),
            Event::AgentReplaced { node, fault, .. } => self.note(node, at, "agent.replaced", &fault.code),
            Event::RequestRefused { node, fault, .. } => self.note(node, at, "tool.refused", &fault.code),
            Event::CustomerAsked { node, .. } => self.note(node, at, "customer.asked", ""),
            Event::Answered { node, .. } => self.note(node, at, "person.answered", ""),
            Event::SignalTaken { node, name } => self.note(node, at, "signal.taken", name),
            _ => self.take_of_call(event, at),
        }
    }

    fn take_of_call(&mut self, event: &Event, at: Time) {
        match event {
            Event::Scheduled(scheduled) => self.send(&scheduled.effect, &scheduled.request, at),
            Event::Done(done) => {
                let call = self.calls.remove(&done.effect.call).map(|open| answered(open, done));
                self.end(call, None, at);
            }
            Event::NotDone { effect, fault, again_at: Some(_), .. } => {
                self.note_call(&effect.call, at, "again", &fault.code)
            }
            Event::NotDone { effect, fault, again_at: None, .. }
            | Event::NotUndone { effect, fault }
            | Event::Degraded { effect, fault, detour: Detour::Refused, .. } => {
                let call = self.calls.remove(&effect.call);
                self.end(call, Some(fault), at);
            }
            Event::Degraded { effect, detour: Detour::Answered { .. }, .. } => {
                let call = self.calls.remove(&effect.call).map(|open| open.with("baton.stood_in", true));
                self.end(call, None, at);
            }
            Event::Degraded { effect, fault, .. } => self.note_call(&effect.call, at, "detour", &fault.code),
            Event::Doubted { effect, fault, .. } => self.note_call(&effect.call, at, "in_doubt", &fault.code),
            Event::Blocked { effect, by } => self.note_call(&effect.call, at, "blocked", waits_for(by)),
            Event::Unblocked { effect, .. } => self.note_call(&effect.call, at, "unblocked", ""),
            Event::Abandoned { call } => {
                let call = self.calls.remove(call).map(|open| open.with("baton.abandoned", true));
                self.end(call, None, at);
            }
            _ => {}
        }
    }

    fn start(&mut self, started: &Started, at: Time) {
        // Whoever began it may have told of a trace of theirs; those that it runs itself are part of the same.
        let told = started.caller.parent();
        let (trace, parent) = match &started.origin {
            Origin::Parent { run, .. } => (trace_of(run), Some(span_named(&["around", self.run.as_str()]))),
            Origin::Caller | Origin::Conversation { .. } => (self.trace, told.map(|told| told.span)),
        };
        self.trace = told.map_or(trace, |told| told.trace);
        self.now = Some(self.run_itself(parent, &started.bundle, at));
        if let (Origin::Conversation { conversation }, Some(now)) = (&started.origin, &mut self.now) {
            now.say("gen_ai.conversation.id", conversation.as_str());
        }
    }

    fn run_itself(&self, parent: Option<SpanId>, bundle: &bundle::Hash, at: Time) -> Open {
        let open = Open::new(self.workflow.clone(), self.whole, parent, at);
        open.with("workflow.name", self.workflow.as_str()).with("baton.version", bundle.to_string())
    }

    /// What the original had begun goes on here, and is this run's from now on.
    fn fork(&mut self, from: &RunId, at: Time) {
        self.trace = trace_of(&self.run);
        let open = Open::new(self.workflow.clone(), self.whole, None, at);
        self.now = Some(open.with("workflow.name", self.workflow.as_str()).with("baton.forked_from", from.as_str()));
        self.nodes.values_mut().chain(self.calls.values_mut()).for_each(|open| open.began = at);
        self.ended.clear();
    }

    fn finish(&mut self, state: State, fault: Option<&Fault>, at: Time) {
        let calls = std::mem::take(&mut self.calls).into_values();
        let left: Vec<Open> =
            calls.chain(std::mem::take(&mut self.nodes).into_values()).chain(self.undoing.take()).collect();
        for open in left {
            self.end(Some(open.with("baton.abandoned", true)), None, at);
        }
        let now = self.now.take().map(|now| now.with("baton.run.state", state.word()));
        self.end(now, fault.filter(|_| state == State::Failed), at);
    }

    fn next_id(&mut self) -> SpanId {
        self.begun += 1;
        span_named(&[self.run.as_str(), &self.begun.to_string()])
    }

    /// A node begins with the first thing that is known of it.
    fn node(&mut self, node: &Address, at: Time) -> &mut Open {
        let (next, parent) = (self.begun + 1, self.body_of(node));
        match self.nodes.entry(node.clone()) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(free) => {
                self.begun = next;
                let id = span_named(&[self.run.as_str(), &next.to_string()]);
                let open = Open::new(node.node.to_string(), id, Some(parent), at);
                free.insert(open.with("baton.node", node.to_string()))
            }
        }
    }

    /// The loop or the fork that a node is in the body of, or the run.
    fn body_of(&self, node: &Address) -> SpanId {
        let mut path = node.scope.clone();
        while let Some((scope, around, _)) = path.parent() {
            if let Some(open) = self.nodes.get(&Address::new(scope.clone(), around)) {
                return open.id;
            }
            path = scope;
        }
        self.around()
    }

    fn around(&self) -> SpanId {
        self.now.as_ref().map_or(self.whole, |now| now.id)
    }

    fn begin(&mut self, node: &Address, wait: &Began, at: Time) {
        let open = self.node(node, at);
        match wait {
            // The other run knows its own id, and so this span's.
            Began::Child { run, .. } => open.id = span_named(&["around", run.as_str()]),
            Began::Agent { .. } => open.say("gen_ai.operation.name", "invoke_agent"),
            _ => {}
        }
    }

    fn settle(&mut self, ended: &Ended, at: Time) {
        let fault = match &ended.how {
            How::Skipped => {
                self.nodes.remove(&ended.node);
                return;
            }
            How::Failed { fault } | How::Caught { fault } => Some(fault),
            How::Answered | How::Completed { .. } | How::Cancelled => None,
        };
        self.node(&ended.node, at);
        let Some(mut open) = self.nodes.remove(&ended.node) else { return };
        if let Some(by) = ended.by.as_deref() {
            open.say("gen_ai.agent.name", by.agent.as_str());
            open.say("agent.success", fault.is_none());
            open.say("agent.iterations", i64::from(by.iterations));
        }
        if ended.how == How::Cancelled {
            open.say("baton.abandoned", true);
        }
        self.end(Some(open), fault, at);
    }

    fn send(&mut self, effect: &EffectId, request: &Request, at: Time) {
        let call = &effect.call;
        let parent = match (call.role, &self.undoing) {
            (Role::Act, _) => self.node(&call.node, at).id,
            (Role::Undo, Some(undoing)) => undoing.id,
            (Role::Undo, None) => self.around(),
        };
        // As whoever is called was told of it.
        let id = span_of(&self.run, effect);
        let mut open = Open::new(name_of(request), id, Some(parent), at).with("baton.node", call.node.to_string());
        open.is_call = true;
        match request {
            Request::Tool { tool, .. } => {
                open.say("gen_ai.operation.name", "execute_tool");
                open.say("gen_ai.tool.name", tool.as_str());
            }
            Request::Model(request) => {
                open.say("gen_ai.operation.name", "chat");
                open.say("gen_ai.agent.name", request.agent.as_str());
                open.say("gen_ai.request.model", request.model.as_deref().unwrap_or(request.profile.word()));
            }
            Request::Step { agent, .. } | Request::Code { agent, .. } => open.say("gen_ai.agent.name", agent.as_str()),
        }
        if call.role == Role::Undo {
            open.say("baton.undo", true);
        }
        self.calls.insert(call.clone(), open);
    }

    fn note(&mut self, node: &Address, at: Time, name: &'static str, what: &str) {
        self.node(node, at).note(at, name, what);
    }

    fn note_call(&mut self, call: &CallId, at: Time, name: &'static str, what: &str) {
        if let Some(open) = self.calls.get_mut(call) {
            open.note(at, name, what);
        }
    }

    fn end(&mut self, open: Option<Open>, fault: Option<&Fault>, at: Time) {
        self.ended.extend(open.map(|open| open.ends(self.trace, &self.run, at, fault)));
    }
}

fn name_of(request: &Request) -> String {
    match request {
        Request::Tool { tool, .. } => format!("tool.{tool}"),
        Request::Model(_) => "llm.call".to_owned(),
        Request::Step { .. } => "agent.step".to_owned(),
        Request::Code { .. } => "agent.code".to_owned(),
    }
}

fn answered(open: Open, done: &Done) -> Open {
    let mut open = open.with("baton.cached", done.cached).with("baton.cost_usd", done.cost.as_f64());
    if let Answer::Model(reply) = &done.output {
        open.say("gen_ai.provider.name", reply.provider.as_str());
        open.say("gen_ai.response.model", reply.model.as_str());
        open.say(
            "gen_ai.usage.input_tokens",
            count(reply.usage.input_tokens + reply.usage.cached_tokens + reply.usage.cache_write_tokens),
        );
        open.say("gen_ai.usage.output_tokens", count(reply.usage.output_tokens));
        open.say("gen_ai.usage.cache_read.input_tokens", count(reply.usage.cached_tokens));
    }
    open
}

fn count(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

fn waits_for(block: &Block) -> &'static str {
    match block {
        Block::RateLimit { .. } => "rate_limit",
        Block::Circuit { .. } => "circuit",
        Block::Approval(_) => "approval",
        Block::Budget { .. } => "budget",
        Block::Key => "key",
        Block::Question { .. } => "question",
    }
}
