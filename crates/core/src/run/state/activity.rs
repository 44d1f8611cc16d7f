//! The activity of an active node.

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

/// The activity of an active node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) enum NodeActivity {
    /// A tool node's calls, in request order.
    Calls {
        asked: Vec<NodeToolCall>,
        deadline: Option<Time>,
    },
    Agent {
        task: Box<AgentTask>,
        seen: Vec<AgentObservation>,
        waits: AgentWait,
        steps: u32,
        /// It would give up again if its step function were called again.
        gave_up: bool,
        /// One of its calls may have changed something.
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
        /// Its assignees, as recorded when it started; `None` if that is any person, and in snapshots from before this
        /// was stored.
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
    /// It has its result, but one of its own expressions failed on it; a retry continues from here.
    Held(HeldResult),
}

/// One tool that a node requested.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) struct NodeToolCall {
    pub tool: String,
    pub arguments: Arc<Value>,
    /// `None` until it is scheduled, and again if it was cut off and must be scheduled again.
    pub call: Option<CallId>,
    pub end: Option<CallEnd>,
    #[serde(default, skip_serializing_if = "CallMetrics::is_free")]
    pub settled: CallMetrics,
}

/// The final result of a tool call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) enum CallEnd {
    Done(Arc<Value>),
    Failed(Fault),
}

impl NodeActivity {
    /// Restarts the time limits of an activity that continues in a reopened or forked run.
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
                // A single call has no time limit except that of each attempt.
                *deadline = deadline.and(own);
            }
            (Self::Agent { .. } | Self::Timer { .. } | Self::Signal { .. } | Self::Human { .. } | Self::Held(_), _) => {
            }
        }
    }

    /// Returns the deadline of the node's own time.
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
    /// Its step function is called next.
    Think,
    Model(CallId),
    /// The sandbox.
    Code(CallId),
    /// Its endpoint.
    Endpoint(CallId),
    /// The step that its endpoint decided.
    Thought(Box<AgentStep>),
    Tools(Vec<AgentToolCall>),
    /// The customer, with the deadline.
    Customer {
        deadline: Option<Time>,
    },
}

/// One tool that an agent requested, with its result once known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) struct AgentToolCall {
    /// The model's id for it.
    pub id: String,
    pub tool: String,
    pub arguments: Arc<Value>,
    /// `None` if it was refused at once, or was cut off and must be scheduled again.
    pub call: Option<CallId>,
    pub answer: Option<ToolEnvelope>,
}
