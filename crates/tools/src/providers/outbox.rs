//! Messages that are written down and not sent: what works with no account anywhere. Results say so.

use baton_ports::clock::Clock;
use baton_ports::records::{Op, Records};
use serde_json::{Value, json};

use crate::code;
use crate::failure::Failure;
use crate::keyed::{Act, Rejected};
use crate::request::Request;

/// Where the messages are: key order is the order in which they were written.
pub(crate) const SPACE: &str = "outbox";

/// Writes the message down, once per key.
pub(crate) async fn put(
    records: &dyn Records,
    clock: &dyn Clock,
    request: &Request,
    channel: &'static str,
    message: Value,
) -> Result<Value, Failure> {
    let act = Act::new(records, request);
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
    let row = json!({
        "message_id": id, "channel": channel, "message": message, "run": request.call.run, "at": now.to_string(),
    });
    // Thirteen digits of milliseconds sort as time does until the year 2286.
    let key = format!("{:013}-{id}", now.as_ms());
    let ops = vec![Op::Insert { space: SPACE.to_owned(), key, value: row }];
    act.commit(ops, output, now).await.map_err(|rejected| match rejected {
        Rejected::Failed(failure) => failure,
        Rejected::Conflict { .. } => {
            Failure::later(code::STORAGE_UNAVAILABLE, format!("the message `{id}` is in the outbox already"))
        }
    })
}
