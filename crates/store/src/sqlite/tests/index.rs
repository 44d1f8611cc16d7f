//! Tests of what is specific to SQLite in the index: what deletion leaves behind, and how accurate the codes are.

use baton_ports::index::{ChunkBatch, DocumentFilter, DocumentIndex, SwitchResult};
use baton_sim::conformance::fixtures::{at, tenant};
use baton_sim::conformance::index::{KNOWLEDGE, add, begin, index_write, kept, page, piece, put, recipe, with};
use serde_json::json;

use super::super::index::code;
use super::super::index::code::NearestCodes;
use super::{SqliteStore, TestDatabase};

const TABLES: [&str; 7] =
    ["memory_document", "memory_tag", "memory_laid", "memory_piece", "memory_vector", "memory_block", "memory_debris"];

/// The number of rows in each table.
fn rows(database: &TestDatabase) -> [u64; 7] {
    let connection = database.raw();
    TABLES.map(|table| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap())
}

fn text_tables(database: &TestDatabase) -> u64 {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'memory_text_*' AND sql LIKE 'CREATE VIRTUAL%'";
    database.raw().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// More chunks than one transaction adds or deletes.
async fn add_long(store: &SqliteStore, generation: u64, name: &str, pieces: usize) {
    let document = with(page(name, "long"), Some("ana"), json!({"kind": "long"}));
    let kept = put(store, &tenant(), document, at(1)).await;
    for first in (0..pieces).step_by(50) {
        let of = (first..pieces.min(first + 50)).map(|number| piece(&format!("words {number}"), 0.0)).collect();
        let part = ChunkBatch { first, is_last: first + 50 >= pieces, ..index_write(kept, of) };
        store.add_chunks(&tenant(), generation, part).await.unwrap();
    }
}

#[tokio::test]
async fn a_removed_document_leaves_no_row() {
    let database = TestDatabase::new();
    let store = database.open();
    let live = begin(&store).await;
    add_long(&store, live.id, "a", 400).await;
    assert_eq!(rows(&database), [1, 1, 1, 400, 400, 2, 0]);
    store.remove(&tenant(), KNOWLEDGE, "a").await.unwrap();
    assert_eq!(rows(&database), [0; 7]);
}

#[tokio::test]
async fn a_replaced_generation_leaves_no_row_and_no_table() {
    let database = TestDatabase::new();
    let store = database.open();
    let live = begin(&store).await;
    add_long(&store, live.id, "a", 300).await;
    let next = store.begin(&tenant(), KNOWLEDGE, &recipe("2"), at(2)).await.unwrap();
    assert_eq!(text_tables(&database), 2);
    store
        .add_chunks(&tenant(), next.id, index_write(kept(&store, "a").await, vec![piece("all of it", 0.0)]))
        .await
        .unwrap();
    assert_eq!(store.make_live(&tenant(), next.id).await.unwrap(), SwitchResult::Done);
    assert_eq!(rows(&database), [1, 1, 1, 1, 1, 1, 0]);
    assert_eq!(text_tables(&database), 1);
}

#[tokio::test]
async fn forgotten_words_are_nowhere_in_the_file() {
    let database = TestDatabase::new();
    let store = database.open();
    let live = begin(&store).await;
    for number in 0..200 {
        add(&store, &tenant(), &live, page(&format!("{number}"), "ordinary words of many pages"), 0.0).await;
    }
    let secret = |text| with(page("a", text), Some("ana"), json!({"street": "zanzibarstreet"}));
    add(&store, &tenant(), &live, secret("she lives in xanadutown"), 0.0).await;
    // The text of an older revision is deleted too.
    add(&store, &tenant(), &live, secret("she lives in qwghlmtown"), 0.0).await;
    assert_eq!(store.forget(&tenant(), KNOWLEDGE, "ana", at(3)).await.unwrap(), 1);
    drop(store);
    let file = std::fs::read(&database.path).unwrap();
    for word in ["zanzibarstreet", "xanadutown", "qwghlmtown"] {
        assert!(!file.windows(word.len()).any(|bytes| bytes == word.as_bytes()), "{word}");
    }
    assert!(file.windows(8).any(|bytes| bytes == b"ordinary"), "what stays is there in plain text");
}

#[tokio::test]
async fn a_sweep_that_was_cut_off_goes_on_with_the_next_change() {
    let database = TestDatabase::new();
    let store = database.open();
    let live = begin(&store).await;
    add_long(&store, live.id, "a", 200).await;
    add_long(&store, live.id, "b", 1).await;
    // The state after a process was killed after the first transaction of a deletion.
    database
        .raw()
        .execute_batch(
            "DELETE FROM memory_laid WHERE document = 1; DELETE FROM memory_tag WHERE document = 1;
             DELETE FROM memory_document WHERE id = 1; INSERT INTO memory_debris (document, below) VALUES (1, 99);",
        )
        .unwrap();
    let words = ["words".to_owned()];
    assert_eq!(store.search_words(&tenant(), live.id, &words, &DocumentFilter::default(), 9).await.unwrap().len(), 1);
    store.remove(&tenant(), KNOWLEDGE, "b").await.unwrap();
    assert_eq!(rows(&database), [0; 7]);
}

/// Deterministic numbers between -1 and 1.
struct VectorDraw(u64);

impl VectorDraw {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    fn vector(&mut self, around: &[f32]) -> Vec<f32> {
        let vector: Vec<f32> = around.iter().map(|value| value + 1.2 * self.next()).collect();
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        vector.into_iter().map(|value| value / length).collect()
    }
}

/// Of 20,000 vectors in clusters, how many of the true ten nearest are among the 400 nearest codes.
#[test]
fn the_nearest_codes_hold_the_nearest_vectors() {
    let mut draw = VectorDraw(7);
    let centres: Vec<Vec<f32>> = (0..100).map(|_| (0..384).map(|_| draw.next()).collect()).collect();
    let vectors: Vec<Vec<f32>> = (0..20_000).map(|number| draw.vector(&centres[number % 100])).collect();
    let mut blocks = Vec::new();
    for (number, of_block) in vectors.chunks(code::BLOCK as usize).enumerate() {
        let mut block = code::CodeBlock::new(Vec::new(), code::bytes(384));
        for (slot, vector) in of_block.iter().enumerate() {
            block.set(slot as u64, 1, &code::of(vector));
        }
        blocks.push((number as u64 * code::BLOCK, block));
    }
    let mut found = 0;
    for centre in centres.iter().take(50) {
        let query = draw.vector(centre);
        let score = |vector: &Vec<f32>| vector.iter().zip(&query).map(|(a, b)| a * b).sum::<f32>();
        let mut best: Vec<(f32, u64)> = (0..).zip(&vectors).map(|(place, vector)| (score(vector), place)).collect();
        best.sort_by(|one, other| other.0.total_cmp(&one.0));
        let code = code::of(&query);
        let mut nearest = NearestCodes::new(&code, 400);
        blocks.iter().for_each(|(first, block)| nearest.scan(*first, block.bytes(), |_| true));
        let kept: Vec<u64> = nearest.places().collect();
        found += best.iter().take(10).filter(|(_, place)| kept.contains(place)).count();
    }
    assert!(found >= 495, "{found} of 500");
}
