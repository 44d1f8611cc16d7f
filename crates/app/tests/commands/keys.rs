//! `baton keys`: made, listed, rotated and revoked on the project's database, and what a server beside makes of them.

use serde_json::Value;

use crate::place::Place;
use crate::server::Server;

fn create(place: &Place, arguments: &[&str]) -> (String, String) {
    let all: Vec<&str> = ["keys", "create", "--json"].iter().chain(arguments).copied().collect();
    let made = place.baton(&all).ends(0).json();
    let text = |name: &str| made[name].as_str().expect("text").to_owned();
    (text("id"), text("key"))
}

#[test]
fn a_lost_admin_key_is_replaced_without_it_and_without_a_server() {
    let place = Place::empty();
    let first = Server::start(&place);
    assert!(first.key().is_some());
    assert_eq!(first.stop(), Some(0));
    let (_, key) = create(&place, &["me", "--role", "admin"]);
    let again = Server::start(&place);
    assert_eq!(again.key(), None);
    assert!(again.get("/v1/models", Some(&key)).starts_with("HTTP/1.1 200"));
    let list = place.baton(&["keys", "list", "--json"]).ends(0);
    assert!(!list.out.contains(&key), "a key is shown once");
    let list = list.json();
    let of: Vec<(&str, &str)> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|key| (key["name"].as_str().expect("a name"), key["role"].as_str().expect("a role")))
        .collect();
    assert_eq!(of, [("me", "admin"), ("first start", "admin")]);
}

#[test]
fn a_revoked_key_opens_no_door_and_is_revoked_once() {
    let place = Place::empty();
    let (id, key) = create(&place, &["shop"]);
    place.baton(&["keys", "revoke", "shop"]).ends(0).says(&id);
    place.baton(&["keys", "revoke", &id]).ends(2).warns("revoked before");
    place.baton(&["keys", "revoke", "shop"]).ends(2).warns("no good key `shop`");
    let server = Server::start(&place);
    assert_eq!(server.key(), None, "a revoked key is a key: nobody gets in by revoking all");
    assert!(server.get("/v1/models", Some(&key)).starts_with("HTTP/1.1 401"));
    let (_, next) = create(&place, &["shop"]);
    assert!(server.get("/v1/models", Some(&next)).starts_with("HTTP/1.1 200"), "beside a server, too");
}

#[test]
fn a_rotated_key_and_its_successor_overlap_as_long_as_told() {
    let place = Place::empty();
    let (old_id, old) = create(&place, &["shop", "--days", "30"]);
    place.write("baton.toml", format!("[budgets.keys.{old_id}]\ndaily_usd = 1\n"));
    let rotated = place.baton(&["keys", "rotate", "shop", "--json"]).ends(0);
    assert!(rotated.err.contains(&format!("[budgets.keys.{old_id}]")), "{}", rotated.err);
    let new = rotated.json()["key"].as_str().expect("a key").to_owned();
    let server = Server::start(&place);
    for key in [&old, &new] {
        assert!(server.get("/v1/models", Some(key)).starts_with("HTTP/1.1 200"));
    }
    place.baton(&["keys", "rotate", "shop"]).ends(2).warns("2 good keys are called `shop`").warns(&old_id);
    place.baton(&["keys", "rotate", &old_id, "--overlap-hours", "0"]).ends(0).says("opens no door any more");
    place.baton(&["keys", "rotate", &old_id]).ends(2).warns("not good any more").warns("baton keys create shop");
    let list = place.baton(&["keys", "list", "--json"]).ends(0).json();
    let states: Vec<&str> =
        list.as_array().expect("a list").iter().map(|key: &Value| key["state"].as_str().expect("a state")).collect();
    assert_eq!(states, ["good", "good", "expired"]);
}

#[test]
fn looking_at_keys_makes_no_database_and_names_are_checked() {
    let place = Place::empty();
    place.baton(&["keys", "list"]).ends(0).says("baton keys create");
    assert!(!place.path().join(".baton").exists());
    place.baton(&["keys", "create", " "]).ends(2).warns("a key's name has");
    place.baton(&["keys", "create", "x", "--days", "0"]).ends(2);
    create(&place, &["shop"]);
    place.baton(&["keys", "revoke", "shpo"]).ends(2).warns("did you mean `shop`?");
}
