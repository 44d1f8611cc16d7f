use baton_ports::keys::{Key, Keys, Role};

use super::world::{at, tenant};

fn key(id: &str) -> Key {
    Key {
        id: id.to_owned(),
        tenant: tenant(),
        name: "a key".to_owned(),
        role: Role::Service,
        created_at: at(1),
        expires_at: Some(at(9)),
        revoked_at: None,
    }
}

pub async fn a_key_is_found_by_its_hash_and_by_nothing_else(store: &impl Keys) {
    store.add(&key("one"), &[1; 32]).await.expect("keeps");
    assert_eq!(store.find(&[1; 32]).await.expect("reads"), Some(key("one")));
    assert_eq!(store.find(&[2; 32]).await.expect("reads"), None);
}

pub async fn only_the_first_key_of_all_is_the_first(store: &impl Keys) {
    let admin = Key { role: Role::Admin, expires_at: None, ..key("one") };
    assert!(store.add_first(&admin, &[1; 32]).await.expect("keeps"));
    assert!(!store.add_first(&key("two"), &[2; 32]).await.expect("answers"));
    assert_eq!(store.find(&[1; 32]).await.expect("reads"), Some(admin));
    assert_eq!(store.find(&[2; 32]).await.expect("reads"), None);
}

pub async fn a_hash_is_of_one_key_only(store: &impl Keys) {
    store.add(&key("one"), &[1; 32]).await.expect("keeps");
    assert!(store.add(&key("two"), &[1; 32]).await.is_err());
}
