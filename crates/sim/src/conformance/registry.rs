use std::sync::Arc;

use baton_core::bundle::ContentHash;
use baton_core::id::TenantId;
use baton_ports::registry::{
    ChangeResult, NewVersion, VersionShare, WorkflowChange, WorkflowRegistry, WorkflowVersion,
};

use super::fixtures::{at, bytes, other_tenant, tenant};

async fn save(
    store: &impl WorkflowRegistry,
    tenant: &TenantId,
    workflow: &str,
    label: &str,
    text: &str,
) -> WorkflowVersion {
    let bundle: Arc<[u8]> = bytes(text);
    let hash = ContentHash::of(&bundle);
    store.save(tenant, workflow, label, bundle, &hash, at(1)).await.expect("saves")
}

pub async fn the_first_version_is_active(store: &impl WorkflowRegistry) {
    assert_eq!(store.active(&tenant(), "booking").await.expect("reads"), None);
    assert_eq!(store.versions(&tenant(), "booking").await.expect("reads"), []);
    let first = save(store, &tenant(), "booking", "1.0", "one").await;
    assert_eq!((first.workflow.as_str(), first.revision, first.label.as_str()), ("booking", 1, "1.0"));
    assert_eq!((first.active, first.created_at, &first.bundle), (true, at(1), &ContentHash::of(b"one")));
    assert_eq!(store.active(&tenant(), "booking").await.expect("reads"), Some(first));
}

pub async fn a_changed_bundle_is_the_next_version(store: &impl WorkflowRegistry) {
    save(store, &tenant(), "booking", "1.0", "one").await;
    save(store, &tenant(), "other", "1.0", "else").await;
    let second = save(store, &tenant(), "booking", "1.1", "two").await;
    assert_eq!((second.revision, second.active), (2, true));
    assert_eq!(store.active(&tenant(), "booking").await.expect("reads"), Some(second));
    let all = store.versions(&tenant(), "booking").await.expect("reads");
    let shown: Vec<_> = all.iter().map(|version| (version.revision, version.active)).collect();
    assert_eq!(shown, [(2, true), (1, false)]);
}

pub async fn a_tenants_workflows_are_told_by_their_active_versions(store: &impl WorkflowRegistry) {
    save(store, &tenant(), "booking", "1.0", "one").await;
    let booking = save(store, &tenant(), "booking", "1.1", "two").await;
    let answer = save(store, &tenant(), "answer", "1.0", "else").await;
    save(store, &other_tenant(), "theirs", "1.0", "one").await;
    assert_eq!(store.workflows(&tenant()).await.expect("reads"), [answer, booking]);
}

pub async fn saving_what_is_active_changes_nothing(store: &impl WorkflowRegistry) {
    let first = save(store, &tenant(), "booking", "1.0", "one").await;
    assert_eq!(save(store, &tenant(), "booking", "2.0", "one").await, first);
    assert_eq!(store.versions(&tenant(), "booking").await.expect("reads").len(), 1);
}

pub async fn an_older_bundle_saved_again_is_a_new_version(store: &impl WorkflowRegistry) {
    for (revision, text) in [(1, "one"), (2, "two"), (3, "one")] {
        let saved = save(store, &tenant(), "booking", "x", text).await;
        assert_eq!((saved.revision, saved.bundle), (revision, ContentHash::of(text.as_bytes())));
    }
}

pub async fn bundles_are_kept_by_their_hash(store: &impl WorkflowRegistry) {
    let saved = save(store, &tenant(), "booking", "1.0", "one").await;
    assert_eq!(store.bundle(&saved.bundle).await.expect("reads"), Some(bytes("one")));
    assert_eq!(store.bundle(&ContentHash::of(b"unknown")).await.expect("reads"), None);
}

pub async fn a_bundle_under_a_wrong_hash_is_refused(store: &impl WorkflowRegistry) {
    let wrong = ContentHash::of(b"two");
    assert!(store.save(&tenant(), "booking", "1.0", bytes("one"), &wrong, at(1)).await.is_err());
    assert_eq!(store.bundle(&wrong).await.expect("reads"), None);
    assert_eq!(store.active(&tenant(), "booking").await.expect("reads"), None);
}

pub async fn versions_of_tenants_are_apart(store: &impl WorkflowRegistry) {
    save(store, &tenant(), "booking", "1.0", "one").await;
    assert_eq!(store.active(&other_tenant(), "booking").await.expect("reads"), None);
    let theirs = save(store, &other_tenant(), "booking", "7.0", "one").await;
    assert_eq!(theirs.revision, 1);
    assert_eq!(store.versions(&tenant(), "booking").await.expect("reads").len(), 1);
}

/// Adds a version as a person does.
async fn add(store: &impl WorkflowRegistry, text: &str, activate: bool) -> WorkflowVersion {
    let (bundle, made_by) = (bytes(text), Some("ana".to_owned()));
    let hash = ContentHash::of(&bundle);
    let new = NewVersion { label: String::new(), bundle, hash, made_by, activate };
    done(store, WorkflowChange::Add(new), at(2)).await
}

async fn done(store: &impl WorkflowRegistry, change: WorkflowChange, now: baton_core::time::Time) -> WorkflowVersion {
    let done = match store.change(&tenant(), "booking", change, None, now).await.expect("is kept") {
        ChangeResult::Done { version, .. } => Ok(version),
        other => Err(other),
    };
    done.expect("the change is made")
}

async fn active(store: &impl WorkflowRegistry) -> Option<u32> {
    store.active(&tenant(), "booking").await.expect("reads").map(|version| version.revision)
}

pub async fn a_version_that_is_not_activated_waits_beside_the_active_one(store: &impl WorkflowRegistry) {
    let draft = add(store, "one", false).await;
    assert_eq!((draft.revision, draft.active, draft.activated_at), (1, false, None));
    assert_eq!(draft.made_by.as_deref(), Some("ana"));
    assert_eq!(active(store).await, None);
    assert_eq!(store.workflows(&tenant()).await.expect("reads"), std::slice::from_ref(&draft));
    assert_eq!(add(store, "one", false).await, draft, "the same again is no other version");
    let activated = done(store, WorkflowChange::Activate { revision: 1 }, at(3)).await;
    assert_eq!((activated.active, activated.activated_at), (true, Some(at(3))));
    assert_eq!(add(store, "two", false).await.revision, 2);
    assert_eq!(active(store).await, Some(1));
    assert_eq!(store.workflows(&tenant()).await.expect("reads"), [activated]);
    assert!(add(store, "two", true).await.active, "it is known, and activated now");
    assert_eq!(active(store).await, Some(2));
    assert_eq!(store.versions(&tenant(), "booking").await.expect("reads").len(), 2);
}

pub async fn what_was_rolled_back_or_put_away_is_not_brought_back_by_the_same_files(store: &impl WorkflowRegistry) {
    save(store, &tenant(), "booking", "x", "one").await;
    save(store, &tenant(), "booking", "x", "two").await;
    done(store, WorkflowChange::Activate { revision: 1 }, at(3)).await;
    let same = save(store, &tenant(), "booking", "x", "two").await;
    assert_eq!((same.revision, same.active), (2, false));
    assert_eq!(active(store).await, Some(1));
    done(store, WorkflowChange::Archive, at(4)).await;
    let put_away = store.workflow_status(&tenant(), "booking").await.expect("reads").expect("is there");
    assert_eq!((put_away.archived_at, put_away.active), (Some(at(4)), None));
    assert_eq!(store.workflows(&tenant()).await.expect("reads"), []);
    save(store, &tenant(), "booking", "x", "two").await;
    assert_eq!(active(store).await, None);
    assert_eq!(save(store, &tenant(), "booking", "x", "three").await.revision, 3);
    assert_eq!(active(store).await, Some(3));
    assert_eq!(store.workflow_status(&tenant(), "booking").await.expect("reads").and_then(|it| it.archived_at), None);
}

pub async fn runs_are_split_until_one_version_is_activated(store: &impl WorkflowRegistry) {
    save(store, &tenant(), "booking", "x", "one").await;
    save(store, &tenant(), "booking", "x", "two").await;
    let shares = vec![VersionShare { revision: 1, percent: 40 }, VersionShare { revision: 2, percent: 60 }];
    done(store, WorkflowChange::Split(shares.clone()), at(3)).await;
    let standing = async || store.workflow_status(&tenant(), "booking").await.expect("reads").expect("is there");
    assert_eq!(standing().await.shares(), shares);
    add(store, "draft", false).await;
    assert_eq!(standing().await.shares(), shares, "what is not activated takes no runs");
    done(store, WorkflowChange::Activate { revision: 1 }, at(4)).await;
    assert_eq!(standing().await.shares(), []);
    done(store, WorkflowChange::Split(shares), at(5)).await;
    done(store, WorkflowChange::Split(Vec::new()), at(6)).await;
    assert_eq!((standing().await.shares(), active(store).await), (vec![], Some(1)));
}

pub async fn a_change_that_saw_less_changes_is_refused(store: &impl WorkflowRegistry) {
    let change = async |change: WorkflowChange, expected: u64| {
        store.change(&tenant(), "booking", change, Some(expected), at(2)).await.expect("is answered")
    };
    let new = |text: &str| {
        let bundle: Arc<[u8]> = bytes(text);
        let hash = ContentHash::of(&bundle);
        WorkflowChange::Add(NewVersion {
            label: String::new(),
            bundle,
            hash,
            made_by: Some("ana".to_owned()),
            activate: true,
        })
    };
    assert!(matches!(change(new("one"), 0).await, ChangeResult::Done { changes: 1, .. }));
    assert_eq!(change(new("two"), 0).await, ChangeResult::Stale { changes: 1 });
    assert!(matches!(change(new("two"), 1).await, ChangeResult::Done { changes: 2, .. }));
    assert_eq!(change(WorkflowChange::Archive, 1).await, ChangeResult::Stale { changes: 2 });
    assert_eq!(active(store).await, Some(2));
}

pub async fn what_is_not_there_cannot_be_changed(store: &impl WorkflowRegistry) {
    for change in [WorkflowChange::Activate { revision: 1 }, WorkflowChange::Archive, WorkflowChange::Split(Vec::new())]
    {
        let changed = store.change(&tenant(), "booking", change, None, at(1)).await.expect("is answered");
        assert_eq!(changed, ChangeResult::Missing);
    }
    assert_eq!(store.workflow_status(&tenant(), "booking").await.expect("reads"), None);
    save(store, &tenant(), "booking", "x", "one").await;
    let shares = vec![VersionShare { revision: 1, percent: 50 }, VersionShare { revision: 2, percent: 50 }];
    for change in [WorkflowChange::Activate { revision: 2 }, WorkflowChange::Split(shares)] {
        let changed = store.change(&tenant(), "booking", change, None, at(1)).await.expect("is answered");
        assert_eq!(changed, ChangeResult::Missing);
    }
    assert_eq!(active(store).await, Some(1));
    assert_eq!(store.workflow_status(&other_tenant(), "booking").await.expect("reads"), None);
}
