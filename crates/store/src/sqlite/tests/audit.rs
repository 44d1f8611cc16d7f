use baton_ports::journal::{Append, Journal};
use baton_sim::conformance::world::{audit, entry, join, owned};

use super::Database;

#[tokio::test]
async fn audit_rows_can_be_neither_changed_nor_removed_not_even_past_the_store() {
    let database = Database::new();
    let store = database.open();
    let process = join(&store).await;
    let ownership = owned(&store, "run", process).await;
    let append = Append { audit: vec![audit("run", "calculator")], ..entry("run", ownership, 0) };
    store.append(append).await.unwrap();

    let raw = database.raw();
    for sql in ["UPDATE audit_trail SET status = 'error'", "DELETE FROM audit_trail"] {
        let refused = raw.execute(sql, []).unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
    let rows: u32 =
        raw.query_row("SELECT count(*) FROM audit_trail WHERE status = 'success'", [], |r| r.get(0)).unwrap();
    assert_eq!(rows, 1);
}
