//! Traces of runs, following the tree of seed 004: a run, its nodes, their calls.
//!
//! Spans are derived from the journal, so a trace continues when another process takes the run over, and span ids are
//! derived from the run's id: no state has to be kept. A span is emitted when it ends; the trace of a run that waits
//! for days is incomplete until then. Spans contain no content (prompts, arguments, answers, people's names).

mod span;
#[cfg(test)]
mod tests;

use std::collections::btree_map::{self, BTreeMap};

use baton_core::bundle;
use baton_core::fault::Fault;
use baton_core::id::RunId;
use baton_core::run::{
    BlockReason, CallCompleted, CallId, CallOutput, CallRole, EffectId, EffectRequest, NodeAddress, NodeEnded,
    NodeOutcome, NodeWait, OutageAction, RunEntry, RunEvent, RunOrigin, RunStarted, RunState,
};
use baton_core::time::Time;
use baton_core::trace::{SpanId, TraceId, derived_span, span_of, trace_of};

use self::span::OpenSpan;
pub use self::span::{AttributeValue, SpanEvent, TraceSpan};

/// Maximum number of events kept in one span; a call that is retried forever adds no more.
const SPAN_EVENTS_MAX: usize = 32;

/// The trace of one run, with its open spans.
pub struct RunTrace {
    run: RunId,
    workflow: String,
    trace: TraceId,
    /// The span of the whole run.
    root: SpanId,
    /// The current activity: the run itself or, after it had ended, its retry or rollback.
    current: Option<OpenSpan>,
    undoing: Option<OpenSpan>,
    nodes: BTreeMap<NodeAddress, OpenSpan>,
    calls: BTreeMap<CallId, OpenSpan>,
    seq: u64,
    /// Number of spans started: a node may start twice within a millisecond.
    begun: u64,
    ended: Vec<TraceSpan>,
}

impl RunTrace {
    /// The empty trace of a run of this workflow.
    pub fn new(run: RunId, workflow: String) -> Self {
        let (trace, whole) = (trace_of(&run), derived_span(&[run.as_str()]));
        Self {
            run,
            workflow,
            trace,
            root: whole,
            current: None,
            undoing: None,
            nodes: BTreeMap::new(),
            calls: BTreeMap::new(),
            seq: 0,
            begun: 0,
            ended: Vec::new(),
        }
    }

    /// Number of entries that were folded.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether no span is open.
    pub fn is_over(&self) -> bool {
        self.seq > 0 && self.current.is_none()
    }

    /// Folds an entry and returns the spans that it ends.
    pub fn fold(&mut self, entry: &RunEntry) -> Vec<TraceSpan> {
        self.seq += 1;
        for event in &entry.events {
            self.take(event, entry.at);
        }
        std::mem::take(&mut self.ended)
    }

    fn take(&mut self, event: &RunEvent, at: Time) {
        match event {
            RunEvent::Started(started) => self.start(started, at),
            RunEvent::Forked(forked) => self.fork(&forked.from, at),
            RunEvent::Reopened(_) => {
                let id = self.next_id();
                self.current = Some(OpenSpan::new("run.again", id, Some(self.root), at));
            }
            RunEvent::Finished(finished) => self.finish(finished.state, finished.fault.as_ref(), at),
            RunEvent::Compensating => {
                let id = self.next_id();
                self.undoing = Some(OpenSpan::new("run.undo", id, Some(self.current_span()), at));
            }
            RunEvent::Aftermath => {
                let undoing = self.undoing.take();
                self.end(undoing, None, at);
            }
            RunEvent::Began { node, wait } => self.begin(node, wait, at),
            RunEvent::Ended(ended) => self.settle(ended, at),
            RunEvent::AgentReplaced { node, fault, .. } => self.note(node, at, "agent.replaced", &fault.code),
            RunEvent::RequestRefused { node, fault, .. } => self.note(node, at, "tool.refused", &fault.code),
            RunEvent::CustomerAsked { node, .. } => self.note(node, at, "customer.asked", ""),
            RunEvent::Answered { node, .. } => self.note(node, at, "person.answered", ""),
            RunEvent::SignalTaken { node, name } => self.note(node, at, "signal.taken", name),
            _ => self.take_of_call(event, at),
        }
    }

    fn take_of_call(&mut self, event: &RunEvent, at: Time) {
        match event {
            RunEvent::Scheduled(scheduled) => self.send(&scheduled.effect, &scheduled.request, at),
            RunEvent::Done(done) => {
                let call = self.calls.remove(&done.effect.call).map(|open| answered(open, done));
                self.end(call, None, at);
            }
            RunEvent::NotDone { effect, fault, again_at: Some(_), .. } => {
                self.note_call(&effect.call, at, "again", &fault.code)
            }
            RunEvent::NotDone { effect, fault, again_at: None, .. }
            | RunEvent::NotUndone { effect, fault }
            | RunEvent::Degraded { effect, fault, detour: OutageAction::Refused, .. } => {
                let call = self.calls.remove(&effect.call);
                self.end(call, Some(fault), at);
            }
            RunEvent::Degraded { effect, detour: OutageAction::Answered { .. }, .. } => {
                let call = self.calls.remove(&effect.call).map(|open| open.with("baton.stood_in", true));
                self.end(call, None, at);
            }
            RunEvent::Degraded { effect, fault, .. } => self.note_call(&effect.call, at, "detour", &fault.code),
            RunEvent::Doubted { effect, fault, .. } => self.note_call(&effect.call, at, "in_doubt", &fault.code),
            RunEvent::Blocked { effect, by } => self.note_call(&effect.call, at, "blocked", waits_for(by)),
            RunEvent::Unblocked { effect, .. } => self.note_call(&effect.call, at, "unblocked", ""),
            RunEvent::Abandoned { call } => {
                let call = self.calls.remove(call).map(|open| open.with("baton.abandoned", true));
                self.end(call, None, at);
            }
            _ => {}
        }
    }

    fn start(&mut self, started: &RunStarted, at: Time) {
        // The caller may have passed a parent span of its own trace; child runs are part of the same trace.
        let told = started.caller.parent_span();
        let (trace, parent) = match &started.origin {
            RunOrigin::Parent { run, .. } => (trace_of(run), Some(derived_span(&["around", self.run.as_str()]))),
            RunOrigin::Caller | RunOrigin::Conversation { .. } => (self.trace, told.map(|told| told.span)),
        };
        self.trace = told.map_or(trace, |told| told.trace);
        self.current = Some(self.run_itself(parent, &started.bundle, at));
        if let (RunOrigin::Conversation { conversation }, Some(now)) = (&started.origin, &mut self.current) {
            now.set_attribute("gen_ai.conversation.id", conversation.as_str());
        }
    }

    fn run_itself(&self, parent: Option<SpanId>, bundle: &bundle::ContentHash, at: Time) -> OpenSpan {
        let open = OpenSpan::new(self.workflow.clone(), self.root, parent, at);
        open.with("workflow.name", self.workflow.as_str()).with("baton.version", bundle.to_string())
    }

    /// The open spans of the original continue here, and belong to this run from now on.
    fn fork(&mut self, from: &RunId, at: Time) {
        self.trace = trace_of(&self.run);
        let open = OpenSpan::new(self.workflow.clone(), self.root, None, at);
        self.current =
            Some(open.with("workflow.name", self.workflow.as_str()).with("baton.forked_from", from.as_str()));
        self.nodes.values_mut().chain(self.calls.values_mut()).for_each(|open| open.began = at);
        self.ended.clear();
    }

    fn finish(&mut self, state: RunState, fault: Option<&Fault>, at: Time) {
        let calls = std::mem::take(&mut self.calls).into_values();
        let left: Vec<OpenSpan> =
            calls.chain(std::mem::take(&mut self.nodes).into_values()).chain(self.undoing.take()).collect();
        for open in left {
            self.end(Some(open.with("baton.abandoned", true)), None, at);
        }
        let now = self.current.take().map(|now| now.with("baton.run.state", state.word()));
        self.end(now, fault.filter(|_| state == RunState::Failed), at);
    }

    fn next_id(&mut self) -> SpanId {
        self.begun += 1;
        derived_span(&[self.run.as_str(), &self.begun.to_string()])
    }

    /// A node's span starts with the first event about the node.
    fn node(&mut self, node: &NodeAddress, at: Time) -> &mut OpenSpan {
        let (next, parent) = (self.begun + 1, self.body_of(node));
        match self.nodes.entry(node.clone()) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(free) => {
                self.begun = next;
                let id = derived_span(&[self.run.as_str(), &next.to_string()]);
                let open = OpenSpan::new(node.node.to_string(), id, Some(parent), at);
                free.insert(open.with("baton.node", node.to_string()))
            }
        }
    }

    /// The span of the loop or branch whose body contains a node, or that of the run.
    fn body_of(&self, node: &NodeAddress) -> SpanId {
        let mut path = node.scope.clone();
        while let Some((scope, around, _)) = path.parent() {
            if let Some(open) = self.nodes.get(&NodeAddress::new(scope.clone(), around)) {
                return open.id;
            }
            path = scope;
        }
        self.current_span()
    }

    fn current_span(&self) -> SpanId {
        self.current.as_ref().map_or(self.root, |now| now.id)
    }

    fn begin(&mut self, node: &NodeAddress, wait: &NodeWait, at: Time) {
        let open = self.node(node, at);
        match wait {
            // The child run derives this span's id from its own id.
            NodeWait::Child { run, .. } => open.id = derived_span(&["around", run.as_str()]),
            NodeWait::Agent { .. } => open.set_attribute("gen_ai.operation.name", "invoke_agent"),
            _ => {}
        }
    }

    fn settle(&mut self, ended: &NodeEnded, at: Time) {
        let fault = match &ended.how {
            NodeOutcome::Skipped => {
                self.nodes.remove(&ended.node);
                return;
            }
            NodeOutcome::Failed { fault } | NodeOutcome::Caught { fault } => Some(fault),
            NodeOutcome::Answered | NodeOutcome::Completed { .. } | NodeOutcome::Cancelled => None,
        };
        self.node(&ended.node, at);
        let Some(mut open) = self.nodes.remove(&ended.node) else { return };
        if let Some(by) = ended.by.as_deref() {
            open.set_attribute("gen_ai.agent.name", by.agent.as_str());
            open.set_attribute("agent.success", fault.is_none());
            open.set_attribute("agent.iterations", i64::from(by.iterations));
        }
        if ended.how == NodeOutcome::Cancelled {
            open.set_attribute("baton.abandoned", true);
        }
        self.end(Some(open), fault, at);
    }

    fn send(&mut self, effect: &EffectId, request: &EffectRequest, at: Time) {
        let call = &effect.call;
        let parent = match (call.role, &self.undoing) {
            (CallRole::Act, _) => self.node(&call.node, at).id,
            (CallRole::Undo, Some(undoing)) => undoing.id,
            (CallRole::Undo, None) => self.current_span(),
        };
        // The same id that was passed to the called service.
        let id = span_of(&self.run, effect);
        let mut open = OpenSpan::new(name_of(request), id, Some(parent), at).with("baton.node", call.node.to_string());
        open.is_call = true;
        match request {
            EffectRequest::Tool { tool, .. } => {
                open.set_attribute("gen_ai.operation.name", "execute_tool");
                open.set_attribute("gen_ai.tool.name", tool.as_str());
            }
            EffectRequest::Model(request) => {
                open.set_attribute("gen_ai.operation.name", "chat");
                open.set_attribute("gen_ai.agent.name", request.agent.as_str());
                open.set_attribute("gen_ai.request.model", request.model.as_deref().unwrap_or(request.profile.word()));
            }
            EffectRequest::Step { agent, .. } | EffectRequest::Code { agent, .. } => {
                open.set_attribute("gen_ai.agent.name", agent.as_str())
            }
        }
        if call.role == CallRole::Undo {
            open.set_attribute("baton.undo", true);
        }
        self.calls.insert(call.clone(), open);
    }

    fn note(&mut self, node: &NodeAddress, at: Time, name: &'static str, what: &str) {
        self.node(node, at).add_event(at, name, what);
    }

    fn note_call(&mut self, call: &CallId, at: Time, name: &'static str, what: &str) {
        if let Some(open) = self.calls.get_mut(call) {
            open.add_event(at, name, what);
        }
    }

    fn end(&mut self, open: Option<OpenSpan>, fault: Option<&Fault>, at: Time) {
        self.ended.extend(open.map(|open| open.finish(self.trace, &self.run, at, fault)));
    }
}

fn name_of(request: &EffectRequest) -> String {
    match request {
        EffectRequest::Tool { tool, .. } => format!("tool.{tool}"),
        EffectRequest::Model(_) => "llm.call".to_owned(),
        EffectRequest::Step { .. } => "agent.step".to_owned(),
        EffectRequest::Code { .. } => "agent.code".to_owned(),
    }
}

fn answered(open: OpenSpan, done: &CallCompleted) -> OpenSpan {
    let mut open = open.with("baton.cached", done.cached).with("baton.cost_usd", done.cost.as_f64());
    if let CallOutput::Model(reply) = &done.output {
        open.set_attribute("gen_ai.provider.name", reply.provider.as_str());
        open.set_attribute("gen_ai.response.model", reply.model.as_str());
        open.set_attribute(
            "gen_ai.usage.input_tokens",
            count(reply.usage.input_tokens + reply.usage.cached_tokens + reply.usage.cache_write_tokens),
        );
        open.set_attribute("gen_ai.usage.output_tokens", count(reply.usage.output_tokens));
        open.set_attribute("gen_ai.usage.cache_read.input_tokens", count(reply.usage.cached_tokens));
    }
    open
}

fn count(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

fn waits_for(block: &BlockReason) -> &'static str {
    match block {
        BlockReason::RateLimit { .. } => "rate_limit",
        BlockReason::Circuit { .. } => "circuit",
        BlockReason::Approval(_) => "approval",
        BlockReason::Budget { .. } => "budget",
        BlockReason::Key => "key",
        BlockReason::Question { .. } => "question",
    }
}
