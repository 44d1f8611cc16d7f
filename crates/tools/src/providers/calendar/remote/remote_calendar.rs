//! The interface of an external service that stores calendar entries.

use async_trait::async_trait;
use baton_core::bundle::ContentHash;
use jiff::tz::TimeZone;

use crate::providers::calendar::range::TimeRange;
use crate::tool_error::ToolError;

#[async_trait]
pub(crate) trait RemoteCalendar: Send + Sync {
    /// The name in results and circuits.
    fn name(&self) -> &'static str;

    /// The service and the account there, as shown to people.
    fn account(&self) -> String;

    /// The account and the calendar of a resource, as a hash: other settings have another hash.
    fn location_hash(&self, resource: &str) -> ContentHash;

    /// Returns the busy ranges for each resource, with the buffers of Baton's own bookings. Times without a zone are
    /// in `zone`.
    async fn busy(
        &self,
        resources: &[&str],
        within: TimeRange,
        zone: &TimeZone,
    ) -> Result<Vec<Vec<TimeRange>>, ToolError>;

    /// Finds the entry with one of Baton's ids.
    async fn find(&self, resource: &str, id: &str) -> Result<Option<RemoteEntry>, ToolError>;

    /// Creates an entry under its id, unless that id exists.
    async fn insert(&self, resource: &str, draft: &EntryDraft<'_>) -> Result<EntryPutResult, ToolError>;

    /// Returns other entries around the entry's time that block time.
    async fn foreign_entries(
        &self,
        resource: &str,
        draft: &EntryDraft<'_>,
        zone: &TimeZone,
    ) -> Result<Vec<ForeignEntry>, ToolError>;

    /// Removes an entry; succeeds if it is already gone.
    async fn remove(&self, resource: &str, entered: &RemoteEntry) -> Result<(), ToolError>;
}

/// An entry to create.
pub(crate) struct EntryDraft<'a> {
    /// `bk_` and hexadecimal digits, the same for the same effect.
    pub(crate) id: &'a str,
    pub(crate) range: TimeRange,
    /// The range with its buffers.
    pub(crate) blocked: TimeRange,
    pub(crate) zone: &'a TimeZone,
    pub(crate) summary: &'a str,
    pub(crate) description: &'a str,
    /// A hash of the request, stored with the entry.
    pub(crate) request_hash: &'a str,
    /// When it was requested.
    pub(crate) at: i64,
}

pub(crate) enum EntryPutResult {
    Created(RemoteEntry),
    /// The id already exists.
    Exists,
}

/// An existing entry.
#[derive(Clone, Debug)]
pub(crate) struct RemoteEntry {
    pub(crate) id: String,
    pub(crate) range: Option<TimeRange>,
    pub(crate) cancelled: bool,
    pub(crate) request_hash: Option<String>,
    /// When the service created it, by the service's own clock, if it reports that.
    pub(crate) created_at: Option<i64>,
    /// The version of the entry, if the service reports one.
    pub(crate) etag: Option<String>,
}

/// An entry that Baton did not create.
#[derive(Clone, Debug)]
pub(crate) struct ForeignEntry {
    pub(crate) range: TimeRange,
    pub(crate) created_at: Option<i64>,
}
