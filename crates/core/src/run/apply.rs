//! The fold. It never fails, so replay never fails; what each event kind does here is frozen once released.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::address::{Address, CallId, EffectId, Path, Role};
use super::event::{
    Answer, Began, Block, Done, Ended, Event, Finished, Forked, How, InDoubt, Reopened, Request, Scheduled, Started,
    Winding,
};
use super::saga::Undone;
use super::state::{Activity, AgentWait, Call, CallEnd, Phase, Progress, Run, Scope, Status, Timer, Why, graph_at};
use crate::agent;
use crate::fault::Fault;
use crate::graph::node::{Kind, MergeMode};
use crate::graph::{Combine, Graph, NodeIx};
use crate::money::Usd;
use crate::time::Time;

impl Run {
    /// Folds one event that happened at `at`.
    pub fn apply(&mut self, at: Time, event: &Event) {
        self.now = self.now.max(at);
        self.events += 1;
        match event {
            Event::Started(started) => self.start(started),
            Event::Scheduled(scheduled) => self.schedule(scheduled),
            Event::Sending { effect, epoch, deadline } => {
                self.progress(effect, Progress::Marked { epoch: *epoch, deadline: *deadline });
            }
            Event::Done(done) => self.done(done),
            Event::NotDone { effect, fault, again_at } => self.not_done(effect, fault, *again_at),
            Event::Doubted { effect, next, .. } => self.doubt(effect, next),
            Event::Resolved { effect, resolution, .. } => self.resolve(effect, resolution),
            Event::Blocked { effect, by } => self.progress(effect, Progress::Blocked(by.clone())),
            Event::Unblocked { effect, .. } => self.unblock(effect),
            Event::ArrivedLate(done) => self.arrived_late(done),
            Event::Abandoned { call } => self.abandon(call),
            Event::Began { node, wait } => self.begin(node, wait),
            Event::Ended(ended) => self.end(ended),
            Event::Stepped { node, step } => self.stepped(node, step),
            Event::RequestRefused { node, id, tool, fault } => self.refuse_request(node, id, tool, fault),
            Event::CustomerAsked { node, deadline, .. } => self.ask_customer(node, *deadline),
            Event::VariableSet { key, value, .. } => self.set_variable(key, value),
            Event::ScopeOpened { path, item } => self.open_scope(path, item.clone()),
            Event::ScopeWinding { path, why } => self.wind_scope(path, why),
            Event::ScopeClosed { path, output, fault } => self.close_scope(path, output, fault.as_ref()),
            Event::BranchesCut { scope, nodes, undo } => self.cut(scope, nodes, *undo),
            Event::SignalKept { signal } => self.keep_signal(signal),
            Event::SignalTaken { node, name } => self.take_signal(node, name),
            Event::SignalHeld { signal, until } => {
                self.timers.insert((*until, Timer::Held(signal.source.clone())));
                self.signals.hold(signal, *until);
            }
            Event::Answered { node, by, decision } => {
                if let Some(Activity::Human { answers, .. }) = self.activity_mut(node) {
                    answers.push((by.clone(), decision.clone()));
                }
            }
            Event::Paused { .. } => self.paused = true,
            Event::Resumed { .. } => self.paused = false,
            Event::NodeWinding { node, fault } => {
                if let Some(state) = self.node_state_mut(node) {
                    state.winding = Some(fault.clone());
                }
            }
            Event::ChildCancelling { node, .. } => {
                if let Some(Activity::Child { cancelling, .. }) = self.activity_mut(node) {
                    *cancelling = true;
                }
            }
            Event::Winding { why, compensate } => self.wind(why, *compensate),
            Event::Compensating => self.compensate(),
            Event::NotUndone { effect, fault } => {
                self.close_call(&CallId { role: Role::Undo, ..effect.call.clone() });
                self.saga.mark(&effect.call, Undone::Failed(fault.clone()));
            }
            Event::ChildUndoing { effect, .. } => self.saga.mark(&effect.call, Undone::Underway),
            Event::ChildUndone { effect, fault } => {
                self.saga.mark(&effect.call, fault.clone().map_or(Undone::Yes, Undone::Failed));
            }
            Event::Aftermath => self.begin_aftermath(),
            Event::Finished(finished) => self.finish(finished),
            Event::Reopened(reopened) => match &**reopened {
                Reopened::Retry { bundle, .. } => self.reopen_for_retry(bundle),
                Reopened::Rollback { .. } => {
                    self.finished = None;
                    self.phase = Phase::Compensating { why: Why::Rollback };
                    self.saga.roll_back();
                }
            },
            Event::Forked(forked) => self.forked(forked),
            Event::JournalFilling { .. } => {}
        }
    }

    fn start(&mut self, started: &Started) {
        self.started_at = self.now;
        self.bundle = Some(started.bundle.clone());
        self.started = Some(Box::new(started.clone()));
        self.phase = Phase::Running;
        // Without its version a run cannot move, and says so when it is asked to; folding goes on.
        let Some(workflow) = self.versions.get(&started.bundle).cloned() else { return };
        for (key, variable) in &workflow.variables {
            if let Some(initial) = &variable.initial {
                self.variables.insert(key.clone(), Arc::new(initial.clone()));
            }
        }
        if let Some(limit) = workflow.timeout {
            self.timers.insert((self.now + limit, Timer::Run));
        }
        let mut outer = Scope::open(workflow.graph.clone(), None, 0, Arc::default());
        for place in workflow.reserved() {
            outer.nodes[place.at()].status = Status::Reserved;
            outer.unsettled -= 1;
        }
        self.workflow = Some(workflow);
        self.admit(Path::root(), outer);
    }

    /// Takes a scope in and lines up the nodes that may begin.
    fn admit(&mut self, path: Path, scope: Scope) {
        for place in scope.graph.places() {
            if scope.graph.incoming(place).is_empty() && scope.nodes[place.at()].status == Status::Idle {
                self.ready.push_back(Address::new(path.clone(), scope.graph.node(place).id.clone()));
            }
        }
        self.scopes.insert(path, scope);
    }

    fn schedule(&mut self, scheduled: &Scheduled) {
        let Scheduled { effect, request, class, timeout } = scheduled;
        let call = Call {
            generation: effect.generation,
            scheduled_at: self.now,
            attempts: 0,
            request: request.clone(),
            class: *class,
            timeout: *timeout,
            progress: Progress::Ready,
            approved: None,
        };
        self.calls.insert(effect.call.clone(), call);
        if effect.call.role == Role::Undo {
            self.saga.mark(&effect.call, Undone::Underway);
            return;
        }
        let tool_name = match request {
            Request::Tool { tool, .. } => tool.clone(),
            Request::Model(_) => String::new(),
        };
        let Some(state) = self.activate(&effect.call.node) else { return };
        state.next_call = state.next_call.max(effect.call.call + 1);
        match state.activity.as_deref_mut() {
            None => {
                let asked = vec![(effect.call.clone(), tool_name, None)];
                state.activity = Some(Box::new(Activity::Calls { asked, deadline: None }));
            }
            Some(Activity::Calls { asked, .. }) => asked.push((effect.call.clone(), tool_name, None)),
            Some(Activity::Agent { waits, .. }) => match (request, waits) {
                (Request::Model(_), waits) => *waits = AgentWait::Model(effect.call.clone()),
                (Request::Tool { .. }, AgentWait::Tools(calls)) => {
                    let open = calls.iter_mut().find(|call| call.answer.is_none() && call.call.is_none());
                    if let Some(open) = open {
                        open.call = Some(effect.call.clone());
                    }
                }
                (Request::Tool { .. }, _) => {}
            },
            Some(_) => {}
        }
    }

    fn done(&mut self, done: &Done) {
        self.cost += done.cost;
        let call = &done.effect.call;
        let closed = self.close_call(call);
        if call.role == Role::Undo {
            self.saga.mark(call, Undone::Yes);
            return;
        }
        if let Some(state) = self.node_state_mut(&call.node) {
            state.cost += done.cost;
        }
        self.enter_saga(done, closed.as_ref());
        match &done.output {
            Answer::Tool(output) => {
                let tool = closed.as_ref().map(tool_of).unwrap_or_default();
                self.answer(call, &tool, CallEnd::Done(output.clone()), done.cost, done.cached);
            }
            Answer::Model(reply) => self.see(&call.node, agent::Seen::Replied((**reply).clone())),
        }
    }

    fn enter_saga(&mut self, done: &Done, closed: Option<&Call>) {
        let Some(undo) = &done.undo else { return };
        let tool = closed.map(tool_of).unwrap_or_default();
        let wanted = self.node_state(&done.effect.call.node).is_some_and(|state| state.cut == Some(true));
        self.saga.push(done.effect.clone(), tool, (**undo).clone(), wanted);
    }

    fn arrived_late(&mut self, done: &Done) {
        self.cost += done.cost;
        let forgotten = self.forgotten.remove(&done.effect);
        self.enter_saga(done, forgotten.as_ref());
        let compensates = matches!(self.phase, Phase::Ended(super::State::Compensated | super::State::Cancelled));
        if compensates && done.undo.is_some() {
            self.finished = None;
            self.phase = Phase::Compensating { why: Why::Rollback };
        }
    }

    fn not_done(&mut self, effect: &EffectId, fault: &Fault, again_at: Option<Time>) {
        let call = &effect.call;
        if let Some(at) = again_at {
            if let Some(open) = self.calls.get_mut(call) {
                open.generation += 1;
                open.attempts += 1;
            }
            self.progress(effect, Progress::Waiting { at, unknown: false });
            return;
        }
        let closed = self.close_call(call);
        if call.role == Role::Undo {
            return;
        }
        match closed.as_ref().map(|call| &call.request) {
            Some(Request::Tool { tool, .. }) => {
                self.answer(call, tool, CallEnd::Failed(fault.clone()), Usd::ZERO, false);
            }
            Some(Request::Model(_)) => self.see(&call.node, agent::Seen::ModelFailed(fault.clone())),
            None => {}
        }
    }

    fn doubt(&mut self, effect: &EffectId, next: &InDoubt) {
        if let Some(call) = self.calls.get_mut(&effect.call) {
            call.attempts += u32::from(!matches!(call.progress, Progress::LookUp { .. }));
        }
        let tries = match self.calls.get(&effect.call).map(|call| &call.progress) {
            Some(Progress::LookUp { tries, .. }) => tries + 1,
            _ => 0,
        };
        self.progress(
            effect,
            match next {
                InDoubt::SendAgain { at } => Progress::Waiting { at: *at, unknown: true },
                InDoubt::LookUp { at } => Progress::LookUp { at: *at, tries },
                InDoubt::Person => Progress::Doubt,
            },
        );
        if effect.call.role == Role::Undo && *next == InDoubt::Person {
            self.saga.mark(&effect.call, Undone::Doubt);
        }
    }

    /// `done` and a final `not_done` follow as their own events; here the old generation is only remembered, since it
    /// may yet be answered.
    fn resolve(&mut self, effect: &EffectId, resolution: &super::Resolution) {
        let Some(call) = self.calls.get_mut(&effect.call) else { return };
        match resolution {
            super::Resolution::Done { .. } => {}
            super::Resolution::NotDone => {
                self.forgotten.insert(effect.clone(), call.clone());
            }
            super::Resolution::Repeat => {
                self.forgotten.insert(effect.clone(), call.clone());
                call.generation += 1;
                if effect.call.role == Role::Undo {
                    self.saga.mark(&effect.call, Undone::Underway);
                }
                let effect = EffectId { generation: effect.generation + 1, ..effect.clone() };
                self.progress(&effect, Progress::Ready);
            }
        }
    }

    fn unblock(&mut self, effect: &EffectId) {
        if let Some(call) = self.calls.get_mut(&effect.call)
            && let Progress::Blocked(Block::Approval { hash }) = &call.progress
        {
            call.approved = Some(hash.clone());
        }
        self.progress(effect, Progress::Ready);
    }

    fn abandon(&mut self, call: &CallId) {
        self.close_call(call);
    }

    /// Moves an open call on, its timer with it.
    fn progress(&mut self, effect: &EffectId, progress: Progress) {
        let Some(call) = self.calls.get_mut(&effect.call) else { return };
        if let Some(due) = call.due() {
            self.timers.remove(&(due, Timer::Call(effect.call.clone())));
        }
        call.progress = progress;
        if let Some(due) = call.due() {
            self.timers.insert((due, Timer::Call(effect.call.clone())));
        }
    }

    fn close_call(&mut self, id: &CallId) -> Option<Call> {
        let call = self.calls.remove(id)?;
        if let Some(due) = call.due() {
            self.timers.remove(&(due, Timer::Call(id.clone())));
        }
        Some(call)
    }

    /// Hands a tool call's result to the node that asked.
    fn answer(&mut self, call: &CallId, tool: &str, end: CallEnd, cost: Usd, cached: bool) {
        match self.activity_mut(&call.node) {
            Some(Activity::Calls { asked, .. }) => {
                if let Some((.., answer)) = asked.iter_mut().find(|(id, ..)| id == call) {
                    *answer = Some(end);
                }
            }
            Some(Activity::Agent { seen, waits, .. }) => {
                let AgentWait::Tools(calls) = waits else { return };
                if let Some(open) = calls.iter_mut().find(|open| open.call.as_ref() == Some(call)) {
                    open.answer = Some(super::calls::envelope(tool, &end, cost, cached));
                }
                see_results(seen, waits);
            }
            _ => {}
        }
    }

    fn see(&mut self, node: &Address, what: agent::Seen) {
        if let Some(Activity::Agent { seen, waits, .. }) = self.activity_mut(node) {
            seen.push(what);
            *waits = AgentWait::Think;
        }
    }

    fn begin(&mut self, node: &Address, wait: &Began) {
        let now = self.now;
        let activity = match wait.clone() {
            Began::Calls { deadline } => Activity::Calls { asked: Vec::new(), deadline },
            Began::Agent { task, deadline } => {
                Activity::Agent { task, seen: Vec::new(), waits: AgentWait::Think, steps: 0, deadline }
            }
            Began::Timer { until } => Activity::Timer { until },
            Began::Signal { name, deadline } => Activity::Signal { name, deadline },
            Began::Human { ask, deadline, .. } => Activity::Human { ask, answers: Vec::new(), deadline },
            Began::Child { run, deadline, .. } => Activity::Child { run, cancelling: false, deadline },
            Began::Each { items, deadline } => {
                let results = vec![Arc::default(); items.len()];
                Activity::Each { items, next: 0, open: 0, results, errors: Vec::new(), deadline }
            }
            Began::Repeat { deadline } => {
                Activity::Repeat { next: 0, open: false, last: Arc::default(), error: None, deadline }
            }
            Began::Branches { deadline } => Activity::Branches {
                open: BTreeSet::new(),
                outputs: std::collections::BTreeMap::new(),
                error: None,
                deadline,
            },
        };
        if let Some(due) = activity.due() {
            self.timers.insert((due, Timer::Node(node.clone())));
        }
        if let Some(state) = self.activate(node) {
            state.began_at = Some(now);
            state.activity = Some(Box::new(activity));
        }
    }

    /// Marks a node active, if it was not, and takes it out of the line.
    fn activate(&mut self, node: &Address) -> Option<&mut super::state::NodeState> {
        self.unready(node);
        let now = self.now;
        let scope = self.scopes.get_mut(&node.scope)?;
        let place = scope.graph.find(node.node.as_str())?;
        let state = scope.nodes.get_mut(place.at())?;
        if state.status != Status::Active {
            state.status = Status::Active;
            state.began_at = Some(now);
            state.activity = None;
            scope.active.insert(place.0);
        }
        Some(state)
    }

    fn unready(&mut self, node: &Address) {
        if self.ready.front() == Some(node) {
            self.ready.pop_front();
        } else if let Some(place) = self.ready.iter().position(|ready| ready == node) {
            self.ready.remove(place);
        }
    }

    fn end(&mut self, ended: &Ended) {
        let Ended { node, how, taken } = ended;
        self.unready(node);
        self.stop_asking(node);
        if let Some(due) = self.activity(node).and_then(Activity::due) {
            self.timers.remove(&(due, Timer::Node(node.clone())));
        }
        let now = self.now;
        let Some(scope) = self.scopes.get_mut(&node.scope) else { return };
        let Some(place) = scope.graph.find(node.node.as_str()) else { return };
        let state = &mut scope.nodes[place.at()];
        if state.status.is_settled() {
            return;
        }
        let was_counted = state.status != Status::Reserved;
        match how {
            How::Answered => {
                if let Some(Activity::Calls { asked, .. }) = state.activity.as_deref()
                    && let Some((_, _, Some(CallEnd::Done(output)))) = asked.first()
                {
                    state.output = output.clone();
                }
                state.status = Status::Completed;
            }
            How::Completed { output } => {
                state.output = output.clone();
                state.status = Status::Completed;
            }
            How::Skipped => state.status = Status::Skipped,
            How::Failed { fault } => {
                state.fault = Some(fault.clone());
                state.status = Status::Failed;
            }
            How::Caught { fault } => {
                state.fault = Some(fault.clone());
                state.status = Status::Caught;
            }
            How::Cancelled => state.status = Status::Cancelled,
        }
        state.ended_at = Some(now);
        state.taken.clone_from(taken);
        state.winding = None;
        // A failed or cut node keeps its activity, so that a retry can go on inside its bodies.
        if matches!(state.status, Status::Completed | Status::Skipped | Status::Caught) {
            state.activity = None;
        }
        scope.active.remove(&place.0);
        if was_counted {
            scope.unsettled -= 1;
        }
        if let (Kind::End(_), How::Completed { output }) = (&scope.graph.node(place).kind, how) {
            scope.result = Some(output.clone());
        }
        self.settle_edges(&node.scope, place, taken);
    }

    /// Tells the nodes behind that an in-edge is settled, and lines up those that may begin now.
    fn settle_edges(&mut self, path: &Path, place: NodeIx, taken: &[u32]) {
        let Some(scope) = self.scopes.get_mut(path) else { return };
        let graph = scope.graph.clone();
        for edge in graph.outgoing(place) {
            let target = graph.edge(*edge).to;
            let state = &mut scope.nodes[target.at()];
            state.settled_in += 1;
            state.taken_in += u32::from(taken.contains(&edge.0));
            let begins = matches!(state.status, Status::Idle | Status::Reserved)
                && is_ready(&graph, target, state.settled_in, state.taken_in);
            if begins && scope.winding.is_none() {
                let address = Address::new(path.clone(), graph.node(target).id.clone());
                if !self.ready.contains(&address) {
                    self.ready.push_back(address);
                }
            }
        }
    }

    fn stepped(&mut self, node: &Address, step: &agent::Step) {
        let Some(Activity::Agent { waits, steps, .. }) = self.activity_mut(node) else { return };
        *steps += 1;
        match step {
            agent::Step::RequestTools(requests) => {
                let open = requests.iter().map(|request| super::state::AgentCall {
                    id: request.id.clone(),
                    tool: request.tool.clone(),
                    call: None,
                    answer: None,
                });
                *waits = AgentWait::Tools(open.collect());
            }
            agent::Step::AskCustomer { .. }
            | agent::Step::AskModel(_)
            | agent::Step::Answer { .. }
            | agent::Step::HandOver { .. }
            | agent::Step::GiveUp(_) => {}
        }
    }

    fn refuse_request(&mut self, node: &Address, id: &str, tool: &str, fault: &Fault) {
        let Some(Activity::Agent { seen, waits, .. }) = self.activity_mut(node) else { return };
        let AgentWait::Tools(calls) = waits else { return };
        if let Some(open) = calls.iter_mut().find(|open| open.id == id && open.call.is_none() && open.answer.is_none())
        {
            open.answer = Some(super::calls::envelope(tool, &CallEnd::Failed(fault.clone()), Usd::ZERO, false));
        }
        see_results(seen, waits);
    }

    fn ask_customer(&mut self, node: &Address, deadline: Option<Time>) {
        if let Some(Activity::Agent { waits, .. }) = self.activity_mut(node) {
            *waits = AgentWait::Customer { deadline };
        }
        if let Some(deadline) = deadline {
            self.timers.insert((deadline, Timer::Node(node.clone())));
        }
    }

    /// Nobody waits for the customer any more.
    fn stop_asking(&mut self, node: &Address) {
        if let Some(Activity::Agent { waits: AgentWait::Customer { deadline: Some(deadline) }, .. }) =
            self.activity(node)
        {
            let timer = (*deadline, Timer::Node(node.clone()));
            self.timers.remove(&timer);
        }
    }

    fn set_variable(&mut self, key: &str, value: &Arc<Value>) {
        let combine = self.workflow.as_ref().and_then(|workflow| workflow.variables.get(key)).map(|v| v.combine);
        let held = self.variables.entry(key.to_owned()).or_default();
        match (combine.unwrap_or_default(), Arc::make_mut(held), &**value) {
            (Combine::Append, Value::Array(list), item) => list.push(item.clone()),
            (Combine::Append, empty @ Value::Null, item) => *empty = Value::Array(vec![item.clone()]),
            (Combine::Merge, Value::Object(map), Value::Object(more)) => {
                map.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            _ => *held = value.clone(),
        }
    }

    fn open_scope(&mut self, path: &Path, item: Option<Arc<Value>>) {
        let Some(workflow) = self.workflow.clone() else { return };
        let (Some(graph), Some((outer, node, rest))) = (graph_at(&workflow, path), path.parent()) else { return };
        let index = rest.parse().unwrap_or(0);
        let mut last = Arc::default();
        match self.activity_mut(&Address::new(outer, node)) {
            Some(Activity::Each { next, open, .. }) => {
                *next = index + 1;
                *open += 1;
            }
            Some(Activity::Repeat { next, open, last: latest, .. }) => {
                *next = index + 1;
                *open = true;
                last = latest.clone();
            }
            Some(Activity::Branches { open, .. }) => {
                open.insert(rest.to_owned());
            }
            _ => {}
        }
        self.admit(path.clone(), Scope::open(graph, item, index, last));
    }

    fn wind_scope(&mut self, path: &Path, why: &Winding) {
        self.ready.retain(|node| node.scope != *path);
        if let Some(scope) = self.scopes.get_mut(path) {
            scope.winding = Some(why.clone());
        }
    }

    fn close_scope(&mut self, path: &Path, output: &Arc<Value>, fault: Option<&Fault>) {
        self.ready.retain(|node| node.scope != *path);
        let Some((outer, node, rest)) = path.parent() else { return };
        let mut keeps = false;
        match self.activity_mut(&Address::new(outer.clone(), node.clone())) {
            Some(Activity::Each { open, results, errors, .. }) => {
                *open -= 1;
                let index: u32 = rest.parse().unwrap_or(0);
                match (fault, results.get_mut(index as usize)) {
                    (Some(fault), _) => errors.push((index, fault.clone())),
                    (None, Some(result)) => *result = output.clone(),
                    (None, None) => {}
                }
                keeps = fault.is_some();
            }
            Some(Activity::Repeat { open, last, error, .. }) => {
                *open = false;
                *error = fault.cloned();
                keeps = fault.is_some();
                if !keeps {
                    *last = output.clone();
                }
            }
            Some(Activity::Branches { open, outputs, error, .. }) => {
                open.remove(rest);
                keeps = fault.is_some();
                if !keeps {
                    outputs.insert(rest.to_owned(), output.clone());
                } else if error.is_none() {
                    *error = fault.cloned();
                }
            }
            _ => {}
        }
        // A body that failed is kept until its node is settled: where the run fails with it, a retry goes on inside.
        if keeps && !self.collects(&Address::new(outer, node)) {
            if let Some(scope) = self.scopes.get_mut(path) {
                scope.closed = true;
            }
        } else {
            self.scopes.remove(path);
        }
    }

    fn collects(&self, node: &Address) -> bool {
        use crate::graph::node::OnItemError;
        self.place(node).is_some_and(|(scope, place)| match &scope.graph.node(place).kind {
            Kind::Loop(each) => each.on_item_error == OnItemError::Collect,
            _ => false,
        })
    }

    fn cut(&mut self, path: &Path, nodes: &[crate::id::NodeId], undo: bool) {
        let Some(scope) = self.scopes.get_mut(path) else { return };
        let mut idle = Vec::new();
        for node in nodes {
            let Some(place) = scope.graph.find(node.as_str()) else { continue };
            let state = &mut scope.nodes[place.at()];
            state.cut = Some(undo);
            if state.status == Status::Idle {
                state.status = Status::Cancelled;
                scope.unsettled -= 1;
                idle.push(place);
            }
        }
        self.ready.retain(|ready| ready.scope != *path || !nodes.contains(&ready.node));
        if undo {
            self.saga.want(|node| node.scope == *path && nodes.contains(&node.node));
        }
        for place in idle {
            self.settle_edges(path, place, &[]);
        }
    }

    fn keep_signal(&mut self, signal: &super::Signal) {
        if let Some(until) = self.signals.held_until(&signal.source) {
            self.signals.keep(signal);
            if self.signals.held_until(&signal.source).is_none() {
                self.timers.remove(&(until, Timer::Held(signal.source.clone())));
            }
        } else {
            self.signals.keep(signal);
        }
    }

    fn take_signal(&mut self, node: &Address, name: &str) {
        self.stop_asking(node);
        let taken = self.signals.first(name).map(|signal| signal.payload.clone());
        self.signals.take(name);
        if let (Some(Activity::Agent { .. }), Some(payload)) = (self.activity(node), taken) {
            let said = match payload.get("text").unwrap_or(&payload) {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            self.see(node, agent::Seen::Said(said));
        }
    }

    fn wind(&mut self, why: &Winding, compensate: bool) {
        if let Winding::Failed { fault, .. } = why {
            self.fault = Some(fault.clone());
        }
        self.phase = Phase::Winding { why: why.clone(), compensate };
        self.ready.clear();
        self.timers.retain(|(_, timer)| *timer != Timer::Run);
        if let Some(outer) = self.scopes.get_mut(&Path::root()) {
            outer.winding = Some(why.clone());
        }
    }

    fn compensate(&mut self) {
        let why = match &self.phase {
            Phase::Winding { why: Winding::Cancelled { .. }, .. } => Why::Cancelled,
            Phase::Winding { why: Winding::TimedOut, .. } => Why::TimedOut,
            _ => Why::Failed,
        };
        self.phase = Phase::Compensating { why };
        self.saga.roll_back();
    }

    fn begin_aftermath(&mut self) {
        if let Phase::Compensating { why } = self.phase {
            self.phase = Phase::Aftermath { why };
        }
        let Some(workflow) = self.workflow.clone() else { return };
        if let Some(outer) = self.scopes.get_mut(&Path::root()) {
            outer.winding = None;
        }
        if let Some(place) = workflow.on_compensated {
            self.ready.push_back(Address::new(Path::root(), workflow.graph.node(place).id.clone()));
        }
    }

    fn finish(&mut self, finished: &Finished) {
        self.phase = Phase::Ended(finished.state);
        self.fault.clone_from(&finished.fault);
        self.timers.clear();
        self.ready.clear();
        self.finished = Some(Box::new(finished.clone()));
    }

    fn forked(&mut self, forked: &Forked) {
        if let Some(started) = &mut self.started {
            started.run = forked.run.clone();
            started.origin = super::Origin::Caller;
        }
        if !forked.owns_undo {
            self.saga.inherit();
        }
        for (key, value) in &forked.variables {
            self.variables.insert(key.clone(), Arc::new(value.clone()));
        }
        // What was in flight belongs to the original; here it goes out anew, under this run's keys.
        for call in self.calls.values_mut() {
            if matches!(call.progress, Progress::Marked { .. } | Progress::Doubt | Progress::LookUp { .. }) {
                call.progress = Progress::Ready;
            }
        }
        self.timers.retain(|(_, timer)| match timer {
            Timer::Call(id) => self.calls.get(id).is_some_and(|call| call.due().is_some()),
            Timer::Run | Timer::Node(_) | Timer::Held(_) => true,
        });
        self.paused = false;
    }

    pub(super) fn node_state_mut(&mut self, node: &Address) -> Option<&mut super::state::NodeState> {
        let scope = self.scopes.get_mut(&node.scope)?;
        let place = scope.graph.find(node.node.as_str())?;
        scope.nodes.get_mut(place.at())
    }

    pub(super) fn activity_mut(&mut self, node: &Address) -> Option<&mut Activity> {
        self.node_state_mut(node).filter(|state| state.status == Status::Active)?.activity.as_deref_mut()
    }
}

/// Shows an agent the results of its requests, once all are there.
fn see_results(seen: &mut Vec<agent::Seen>, waits: &mut AgentWait) {
    let AgentWait::Tools(calls) = waits else { return };
    if calls.iter().all(|call| call.answer.is_some()) {
        let results = calls.drain(..).filter_map(|call| Some((call.id, call.answer?))).collect();
        seen.push(agent::Seen::Tools(results));
        *waits = AgentWait::Think;
    }
}

fn tool_of(call: &Call) -> String {
    match &call.request {
        Request::Tool { tool, .. } => tool.clone(),
        Request::Model(_) => "model".to_owned(),
    }
}

/// Whether enough is known about a node's in-edges for it to begin, be skipped or fail.
pub(super) fn is_ready(graph: &Graph, place: NodeIx, settled: u32, taken: u32) -> bool {
    let all = u32::try_from(graph.incoming(place).len()).unwrap_or(u32::MAX);
    if settled == all {
        return true;
    }
    match &graph.node(place).kind {
        Kind::Merge(merge) => match merge.mode {
            MergeMode::All => false,
            MergeMode::Any => taken >= 1,
            MergeMode::NOfM(n) => taken >= n || (taken > 0 && taken + (all - settled) < n),
        },
        _ => false,
    }
}
