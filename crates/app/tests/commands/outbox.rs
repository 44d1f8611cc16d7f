//! The outbox: messages that were written down, since nobody sends them.

use serde_json::json;

use super::place::Place;

fn send(place: &Place, tool: &str, arguments: serde_json::Value) {
    place.baton(&["tools", "call", tool, "--input", &arguments.to_string()]).ends(0).says("outbox");
}

#[test]
fn what_was_not_sent_can_be_read() {
    let place = Place::with(&[("baton.toml", "")]);
    place.baton(&["outbox", "list"]).ends(0).says("no message was written down");
    assert!(!place.path().join(".baton").exists(), "looking makes no database");
    send(
        &place,
        "send_email",
        json!({"to": "ana@example.com", "subject": "Your booking", "body": "Tomorrow at 10:00."}),
    );
    send(&place, "send_sms", json!({"to": "+34600000001", "message": "Tomorrow at 10:00."}));
    place
        .baton(&["outbox", "list"])
        .ends(0)
        .says("email")
        .says("ana@example.com  Your booking")
        .says("+34600000001  Tomorrow at 10:00.");
    let listed = |more: &[&str]| {
        let told = place.baton(&[&["outbox", "list", "--json"], more].concat()).ends(0).json();
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
    let shown = place.baton(&["outbox", "show", id, "--json"]).ends(0).json();
    assert_eq!(
        (&shown["message"]["to"], &shown["message"]["subject"]),
        (&json!(["ana@example.com"]), &json!("Your booking"))
    );
    place.baton(&["outbox", "show", &id[..12]]).ends(0).says("Tomorrow at 10:00.").says(run);
    place.baton(&["outbox", "show", "msg"]).ends(2).warns("the beginning of several");
    place.baton(&["outbox", "show", "nobody"]).ends(2).warns("no message `nobody`").warns("baton outbox list");
}
