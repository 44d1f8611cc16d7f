use baton_ports::circuits::{Circuit, Circuits, State};

use super::world::at;

fn open(model: &str, since: i64) -> Circuit {
    Circuit {
        model: model.to_owned(),
        state: State::Open,
        until: Some(at(since + 30_000)),
        since: at(since),
        by: "baton".into(),
        reason: "3 failures in a row".into(),
    }
}

fn closed(model: &str, since: i64) -> Circuit {
    Circuit { state: State::Closed, until: None, by: "ana".into(), ..open(model, since) }
}

pub async fn the_last_word_on_a_circuit_counts(store: &impl Circuits) {
    store.set(open("b", 0)).await.expect("is set");
    store.set(open("a", 0)).await.expect("is set");
    store.set(closed("a", 5)).await.expect("is set");
    assert_eq!(store.circuits().await.expect("reads"), [closed("a", 5), open("b", 0)]);
}

pub async fn an_older_word_on_a_circuit_changes_nothing(store: &impl Circuits) {
    store.set(closed("a", 5)).await.expect("is set");
    store.set(open("a", 4)).await.expect("is heard");
    assert_eq!(store.circuits().await.expect("reads"), [closed("a", 5)]);
}
