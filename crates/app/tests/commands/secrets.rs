//! End-to-end tests of sealed secrets: set, used, rotated, deleted, and never present in any file or output.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use baton_engine::triggers::signature::sign_hex;
use serde_json::{Value, json};

use crate::server::{BatonServer, chat};
use crate::test_folder::{CommandOutput, TestFolder};
use crate::upstream::UpstreamModel;

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const NEXT: &str = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";
/// A key that is no longer available.
const LOST: &str = "OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg=";

/// A service that records its requests.
fn service() -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (url, heard) =
        (format!("http://{}", listener.local_addr().expect("an address")), Arc::<Mutex<String>>::default());
    let all = heard.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let head: Vec<String> = head.collect();
            all.lock().expect("a lock").push_str(&head.join("\n"));
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{{\"ok\":true}}");
        }
    });
    (url, heard)
}

fn tools(url: &str) -> String {
    format!(
        "tools:\n  - {{name: look, kind: http, method: GET, url: '{url}/x', class: read, \
         headers: {{X-Key: '{{{{ secrets.crm }}}}'}}}}\n"
    )
}

fn place(url: &str) -> TestFolder {
    TestFolder::with(&[
        ("tools/tools.yaml", &tools(url)),
        ("workflows/look.yaml", "name: look\nnodes: [{id: look, tool: look}]\n"),
    ])
}

fn with_key(place: &TestFolder, variables: &[(&str, &str)], arguments: &[&str], says: &str) -> CommandOutput {
    let mut child = place.spawn_with_input(variables, arguments);
    // A command that fails immediately does not read its input.
    let _ = child.stdin.take().expect("its input").write_all(says.as_bytes());
    CommandOutput::wait_for(child)
}

fn everything(folder: &Path, into: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        match entry.path() {
            path if path.is_dir() => everything(&path, into),
            path if path.is_file() => drop(std::fs::File::open(path).expect("a file").read_to_end(into)),
            _ => {}
        }
    }
}

#[test]
fn a_sealed_secret_is_used_rotated_and_forgotten_and_is_nowhere_in_the_clear() {
    let (url, heard) = service();
    let place = place(&url);
    let now = [("BATON_SECRETS__KEY", KEY)];
    with_key(&place, &[], &["secrets", "set", "crm"], "x").expect_code(2).expect_stderr("BATON_SECRETS__KEY");
    with_key(&place, &now, &["secrets", "set", "Crm!"], "x").expect_code(2).expect_stderr("no name of a secret");
    let set = with_key(&place, &now, &["secrets", "set", "crm"], "s3cr3t-0f-th3-crm\n").expect_code(0);
    CommandOutput::wait_for(place.spawn_with(&now, &["validate"])).expect_code(0).expect_stdout("nothing found");
    let run = CommandOutput::wait_for(place.spawn_with(&now, &["run", "look", "--id", "one"])).expect_code(0);
    assert!(heard.lock().expect("a lock").to_lowercase().contains("x-key: s3cr3t-0f-th3-crm"));
    let listed = CommandOutput::wait_for(place.spawn_with(&now, &["secrets", "list", "--json"])).expect_code(0);
    let old_id = listed.json()[0]["key_id"].as_str().expect("an id").to_owned();
    assert_eq!((&listed.json()[0]["name"], &listed.json()[0]["opens"]), (&json!("crm"), &json!(true)));
    // With only another key it cannot be opened. With the old key beside it, it is sealed again.
    let next = [("BATON_SECRETS__KEY", NEXT)];
    CommandOutput::wait_for(place.spawn_with(&next, &["run", "look"])).expect_code(2).expect_stderr(&old_id);
    let checked = CommandOutput::wait_for(place.spawn_with(&next, &["doctor"])).expect_code(1);
    assert!(!checked.out.contains("no secret `crm`"), "it is there, though it does not open: {}", checked.out);
    let old_keys = format!("[\"{KEY}\"]");
    let both = [("BATON_SECRETS__KEY", NEXT), ("BATON_SECRETS__OLD_KEYS", old_keys.as_str())];
    CommandOutput::wait_for(place.spawn_with(&both, &["secrets", "rotate"])).expect_code(0).expect_stdout("1 secret");
    CommandOutput::wait_for(place.spawn_with(&both, &["secrets", "rotate"])).expect_code(0).expect_stdout("0 secrets");
    let again = CommandOutput::wait_for(place.spawn_with(&next, &["run", "look", "--id", "two"])).expect_code(0);
    CommandOutput::wait_for(place.spawn_with(&next, &["secrets", "delete", "cmr"]))
        .expect_code(2)
        .expect_stderr("did you mean `crm`?");
    let mut written = Vec::new();
    everything(place.path(), &mut written);
    for done in [set, run, listed, again] {
        written.extend((done.out + &done.err).into_bytes());
    }
    let written = String::from_utf8_lossy(&written);
    assert!(written.contains(&old_id), "it was looked at the right place");
    for secret in ["s3cr3t", KEY, NEXT] {
        assert!(!written.contains(secret), "{secret}");
    }
    CommandOutput::wait_for(place.spawn_with(&next, &["secrets", "delete", "crm"])).expect_code(0);
    assert_eq!(
        CommandOutput::wait_for(place.spawn_with(&next, &["secrets", "list", "--json"])).expect_code(0).json(),
        json!([])
    );
}

#[test]
fn the_secrets_of_every_tenant_are_sealed_anew_those_of_a_shut_one_too() {
    let place = TestFolder::with(&[("baton.toml", "")]);
    let of = |tenant: &'static str, key: &'static str| [("BATON_SECRETS__KEY", key), ("BATON_TENANT", tenant)];
    place.baton(&["tenants", "create", "acme"]).expect_code(0);
    // The tenant `unmade` is never created explicitly.
    for tenant in ["default", "acme", "unmade"] {
        with_key(&place, &of(tenant, KEY), &["secrets", "set", "crm"], tenant).expect_code(0);
    }
    CommandOutput::wait_for(place.spawn_with(&of("default", KEY), &["tenants", "disable", "acme"])).expect_code(0);
    let old_keys = format!("[\"{KEY}\"]");
    let both = [("BATON_SECRETS__KEY", NEXT), ("BATON_SECRETS__OLD_KEYS", old_keys.as_str())];
    CommandOutput::wait_for(place.spawn_with(&both, &["secrets", "rotate"])).expect_code(0).expect_stdout("3 secrets");
    for tenant in ["default", "acme", "unmade"] {
        let listed = CommandOutput::wait_for(place.spawn_with(&of(tenant, NEXT), &["secrets", "list", "--json"]))
            .expect_code(0)
            .json();
        assert_eq!(listed[0]["opens"], true, "{tenant}: {listed}");
    }
    // Secrets that cannot be opened are reported with their tenant. They do not block others, not even of the same
    // tenant.
    with_key(&place, &of("unmade", KEY), &["secrets", "set", "later"], "x").expect_code(0);
    with_key(&place, &of("acme", LOST), &["secrets", "set", "a_lost"], "x").expect_code(0);
    with_key(&place, &of("acme", LOST), &["secrets", "set", "b_lost"], "x").expect_code(0);
    with_key(&place, &of("acme", KEY), &["secrets", "set", "c_kept"], "x").expect_code(0);
    let told = CommandOutput::wait_for(place.spawn_with(&both, &["secrets", "rotate"])).expect_code(2);
    told.expect_stdout("2 secrets sealed anew")
        .expect_stderr("of the tenant `acme`")
        .expect_stderr("`a_lost`")
        .expect_stderr("`b_lost`")
        .expect_stderr("2 secrets could not");
    let listed = CommandOutput::wait_for(place.spawn_with(&of("acme", NEXT), &["secrets", "list", "--json"]))
        .expect_code(0)
        .json();
    let opens: Vec<&Value> = listed.as_array().expect("a list").iter().filter(|one| one["opens"] == true).collect();
    assert_eq!(opens.len(), 2, "{listed}");
    assert!(opens.iter().all(|one| one["name"] == "c_kept" || one["name"] == "crm"), "{listed}");
}

#[test]
fn secrets_that_come_in_by_any_door_are_in_no_database_log_or_answer() {
    let upstream = UpstreamModel::start();
    let settings = format!(
        "[models]\nbase_url = \"{}\"\nkeys = \"either\"\n[models.models]\nfast = [\"mock\"]\n\
         [models.catalogue.mock]\ninput_usd_per_million = 0\noutput_usd_per_million = 0\n\
         [serve.jwt]\nissuer = \"i\"\naudience = \"a\"\n",
        upstream.url
    );
    let ask = "name: ask\nnodes: [{id: say, agent: simple_agent, task: Say hello.}]\n";
    let place = TestFolder::with(&[("baton.toml", &settings), ("workflows/ask.yaml", ask)]);
    let shared = "5ecret-of-tokens-that-is-shared-with-nobody";
    let variables = [
        ("BATON_LOG", "baton_server=trace,baton_models=debug,info"),
        ("BATON_SERVE__JWT__SECRET", shared),
        ("BATON_MODELS__API_KEY", "sk-5ecret-of-the-tenant"),
        ("BATON_SECRETS__KEY", KEY),
    ];
    let server = BatonServer::start_with(&place, &variables);
    let key = server.key().expect("a key").to_owned();
    let mut told = String::new();
    let hello = json!({ "model": "fast", "messages": [{"role": "user", "content": "Hello"}] });
    told += &chat(server.address(), &key, "X-Provider-Key: sk-5ecret-of-a-consumer\r\n", &hello).expect("an answer");
    told += &chat(server.address(), &key, "", &hello).expect("an answer");
    told += &chat(server.address(), "baton_5ecret-guess", "", &hello).expect("an answer");
    told += &chat(server.address(), "eyJhbGciOiJIUzI1NiJ9.5ecrettoken.5ecret", "", &hello).expect("an answer");
    let run = json!({ "workflow_id": "ask", "input_data": {}, "context": { "api_key": "sk-5ecret-of-a-run" } });
    let answer = server.ask("POST /api/v1/workflows/execute", &key, "", &run);
    told += &format!("{}{}", answer.head, answer.body);
    let id = answer.body["execution_id"].as_str().expect("an id").to_owned();
    for path in ["", "/journal", "/timeline", "/summary"] {
        told += &server
            .ask(&format!("GET /api/v1/executions/{id}{path}"), &key, "", &Value::Null)
            .expect_status(200)
            .to_string();
    }
    for path in ["/api/v1/me?key=1", "/v1/models", "/nothing"] {
        told += &server.get(path, Some(&key));
    }
    for path in ["/metrics", "/metrics/overview", "/ready"] {
        told += &server.get(path, None);
    }
    let log = server.stop_and_read();
    let asked: Vec<String> = upstream.asked().into_iter().map(|asked| asked.key).collect();
    for came in ["sk-5ecret-of-a-consumer", "sk-5ecret-of-the-tenant", "sk-5ecret-of-a-run"] {
        assert!(asked.iter().any(|key| key == came), "{came} was used: {asked:?}");
    }
    let mut written = Vec::new();
    everything(place.path(), &mut written);
    assert!(String::from_utf8_lossy(&written).contains(&id), "the run is in the database");
    for (place, text) in [("database", &*String::from_utf8_lossy(&written)), ("log", &log), ("answers", &told)] {
        for secret in ["5ecret", &key, KEY] {
            assert!(!text.contains(secret), "{secret} is in the {place}: {text}");
        }
    }
}

#[test]
fn what_signs_webhooks_is_sealed_under_the_key_and_still_signs_when_the_key_is_changed() {
    const FLOW: &str = "name: order\nnodes: [{id: note, type: transform, set: {a: 1}}]\n";
    let place = TestFolder::with(&[("workflows/order.yaml", FLOW)]);
    let made = |server: &BatonServer, key: &str, name: &str| {
        let body = json!({ "name": name, "workflow_id": "order", "form": "github", "secret": format!("s3cr3t-of-{name}-hook") });
        server.ask("POST /api/v1/webhooks", key, "", &body).expect_status(201);
    };
    let deliver = |server: &BatonServer, name: &str| {
        let body = format!("{{\"for\": \"{name}\"}}");
        let signed = sign_hex(&format!("s3cr3t-of-{name}-hook"), &[body.as_bytes()]);
        let headers = format!("X-GitHub-Delivery: {name}\r\nX-Hub-Signature-256: sha256={signed}\r\n");
        server.send(&format!("POST /hooks/{name}"), &headers, &body)
    };
    // From before a key was configured.
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    made(&server, &key, "open");
    assert_eq!(server.stop(), Some(0));

    let now = [("BATON_SECRETS__KEY", KEY)];
    let server = BatonServer::start_with(&place, &now);
    made(&server, &key, "sealed");
    let out =
        json!({ "name": "out", "url": "https://shop.example/x", "events": ["*"], "secret": "s3cr3t-of-subscription" });
    server.ask("POST /api/v1/subscriptions", &key, "", &out).expect_status(201);
    for name in ["open", "sealed"] {
        assert!(deliver(&server, name).starts_with("HTTP/1.1 202"), "{name}");
    }
    assert_eq!(server.stop(), Some(0));
    let mut written = Vec::new();
    everything(place.path(), &mut written);
    let written = String::from_utf8_lossy(&written);
    assert!(written.contains("s3cr3t-of-open-hook"), "it was looked at the right place");
    assert!(!written.contains("s3cr3t-of-sealed-hook") && !written.contains("s3cr3t-of-subscription"));

    let old_keys = format!("[\"{KEY}\"]");
    let both = [("BATON_SECRETS__KEY", NEXT), ("BATON_SECRETS__OLD_KEYS", old_keys.as_str())];
    CommandOutput::wait_for(place.spawn_with(&both, &["secrets", "rotate"])).expect_code(0).expect_stdout("3 secrets");
    CommandOutput::wait_for(place.spawn_with(&both, &["secrets", "rotate"])).expect_code(0).expect_stdout("0 secrets");
    let server = BatonServer::start_with(&place, &[("BATON_SECRETS__KEY", NEXT)]);
    for name in ["open", "sealed"] {
        assert!(deliver(&server, name).starts_with("HTTP/1.1 202"), "{name}");
    }
    assert_eq!(server.stop(), Some(0));
    // Without its key every delivery is rejected, and no new secret is generated.
    let server = BatonServer::start(&place);
    assert!(deliver(&server, "sealed").starts_with("HTTP/1.1 503"));
}

/// Models and an embedder at this address, with secrets of these names as keys.
fn keyed(url: &str, of_models: &str, of_memory: &str) -> String {
    format!(
        "[models.providers.openai]\nbase_url = \"{url}\"\napi_key = \"{{{{ secrets.{of_models} }}}}\"\n\
         [models.models]\nfast = [\"mock\"]\n\
         [models.catalogue.mock]\ninput_usd_per_million = 0\noutput_usd_per_million = 0\n\
         [memory]\nembedder = \"openai\"\nbase_url = \"{url}\"\napi_key = \"{{{{secrets.{of_memory}}}}}\"\n\
         model = \"mock\"\ndimensions = 4\n"
    )
}

#[test]
fn providers_and_the_embedder_have_the_keys_that_are_sealed_for_their_tenant() {
    let upstream = UpstreamModel::start();
    let ask = "name: ask\nnodes: [{id: say, agent: simple_agent, task: Say hello.}]\n";
    let settings = keyed(&upstream.url, "openai", "vectors");
    let place =
        TestFolder::with(&[("baton.toml", &settings), ("workflows/ask.yaml", ask), ("doc.md", "# Doc\n\nWords.\n")]);
    let now = [("BATON_SECRETS__KEY", KEY)];
    let refused = CommandOutput::wait_for(place.spawn_with(&now, &["run", "ask"])).expect_code(2);
    refused
        .expect_stderr("models.providers.openai.api_key: there is no secret `openai`")
        .expect_stderr("baton secrets set openai");
    CommandOutput::wait_for(place.spawn_with(&now, &["doctor"]))
        .expect_code(1)
        .expect_stdout("there is no secret `openai`");
    with_key(&place, &now, &["secrets", "set", "openai"], "sk-5ealed-of-models\n").expect_code(0);
    let refused = CommandOutput::wait_for(place.spawn_with(&now, &["run", "ask"])).expect_code(2);
    refused.expect_stderr("memory.api_key: there is no secret `vectors`");
    with_key(&place, &now, &["secrets", "set", "vectors"], "sk-5ealed-of-vectors\n").expect_code(0);
    CommandOutput::wait_for(place.spawn_with(&now, &["run", "ask"])).expect_code(0);
    CommandOutput::wait_for(place.spawn_with(&now, &["knowledge", "add", "doc.md"])).expect_code(0);
    let told = CommandOutput::wait_for(place.spawn_with(&now, &["models", "list"])).expect_code(0);
    let asked = upstream.asked();
    let key = |path: &str| asked.iter().find(|one| one.path.ends_with(path)).map(|one| one.key.as_str());
    assert_eq!(key("/chat/completions"), Some("sk-5ealed-of-models"));
    assert_eq!(key("/embeddings"), Some("sk-5ealed-of-vectors"));
    let mut written = (told.out + &told.err).into_bytes();
    everything(place.path(), &mut written);
    assert!(!String::from_utf8_lossy(&written).contains("5ealed"));
    // Without its key, the sealed form is never sent in its place.
    CommandOutput::wait_for(place.spawn(&["run", "ask"])).expect_code(2).expect_stderr("sealed under the key");
}

#[test]
fn a_key_goes_to_no_address_that_its_secret_is_not_bound_to() {
    let upstream = UpstreamModel::start();
    let bound = "\n[tools.secrets.shared]\nvalue = \"sk-1\"\norigins = [\"https://models.example.com\"]\n";
    let place = TestFolder::with(&[("baton.toml", &(keyed(&upstream.url, "shared", "shared") + bound))]);
    let refused = place.baton(&["models", "list"]).expect_code(2);
    refused
        .expect_stderr("models.providers.openai.api_key: the secret `shared` may not go to http://127.0.0.1")
        .expect_stderr("origins");
    assert_eq!(upstream.asked().len(), 0);
}
