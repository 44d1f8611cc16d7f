//! `baton doctor`: every finding says how to fix it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use super::test_folder::TestFolder;

fn state<'a>(found: &'a Value, what: &str) -> &'a str {
    let checks = found["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["what"] == what);
    check.and_then(|check| check["state"].as_str()).unwrap_or("not looked at")
}

#[test]
fn a_fresh_project_is_well_and_asking_leaves_no_trace() {
    let place = TestFolder::empty();
    place.baton(&["init", "p"]).expect_code(0);
    let found = place.baton(&["-C", "p", "doctor", "--json"]).expect_code(0).json();
    assert_eq!(found["ok"], true);
    for what in ["project", "workflows", "models", "mail", "sandbox", "clock", "database"] {
        assert_eq!(state(&found, what), "ok", "{what}");
    }
    assert!(!place.path().join("p/.baton").exists());
}

#[test]
fn settings_that_cannot_be_read_fail_with_their_place() {
    let place = TestFolder::with(&[("baton.toml", "tenant = \n")]);
    place.baton(&["doctor"]).expect_code(1).expect_stdout("fail project").expect_stdout("baton.toml");
}

#[test]
fn a_workflow_that_cannot_run_and_a_model_that_is_not_there_fail() {
    let place = TestFolder::with(&[
        ("baton.toml", "[models]\nbase_url = \"http://127.0.0.1:1/v1\"\n"),
        ("workflows/a.yaml", "name: a\nnodes:\n  - {id: a, tool: nothing}\n"),
    ]);
    let found = place.baton(&["doctor", "--json"]).expect_code(1).json();
    assert_eq!(found["ok"], false);
    assert_eq!(state(&found, "workflows"), "fail");
    assert_eq!(state(&found, "models"), "fail");
}

#[test]
fn a_run_that_nobody_moves_is_said_with_the_command_that_does() {
    let place =
        TestFolder::with(&[("workflows/a.yaml", "name: a\nnodes:\n  - {id: a, type: transform, set: {x: 1}}\n")]);
    place.baton(&["run", "a", "--id", "one", "--detach"]).expect_code(3).expect_stdout("one");
    place.baton(&["doctor"]).expect_code(0).expect_stdout("1 run has something to do").expect_stdout("baton runs work");
    place.baton(&["runs", "work"]).expect_code(0).expect_stdout("1 run moved");
    place
        .baton(&["doctor"])
        .expect_code(0)
        .expect_stdout("1 completed")
        .expect_stdout("no run waits for somebody to move it");
}

#[test]
fn a_database_that_is_none_fails() {
    let place =
        TestFolder::with(&[("baton.toml", ""), (".baton/baton.db", "this is no database, whatever its name says")]);
    place.baton(&["doctor"]).expect_code(1).expect_stdout("fail database");
}

#[test]
fn a_sandbox_that_cannot_be_set_up_so_fails_with_its_setting() {
    let place = TestFolder::with(&[("baton.toml", "[sandbox]\nchildren = 0\n")]);
    place.baton(&["doctor"]).expect_code(1).expect_stdout("`children` is 0");
}

#[test]
fn a_database_that_tools_may_ask_and_is_not_there_fails_with_its_path() {
    let place = TestFolder::with(&[("baton.toml", "[tools.databases.shop]\nurl = \"sqlite:data/shop.db\"\n")]);
    place
        .baton(&["doctor"])
        .expect_code(1)
        .expect_stdout("fail databases")
        .expect_stdout("shop: there is no file data/shop.db")
        .expect_stdout("`url` under `[tools.databases.shop]`");
    place.write("data/shop.db", "");
    place.baton(&["doctor"]).expect_stdout("ok   databases  shop: data/shop.db is there");
}

const CALDAV: &str = "\
[tools.calendar]
provider = \"caldav\"
[tools.calendar.caldav]
url = \"URL\"
username = \"clinic\"
calendars = { main = \"/clinic/\" }
";

#[test]
fn a_caldav_password_that_is_not_set_is_asked_for_by_its_variable_and_not_in_the_file() {
    let place = TestFolder::with(&[("baton.toml", &CALDAV.replace("URL", "https://dav.example.com"))]);
    let told = place.baton(&["doctor"]).expect_code(1).expect_stdout("BATON_TOOLS__CALENDAR__CALDAV__PASSWORD");
    assert!(!told.out.contains("missing field"), "{}", told.out);
}

#[test]
fn a_server_that_speaks_no_caldav_is_said_to() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    // The client may be gone.
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(knows_no_method(stream))));
    let settings = CALDAV.replace("URL", &url).replace("username", "password = \"s3cr3t\"\nusername");
    let place = TestFolder::with(&[("baton.toml", &settings)]);
    let told = place.baton(&["doctor"]).expect_code(1);
    told.expect_stdout("fail calendar")
        .expect_stdout("501")
        .expect_stdout("there is no CalDAV at this path")
        .expect_stdout("[tools.calendar]");
}

/// The response of a web server that does not support CalDAV.
fn knows_no_method(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length])?;
    stream.write_all(b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
