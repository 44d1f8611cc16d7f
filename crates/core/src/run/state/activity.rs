//! What an active node is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::{AgentObservation, AgentStep, AgentTask};
use crate::fault::Fault;
use crate::graph::node::{GraphNode, NodeKind, WaitNode};
use crate::id::RunId;
use crate::run::address::CallId;
use crate::run::command::HumanDecision;
use crate::run::envelope::CallMetrics;
use crate::run::event::{HeldResult, HumanPrompt};
use crate::run::state::WorkClock;
use crate::time::Time;
use crate::tool::ToolEnvelope;

/// What an active node is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) enum NodeActivity {
    /// A tool node's calls, in the order they were asked for.
    Calls {
        asked: Vec<NodeToolCall>,
        deadline: Option<Time>,
    },
    Agent {
        task: Box<AgentTask>,
        seen: Vec<AgentObservation>,
        waits: AgentWait,
        steps: u32,
        /// Asked once more, it would give up once more.
        gave_up: bool,
        /// A call of its may have changed something.
        acted: bool,
        work: WorkClock,
        deadline: Option<Time>,
    },
    Timer {
        until: Time,
    },
    Signal {
        name: String,
        deadline: Option<Time>,
    },
    Human {
        ask: HumanPrompt,
        answers: Vec<(String, HumanDecision)>,
        /// Whom it asks, as was recorded when it began; nothing where that is anybody, and in snapshots of before this was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assignees: Option<Value>,
        deadline: Option<Time>,
    },
    Child {
        run: RunId,
        cancelling: bool,
        deadline: Option<Time>,
    },
    Each {
        items: Arc<Vec<Arc<Value>>>,
        next: u32,
        open: u32,
        results: Vec<Arc<Value>>,
        errors: Vec<(u32, Fault)>,
        deadline: Option<Time>,
    },
    Repeat {
        next: u32,
        open: bool,
        last: Arc<Value>,
        error: Option<Fault>,
        deadline: Option<Time>,
    },
    Branches {
        open: BTreeSet<String>,
        outputs: BTreeMap<String, Arc<Value>>,
        error: Option<Fault>,
        deadline: Option<Time>,
    },
    /// It has its result, and an expression of its own failed on it; a retry goes on from here.
    Held(HeldResult),
}

/// One tool that a node asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) struct NodeToolCall {
    pub tool: String,
    pub arguments: Arc<Value>,
    /// `None` until it is scheduled, and again where it was cut off and is to be scheduled anew.
    pub call: Option<CallId>,
    pub end: Option<CallEnd>,
    #[serde(default, skip_serializing_if = "CallMetrics::is_free")]
    pub settled: CallMetrics,
}

/// What a tool call finally came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) enum CallEnd {
    Done(Arc<Value>),
    Failed(Fault),
}

impl NodeActivity {
    /// Gives an activity that goes on in a reopened or forked run its time anew.
    pub fn renew(&mut self, of: &GraphNode, now: Time) {
        let after = |wait: Option<Duration>| wait.map(|wait| now + wait);
        let own = after(of.policy.timeout);
        match (self, &of.kind) {
            (Self::Agent { waits, work, deadline, .. }, NodeKind::Agent(agent)) => {
                *deadline = own;
                work.renew(now);
                if let AgentWait::Customer { deadline } = waits {
                    *deadline = after(agent.question_deadline.after);
                }
            }
            (Self::Timer { until }, NodeKind::Wait(WaitNode::For(wait))) => *until = now + *wait,
            (Self::Signal { deadline, .. }, NodeKind::Wait(WaitNode::Signal { deadline: limit, .. })) => {
                *deadline = after(limit.after);
            }
            (Self::Human { deadline, .. }, NodeKind::Human(human)) => *deadline = after(human.deadline.after),
            (
                Self::Calls { deadline, .. }
                | Self::Child { deadline, .. }
                | Self::Each { deadline, .. }
                | Self::Repeat { deadline, .. }
                | Self::Branches { deadline, .. },
                _,
            ) => {
                // A single call has no time but that of each attempt.
                *deadline = deadline.and(own);
            }
            (Self::Agent { .. } | Self::Timer { .. } | Self::Signal { .. } | Self::Human { .. } | Self::Held(_), _) => {
            }
        }
    }

    /// When the node's own time is over.
    pub fn due_at(&self) -> Option<Time> {
        match self {
            Self::Timer { until } => Some(*until),
            Self::Calls { deadline, .. }
            | Self::Agent { deadline, .. }
            | Self::Signal { deadline, .. }
            | Self::Human { deadline, .. }
            | Self::Child { deadline, .. }
            | Self::Each { deadline, .. }
            | Self::Repeat { deadline, .. }
            | Self::Branches { deadline, .. } => *deadline,
            Self::Held(_) => None,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) enum AgentWait {
    /// Its step function is asked next.
    Think,
    Model(CallId),
    /// The sandbox.
    Code(CallId),
    /// Whoever thinks for it.
    Endpoint(CallId),
    /// It was thought for it: this is what it does next.
    Thought(Box<AgentStep>),
    Tools(Vec<AgentToolCall>),
    /// The customer, with when to stop waiting.
    Customer {
        deadline: Option<Time>,
    },
}

/// One tool an agent asked for, with what it came to once that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) struct AgentToolCall {
    /// The model's id for it.
    pub id: String,
    pub tool: String,
    pub arguments: Arc<Value>,
    /// `None` where it was refused at once, and where it was cut off and is to be scheduled anew.
    pub call: Option<CallId>,
    pub answer: Option<ToolEnvelope>,
}
