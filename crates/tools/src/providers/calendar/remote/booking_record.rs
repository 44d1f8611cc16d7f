//! Where a booking is: in which calendar of which service, written down before it is entered there.
//!
//! A service that has no entry says no more than that. Whether ours was taken out, or is in a calendar that the settings
//! name no longer, is known from here.

use baton_core::bundle::ContentHash;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{RecordError, RecordOp};
use serde::{Deserialize, Serialize};

use crate::code;
use crate::providers::calendar::calendars::CalendarServices;
use crate::tool_error::ToolError;

/// By the booking's id.
const SPACE: &str = "calendar_placed";
/// How often another attempt of the same booking may come first.
const TRIES_MAX: usize = 3;

/// What is written down of one booking, and changed as it moves.
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
    /// Resources whose calendar it left again, because somebody else had the time.
    #[serde(default)]
    left: Vec<String>,
    /// Whether somebody asked to cancel it: it is entered nowhere again.
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

    /// The service it was booked at, where that is known.
    pub(in crate::providers::calendar) fn provider(&self) -> Option<&str> {
        self.row.as_ref().map(|(row, _)| row.provider.as_str())
    }

    /// Whether it was booked in the calendar whose hash this is.
    pub(super) fn is_at(&self, at: &ContentHash) -> bool {
        self.row.as_ref().is_some_and(|(row, _)| row.at == at.as_str())
    }

    /// Whether it left this resource's calendar for somebody else.
    pub(super) fn has_left(&self, resource: &str) -> bool {
        self.row.as_ref().is_some_and(|(row, _)| row.left.iter().any(|left| left == resource))
    }

    pub(super) fn is_cancelling(&self) -> bool {
        self.row.as_ref().is_some_and(|(row, _)| row.cancelling)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.row.as_ref().is_some_and(|(row, _)| row.cancelled_at.is_some())
    }

    /// It is about to be entered there.
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

    /// It is about to leave this resource's calendar for somebody else.
    pub(super) async fn record_removal(&mut self, resource: &str) -> Result<(), ToolError> {
        self.change(|row| {
            if !row.left.iter().any(|left| left == resource) {
                row.left.push(resource.to_owned());
            }
        })
        .await
    }

    /// It is about to be cancelled.
    pub(super) async fn record_cancelling(&mut self) -> Result<(), ToolError> {
        self.change(|row| row.cancelling = true).await
    }

    /// It is in no calendar any more.
    pub(super) async fn record_cancelled(&mut self) -> Result<(), ToolError> {
        let now = self.services.clock.now();
        self.change(|row| row.cancelled_at = row.cancelled_at.or(Some(now))).await
    }

    /// Of a booking made before places were written down nothing is changed.
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

    /// Whether it is written now. Where another attempt came first, what it wrote has been read.
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
            // Nothing is done outside before it is written down.
            Err(error) => return Err(ToolError::from_read(&error)),
        }
        Ok(true)
    }
}

/// A call that was undone books nothing when it is sent once more.
pub(super) fn already_undone(id: &str) -> ToolError {
    ToolError::permanent(
        code::SLOT_TAKEN,
        format!("the booking `{id}` was cancelled; the same call does not book it again"),
    )
}

fn busy(id: &str) -> ToolError {
    ToolError::transient(code::STORAGE_UNAVAILABLE, format!("the booking `{id}` keeps changing"))
}
