//! A service that dies after it has acted and before it responds: no call acts twice.

use super::inventory_service::InventoryService;
use super::test_folder::{CommandOutput, TestFolder};

const TAKE: &str = "name: take\nnodes: [{id: take, tool: take_item}]\n";

/// A tool that takes items from the inventory, with these lines about how calls may be repeated.
fn place(shelf: &InventoryService, lines: &str) -> TestFolder {
    let url = shelf.url();
    let tool = format!(
        "name: take_item\nkind: http\nurl: {url}/take\ntimeout_ms: 2000\nirreversible: nobody puts it back\n\
         body: {{reference: '{{{{ key }}}}'}}\nretry: {{max_attempts: 6, initial_ms: 200, multiplier: 2.0}}\n{}",
        lines.replace("URL", &url)
    );
    TestFolder::with(&[("workflows/take.yaml", TAKE), ("tools/take.yaml", &tool)])
}

/// The service is killed after it has acted, and is back while the run is still active.
fn killed_and_back(lines: &str) -> (CommandOutput, InventoryService, TestFolder) {
    let folder = TestFolder::empty();
    let shelf = InventoryService::silent(folder.path());
    let place = place(&shelf, lines);
    let run = place.spawn(&["run", "take", "--id", "one"]);
    let shelf = shelf.kill_after_acting().restart();
    (CommandOutput::wait_for(run), shelf, folder)
}

#[test]
fn a_keyed_act_is_sent_again_under_its_key_and_done_once() {
    let (run, shelf, _folder) = killed_and_back("idempotency_header: Idempotency-Key\n");
    run.expect_code(0).expect_stdout("completed");
    let book = shelf.log();
    assert_eq!(book.keys("took"), ["one/take/0/0"]);
    assert!(book.keys("asked").len() >= 2 && book.keys("asked").iter().all(|key| *key == "one/take/0/0"));
}

#[test]
fn an_act_that_can_be_looked_up_is_found_and_not_sent_again() {
    let (run, shelf, _folder) = killed_and_back(
        "lookup:\n  url: URL/find\n  query: {reference: '{{ key }}'}\n  done: \"length(body.orders) > `0`\"\n  \
         not_done: \"status == `200`\"\n  result: \"orders[0]\"\n",
    );
    run.expect_code(0).expect_stdout("one/take/0/0");
    assert_eq!(shelf.log().keys("asked"), ["one/take/0/0"]);
}

#[test]
fn an_act_that_nobody_can_ask_about_waits_for_a_person() {
    let folder = TestFolder::empty();
    let shelf = InventoryService::silent(folder.path());
    let place = place(&shelf, "");
    let run = place.spawn(&["run", "take", "--id", "one"]);
    let killed = shelf.kill_after_acting();
    CommandOutput::wait_for(run).expect_code(3).expect_stdout("nobody knows whether `take#0.0` acted");
    let shelf = killed.restart();
    place.baton(&["runs", "work"]).expect_code(0);
    assert_eq!(killed.log().keys("asked").len(), 1, "it is not sent again while nobody knows");
    place
        .baton(&["runs", "resolve", "one", "take#0.0", "--done", r#"{"id": "seen on the shelf"}"#])
        .expect_code(0)
        .expect_stdout("seen");
    assert_eq!(shelf.log().keys("asked").len(), 1);
}
