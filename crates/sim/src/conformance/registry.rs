use std::sync::Arc;

use baton_core::bundle::Hash;
use baton_core::id::TenantId;
use baton_ports::registry::{Registry, Version};

use super::world::{at, bytes, other_tenant, tenant};

async fn save(store: &impl Registry, tenant: &TenantId, workflow: &str, label: &str, text: &str) -> Version {
    let bundle: Arc<[u8]> = bytes(text);
    let hash = Hash::of(&bundle);
    store.save(tenant, workflow, label, bundle, &hash, at(1)).await.expect("saves")
}

pub async fn the_first_version_is_active(store: &impl Registry) {
    assert_eq!(store.active(&tenant(), "booking").await.expect("reads"), None);
    assert_eq!(store.versions(&tenant(), "booking").await.expect("reads"), []);
    let first = save(store, &tenant(), "booking", "1.0", "one").await;
    assert_eq!((first.workflow.as_str(), first.revision, first.label.as_str()), ("booking", 1, "1.0"));
    assert_eq!((first.active, first.created_at, &first.bundle), (true, at(1), &Hash::of(b"one")));
    assert_eq!(store.active(&tenant(), "booking").await.expect("reads"), Some(first));
}

pub async fn a_changed_bundle_is_the_next_version(store: &impl Registry) {
    save(store, &tenant(), "booking", "1.0", "one").await;
    save(store, &tenant(), "other", "1.0", "else").await;
    let second = save(store, &tenant(), "booking", "1.1", "two").await;
    assert_eq!((second.revision, second.active), (2, true));
    assert_eq!(store.active(&tenant(), "booking").await.expect("reads"), Some(second));
    let all = store.versions(&tenant(), "booking").await.expect("reads");
    let shown: Vec<_> = all.iter().map(|version| (version.revision, version.active)).collect();
    assert_eq!(shown, [(2, true), (1, false)]);
}

pub async fn a_tenants_workflows_are_told_by_their_active_versions(store: &impl Registry) {
    save(store, &tenant(), "booking", "1.0", "one").await;
    let booking = save(store, &tenant(), "booking", "1.1", "two").await;
    let answer = save(store, &tenant(), "answer", "1.0", "else").await;
    save(store, &other_tenant(), "theirs", "1.0", "one").await;
    assert_eq!(store.workflows(&tenant()).await.expect("reads"), [answer, booking]);
}

pub async fn saving_what_is_active_changes_nothing(store: &impl Registry) {
    let first = save(store, &tenant(), "booking", "1.0", "one").await;
    assert_eq!(save(store, &tenant(), "booking", "2.0", "one").await, first);
    assert_eq!(store.versions(&tenant(), "booking").await.expect("reads").len(), 1);
}

pub async fn an_older_bundle_saved_again_is_a_new_version(store: &impl Registry) {
    for (revision, text) in [(1, "one"), (2, "two"), (3, "one")] {
        let saved = save(store, &tenant(), "booking", "x", text).await;
        assert_eq!((saved.revision, saved.bundle), (revision, Hash::of(text.as_bytes())));
    }
}

pub async fn bundles_are_kept_by_their_hash(store: &impl Registry) {
    let saved = save(store, &tenant(), "booking", "1.0", "one").await;
    assert_eq!(store.bundle(&saved.bundle).await.expect("reads"), Some(bytes("one")));
    assert_eq!(store.bundle(&Hash::of(b"unknown")).await.expect("reads"), None);
}

pub async fn a_bundle_under_a_wrong_hash_is_refused(store: &impl Registry) {
    let wrong = Hash::of(b"two");
    assert!(store.save(&tenant(), "booking", "1.0", bytes("one"), &wrong, at(1)).await.is_err());
    assert_eq!(store.bundle(&wrong).await.expect("reads"), None);
    assert_eq!(store.active(&tenant(), "booking").await.expect("reads"), None);
}

pub async fn versions_of_tenants_are_apart(store: &impl Registry) {
    save(store, &tenant(), "booking", "1.0", "one").await;
    assert_eq!(store.active(&other_tenant(), "booking").await.expect("reads"), None);
    let theirs = save(store, &other_tenant(), "booking", "7.0", "one").await;
    assert_eq!(theirs.revision, 1);
    assert_eq!(store.versions(&tenant(), "booking").await.expect("reads").len(), 1);
}
