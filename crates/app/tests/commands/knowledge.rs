//! `baton knowledge`: documents added, searched, evaluated, and removed.

use std::path::Path;

use serde_json::{Value, json};

use super::test_folder::{CommandOutput, TestFolder};

const RETURNS: &str =
    "# Returns\n\nWithin thirty days, unworn.\n\n## Refunds\n\nMoney comes back to the card you paid with.\n";
const SHIPPING: &str = "# Shipping\n\nParcels leave the same day.\n";

fn shop() -> TestFolder {
    let place = TestFolder::with(&[
        ("baton.toml", "tenant = \"shop\"\n"),
        ("knowledge/returns.md", RETURNS),
        ("knowledge/en/shipping.md", SHIPPING),
        ("knowledge/notes.json", "{}"),
    ]);
    place
        .baton(&["knowledge", "add"])
        .expect_code(0)
        .expect_stdout("en/shipping.md: added, 1 piece\n")
        .expect_stdout("returns.md: added");
    place
}

fn names(found: &CommandOutput) -> Vec<String> {
    let results = found.json()["results"].as_array().cloned().expect("results");
    results.iter().map(|result| result["document"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn what_is_found_is_cited_by_document_heading_and_bytes() {
    let place = shop();
    place
        .baton(&["knowledge", "search", "money back"])
        .expect_code(0)
        .expect_stdout("[1] Returns > Refunds")
        .expect_stdout("returns.md 52..95");
    let found = place.baton(&["knowledge", "search", "refund", "-k", "1", "--json"]).expect_code(0).json();
    let best = &found["results"][0];
    let place_of = |name: &str| best[name].as_u64().and_then(|at| usize::try_from(at).ok()).expect("a place");
    assert_eq!(best["content"], RETURNS[place_of("begins")..place_of("ends")]);
    assert_eq!((&best["heading"], &best["chunk"]), (&json!("Returns > Refunds"), &json!(1)));
    place.baton(&["knowledge", "search", "zzz", "--mode", "text"]).expect_code(0).expect_stdout("nothing was found");
}

#[test]
fn documents_come_again_only_where_they_changed_and_go_when_told() {
    let place = shop();
    place.write("knowledge/returns.md", "# Returns\n\nWithin sixty days.\n");
    let again = place.baton(&["knowledge", "add", "--json"]).expect_code(0).json();
    assert_eq!((&again[0]["unchanged"], &again[1]["revision"]), (&json!(true), &json!(2)));
    assert_eq!(names(&place.baton(&["knowledge", "search", "thirty", "--mode", "text", "--json"])), [] as [&str; 0]);
    place.baton(&["knowledge", "remove", "returns.md"]).expect_code(0);
    place
        .baton(&["knowledge", "remove", "returns.md"])
        .expect_code(2)
        .expect_stderr("no document `returns.md`")
        .expect_stderr("knowledge list");
    place.baton(&["knowledge", "list"]).expect_code(0).expect_stdout("en/shipping.md  Shipping");
}

#[test]
fn filters_choose_documents_by_their_metadata() {
    let place = shop();
    place.write("es.md", "# Devoluciones\n\nEl dinero vuelve a la tarjeta.\n");
    place.baton(&["knowledge", "add", "es.md", "-s", "language=es", "-s", "level=2"]).expect_code(0);
    let found = |filter| names(&place.baton(&["knowledge", "search", "dinero card", "--where", filter, "--json"]));
    assert_eq!(found("language=es"), ["es.md"]);
    assert_eq!(found("level=2"), ["es.md"]);
    assert_eq!(found("level=3"), [] as [&str; 0]);
    place
        .baton(&["knowledge", "search", "x", "--where", "level"])
        .expect_code(2)
        .expect_stderr("`level` is not KEY=VALUE");
}

#[test]
fn what_cannot_be_added_is_named() {
    let place = shop();
    place.baton(&["knowledge", "add", "absent.md"]).expect_code(2).expect_stderr("absent.md cannot be read");
    place.write("binary.md", [0xff, 0xfe]);
    place.baton(&["knowledge", "add", "binary.md"]).expect_code(2).expect_stderr("binary.md is not text (UTF-8)");
    std::fs::create_dir(place.path().join("empty")).expect("a folder");
    place.baton(&["knowledge", "add", "empty"]).expect_code(2).expect_stderr("there is nothing to add");
}

#[test]
fn settings_that_ask_for_another_embedder_say_so_until_a_reindex() {
    let place = shop();
    let built = place.baton(&["knowledge", "reindex", "--json"]).expect_code(0).json();
    assert_eq!((&built[0]["documents"], &built[0]["pieces"]), (&json!(2), &json!(3)));
    place.write("baton.toml", "tenant = \"shop\"\n[memory]\nchunk_tokens = 7\n");
    place.baton(&["knowledge", "list"]).expect_code(2).expect_stderr("`chunk_tokens`: 7 is not within 32 to 2000");
}

#[test]
fn what_answers_by_other_settings_than_those_of_now_is_told_until_it_is_built_anew() {
    let place = shop();
    let quiet = place.baton(&["knowledge", "search", "refund"]).expect_code(0);
    assert!(!quiet.err.contains("reindex"), "{}", quiet.err);
    for settings in ["chunk_tokens = 100", "embedder = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\""] {
        place.write("baton.toml", format!("tenant = \"shop\"\n[memory]\n{settings}\n"));
        place
            .baton(&["knowledge", "search", "refund"])
            .expect_code(0)
            .expect_stderr("`knowledge` answers by")
            .expect_stderr("knowledge reindex");
        place.baton(&["doctor"]).expect_stdout("warn memory").expect_stdout("baton knowledge reindex");
    }
    place.write("baton.toml", "tenant = \"shop\"\n[memory]\nchunk_tokens = 100\n");
    place.baton(&["knowledge", "reindex"]).expect_code(0);
    let told = place.baton(&["knowledge", "search", "refund", "--json"]).expect_code(0).json();
    assert_eq!(told["outdated"], Value::Null);
}

#[test]
fn a_document_about_somebody_does_not_become_everybodys_by_a_word_left_out() {
    let place = shop();
    place.write("ana.md", "# Ana\n\nShe keeps a xylophone.\n");
    place.baton(&["knowledge", "add", "ana.md", "--about", "ana"]).expect_code(0);
    place.write("ana.md", "# Ana\n\nShe keeps two xylophones.\n");
    let refused = place.baton(&["knowledge", "add", "ana.md", "knowledge"]).expect_code(2);
    refused
        .expect_stderr("`ana.md` is kept about ana")
        .expect_stderr("--about ana")
        .expect_stderr("knowledge remove ana.md");
    place.baton(&["knowledge", "list"]).expect_code(0).expect_stdout("ana.md  Ana  about ana");
    place.baton(&["knowledge", "search", "xylophone"]).expect_code(0).expect_stdout("about ana");
    let found = place.baton(&["knowledge", "search", "xylophone", "--json"]).expect_code(0).json();
    assert_eq!((&found["results"][0]["document"], &found["results"][0]["about"]), (&"ana.md".into(), &"ana".into()));
    place
        .baton(&["knowledge", "add", "ana.md", "--about", "ana"])
        .expect_code(0)
        .expect_stdout("ana.md: changed, 1 piece\n");
    place.baton(&["knowledge", "remove", "ana.md"]).expect_code(0);
    place.baton(&["knowledge", "add", "ana.md"]).expect_code(0).expect_stdout("ana.md: added");
    let refused = place.baton(&["knowledge", "add", "ana.md", "--about", "ana"]).expect_code(2);
    refused.expect_stderr("`ana.md` is everybody's").expect_stderr("knowledge remove ana.md");
}

#[test]
fn what_is_about_a_customer_is_forgotten_to_the_last_byte() {
    let place = shop();
    place.write("ana.md", "# Ana\n\nShe keeps a xylophone.\n");
    place.baton(&["knowledge", "add", "ana.md", "--about", "ana"]).expect_code(0);
    assert!(kept(place.path(), "xylophone"));
    let gone = place.baton(&["knowledge", "forget", "ana", "--json"]).expect_code(0).json();
    assert_eq!(gone["knowledge"], 1);
    assert!(!kept(place.path(), "xylophone"));
    assert_eq!(names(&place.baton(&["knowledge", "search", "refund", "--json"])).len(), 3);
}

/// Whether any file of the database contains a word.
fn kept(place: &Path, word: &str) -> bool {
    let files = std::fs::read_dir(place.join(".baton")).expect("the database's folder");
    files
        .map(|file| std::fs::read(file.expect("an entry").path()).expect("bytes"))
        .any(|bytes| bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes())))
}

/// The claim of `docs/concepts/memory.md`.
#[test]
fn both_ways_together_find_more_than_either_on_the_judged_queries() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/research");
    let example = example.to_str().expect("a path");
    let measured = TestFolder::empty().baton(&["-C", example, "knowledge", "eval", "--json"]).expect_code(0).json();
    let ndcg = |mode: &str| {
        let all = measured["modes"].as_array().cloned().unwrap_or_default();
        all.iter().find(|one| one["mode"] == mode).and_then(|one| one["ndcg_at_10"].as_f64()).expect("a figure")
    };
    assert_eq!((&measured["documents"], &measured["queries"]), (&json!(24), &json!(48)));
    assert!(ndcg("hybrid") > ndcg("text") + 0.02 && ndcg("hybrid") > ndcg("vector") + 0.02, "{measured:#}");
}

#[test]
fn judged_queries_that_cannot_be_read_are_named() {
    let place = shop();
    place.baton(&["knowledge", "eval"]).expect_code(2).expect_stderr("eval.yaml");
    place.write("eval.yaml", "documents: knowledge\nqueries: []\n");
    place.baton(&["knowledge", "eval"]).expect_code(2).expect_stderr("has no queries");
    place.write(
        "eval.yaml",
        "documents: knowledge\nqueries:\n  - {query: refunds, relevant: {\"returns.md#Refunds\": 2}}\n",
    );
    let measured: Value = place.baton(&["knowledge", "eval", "--json"]).expect_code(0).json();
    assert_eq!(measured["modes"][2]["ndcg_at_10"], 1.0);
}

#[test]
fn nobody_is_said_to_be_forgotten_where_an_index_outside_cannot_be_asked() {
    let place = shop();
    place.write("anas-contract.md", "# Contract\n\nShe pays in May.\n");
    place.baton(&["knowledge", "add", "anas-contract.md", "--about", "ana"]).expect_code(0);
    // No server listens there.
    place.write("baton.toml", "tenant = \"shop\"\n[tools.knowledge.chroma]\nbase_url = \"http://127.0.0.1:1\"\n");
    let forgotten = place.baton(&["knowledge", "forget", "ana"]).expect_code(1);
    forgotten.expect_stderr("NOT from chroma").expect_stderr("knowledge forget").expect_stderr("SERVICE_UNAVAILABLE");
    place.baton(&["knowledge", "remove", "returns.md"]).expect_code(1).expect_stderr("may still be in chroma");
    place
        .baton(&["knowledge", "search", "pays in May", "--mode", "text"])
        .expect_code(0)
        .expect_stdout("nothing was found");
}
