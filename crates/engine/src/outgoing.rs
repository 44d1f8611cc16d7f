//! Webhooks to others: what happened to runs and conversations, posted to who subscribed, signed, and tried again for a day and a half.
//!
//! **None is lost.** What is to be told is not written down beside a journal: it is derived from it. A cursor says up
//! to which entry all was taken in; it moves in the batch that lays down the deliveries. So a crash anywhere leaves either
//! both or neither, runs pay nothing for it, and who joins later reads on from there.
//!
//! **At least once.** A delivery is claimed for a minute, posted, and settled. One whose process died in between is posted
//! again under the same `webhook-id`. Deliveries begin in the order in which things happened; one that fails is tried again
//! later and lets the others pass.

mod talks;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use baton_core::bundle::Hash;
use baton_core::id::TenantId;
use baton_core::run::{Ask, Asked, Began, Block, Event, InDoubt, State};
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::feed::{Feed, Laid};
use baton_ports::journal::Kind;
use baton_ports::post::{NotPosted, Post, Posted};
use baton_ports::records::{self, Op, Record, Records};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::projections::item_id;
use crate::triggers::hook::Secrets;
use crate::triggers::{Error, Named, check_name, find, list, save, signature};

/// Where the secrets that sign are kept.
pub const SECRETS: &str = "subscription_secret";
/// Deliveries to be made, in the order in which they are due.
const PENDING: &str = "webhook_pending";
/// Those that were taken, and those that were given up.
const SENT: &str = "webhook_sent";
const DEAD: &str = "webhook_dead";
/// How far the journal was taken in.
const CURSOR: &str = "webhook_cursor";
/// How long whoever posts has it for itself: longer than one attempt takes.
const CLAIM: Duration = Duration::from_secs(60);
/// Deliveries laid down in one batch, which has some operations beside.
const BATCH_MAX: usize = 90;
/// Deliveries under way at once, and of one look.
const IN_FLIGHT_MAX: usize = 16;
const LOOK_MAX: usize = 100;
/// The longest wait that an address may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Deliveries of one page, and dead letters sent again by one request.
pub const DELIVERIES_MAX: usize = 200;
/// Characters of a URL, and of a reason that is kept.
const URL_CHARS_MAX: usize = 2_048;
const REASON_CHARS_MAX: usize = 300;

/// What may be subscribed to.
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

/// Seconds before each attempt after the first: some 32 hours in all.
pub const RETRIES_S: [u32; 9] = [5, 30, 300, 1_800, 7_200, 18_000, 28_800, 28_800, 28_800];

/// Who is told, and of what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    pub name: String,
    pub url: String,
    /// Of [`EVENTS`]; `execution.*`, `conversation.*` and `*` stand for several.
    pub events: BTreeSet<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Defined by the project's folder, which says what becomes of it.
    #[serde(default)]
    pub from_project: bool,
    #[serde(default)]
    pub created_at: Time,
    /// Entries behind this one are told.
    #[serde(default)]
    pub since: i64,
}

fn yes() -> bool {
    true
}

impl Named for Subscription {
    const KIND: &'static str = "subscription";
    const SPACE: &'static str = "subscription";
    const MAX: usize = 20;

    fn name(&self) -> &str {
        &self.name
    }
}

impl Subscription {
    fn wants(&self, event: &str) -> bool {
        self.events.iter().any(|wanted| matches(wanted, event))
    }
}

fn matches(wanted: &str, event: &str) -> bool {
    wanted == event || wanted.strip_suffix('*').is_some_and(|family| event.starts_with(family))
}

/// Something to be posted, or that was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// `webhook-id`: the same at every attempt.
    pub id: String,
    pub subscription: String,
    pub event: String,
    pub body: Value,
    pub attempts: u32,
    /// What the last attempt came to.
    pub last: Option<String>,
    pub last_at: Option<Time>,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    Pending,
    Sent,
    Dead,
}

/// How far the journal was taken in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cursor {
    after: i64,
    /// Of the entry behind it: what was laid down last.
    part: Option<(usize, String)>,
}

/// Tells subscribers. Cheap to clone.
#[derive(Clone)]
pub struct Outgoing {
    pub records: Arc<dyn Records>,
    pub feed: Arc<dyn Feed>,
    pub post: Arc<dyn Post>,
    pub clock: Arc<dyn Clock>,
    /// Before each attempt after the first; after the last of them it is given up.
    pub retries: Arc<[Duration]>,
}

impl Outgoing {
    /// Keeps a subscription, new or in place of another. A new one has `secret`, and is told what happens from now on.
    ///
    /// # Errors
    /// A field that is not what it may be.
    pub async fn save(
        &self,
        tenant: &TenantId,
        before: Option<(u64, Subscription)>,
        mut subscription: Subscription,
        secret: Option<String>,
    ) -> Result<Subscription, Error> {
        check_name(&subscription.name)?;
        if subscription.url.chars().count() > URL_CHARS_MAX {
            return Err(Error::invalid("url", format!("it has at most {URL_CHARS_MAX} characters")));
        }
        self.post.check(&subscription.url).map_err(|why| Error::invalid("url", why))?;
        let is_known = |wanted: &String| EVENTS.iter().any(|event| matches(wanted, event));
        if subscription.events.is_empty() || !subscription.events.iter().all(is_known) {
            let why =
                format!("name one or more of `{}`, or `execution.*`, `conversation.*`, or `*`", EVENTS.join("`, `"));
            return Err(Error::invalid("events", why));
        }
        let now = self.clock.now();
        match &before {
            Some((_, before)) => (subscription.created_at, subscription.since) = (before.created_at, before.since),
            None => (subscription.created_at, subscription.since) = (now, self.feed.newest().await?),
        }
        if before.as_ref().is_some_and(|(_, before)| !before.enabled && subscription.enabled) {
            // What happened meanwhile is not told.
            subscription.since = self.feed.newest().await?;
        }
        let mut beside: Vec<Op> =
            secret.map(|secret| Secrets::new(secret).put(SECRETS, &subscription.name)).into_iter().collect();
        if self.records.get(tenant, CURSOR, CURSOR).await?.is_none() {
            let cursor = Cursor { after: subscription.since, part: None };
            beside.push(Op::Put { space: CURSOR.to_owned(), key: CURSOR.to_owned(), value: json!(cursor) });
        }
        save(&*self.records, tenant, before.map(|(version, _)| version), &subscription, beside, now).await?;
        Ok(subscription)
    }

    /// Gives a subscription another secret; deliveries are signed with both for so long.
    pub async fn rotate(&self, tenant: &TenantId, name: &str, secret: String, overlap: Duration) -> Result<(), Error> {
        let now = self.clock.now();
        let (version, subscription) = find::<Subscription>(&*self.records, tenant, name).await?;
        let secrets = Secrets::read(&*self.records, tenant, SECRETS, name).await?.rotated(secret, overlap, now);
        save(&*self.records, tenant, Some(version), &subscription, vec![secrets.put(SECRETS, name)], now).await
    }

    /// A subscription's deliveries, oldest first, behind the id `after`.
    pub async fn deliveries(
        &self,
        tenant: &TenantId,
        name: &str,
        stands: Stands,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Delivery>, Error> {
        find::<Subscription>(&*self.records, tenant, name).await?;
        let limit = limit.min(DELIVERIES_MAX);
        let space = match stands {
            Stands::Sent => SENT,
            Stands::Dead => DEAD,
            Stands::Pending => {
                let page = self.records.list(tenant, PENDING, "", None, 1_000).await?;
                let mut own: Vec<Delivery> = page.into_iter().filter_map(delivery).collect();
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

    /// Lets one that was sent, or given up, be posted again under the same `webhook-id`.
    pub async fn replay(&self, tenant: &TenantId, name: &str, id: &str) -> Result<Delivery, Error> {
        find::<Subscription>(&*self.records, tenant, name).await?;
        let key = format!("{name}/{id}");
        for space in [DEAD, SENT] {
            let found = self.records.get(tenant, space, &key).await?.and_then(delivery);
            if let Some(found) = found {
                let again = Delivery { attempts: 0, ..found };
                let now = self.clock.now();
                let mut ops = vec![again.pending(now)];
                if space == DEAD {
                    ops.push(Op::Delete { space: DEAD.to_owned(), key });
                }
                self.records.commit(tenant, ops, now).await?;
                return Ok(again);
            }
        }
        Err(Error::Unknown { kind: "delivery", name: id.chars().take(100).collect() })
    }

    /// Takes in what was recorded since, and posts what is due. When there is something to do next, as far as is known.
    ///
    /// # Errors
    /// Where the store does not answer; nothing is lost by it.
    pub async fn look(&self, tenant: &TenantId) -> Result<Option<Time>, Error> {
        let has_more = self.take_in(tenant).await?;
        let next = self.send_due(tenant).await?;
        Ok(if has_more { Some(self.clock.now()) } else { next })
    }

    /// Lays down deliveries of what was recorded since. Whether there is more.
    async fn take_in(&self, tenant: &TenantId) -> Result<bool, Error> {
        let subscriptions: Vec<Subscription> = list(&*self.records, tenant, None, Subscription::MAX).await?;
        let Some(record) = self.records.get(tenant, CURSOR, CURSOR).await? else { return Ok(false) };
        let cursor: Cursor = serde_json::from_value(record.value).unwrap_or_default();
        if subscriptions.is_empty() {
            return Ok(false);
        }
        let (laid, up_to) = self.feed.laid(tenant, cursor.after).await?;
        if up_to == cursor.after {
            return Ok(false);
        }
        let now = self.clock.now();
        let (mut ops, mut next) = (Vec::new(), Cursor { after: up_to, part: None });
        'all: for entry in &laid {
            let done = cursor.part.as_ref().filter(|_| entry.id == cursor.after + 1);
            for (place, told) in told(tenant, entry).into_iter().enumerate() {
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
                    ops.push(told.delivery(entry, place, subscription).pending(now));
                    next.part = Some(part);
                }
            }
            next.part = None;
        }
        // Where nothing of the entry behind it was laid down, what was before holds.
        if next.after == cursor.after && next.part.is_none() {
            next.part = cursor.part;
        }
        let moved = Op::CompareAndSet {
            space: CURSOR.to_owned(),
            key: CURSOR.to_owned(),
            version: record.version,
            value: json!(next),
        };
        match self.records.commit(tenant, std::iter::once(moved).chain(ops).collect(), now).await {
            // Another process was first.
            Ok(()) | Err(records::Error::Conflict { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Posts what is due. When the next one is.
    async fn send_due(&self, tenant: &TenantId) -> Result<Option<Time>, Error> {
        let now = self.clock.now();
        let page = self.records.list(tenant, PENDING, "", None, LOOK_MAX).await?;
        let due: Vec<Record> = page.into_iter().take_while(|record| due_at(record) <= now).collect();
        futures::stream::iter(due)
            .for_each_concurrent(IN_FLIGHT_MAX, |record| async move {
                let key = record.key.clone();
                if let Err(error) = self.attempt(tenant, record).await {
                    tracing::warn!(%tenant, key, %error, "a webhook could not be settled; it is tried again");
                }
            })
            .await;
        // Asked afresh: what failed is due again later.
        let first = self.records.list(tenant, PENDING, "", None, 1).await?;
        Ok(first.first().map(due_at))
    }

    async fn attempt(&self, tenant: &TenantId, record: Record) -> Result<(), Error> {
        let (old, version) = (record.key.clone(), record.version);
        let Some(mut delivery) = delivery(record) else {
            let gone = Op::Delete { space: PENDING.to_owned(), key: old };
            return Ok(self.records.commit(tenant, vec![gone], self.clock.now()).await?);
        };
        let now = self.clock.now();
        let claimed = delivery.key_at(now + CLAIM);
        let expect = Op::Expect { space: PENDING.to_owned(), key: old.clone(), version: Some(version) };
        let ops = vec![expect, Op::Delete { space: PENDING.to_owned(), key: old }, delivery.pending(now + CLAIM)];
        match self.records.commit(tenant, ops, now).await {
            Ok(()) => {}
            // Another process has it.
            Err(records::Error::Conflict { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let became = self.post(tenant, &delivery).await?;
        let now = self.clock.now();
        delivery.attempts += 1;
        delivery.last_at = Some(now);
        // One that was deleted meanwhile, with the person it is about, does not come back.
        let Some(row) = self.records.get(tenant, PENDING, &claimed).await? else { return Ok(()) };
        let expect = Op::Expect { space: PENDING.to_owned(), key: claimed.clone(), version: Some(row.version) };
        let mut ops = vec![expect, Op::Delete { space: PENDING.to_owned(), key: claimed }];
        match became {
            Became::Taken(status) => {
                delivery.last = Some(format!("answered {status}"));
                ops.push(delivery.settled(SENT));
            }
            Became::NotTaken { why, wait } => {
                delivery.last = Some(why.chars().take(REASON_CHARS_MAX).collect());
                let place = usize::try_from(delivery.attempts - 1).unwrap_or(usize::MAX);
                match (wait, self.retries.get(place)) {
                    (Some(asked), Some(own)) => ops.push(delivery.pending(now + asked.max(*own))),
                    (None, _) | (_, None) => {
                        tracing::warn!(%tenant, id = delivery.id, subscription = delivery.subscription, why, "a webhook was given up");
                        ops.push(delivery.settled(DEAD));
                    }
                }
            }
        }
        match self.records.commit(tenant, ops, now).await {
            Ok(()) | Err(records::Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn post(&self, tenant: &TenantId, delivery: &Delivery) -> Result<Became, Error> {
        let for_good = |why: &str| Ok(Became::NotTaken { why: why.to_owned(), wait: None });
        let subscription = match find::<Subscription>(&*self.records, tenant, &delivery.subscription).await {
            Ok((_, subscription)) if subscription.enabled => subscription,
            Ok(_) => return for_good("its subscription is not enabled"),
            Err(Error::Unknown { .. }) => return for_good("its subscription was taken out"),
            Err(error) => return Err(error),
        };
        let now = self.clock.now();
        let secrets = Secrets::read(&*self.records, tenant, SECRETS, &subscription.name).await?.good(now);
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
            Ok(Posted { status: status @ 200..300, .. }) => Became::Taken(status),
            Ok(Posted { status: 410, .. }) => return for_good("answered 410: it wants no more of these"),
            Ok(Posted { status, retry_after_ms }) => {
                let asked = Duration::from_millis(retry_after_ms.unwrap_or(0)).min(RETRY_AFTER_MAX);
                Became::NotTaken { why: format!("answered {status}"), wait: Some(asked) }
            }
            Err(NotPosted::Refused(why)) => Became::NotTaken { why, wait: None },
            Err(NotPosted::Failed(why)) => Became::NotTaken { why, wait: Some(Duration::ZERO) },
        })
    }
}

/// What an attempt came to.
enum Became {
    Taken(u16),
    /// With how long to wait at the least; nothing: it is given up.
    NotTaken {
        why: String,
        wait: Option<Duration>,
    },
}

impl Delivery {
    fn key_at(&self, at: Time) -> String {
        format!("{:016x}/{}/{}", at.as_ms().max(0), self.subscription, self.id)
    }

    fn pending(&self, at: Time) -> Op {
        Op::Put { space: PENDING.to_owned(), key: self.key_at(at), value: json!(self) }
    }

    fn settled(&self, space: &str) -> Op {
        let key = format!("{}/{}", self.subscription, self.id);
        Op::Put { space: space.to_owned(), key, value: json!(self) }
    }
}

fn delivery(record: Record) -> Option<Delivery> {
    serde_json::from_value(record.value).ok()
}

/// When a record of [`PENDING`] is due.
fn due_at(record: &Record) -> Time {
    let ms = record.key.split('/').next().and_then(|text| i64::from_str_radix(text, 16).ok());
    Time::from_ms(ms.unwrap_or(0))
}

/// Something to tell.
struct Told {
    event: &'static str,
    body: Value,
}

impl Told {
    /// `more` beside what it is about.
    fn new(event: &'static str, at: Time, about: &Value, more: Value) -> Self {
        let mut data = about.clone();
        extend(&mut data, more);
        Self { event, body: json!({ "type": event, "timestamp": at.to_string(), "data": data }) }
    }

    fn delivery(&self, entry: &Laid, place: usize, subscription: &Subscription) -> Delivery {
        let whole = format!("{}\n{}\n{place}", subscription.name, subscription.created_at.as_ms());
        let hash = Hash::of(whole.as_bytes());
        Delivery {
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

/// Puts the fields of one object into another.
fn extend(data: &mut Value, more: Value) {
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
}

/// What an entry has to tell, in its order.
fn told(tenant: &TenantId, laid: &Laid) -> Vec<Told> {
    match laid.kind {
        Kind::Run => of_run(tenant, laid),
        Kind::Conversation => talks::told(tenant, laid),
        Kind::Desk => Vec::new(),
    }
}

/// What an entry of a run has to tell, in its order.
fn of_run(tenant: &TenantId, laid: &Laid) -> Vec<Told> {
    // Most entries have nothing: they are not read at all.
    let has = |word: &str| laid.entry.windows(word.len()).any(|window| window == word.as_bytes());
    if !["\"finished\"", "\"began\"", "\"blocked\"", "\"customer_asked\"", "\"doubted\""].into_iter().any(has) {
        return Vec::new();
    }
    let Ok(entry) = crate::decode(&laid.entry) else { return Vec::new() };
    let about = json!({ "execution_id": laid.run, "workflow_id": laid.workflow, "tenant": tenant });
    let tell = |event: &'static str, more: Value| Told::new(event, entry.at, &about, more);
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
            // What a run runs itself ends as a part of it.
            Event::Finished(end) if !laid.is_child => {
                let name = match end.state {
                    _ if end.rolled_back => "execution.rolled_back",
                    State::Completed => "execution.completed",
                    State::Cancelled => "execution.cancelled",
                    _ => "execution.failed",
                };
                let error = end.fault.as_ref().map(|fault| json!({ "code": fault.code, "message": fault.message }));
                all.push(tell(name, json!({ "state": end.state, "error": error })));
            }
            Event::Began { node, wait } => {
                let Began::Human { ask, deadline, title, .. } = &**wait else { continue };
                let id = item_id(&laid.run, &Ask::Human(node.clone()));
                match ask {
                    Asked::Approval { needed } => {
                        all.push(waits("approval", id.clone(), *deadline));
                        all.push(asks(id, *deadline, json!({ "title": title, "needed": needed })));
                    }
                    Asked::Form { .. } => all.push(waits("form", id, *deadline)),
                }
            }
            Event::CustomerAsked { node, deadline, .. } => {
                all.push(waits("customer", item_id(&laid.run, &Ask::Customer(node.clone())), *deadline));
            }
            Event::Blocked { effect, by: Block::Approval(leave) } => {
                let id = item_id(&laid.run, &Ask::Approval(effect.clone()));
                all.push(waits("approval", id.clone(), leave.until));
                all.push(asks(id, leave.until, json!({ "needed": leave.need, "arguments_hash": leave.hash })));
            }
            Event::Blocked { effect, by: Block::Question { until, .. } } => {
                all.push(waits("question", item_id(&laid.run, &Ask::Question(effect.clone())), *until));
            }
            Event::Doubted { effect, next: InDoubt::Person, .. } => {
                all.push(waits("doubt", item_id(&laid.run, &Ask::Doubt(effect.clone())), None));
            }
            _ => {}
        }
    }
    all
}
