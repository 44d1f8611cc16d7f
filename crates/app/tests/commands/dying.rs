//! A service that dies after acting and before answering: it is never made to act twice.

use super::place::{Done, Place};
use super::shelf::Shelf;

const TAKE: &str = "name: take\nnodes: [{id: take, tool: take_item}]\n";

/// A tool that takes from the shelf, with these lines that say how it may be repeated.
fn place(shelf: &Shelf, lines: &str) -> Place {
    let url = shelf.url();
    let tool = format!(
        "name: take_item\nkind: http\nurl: {url}/take\ntimeout_ms: 2000\nirreversible: nobody puts it back\n\
         body: {{reference: '{{{{ key }}}}'}}\nretry: {{max_attempts: 6, initial_ms: 200, multiplier: 2.0}}\n{}",
        lines.replace("URL", &url)
    );
    Place::with(&[("workflows/take.yaml", TAKE), ("tools/take.yaml", &tool)])
}

/// Killed at that instant, and back while the run still goes on.
fn killed_and_back(lines: &str) -> (Done, Shelf, Place) {
    let folder = Place::empty();
    let shelf = Shelf::silent(folder.path());
    let place = place(&shelf, lines);
    let run = place.begin(&["run", "take", "--id", "one"]);
    let shelf = shelf.killed_after_acting().opens();
    (Done::after(run), shelf, folder)
}

#[test]
fn a_keyed_act_is_sent_again_under_its_key_and_done_once() {
    let (run, shelf, _folder) = killed_and_back("idempotency_header: Idempotency-Key\n");
    run.ends(0).says("completed");
    let book = shelf.book();
    assert_eq!(book.keys("took"), ["one/take/0/0"]);
    assert!(book.keys("asked").len() >= 2 && book.keys("asked").iter().all(|key| *key == "one/take/0/0"));
}

#[test]
fn an_act_that_can_be_looked_up_is_found_and_not_sent_again() {
    let (run, shelf, _folder) = killed_and_back(
        "lookup:\n  url: URL/find\n  query: {reference: '{{ key }}'}\n  done: \"length(body.orders) > `0`\"\n  \
         not_done: \"status == `200`\"\n  result: \"orders[0]\"\n",
    );
    run.ends(0).says("one/take/0/0");
    assert_eq!(shelf.book().keys("asked"), ["one/take/0/0"]);
}

#[test]
fn an_act_that_nobody_can_ask_about_waits_for_a_person() {
    let folder = Place::empty();
    let shelf = Shelf::silent(folder.path());
    let place = place(&shelf, "");
    let run = place.begin(&["run", "take", "--id", "one"]);
    let killed = shelf.killed_after_acting();
    Done::after(run).ends(3).says("nobody knows whether `take#0.0` acted");
    let shelf = killed.opens();
    place.baton(&["runs", "work"]).ends(0);
    assert_eq!(killed.book().keys("asked").len(), 1, "it is not sent again while nobody knows");
    place
        .baton(&["runs", "resolve", "one", "take#0.0", "--done", r#"{"id": "seen on the shelf"}"#])
        .ends(0)
        .says("seen");
    assert_eq!(shelf.book().keys("asked").len(), 1);
}
