//! Recorded verdicts, under the key of the call that requested them: a call that is repeated after a crash does not
//! request them again. They expire after a time, and they are personal data that can be forgotten.

use std::sync::Arc;

use baton_core::bundle::ContentHash;
use baton_core::id::TenantId;
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::index::{ForgetWatermark, SubjectFilter};
use baton_ports::memory::{InquiryRequest, MemoryError};
use baton_ports::models::ModelCaller;
use baton_ports::records::{RecordOp, RecordStore};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::InquiryVerdict;
use crate::forget_marks::{ForgetMarks, ForgetTarget};

const SPACE: &str = "memory.inquiries";
/// Ordered by day, so that old verdicts are found first.
const DAYS: &str = "memory.inquiry_days";
/// Days that a verdict is kept: longer than a call can be repeated.
const DAYS_KEPT: i64 = 30;
const DAY_MS: i64 = 86_400_000;
/// Maximum number of verdicts that one inquiry clears, and the page size when a person is forgotten.
const CLEARED_MAX: usize = 20;
const PAGE: usize = 45;

pub(crate) struct VerdictStore {
    records: Arc<dyn RecordStore>,
    marks: Arc<ForgetMarks>,
    clock: Arc<dyn Clock>,
}

/// A model's verdict of one round, or a reply that is not a verdict.
#[derive(Serialize, Deserialize)]
pub(super) struct VerdictRecord {
    question: String,
    query: String,
    pub(super) verdict: Option<InquiryVerdict>,
    pub(super) cost: Usd,
    day: i64,
}

/// The verdicts of one inquiry.
pub(super) struct InquiryVerdicts<'v> {
    verdicts: &'v VerdictStore,
    tenant: &'v TenantId,
    question: &'v str,
    customer: Option<&'v str>,
    key: &'v str,
    since: ForgetWatermark,
}

impl VerdictStore {
    pub(crate) fn new(records: Arc<dyn RecordStore>, marks: Arc<ForgetMarks>, clock: Arc<dyn Clock>) -> Self {
        Self { records, marks, clock }
    }

    /// Must be called before anything is searched.
    pub(super) async fn for_inquiry<'v>(
        &'v self,
        asker: &'v ModelCaller,
        inquiry: &'v InquiryRequest,
    ) -> Result<InquiryVerdicts<'v>, MemoryError> {
        let since = self.marks.watermark(&asker.tenant).await?;
        let customer = match &inquiry.filter.subject {
            SubjectFilter::Person(customer) | SubjectFilter::SharedWith(Some(customer)) => Some(customer.as_str()),
            SubjectFilter::Anyone | SubjectFilter::SharedWith(None) => None,
        };
        self.clear(&asker.tenant).await?;
        let (tenant, question, key) = (&asker.tenant, inquiry.question.as_str(), asker.key.as_str());
        Ok(InquiryVerdicts { verdicts: self, tenant, question, customer, key, since })
    }

    /// Removes some of the expired verdicts.
    async fn clear(&self, tenant: &TenantId) -> Result<(), MemoryError> {
        let now = self.clock.now();
        let young = day_prefix(day(now) - DAYS_KEPT);
        let oldest = self.records.list(tenant, DAYS, "", None, CLEARED_MAX).await?;
        let old = oldest.into_iter().filter(|record| record.key < young);
        let ops: Vec<RecordOp> = old.flat_map(|record| delete_both(record.key)).collect();
        if ops.is_empty() {
            return Ok(());
        }
        Ok(self.records.commit(tenant, ops, now).await?)
    }

    /// Removes the verdicts about a person's questions.
    pub(crate) async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<(), MemoryError> {
        let prefix = person(Some(customer));
        loop {
            let page = self.records.list(tenant, SPACE, &prefix, None, PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            let mut ops = Vec::new();
            for record in page {
                let day = record.value.get("day").and_then(Value::as_i64).unwrap_or_default();
                ops.extend(delete_both(format!("{}{}", day_prefix(day), record.key)));
            }
            self.records.commit(tenant, ops, self.clock.now()).await?;
        }
    }
}

impl InquiryVerdicts<'_> {
    /// The recorded verdict of a round of this call, for the same query.
    pub(super) async fn recorded(&self, round: usize, query: &str) -> Result<Option<VerdictRecord>, MemoryError> {
        let record = self.verdicts.records.get(self.tenant, SPACE, &self.name(round)).await?;
        let given = record.and_then(|record| serde_json::from_value::<VerdictRecord>(record.value).ok());
        Ok(given.filter(|given| given.question == self.question && given.query == query))
    }

    /// Records a verdict, unless the person was forgotten in the meantime.
    pub(super) async fn record(
        &self,
        round: usize,
        query: &str,
        verdict: Option<&InquiryVerdict>,
        cost: Usd,
    ) -> Result<(), MemoryError> {
        let whose: Vec<ForgetTarget<'_>> = self.customer.into_iter().map(ForgetTarget::Customer).collect();
        let Some(guard) = self.verdicts.marks.guard(self.tenant, self.since, &whose).await? else { return Ok(()) };
        let (now, key) = (self.verdicts.clock.now(), self.name(round));
        let (question, query, verdict) = (self.question.to_owned(), query.to_owned(), verdict.cloned());
        let given = VerdictRecord { question, query, verdict, cost, day: day(now) };
        let value = serde_json::to_value(&given)
            .map_err(|error| MemoryError::Invalid { what: "a verdict".to_owned(), reason: error.to_string() })?;
        let place = format!("{}{key}", day_prefix(given.day));
        let ops = vec![
            guard,
            RecordOp::Put { space: SPACE.to_owned(), key, value },
            RecordOp::Put { space: DAYS.to_owned(), key: place, value: Value::Null },
        ];
        Ok(self.verdicts.records.commit(self.tenant, ops, now).await?)
    }

    fn name(&self, round: usize) -> String {
        format!("{}{}/{round}", person(self.customer), hash(self.key))
    }
}

/// Removes a verdict and its entry in the day index, by the key of the latter.
fn delete_both(place: String) -> [RecordOp; 2] {
    let key = place.split_once('/').map(|(_, key)| key.to_owned()).unwrap_or_default();
    [RecordOp::Delete { space: SPACE.to_owned(), key }, RecordOp::Delete { space: DAYS.to_owned(), key: place }]
}

/// Ids may be long, contain any character, and identify a person.
fn hash(id: &str) -> String {
    ContentHash::of(id.as_bytes()).as_str().to_owned()
}

fn person(customer: Option<&str>) -> String {
    format!("{}/", customer.map(hash).unwrap_or_default())
}

fn day(at: Time) -> i64 {
    at.as_ms().div_euclid(DAY_MS)
}

fn day_prefix(day: i64) -> String {
    format!("{day:08}/")
}
