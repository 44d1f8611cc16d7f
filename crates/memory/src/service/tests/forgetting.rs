//! Forgetting wins: whatever operation was in progress when it began, and however the two interleave, nothing of the
//! person is stored afterwards.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context as Polled, Poll};

use baton_ports::index::{
    self, ChunkBatch, DocumentFilter, DocumentRevision, ForgetWatermark, IndexGeneration, IndexProgress,
    IndexedPassage, SearchHit, StoredDocument, SwitchResult,
};
use baton_ports::records::{self, RecordOp, StoredRecord};
use proptest::prelude::*;

use super::*;

/// The word that must not be found anywhere.
const SECRET: &str = "xyzzy";
const SPACES: [&str; 5] =
    ["memory.conversations", "memory.messages", "memory.customers", "memory.inquiries", "memory.inquiry_days"];

/// Yields to the other task, once.
struct YieldOnce(bool);

impl Future for YieldOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, polled: &mut Polled<'_>) -> Poll<()> {
        polled.waker().wake_by_ref();
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

async fn turn() {
    YieldOnce(false).await;
}

/// Records, an index or models that yield at each call.
struct YieldingPort<T>(T);

#[async_trait]
impl RecordStore for YieldingPort<fake::FakeStore> {
    async fn commit(&self, tenant: &TenantId, ops: Vec<RecordOp>, at: Time) -> Result<(), records::RecordError> {
        turn().await;
        self.0.commit(tenant, ops, at).await
    }

    async fn get(
        &self,
        tenant: &TenantId,
        space: &str,
        key: &str,
    ) -> Result<Option<StoredRecord>, records::RecordError> {
        turn().await;
        self.0.get(tenant, space, key).await
    }

    async fn list(
        &self,
        tenant: &TenantId,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, records::RecordError> {
        turn().await;
        self.0.list(tenant, space, prefix, after, limit).await
    }

    async fn ranges(
        &self,
        tenant: &TenantId,
        space: &str,
        resource: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, i64, String)>, records::RecordError> {
        self.0.ranges(tenant, space, resource, from, to).await
    }
}

#[async_trait]
impl DocumentIndex for YieldingPort<fake::FakeIndex> {
    async fn put(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        document: SourceDocument,
        since: ForgetWatermark,
        at: Time,
    ) -> Result<Option<DocumentRevision>, index::IndexError> {
        turn().await;
        self.0.put(tenant, of, document, since, at).await
    }

    async fn document(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        name: &str,
    ) -> Result<Option<StoredDocument>, index::IndexError> {
        turn().await;
        self.0.document(tenant, of, name).await
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, index::IndexError> {
        turn().await;
        self.0.documents(tenant, of, after, limit).await
    }

    async fn remove(&self, tenant: &TenantId, of: MemoryCollection, name: &str) -> Result<bool, index::IndexError> {
        turn().await;
        self.0.remove(tenant, of, name).await
    }

    async fn forget(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        subject: &str,
        at: Time,
    ) -> Result<u64, index::IndexError> {
        turn().await;
        self.0.forget(tenant, of, subject, at).await
    }

    async fn forget_count(&self, tenant: &TenantId, of: MemoryCollection) -> Result<u64, index::IndexError> {
        turn().await;
        self.0.forget_count(tenant, of).await
    }

    async fn generations(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
    ) -> Result<Vec<IndexGeneration>, index::IndexError> {
        turn().await;
        self.0.generations(tenant, of).await
    }

    async fn begin(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        recipe: &IndexRecipe,
        at: Time,
    ) -> Result<IndexGeneration, index::IndexError> {
        turn().await;
        self.0.begin(tenant, of, recipe, at).await
    }

    async fn unindexed(
        &self,
        tenant: &TenantId,
        generation: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, index::IndexError> {
        turn().await;
        self.0.unindexed(tenant, generation, after, limit).await
    }

    async fn add_chunks(
        &self,
        tenant: &TenantId,
        generation: u64,
        laying: ChunkBatch,
    ) -> Result<IndexProgress, index::IndexError> {
        turn().await;
        self.0.add_chunks(tenant, generation, laying).await
    }

    async fn make_live(&self, tenant: &TenantId, generation: u64) -> Result<SwitchResult, index::IndexError> {
        turn().await;
        self.0.make_live(tenant, generation).await
    }

    async fn discard(&self, tenant: &TenantId, generation: u64) -> Result<(), index::IndexError> {
        self.0.discard(tenant, generation).await
    }

    async fn search_vectors(
        &self,
        tenant: &TenantId,
        generation: u64,
        vector: &[f32],
        filter: &DocumentFilter,
        limit: usize,
    ) -> Result<Vec<SearchHit>, index::IndexError> {
        turn().await;
        self.0.search_vectors(tenant, generation, vector, filter, limit).await
    }

    async fn search_words(
        &self,
        tenant: &TenantId,
        generation: u64,
        words: &[String],
        filter: &DocumentFilter,
        limit: usize,
    ) -> Result<Vec<SearchHit>, index::IndexError> {
        turn().await;
        self.0.search_words(tenant, generation, words, filter, limit).await
    }

    async fn passages(
        &self,
        tenant: &TenantId,
        generation: u64,
        pieces: &[u64],
    ) -> Result<Vec<IndexedPassage>, index::IndexError> {
        turn().await;
        self.0.passages(tenant, generation, pieces).await
    }
}

/// The operations that may be in progress.
#[derive(Clone, Copy, Debug)]
enum MemoryWork {
    SaysInHers,
    SaysInHersUnknown,
    SaysInAnother,
    SetsSession,
    Summarises,
    Closes,
    ClosesWithWords,
    AddsHerDocument,
    ChangesHerDocument,
    RecordsExecution,
    Reindexes,
}

const WORKS: [MemoryWork; 11] = [
    MemoryWork::SaysInHers,
    MemoryWork::SaysInHersUnknown,
    MemoryWork::SaysInAnother,
    MemoryWork::SetsSession,
    MemoryWork::Summarises,
    MemoryWork::Closes,
    MemoryWork::ClosesWithWords,
    MemoryWork::AddsHerDocument,
    MemoryWork::ChangesHerDocument,
    MemoryWork::RecordsExecution,
    MemoryWork::Reindexes,
];

fn about_ana(name: &str) -> SourceDocument {
    SourceDocument { subject: Some("ana".to_owned()), ..page(name, &format!("She told us {SECRET}")) }
}

fn tried(goal: &str) -> AgentExecution {
    AgentExecution { goal: format!("{goal} {SECRET}"), ..execution("e1", "", true) }
}

impl MemoryWork {
    async fn perform(self, memory: &MemoryService, elsewhere: &MemoryService) -> Result<(), MemoryError> {
        let secret = || message(MessageSpeaker::Customer, &format!("I say {SECRET}"));
        let closing = |summary: Option<&str>| ConversationClosing {
            outcome: "success".into(),
            summary: summary.map(str::to_owned),
        };
        match self {
            Self::SaysInHers => memory.add_message(&tenant(), "c1", Some("ana"), secret()).await,
            Self::SaysInHersUnknown => memory.add_message(&tenant(), "c1", None, secret()).await,
            Self::SaysInAnother => memory.add_message(&tenant(), "c2", Some("ana"), secret()).await,
            Self::SetsSession => {
                let fields = Map::from_iter([("said".to_owned(), json!(SECRET))]);
                memory.set_session(&tenant(), "c1", &fields).await
            }
            Self::Summarises => memory.summarise(&asker(), "c1", 0).await.map(drop),
            Self::Closes => memory.close(&asker(), "c1", closing(None)).await.map(drop),
            Self::ClosesWithWords => memory.close(&asker(), "c1", closing(Some(SECRET))).await.map(drop),
            Self::AddsHerDocument => memory.add(&tenant(), KNOWLEDGE, about_ana("more")).await.map(drop),
            Self::ChangesHerDocument => {
                let changed = SourceDocument { title: "Changed".to_owned(), ..about_ana("hers") };
                memory.add(&tenant(), KNOWLEDGE, changed).await.map(drop)
            }
            Self::RecordsExecution => memory.record_execution(&tenant(), tried("again")).await,
            Self::Reindexes => {
                for of in MemoryCollection::ALL {
                    elsewhere.reindex(&tenant(), of).await?;
                }
                Ok(())
            }
        }
    }
}

/// All memories and ports, whose contents are searched at the end.
struct ForgetScene {
    world: MemoryFixture,
    memory: MemoryService,
    /// With other settings, to build a generation beside the live one.
    otherwise: MemoryService,
}

impl ForgetScene {
    async fn new() -> Self {
        let world = MemoryFixture {
            models: Arc::new(ScriptedReplies { words: Some(SECRET), ..ScriptedReplies::default() }),
            ..MemoryFixture::new()
        };
        let plain = world.memory();
        talk(&plain, "c0", Some("ana"), &[SECRET]).await;
        close(&plain, "c0", "success", None).await;
        talk(&plain, "c1", Some("ana"), &[SECRET, "Really?", SECRET]).await;
        talk(&plain, "c3", Some("ben"), &["hello"]).await;
        plain.add(&tenant(), KNOWLEDGE, about_ana("hers")).await.unwrap();
        plain.add(&tenant(), KNOWLEDGE, page("ours", TIDES)).await.unwrap();
        plain.record_execution(&tenant(), tried("first")).await.unwrap();
        let clock: Arc<dyn Clock> = Arc::new(TickingClock(AtomicUsize::new(1_000_000)));
        let memory = |config: &MemoryConfig| {
            let parts = MemoryPorts {
                index: Arc::new(YieldingPort(world.index.clone())),
                records: Arc::new(YieldingPort(world.records.clone())),
                models: Some(world.models.clone()),
                clock: clock.clone(),
            };
            MemoryService::new(config, parts).unwrap()
        };
        let otherwise = memory(&MemoryConfig { chunk_tokens: 40, chunk_overlap: 0, ..MemoryConfig::default() });
        Self { memory: memory(&MemoryConfig::default()), otherwise, world }
    }

    /// `turns` decides in each step whether the operation or the forgetting advances; when one has ended, the other
    /// runs to its end.
    fn play(&self, work: MemoryWork, mut turns: impl FnMut() -> bool) {
        let (memory, otherwise) = (&self.memory, &self.otherwise);
        let mut working = pin!(work.perform(memory, otherwise));
        let mut forgetting = pin!(async { memory.forget(&tenant(), "ana").await });
        let mut polled = Polled::from_waker(std::task::Waker::noop());
        // The operation was in progress before the forgetting began.
        let (mut worked, mut forgotten) = (working.as_mut().poll(&mut polled), Poll::Pending);
        while worked.is_pending() || forgotten.is_pending() {
            let goes_on = turns();
            if worked.is_pending() && (goes_on || forgotten.is_ready()) {
                worked = working.as_mut().poll(&mut polled);
            } else if forgotten.is_pending() {
                forgotten = forgetting.as_mut().poll(&mut polled);
            }
        }
        assert!(matches!(forgotten, Poll::Ready(Ok(_))), "{work:?}: {forgotten:?}");
        let is_fine = |done: &Result<(), MemoryError>| {
            matches!(done, Ok(()) | Err(MemoryError::NotFound { .. } | MemoryError::Forgotten { .. }))
        };
        assert!(matches!(&worked, Poll::Ready(done) if is_fine(done)), "{work:?}: {worked:?}");
    }

    /// The places that still contain her messages or her name.
    async fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for space in SPACES {
            for record in self.world.records.list(&tenant(), space, "", None, 1_000).await.unwrap() {
                left.push(format!("{space} {} {}", record.key, record.value));
            }
        }
        for of in MemoryCollection::ALL {
            for head in self.world.index.documents(&tenant(), of, None, 1_000).await.unwrap() {
                left.push(format!("{:?}", self.world.index.document(&tenant(), of, &head.name).await.unwrap()));
            }
            for generation in self.world.index.generations(&tenant(), of).await.unwrap() {
                let (words, all) = ([SECRET.to_owned()], DocumentFilter::default());
                let hits = self.world.index.search_words(&tenant(), generation.id, &words, &all, 9).await.unwrap();
                left.extend(hits.iter().map(|hit| format!("the piece {SECRET} {}", hit.piece)));
            }
        }
        left.retain(|text| text.contains(SECRET) || text.contains("ana"));
        left
    }
}

/// The operation advances some steps, then the forgetting some steps, then the operation to its end; and the other way
/// round.
#[tokio::test]
async fn nothing_of_a_person_comes_back_wherever_the_work_is_interrupted() {
    for work in WORKS {
        for worked in 0..60 {
            for forgot in [3, 9, usize::MAX] {
                let scene = ForgetScene::new().await;
                let mut turn = 0_usize;
                scene.play(work, || {
                    turn += 1;
                    turn <= worked || turn > worked.saturating_add(forgot)
                });
                let left = scene.left().await;
                assert_eq!(left, [] as [&str; 0], "{work:?}, after {worked} turns and {forgot} of forgetting");
                // Beyond the length of the operation, every interleaving is the same.
                if turn <= worked {
                    break;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn nothing_of_a_person_comes_back_however_they_take_turns(
        work in 0..WORKS.len(),
        turns in proptest::collection::vec(any::<bool>(), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let scene = ForgetScene::new().await;
            let mut turns = turns.into_iter();
            scene.play(WORKS[work], || turns.next().unwrap_or(false));
            assert_eq!(scene.left().await, [] as [&str; 0], "{:?}", WORKS[work]);
        });
    }
}

#[tokio::test]
async fn who_comes_back_is_somebody_new() {
    let memory = MemoryFixture::new().memory();
    talk(&memory, "c1", Some("ana"), &["one"]).await;
    memory.forget(&tenant(), "ana").await.unwrap();
    talk(&memory, "c1", Some("ana"), &["two"]).await;
    memory.add(&tenant(), KNOWLEDGE, about_ana("hers")).await.unwrap();
    memory.record_execution(&tenant(), tried("again")).await.unwrap();
    let recent = memory.recent(&tenant(), "c1", 9).await.unwrap();
    assert_eq!(recent.iter().map(|message| message.content.as_str()).collect::<Vec<_>>(), ["two"]);
    let again = memory.forget(&tenant(), "ana").await.unwrap();
    assert_eq!((again.threads, again.knowledge, again.executions), (1, 1, 1));
}
