//! The result of a tool call as agents and `tool_results` see it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::CallId;
use super::state::{CallEnd, Run};
use crate::money::Usd;
use crate::tool::ToolEnvelope;

/// The customer's message if an error has none: the operator's message is not meant for customers.
const DEFAULT_CUSTOMER_MESSAGES: [(&str, &str); 2] =
    [("en", "That could not be done."), ("es", "No se ha podido hacer.")];

/// Metrics of a settled call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CallMetrics {
    pub cost: Usd,
    pub cached: bool,
    /// Since it was scheduled, including waits between attempts.
    pub duration_ms: u64,
    /// Its service was down on the way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degraded: bool,
}

impl CallMetrics {
    pub(super) fn is_free(&self) -> bool {
        *self == Self::default()
    }
}

impl Run {
    /// `call` is `None` if the request was refused before it became a call.
    pub(super) fn envelope(
        &self,
        call: Option<&CallId>,
        tool: &str,
        end: &CallEnd,
        settled: CallMetrics,
    ) -> ToolEnvelope {
        let (data, fault) = match end {
            CallEnd::Done(output) => ((**output).clone(), None),
            CallEnd::Failed(fault) => (Value::Null, Some(fault)),
        };
        let wordless = || self.default_customer_message().to_owned();
        ToolEnvelope {
            success: fault.is_none(),
            tool: tool.to_owned(),
            data,
            error: fault.map(|fault| fault.customer.as_deref().map_or_else(wordless, str::to_owned)),
            error_code: fault.map(|fault| fault.code.to_string()),
            error_details: fault.map(|fault| fault.message.clone()),
            suggested_action: fault.and_then(|fault| fault.suggested_action.as_ref()).map(ToString::to_string),
            // Links to the rows of the audit trail.
            audit_id: call.zip(self.id()).map(|(call, run)| call.key(run)),
            duration_ms: settled.duration_ms,
            cached: settled.cached,
            cost_usd: settled.cost.as_f64(),
            degraded: settled.degraded,
        }
    }

    fn default_customer_message(&self) -> &'static str {
        let language = self.started().and_then(|started| started.caller.language.as_deref()).unwrap_or("en");
        let found = DEFAULT_CUSTOMER_MESSAGES.iter().find(|(tag, _)| language.split('-').next() == Some(*tag));
        found.unwrap_or(&DEFAULT_CUSTOMER_MESSAGES[0]).1
    }
}
