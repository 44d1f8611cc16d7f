use baton_ports::circuits::{
    ModelCircuit, ModelCircuitState, ModelCircuitStore, SERVICE_CIRCUIT_KEPT_FOR, ServiceCircuit, ServiceCircuitStore,
};

use super::fixtures::{at, other_tenant, tenant};

fn open(model: &str, since: i64) -> ModelCircuit {
    ModelCircuit {
        model: model.to_owned(),
        state: ModelCircuitState::Open,
        until: Some(at(since + 30_000)),
        since: at(since),
        by: "baton".into(),
        reason: "3 failures in a row".into(),
    }
}

fn closed(model: &str, since: i64) -> ModelCircuit {
    ModelCircuit { state: ModelCircuitState::Closed, until: None, by: "ana".into(), ..open(model, since) }
}

pub async fn the_last_word_on_a_circuit_counts(store: &impl ModelCircuitStore) {
    store.set(open("b", 0)).await.expect("is set");
    store.set(open("a", 0)).await.expect("is set");
    store.set(closed("a", 5)).await.expect("is set");
    assert_eq!(store.circuits().await.expect("reads"), [closed("a", 5), open("b", 0)]);
}

pub async fn an_older_word_on_a_circuit_changes_nothing(store: &impl ModelCircuitStore) {
    store.set(closed("a", 5)).await.expect("is set");
    store.set(open("a", 4)).await.expect("is heard");
    assert_eq!(store.circuits().await.expect("reads"), [closed("a", 5)]);
}

fn service(failures: u32, open_until: Option<i64>, since: i64) -> ServiceCircuit {
    let open_until = open_until.map(at);
    ServiceCircuit { tenant: tenant(), service: "smtp".into(), failures, open_until, since: at(since) }
}

pub async fn failures_of_a_service_are_counted_over_all_who_tell(store: &impl ServiceCircuitStore) {
    let failed = async |now: i64| store.record_failure(&tenant(), "smtp", at(now)).await.expect("counts");
    assert_eq!((failed(0).await, failed(1).await, failed(2).await), (1, 2, 3));
    assert_eq!(
        store.record_failure(&other_tenant(), "smtp", at(3)).await.expect("counts"),
        1,
        "another tenant's account there"
    );
    let all = store.service_circuits(at(4)).await.expect("reads");
    assert_eq!(all.len(), 2);
    assert!(all.contains(&service(3, None, 2)), "{all:?}");
}

pub async fn the_last_word_on_a_services_circuit_counts(store: &impl ServiceCircuitStore) {
    let tell = async |open_until: Option<i64>, now: i64| {
        store.set_service_circuit(&tenant(), "smtp", open_until.map(at), at(now)).await.expect("is told");
    };
    store.record_failure(&tenant(), "smtp", at(0)).await.expect("counts");
    tell(Some(60_000), 0).await;
    assert_eq!(store.service_circuits(at(1)).await.expect("reads"), [service(0, Some(60_000), 0)]);
    tell(None, 5).await;
    tell(Some(61_000), 4).await;
    assert_eq!(store.service_circuits(at(6)).await.expect("reads"), [service(0, None, 5)], "an older word");
    let long_after = at(6) + SERVICE_CIRCUIT_KEPT_FOR;
    assert_eq!(store.service_circuits(long_after).await.expect("reads"), []);
}
