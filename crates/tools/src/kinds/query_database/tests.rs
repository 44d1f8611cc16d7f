mod postgres;
mod rejected;
mod sqlite;

use std::time::Duration;

use baton_ports::tools::ToolGateway as _;
use serde_json::json;

use crate::ToolsConfig;
use crate::testing::ToolsFixture;

/// Statements as they would arrive if the checker accepted them.
fn checker_bypasses() -> [&'static str; 12] {
    [
        "DELETE FROM orders",
        "INSERT INTO orders (id) VALUES (7)",
        "UPDATE orders SET total = 0",
        "DROP TABLE orders",
        "CREATE TEMP TABLE t (a)",
        "CREATE TABLE t (a)",
        "ATTACH DATABASE 'other.db' AS other",
        "PRAGMA query_only = OFF",
        "PRAGMA table_info(orders)",
        "SELECT * FROM pragma_table_info('orders')",
        "VACUUM INTO 'copy.db'",
        "SELECT load_extension('x')",
    ]
}

#[test]
fn time_out_and_cache_are_those_of_seed_004() {
    let world = ToolsFixture::with(json!({"databases": {"shop": {"url": "sqlite:shop.db"}}}));
    assert_eq!(world.registry.facts("query_database").unwrap().timeout, Duration::from_secs(10));
    assert_eq!(super::entry(std::collections::BTreeMap::new()).cache, Some(Duration::from_secs(300)));
}

#[test]
fn an_address_is_never_shown() {
    let config = json!({"databases": {"crm": {"url": "postgres://me:s3cr3t@db/crm"}}});
    let config: ToolsConfig = serde_json::from_value(config).unwrap();
    assert!(!format!("{config:?}").contains("s3cr3t"));
    for url in ["mysql://me:s3cr3t@db/crm", "postgres://me:s3cr3t@db:port/crm", "s3cr3t", "sqlite:"] {
        let error = serde_json::from_value::<ToolsConfig>(json!({"databases": {"crm": {"url": url}}})).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`sqlite:FILE`") && !error.contains("s3cr3t"), "{error}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_set_up_is_said_to_be() {
    let (code, message) = ToolsFixture::new().refused("k", "query_database", json!({"query": "SELECT 1"})).await;
    assert_eq!(code, "DATABASE_NOT_CONFIGURED");
    assert!(message.contains("`[tools.databases.NAME]`"), "{message}");
    let other = json!({"databases": {"theirs": {"url": "sqlite:theirs.db", "tenants": ["other"]}}});
    let arguments = json!({"query": "SELECT 1", "database": "theirs"});
    let (code, message) = ToolsFixture::with(other).refused("k", "query_database", arguments).await;
    assert_eq!((code.as_str(), message.contains("theirs")), ("DATABASE_NOT_CONFIGURED", false), "{message}");
}

#[test]
fn settings_that_cannot_hold_are_refused_at_the_start() {
    for (database, expect) in [
        (json!({"url": "sqlite:a.db", "rows_max": 0}), "`rows_max`"),
        (json!({"url": "sqlite:a.db", "bytes_max": 1_000_000_000}), "`bytes_max`"),
        (json!({"url": "sqlite:a.db", "functions": ["Tax"]}), "`Tax`"),
    ] {
        let config = serde_json::from_value(json!({"databases": {"a": database}})).unwrap();
        let error = crate::ToolRegistry::new(config, &ToolsFixture::new().services()).err().unwrap().to_string();
        assert!(error.contains("databases") && error.contains(expect), "{error}");
    }
}
