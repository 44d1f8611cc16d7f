//! Records which calendar of which service a booking is in, before the entry is created there.
//!
//! A service without the entry reports no more than that. This record tells whether the entry was removed, or is in a
//! calendar that the settings no longer name.

use baton_core::bundle::ContentHash;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{RecordError, RecordOp};
use serde::{Deserialize, Serialize};

use crate::code;
use crate::providers::calendar::calendars::CalendarServices;
use crate::tool_error::ToolError;

/// Record space, by the booking's id.
const SPACE: &str = "calendar_placed";
/// Maximum number of conflicts with another attempt of the same booking.
const TRIES_MAX: usize = 3;

/// The record of one booking, updated as the booking moves.
pub(in crate::providers::calendar) struct BookingRecord<'a> {
    services: &'a CalendarServices,
    tenant: &'a TenantId,
    id: &'a str,
    row: Option<(BookingRow, u64)>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct BookingRow {
    /// The service: `google`.
    provider: String,
    resource: String,
    /// The account and the calendar at the service, as a hash.
    at: String,
    /// Resources whose calendar it left again, because another party had the time.
    #[serde(default)]
    left: Vec<String>,
    /// Whether a cancellation was requested: no new entry is created then.
    #[serde(default)]
    cancelling: bool,
    #[serde(default)]
    cancelled_at: Option<Time>,
}

impl<'a> BookingRecord<'a> {
    pub(in crate::providers::calendar) async fn find(
        means: &'a CalendarServices,
        tenant: &'a TenantId,
        id: &'a str,
    ) -> Result<Self, ToolError> {
        let mut placed = Self { services: means, tenant, id, row: None };
        placed.read().await?;
        Ok(placed)
    }

    async fn read(&mut self) -> Result<(), ToolError> {
        let found = self.services.records.get(self.tenant, SPACE, self.id).await;
        let found = found.map_err(|error| ToolError::from_read(&error))?;
        self.row = found.and_then(|record| Some((serde_json::from_value(record.value).ok()?, record.version)));
        Ok(())
    }

    /// The service it was booked at, if known.
    pub(in crate::providers::calendar) fn provider(&self) -> Option<&str> {
        self.row.as_ref().map(|(row, _)| row.provider.as_str())
    }

    /// Returns whether it was booked in the calendar with this hash.
    pub(super) fn is_at(&self, at: &ContentHash) -> bool {
        self.row.as_ref().is_some_and(|(row, _)| row.at == at.as_str())
    }

    /// Returns whether it left this resource's calendar for another party.
    pub(super) fn has_left(&self, resource: &str) -> bool {
        self.row.as_ref().is_some_and(|(row, _)| row.left.iter().any(|left| left == resource))
    }

    pub(super) fn is_cancelling(&self) -> bool {
        self.row.as_ref().is_some_and(|(row, _)| row.cancelling)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.row.as_ref().is_some_and(|(row, _)| row.cancelled_at.is_some())
    }

    /// Records that the entry is about to be created there.
    pub(super) async fn record_placement(
        &mut self,
        provider: &str,
        resource: &str,
        at: &ContentHash,
    ) -> Result<(), ToolError> {
        for _ in 0..TRIES_MAX {
            if self.is_cancelling() {
                return Err(already_undone(self.id));
            }
            let left = self.row.as_ref().map(|(row, _)| row.left.clone()).unwrap_or_default();
            let row = BookingRow {
                provider: provider.to_owned(),
                resource: resource.to_owned(),
                at: at.to_string(),
                left,
                cancelling: false,
                cancelled_at: None,
            };
            if self.write(row).await? {
                return Ok(());
            }
        }
        Err(busy(self.id))
    }

    /// Records that it is about to leave this resource's calendar for another party.
    pub(super) async fn record_removal(&mut self, resource: &str) -> Result<(), ToolError> {
        self.change(|row| {
            if !row.left.iter().any(|left| left == resource) {
                row.left.push(resource.to_owned());
            }
        })
        .await
    }

    /// Records that it is about to be cancelled.
    pub(super) async fn record_cancelling(&mut self) -> Result<(), ToolError> {
        self.change(|row| row.cancelling = true).await
    }

    /// Records that it is in no calendar any more.
    pub(super) async fn record_cancelled(&mut self) -> Result<(), ToolError> {
        let now = self.services.clock.now();
        self.change(|row| row.cancelled_at = row.cancelled_at.or(Some(now))).await
    }

    /// Changes the record. A booking made before these records existed has none and is not changed.
    async fn change(&mut self, change: impl Fn(&mut BookingRow)) -> Result<(), ToolError> {
        for _ in 0..TRIES_MAX {
            let Some((row, _)) = &self.row else { return Ok(()) };
            let mut changed = row.clone();
            change(&mut changed);
            if self.write(changed).await? {
                return Ok(());
            }
        }
        Err(busy(self.id))
    }

    /// Writes the record. Returns false if another attempt wrote first; its version has then been read.
    async fn write(&mut self, row: BookingRow) -> Result<bool, ToolError> {
        let (space, key) = (SPACE.to_owned(), self.id.to_owned());
        let value = serde_json::to_value(&row).unwrap_or_default();
        let (op, version) = match &self.row {
            Some((before, _)) if *before == row => return Ok(true),
            Some((_, version)) => (RecordOp::CompareAndSet { space, key, version: *version, value }, version + 1),
            None => (RecordOp::Insert { space, key, value }, 1),
        };
        match self.services.records.commit(self.tenant, vec![op], self.services.clock.now()).await {
            Ok(()) => self.row = Some((row, version)),
            Err(RecordError::Conflict { .. }) => {
                self.read().await?;
                return Ok(false);
            }
            // Nothing is done at the service before it is recorded.
            Err(error) => return Err(ToolError::from_read(&error)),
        }
        Ok(true)
    }
}

/// The error of a call that was undone: a retry books nothing.
pub(super) fn already_undone(id: &str) -> ToolError {
    ToolError::permanent(
        code::SLOT_TAKEN,
        format!("the booking `{id}` was cancelled; the same call does not book it again"),
    )
}

fn busy(id: &str) -> ToolError {
    ToolError::transient(code::STORAGE_UNAVAILABLE, format!("the booking `{id}` keeps changing"))
}
