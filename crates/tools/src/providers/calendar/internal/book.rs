//! Booking: the key's row, the booking and its held range in one batch.

use baton_ports::records::Op;
use serde_json::{Value, json};

use super::slot::Slot;
use super::wanted::Wanted;
use super::{Config, Internal, SPACE, rfc3339};
use crate::code;
use crate::failure::Failure;
use crate::keyed::{Act, Rejected};
use crate::request::Request;

/// Kept with a booking, for the people who work with it.
const KEPT: &[&str] = &["treatment", "user_id", "customer", "email", "phone", "notes"];
/// The operation of the batch that holds the range, as [`Rejected::Conflict`] counts them.
const HOLD: usize = 1;

pub(super) async fn book(internal: &Internal, calendar: &Config, request: &Request) -> Result<Value, Failure> {
    let act = Act::new(&*internal.records, request);
    if let Some(output) = act.recorded().await? {
        return Ok(output);
    }
    let now = internal.clock.now();
    let wanted = Wanted::read(calendar, request)?;
    let slot = wanted.chosen(now)?;
    let held = wanted.held(&slot);
    let id = request.id("bk");
    for resource in &wanted.resources {
        let output = output(&id, &wanted, &slot, resource, request);
        let mut booking = output.clone();
        if let Some(fields) = booking.as_object_mut() {
            fields.extend(KEPT.iter().map(|name| ((*name).to_owned(), request.argument(name).clone())));
        }
        let ops = vec![
            Op::Insert { space: SPACE.to_owned(), key: id.clone(), value: booking },
            Op::HoldRange {
                space: SPACE.to_owned(),
                resource: (*resource).to_owned(),
                from: held.from,
                to: held.to,
                key: id.clone(),
            },
        ];
        match act.commit(ops, output, now).await {
            Ok(output) => return Ok(output),
            // Taken here; another resource may be free.
            Err(Rejected::Conflict { index: HOLD }) => {}
            Err(Rejected::Conflict { .. }) => {
                return Err(Failure::later(code::STORAGE_UNAVAILABLE, format!("the booking `{id}` is there already")));
            }
            Err(Rejected::Failed(failure)) => return Err(failure),
        }
    }
    let tried = wanted.resources.join("`, `");
    let message = format!("{} {} is taken in `{tried}`", wanted.date, slot.label());
    Err(Failure::refused(code::SLOT_TAKEN, message))
}

fn output(id: &str, wanted: &Wanted<'_>, slot: &Slot, resource: &str, request: &Request) -> Value {
    json!({
        "booking_id": id,
        "id": id,
        "status": "confirmed",
        "date": wanted.date.to_string(),
        "time": slot.start,
        "end_time": slot.end,
        "slot": slot.label(),
        "starts_at": rfc3339(slot.range.from, &wanted.zone),
        "ends_at": rfc3339(slot.range.to, &wanted.zone),
        "zone": request.zone(),
        "resource": resource,
        "treatment": request.argument("treatment"),
        "duration_minutes": wanted.duration_minutes(),
        "provider": "internal",
    })
}
