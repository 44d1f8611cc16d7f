mod suite;

use std::net::IpAddr;

use serde_json::json;

use super::resolver::ScriptedLookups;
use super::*;
use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer, redirect};

fn config(settings: serde_json::Value) -> OutboundConfig {
    serde_json::from_value(settings).unwrap()
}

fn get(url: &str) -> OutboundRequest {
    OutboundRequest {
        method: Method::GET,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: None,
        secrets: Vec::new(),
    }
}

async fn send(settings: serde_json::Value, outgoing: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
    OutboundClient::new(config(settings)).send(outgoing, None).await
}

#[track_caller]
fn refused(outcome: Result<OutboundResponse, OutboundError>) -> Fault {
    match outcome {
        Err(OutboundError::Refused(fault)) => fault,
        other => panic!("expected a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn addresses_inside_are_refused_however_they_are_written() {
    for url in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1:8080/",
        "http://0.0.0.0/",
        "http://localhost/",
        "http://１２７.0.0.1/",
    ] {
        assert_eq!(refused(send(json!({}), get(url)).await).code, code::ADDRESS_NOT_ALLOWED, "{url}");
    }
}

#[tokio::test]
async fn only_plain_http_urls_without_credentials_are_called() {
    for url in ["ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "http://me:pw@example.com/"] {
        let fault = refused(send(json!({}), get(url)).await);
        assert_eq!(fault.code, code::ADDRESS_NOT_ALLOWED, "{url}");
        assert!(!fault.message.contains("pw"), "{}", fault.message);
    }
    let fault = refused(send(json!({"hosts": ["api.example.com"]}), get("http://example.com/")).await);
    assert!(fault.message.contains("`outbound.hosts`"), "{}", fault.message);
}

/// Clients that resolve names from this table, as a hostile name server would.
fn with_names(settings: serde_json::Value, names: &[(&'static str, &str)]) -> OutboundClient {
    let mut turns = ScriptedLookups::default();
    for (name, address) in names {
        let known = turns.answers.entry(name).or_insert_with(|| vec![Vec::new()]);
        known[0].push(address.parse::<IpAddr>().unwrap());
    }
    with_turns(settings, &Arc::new(turns))
}

fn with_turns(settings: serde_json::Value, turns: &Arc<ScriptedLookups>) -> OutboundClient {
    let outbound = OutboundClient::new(config(settings));
    for (client, is_named) in [(&outbound.guarded_client, false), (&outbound.trusting_client, true)] {
        let resolver = GuardedResolver::fixed(outbound.config.clone(), is_named, turns.clone());
        client.set(build(resolver).map_err(|error| root_cause(&error))).unwrap();
    }
    outbound
}

/// Each look-up returns the next address, the last one for ever.
fn turns(name: &'static str, answers: &[&str]) -> Arc<ScriptedLookups> {
    let answers = answers.iter().map(|address| vec![address.parse::<IpAddr>().unwrap()]).collect();
    Arc::new(ScriptedLookups { answers: [(name, answers)].into(), asked: std::sync::atomic::AtomicUsize::new(0) })
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_the_connection_goes_to_that_very_address() {
    let service = FakeService::start(|_| answer(200, &json!({"ok": true}))).await;
    // The checked address is permitted; a second look-up would have led the connection elsewhere.
    let turns = turns("rebinds.example", &["127.0.0.1", "169.254.169.254"]);
    let outbound = with_turns(json!({"allow": ["127.0.0.1"]}), &turns);
    let url = format!("http://rebinds.example:{}/", service.port);
    assert_eq!(outbound.send(get(&url), None).await.unwrap().status, 200);
    assert_eq!(turns.lookup_count(), 1);
    assert_eq!(service.received().len(), 1);
}

#[tokio::test]
async fn a_name_that_turns_inside_is_refused_at_its_next_connection() {
    let service = FakeService::start(|_| {
        CannedResponse::Answer(302, "location: /again\r\nconnection: close\r\n".into(), String::new())
    });
    let service = service.await;
    for inside in ["169.254.169.254", "10.0.0.1", "::ffff:169.254.169.254", "fd00:ec2::254"] {
        let turns = turns("rebinds.example", &["127.0.0.1", inside]);
        let outbound = with_turns(json!({"allow": ["127.0.0.1"]}), &turns);
        let url = format!("http://rebinds.example:{}/", service.port);
        let fault = refused(outbound.send(get(&url), None).await);
        assert_eq!((&*fault.code, turns.lookup_count()), (code::ADDRESS_NOT_ALLOWED, 2), "{inside}");
    }
}

#[tokio::test]
async fn a_name_of_the_settings_may_lead_inside_and_never_to_a_clouds_own_service() {
    let service = FakeService::start(|_| answer(200, &json!({}))).await;
    let names = [("crm.internal", "127.0.0.1"), ("crm.evil", "169.254.169.254"), ("six.evil", "fd00:ec2::254")];
    let outbound = with_names(json!({}), &names);
    let asked = async |host: &str| {
        let url = format!("http://{host}:{}/", service.port);
        outbound.send(get(&url), Some(&url.parse().unwrap())).await
    };
    assert_eq!(asked("crm.internal").await.unwrap().status, 200);
    for host in ["crm.evil", "six.evil"] {
        let fault = refused(asked(host).await);
        assert_eq!(fault.code, code::ADDRESS_NOT_ALLOWED);
        assert!(fault.message.contains("what a cloud tells its own machines"), "{}", fault.message);
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_when_it_is_resolved() {
    let outbound = with_names(json!({}), &[("evil.example", "127.0.0.1"), ("meta.example", "169.254.169.254")]);
    for url in ["http://evil.example/", "http://meta.example/"] {
        let fault = refused(outbound.send(get(url), None).await);
        assert_eq!(fault.code, code::ADDRESS_NOT_ALLOWED);
        assert!(fault.message.contains("is not a public address"), "{}", fault.message);
    }
}

#[tokio::test]
async fn of_a_names_addresses_only_permitted_ones_are_connected_to() {
    let service = FakeService::start(|_| answer(200, &json!({"ok": true}))).await;
    // 127.0.0.1 is allowed and 10.0.0.1 is not: the connection goes only to the first, whatever the order.
    let names = [("mixed.example", "10.0.0.1"), ("mixed.example", "127.0.0.1")];
    let outbound = with_names(json!({"allow": ["127.0.0.1"]}), &names);
    let answer = outbound.send(get(&format!("http://mixed.example:{}/", service.port)), None).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_redirect_is_looked_at_again() {
    let service = FakeService::start(|asked| match asked.target.as_str() {
        "/inside" => redirect(302, "http://169.254.169.254/latest/"),
        "/file" => redirect(302, "file:///etc/passwd"),
        "/circle" => redirect(302, "/circle"),
        "/moved" => redirect(307, "/here?x=1"),
        _ => answer(200, &json!({"target": asked.target})),
    })
    .await;
    let settings = json!({"allow": ["127.0.0.1"]});
    let go = async |path: &str| send(settings.clone(), get(&service.url(path))).await;
    assert_eq!(refused(go("/inside").await).code, code::ADDRESS_NOT_ALLOWED);
    assert_eq!(refused(go("/file").await).code, code::ADDRESS_NOT_ALLOWED);
    let fault = refused(go("/circle").await);
    assert!(fault.message.contains("more than 5 times"), "{}", fault.message);
    assert_eq!(go("/moved").await.unwrap().value(), json!({"target": "/here?x=1"}));
}

#[tokio::test]
async fn an_act_is_not_repeated_by_a_redirect_that_answers_it() {
    let service = FakeService::start(|asked| match asked.target.as_str() {
        "/done" => redirect(303, "/elsewhere"),
        "/try-there" => redirect(307, "/there"),
        _ => answer(200, &json!({"method": asked.method, "body": asked.body})),
    })
    .await;
    let post =
        |path: &str| OutboundRequest { method: Method::POST, body: Some(b"hi".to_vec()), ..get(&service.url(path)) };
    let settings = json!({"allow": ["127.0.0.1"]});
    assert_eq!(send(settings.clone(), post("/done")).await.unwrap().status, 303);
    assert_eq!(send(settings, post("/try-there")).await.unwrap().value(), json!({"method": "POST", "body": "hi"}));
    assert_eq!(service.received().iter().filter(|asked| asked.target == "/elsewhere").count(), 0);
}

#[tokio::test]
async fn secrets_do_not_follow_a_redirect_to_another_origin() {
    let other =
        FakeService::start(|asked: &RecordedRequest| answer(200, &json!({"auth": asked.header("authorization")})))
            .await;
    let to = other.url("/");
    let service = FakeService::start(move |_| redirect(302, &to)).await;
    let mut outgoing = get(&service.url("/"));
    outgoing.headers.insert(header::AUTHORIZATION, "Bearer x".parse().unwrap());
    outgoing.headers.insert(header::ACCEPT, "text/plain".parse().unwrap());
    let answer = send(json!({"allow": ["127.0.0.1"]}), outgoing).await.unwrap();
    assert_eq!(answer.value(), json!({"auth": null}));
    assert_eq!(service.received()[0].header("authorization"), Some("Bearer x"));
    assert_eq!(other.received()[0].header("accept"), Some("text/plain"));
}

#[test]
fn a_redirect_that_repeats_a_secret_unencrypted_is_refused_without_it() {
    let mut outgoing = get("https://hooks.example.com/services/s3cr3t");
    outgoing.secrets = vec!["s3cr3t".to_owned()];
    let next = |url: &str| check_encryption(&outgoing, &url.parse().unwrap());
    let Err(OutboundError::Refused(fault)) = next("http://plain.example.com/services/s3cr3t") else {
        panic!("it goes there")
    };
    assert_eq!(fault.code, code::ADDRESS_NOT_ALLOWED);
    assert!(fault.message.contains("http://plain.example.com/services/[REDACTED]"), "{}", fault.message);
    assert!(!fault.message.contains("s3cr3t"), "{}", fault.message);
    assert!(next("https://plain.example.com/services/s3cr3t").is_ok());
}

#[tokio::test]
async fn a_home_that_sends_elsewhere_is_refused_without_its_secret() {
    let service = FakeService::start(|_| redirect(302, "http://elsewhere.example/s3cr3t")).await;
    let mut outgoing = get(&service.url("/"));
    outgoing.secrets = vec!["s3cr3t".to_owned()];
    let fault = refused(OutboundClient::new(config(json!({}))).send_to_own_origin(outgoing).await);
    assert!(fault.message.contains("elsewhere.example/[REDACTED], another host"), "{}", fault.message);
}

#[tokio::test]
async fn a_trusted_origin_may_be_inside_and_only_that_one() {
    let other = FakeService::start(|_| answer(200, &json!({}))).await;
    let to = other.url("/");
    let service = FakeService::start(move |asked| match asked.target.as_str() {
        "/" => answer(200, &json!({})),
        _ => redirect(302, &to),
    })
    .await;
    let outbound = OutboundClient::new(config(json!({})));
    let origin: Url = service.url("/").parse().unwrap();
    assert_eq!(outbound.send(get(&service.url("/")), Some(&origin)).await.unwrap().status, 200);
    assert_eq!(refused(outbound.send(get(&other.url("/")), Some(&origin)).await).code, code::ADDRESS_NOT_ALLOWED);
    assert_eq!(refused(outbound.send(get(&service.url("/away")), Some(&origin)).await).code, code::ADDRESS_NOT_ALLOWED);
}

#[tokio::test]
async fn it_is_known_whether_a_request_was_sent() {
    let settings = json!({"allow": ["127.0.0.1"]});
    let unreachable = send(settings.clone(), get("http://127.0.0.1:1/")).await;
    assert!(matches!(unreachable, Err(OutboundError::NotSent(_))), "{unreachable:?}");
    let service = FakeService::start(|_| CannedResponse::Disconnect).await;
    let cut_off = send(settings, get(&service.url("/"))).await;
    assert!(matches!(cut_off, Err(OutboundError::Unclear(_))), "{cut_off:?}");
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit() {
    let service = FakeService::start(|_| CannedResponse::Answer(200, String::new(), "x".repeat(100_000))).await;
    let answer =
        send(json!({"allow": ["127.0.0.1"], "response_bytes_max": 1_000}), get(&service.url("/"))).await.unwrap();
    assert_eq!((answer.body.len(), answer.truncated), (1_000, true));
    let exact =
        send(json!({"allow": ["127.0.0.1"], "response_bytes_max": 100_000}), get(&service.url("/"))).await.unwrap();
    assert!(!exact.truncated);
}
