//! One message into an inbox, and the aggregate it may bring into being.

use baton_core::id::DERIVED_ID_BYTES_MAX;
use baton_ports::journal::{
    Create, Error, Handle, INBOX_BYTES_MAX, INBOX_ITEMS_MAX, Kind, Ownership, ProcessId, Submit, Submitted,
};
use rusqlite::{OptionalExtension, params};

use super::codec;
use super::session::Session;

/// The longest command id, in bytes: a derived id with what it is about.
const COMMAND_ID_BYTES_MAX: usize = 2 * DERIVED_ID_BYTES_MAX;

/// The epoch of an aggregate that nobody has taken over yet.
const FIRST_EPOCH: u64 = 1;

/// Which way a message comes in; whoever sent it tells an owner in the same process by itself.
#[derive(Clone, Copy)]
pub(super) enum Via {
    /// This store, on behalf of whoever joined through it.
    Door,
    /// Another aggregate's append.
    Owner(ProcessId),
}

/// Where a message goes.
struct Target {
    id: i64,
    tenant: String,
    owner: Option<ProcessId>,
    /// Nothing is taken in any more.
    is_erased: bool,
}

/// Refuses what could never be taken in.
pub(super) fn check_size(submit: &Submit) -> Result<(), Error> {
    let limits = [
        ("the payload of an inbox item", submit.payload.len(), INBOX_BYTES_MAX),
        ("a command id", submit.command_id.len(), COMMAND_ID_BYTES_MAX),
        ("the name of an aggregate", submit.aggregate.as_str().len(), DERIVED_ID_BYTES_MAX),
    ];
    match limits.into_iter().find(|(_, size, limit)| size > limit) {
        Some((what, size, limit)) => Err(Error::TooLarge { what, size, limit }),
        None => Ok(()),
    }
}

/// Takes a message in, once.
pub(super) fn perform(session: &mut Session<'_>, submit: &Submit) -> rusqlite::Result<Result<Submitted, Error>> {
    let target = find(session, submit)?;
    match admit(session, submit, target.as_ref())? {
        Ok(()) if target.as_ref().is_some_and(|target| target.is_erased) => {
            Ok(Err(Error::Erased { aggregate: submit.aggregate.clone() }))
        }
        Ok(()) => put_in(session, submit, target.as_ref(), Via::Door).map(Ok),
        Err(refused) => Ok(Err(refused)),
    }
}

/// Whether [`deliver`] will find an inbox with room. Writes nothing.
pub(super) fn check(session: &mut Session<'_>, submit: &Submit) -> rusqlite::Result<Result<(), Error>> {
    let target = find(session, submit)?;
    admit(session, submit, target.as_ref())
}

/// Puts a checked message where it goes. One to what was erased, or deleted with its age, goes nowhere: who sent it goes on
/// all the same.
pub(super) fn deliver(session: &mut Session<'_>, submit: &Submit, via: Via) -> rusqlite::Result<Submitted> {
    let target = find(session, submit)?;
    let goes_nowhere = match &target {
        Some(target) => target.is_erased || target.tenant != submit.tenant.as_str(),
        None => submit.creates.is_none(),
    };
    if goes_nowhere {
        return Ok(Submitted::Duplicate);
    }
    put_in(session, submit, target.as_ref(), via)
}

fn admit(session: &Session<'_>, submit: &Submit, target: Option<&Target>) -> rusqlite::Result<Result<(), Error>> {
    let aggregate = || submit.aggregate.clone();
    Ok(match target {
        None if submit.creates.is_some() => Ok(()),
        None => Err(Error::NotFound { aggregate: aggregate() }),
        // Whose it is, is nobody's business: only that the name is not free.
        Some(target) if target.tenant != submit.tenant.as_str() => Err(match submit.creates {
            Some(_) => Error::Taken { aggregate: aggregate() },
            None => Error::NotFound { aggregate: aggregate() },
        }),
        Some(target) if is_full(session, target.id)? && !is_seen(session, target.id, &submit.command_id)? => {
            let (size, limit) = (INBOX_ITEMS_MAX + 1, INBOX_ITEMS_MAX);
            Err(Error::TooLarge { what: "the inbox of an aggregate", size, limit })
        }
        Some(_) => Ok(()),
    })
}

fn put_in(
    session: &mut Session<'_>,
    submit: &Submit,
    target: Option<&Target>,
    via: Via,
) -> rusqlite::Result<Submitted> {
    match (target, &submit.creates) {
        (Some(target), _) => add(session, submit, target, via),
        (None, Some(create)) => begin(session, submit, create),
        (None, None) => Err(rusqlite::Error::QueryReturnedNoRows),
    }
}

fn add(session: &mut Session<'_>, submit: &Submit, target: &Target, via: Via) -> rusqlite::Result<Submitted> {
    if is_seen(session, target.id, &submit.command_id)? {
        return Ok(Submitted::Duplicate);
    }
    let told = target.owner.is_some_and(|owner| match via {
        Via::Door => session.owners.only() == Some(owner),
        Via::Owner(sender) => sender == owner,
    });
    let mut count = session
        .statement("UPDATE aggregate SET items = items + 1, called = max(called, $2) WHERE id = $1 RETURNING items")?;
    let item = count.query_row(params![target.id, !told], |row| row.get(0))?;
    put(session, submit, target.id, item)?;
    Ok(Submitted::Accepted { item, owned: None, awake_at: target.owner })
}

fn begin(session: &mut Session<'_>, submit: &Submit, create: &Create) -> rusqlite::Result<Submitted> {
    // Who has no lease owns nothing: the aggregate would wait for ever for an owner nobody can miss.
    let owner = match create.owner {
        Some(process) if has_lease(session, process)? => Some(process),
        _ => None,
    };
    let state = (create.kind == Kind::Run).then_some("pending");
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
    let owned = owner.map(|process| Ownership { handle: Handle(id), process, epoch: FIRST_EPOCH });
    Ok(Submitted::Accepted { item, owned, awake_at: None })
}

fn put(session: &mut Session<'_>, submit: &Submit, id: i64, item: i64) -> rusqlite::Result<()> {
    session.hot.seen.execute(params![id, submit.command_id])?;
    let row = params![id, item, submit.at.as_ms(), submit.command_id, &*submit.payload];
    session.hot.open_item.execute(row).map(drop)
}

fn find(session: &mut Session<'_>, submit: &Submit) -> rusqlite::Result<Option<Target>> {
    let read = |row: &rusqlite::Row<'_>| {
        let owner = row.get::<_, Option<i64>>(2)?.map(ProcessId);
        Ok(Target { id: row.get(0)?, tenant: row.get(1)?, owner, is_erased: row.get(3)? })
    };
    session.hot.find.query_row([submit.aggregate.as_str()], read).optional()
}

fn is_seen(session: &Session<'_>, id: i64, command_id: &str) -> rusqlite::Result<bool> {
    session
        .statement("SELECT 1 FROM inbox_seen WHERE aggregate = $1 AND command_id = $2")?
        .exists(params![id, command_id])
}

/// Items are numbered as they come, so few numbers between the first and the last open one mean few items; only a wide
/// span is counted.
fn is_full(session: &Session<'_>, id: i64) -> rusqlite::Result<bool> {
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

fn has_lease(session: &Session<'_>, process: ProcessId) -> rusqlite::Result<bool> {
    session.statement("SELECT 1 FROM lease WHERE process = $1")?.exists([process.0])
}
