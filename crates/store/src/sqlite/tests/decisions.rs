use baton_core::money::Usd;
use baton_ports::decisions::{DecisionLog, ModelDecision};
use baton_sim::conformance::fixtures::{at, decision};

use super::TestDatabase;

/// The query from which seed 004 builds its daily summary.
const SEED: &str = "SELECT DATE(created_at) as date, selected_model, requested_profile, COUNT(*) as total_calls, \
     SUM(actual_cost) as total_cost_usd, SUM(actual_input_tokens + actual_output_tokens) as total_tokens, \
     AVG(latency_ms) as avg_latency_ms FROM llm_routing_decisions \
     GROUP BY DATE(created_at), selected_model, requested_profile";

#[tokio::test]
async fn the_seeds_query_runs_over_decisions() {
    let database = TestDatabase::new();
    let dear = ModelDecision { actual_cost: Usd::from_f64(0.25), ..decision("a", 0) };
    let store = database.open();
    store.record(vec![dear.clone(), ModelDecision { key: "b".into(), created_at: at(1), ..dear }]).unwrap();
    drop(store);
    let row = database.raw().query_row(SEED, [], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, u32>(3)?,
            row.get::<_, f64>(4)?,
            row.get::<_, u32>(5)?,
        ))
    });
    assert_eq!(row.unwrap(), ("2023-11-14".into(), "small".into(), 2, 0.5, 2 * (10 + 3 + 4 + 20)));
}

#[tokio::test]
async fn what_nobody_waited_for_is_written_before_the_store_closes() {
    let database = TestDatabase::new();
    let store = database.open();
    for number in 0..100 {
        store.record(vec![decision(&number.to_string(), 0)]).unwrap();
    }
    drop(store);
    let rows: u32 = database.raw().query_row("SELECT count(*) FROM routing_decision", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 100);
}
