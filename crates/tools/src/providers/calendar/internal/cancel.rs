//! Cancels: marks the booking as cancelled and frees its range, in one batch.

use baton_ports::records::{RecordError, RecordOp};
use serde_json::{Value, json};

use super::{InternalCalendar, NAME, SPACE};
use crate::code;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// Maximum number of attempts when a concurrent writer changes the booking.
const TRIES_MAX: usize = 3;

/// Cancels a booking. The act is idempotent: a cancelled booking stays cancelled.
pub(super) async fn cancel(internal: &InternalCalendar, request: &PreparedRequest) -> Result<Value, ToolError> {
    let tenant = &request.call.tenant;
    let id = request.text("booking_id").unwrap_or_default();
    for _ in 0..TRIES_MAX {
        let booking = internal.records.get(tenant, SPACE, id).await.map_err(|error| ToolError::from_read(&error))?;
        let Some(booking) = booking else {
            return Err(ToolError::permanent(code::BOOKING_NOT_FOUND, format!("there is no booking `{id}`")));
        };
        if booking.value["status"] == "cancelled" {
            return Ok(output(&booking.value));
        }
        let now = internal.clock.now();
        let changes = [
            ("status", "cancelled".into()),
            ("cancelled_at", now.to_string().into()),
            ("reason", request.argument("reason").clone()),
        ];
        let mut cancelled = booking.value;
        if let Some(fields) = cancelled.as_object_mut() {
            fields.extend(changes.map(|(name, value)| (name.to_owned(), value)));
        }
        let output = output(&cancelled);
        let ops = vec![
            RecordOp::CompareAndSet {
                space: SPACE.to_owned(),
                key: id.to_owned(),
                version: booking.version,
                value: cancelled,
            },
            RecordOp::FreeRange { space: SPACE.to_owned(), key: id.to_owned() },
        ];
        match internal.records.commit(tenant, ops, now).await {
            Ok(()) => return Ok(output),
            Err(RecordError::Conflict { .. }) => {}
            Err(error) => return Err(ToolError::from_write(&error)),
        }
    }
    Err(ToolError::transient(code::STORAGE_UNAVAILABLE, format!("the booking `{id}` keeps changing")))
}

fn output(booking: &Value) -> Value {
    json!({
        "booking_id": booking["booking_id"],
        "id": booking["id"],
        "status": booking["status"],
        "date": booking["date"],
        "time": booking["time"],
        "cancelled_at": booking["cancelled_at"],
        "provider": NAME,
    })
}
