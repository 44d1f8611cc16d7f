//! Lists of runs: newest first, each filter by the index that leaves the fewest rows to read.

use std::cmp::Reverse;

use baton_core::bundle::ContentHash;
use baton_core::id::{RunId, TenantId};
use baton_core::run::RunState;
use baton_core::time::Time;
use baton_ports::read::{RunFilter, RunHead, RunPage, customer_hash};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::read::{HEAD, head, rows};
use super::sql::numbered;

/// Maximum number of runs that one page reads for each value of the index.
const LOOKED_AT_MAX: usize = 20_000;

/// The position of a run in a list.
type ListPosition = (i64, i64);

/// The index by which a list is read: its condition, and the values to read one after the other.
struct ListIndex {
    index: &'static str,
    /// Written exactly as in the index, so that SQLite recognises it. `$2` is the value.
    condition: &'static str,
    /// `None`: the index needs only the tenant.
    values: Option<Vec<String>>,
}

const TIMES: &str = "aggregate_times";

impl ListIndex {
    /// The most selective index for the filter.
    fn of(tenant: &TenantId, filter: &RunFilter) -> Self {
        let by = |index, condition, values| Self { index, condition, values: Some(values) };
        if let Some(customer) = &filter.customer {
            return by("aggregate_customers", "customer = $2", vec![customer_hash(tenant, customer)]);
        }
        if let Some(code) = &filter.error_code {
            let condition = "fault IS NOT NULL AND substr(fault, 1, instr(fault, ':') - 1) = $2";
            return by("aggregate_faults", condition, vec![code.clone()]);
        }
        if let Some(bundles) = &filter.bundles {
            let values = bundles.iter().map(|bundle| bundle.as_str().to_owned()).collect();
            return by("aggregate_bundles", "bundle = $2", values);
        }
        // Most runs have completed: the runs of one workflow are fewer.
        let is_rare = !filter.states.is_empty() && !filter.states.contains(&RunState::Completed);
        match &filter.workflow {
            Some(workflow) if !is_rare => {
                by("aggregate_workflows", "kind = 'run' AND workflow = $2", vec![workflow.clone()])
            }
            _ if !filter.states.is_empty() => {
                let words = filter.states.iter().map(|state| state.word().to_owned()).collect();
                by("aggregate_states", "state = $2", words)
            }
            _ => Self { index: TIMES, condition: "kind = 'run' AND $2 IS NULL", values: None },
        }
    }
}

/// All other conditions: parameters `$8` and up.
fn others(filter: &RunFilter) -> (String, Vec<Value>) {
    let (mut sql, mut values) = (String::from("state IS NOT NULL"), Vec::new());
    let mut add = |condition: &str, value: Value| {
        values.push(value);
        let number = format!("${}", FIXED + values.len());
        sql.push_str(" AND ");
        sql.push_str(&condition.replace("$?", &number));
    };
    if !filter.states.is_empty() {
        let words: Vec<&str> = filter.states.iter().copied().map(RunState::word).collect();
        // These words are constants and contain no quotes.
        add(&format!("state IN ('{}') AND $? IS NULL", words.join("', '")), Value::Null);
    }
    if let Some(workflow) = &filter.workflow {
        add("workflow = $?", Value::Text(workflow.clone()));
    }
    if let Some(bundles) = &filter.bundles {
        // Hexadecimal digits.
        let all: Vec<&str> = bundles.iter().map(ContentHash::as_str).collect();
        add(&format!("bundle IN ('{}') AND $? IS NULL", all.join("', '")), Value::Null);
    }
    if let Some(code) = &filter.error_code {
        add("substr(fault, 1, instr(fault, ':') - 1) = $?", Value::Text(code.clone()));
    }
    if let Some(text) = &filter.text {
        let plain = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let like = "(name LIKE $? ESCAPE '\\' OR workflow LIKE $? ESCAPE '\\' OR fault LIKE $? ESCAPE '\\')";
        add(like, Value::Text(format!("%{plain}%")));
    }
    (sql, values)
}

/// Parameters that every query has: tenant, value, from, until, the position after which the page begins, the number of
/// rows to read, and the number of rows to return.
const FIXED: usize = 8;

/// The rows to read, newest first: a subquery, so that no more of them are read.
fn looked_at(by: &ListIndex) -> String {
    format!(
        "SELECT * FROM aggregate INDEXED BY {} WHERE tenant = $1 AND {} AND created_at >= $3 AND created_at < $4 \
         AND (created_at, id) < ($5, $6) ORDER BY created_at DESC, id DESC LIMIT $7",
        by.index, by.condition
    )
}

fn query(by: &ListIndex, others: &str) -> String {
    format!("SELECT {HEAD}, created_at FROM ({}) WHERE {others} LIMIT $8", looked_at(by))
}

/// The last of the rows to read, if the maximum is reached.
fn last_query(by: &ListIndex) -> String {
    format!(
        "SELECT created_at, id, name FROM ({}) WHERE $8 IS NOT NULL LIMIT 1 OFFSET {}",
        looked_at(by),
        LOOKED_AT_MAX - 1
    )
}

/// All matching runs, up to the filter's limit.
pub(super) fn all(connection: &Connection, tenant: &TenantId, filter: &RunFilter) -> rusqlite::Result<Vec<RunHead>> {
    let Some(before) = place(connection, tenant, filter.before.as_ref())? else { return Ok(Vec::new()) };
    let (found, _) = found(connection, tenant, filter, before, None)?;
    Ok(found.into_iter().map(|(_, head)| head).collect())
}

/// The same, reading a bounded number of runs.
pub(super) fn page(connection: &Connection, tenant: &TenantId, filter: &RunFilter) -> rusqlite::Result<RunPage> {
    let Some(before) = place(connection, tenant, filter.before.as_ref())? else { return Ok(RunPage::default()) };
    let (mut found, seen) = found(connection, tenant, filter, before, Some(LOOKED_AT_MAX))?;
    // Runs beyond the position up to which all values were read are left for the next page.
    let seen = match seen {
        Some((at, run)) => {
            found.retain(|(place, _)| *place >= at);
            Some(run)
        }
        None => None,
    };
    let is_full = found.len() == rows(filter.limit);
    let next = if is_full { found.last().map(|(_, head)| head.run.clone()) } else { seen };
    Ok(RunPage { heads: found.into_iter().map(|(_, head)| head).collect(), next })
}

/// The position up to which everything was read, if that is not the end.
type ScanPosition = Option<(ListPosition, RunId)>;

fn found(
    connection: &Connection,
    tenant: &TenantId,
    filter: &RunFilter,
    before: ListPosition,
    looked_at_max: Option<usize>,
) -> rusqlite::Result<(Vec<(ListPosition, RunHead)>, ScanPosition)> {
    let limit = rows(filter.limit);
    let by = ListIndex::of(tenant, filter);
    let (others, more) = others(filter);
    let mut newest = connection.prepare_cached(&numbered(&query(&by, &others)))?;
    let mut last = connection.prepare_cached(&numbered(&last_query(&by)))?;
    let ms = |time: Option<Time>, usual: i64| Value::Integer(time.map_or(usual, Time::as_ms));
    let values: Vec<Value> = match &by.values {
        Some(values) => values.iter().cloned().map(Value::Text).collect(),
        None => vec![Value::Null],
    };
    let rows_max = looked_at_max.and_then(|most| i64::try_from(most).ok()).unwrap_or(i64::MAX);
    let (mut found, mut seen): (Vec<(ListPosition, RunHead)>, ScanPosition) = (Vec::new(), None);
    for value in values {
        let mut parameters = vec![
            Value::Text(tenant.as_str().to_owned()),
            value,
            ms(filter.from, i64::MIN),
            ms(filter.until, i64::MAX),
            Value::Integer(before.0),
            Value::Integer(before.1),
            Value::Integer(rows_max),
            Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)),
        ];
        let with_more = parameters.iter().chain(&more);
        let heads = newest.query_map(params_from_iter(with_more), |row| {
            Ok(((row.get::<_, i64>(15)?, row.get::<_, i64>(12)?), head(row)?))
        })?;
        let mut count = 0;
        for row in heads {
            count += 1;
            found.push(row?);
        }
        if looked_at_max.is_none() || count == limit {
            continue;
        }
        parameters.truncate(FIXED);
        let end = last.query_row(params_from_iter(&parameters), |row| {
            Ok(((row.get(0)?, row.get(1)?), RunId::from(row.get::<_, String>(2)?)))
        });
        if let Some(end) = end.optional()? {
            // The newest of these positions: after it, not all values were read.
            seen = Some(seen.map_or(end.clone(), |other| if other.0 > end.0 { other } else { end }));
        }
    }
    found.sort_unstable_by_key(|(place, _)| Reverse(*place));
    found.truncate(limit);
    Ok((found, seen))
}

/// The position where a page begins; `None` if its cursor names no run of the tenant.
fn place(connection: &Connection, tenant: &TenantId, before: Option<&RunId>) -> rusqlite::Result<Option<ListPosition>> {
    let Some(run) = before else { return Ok(Some((i64::MAX, i64::MAX))) };
    let mut cursor =
        connection.prepare_cached(&numbered("SELECT created_at, id FROM aggregate WHERE name = $1 AND tenant = $2"))?;
    cursor.query_row([run.as_str(), tenant.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Each query of a list with the index that it must use, for the test of query plans.
#[cfg(test)]
pub(super) fn queries() -> Vec<(String, &'static str)> {
    let tenant = TenantId::from("t");
    let every = RunFilter::default();
    let filters = [
        every.clone(),
        RunFilter { customer: Some("c".into()), ..every.clone() },
        RunFilter { error_code: Some("TIMEOUT".into()), text: Some("x".into()), ..every.clone() },
        RunFilter { bundles: Some(vec![ContentHash::of(b"b")]), workflow: Some("w".into()), ..every.clone() },
        RunFilter { states: vec![RunState::Failed], workflow: Some("w".into()), ..every.clone() },
        RunFilter { workflow: Some("w".into()), states: vec![RunState::Completed], ..every },
    ];
    filters
        .iter()
        .map(|filter| {
            let by = ListIndex::of(&tenant, filter);
            (looked_at(&by), by.index)
        })
        .collect()
}
