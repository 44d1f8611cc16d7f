//! End-to-end tests of JWTs from an identity provider: a local provider whose keys change while Baton runs.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::{hmac, signature};
use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer};
use crate::test_folder::TestFolder;

const ONE: &[u8] = include_bytes!("signing/one.pk8");
const TWO: &[u8] = include_bytes!("signing/two.pk8");
const SECRET: &str = "a secret that is shared and has enough bytes";

fn part(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs()
}

fn claims(sub: &str) -> Value {
    json!({
        "iss": "https://id.example", "aud": ["baton"], "sub": sub, "exp": now() + 600, "nbf": now() - 1,
        "tenant_id": "default", "role": "operator"
    })
}

fn by_rsa(pair: &[u8], kid: &str, claims: &Value) -> String {
    let pair = KeyPair::from_pkcs8(pair).expect("a key");
    let text = format!("{}.{}", part(&json!({ "alg": "RS256", "typ": "JWT", "kid": kid })), part(claims));
    let mut signed = vec![0; pair.public().modulus_len()];
    pair.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signed).expect("signs");
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signed))
}

fn by_secret(secret: &[u8], claims: &Value) -> String {
    let text = format!("{}.{}", part(&json!({ "alg": "HS256", "kid": "one" })), part(claims));
    let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signed))
}

fn public(pair: &[u8]) -> PublicKeyComponents<Vec<u8>> {
    PublicKeyComponents::from(KeyPair::from_pkcs8(pair).expect("a key").public())
}

fn set(keys: &[(&str, &[u8])]) -> String {
    let keys: Vec<Value> = keys
        .iter()
        .map(|(kid, pair)| {
            let PublicKeyComponents { n, e } = public(pair);
            let text = |number| BASE64_URL_SAFE_NO_PAD.encode(number);
            json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": text(n), "e": text(e) })
        })
        .collect();
    json!({ "keys": keys }).to_string()
}

/// Serves its keys, and counts the requests.
struct JwksProvider {
    url: String,
    keys: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl JwksProvider {
    fn start(keys: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/keys.json", listener.local_addr().expect("an address"));
        let (keys, asked) = (Arc::new(Mutex::new(keys)), Arc::new(AtomicUsize::new(0)));
        let provider = Self { url, keys: keys.clone(), asked: asked.clone() };
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
                head.for_each(drop);
                asked.fetch_add(1, Ordering::SeqCst);
                let body = keys.lock().expect("a lock").clone();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
                // The client may be gone.
                let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        provider
    }

    fn hand_out(&self, keys: String) {
        *self.keys.lock().expect("a lock") = keys;
    }
}

fn place(more: &str) -> TestFolder {
    let settings = format!("[serve.jwt]\nissuer = \"https://id.example\"\naudience = \"baton\"\n{more}\n");
    TestFolder::with(&[("baton.toml", &settings)])
}

fn me(server: &BatonServer, token: &str) -> ApiAnswer {
    server.ask("GET /api/v1/me", token, "", &Value::Null)
}

#[test]
fn a_provider_that_changes_its_keys_in_the_middle_locks_nobody_out() {
    let provider = JwksProvider::start(set(&[("one", ONE)]));
    let server = BatonServer::start(&place(&format!("jwks_url = \"{}\"\njwks_pause_seconds = 1", provider.url)));
    let who = me(&server, &by_rsa(ONE, "one", &claims("ana"))).expect_status(200);
    assert_eq!((&who["name"], &who["role"], &who["tenant"]), (&json!("ana"), &json!("operator"), &json!("default")));
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1);
    provider.hand_out(set(&[("two", TWO)]));
    // The refresh interval is one second. Within it the new key is not fetched.
    let (begun, new) = (Instant::now(), by_rsa(TWO, "two", &claims("ben")));
    let mut tries = 0;
    // A rejected token stays rejected for five seconds, so each attempt uses another token.
    while me(&server, &by_rsa(TWO, "two", &claims(&format!("ben{tries}")))).status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the new key was never taken");
        tries += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(me(&server, &new).expect_status(200)["name"], "ben");
    // The change removed the old key, even for tokens that had not expired.
    let old = me(&server, &by_rsa(ONE, "one", &claims("eve"))).expect_status(401);
    assert!(old["detail"].as_str().expect("a detail").contains("kid"), "{old}");
}

#[test]
fn keys_that_nobody_has_do_not_make_baton_ask_again_and_again() {
    let provider = JwksProvider::start(set(&[("one", ONE)]));
    let server = BatonServer::start(&place(&format!("jwks_url = \"{}\"\njwks_pause_seconds = 600", provider.url)));
    for guess in 0..20 {
        me(&server, &by_rsa(TWO, &format!("kid{guess}"), &claims("eve"))).expect_status(401);
    }
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1);
    // Signed with another key under a valid key id, and with HS256 with the public key as the secret.
    me(&server, &by_rsa(TWO, "one", &claims("eve"))).expect_status(401);
    let PublicKeyComponents { n, .. } = public(ONE);
    let confused = me(&server, &by_secret(&n, &claims("eve"))).expect_status(401);
    assert!(confused["detail"].as_str().expect("a detail").contains("algorithm"), "{confused}");
    me(&server, &by_rsa(ONE, "one", &claims("ana"))).expect_status(200);
}

#[test]
fn a_shared_secret_signs_too_and_a_role_may_what_it_may() {
    let place = place("requests_per_minute = 5");
    let server = BatonServer::start_with(&place, &[("BATON_SERVE__JWT__SECRET", SECRET)]);
    let token = by_secret(SECRET.as_bytes(), &claims("ana"));
    let first = me(&server, &token);
    assert_eq!((first.status, first.header("ratelimit-limit")), (200, Some("5")));
    // A subject has one limit, whatever its number of tokens.
    let mut later = claims("ana");
    later["exp"] = json!(now() + 601);
    assert_eq!(me(&server, &by_secret(SECRET.as_bytes(), &later)).header("ratelimit-remaining"), Some("3"));
    let mut human = claims("olga");
    human["role"] = json!("human_agent");
    let body = json!({ "workflow_id": "any", "input_data": {} });
    let run = server.ask("POST /api/v1/workflows/execute", &by_secret(SECRET.as_bytes(), &human), "", &body);
    assert_eq!(run.expect_status(403)["code"], "FORBIDDEN");
    let mut ended = claims("ana");
    ended["exp"] = json!(now() - 3_600);
    let refused = me(&server, &by_secret(SECRET.as_bytes(), &ended));
    assert_eq!(refused.header("www-authenticate"), Some("bearer"));
    assert!(refused.expect_status(401)["detail"].as_str().expect("a detail").contains("expired"));
    // Another tenant's token belongs to that tenant only.
    let mut theirs = claims("zoe");
    theirs["tenant_id"] = json!("another");
    assert_eq!(me(&server, &by_secret(SECRET.as_bytes(), &theirs)).expect_status(200)["tenant"], "another");
}

#[test]
fn a_token_may_only_what_its_scopes_and_its_role_both_let_it() {
    let server = BatonServer::start_with(&place(""), &[("BATON_SERVE__JWT__SECRET", SECRET)]);
    let with = |claim: &str, scope: Value| {
        let mut claims = claims("ana");
        claims[claim] = scope;
        by_secret(SECRET.as_bytes(), &claims)
    };
    let reads = with("scope", json!("openid read"));
    assert_eq!(me(&server, &reads).expect_status(200)["scopes"], json!(["read"]));
    server.ask("GET /api/v1/executions", &reads, "", &Value::Null).expect_status(200);
    let body = json!({ "workflow_id": "any", "input_data": {} });
    let run = |token: &str| server.ask("POST /api/v1/workflows/execute", token, "", &body);
    assert_eq!(run(&reads).expect_status(403)["code"], "SCOPE_MISSING");
    assert_eq!(
        run(&with("scp", json!(["baton:run"]))).expect_status(404)["code"],
        "WORKFLOW_NOT_FOUND",
        "it may, and there is none"
    );
    let keys = |token: &str| server.ask("GET /api/v1/keys", token, "", &Value::Null);
    assert_eq!(
        keys(&with("scope", json!("administer"))).expect_status(403)["code"],
        "FORBIDDEN",
        "an operator may not"
    );
    me(&server, &with("scope", json!(7))).expect_status(401);
    drop(server);
    let server = BatonServer::start_with(&place("require_scopes = true"), &[("BATON_SERVE__JWT__SECRET", SECRET)]);
    let nothing = with("scope", json!("openid"));
    assert_eq!(
        server.ask("GET /api/v1/executions", &nothing, "", &Value::Null).expect_status(403)["code"],
        "SCOPE_MISSING"
    );
}

#[test]
fn settings_that_would_let_anybody_in_do_not_start() {
    let place = TestFolder::with(&[("baton.toml", &format!("[serve.jwt]\nsecret = \"{SECRET}\"\n"))]);
    let done = place.baton(&["serve", "--listen", "127.0.0.1:0"]).expect_code(2).expect_stderr("serve.jwt.issuer");
    assert!(!done.err.contains(SECRET));
}
