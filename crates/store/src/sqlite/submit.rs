//! One message to an inbox, and the aggregate that it may create.

use baton_core::id::DERIVED_ID_BYTES_MAX;
use baton_ports::journal::{
    AggregateHandle, AggregateKind, INBOX_BYTES_MAX, INBOX_ITEMS_MAX, InboxReceipt, InboxSubmission, JournalError,
    NewAggregate, Ownership, ProcessId,
};
use rusqlite::{OptionalExtension, params};

use super::codec;
use super::session::WriterSession;

/// Maximum length of a command id, in bytes: a derived id with what it is about.
const COMMAND_ID_BYTES_MAX: usize = 2 * DERIVED_ID_BYTES_MAX;

/// The epoch of an aggregate that was never taken over.
const FIRST_EPOCH: u64 = 1;

/// The route of a message. A sender notifies an owner in the same process by itself.
#[derive(Clone, Copy)]
pub(super) enum DeliveryRoute {
    /// This store, on behalf of the process that joined through it.
    External,
    /// Another aggregate's append.
    Owner(ProcessId),
}

/// The destination of a message.
struct DeliveryTarget {
    id: i64,
    tenant: String,
    owner: Option<ProcessId>,
    /// Nothing is accepted any more.
    is_erased: bool,
}

/// Refuses messages that could never be accepted.
pub(super) fn check_size(submit: &InboxSubmission) -> Result<(), JournalError> {
    let limits = [
        ("the payload of an inbox item", submit.payload.len(), INBOX_BYTES_MAX),
        ("a command id", submit.command_id.len(), COMMAND_ID_BYTES_MAX),
        ("the name of an aggregate", submit.aggregate.as_str().len(), DERIVED_ID_BYTES_MAX),
    ];
    match limits.into_iter().find(|(_, size, limit)| size > limit) {
        Some((what, size, limit)) => Err(JournalError::TooLarge { what, size, limit }),
        None => Ok(()),
    }
}

/// Accepts a message once.
pub(super) fn perform(
    session: &mut WriterSession<'_>,
    submit: &InboxSubmission,
) -> rusqlite::Result<Result<InboxReceipt, JournalError>> {
    let target = find(session, submit)?;
    match admit(session, submit, target.as_ref())? {
        Ok(()) if target.as_ref().is_some_and(|target| target.is_erased) => {
            Ok(Err(JournalError::Erased { aggregate: submit.aggregate.clone() }))
        }
        Ok(()) => deliver_into(session, submit, target.as_ref(), DeliveryRoute::External).map(Ok),
        Err(refused) => Ok(Err(refused)),
    }
}

/// Whether [`deliver`] will find an inbox with room. Writes nothing.
pub(super) fn check(
    session: &mut WriterSession<'_>,
    submit: &InboxSubmission,
) -> rusqlite::Result<Result<(), JournalError>> {
    let target = find(session, submit)?;
    admit(session, submit, target.as_ref())
}

/// Delivers a checked message. A message to an erased aggregate, or to one deleted by retention, is dropped: its sender
/// continues all the same.
pub(super) fn deliver(
    session: &mut WriterSession<'_>,
    submit: &InboxSubmission,
    via: DeliveryRoute,
) -> rusqlite::Result<InboxReceipt> {
    let target = find(session, submit)?;
    let goes_nowhere = match &target {
        Some(target) => target.is_erased || target.tenant != submit.tenant.as_str(),
        None => submit.creates.is_none(),
    };
    if goes_nowhere {
        return Ok(InboxReceipt::Duplicate);
    }
    deliver_into(session, submit, target.as_ref(), via)
}

fn admit(
    session: &WriterSession<'_>,
    submit: &InboxSubmission,
    target: Option<&DeliveryTarget>,
) -> rusqlite::Result<Result<(), JournalError>> {
    let aggregate = || submit.aggregate.clone();
    Ok(match target {
        None if submit.creates.is_some() => Ok(()),
        None => Err(JournalError::NotFound { aggregate: aggregate() }),
        // The error must not reveal whose id it is, only that it is taken.
        Some(target) if target.tenant != submit.tenant.as_str() => Err(match submit.creates {
            Some(_) => JournalError::Taken { aggregate: aggregate() },
            None => JournalError::NotFound { aggregate: aggregate() },
        }),
        Some(target) if is_full(session, target.id)? && !is_seen(session, target.id, &submit.command_id)? => {
            let (size, limit) = (INBOX_ITEMS_MAX + 1, INBOX_ITEMS_MAX);
            Err(JournalError::TooLarge { what: "the inbox of an aggregate", size, limit })
        }
        Some(_) => Ok(()),
    })
}

fn deliver_into(
    session: &mut WriterSession<'_>,
    submit: &InboxSubmission,
    target: Option<&DeliveryTarget>,
    via: DeliveryRoute,
) -> rusqlite::Result<InboxReceipt> {
    match (target, &submit.creates) {
        (Some(target), _) => add(session, submit, target, via),
        (None, Some(create)) => begin(session, submit, create),
        (None, None) => Err(rusqlite::Error::QueryReturnedNoRows),
    }
}

fn add(
    session: &mut WriterSession<'_>,
    submit: &InboxSubmission,
    target: &DeliveryTarget,
    via: DeliveryRoute,
) -> rusqlite::Result<InboxReceipt> {
    if is_seen(session, target.id, &submit.command_id)? {
        return Ok(InboxReceipt::Duplicate);
    }
    let told = target.owner.is_some_and(|owner| match via {
        DeliveryRoute::External => session.owners.only() == Some(owner),
        DeliveryRoute::Owner(sender) => sender == owner,
    });
    let mut count = session
        .statement("UPDATE aggregate SET items = items + 1, called = max(called, $2) WHERE id = $1 RETURNING items")?;
    let item = count.query_row(params![target.id, !told], |row| row.get(0))?;
    put(session, submit, target.id, item)?;
    Ok(InboxReceipt::Accepted { item, owned: None, awake_at: target.owner })
}

fn begin(
    session: &mut WriterSession<'_>,
    submit: &InboxSubmission,
    create: &NewAggregate,
) -> rusqlite::Result<InboxReceipt> {
    // A process without a lease owns nothing: the aggregate would wait forever for an owner that is never found dead.
    let owner = match create.owner {
        Some(process) if has_lease(session, process)? => Some(process),
        _ => None,
    };
    let state = (create.kind == AggregateKind::Run).then_some("pending");
    session.hot.create.execute(params![
        owner.map(|process| process.0),
        FIRST_EPOCH,
        owner.is_none(),
        submit.aggregate.as_str(),
        submit.tenant.as_str(),
        codec::kind_word(create.kind),
        create.workflow,
        create.parent.as_ref().map(baton_core::id::RunId::as_str),
        submit.at.as_ms(),
        state,
    ])?;
    let id = session.connection.last_insert_rowid();
    let item = 1;
    put(session, submit, id, item)?;
    let owned = owner.map(|process| Ownership { handle: AggregateHandle(id), process, epoch: FIRST_EPOCH });
    Ok(InboxReceipt::Accepted { item, owned, awake_at: None })
}

fn put(session: &mut WriterSession<'_>, submit: &InboxSubmission, id: i64, item: i64) -> rusqlite::Result<()> {
    session.hot.seen.execute(params![id, submit.command_id])?;
    let row = params![id, item, submit.at.as_ms(), submit.command_id, &*submit.payload];
    session.hot.open_item.execute(row).map(drop)
}

fn find(session: &mut WriterSession<'_>, submit: &InboxSubmission) -> rusqlite::Result<Option<DeliveryTarget>> {
    let read = |row: &rusqlite::Row<'_>| {
        let owner = row.get::<_, Option<i64>>(2)?.map(ProcessId);
        Ok(DeliveryTarget { id: row.get(0)?, tenant: row.get(1)?, owner, is_erased: row.get(3)? })
    };
    session.hot.find.query_row([submit.aggregate.as_str()], read).optional()
}

fn is_seen(session: &WriterSession<'_>, id: i64, command_id: &str) -> rusqlite::Result<bool> {
    session
        .statement("SELECT 1 FROM inbox_seen WHERE aggregate = $1 AND command_id = $2")?
        .exists(params![id, command_id])
}

/// Items are numbered as they arrive, so a small distance between the first and the last open one means few items; only
/// a large distance needs a count.
fn is_full(session: &WriterSession<'_>, id: i64) -> rusqlite::Result<bool> {
    let mut ends = session.statement(
        "SELECT (SELECT max(item) FROM inbox WHERE aggregate = $1) - (SELECT min(item) FROM inbox WHERE aggregate = $1)",
    )?;
    let span: Option<i64> = ends.query_row([id], |row| row.get(0))?;
    let limit = i64::try_from(INBOX_ITEMS_MAX).unwrap_or(i64::MAX);
    if span.is_none_or(|span| span < limit - 1) {
        return Ok(false);
    }
    let mut count = session.statement("SELECT count(*) FROM inbox WHERE aggregate = $1")?;
    Ok(count.query_row([id], |row| row.get::<_, i64>(0))? >= limit)
}

fn has_lease(session: &WriterSession<'_>, process: ProcessId) -> rusqlite::Result<bool> {
    session.statement("SELECT 1 FROM lease WHERE process = $1")?.exists([process.0])
}
