//! Migrates a database to the layout of this program. Forward only, in one transaction, under the write lock.

use rusqlite::{Connection, TransactionBehavior};

use super::audit;
use super::health::OpenError;

/// Each step advances the layout by one version; released steps never change.
const STEPS: [MigrationStep; 22] = [
    MigrationStep::sql(include_str!("../../migrations/sqlite/0001_first.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0002_decisions.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0004_memory.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0005_api_keys.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0006_money.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0007_hour_long_cache_writes.sql")),
    MigrationStep {
        sql: include_str!("../../migrations/sqlite/0008_audit_chain.sql"),
        then: Some(audit::chain_old_rows),
    },
    MigrationStep::sql(include_str!("../../migrations/sqlite/0009_audit_erasures.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0010_released.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0011_forgotten.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0012_conversations.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0014_shelf.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0015_key_rates.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0016_triggers.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0017_conversation_figures.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0018_key_scopes.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0019_saved_costs.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0020_steady_leases.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0023_erasure.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0024_audit_anchor.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0025_shared_limits.sql")),
    MigrationStep::sql(include_str!("../../migrations/sqlite/0027_found_runs.sql")),
];
/// The layout of this program.
pub(super) const LAYOUT: u32 = STEPS.len() as u32;
/// A change of the layout.
struct MigrationStep {
    sql: &'static str,
    /// The part that SQL cannot do.
    then: Option<fn(&Connection) -> rusqlite::Result<()>>,
}

impl MigrationStep {
    const fn sql(sql: &'static str) -> Self {
        Self { sql, then: None }
    }

    fn take(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(self.sql)?;
        self.then.map_or(Ok(()), |then| then(connection))
    }
}

/// Identifies the file as Baton's, for `file` and other programs: `BATN`.
const APPLICATION: i32 = 0x4241_544E;

/// The layout of a database that is Baton's or new, or why it cannot be used. Reads it in one transaction, since
/// another process may be creating it at this moment.
pub(super) fn recognise(connection: &Connection) -> Result<u32, OpenError> {
    layout(&*connection.unchecked_transaction()?)
}

/// # Errors
/// The database cannot be used as it is: it belongs to another program, or its layout is not the newest.
pub(super) fn is_newest(connection: &Connection) -> Result<(), OpenError> {
    let found = recognise(connection)?;
    if found == LAYOUT {
        return Ok(());
    }
    Err(OpenError::Other(format!(
        "its layout is version {found}, an older program's, and this one looks only at version {LAYOUT}. Let the program that \
         wrote it look; or let this one upgrade it first, or a copy of it, as `baton doctor` does: older programs cannot use \
         it any more then"
    )))
}

/// Migrates the database, or returns why it cannot be used.
pub(super) fn run(connection: &mut Connection) -> Result<(), OpenError> {
    if recognise(connection)? == LAYOUT {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have migrated it while this one waited for the lock.
    let found = layout(&transaction)?;
    for step in STEPS.iter().skip(found as usize) {
        step.take(&transaction)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    Ok(transaction.commit()?)
}

fn layout(connection: &Connection) -> Result<u32, OpenError> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && (tables > 0 || found > 0) {
        return Err(OpenError::Other("it is another program's SQLite database; name a new file".into()));
    }
    if found > LAYOUT {
        return Err(OpenError::Other(format!(
            "its layout is version {found} and this program knows versions up to {LAYOUT}; use the newer program that \
             wrote it, or restore a backup made before it was upgraded"
        )));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    #[test]
    fn a_new_database_gets_the_newest_layout_and_running_again_changes_nothing() {
        let mut connection = database();
        run(&mut connection).unwrap();
        assert_eq!(layout(&connection), Ok(LAYOUT));
        run(&mut connection).unwrap();
    }

    /// A database as a program of that layout left it.
    fn at_layout(layout: usize) -> Connection {
        let connection = database();
        STEPS[..layout].iter().for_each(|step| step.take(&connection).unwrap());
        connection.pragma_update(None, "application_id", APPLICATION).unwrap();
        connection.pragma_update(None, "user_version", layout as u32).unwrap();
        connection
    }

    #[test]
    fn audit_rows_of_before_come_into_the_chain_in_their_order() {
        let mut connection = at_layout(6);
        let insert = "INSERT INTO audit_trail (at, company_id, run, action_type, action, details, status, duration_ms) \
                      VALUES (1, ?1, 'r', 'booking', ?2, ?3, ?4, 5)";
        let details = r#"{"key": "r/book/0/0", "cost_usd": 0.01}"#;
        connection.execute(insert, ["a", "book", details, "success"]).unwrap();
        connection.execute(insert, ["b", "other", "{}", "success"]).unwrap();
        connection.execute(insert, ["a", "unbook", r#"{"key": "r/book/0/0/undo"}"#, "compensated"]).unwrap();
        run(&mut connection).unwrap();
        let found = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        let rows = "SELECT group_concat(company_id || seq || action, ' ') FROM (SELECT * FROM audit_trail ORDER BY id)";
        assert_eq!(found(rows), "a1book b1other a2unbook");
        assert_eq!(found("SELECT group_concat(company_id || seq, ' ') FROM audit_tip"), "a2 b1");
        assert_eq!(
            found("SELECT status || ' ' || cost_nanos FROM audit_latest WHERE company_id = 'a'"),
            "success 10000000"
        );
        let left: u32 = connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%unchained%'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_newer_layout_is_refused_naming_both_versions() {
        let mut connection = database();
        run(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", LAYOUT + 7).unwrap();
        let refused = run(&mut connection).unwrap_err();
        let OpenError::Other(refused) = refused else { panic!("{refused:?}") };
        assert!(refused.contains(&format!("version {}", LAYOUT + 7)), "{refused}");
        assert!(refused.contains(&format!("up to {LAYOUT};")), "{refused}");
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let mut connection = database();
        connection.execute_batch("CREATE TABLE theirs (a)").unwrap();
        let refused = run(&mut connection);
        assert!(
            matches!(&refused, Err(OpenError::Other(reason)) if reason.contains("another program's")),
            "{refused:?}"
        );
        let tables: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 1);
    }
}
