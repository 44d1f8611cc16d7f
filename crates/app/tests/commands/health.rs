//! A database that is damaged, truncated, removed or cannot grow: the server acknowledges nothing that it has not
//! stored, reports the problem, and ends when it is asked to.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, wait_for};
use crate::test_folder::TestFolder;

const NOTE: &str = "name: note\nnodes: [{id: keep, type: transform, set: {kept: true}}]\n";

fn place() -> TestFolder {
    TestFolder::with(&[("baton.toml", ""), ("workflows/note.yaml", NOTE)])
}

fn database(place: &TestFolder) -> PathBuf {
    place.path().join(".baton/baton.db")
}

fn run(server: &BatonServer, key: &str, text: &str) -> ApiAnswer {
    let body = json!({ "workflow_id": "note", "input_data": { "text": text } });
    server.ask("POST /api/v1/workflows/execute", key, "", &body)
}

/// Ids of runs that were acknowledged.
fn runs(server: &BatonServer, key: &str, count: usize) -> Vec<String> {
    let text = "x".repeat(2_000);
    let ids = (0..count).map(|_| run(server, key, &text).expect_status(200));
    ids.map(|body| body["execution_id"].as_str().expect("an id").to_owned()).collect()
}

/// Completes `count` runs in a project. Returns its API key.
fn lived_in(place: &TestFolder, count: usize) -> String {
    let server = BatonServer::start(place);
    let key = server.key().expect("a key").to_owned();
    runs(&server, &key, count);
    assert_eq!(server.stop(), Some(0));
    key
}

/// Zeroes the page in the middle of the journal, as a disk does that loses one.
fn zero_the_middle(place: &TestFolder) {
    zero_a_leaf(place, "count(*) / 2");
}

/// Zeroes one chosen page of the journal.
fn zero_a_leaf(place: &TestFolder, which: &str) {
    let raw = rusqlite::Connection::open(database(place)).expect("opens");
    let ask = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, u64>(0)).expect("answers");
    let leaves = "SELECT pageno FROM dbstat WHERE name = 'journal' AND pagetype = 'leaf' ORDER BY pageno";
    let middle = format!("LIMIT 1 OFFSET (SELECT {which} FROM ({leaves}))");
    let (size, page) = (ask("PRAGMA page_size"), ask(&format!("{leaves} {middle}")));
    raw.close().expect("closes");
    let mut file = OpenOptions::new().write(true).open(database(place)).expect("opens");
    file.seek(SeekFrom::Start((page - 1) * size)).expect("is there");
    file.write_all(&vec![0; usize::try_from(size).expect("a page")]).expect("is written");
}

/// What `/ready` reports about the store.
fn problem(server: &BatonServer) -> Option<Value> {
    let answer = server.get("/ready", None);
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1)?).ok()?;
    assert_eq!(answer.starts_with("HTTP/1.1 503"), body["status"] == "not_ready", "{answer}");
    body.get("problem").cloned()
}

#[track_caller]
fn is_refused(answer: ApiAnswer, code: &str) {
    let body = answer.expect_status(503);
    assert_eq!(body["code"], code, "{body}");
    assert!(body["hint"].as_str().is_some_and(|hint| hint.contains("stop the process")), "{body}");
}

#[test]
fn a_page_lost_in_the_middle_is_said_at_once_and_nothing_more_is_acknowledged() {
    let place = place();
    let key = lived_in(&place, 200);
    place.baton(&["doctor"]).expect_stdout("ok   pages");
    zero_the_middle(&place);
    let server = BatonServer::start(&place);
    let said = wait_for("it is said", || problem(&server));
    assert_eq!(said["code"], "STORE_DAMAGED", "{said}");
    assert!(said["hint"].as_str().is_some_and(|hint| hint.contains("baton verify")), "{said}");
    for _ in 0..20 {
        is_refused(run(&server, &key, "more"), "STORE_DAMAGED");
    }
    assert!(server.get("/health", None).starts_with("HTTP/1.1 200"), "the process itself is well");
    server.signal("TERM");
    let (code, _, said) = server.ended();
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("STORE_DAMAGED") && said.contains("not everything could be given back"), "{said}");
}

#[test]
fn a_command_ends_where_what_it_waits_for_cannot_be_written() {
    let place = place();
    lived_in(&place, 100);
    // The run can be accepted, but its results cannot be stored.
    zero_a_leaf(&place, "count(*) - 1");
    let commands: [&[&str]; 2] =
        [&["run", "note"], &["tools", "call", "create_ticket", "--set", "subject=x", "--set", "description=y"]];
    for command in commands {
        place.baton(command).expect_code(1).expect_stderr("error[STORE_DAMAGED]").expect_stderr("baton verify");
    }
}

#[test]
fn doctor_and_verify_find_a_lost_page_and_say_the_way_out() {
    let place = place();
    lived_in(&place, 100);
    let whole = place.baton(&["verify", "--json"]).expect_code(0).json();
    assert_eq!((&whole["ok"], &whole["looked_at"]["runs"]), (&json!(true), &json!(100)), "{whole}");
    place.baton(&["verify"]).expect_code(0).expect_stdout("100 runs").expect_stdout("all whole");
    place.baton(&["doctor", "--full"]).expect_stdout("every page and index");
    zero_the_middle(&place);
    for arguments in [&["doctor"][..], &["doctor", "--full"]] {
        place
            .baton(arguments)
            .expect_code(1)
            .expect_stdout("fail database")
            .expect_stdout("is damaged")
            .expect_stdout("restore the newest backup");
    }
    let found = place.baton(&["verify", "--json"]).expect_code(1).json();
    assert_eq!((&found["ok"], &found["findings"][0]["what"]), (&json!(false), &json!("database")), "{found}");
    place.baton(&["verify"]).expect_code(1).expect_stdout("broken: database:").expect_stderr("keep a copy");
}

#[test]
fn a_file_that_is_no_database_any_more_is_damaged_for_every_command() {
    let place = place();
    lived_in(&place, 1);
    fs::write(database(&place), "no database".repeat(1_000)).expect("is overwritten");
    let commands: [&[&str]; 3] = [&["serve", "--listen", "127.0.0.1:0"], &["run", "note"], &["runs", "list"]];
    for command in commands {
        place
            .baton(command)
            .expect_code(1)
            .expect_stderr("error[STORE_DAMAGED]")
            .expect_stderr("baton.db")
            .expect_stderr("restore the newest backup");
    }
}

#[test]
fn a_run_whose_entry_is_no_entry_is_said_to_be_unreadable() {
    let place = place();
    let key = lived_in(&place, 1);
    let raw = rusqlite::Connection::open(database(&place)).expect("opens");
    let changed = raw.execute("UPDATE journal SET payload = zeroblob(length(payload))", []).expect("is taken");
    assert!(changed > 0);
    let run: String =
        raw.query_row("SELECT name FROM aggregate WHERE kind = 'run'", [], |row| row.get(0)).expect("a run");
    drop(raw);
    let server = BatonServer::start(&place);
    let body = server.ask(&format!("GET /api/v1/executions/{run}"), &key, "", &Value::Null).expect_status(500);
    assert_eq!(body["code"], "JOURNAL_UNREADABLE", "{body}");
    assert!(body["hint"].as_str().is_some_and(|hint| hint.contains("baton verify")), "{body}");
}

#[test]
fn verify_finds_what_does_not_agree_with_its_journal() {
    let place = place();
    lived_in(&place, 3);
    let raw = rusqlite::Connection::open(database(&place)).expect("opens");
    let change = |sql: &str| assert_eq!(raw.execute(sql, []).expect("is taken"), 1, "{sql}");
    place.baton(&["verify"]).expect_code(0);
    change("UPDATE aggregate SET state = 'failed' WHERE id = (SELECT min(id) FROM aggregate WHERE kind = 'run')");
    change("DELETE FROM journal WHERE id = (SELECT max(id) FROM journal)");
    change(
        "UPDATE aggregate SET started_at = 1, ended_at = 2, customer = 'x', parent = 'y', workflow = 'z', fault = 'f' \
         WHERE kind = 'run' AND id = (SELECT min(id) + 1 FROM aggregate WHERE kind = 'run')",
    );
    change("INSERT INTO snapshot (aggregate, seq, fold_version, state) VALUES (9999, 1, 1, x'00')");
    drop(raw);
    let told = place.baton(&["verify"]).expect_code(1);
    let told = told
        .expect_stdout("lists show it as `failed`, and its journal says `completed`")
        .expect_stdout("is missing")
        .expect_stdout("1 snapshots belong to nothing")
        .expect_stdout("9 findings");
    ["beginning", "customer", "parent", "workflow", "end", "fault"]
        .iter()
        .fold(told, |told, what| told.expect_stdout(&format!("lists show another {what} than its journal")));
}

#[test]
fn an_open_item_that_cannot_be_read_keeps_no_other_waiting() {
    let ship = "name: ship\nnodes: [{id: agree, type: human, title: Ship it?}]\n";
    let place = TestFolder::with(&[("baton.toml", ""), ("workflows/ship.yaml", ship)]);
    for id in ["one", "two", "three"] {
        place.baton(&["run", "ship", "--id", id]).expect_code(3);
    }
    let raw = rusqlite::Connection::open(database(&place)).expect("opens");
    let change = |sql: &str| assert_eq!(raw.execute(sql, []).expect("is taken"), 1, "{sql}");
    change("UPDATE desk SET title = CAST(x'ff' AS TEXT) WHERE run = 'one'");
    change("UPDATE desk SET title = 'Ship nothing?' WHERE run = 'two'");
    drop(raw);
    let listed = place.baton(&["approvals", "list", "--json"]).expect_code(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    place
        .baton(&["verify"])
        .expect_code(1)
        .expect_stdout("`one/agree` of the desk cannot be read")
        .expect_stdout("the desk shows `two/agree` otherwise than its journal")
        .expect_stdout("2 findings");
}

#[test]
fn verify_leaves_an_older_layout_as_it_is_and_says_what_to_do() {
    let place = place();
    lived_in(&place, 1);
    let layout = |set: Option<u32>| {
        let raw = rusqlite::Connection::open(database(&place)).expect("opens");
        set.into_iter().for_each(|layout| raw.pragma_update(None, "user_version", layout).expect("is set"));
        raw.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).expect("answers")
    };
    let newest = layout(None);
    layout(Some(newest - 1));
    place.baton(&["verify"]).expect_code(1).expect_stderr("an older program's").expect_stderr("baton doctor");
    assert_eq!(layout(None), newest - 1);
    layout(Some(newest));
    place.baton(&["verify"]).expect_code(0).expect_stdout("all whole");
}

#[test]
fn verify_in_a_folder_where_nothing_has_run_makes_nothing() {
    let place = place();
    // A missing backup must not pass as a valid one.
    place.baton(&["verify"]).expect_code(2).expect_stderr("nothing has run here");
    assert!(!place.path().join(".baton").exists());
}

#[test]
fn an_empty_or_missing_file_is_not_taken_for_a_new_database_where_one_has_been() {
    let place = place();
    lived_in(&place, 1);
    fs::write(database(&place), "").expect("is cut short");
    let commands: [&[&str]; 4] =
        [&["serve", "--listen", "127.0.0.1:0"], &["run", "note"], &["runs", "list"], &["keys", "create", "one"]];
    for command in commands {
        place.baton(command).expect_code(1).expect_stderr("0 bytes").expect_stderr("a backup");
        assert_eq!(fs::metadata(database(&place)).expect("is there").len(), 0, "it is left as it is");
    }
    place.baton(&["doctor"]).expect_code(1).expect_stdout("fail database").expect_stdout("0 bytes");
    place.baton(&["verify"]).expect_code(1);
    fs::remove_file(database(&place)).expect("is removed");
    place
        .baton(&["serve", "--listen", "127.0.0.1:0"])
        .expect_code(1)
        .expect_stderr("the file is gone")
        .expect_stderr("baton.db.owners");
    place.baton(&["doctor"]).expect_code(1).expect_stdout("fail database").expect_stdout("the file is gone");
    let looks: [&[&str]; 9] = [
        &["runs", "list"],
        &["outbox", "list"],
        &["budgets"],
        &["keys", "list"],
        &["audit", "list"],
        &["costs"],
        &["people", "list"],
        &["tenants", "list"],
        &["workflows", "versions", "note"],
    ];
    for look in looks {
        place.baton(look).expect_code(1).expect_stderr("the file is gone");
    }
    assert!(!database(&place).exists());
    // Starting over takes one explicit action.
    fs::remove_dir_all(place.path().join(".baton")).expect("is removed");
    place.baton(&["run", "note"]).expect_code(0);
}

/// Removes the files while a server runs. 20 of 20 requests are rejected, and acknowledged work is there once the files
/// are back.
#[cfg(unix)]
fn taken_away(take: impl Fn(&TestFolder), meanwhile: impl Fn(&TestFolder), put_back: impl Fn(&TestFolder)) {
    let place = place();
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let kept = runs(&server, &key, 5);
    take(&place);
    for _ in 0..20 {
        is_refused(run(&server, &key, "lost?"), "STORE_MOVED");
    }
    assert_eq!(problem(&server).expect("a problem")["code"], "STORE_MOVED");
    meanwhile(&place);
    server.signal("TERM");
    let (code, _, said) = server.ended();
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("STORE_MOVED"), "{said}");
    put_back(&place);
    place.baton(&["verify"]).expect_code(0);
    for id in kept {
        place.baton(&["runs", "show", &id]).expect_code(0).expect_stdout("completed");
    }
}

#[cfg(unix)]
#[test]
fn without_its_log_a_server_acknowledges_nothing() {
    let remove = |place: &TestFolder| fs::remove_file(place.path().join(".baton/baton.db-wal")).expect("is removed");
    taken_away(remove, |_| {}, |_| {});
    // Other processes use the database file and create a log of their own. When the server ends, it must not overwrite
    // their data.
    let others = |place: &TestFolder| {
        place.baton(&["runs", "list", "--limit", "1"]).expect_code(0);
        place.baton(&["keys", "create", "another", "--role", "operator"]).expect_code(0);
    };
    taken_away(remove, others, |_| {});
}

#[cfg(unix)]
#[test]
fn with_its_folder_moved_a_server_acknowledges_nothing() {
    let (here, there) = (".baton", "elsewhere");
    let mv = |place: &TestFolder, from: &str, to: &str| {
        fs::rename(place.path().join(from), place.path().join(to)).expect("is moved");
    };
    taken_away(|place| mv(place, here, there), |_| {}, |place| mv(place, there, here));
}

/// A file size limit that is raised again is the closest simulation of a disk that fills up and gets free space. The
/// process's log fails too, which must not end the threads that write it.
#[cfg(target_os = "linux")]
#[test]
fn a_limit_of_files_sizes_is_a_full_disk_and_not_the_end() {
    let place = place();
    // Several megabytes, whatever block size this shell uses.
    let line = "ulimit -S -f 6000; exec \"$BATON\" serve --listen 127.0.0.1:0 --json 2>/dev/full";
    let server = BatonServer::of(&place, place.spawn_shell(&[("BATON_LOG", "debug")], line));
    let key = server.key().expect("a key").to_owned();
    let text = "x".repeat(200_000);
    let (mut kept, mut refused) = (Vec::new(), 0);
    for _ in 0..500 {
        let answer = run(&server, &key, &text);
        // The request was accepted, and the rest of its data did not fit. It continues once there is space.
        if matches!(answer.status, 200 | 202) {
            kept.push(answer.body["execution_id"].as_str().expect("an id").to_owned());
            refused = 0;
            continue;
        }
        assert_eq!(answer.expect_status(503)["code"], "STORE_UNAVAILABLE");
        refused += 1;
        // The contents of the log are first moved into the database, which frees space once.
        if refused == 5 {
            break;
        }
    }
    assert!(refused == 5 && !kept.is_empty(), "{refused} refused, {} kept", kept.len());
    assert!(server.get("/health", None).starts_with("HTTP/1.1 200"));
    let raised = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &server.id().to_string()]).status();
    if raised.is_ok_and(|status| status.success()) {
        let again =
            wait_for("it writes again", || Some(run(&server, &key, "more")).filter(|answer| answer.status == 200));
        kept.push(again.body["execution_id"].as_str().expect("an id").to_owned());
    }
    server.signal("TERM");
    let (code, ..) = server.ended();
    assert!(matches!(code, Some(0 | 4)), "it ended of itself: {code:?}");
    let server = BatonServer::start(&place);
    for id in kept {
        wait_for("it is completed", || {
            let shown = server.ask(&format!("GET /api/v1/executions/{id}"), &key, "", &Value::Null).expect_status(200);
            (shown["status"] == "completed").then_some(())
        });
    }
    run(&server, &key, "and on it goes").expect_status(200);
}
