//! The audit trail: the queries that people can make.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use serde_json::{Value, json};

use super::inventory_service;
use super::test_folder::{CommandOutput, TestFolder};

const ORDER: &str = "\
name: order
nodes:
  - {id: reserve, tool: reserve_item, parameters: {item: hat, note: 'for Marta Lagos'}}
  - {id: again, tool: reserve_item}
  - {id: pay, tool: pay_card}
edges: [{from: reserve, to: again}, {from: again, to: pay}]
";
const TOOLS: &str = "\
tools:
  - name: reserve_item
    kind: script
    class: keyed
    compensation: {tool_name: release_item}
    results: [{output: {id: r-1}}]
  - {name: release_item, kind: script, class: keyed, irreversible: reserve again, results: [{output: {}}]}
  - name: pay_card
    kind: script
    class: keyed
    irreversible: paid
    results: [{fault: {code: CARD_DECLINED, message: no}}]
";

/// A run on behalf of `marta` whose second step fails, so that its first step is undone.
fn undone() -> TestFolder {
    let place = TestFolder::with(&[("workflows/order.yaml", ORDER), ("tools/tools.yaml", TOOLS)]);
    place.baton(&["run", "order", "--id", "one", "--context", r#"{"user_id": "marta"}"#]).expect_code(1);
    place
}

fn actions(place: &TestFolder, arguments: &[&str]) -> Vec<(String, String)> {
    let listed = place.baton(&[&["audit", "list", "--json"], arguments].concat()).expect_code(0).json();
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = listed["rows"].as_array().expect("rows");
    rows.iter().map(|row| (text(row, "action"), text(row, "status"))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

#[test]
fn every_attempt_and_what_became_of_it_is_in_the_trail() {
    let place = undone();
    let (undone, reserved) = (("release_item", "compensated"), ("reserve_item", "success"));
    let all = [undone, undone, ("pay_card", "error"), reserved, reserved];
    assert_eq!(actions(&place, &[]), pairs(&all));
    let stands = ("reserve_item", "compensated");
    assert_eq!(actions(&place, &["--latest"]), pairs(&[("pay_card", "error"), stands, stands]));
    assert_eq!(actions(&place, &["--tool", "pay_card"]), pairs(&all[2..3]));
    assert_eq!(actions(&place, &["--run", "one", "--status", "success"]), pairs(&all[3..]));
    assert_eq!(actions(&place, &["--person", "nobody"]), []);
    assert_eq!(actions(&place, &["--to", "2020-01-01"]), []);
    assert_eq!(actions(&place, &["--from", "2020-01-01", "--limit", "1", "--before", "4"]), pairs(&all[2..3]));
    let first = place.baton(&["audit", "list", "--limit", "2", "--json"]).expect_code(0).json();
    assert_eq!(first["next"], 4);
    place
        .baton(&["audit", "list"])
        .expect_code(0)
        .expect_stdout("pay_card")
        .expect_stdout("CARD_DECLINED")
        .expect_stdout("marta");
    place.baton(&["audit", "show", "3"]).expect_code(0).expect_stdout("\"error_code\": \"CARD_DECLINED\"");
    place.baton(&["audit", "show", "9"]).expect_code(2).expect_stderr("no row 9");
    place.baton(&["audit", "list", "--from", "soon"]).expect_code(2).expect_stderr("YYYY-MM-DD");
    assert_eq!(actions(&place, &["--tenant", "somebody-else"]), []);
}

/// A service that hangs up on the first request and answers the others. Sends the key of each.
fn forgetful() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/book", listener.local_addr().expect("an address"));
    let (heard, keys) = mpsc::sync_channel(8);
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            let (_, key, _) = inventory_service::request(&stream).expect("a request");
            heard.send(key).expect("the test listens");
            if number > 0 {
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                stream.write_all(answer.as_bytes()).ok();
            }
        }
    });
    (url, keys)
}

#[test]
fn a_call_that_goes_out_again_under_its_key_leaves_a_row_for_each_attempt() {
    let (url, keys) = forgetful();
    let tool = format!(
        "{{name: book, kind: http, url: '{url}', idempotency_header: Idempotency-Key, irreversible: it stays booked}}\n"
    );
    let workflow = "name: visit\nnodes: [{id: book, tool: book, parameters: {n: 1}}]\n";
    let place = TestFolder::with(&[("workflows/visit.yaml", workflow), ("tools/book.yaml", &tool)]);
    place.baton(&["run", "visit", "--id", "one"]).expect_code(0);
    let told: Vec<String> = keys.try_iter().collect();
    assert_eq!(told, ["one/book/0/0", "one/book/0/0"]);
    let listed = place.baton(&["audit", "list", "--run", "one", "--json"]).expect_code(0).json();
    let rows = listed["rows"].as_array().expect("rows");
    let shown = |row: &Value| (row["details"]["key"].clone(), row["details"]["attempt"].clone(), row["status"].clone());
    let expected =
        [(2, "success"), (1, "error")].map(|(attempt, status)| (json!("one/book/0/0"), json!(attempt), json!(status)));
    assert_eq!(rows.iter().map(shown).collect::<Vec<_>>(), expected);
    place.baton(&["audit", "verify"]).expect_code(0).expect_stdout("2 rows");
}

/// A service that echoes all that it receives, head and body. Rejects a path that begins with `/no`.
fn parrot() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut said = Vec::new();
            let mut chunk = [0; 4096];
            // The body ends the request, and its last character is a brace.
            while !said.ends_with(b"}") {
                match stream.read(&mut chunk) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => said.extend_from_slice(&chunk[..read]),
                }
            }
            let said = String::from_utf8_lossy(&said).into_owned();
            let status = if said.starts_with("POST /no") { 401 } else { 200 };
            let answer = json!({ "you said": said, "lines": said.lines().collect::<Vec<_>>() }).to_string();
            let head = format!("HTTP/1.1 {status} OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
            stream.write_all((head + &answer).as_bytes()).ok();
        }
    });
    url
}

#[test]
fn a_secret_that_a_service_repeats_is_in_nothing_that_is_written() {
    let url = parrot();
    let tools = format!(
        "tools:\n  - {{name: book, kind: http, url: '{url}/yes', idempotency_header: Idempotency-Key, irreversible: it stays,\n     \
         headers: {{Authorization: 'Bearer {{{{ secrets.crm }}}}', X-Key: '{{{{ secrets.crm }}}}'}}, body: {{key: '{{{{ secrets.crm }}}}'}}}}\n  \
         - {{name: refuse, kind: http, url: '{url}/no', idempotency_header: Idempotency-Key, irreversible: it stays,\n     \
         headers: {{Authorization: 'Bearer {{{{ secrets.crm }}}}'}}, body: {{key: '{{{{ secrets.crm }}}}'}}}}\n"
    );
    let workflow = "name: visit\nnodes: [{id: book, tool: book}, {id: refuse, tool: refuse, on_error: fail}]\n\
                    edges: [{from: book, to: refuse}]\n";
    let place = TestFolder::with(&[("workflows/visit.yaml", workflow), ("tools/tools.yaml", &tools)]);
    let secret = "s3cr3t-0f-th3-crm";
    let variables = [("BATON_TOOLS__SECRETS__CRM", secret)];
    let mut told = String::new();
    let commands: [&[&str]; 4] = [
        &["run", "visit", "--id", "one"],
        &["runs", "show", "one", "--json"],
        &["audit", "list", "--json"],
        &["audit", "show", "1"],
    ];
    for command in commands {
        let done = CommandOutput::wait_for(place.spawn_with(&variables, command));
        told += &(done.out + &done.err);
    }
    assert!(told.contains("[REDACTED]") && told.contains("401"), "it was said, and refused: {told}");
    let mut written = told.into_bytes();
    for file in std::fs::read_dir(place.path().join(".baton")).expect("the folder").flatten() {
        if file.path().is_file() {
            written.extend(std::fs::read(file.path()).expect("a file"));
        }
    }
    let written = String::from_utf8_lossy(&written);
    assert!(written.contains("you said"), "the answer is in the journal");
    assert!(!written.contains("s3cr3t"), "and the secret is nowhere");
}

#[test]
fn a_trail_is_whole_until_somebody_writes_past_baton() {
    let place = undone();
    let told = place.baton(&["audit", "verify", "--json"]).expect_code(0).json();
    assert_eq!((&told["holds"], &told["rows"], &told["broken"]), (&json!(true), &json!(5), &json!(null)));
    let tip = told["tip"].as_str().expect("a hash").to_owned();
    place.baton(&["audit", "verify"]).expect_code(0).expect_stdout("5 rows").expect_stdout(&tip);

    place.baton(&["run", "order", "--id", "two"]).expect_code(1);
    place.baton(&["audit", "verify", "--expect", &tip]).expect_code(0);
    place
        .baton(&["audit", "verify", "--expect", &tip.replace(&tip[..8], "00000000")])
        .expect_code(1)
        .expect_stdout("not in the chain");
    place.baton(&["audit", "verify", "--expect", "short"]).expect_code(2).expect_stderr("64 digits");

    let raw = rusqlite::Connection::open(place.path().join(".baton/baton.db")).expect("opens");
    raw.execute_batch("DROP TRIGGER audit_trail_keeps_its_rows; UPDATE audit_trail SET status = 'error' WHERE seq = 2")
        .expect("writes");
    place.baton(&["audit", "verify"]).expect_code(1).expect_stdout("row 2").expect_stdout("changed");
    let told = place.baton(&["audit", "verify", "--json"]).expect_code(1).json();
    assert_eq!(told["broken"], json!({"seq": 2, "why": "changed"}));
}

#[test]
fn an_erased_person_is_gone_and_the_chain_holds() {
    let place = undone();
    assert!(place.baton(&["audit", "show", "1"]).expect_code(0).out.contains("Marta Lagos"));
    let erased = place.baton(&["audit", "erase", "--person", "marta", "--as", "olga", "--json"]).expect_code(0).json();
    assert_eq!(erased["erased_rows"], 5);
    place.baton(&["audit", "verify"]).expect_code(0).expect_stdout("6 rows").expect_stdout("5 of them erased");
    let shown =
        place.baton(&["audit", "show", "1"]).expect_code(0).expect_stdout("(erased)").expect_stdout("reserve_item");
    assert!(!shown.out.contains("Marta") && !shown.out.contains("marta"), "{}", shown.out);
    place.baton(&["audit", "show", "6"]).expect_code(0).expect_stdout("erasure").expect_stdout("olga");
    place.baton(&["audit", "erase", "--person", "marta"]).expect_code(0).expect_stdout("no row");
}

#[test]
fn rows_of_others_that_mention_an_erased_person_are_emptied_too() {
    let node =
        |id: &str, tool: &str, parameters: &str| format!("  - {{id: {id}, tool: {tool}, parameters: {parameters}}}\n");
    let told = [
        node("who", "update_crm", "{contact_id: c-77, fields: {telefono: 'Calle-77-Norte', city: Soria}}"),
        node("one", "create_ticket", "{subject: 'Answer M-LAGOS-1 today'}"),
        node("two", "create_ticket", "{subject: 'Send it to calle-77-norte'}"),
        node("three", "create_ticket", "{subject: 'Answer M-LAGOS-12 today'}"),
    ]
    .concat();
    let place = TestFolder::with(&[("workflows/w.yaml", &format!("name: w\nnodes:\n{told}"))]);
    place.baton(&["run", "w", "--id", "one"]).expect_code(0);
    let subjects = || {
        let listed = place.baton(&["audit", "list", "--tool", "create_ticket", "--json"]).expect_code(0).json();
        let rows = listed["rows"].as_array().expect("rows").iter();
        rows.map(|row| row["details"].to_string()).filter(|details| details.contains("subject")).collect::<Vec<_>>()
    };
    assert_eq!(subjects().len(), 3);
    place.baton(&["audit", "erase", "--person", "c-77", "--also", "M-L"]).expect_code(2).expect_stderr("too short");
    assert_eq!(subjects().len(), 3);
    let erased =
        place.baton(&["audit", "erase", "--person", "c-77", "--also", "m-lagos-1", "--json"]).expect_code(0).json();
    assert_eq!(erased["also_known_by"], 2, "the contact's own word is taken too");
    let left = subjects();
    assert!(left.len() == 1 && left[0].contains("M-LAGOS-12"), "{left:?}");
    place.baton(&["audit", "verify"]).expect_code(0).expect_stdout("of them erased");
}

#[test]
fn looking_into_a_trail_makes_no_database() {
    let place = TestFolder::with(&[("workflows/order.yaml", ORDER), ("tools/tools.yaml", TOOLS)]);
    place.baton(&["audit", "list"]).expect_code(0).expect_stdout("no rows");
    place.baton(&["audit", "verify"]).expect_code(0).expect_stdout("0 rows");
    place.baton(&["audit", "erase", "--person", "marta"]).expect_code(0);
    assert!(!place.path().join(".baton").exists());
}
