//! Booking: the key's row, the booking and its held range in one batch.

use baton_ports::records::Op;
use serde_json::Value;

use super::super::keeper::{KEPT, booked};
use super::super::wanted::Wanted;
use super::{Config, Internal, NAME, SPACE};
use crate::code;
use crate::failure::Failure;
use crate::keyed::{Act, Rejected};
use crate::request::Request;

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
        let output = booked(&id, &wanted, &slot, (resource, NAME), request);
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
