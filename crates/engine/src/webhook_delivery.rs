//! Outgoing webhooks: events of runs and conversations, posted to subscribers, signed, and retried for a day and a
//! half.
//!
//! **No event is lost.** Events are not written beside a journal: they are derived from it. A cursor records up to
//! which entry the journal was processed. It moves in the same batch that stores the deliveries. After a crash either
//! both are durable or neither, runs pay nothing for it, and a process that joins later reads on from there.
//!
//! **At least once.** A delivery is claimed for a minute, posted, and settled. If its process dies in between, it is
//! posted again under the same `webhook-id`. Deliveries start in the order of their events; one that fails is retried
//! later and lets the others pass.

mod conversation_events;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use baton_core::bundle::ContentHash;
use baton_core::id::TenantId;
use baton_core::run::{BlockReason, DoubtFollowUp, HumanPrompt, HumanTask, NodeWait, RunEvent, RunState};
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::feed::{FeedEntry, JournalFeed};
use baton_ports::journal::AggregateKind;
use baton_ports::post::{PostError, PostResponse, WebhookClient};
use baton_ports::records::{self, RecordOp, RecordStore, StoredRecord};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::projections::item_id;
use crate::triggers::webhook::SigningSecrets;
use crate::triggers::{NamedDefinition, TriggerError, check_name, find, list, save, signature};

/// Record space of the signing secrets.
pub const SECRETS: &str = "subscription_secret";
/// Record space of pending deliveries, in the order in which they are due.
const PENDING: &str = "webhook_pending";
/// Record spaces of the accepted deliveries, and of those that were given up.
const SENT: &str = "webhook_sent";
const DEAD: &str = "webhook_dead";
/// Record space of the cursor into the journal.
const CURSOR: &str = "webhook_cursor";
/// How long a claim lasts: longer than one attempt takes.
const CLAIM: Duration = Duration::from_secs(60);
/// Deliveries stored in one batch, which also contains some other operations.
const BATCH_MAX: usize = 90;
/// Deliveries in flight at once, and per pass.
const IN_FLIGHT_MAX: usize = 16;
const DUE_MAX: usize = 100;
/// The longest wait that a receiver may request.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Deliveries per page, and dead letters replayed by one request.
pub const DELIVERIES_MAX: usize = 200;
/// Maximum length of a URL, and of a stored reason, in characters.
const URL_CHARS_MAX: usize = 2_048;
const REASON_CHARS_MAX: usize = 300;

/// The events that can be subscribed to.
pub const EVENTS: [&str; 15] = [
    "execution.completed",
    "execution.failed",
    "execution.cancelled",
    "execution.rolled_back",
    "execution.waiting",
    "approval.requested",
    "conversation.begun",
    "conversation.message",
    "conversation.handed_over",
    "conversation.assigned",
    "conversation.given_back",
    "conversation.resolved",
    "conversation.finished",
    "conversation.reopened",
    "conversation.rated",
];

/// Seconds before each retry: some 32 hours in all.
pub const RETRIES_S: [u32; 9] = [5, 30, 300, 1_800, 7_200, 18_000, 28_800, 28_800, 28_800];

/// A subscription: the receiver and the events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSubscription {
    pub name: String,
    pub url: String,
    /// Names in [`EVENTS`]; `execution.*`, `conversation.*` and `*` stand for several.
    pub events: BTreeSet<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Defined by the project's folder, which controls its changes.
    #[serde(default)]
    pub from_project: bool,
    #[serde(default)]
    pub created_at: Time,
    /// Only entries after this one are delivered.
    #[serde(default)]
    pub since: i64,
}

fn yes() -> bool {
    true
}

impl NamedDefinition for WebhookSubscription {
    const KIND: &'static str = "subscription";
    const SPACE: &'static str = "subscription";
    const MAX: usize = 20;

    fn name(&self) -> &str {
        &self.name
    }
}

impl WebhookSubscription {
    fn wants(&self, event: &str) -> bool {
        self.events.iter().any(|wanted| matches(wanted, event))
    }
}

fn matches(wanted: &str, event: &str) -> bool {
    wanted == event || wanted.strip_suffix('*').is_some_and(|family| event.starts_with(family))
}

/// A pending or past delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebhookDelivery {
    /// `webhook-id`: the same for every attempt.
    pub id: String,
    pub subscription: String,
    pub event: String,
    pub body: Value,
    pub attempts: u32,
    /// The result of the last attempt.
    pub last: Option<String>,
    pub last_at: Option<Time>,
}

/// The status of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryStatus {
    Pending,
    Sent,
    Dead,
}

/// How far the journal was processed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct WebhookCursor {
    after: i64,
    /// Within the next entry: the last delivery that was stored.
    part: Option<(usize, String)>,
}

/// Delivers events to subscribers. Cheap to clone.
#[derive(Clone)]
pub struct WebhookSender {
    pub records: Arc<dyn RecordStore>,
    pub feed: Arc<dyn JournalFeed>,
    pub post: Arc<dyn WebhookClient>,
    pub clock: Arc<dyn Clock>,
    /// Delays before each retry; after the last one the delivery is given up.
    pub retries: Arc<[Duration]>,
}

impl WebhookSender {
    /// Creates or replaces a subscription. A new one gets `secret`, and receives events from now on.
    ///
    /// # Errors
    /// A field is invalid.
    pub async fn save(
        &self,
        tenant: &TenantId,
        before: Option<(u64, WebhookSubscription)>,
        mut subscription: WebhookSubscription,
        secret: Option<String>,
    ) -> Result<WebhookSubscription, TriggerError> {
        check_name(&subscription.name)?;
        if subscription.url.chars().count() > URL_CHARS_MAX {
            return Err(TriggerError::invalid("url", format!("it has at most {URL_CHARS_MAX} characters")));
        }
        self.post.check(&subscription.url).map_err(|why| TriggerError::invalid("url", why))?;
        let is_known = |wanted: &String| EVENTS.iter().any(|event| matches(wanted, event));
        if subscription.events.is_empty() || !subscription.events.iter().all(is_known) {
            let why =
                format!("name one or more of `{}`, or `execution.*`, `conversation.*`, or `*`", EVENTS.join("`, `"));
            return Err(TriggerError::invalid("events", why));
        }
        let now = self.clock.now();
        match &before {
            Some((_, before)) => (subscription.created_at, subscription.since) = (before.created_at, before.since),
            None => (subscription.created_at, subscription.since) = (now, self.feed.newest().await?),
        }
        if before.as_ref().is_some_and(|(_, before)| !before.enabled && subscription.enabled) {
            // Events in between are not delivered.
            subscription.since = self.feed.newest().await?;
        }
        let mut beside: Vec<RecordOp> =
            secret.map(|secret| SigningSecrets::new(secret).put(SECRETS, &subscription.name)).into_iter().collect();
        if self.records.get(tenant, CURSOR, CURSOR).await?.is_none() {
            let cursor = WebhookCursor { after: subscription.since, part: None };
            beside.push(RecordOp::Put { space: CURSOR.to_owned(), key: CURSOR.to_owned(), value: json!(cursor) });
        }
        save(&*self.records, tenant, before.map(|(version, _)| version), &subscription, beside, now).await?;
        Ok(subscription)
    }

    /// Gives a subscription a new secret; deliveries are signed with both for the overlap.
    pub async fn rotate(
        &self,
        tenant: &TenantId,
        name: &str,
        secret: String,
        overlap: Duration,
    ) -> Result<(), TriggerError> {
        let now = self.clock.now();
        let (version, subscription) = find::<WebhookSubscription>(&*self.records, tenant, name).await?;
        let secrets = SigningSecrets::read(&*self.records, tenant, SECRETS, name).await?.rotated(secret, overlap, now);
        save(&*self.records, tenant, Some(version), &subscription, vec![secrets.put(SECRETS, name)], now).await
    }

    /// A subscription's deliveries, oldest first, after the id `after`.
    pub async fn deliveries(
        &self,
        tenant: &TenantId,
        name: &str,
        stands: DeliveryStatus,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<WebhookDelivery>, TriggerError> {
        find::<WebhookSubscription>(&*self.records, tenant, name).await?;
        let limit = limit.min(DELIVERIES_MAX);
        let space = match stands {
            DeliveryStatus::Sent => SENT,
            DeliveryStatus::Dead => DEAD,
            DeliveryStatus::Pending => {
                let page = self.records.list(tenant, PENDING, "", None, 1_000).await?;
                let mut own: Vec<WebhookDelivery> = page.into_iter().filter_map(delivery).collect();
                own.retain(|delivery| delivery.subscription == name && after.is_none_or(|after| *delivery.id > *after));
                own.sort_by(|one, other| one.id.cmp(&other.id));
                own.truncate(limit);
                return Ok(own);
            }
        };
        let (prefix, after) = (format!("{name}/"), after.map(|after| format!("{name}/{after}")));
        let page = self.records.list(tenant, space, &prefix, after.as_deref(), limit).await?;
        Ok(page.into_iter().filter_map(delivery).collect())
    }

    /// Posts a delivery that was accepted or given up again, under the same `webhook-id`.
    pub async fn replay(&self, tenant: &TenantId, name: &str, id: &str) -> Result<WebhookDelivery, TriggerError> {
        find::<WebhookSubscription>(&*self.records, tenant, name).await?;
        let key = format!("{name}/{id}");
        for space in [DEAD, SENT] {
            let found = self.records.get(tenant, space, &key).await?.and_then(delivery);
            if let Some(found) = found {
                let again = WebhookDelivery { attempts: 0, ..found };
                let now = self.clock.now();
                let mut ops = vec![again.pending_record(now)];
                if space == DEAD {
                    ops.push(RecordOp::Delete { space: DEAD.to_owned(), key });
                }
                self.records.commit(tenant, ops, now).await?;
                return Ok(again);
            }
        }
        Err(TriggerError::Unknown { kind: "delivery", name: id.chars().take(100).collect() })
    }

    /// Processes new entries, and posts what is due. Returns when the next work is due, as far as is known.
    ///
    /// # Errors
    /// The store does not answer; nothing is lost.
    pub async fn deliver_due(&self, tenant: &TenantId) -> Result<Option<Time>, TriggerError> {
        let has_more = self.ingest(tenant).await?;
        let next = self.post_due(tenant).await?;
        Ok(if has_more { Some(self.clock.now()) } else { next })
    }

    /// Stores the deliveries of new entries. Returns whether there is more.
    async fn ingest(&self, tenant: &TenantId) -> Result<bool, TriggerError> {
        let subscriptions: Vec<WebhookSubscription> =
            list(&*self.records, tenant, None, WebhookSubscription::MAX).await?;
        let Some(record) = self.records.get(tenant, CURSOR, CURSOR).await? else { return Ok(false) };
        let cursor: WebhookCursor = serde_json::from_value(record.value).unwrap_or_default();
        if subscriptions.is_empty() {
            return Ok(false);
        }
        let (laid, up_to) = self.feed.journal_entries(tenant, cursor.after).await?;
        if up_to == cursor.after {
            return Ok(false);
        }
        let now = self.clock.now();
        let (mut ops, mut next) = (Vec::new(), WebhookCursor { after: up_to, part: None });
        'all: for entry in &laid {
            let done = cursor.part.as_ref().filter(|_| entry.id == cursor.after + 1);
            for (place, told) in webhook_events(tenant, entry).into_iter().enumerate() {
                for subscription in &subscriptions {
                    let part = (place, subscription.name.clone());
                    let wants = subscription.enabled && entry.id > subscription.since && subscription.wants(told.event);
                    if !wants || done.is_some_and(|done| part <= *done) {
                        continue;
                    }
                    if ops.len() == BATCH_MAX {
                        next.after = entry.id - 1;
                        break 'all;
                    }
                    ops.push(told.delivery(entry, place, subscription).pending_record(now));
                    next.part = Some(part);
                }
            }
            next.part = None;
        }
        // If nothing of the next entry was stored, the previous position within it still applies.
        if next.after == cursor.after && next.part.is_none() {
            next.part = cursor.part;
        }
        let moved = RecordOp::CompareAndSet {
            space: CURSOR.to_owned(),
            key: CURSOR.to_owned(),
            version: record.version,
            value: json!(next),
        };
        match self.records.commit(tenant, std::iter::once(moved).chain(ops).collect(), now).await {
            // Another process was first.
            Ok(()) | Err(records::RecordError::Conflict { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Posts what is due. Returns when the next delivery is due.
    async fn post_due(&self, tenant: &TenantId) -> Result<Option<Time>, TriggerError> {
        let now = self.clock.now();
        let page = self.records.list(tenant, PENDING, "", None, DUE_MAX).await?;
        let due: Vec<StoredRecord> = page.into_iter().take_while(|record| due_at(record) <= now).collect();
        futures::stream::iter(due)
            .for_each_concurrent(IN_FLIGHT_MAX, |record| async move {
                let key = record.key.clone();
                if let Err(error) = self.attempt(tenant, record).await {
                    tracing::warn!(%tenant, key, %error, "a webhook could not be settled; it is tried again");
                }
            })
            .await;
        // Read again: failed deliveries are due again later.
        let first = self.records.list(tenant, PENDING, "", None, 1).await?;
        Ok(first.first().map(due_at))
    }

    async fn attempt(&self, tenant: &TenantId, record: StoredRecord) -> Result<(), TriggerError> {
        let (old, version) = (record.key.clone(), record.version);
        let Some(mut delivery) = delivery(record) else {
            let gone = RecordOp::Delete { space: PENDING.to_owned(), key: old };
            return Ok(self.records.commit(tenant, vec![gone], self.clock.now()).await?);
        };
        let now = self.clock.now();
        let claimed = delivery.key_at(now + CLAIM);
        let expect = RecordOp::Expect { space: PENDING.to_owned(), key: old.clone(), version: Some(version) };
        let ops = vec![
            expect,
            RecordOp::Delete { space: PENDING.to_owned(), key: old },
            delivery.pending_record(now + CLAIM),
        ];
        match self.records.commit(tenant, ops, now).await {
            Ok(()) => {}
            // Another process has it.
            Err(records::RecordError::Conflict { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let became = self.post(tenant, &delivery).await?;
        let now = self.clock.now();
        delivery.attempts += 1;
        delivery.last_at = Some(now);
        // A delivery that was deleted meanwhile, because its person was erased, must not come back.
        let Some(row) = self.records.get(tenant, PENDING, &claimed).await? else { return Ok(()) };
        let expect = RecordOp::Expect { space: PENDING.to_owned(), key: claimed.clone(), version: Some(row.version) };
        let mut ops = vec![expect, RecordOp::Delete { space: PENDING.to_owned(), key: claimed }];
        match became {
            PostOutcome::Accepted(status) => {
                delivery.last = Some(format!("answered {status}"));
                ops.push(delivery.settled_record(SENT));
            }
            PostOutcome::NotAccepted { why, wait } => {
                delivery.last = Some(why.chars().take(REASON_CHARS_MAX).collect());
                let place = usize::try_from(delivery.attempts - 1).unwrap_or(usize::MAX);
                match (wait, self.retries.get(place)) {
                    (Some(asked), Some(own)) => ops.push(delivery.pending_record(now + asked.max(*own))),
                    (None, _) | (_, None) => {
                        tracing::warn!(%tenant, id = delivery.id, subscription = delivery.subscription, why, "a webhook was given up");
                        ops.push(delivery.settled_record(DEAD));
                    }
                }
            }
        }
        match self.records.commit(tenant, ops, now).await {
            Ok(()) | Err(records::RecordError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn post(&self, tenant: &TenantId, delivery: &WebhookDelivery) -> Result<PostOutcome, TriggerError> {
        let for_good = |why: &str| Ok(PostOutcome::NotAccepted { why: why.to_owned(), wait: None });
        let subscription = match find::<WebhookSubscription>(&*self.records, tenant, &delivery.subscription).await {
            Ok((_, subscription)) if subscription.enabled => subscription,
            Ok(_) => return for_good("its subscription is not enabled"),
            Err(TriggerError::Unknown { .. }) => return for_good("its subscription was taken out"),
            Err(error) => return Err(error),
        };
        let now = self.clock.now();
        let secrets = SigningSecrets::read(&*self.records, tenant, SECRETS, &subscription.name).await?.valid_at(now);
        if secrets.is_empty() {
            return for_good("its subscription has no secret to sign with; `rotate` makes one");
        }
        let body = delivery.body.to_string().into_bytes();
        let signed = secrets.iter().map(|secret| signature::sign(secret, &delivery.id, now, &body));
        let headers = [
            ("webhook-id", delivery.id.clone()),
            ("webhook-timestamp", signature::seconds(now).to_string()),
            ("webhook-signature", signed.collect::<Vec<_>>().join(" ")),
        ];
        Ok(match self.post.post(&subscription.url, &headers, body).await {
            Ok(PostResponse { status: status @ 200..300, .. }) => PostOutcome::Accepted(status),
            Ok(PostResponse { status: 410, .. }) => return for_good("answered 410: it wants no more of these"),
            Ok(PostResponse { status, retry_after_ms }) => {
                let asked = Duration::from_millis(retry_after_ms.unwrap_or(0)).min(RETRY_AFTER_MAX);
                PostOutcome::NotAccepted { why: format!("answered {status}"), wait: Some(asked) }
            }
            Err(PostError::Rejected(why)) => PostOutcome::NotAccepted { why, wait: None },
            Err(PostError::Failed(why)) => PostOutcome::NotAccepted { why, wait: Some(Duration::ZERO) },
        })
    }
}

/// The result of an attempt.
enum PostOutcome {
    Accepted(u16),
    /// `wait` is the minimum delay before the next attempt; `None` means that the delivery is given up.
    NotAccepted {
        why: String,
        wait: Option<Duration>,
    },
}

impl WebhookDelivery {
    fn key_at(&self, at: Time) -> String {
        format!("{:016x}/{}/{}", at.as_ms().max(0), self.subscription, self.id)
    }

    fn pending_record(&self, at: Time) -> RecordOp {
        RecordOp::Put { space: PENDING.to_owned(), key: self.key_at(at), value: json!(self) }
    }

    fn settled_record(&self, space: &str) -> RecordOp {
        let key = format!("{}/{}", self.subscription, self.id);
        RecordOp::Put { space: space.to_owned(), key, value: json!(self) }
    }
}

fn delivery(record: StoredRecord) -> Option<WebhookDelivery> {
    serde_json::from_value(record.value).ok()
}

/// When a record of [`PENDING`] is due.
fn due_at(record: &StoredRecord) -> Time {
    let ms = record.key.split('/').next().and_then(|text| i64::from_str_radix(text, 16).ok());
    Time::from_ms(ms.unwrap_or(0))
}

/// An event to deliver.
struct WebhookEvent {
    event: &'static str,
    body: Value,
}

impl WebhookEvent {
    /// Adds the fields of `more` to those of `about`.
    fn new(event: &'static str, at: Time, about: &Value, more: Value) -> Self {
        let mut data = about.clone();
        extend(&mut data, more);
        Self { event, body: json!({ "type": event, "timestamp": at.to_string(), "data": data }) }
    }

    fn delivery(&self, entry: &FeedEntry, place: usize, subscription: &WebhookSubscription) -> WebhookDelivery {
        let whole = format!("{}\n{}\n{place}", subscription.name, subscription.created_at.as_ms());
        let hash = ContentHash::of(whole.as_bytes());
        WebhookDelivery {
            id: format!("msg_{:016x}_{}", entry.id, hash.short()),
            subscription: subscription.name.clone(),
            event: self.event.to_owned(),
            body: self.body.clone(),
            attempts: 0,
            last: None,
            last_at: None,
        }
    }
}

/// Copies the fields of one object into another.
fn extend(data: &mut Value, more: Value) {
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
}

/// The events of an entry, in order.
fn webhook_events(tenant: &TenantId, laid: &FeedEntry) -> Vec<WebhookEvent> {
    match laid.kind {
        AggregateKind::Run => run_events(tenant, laid),
        AggregateKind::Conversation => conversation_events::conversation_events(tenant, laid),
        AggregateKind::Desk => Vec::new(),
    }
}

/// The events of an entry of a run, in order.
fn run_events(tenant: &TenantId, laid: &FeedEntry) -> Vec<WebhookEvent> {
    // Most entries contain no event, so they are not parsed at all.
    let has = |word: &str| laid.entry.windows(word.len()).any(|window| window == word.as_bytes());
    if !["\"finished\"", "\"began\"", "\"blocked\"", "\"customer_asked\"", "\"doubted\""].into_iter().any(has) {
        return Vec::new();
    }
    let Ok(entry) = crate::decode(&laid.entry) else { return Vec::new() };
    let about = json!({ "execution_id": laid.run, "workflow_id": laid.workflow, "tenant": tenant });
    let tell = |event: &'static str, more: Value| WebhookEvent::new(event, entry.at, &about, more);
    let waits = |kind: &str, id: String, until: Option<Time>| {
        tell(
            "execution.waiting",
            json!({ "waits_for": kind, "desk_id": id, "deadline": until.map(|at| at.to_string()) }),
        )
    };
    let asks = |id: String, until: Option<Time>, more: Value| {
        let mut data = json!({ "approval_id": id, "deadline": until.map(|at| at.to_string()) });
        extend(&mut data, more);
        tell("approval.requested", data)
    };
    let mut all = Vec::new();
    for event in &entry.events {
        match event {
            // The end of a child run is part of its parent's.
            RunEvent::Finished(end) if !laid.is_child => {
                let name = match end.state {
                    _ if end.rolled_back => "execution.rolled_back",
                    RunState::Completed => "execution.completed",
                    RunState::Cancelled => "execution.cancelled",
                    _ => "execution.failed",
                };
                let error = end.fault.as_ref().map(|fault| json!({ "code": fault.code, "message": fault.message }));
                all.push(tell(name, json!({ "state": end.state, "error": error })));
            }
            RunEvent::Began { node, wait } => {
                let NodeWait::Human { ask, deadline, title, .. } = &**wait else { continue };
                let id = item_id(&laid.run, &HumanTask::Human(node.clone()));
                match ask {
                    HumanPrompt::Approval { needed } => {
                        all.push(waits("approval", id.clone(), *deadline));
                        all.push(asks(id, *deadline, json!({ "title": title, "needed": needed })));
                    }
                    HumanPrompt::Form { .. } => all.push(waits("form", id, *deadline)),
                }
            }
            RunEvent::CustomerAsked { node, deadline, .. } => {
                all.push(waits("customer", item_id(&laid.run, &HumanTask::Customer(node.clone())), *deadline));
            }
            RunEvent::Blocked { effect, by: BlockReason::Approval(leave) } => {
                let id = item_id(&laid.run, &HumanTask::Approval(effect.clone()));
                all.push(waits("approval", id.clone(), leave.until));
                all.push(asks(id, leave.until, json!({ "needed": leave.need, "arguments_hash": leave.hash })));
            }
            RunEvent::Blocked { effect, by: BlockReason::Question { until, .. } } => {
                all.push(waits("question", item_id(&laid.run, &HumanTask::Question(effect.clone())), *until));
            }
            RunEvent::Doubted { effect, next: DoubtFollowUp::Person, .. } => {
                all.push(waits("doubt", item_id(&laid.run, &HumanTask::Doubt(effect.clone())), None));
            }
            _ => {}
        }
    }
    all
}
