use base64::Engine as _;
use baton_core::time::Time;
use serde_json::json;

use super::*;

const SECRET: &str = "a secret that is shared and has enough bytes";
/// The time of the test clock, in seconds.
const NOW: i64 = 1_800_000_000;

struct FixedJwtClock;

impl Clock for FixedJwtClock {
    fn now(&self) -> Time {
        Time::from_ms(NOW * 1_000)
    }
}

fn config() -> JwtConfig {
    JwtConfig {
        issuer: "https://id.example".to_owned(),
        audience: "baton".to_owned(),
        secret: Some(SECRET.into()),
        ..JwtConfig::default()
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": "baton", "sub": "ana", "exp": NOW + 60, "tenant_id": "acme", "role": "operator"
    })
}

fn signed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

async fn judged(config: JwtConfig, token: &str) -> Result<ApiKeyRecord, JwtError> {
    let verifier = JwtVerifier::new(config, Arc::new(FixedJwtClock)).expect("settings").expect("a judge");
    verifier.authenticate(token).await
}

/// Authenticates with one claim changed or removed.
async fn but(name: &str, value: Value) -> Result<ApiKeyRecord, JwtError> {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().expect("claims").remove(name)),
        value => claims[name] = value,
    }
    judged(config(), &signed(&json!({ "alg": "HS256" }), &claims, SECRET.as_bytes())).await
}

#[tokio::test]
async fn a_good_token_is_a_key_of_its_tenant_in_its_role_until_it_ends() {
    let key = but("groups", json!(["x"])).await.expect("good");
    assert_eq!((key.id.as_str(), key.name.as_str(), key.tenant.as_str()), ("jwt:ana", "ana", "acme"));
    assert_eq!(key.role, AccessRole::Operator);
    assert_eq!(key.expires_at, Some(Time::from_ms((NOW + 90) * 1_000)), "with the leeway");
    let several = but("role", json!(["theirs", "human_agent", "admin"])).await.expect("good");
    assert_eq!(several.role, AccessRole::HumanAgent);
    but("aud", json!(["other", "baton"])).await.expect("good");
}

#[tokio::test]
async fn every_claim_that_counts_is_checked() {
    let wrong = [
        ("exp", Value::Null, "when it ends"),
        ("exp", json!(NOW - 31), "expired"),
        ("exp", json!("tomorrow"), "cannot be read"),
        ("exp", json!(-1), "cannot be read"),
        ("nbf", json!(NOW + 31), "not good yet"),
        ("iat", json!(NOW + 3_600), "not good yet"),
        ("iss", json!("https://else.example"), "another issuer"),
        ("iss", Value::Null, "another issuer"),
        ("aud", json!("other"), "somebody else"),
        ("aud", Value::Null, "somebody else"),
        ("sub", Value::Null, "whose it is"),
        ("sub", json!(" "), "whose it is"),
        ("sub", json!("ana "), "white space"),
        ("sub", json!("\u{a0}ana"), "white space"),
        ("sub", json!("an\u{a0}a"), "cannot be seen"),
        ("sub", json!("an\na"), "cannot be seen"),
        ("sub", json!("an\u{200b}a"), "cannot be seen"),
        ("sub", json!("deadline"), "reserved"),
        ("sub", json!("Schedule daily"), "reserved"),
        ("tenant_id", Value::Null, "which tenant"),
        ("tenant_id", json!("no/tenant"), "no name of a tenant"),
        ("role", Value::Null, "no role"),
        ("role", json!("root"), "no role"),
    ];
    for (name, value, why) in wrong {
        let found = but(name, value.clone()).await.expect_err(name);
        assert!(found.contains(why), "{name} {value}: {found}");
    }
    for (name, value) in [("exp", json!(NOW - 29)), ("nbf", json!(NOW + 29))] {
        but(name, value).await.expect("within the leeway");
    }
}

#[tokio::test]
async fn no_algorithm_is_taken_but_those_the_settings_set_up() {
    let refused = async |header: Value, secret: &[u8]| {
        judged(config(), &signed(&header, &claims(), secret)).await.expect_err("refused")
    };
    for alg in ["none", "None", "hs256", "HS384", "HS512", "RS256", "ES256", "PS256", ""] {
        assert!(refused(json!({ "alg": alg }), SECRET.as_bytes()).await.contains("algorithm"), "{alg}");
    }
    assert!(refused(json!({ "alg": "HS256" }), b"guessed").await.contains("signature"));
    assert!(refused(json!({ "alg": "HS256", "crit": ["x"] }), SECRET.as_bytes()).await.contains("critical"));
    // With a provider's keys and no secret, no token is verified against a secret, whatever bytes a caller uses as
    // one.
    let jwks = JwtConfig { secret: None, jwks_url: Some("http://127.0.0.1:9/".to_owned()), ..config() };
    let token = signed(&json!({ "alg": "HS256", "kid": "one" }), &claims(), b"the public key in PEM");
    assert!(judged(jwks, &token).await.expect_err("refused").contains("algorithm"));
}

#[tokio::test]
async fn whatever_a_token_is_made_of_it_is_refused_and_nothing_breaks() {
    let good = signed(&json!({ "alg": "HS256" }), &claims(), SECRET.as_bytes());
    let [head, body, signature] = parts(&good).expect("three parts");
    let other = BASE64_URL_SAFE_NO_PAD.encode(json!({ "sub": "eve" }).to_string());
    let long = format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX));
    let broken = [
        String::new(),
        "..".to_owned(),
        "a.b".to_owned(),
        format!("{good}.more"),
        format!("{head}.{other}.{signature}"),
        format!("{head}.{body}."),
        format!("{head}.{body}.{signature}="),
        format!("{head}.ñ.{signature}"),
        format!("W10.{body}.{signature}"),
        long,
    ];
    for token in broken {
        assert!(judged(config(), &token).await.is_err(), "{token}");
    }
}

#[test]
fn settings_that_let_anybody_in_are_refused() {
    let refused = |config: JwtConfig| JwtVerifier::new(config, Arc::new(FixedJwtClock)).err().expect("refused");
    assert!(refused(JwtConfig { issuer: String::new(), ..config() }).contains("serve.jwt.issuer"));
    assert!(refused(JwtConfig { audience: " ".to_owned(), ..config() }).contains("serve.jwt.audience"));
    assert!(refused(JwtConfig { secret: Some("short".into()), ..config() }).contains("32"));
    assert!(refused(JwtConfig { jwks_url: Some("file:///etc".to_owned()), ..config() }).contains("jwks_url"));
    assert!(JwtVerifier::new(JwtConfig::default(), Arc::new(FixedJwtClock)).expect("none is set up").is_none());
}

#[test]
fn of_a_set_of_keys_only_those_of_rsa_that_sign_are_taken() {
    let set = json!({ "keys": [
        { "kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB", "use": "sig", "alg": "RS256" },
        { "kty": "RSA", "kid": "b", "n": "AQAB", "e": "AQAB", "use": "enc" },
        { "kty": "RSA", "kid": "c", "n": "AQAB", "e": "AQAB", "alg": "RS512" },
        { "kty": "RSA", "kid": "d", "n": "!", "e": "AQAB" },
        { "kty": "oct", "kid": "e", "k": "AQAB" },
        { "kty": "EC", "kid": "f", "crv": "P-256", "x": "AQAB", "y": "AQAB" },
    ] });
    let found = jwks::read(set.to_string().as_bytes()).expect("a set");
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a"]);
    for text in ["", "[]", "{}", "{\"keys\": 3}"] {
        assert!(jwks::read(text.as_bytes()).is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_token_is_limited_to_the_scopes_of_ours_that_it_says() {
    let limited = |needs: &[AccessScope]| Some(needs.iter().copied().collect::<BTreeSet<_>>());
    for (name, said, expected) in [
        ("scope", json!("openid read profile run"), limited(&[AccessScope::Look, AccessScope::Run])),
        ("scp", json!(["baton:answer", "email"]), limited(&[AccessScope::Answer])),
        ("scp", json!(["read operate"]), limited(&[AccessScope::Look, AccessScope::Operate])),
        ("scope", json!("openid profile"), None),
        ("scope", json!(""), None),
        ("other", json!("read"), None),
    ] {
        assert_eq!(but(name, said.clone()).await.expect("good").scopes, expected, "{name} {said}");
    }
    for wrong in [json!(5), json!({ "read": true }), json!(["read", 1])] {
        assert_eq!(but("scope", wrong.clone()).await, Err(NO_SCOPES), "{wrong}");
    }
    let strict = || JwtConfig { require_scopes: true, ..config() };
    let with = |scope: &str| {
        let mut claims = claims();
        claims["scope"] = json!(scope);
        signed(&json!({ "alg": "HS256" }), &claims, SECRET.as_bytes())
    };
    for (scope, expected) in [("openid", limited(&[])), ("openid baton:read", limited(&[AccessScope::Look]))] {
        assert_eq!(judged(strict(), &with(scope)).await.expect("good").scopes, expected, "{scope}");
    }
}
