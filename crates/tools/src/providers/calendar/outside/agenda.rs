//! What a service that keeps entries must answer.

use async_trait::async_trait;
use baton_core::bundle::Hash;
use jiff::tz::TimeZone;

use crate::failure::Failure;
use crate::providers::calendar::range::Range;

#[async_trait]
pub(crate) trait Agenda: Send + Sync {
    /// As results and circuits know it.
    fn name(&self) -> &'static str;

    /// The service and who we are there, as people see it.
    fn account(&self) -> String;

    /// The account and the calendar of a resource, as a hash: other settings have another.
    fn at(&self, resource: &str) -> Hash;

    /// What is busy within a range, for each of the resources; our own bookings with their buffers. Times that name no
    /// zone are in `zone`.
    async fn busy(&self, resources: &[&str], within: Range, zone: &TimeZone) -> Result<Vec<Vec<Range>>, Failure>;

    /// The entry under one of our ids.
    async fn find(&self, resource: &str, id: &str) -> Result<Option<Entered>, Failure>;

    /// Puts an entry under its id, unless there is one.
    async fn enter(&self, resource: &str, draft: &Draft<'_>) -> Result<Put, Failure>;

    /// What else is around the entry's time and takes time.
    async fn others(&self, resource: &str, draft: &Draft<'_>, zone: &TimeZone) -> Result<Vec<Other>, Failure>;

    /// Takes an entry out; one that is gone is out.
    async fn remove(&self, resource: &str, entered: &Entered) -> Result<(), Failure>;
}

/// An entry to put.
pub(crate) struct Draft<'a> {
    /// `bk_` and hexadecimal digits, the same for the same effect.
    pub(crate) id: &'a str,
    pub(crate) range: Range,
    /// With its buffers.
    pub(crate) held: Range,
    pub(crate) zone: &'a TimeZone,
    pub(crate) summary: &'a str,
    pub(crate) description: &'a str,
    /// A hash of what was asked, kept with the entry.
    pub(crate) asked: &'a str,
    /// When it was asked for.
    pub(crate) at: i64,
}

pub(crate) enum Put {
    Made(Entered),
    /// There is one under this id.
    There,
}

/// An entry that is there.
#[derive(Clone, Debug)]
pub(crate) struct Entered {
    pub(crate) id: String,
    pub(crate) range: Option<Range>,
    pub(crate) cancelled: bool,
    pub(crate) asked: Option<String>,
    /// When the service made it, by the service's own clock, where it says.
    pub(crate) made: Option<i64>,
    /// Which version of it this is, where the service says.
    pub(crate) tag: Option<String>,
}

/// Something else in the calendar.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub(crate) range: Range,
    pub(crate) made: Option<i64>,
}
