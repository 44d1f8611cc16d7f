//! What a node waits for, other than a call.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent;
use crate::bundle;
use crate::id::RunId;
use crate::money::Usd;
use crate::time::Time;

/// What a node waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "wait", rename_all = "snake_case")]
pub enum NodeWait {
    /// Its own calls, as they are scheduled.
    Calls {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
    },
    Agent {
        task: Box<agent::AgentTask>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
    },
    Timer {
        until: Time,
    },
    Signal {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
    },
    Human {
        title: String,
        details: Value,
        ask: HumanPrompt,
        assignees: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
    },
    Child {
        run: RunId,
        bundle: bundle::ContentHash,
        input: Arc<Value>,
        /// The part of this run's limits that it may spend, reserved while it runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<Usd>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
    },
    Each {
        items: Arc<Vec<Arc<Value>>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
    },
    Repeat {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
    },
    Branches {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HumanPrompt {
    Approval { needed: u32 },
    Form { schema: Value },
}
