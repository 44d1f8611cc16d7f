//! What a service that keeps entries must answer.

use async_trait::async_trait;
use baton_core::bundle::ContentHash;
use jiff::tz::TimeZone;

use crate::providers::calendar::range::TimeRange;
use crate::tool_error::ToolError;

#[async_trait]
pub(crate) trait RemoteCalendar: Send + Sync {
    /// As results and circuits know it.
    fn name(&self) -> &'static str;

    /// The service and who we are there, as people see it.
    fn account(&self) -> String;

    /// The account and the calendar of a resource, as a hash: other settings have another.
    fn location_hash(&self, resource: &str) -> ContentHash;

    /// What is busy within a range, for each of the resources; our own bookings with their buffers. Times that name no
    /// zone are in `zone`.
    async fn busy(
        &self,
        resources: &[&str],
        within: TimeRange,
        zone: &TimeZone,
    ) -> Result<Vec<Vec<TimeRange>>, ToolError>;

    /// The entry under one of our ids.
    async fn find(&self, resource: &str, id: &str) -> Result<Option<RemoteEntry>, ToolError>;

    /// Puts an entry under its id, unless there is one.
    async fn insert(&self, resource: &str, draft: &EntryDraft<'_>) -> Result<EntryPutResult, ToolError>;

    /// What else is around the entry's time and takes time.
    async fn foreign_entries(
        &self,
        resource: &str,
        draft: &EntryDraft<'_>,
        zone: &TimeZone,
    ) -> Result<Vec<ForeignEntry>, ToolError>;

    /// Takes an entry out; one that is gone is out.
    async fn remove(&self, resource: &str, entered: &RemoteEntry) -> Result<(), ToolError>;
}

/// An entry to put.
pub(crate) struct EntryDraft<'a> {
    /// `bk_` and hexadecimal digits, the same for the same effect.
    pub(crate) id: &'a str,
    pub(crate) range: TimeRange,
    /// With its buffers.
    pub(crate) blocked: TimeRange,
    pub(crate) zone: &'a TimeZone,
    pub(crate) summary: &'a str,
    pub(crate) description: &'a str,
    /// A hash of what was asked, kept with the entry.
    pub(crate) request_hash: &'a str,
    /// When it was asked for.
    pub(crate) at: i64,
}

pub(crate) enum EntryPutResult {
    Created(RemoteEntry),
    /// There is one under this id.
    Exists,
}

/// An entry that is there.
#[derive(Clone, Debug)]
pub(crate) struct RemoteEntry {
    pub(crate) id: String,
    pub(crate) range: Option<TimeRange>,
    pub(crate) cancelled: bool,
    pub(crate) request_hash: Option<String>,
    /// When the service made it, by the service's own clock, where it says.
    pub(crate) created_at: Option<i64>,
    /// Which version of it this is, where the service says.
    pub(crate) etag: Option<String>,
}

/// Something else in the calendar.
#[derive(Clone, Debug)]
pub(crate) struct ForeignEntry {
    pub(crate) range: TimeRange,
    pub(crate) created_at: Option<i64>,
}
