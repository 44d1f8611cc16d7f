//! Books: the key's row, the booking and its held range in one batch.

use baton_ports::records::RecordOp;
use serde_json::Value;

use super::super::booking_request::BookingRequest;
use super::super::provider::{RECORDED_FIELDS, booking_output};
use super::{CalendarConfig, InternalCalendar, NAME, SPACE};
use crate::code;
use crate::idempotency::{ActError, IdempotentAct};
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// Index in the batch of the operation that holds the range, as in [`ActError::Conflict`].
const HOLD: usize = 1;

pub(super) async fn book(
    internal: &InternalCalendar,
    calendar: &CalendarConfig,
    request: &PreparedRequest,
) -> Result<Value, ToolError> {
    let act = IdempotentAct::new(&*internal.records, request);
    if let Some(output) = act.recorded().await? {
        return Ok(output);
    }
    let now = internal.clock.now();
    let wanted = BookingRequest::read(calendar, request)?;
    let slot = wanted.requested_slot(now)?;
    let held = wanted.blocked_range(&slot);
    let id = request.id("bk");
    for resource in &wanted.resources {
        let output = booking_output(&id, &wanted, &slot, (resource, NAME), request);
        let mut booking = output.clone();
        if let Some(fields) = booking.as_object_mut() {
            fields.extend(RECORDED_FIELDS.iter().map(|name| ((*name).to_owned(), request.argument(name).clone())));
        }
        let ops = vec![
            RecordOp::Insert { space: SPACE.to_owned(), key: id.clone(), value: booking },
            RecordOp::HoldRange {
                space: SPACE.to_owned(),
                resource: (*resource).to_owned(),
                from: held.from,
                to: held.to,
                key: id.clone(),
            },
        ];
        match act.commit(ops, output, now).await {
            Ok(output) => return Ok(output),
            // Taken at this resource; another one may be free.
            Err(ActError::Conflict { index: HOLD }) => {}
            Err(ActError::Conflict { .. }) => {
                return Err(ToolError::transient(
                    code::STORAGE_UNAVAILABLE,
                    format!("the booking `{id}` is there already"),
                ));
            }
            Err(ActError::Failed(failure)) => return Err(failure),
        }
    }
    let tried = wanted.resources.join("`, `");
    let message = format!("{} {} is taken in `{tried}`", wanted.date, slot.label());
    Err(ToolError::permanent(code::SLOT_TAKEN, message))
}
