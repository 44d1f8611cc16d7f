//! Fuzzes queries: whatever the query, nothing is changed, no other file is created, and nothing panics.

#[path = "../../core/tests/fuzz/drive.rs"]
mod drive;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_core::tool::{Caller, EffectClass, ToolInvocation};
use baton_ports::clock::SystemClock;
use baton_ports::records::{RecordError, RecordOp, RecordStore, StoredRecord};
use baton_ports::tools::{CheckResult, ToolGateway};
use baton_tools::{ToolRegistry, ToolServices, ToolsConfig};
use serde_json::json;

/// Pieces of queries, harmless and hostile.
const CORPUS: &[&str] = &[
    "SELECT id, name FROM people WHERE id = 1 ORDER BY name LIMIT 5",
    "SELECT * FROM people; DELETE FROM people",
    "WITH a AS (DELETE FROM people RETURNING *) SELECT * FROM a",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 50) SELECT count(*), sum(x) FROM n",
    "SELECT 'it''s', \"name\", `name`, [name], x'00', 1e9, -5, NULL, 'a\\'' FROM people -- why",
    "SELECT load_extension('x') /* ; */ UNION ALL SELECT upper(name) FROM people",
    "INSERT INTO people VALUES (9, 'x')",
    "UPDATE people SET name = 'x' WHERE id IN (SELECT id FROM people)",
    "ATTACH DATABASE 'other.db' AS other",
    "PRAGMA writable_schema = ON",
    "VACUUM INTO 'copy.db'",
    "SELECT * FROM pragma_table_info('people'), json_each('[1,2]') AS e",
    "SELECT CASE WHEN a.id > 1 THEN 'b' END, a.id + 1 + 1 + 1 FROM people a JOIN people b ON a.id = b.id",
    "DROP TABLE people",
    "CREATE TABLE more AS SELECT * FROM people",
];

#[test]
fn no_query_changes_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("people.db");
    let connection = rusqlite::Connection::open(&file).expect("a database");
    connection
        .execute_batch("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO people VALUES (1, 'Ana'), (2, 'Eva');")
        .expect("a table");
    drop(connection);
    let before = std::fs::read(&file).expect("the file");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let registry = registry(&file);
    let corpus: Vec<Vec<u8>> = CORPUS.iter().map(|query| query.as_bytes().to_vec()).collect();
    drive::fuzz("query", &corpus, |text| {
        let query = String::from_utf8_lossy(text);
        runtime.block_on(ask(&registry, &query));
        assert!(std::fs::read(&file).expect("the file") == before, "the database was changed");
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1, "a file was made");
    });
}

fn registry(file: &Path) -> ToolRegistry {
    let settings = json!({"databases": {"people": {"url": format!("sqlite:{}", file.display())}}});
    let config: ToolsConfig = serde_json::from_value(settings).expect("settings");
    ToolRegistry::new(config, &ToolServices::new(Arc::new(FuzzRecords), Arc::new(SystemClock))).expect("a registry")
}

async fn ask(registry: &ToolRegistry, query: &str) {
    let call = ToolInvocation {
        tenant: TenantId::from("fuzz"),
        run: RunId::from("run"),
        workflow: String::new(),
        key: "run/node/0/0".to_owned(),
        tool: "query_database".to_owned(),
        arguments: json!({"query": query}).into(),
        class: EffectClass::Read,
        agent: None,
        attempt: 1,
        provider: None,
        at: Time::EPOCH,
        replies: Vec::new(),
        caller: Caller::default(),
    };
    if let CheckResult::Permitted(permit) = registry.check(&call, None).await {
        drop(permit.perform(Duration::from_secs(2)).await);
    }
}

/// A record store that discards every write.
struct FuzzRecords;

#[async_trait]
impl RecordStore for FuzzRecords {
    async fn commit(&self, _: &TenantId, _: Vec<RecordOp>, _: Time) -> Result<(), RecordError> {
        Ok(())
    }

    async fn get(&self, _: &TenantId, _: &str, _: &str) -> Result<Option<StoredRecord>, RecordError> {
        Ok(None)
    }

    async fn list(
        &self,
        _: &TenantId,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<StoredRecord>, RecordError> {
        Ok(Vec::new())
    }

    async fn ranges(
        &self,
        _: &TenantId,
        _: &str,
        _: &str,
        _: i64,
        _: i64,
    ) -> Result<Vec<(i64, i64, String)>, RecordError> {
        Ok(Vec::new())
    }
}
