//! What an active node is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::{Seen, Task};
use crate::fault::Fault;
use crate::id::RunId;
use crate::run::address::CallId;
use crate::run::command::Decision;
use crate::run::event::Asked;
use crate::time::Time;
use crate::tool::Envelope;

/// What an active node is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) enum Activity {
    /// A tool node's calls: by call index, with what each came to once it is known.
    Calls {
        asked: Vec<(CallId, String, Option<CallEnd>)>,
        deadline: Option<Time>,
    },
    Agent {
        task: Box<Task>,
        seen: Vec<Seen>,
        waits: AgentWait,
        steps: u32,
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
        ask: Asked,
        answers: Vec<(String, Decision)>,
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
}

/// What a tool call finally came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) enum CallEnd {
    Done(Arc<Value>),
    Failed(Fault),
}

impl Activity {
    /// When the node's own time is over.
    pub fn due(&self) -> Option<Time> {
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
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) enum AgentWait {
    /// Its step function is asked next.
    Think,
    Model(CallId),
    Tools(Vec<AgentCall>),
    /// The customer, with when to stop waiting.
    Customer {
        deadline: Option<Time>,
    },
}

/// One tool an agent asked for, with what it came to once that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) struct AgentCall {
    /// The model's id for it.
    pub id: String,
    pub tool: String,
    /// `None` where it was refused at once.
    pub call: Option<CallId>,
    pub answer: Option<Envelope>,
}
