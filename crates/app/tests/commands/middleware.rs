//! End-to-end tests of the properties of every request and response: headers, CORS, sizes and nesting depth. Also what
//! the server reports about its own health.

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, wait_for};
use crate::test_folder::TestFolder;

fn ask(server: &BatonServer, request: &str, headers: &str) -> ApiAnswer {
    server.ask(request, server.key().expect("a key"), headers, &Value::Null)
}

#[test]
fn every_answer_keeps_browsers_from_doing_more_than_they_should() {
    let server = BatonServer::start(&TestFolder::empty());
    for path in ["/health", "/ready", "/api/v1/me", "/api/v1/nothing", "/v1/models", "/nothing", "/metrics"] {
        let answer = ask(&server, &format!("GET {path}"), "");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "deny"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}: {}", answer.head);
        }
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        assert_eq!(answer.header("strict-transport-security"), None, "{path}: it speaks no TLS");
    }
    // The page has its own policy, because it could not run with the default one.
    let page = ask(&server, "GET /", "Accept: text/html\r\n");
    assert!(page.header("content-security-policy").expect("a policy").contains("script-src 'self'"), "{}", page.head);
}

#[test]
fn no_other_page_may_ask_unless_it_is_named_and_none_with_the_browsers_credentials() {
    let named = "[serve.cors]\norigins = [\"https://shop.example\"]\n";
    let server = BatonServer::start(&TestFolder::with(&[("baton.toml", named)]));
    let preflight = |origin: &str| {
        let headers = format!("Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\n");
        ask(&server, "OPTIONS /api/v1/workflows/execute", &headers)
    };
    let welcome = preflight("https://shop.example");
    assert_eq!(welcome.status, 204, "{}", welcome.head);
    assert_eq!(welcome.header("access-control-allow-origin"), Some("https://shop.example"));
    assert!(welcome.header("access-control-allow-headers").expect("headers").contains("idempotency-key"));
    assert_eq!(welcome.header("vary"), Some("origin"));
    for other in ["https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null"] {
        let refused = preflight(other);
        assert_eq!(refused.header("access-control-allow-origin"), None, "{other}");
        assert_eq!(refused.header("access-control-allow-methods"), None, "{other}");
    }
    let asked = ask(&server, "GET /api/v1/me", "Origin: https://shop.example\r\n");
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (200, Some("https://shop.example")));
    assert!(asked.header("access-control-expose-headers").expect("headers").contains("retry-after"));
    let anybody = BatonServer::start(&TestFolder::with(&[("baton.toml", "[serve.cors]\norigins = [\"*\"]\n")]));
    let asked = ask(&anybody, "GET /api/v1/me", "Origin: https://evil.example\r\n");
    assert_eq!(asked.header("access-control-allow-origin"), Some("*"));
    for answer in [welcome, asked] {
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    let wrong = TestFolder::with(&[("baton.toml", "[serve.cors]\norigins = [\"shop.example\"]\n")]);
    wrong.baton(&["serve", "--listen", "127.0.0.1:0"]).expect_code(2).expect_stderr("serve.cors.origins");
}

#[test]
fn what_is_too_long_or_too_deep_is_refused_with_its_limit() {
    let server = BatonServer::start(&TestFolder::empty());
    let long = ask(&server, &format!("GET /api/v1/executions?cursor={}", "a".repeat(9_000)), "");
    assert_eq!((long.status, &long.body["code"]), (414, &json!("REQUEST_TOO_LARGE")));
    assert!(long.body["detail"].as_str().expect("a detail").contains("8192"), "{}", long.body);
    let heavy = ask(&server, "GET /api/v1/me", &format!("X-Much: {}\r\n", "a".repeat(33_000)));
    assert_eq!((heavy.status, &heavy.body["code"]), (431, &json!("REQUEST_TOO_LARGE")));
    assert!(heavy.body["detail"].as_str().expect("a detail").contains("32768"), "{}", heavy.body);
    let openais = ask(&server, "GET /v1/models", &format!("X-Much: {}\r\n", "a".repeat(33_000)));
    assert_eq!((openais.status, &openais.body["error"]["type"]), (431, &json!("invalid_request_error")));
    let mut deep = json!(1);
    for _ in 0..127 {
        deep = json!([deep]);
    }
    let body = json!({ "workflow_id": "any", "input_data": { "deep": deep } });
    let refused = server.ask("POST /api/v1/workflows/execute", server.key().expect("a key"), "", &body);
    assert_eq!((refused.status, &refused.body["code"]), (400, &json!("BODY_INVALID")));
    assert!(refused.body["detail"].as_str().expect("a detail").contains("deeper than 127"), "{}", refused.body);
}

#[test]
fn it_says_in_the_seeds_words_whether_it_is_healthy_and_ready() {
    let server = BatonServer::start(&TestFolder::empty());
    let open = |path: &str| {
        let answer = server.get(path, None);
        let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).expect("a body")).expect("json");
        (answer.split(' ').nth(1).expect("a status").to_owned(), body)
    };
    assert_eq!(open("/health").1["status"], "healthy");
    let (status, ready) = open("/ready");
    assert_eq!(status, "200", "{ready}");
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["checks"], json!({ "database": "healthy", "llm": "healthy" }));
    assert!(ready["took_ms"]["database"].is_number(), "{ready}");
}

#[test]
fn it_is_not_ready_while_its_database_cannot_be_written() {
    let place = TestFolder::empty();
    let server = BatonServer::start(&place);
    let database = rusqlite::Connection::open(place.path().join(".baton/baton.db")).expect("opens");
    database.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes from here on");
    let refused = server.get("/ready", None);
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("\"not_ready\"") && refused.contains("\"database\":\"unhealthy: "), "{refused}");
    assert!(refused.contains("\"llm\":\"healthy\""), "{refused}");
    database.execute_batch("ROLLBACK").expect("others write again");
    wait_for("it is ready again", || server.get("/ready", None).starts_with("HTTP/1.1 200").then_some(()));
}

#[test]
fn the_overview_counts_requests_and_says_how_often_definitions_were_kept() {
    let place =
        TestFolder::with(&[("workflows/set.yaml", "name: set\nnodes: [{id: one, type: transform, set: {a: 1}}]\n")]);
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    for _ in 0..3 {
        let body = json!({ "workflow_id": "set", "input_data": {} });
        server.ask("POST /api/v1/workflows/execute", &key, "", &body).expect_status(200);
    }
    server.ask("GET /api/v1/nothing", &key, "", &Value::Null).expect_status(404);
    // On loopback it needs no key, like `/metrics`.
    let answer = server.get("/metrics/overview", None);
    let told: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).expect("a body")).expect("json");
    assert_eq!((&told["requests"]["total"], &told["requests"]["client_errors"]), (&json!(4.0), &json!(1.0)), "{told}");
    assert!(told["definitions"]["cache_hits"].as_f64().expect("a count") >= 2.0, "{told}");
    assert!(told["totals"]["http_requests_total"].is_number() && told["uptime_seconds"].is_u64(), "{told}");
}

#[test]
fn each_request_is_a_line_of_the_log_where_it_is_asked_for_and_has_no_secret_in_it() {
    let variables = [("BATON_LOG", "warn,baton_server::access=info"), ("BATON_LOG_FORMAT", "json")];
    let server = BatonServer::start_with(&TestFolder::empty(), &variables);
    let key = server.key().expect("a key").to_owned();
    let me = server.ask("GET /api/v1/me", &key, "X-Request-Id: order-7\r\n", &Value::Null);
    assert_eq!(me.header("x-request-id"), Some("order-7"));
    let key_id = me.expect_status(200)["key_id"].as_str().expect("an id").to_owned();
    let body = json!({ "arguments": { "say": "5ecret-body" } });
    let none = server.ask("POST /api/v1/tools/5ecret-name/execute?token=5ecret-query", &key, "", &body);
    let minted = none.header("x-request-id").expect("an id").to_owned();
    assert_eq!(none.status, 404);
    server.ask("GET /api/v1/runs", "baton_5ecret-guess", "X-Request-Id: 5ecret guess\r\n", &Value::Null);
    server.get("/5ecret-path", None);
    let said = server.stop_and_read();
    assert!(!said.contains("5ecret") && !said.contains(&key), "{said}");
    let lines: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let lines: Vec<&Value> = lines.iter().filter(|line| line["target"] == "baton_server::access").collect();
    let told = |line: &Value| {
        let part = |name: &str| line[name].clone();
        assert!(line["duration_ms"].is_u64(), "{line}");
        json!([part("method"), part("route"), part("status"), part("tenant"), part("key_id"), part("level")])
    };
    let told: Vec<Value> = lines.iter().map(|line| told(line)).collect();
    assert_eq!(
        told,
        [
            json!(["GET", "/api/v1/me", 200, "default", key_id, "INFO"]),
            json!(["POST", "/api/v1/tools/{name}/execute", 404, "default", key_id, "INFO"]),
            json!(["GET", "none", 404, null, null, "INFO"]),
            json!(["GET", "none", 404, null, null, "INFO"]),
        ]
    );
    assert_eq!((&lines[0]["request_id"], &lines[1]["request_id"]), (&json!("order-7"), &json!(minted)));

    let quiet = BatonServer::start(&TestFolder::empty());
    assert_eq!(ask(&quiet, "GET /api/v1/me", "X-Request-Id: order-7\r\n").header("x-request-id"), None);
    assert!(!quiet.stop_and_read().contains("/api/v1/me"));
}
