use baton_core::model::ModelProfile;
use baton_core::money::Usd;
use baton_ports::decisions::{BATCH_MAX, DecisionFilter, DecisionLog, ModelDecision};
use baton_ports::journal::JournalError;

use super::fixtures::{at, decision, other_tenant, tenant};

fn failed(key: &str, attempt: u32) -> ModelDecision {
    ModelDecision {
        usage: None,
        actual_cost: Usd::ZERO,
        success: false,
        error_code: Some("TIMEOUT".into()),
        error_message: Some("no reply".into()),
        explanation: None,
        run: None,
        ..decision(key, attempt)
    }
}

async fn of(store: &impl DecisionLog, filter: DecisionFilter) -> Vec<ModelDecision> {
    store.decisions(&tenant(), filter).await.expect("reads")
}

fn all() -> DecisionFilter {
    DecisionFilter { limit: 100, ..DecisionFilter::default() }
}

pub async fn decisions_are_read_back_as_they_were(store: &impl DecisionLog) {
    let batch = vec![failed("k", 0), decision("k", 1)];
    store.record(batch.clone()).expect("taken");
    assert_eq!(of(store, all()).await, batch.into_iter().rev().collect::<Vec<_>>());
}

pub async fn decisions_are_found_by_run_and_by_key(store: &impl DecisionLog) {
    store.record(vec![decision("a", 0), failed("b", 0), decision("b", 1)]).expect("taken");
    store.record(vec![ModelDecision { run: Some("r2".into()), ..decision("c", 0) }]).expect("taken");
    let keys = async |filter| of(store, filter).await.into_iter().map(|found| found.key).collect::<Vec<_>>();
    assert_eq!(keys(all()).await, ["c", "b", "b", "a"], "newest first");
    assert_eq!(keys(DecisionFilter { key: Some("b".into()), ..all() }).await, ["b", "b"]);
    assert_eq!(keys(DecisionFilter { run: Some("r1".into()), ..all() }).await, ["b", "a"]);
    assert_eq!(keys(DecisionFilter { limit: 1, ..all() }).await, ["c"]);
}

pub async fn decisions_are_their_tenants_own(store: &impl DecisionLog) {
    store.record(vec![decision("a", 0), ModelDecision { tenant: other_tenant(), ..decision("b", 0) }]).expect("taken");
    assert_eq!(of(store, all()).await.len(), 1);
    assert_eq!(store.sums(&other_tenant(), at(0)).await.expect("reads").len(), 1);
}

pub async fn decisions_are_summed_by_profile_and_model(store: &impl DecisionLog) {
    let other = ModelDecision { profile: ModelProfile::Powerful, model: "large".into(), ..decision("c", 0) };
    let unasked = ModelDecision { model: String::new(), ..failed("d", 0) };
    let older = ModelDecision { created_at: at(-1), ..decision("e", 0) };
    let again = ModelDecision { cached: true, ..decision("b", 1) };
    store.record(vec![decision("a", 0), failed("b", 0), again, other, unasked, older]).expect("taken");
    let sums = store.sums(&tenant(), at(0)).await.expect("reads");
    let found: Vec<_> = sums.iter().map(|sum| (sum.profile, sum.model.as_str(), sum.calls, sum.succeeded)).collect();
    assert_eq!(found, [(ModelProfile::Fast, "small", 3, 2), (ModelProfile::Powerful, "large", 1, 1)]);
    assert_eq!((sums[0].cached, sums[1].cached), (1, 0), "the cache answered one");
    assert_eq!(sums[0].cost, Usd::from_nanos(2 * 678));
    assert_eq!((sums[0].usage.input_tokens, sums[0].usage.output_tokens), (20, 40));
}

pub async fn too_large_a_batch_of_decisions_is_refused(store: &impl DecisionLog) {
    let refused = store.record(vec![decision("a", 0); BATCH_MAX + 1]).expect_err("is refused");
    assert!(matches!(refused, JournalError::TooLarge { limit: BATCH_MAX, .. }), "{refused}");
    assert_eq!(of(store, all()).await, []);
}
