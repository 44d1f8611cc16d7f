//! Search in a hundred thousand chunks: by vector, by keyword, and the hybrid search that agents use.

use std::sync::Arc;
use std::time::Instant;

use baton_core::id::TenantId;
use baton_memory::{MemoryConfig, MemoryPorts, MemoryService};
use baton_ports::clock::SystemClock;
use baton_ports::index::{MemoryCollection, SourceDocument};
use baton_ports::memory::{MemoryStore as _, SearchMode, SearchRequest};
use futures::StreamExt;
use serde_json::{Map, Value, json};

use super::fixture::{self, ScratchFolder};
use super::{BenchSize, median, percentile, round_figure};

/// Sections of one document. Each section is one chunk.
const SECTIONS: usize = 50;
/// Sentences of a section and words of a sentence. A chunk has about 110 words.
const SENTENCES: usize = 8;
const WORDS: usize = 14;
/// Distinct words of the corpus. Their frequencies follow Zipf's law, as in natural language.
const VOCABULARY: usize = 30_000;
/// Number of documents that are added concurrently.
const CONCURRENT_DOCUMENTS: usize = 16;
/// Words of one query.
const QUERY_WORDS: usize = 6;

pub fn measure(size: BenchSize) -> anyhow::Result<Value> {
    let scratch = ScratchFolder::new()?;
    crate::commands::block_on(async {
        let store = Arc::new(fixture::store(scratch.path())?);
        let parts = MemoryPorts { index: store.clone(), records: store, models: None, clock: Arc::new(SystemClock) };
        let memory = MemoryService::new(&MemoryConfig::default(), parts)?;
        let tenant = fixture::tenant();
        let mut corpus = BenchCorpus::new();
        let began = Instant::now();
        let pieces = add_documents(&memory, &tenant, &mut corpus, size.pieces).await?;
        anyhow::ensure!(pieces >= size.pieces, "{pieces} pieces can be found and {} were to be searched", size.pieces);
        let indexed = began.elapsed().as_secs_f64();
        let queries: Vec<String> = (0..size.searches).map(|_| corpus.query()).collect();
        let mut report = Map::new();
        report.insert("pieces".to_owned(), json!(pieces));
        report.insert("index_s".to_owned(), json!(round_figure(indexed)));
        for (mode, name) in [(SearchMode::Vector, "vector"), (SearchMode::Text, "text"), (SearchMode::Hybrid, "hybrid")]
        {
            let mut took = search(&memory, &tenant, &queries, mode).await?;
            report.insert(format!("{name}_p50_ms"), json!(round_figure(median(&mut took))));
            report.insert(format!("{name}_p99_ms"), json!(round_figure(percentile(&mut took, 0.99))));
        }
        Ok(Value::Object(report))
    })
}

/// Adds documents until the requested number of chunks exists. Returns that number.
async fn add_documents(
    memory: &MemoryService,
    tenant: &TenantId,
    corpus: &mut BenchCorpus,
    pieces: usize,
) -> anyhow::Result<usize> {
    let documents: Vec<SourceDocument> = (0..pieces.div_ceil(SECTIONS)).map(|number| corpus.document(number)).collect();
    let adding = documents.into_iter().map(|document| memory.add(tenant, MemoryCollection::Knowledge, document));
    let mut adding = futures::stream::iter(adding).buffer_unordered(CONCURRENT_DOCUMENTS);
    let mut laid = 0;
    while let Some(added) = adding.next().await {
        laid += added?.pieces;
    }
    Ok(laid)
}

/// Milliseconds for each query, after each query has run once as a warm-up.
async fn search(
    memory: &MemoryService,
    tenant: &TenantId,
    queries: &[String],
    mode: SearchMode,
) -> anyhow::Result<Vec<f64>> {
    let mut took = Vec::new();
    for is_measured in [false, true] {
        for query in queries {
            let search = SearchRequest { mode, ..SearchRequest::knowledge(query) };
            let began = Instant::now();
            let found = memory.search(tenant, &search).await?;
            anyhow::ensure!(!found.passages.is_empty(), "a measured search found nothing: {query}");
            if is_measured {
                took.push(began.elapsed().as_secs_f64() * 1_000.0);
            }
        }
    }
    Ok(took)
}

/// Text that resembles natural language in what a search depends on: word lengths and frequencies. Deterministic.
struct BenchCorpus {
    state: u64,
    /// Cumulative frequencies of the words.
    sums: Vec<f64>,
}

impl BenchCorpus {
    fn new() -> Self {
        let mut sum = 0.0;
        let sums = (1..=VOCABULARY).map(|rank| {
            #[expect(clippy::cast_precision_loss, reason = "a rank below 2^52")]
            let frequency = 1.0 / rank as f64;
            sum += frequency;
            sum
        });
        Self { state: 0x5eed, sums: sums.collect() }
    }

    fn document(&mut self, number: usize) -> SourceDocument {
        let mut text = String::new();
        for section in 0..SECTIONS {
            text.push_str(&format!("## Section {section}\n\n"));
            for _ in 0..SENTENCES {
                let words: Vec<String> = (0..WORDS).map(|_| self.word()).collect();
                text.push_str(&words.join(" "));
                text.push_str(". ");
            }
            text.push_str("\n\n");
        }
        let (name, title) = (format!("{number}.md"), format!("Document {number}"));
        SourceDocument { name, title, subject: None, metadata: Map::new(), text, body: Value::Null }
    }

    fn query(&mut self) -> String {
        (0..QUERY_WORDS).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    /// A word by its rank: pronounceable, and shorter if it is more frequent.
    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 32] = [
            "ba", "co", "di", "fu", "ga", "ho", "ji", "ka", "lo", "me", "nu", "pa", "que", "ri", "so", "tu", "va",
            "we", "xi", "yo", "za", "bre", "cla", "dro", "fle", "gri", "pla", "sta", "tri", "cha", "sho", "thu",
        ];
        let last = self.sums.last().copied().unwrap_or(1.0);
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let at = (self.next() >> 11) as f64 / (1_u64 << 53) as f64 * last;
        let mut rank = self.sums.partition_point(|sum| *sum < at) + 1;
        let mut word = String::new();
        while rank > 0 {
            word.push_str(SYLLABLES.get(rank % SYLLABLES.len()).copied().unwrap_or_default());
            rank /= SYLLABLES.len();
        }
        word
    }

    /// splitmix64 (Steele et al. 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
