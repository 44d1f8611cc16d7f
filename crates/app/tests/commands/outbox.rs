//! The outbox: messages that were stored because no service sends them.

use serde_json::json;

use super::test_folder::TestFolder;

fn send(place: &TestFolder, tool: &str, arguments: serde_json::Value) {
    place.baton(&["tools", "call", tool, "--input", &arguments.to_string()]).expect_code(0).expect_stdout("outbox");
}

#[test]
fn what_was_not_sent_can_be_read() {
    let place = TestFolder::with(&[("baton.toml", "")]);
    place.baton(&["outbox", "list"]).expect_code(0).expect_stdout("no message was written down");
    assert!(!place.path().join(".baton").exists(), "looking makes no database");
    send(
        &place,
        "send_email",
        json!({"to": "ana@example.com", "subject": "Your booking", "body": "Tomorrow at 10:00."}),
    );
    send(&place, "send_sms", json!({"to": "+34600000001", "message": "Tomorrow at 10:00."}));
    place
        .baton(&["outbox", "list"])
        .expect_code(0)
        .expect_stdout("email")
        .expect_stdout("ana@example.com  Your booking")
        .expect_stdout("+34600000001  Tomorrow at 10:00.");
    let listed = |more: &[&str]| {
        let told = place.baton(&[&["outbox", "list", "--json"], more].concat()).expect_code(0).json();
        told["messages"].as_array().expect("a list").clone()
    };
    let all = listed(&[]);
    let channels: Vec<_> = all.iter().map(|message| &message["channel"]).collect();
    assert_eq!(channels, [&json!("email"), &json!("sms")], "the newest last");
    let run = all[0]["run"].as_str().expect("a run");
    for (more, count) in [
        (&["--channel", "sms"][..], 1),
        (&["--to", "ana@example.com"], 1),
        (&["--to", "ana"], 0),
        (&["--run", run], 1),
        (&["--limit", "1"], 1),
    ] {
        assert_eq!(listed(more).len(), count, "{more:?}");
    }
    let id = all[0]["message_id"].as_str().expect("an id");
    let shown = place.baton(&["outbox", "show", id, "--json"]).expect_code(0).json();
    assert_eq!(
        (&shown["message"]["to"], &shown["message"]["subject"]),
        (&json!(["ana@example.com"]), &json!("Your booking"))
    );
    place.baton(&["outbox", "show", &id[..12]]).expect_code(0).expect_stdout("Tomorrow at 10:00.").expect_stdout(run);
    place.baton(&["outbox", "show", "msg"]).expect_code(2).expect_stderr("the beginning of several");
    place
        .baton(&["outbox", "show", "nobody"])
        .expect_code(2)
        .expect_stderr("no message `nobody`")
        .expect_stderr("baton outbox list");
}
