//! Tool sources of a project: documents at an address, and MCP servers. Both may be down when the project starts.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::json;

use super::test_folder::{CommandOutput, TestFolder};

/// Answers each request with this document until it is stopped. Then the port is closed.
struct DocumentServer {
    url: String,
    stop: std::sync::mpsc::SyncSender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl DocumentServer {
    fn serve(document: &serde_json::Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let body = document.to_string();
        let (stop, stopped) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.try_recv().is_ok() {
                    return;
                }
                let mut stream = stream;
                // The request is read up to its empty line. It has no body.
                let (mut read, mut byte) = (Vec::new(), [0]);
                while !read.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                    read.push(byte[0]);
                }
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())));
            }
        });
        Self { url: format!("http://127.0.0.1:{port}/openapi.json"), stop, thread: Some(thread) }
    }

    fn end(mut self) {
        self.stop.send(()).expect("it listens");
        // Wakes the server, so that it sees the request to stop.
        let address = self.url.trim_start_matches("http://").trim_end_matches("/openapi.json").to_owned();
        drop(std::net::TcpStream::connect(address));
        self.thread.take().expect("it runs").join().expect("it ended");
    }
}

/// Makes the cached copies old.
fn age(place: &TestFolder, folder: &str) {
    for entry in std::fs::read_dir(place.path().join(folder)).expect("what is kept").flatten() {
        let file = std::fs::File::options().write(true).open(entry.path()).expect("a file");
        file.set_modified(UNIX_EPOCH).expect("an older time");
    }
}

#[test]
fn a_document_at_an_address_stands_while_the_address_does_not_answer() {
    let operation = json!({"get": {"operationId": "getOrder", "summary": "One order"}});
    let server = DocumentServer::serve(&json!({
        "openapi": "3.0.3", "info": {"title": "Shop", "version": "1"}, "servers": [{"url": "https://api.shop.example"}],
        "paths": {"/order": operation},
    }));
    let definition = json!({"name": "shop", "kind": "openapi", "document": server.url}).to_string();
    let place = TestFolder::with(&[("tools/shop.json", &definition)]);
    place.baton(&["tools", "list", "--search", "shop."]).expect_code(0).expect_stdout("shop.getOrder");
    server.end();
    place.baton(&["tools", "list", "--search", "shop."]).expect_code(0).expect_stdout("shop.getOrder");
    age(&place, ".baton/apis");
    place.baton(&["tools", "list", "--search", "shop."]).expect_code(0).expect_stdout("shop.getOrder");
    // Without a cached copy only the source's tools are missing.
    let greet = "{name: greet, kind: script, class: read, results: [{output: {said: hello}}]}";
    let bare = TestFolder::with(&[("tools/shop.json", &definition), ("tools/greet.yaml", greet), ("baton.toml", "")]);
    let listed = bare.baton(&["tools", "list"]).expect_code(0).expect_stdout("greet");
    assert!(!listed.out.contains("shop."), "{}", listed.out);
    bare.baton(&["tools", "call", "greet"]).expect_code(0).expect_stdout("hello");
    for told in [bare.baton(&["validate"]), bare.baton(&["doctor"])] {
        told.expect_stdout("tools/shop.json:1:")
            .expect_stdout(": document: ")
            .expect_stdout("cannot be read")
            .expect_stdout("`shop` has no tools");
    }
}

/// An MCP server in shell, with one tool.
const SERVER: &str = r#"
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"method":"initialize"'*) echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}';;
    *'"method":"tools/list"'*) echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"tools":[{"name":"greet","description":"Greets","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}]}}';;
    *'"method":"tools/call"'*) echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"content":[{"type":"text","text":"good day"}]}}';;
    *'"id"'*) echo '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32601,"message":"Method not found"}}';;
  esac
done
"#;

fn with_server() -> TestFolder {
    let definition = json!({"name": "sh", "kind": "mcp", "trusted": true, "command": "sh", "args": ["server.sh"]});
    TestFolder::with(&[
        ("server.sh", SERVER),
        ("tools/sh.json", &definition.to_string()),
        ("baton.toml", "[tools.tool.\"sh.greet\"]\ntimeout_ms = 5000\n"),
        ("workflows/greet.yaml", "name: greet\nnodes: [{id: greet, tool: sh.greet}]\n"),
    ])
}

#[test]
fn a_workflow_calls_a_tool_of_an_mcp_server() {
    let place = with_server();
    place.baton(&["validate"]).expect_code(0);
    let answer = place.baton(&["run", "greet", "--json"]).expect_code(0).json();
    assert_eq!(answer["outputs"]["greet"], json!({"text": "good day"}));
    place.baton(&["doctor"]).expect_code(0).expect_stdout("sh: 1 tool");
}

#[test]
fn an_mcp_server_is_started_in_the_projects_folder() {
    let definition = json!({"name": "sh", "kind": "mcp", "command": "sh", "args": ["server.sh"]});
    let place = TestFolder::with(&[
        ("shop/server.sh", SERVER),
        ("shop/tools/sh.json", &definition.to_string()),
        ("shop/workflows/greet.yaml", "name: greet\nnodes: [{id: greet, tool: sh.greet}]\n"),
    ]);
    place.baton(&["-C", "shop", "run", "greet"]).expect_code(0);
}

#[test]
fn what_a_definition_names_and_an_mcp_server_does_not_have_is_told() {
    let place = with_server();
    let definition = json!({
        "name": "sh", "kind": "mcp", "command": "sh", "args": ["server.sh"],
        "include": ["gret", "gr*"], "tools": {"bow": {"class": "read"}},
    });
    place.write("tools/sh.json", definition.to_string());
    for told in [place.baton(&["validate"]).expect_code(0), place.baton(&["doctor"])] {
        told.expect_stdout("tools/sh.json:1:")
            .expect_stdout(": include.0: `gret` fits no tool of the server")
            .expect_stdout("did you mean `greet`?")
            .expect_stdout(": tools.bow: the server has no tool `bow`")
            .expect_stdout("it has `greet`");
    }
}

#[test]
fn how_far_an_mcp_server_is_with_a_call_is_in_the_log() {
    let place = with_server();
    let notice = |progress: &str| {
        format!(
            r#"echo '{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":'"$token"',{progress}}}}}'; "#
        )
    };
    let token = r#"token=$(printf '%s' "$line" | sed -n 's/.*"progressToken":\([0-9]*\).*/\1/p'); "#;
    let told = [notice(r#""progress":1"#), notice(r#""progress":3,"total":10,"message":"packing""#)].concat();
    let server =
        SERVER.replace(r#"'"method":"tools/call"'*) "#, &format!(r#"'"method":"tools/call"'*) {token}{told}"#));
    place.write("server.sh", server);
    let done = CommandOutput::wait_for(place.spawn_with(&[("BATON_LOG", "debug")], &["run", "greet", "--json"]))
        .expect_code(0);
    done.expect_stderr("a call of an MCP server makes progress").expect_stderr("3 of 10: packing");
}

/// Whether these processes are running. A zombie does not count.
#[cfg(target_os = "linux")]
fn are_there(processes: &[&str]) -> bool {
    let runs = |id: &&str| {
        let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        status.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with(['Z', 'X']))
    };
    processes.iter().any(runs)
}

#[cfg(target_os = "linux")]
#[test]
fn an_mcp_server_that_hears_nothing_ends_with_what_it_started_when_baton_is_killed() {
    let place = with_server();
    // A call that never ends, by a server that ignores a closed connection, and its child process.
    let call =
        "trap '' HUP TERM; sleep 1000 & echo \"$$ $!\" > begun; mv begun processes; wait; while :; do sleep 1000; done";
    place.write(
        "server.sh",
        SERVER.replace(
            r#"echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"content":[{"type":"text","text":"good day"}]}}'"#,
            call,
        ),
    );
    let mut run = place.spawn(&["run", "greet"]);
    let until = Instant::now() + Duration::from_secs(60);
    let patiently = |what: &str| {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    };
    let written = place.path().join("processes");
    while !written.exists() {
        patiently("the call began");
    }
    let written = std::fs::read_to_string(written).expect("its processes");
    let processes: Vec<&str> = written.split_whitespace().collect();
    assert!(processes.len() == 2 && are_there(&processes), "{written}");
    // After `kill -9` no process of ours is running.
    run.kill().expect("it is killed");
    run.wait().expect("it is gone");
    while are_there(&processes) {
        patiently("the server and its child are gone");
    }
}

#[test]
fn the_tools_of_an_mcp_server_stand_while_it_is_down() {
    let place = with_server();
    place.baton(&["tools", "list", "--search", "sh."]).expect_code(0).expect_stdout("sh.greet");
    place.write("server.sh", "echo no database >&2; exit 1\n");
    age(&place, ".baton/mcp");
    place
        .baton(&["validate"])
        .expect_code(0)
        .expect_stdout("no database")
        .expect_stdout("what it last listed stands, 1 tool");
    place
        .baton(&["doctor"])
        .expect_code(0)
        .expect_stdout("warn mcp")
        .expect_stdout("no database")
        .expect_stdout("what it last listed stands, 1 tool");
    // A server that was never reached has no tools, and the command reports that.
    std::fs::remove_dir_all(place.path().join(".baton")).expect("what was kept");
    place.baton(&["doctor"]).expect_code(1).expect_stdout("fail mcp").expect_stdout("until it answers it has no tools");
    let doubts = place.baton(&["validate", "--json"]).expect_code(2).json()["doubts"].clone();
    let doubts = doubts.as_array().expect("a list").iter().filter(|doubt| doubt["place"] == "tools/sh.json:1:1");
    let told: Vec<&str> = doubts.filter_map(|doubt| doubt["message"].as_str()).collect();
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert!(told.contains("`sh` does not speak MCP") && told.ends_with("it said: no database"), "{told}");
}

#[test]
fn a_document_whose_server_every_call_will_be_refused_is_found_before_anything_is_called() {
    let document = |server: &str| {
        json!({ "openapi": "3.1.0", "info": { "title": "shop", "version": "1" }, "servers": [{ "url": server }],
            "paths": { "/orders": { "get": { "operationId": "orders", "responses": { "200": { "description": "ok" } } } } } })
    };
    let tool = |more: &str| format!("name: shop\nkind: openapi\ndocument: shop.json\n{more}");
    for server in ["http://127.0.0.1:9/v1", "http://localhost:9", "http://10.1.2.3/", "http://[::1]/"] {
        let text = document(server).to_string();
        let place = TestFolder::with(&[("baton.toml", ""), ("tools/shop.yaml", &tool("")), ("shop.json", &text)]);
        let found = place.baton(&["validate"]).expect_code(0);
        found
            .expect_stdout("warning: tools/shop.yaml:3:11: calls of 1 tool of `shop` are refused (ADDRESS_NOT_ALLOWED)")
            .expect_stdout("server: URL");
        place.baton(&["validate", "--strict"]).expect_code(2);
        place.baton(&["doctor"]).expect_stdout("ADDRESS_NOT_ALLOWED");
        // A server that is named explicitly is intended.
        place.write("tools/shop.yaml", tool(&format!("server: \"{server}\"\n")));
        assert!(!place.baton(&["validate"]).expect_code(0).out.contains("ADDRESS_NOT_ALLOWED"));
        place.write("tools/shop.yaml", tool(""));
        place.write("baton.toml", "[tools.outbound]\nallow = [\"127.0.0.0/8\", \"10.0.0.0/8\", \"::1\"]\n");
        assert!(!place.baton(&["validate"]).expect_code(0).out.contains("ADDRESS_NOT_ALLOWED"));
    }
    let public = document("https://shop.example").to_string();
    let place = TestFolder::with(&[("baton.toml", ""), ("tools/shop.yaml", &tool("")), ("shop.json", &public)]);
    assert!(!place.baton(&["validate"]).expect_code(0).out.contains("ADDRESS_NOT_ALLOWED"));
}
