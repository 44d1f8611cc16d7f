//! Rate limits: by key, and by address for unknown keys.

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, chat};
use crate::test_folder::TestFolder;

const SETTINGS: &str = "[serve]\nrequests_per_minute = 2\nunknown_keys_per_minute = 2\n";

fn key(place: &TestFolder, name: &str, more: &[&str]) -> String {
    let all: Vec<&str> = ["keys", "create", name, "--json"].iter().chain(more).copied().collect();
    place.baton(&all).expect_code(0).json()["key"].as_str().expect("a secret").to_owned()
}

fn me(server: &BatonServer, key: &str) -> ApiAnswer {
    server.ask("GET /api/v1/me", key, "", &Value::Null)
}

fn whole_seconds(answer: &ApiAnswer, name: &str) -> u64 {
    answer.header(name).and_then(|text| text.parse().ok()).expect(name)
}

#[test]
fn a_key_asks_as_often_as_it_may_and_is_then_told_when() {
    let place = TestFolder::with(&[("baton.toml", "")]);
    let own = key(&place, "shop", &["--per-minute", "3"]);
    let other = key(&place, "desk", &[]);
    let server = BatonServer::start(&place);
    for left in ["2", "1", "0"] {
        let answer = me(&server, &own);
        assert_eq!((answer.header("ratelimit-limit"), answer.header("ratelimit-remaining")), (Some("3"), Some(left)));
        assert!(whole_seconds(&answer, "ratelimit-reset") <= 60);
        answer.expect_status(200);
    }
    let refused = me(&server, &own);
    let after = whole_seconds(&refused, "retry-after");
    assert!((1..=20).contains(&after), "{after}");
    assert_eq!((refused.header("ratelimit-limit"), refused.header("ratelimit-remaining")), (Some("3"), Some("0")));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let problem = refused.expect_status(429);
    assert_eq!(problem["code"], "RATE_LIMIT_EXCEEDED");
    assert!(problem["detail"].as_str().expect("a detail").contains("3 times in one minute"), "{problem}");
    // Another key has its own limit, the one in the settings.
    let answer = me(&server, &other);
    assert_eq!((answer.header("ratelimit-limit"), answer.status), (Some("100"), 200));
    // The same limit applies to the model API, in its own format.
    let body = json!({ "model": "fast", "messages": [{"role": "user", "content": "Hello"}] });
    let refused = chat(server.address(), &own, "", &body).expect("an answer");
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("\"rate_limit_error\""), "{refused}");
    assert!(refused.to_lowercase().contains("x-ratelimit-limit-requests: 3"), "{refused}");
}

#[test]
fn the_settings_limit_keys_that_say_nothing_and_a_rotated_key_keeps_its_limit() {
    let place = TestFolder::with(&[("baton.toml", SETTINGS)]);
    let (plain, free) = (key(&place, "plain", &[]), key(&place, "free", &["--per-minute", "0"]));
    let rotated = place.baton(&["keys", "rotate", "free", "--json"]).expect_code(0).json();
    assert_eq!(rotated["per_minute"], 0);
    let rotated = rotated["key"].as_str().expect("a secret").to_owned();
    let server = BatonServer::start(&place);
    let asked = |key: &str| (0..4).map(|_| me(&server, key).status).collect::<Vec<u16>>();
    assert_eq!(asked(&plain), [200, 200, 429, 429]);
    for key in [&free, &rotated] {
        assert_eq!(asked(key), [200; 4]);
        assert_eq!(me(&server, key).header("ratelimit-limit"), None);
    }
}

#[test]
fn the_key_of_the_first_start_has_no_limit() {
    let place = TestFolder::with(&[("baton.toml", SETTINGS)]);
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    assert!((0..5).all(|_| me(&server, &key).status == 200));
}

#[test]
fn an_address_with_unknown_keys_is_told_to_wait_and_good_keys_beside_it_are_not() {
    let place = TestFolder::with(&[("baton.toml", SETTINGS)]);
    let server = BatonServer::start(&place);
    let good = server.key().expect("a key").to_owned();
    let guesses: Vec<ApiAnswer> = (0..4).map(|guess| me(&server, &format!("baton_guess{guess}"))).collect();
    assert_eq!(guesses.iter().map(|answer| answer.status).collect::<Vec<_>>(), [401, 401, 429, 429]);
    assert!((1..=30).contains(&whole_seconds(&guesses[3], "retry-after")));
    assert_eq!(guesses[3].body["code"], "RATE_LIMIT_EXCEEDED");
    assert!(guesses[3].body["detail"].as_str().expect("a detail").contains("your address"));
    let openais = chat(server.address(), "baton_guess", "", &json!({})).expect("an answer");
    assert!(openais.starts_with("HTTP/1.1 429") && openais.contains("\"error\""), "{openais}");
    assert_eq!(me(&server, &good).status, 200);
}
