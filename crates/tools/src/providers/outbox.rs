//! Messages that are recorded and not sent, so that the tools work without any account. Results say so.

use std::collections::VecDeque;

use baton_core::id::{RunId, TenantId};
use baton_ports::clock::Clock;
use baton_ports::records::{RecordError, RecordOp, RecordStore};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::code;
use crate::idempotency::{ActError, IdempotentAct};
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// The record space of the messages. Their keys sort in the order of writing.
pub(crate) const SPACE: &str = "outbox";

/// Number of messages read at once.
const PAGE: usize = 500;

/// A recorded message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxMessage {
    #[serde(rename = "message_id")]
    pub id: String,
    /// `email`, `whatsapp` or `sms`.
    pub channel: String,
    /// The fields of the message: `to`, `subject`, `body`, …
    pub message: Value,
    pub run: RunId,
    pub at: String,
}

/// Returns the newest messages that match `is_wanted`, at most `most`, oldest first. Reads all messages, a page at a
/// time, and keeps no more than these.
///
/// # Errors
/// As [`RecordStore::list`].
pub async fn newest(
    records: &dyn RecordStore,
    tenant: &TenantId,
    most: usize,
    is_wanted: impl Fn(&OutboxMessage) -> bool,
) -> Result<Vec<OutboxMessage>, RecordError> {
    let (mut kept, mut after) = (VecDeque::new(), None::<String>);
    loop {
        let page = records.list(tenant, SPACE, "", after.as_deref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        after = page.last().map(|record| record.key.clone());
        for message in
            page.into_iter().filter_map(|record| OutboxMessage::deserialize(record.value).ok()).filter(&is_wanted)
        {
            kept.push_back(message);
            if kept.len() > most {
                kept.pop_front();
            }
        }
        if is_last {
            return Ok(kept.into());
        }
    }
}

/// Records the message, once per key.
pub(crate) async fn put(
    records: &dyn RecordStore,
    clock: &dyn Clock,
    request: &PreparedRequest,
    channel: &'static str,
    message: Value,
) -> Result<Value, ToolError> {
    let act = IdempotentAct::new(records, request);
    if let Some(output) = act.recorded().await? {
        return Ok(output);
    }
    let now = clock.now();
    let id = request.id("msg");
    let output = json!({
        "message_id": id,
        "id": id,
        "status": "queued",
        "delivered": "outbox",
        "channel": channel,
        "to": request.argument("to"),
        "provider": "outbox",
    });
    let (run, at) = (request.call.run.clone(), now.to_string());
    let row = json!(OutboxMessage { id: id.clone(), channel: channel.to_owned(), message, run, at });
    // Thirteen digits of milliseconds sort by time until the year 2286.
    let key = format!("{:013}-{id}", now.as_ms());
    let ops = vec![RecordOp::Insert { space: SPACE.to_owned(), key, value: row }];
    act.commit(ops, output, now).await.map_err(|rejected| match rejected {
        ActError::Failed(failure) => failure,
        ActError::Conflict { .. } => {
            ToolError::transient(code::STORAGE_UNAVAILABLE, format!("the message `{id}` is in the outbox already"))
        }
    })
}
