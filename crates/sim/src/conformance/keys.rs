use baton_ports::keys::{AccessRole, AccessScope, ApiKeyRecord, ApiKeyStore};

use super::fixtures::{at, tenant};

fn key(id: &str) -> ApiKeyRecord {
    ApiKeyRecord {
        id: id.to_owned(),
        tenant: tenant(),
        name: "a key".to_owned(),
        role: AccessRole::Service,
        created_at: at(1),
        expires_at: Some(at(9)),
        revoked_at: None,
        per_minute: Some(7),
        scopes: Some([AccessScope::Look, AccessScope::Run].into()),
    }
}

pub async fn a_key_is_found_by_its_hash_and_by_nothing_else(store: &impl ApiKeyStore) {
    store.add(&key("one"), &[1; 32]).await.expect("keeps");
    assert_eq!(store.find(&[1; 32]).await.expect("reads"), Some(key("one")));
    assert_eq!(store.find(&[2; 32]).await.expect("reads"), None);
}

pub async fn only_the_first_key_of_all_is_the_first(store: &impl ApiKeyStore) {
    let admin = ApiKeyRecord { role: AccessRole::Admin, expires_at: None, ..key("one") };
    assert!(store.add_first(&admin, &[1; 32]).await.expect("keeps"));
    assert!(!store.add_first(&key("two"), &[2; 32]).await.expect("answers"));
    assert_eq!(store.find(&[1; 32]).await.expect("reads"), Some(admin));
    assert_eq!(store.find(&[2; 32]).await.expect("reads"), None);
}

pub async fn a_hash_is_of_one_key_only(store: &impl ApiKeyStore) {
    store.add(&key("one"), &[1; 32]).await.expect("keeps");
    assert!(store.add(&key("two"), &[1; 32]).await.is_err());
}

pub async fn keys_are_listed_newest_first_page_by_page_and_are_their_tenants_own(store: &impl ApiKeyStore) {
    for (number, made) in [(1, 5), (2, 7), (3, 7)] {
        let key = ApiKeyRecord { created_at: at(made), ..key(&format!("key_{number}")) };
        store.add(&key, &[number; 32]).await.expect("keeps");
    }
    let theirs = ApiKeyRecord { tenant: "somebody".into(), ..key("theirs") };
    store.add(&theirs, &[9; 32]).await.expect("keeps");
    let ids = async |before, limit| -> Vec<String> {
        let page = store.list(&tenant(), before, limit).await.expect("reads");
        page.into_iter().map(|key| key.id).collect()
    };
    assert_eq!(ids(None, 10).await, ["key_3", "key_2", "key_1"]);
    assert_eq!(ids(None, 2).await, ["key_3", "key_2"]);
    assert_eq!(ids(Some("key_2"), 2).await, ["key_1"]);
    assert!(ids(Some("theirs"), 2).await.is_empty(), "another tenant's key is no place in this list");
}

pub async fn a_revoked_key_is_revoked_once_and_only_by_its_tenant(store: &impl ApiKeyStore) {
    store.add(&key("one"), &[1; 32]).await.expect("keeps");
    assert!(!store.revoke(&"somebody".into(), "one", at(3)).await.expect("answers"));
    assert!(!store.revoke(&tenant(), "two", at(3)).await.expect("answers"));
    assert!(store.revoke(&tenant(), "one", at(3)).await.expect("answers"));
    assert!(!store.revoke(&tenant(), "one", at(4)).await.expect("answers"));
    let found = store.find(&[1; 32]).await.expect("reads").expect("is kept");
    assert_eq!((found.revoked_at, found.is_valid(at(4))), (Some(at(3)), false));
}

pub async fn a_rotated_key_overlaps_with_its_successor_and_then_ends(store: &impl ApiKeyStore) {
    let successor = ApiKeyRecord { created_at: at(4), expires_at: Some(at(20)), ..key("two") };
    store.add(&key("one"), &[1; 32]).await.expect("keeps");
    assert!(store.rotate("one", at(6), &successor, &[2; 32]).await.expect("answers"));
    assert_eq!(store.find(&[1; 32]).await.expect("reads").and_then(|old| old.expires_at), Some(at(6)));
    assert_eq!(store.find(&[2; 32]).await.expect("reads"), Some(successor));
    // An overlap never extends the life of a key.
    let third = ApiKeyRecord { created_at: at(5), ..key("three") };
    assert!(store.rotate("one", at(8), &third, &[3; 32]).await.expect("answers"));
    assert_eq!(store.find(&[1; 32]).await.expect("reads").and_then(|old| old.expires_at), Some(at(6)));
}

pub async fn what_cannot_be_rotated_gets_no_successor(store: &impl ApiKeyStore) {
    store.add(&key("expired"), &[1; 32]).await.expect("keeps");
    store.add(&key("revoked"), &[2; 32]).await.expect("keeps");
    store.revoke(&tenant(), "revoked", at(2)).await.expect("revokes");
    store.add(&ApiKeyRecord { tenant: "somebody".into(), ..key("theirs") }, &[3; 32]).await.expect("keeps");
    let late = ApiKeyRecord { created_at: at(9), expires_at: Some(at(99)), ..key("new") };
    let early = ApiKeyRecord { created_at: at(3), ..late.clone() };
    for (old, new) in [("expired", &late), ("revoked", &early), ("theirs", &early), ("none", &early)] {
        assert!(!store.rotate(old, at(50), new, &[4; 32]).await.expect("answers"), "{old}");
    }
    assert_eq!(store.find(&[4; 32]).await.expect("reads"), None);
    assert_eq!(store.find(&[3; 32]).await.expect("reads").and_then(|key| key.expires_at), Some(at(9)));
}
