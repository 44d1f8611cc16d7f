//! Conversations as shown in lists.

use std::time::Duration;

use baton_core::conversation::{ConversationOwner, ConversationState, ConversationStatus};
use baton_core::id::{RunId, TenantId};
use baton_core::kpi::ConversationCounts;
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_ports::conversations::{ConversationFilter, ConversationHead};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::session::WriterSession;
use super::sql::numbered;
use super::{codec, read};

const COLUMNS: &str = "name, tenant, workflow, state, owner, person, number, user_id, channel, hil_reason, confidence, \
     created_at, updated_at, ended_at, messages, runs, cost_nanos, rating, last, handovers, handed_over_for, \
     reopened, waiting_since, first_response_at";
/// Additional columns of a read, which show whether it was erased.
const SHOWN: &str = "erased_at, id";

/// Replaces a conversation's row.
pub(super) fn put(session: &WriterSession<'_>, head: &ConversationHead) -> rusqlite::Result<()> {
    let mut put = session.statement(&format!(
        "INSERT INTO conversation ({COLUMNS}, status) VALUES \
         ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25) \
         ON CONFLICT (name) DO UPDATE SET workflow = $3, state = $4, owner = $5, person = $6, number = $7, hil_reason = $10, \
         confidence = $11, updated_at = $13, ended_at = $14, messages = $15, runs = $16, cost_nanos = $17, rating = $18, \
         last = $19, handovers = $20, handed_over_for = $21, reopened = $22, waiting_since = $23, first_response_at = $24, \
         status = $25"
    ))?;
    put.execute(params![
        head.conversation.as_str(),
        head.tenant.as_str(),
        head.workflow,
        head.state.word(),
        codec::owner_word(&head.owner),
        head.person,
        head.number,
        head.user,
        head.channel,
        head.hil_reason,
        head.confidence,
        head.created_at.as_ms(),
        head.updated_at.as_ms(),
        head.ended_at.map(Time::as_ms),
        head.messages,
        head.runs,
        head.cost.as_nanos(),
        head.rating,
        head.last,
        head.handovers,
        head.handed_over_for,
        head.reopened,
        head.waiting_since.map(Time::as_ms),
        head.first_response_at.map(Time::as_ms),
        head.state.status().word(),
    ])
    .map(drop)
}

pub(super) fn one(
    connection: &Connection,
    tenant: &TenantId,
    id: &RunId,
) -> rusqlite::Result<Option<ConversationHead>> {
    let sql = format!("SELECT {COLUMNS}, {SHOWN} FROM conversation WHERE name = $1 AND tenant = $2");
    connection.prepare_cached(&numbered(&sql))?.query_row([id.as_str(), tenant.as_str()], head).optional()
}

/// Newest first.
pub(super) fn list(
    connection: &Connection,
    tenant: &TenantId,
    filter: &ConversationFilter,
) -> rusqlite::Result<Vec<ConversationHead>> {
    let limit = read::rows(filter.limit);
    let before = match &filter.before {
        None => i64::MAX,
        Some(id) => {
            let sql = numbered("SELECT id FROM conversation WHERE name = $1 AND tenant = $2");
            let mut cursor = connection.prepare_cached(&sql)?;
            cursor.query_row([id.as_str(), tenant.as_str()], |row| row.get(0)).optional()?.unwrap_or(0)
        }
    };
    let state = filter.state.map(ConversationState::word);
    // The index of a tenant's rows is by status, and there are few statuses: the newest rows of each are merged.
    let statuses = filter.status.as_ref().map_or(ConversationStatus::ALL.as_slice(), std::slice::from_ref);
    let mut query = connection.prepare_cached(&numbered(&list_query(filter.person.is_some())))?;
    let mut found: Vec<(i64, ConversationHead)> = Vec::new();
    for status in statuses {
        let parameters = params![tenant.as_str(), status.word(), before, limit, state, filter.person];
        for row in query.query_map(parameters, |row| Ok((row.get("id")?, head(row)?)))? {
            found.push(row?);
        }
    }
    found.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
    found.truncate(limit);
    Ok(found.into_iter().map(|(_, head)| head).collect())
}

fn list_query(of_person: bool) -> String {
    let of_person = if of_person {
        "AND person = $6 AND person IS NOT NULL AND +status = $2"
    } else {
        "AND status = $2 AND $6 IS NULL"
    };
    format!(
        "SELECT {COLUMNS}, {SHOWN} FROM conversation WHERE tenant = $1 {of_person} AND id < $3 \
         AND ($5 IS NULL OR state = $5) ORDER BY id DESC LIMIT $4"
    )
}

/// By the reason of the last handover; `NULL` for conversations without one.
const ENDED: &str = "SELECT CASE WHEN handovers > 0 THEN coalesce(handed_over_for, '') END, count(*), \
     coalesce(sum(ended_at - created_at), 0), coalesce(sum(cost_nanos), 0), coalesce(sum(reopened > 0), 0), \
     count(rating), coalesce(sum(rating), 0), count(first_response_at), \
     coalesce(sum(first_response_at - waiting_since), 0) \
     FROM conversation WHERE tenant = $1 AND ended_at IS NOT NULL AND ended_at >= $2 GROUP BY 1";

/// Counts of a tenant's conversations that have ended since then.
pub(super) fn tally(connection: &Connection, tenant: &TenantId, since: Time) -> rusqlite::Result<ConversationCounts> {
    let ms = |row: &Row<'_>, column| {
        let ms: i64 = row.get(column)?;
        Ok::<_, rusqlite::Error>(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    };
    let mut all = ConversationCounts::default();
    let mut ended = connection.prepare_cached(&numbered(ENDED))?;
    let mut rows = ended.query(params![tenant.as_str(), since.as_ms()])?;
    while let Some(row) = rows.next()? {
        let count: u64 = row.get(1)?;
        if let Some(why) = row.get::<_, Option<String>>(0)? {
            all.handed_over.insert(why, count);
        }
        all.ended += count;
        all.total_duration += ms(row, 2)?;
        all.cost += Usd::from_nanos(row.get(3)?);
        all.reopened += row.get::<_, u64>(4)?;
        all.ratings += row.get::<_, u64>(5)?;
        all.rating_sum += row.get::<_, u64>(6)?;
        all.answered += row.get::<_, u64>(7)?;
        all.total_answer_time += ms(row, 8)?;
    }
    Ok(all)
}

/// Each query of a list with the index that it must use, for the test of query plans.
#[cfg(test)]
pub(super) fn queries() -> Vec<(String, &'static str)> {
    vec![
        (list_query(false), "conversation_tenants"),
        (list_query(true), "conversation_people"),
        (ENDED.to_owned(), "conversation_ends"),
    ]
}

fn head(row: &Row<'_>) -> rusqlite::Result<ConversationHead> {
    let person: Option<String> = row.get(5)?;
    let owner = match codec::owner(row, 4)? {
        ConversationOwner::Person(_) => ConversationOwner::Person(person.clone().unwrap_or_default()),
        owner => owner,
    };
    Ok(ConversationHead {
        conversation: row.get::<_, String>(0)?.into(),
        tenant: row.get::<_, String>(1)?.into(),
        workflow: row.get(2)?,
        state: codec::conversation_state(row, 3)?,
        owner,
        person,
        number: row.get(6)?,
        user: row.get(7)?,
        channel: row.get(8)?,
        hil_reason: row.get(9)?,
        confidence: row.get(10)?,
        created_at: codec::time(row, 11)?,
        updated_at: codec::time(row, 12)?,
        ended_at: codec::maybe_time(row, 13)?,
        messages: row.get(14)?,
        runs: row.get(15)?,
        cost: Usd::from_nanos(row.get(16)?),
        rating: row.get(17)?,
        last: row.get(18)?,
        handovers: row.get(19)?,
        handed_over_for: row.get(20)?,
        reopened: row.get(21)?,
        waiting_since: codec::maybe_time(row, 22)?,
        first_response_at: codec::maybe_time(row, 23)?,
        erased_at: codec::maybe_time(row, 24)?,
    })
}
