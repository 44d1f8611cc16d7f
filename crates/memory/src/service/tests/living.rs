//! Ongoing conversations: messages that no longer fit into a context are summarised, once, and no message is lost.

use tokio::sync::Notify;

use super::*;

/// Returns a summary once it is released, and counts the calls.
#[derive(Default)]
struct SlowModels {
    asked: Mutex<Vec<ModelCaller>>,
    begun: Notify,
    go: Notify,
}

#[async_trait]
impl ModelService for SlowModels {
    async fn ask(
        &self,
        asker: &ModelCaller,
        _: &ModelRequest,
        _: Duration,
        _: Option<&DeltaSender>,
    ) -> Result<ModelReply, ModelCallError> {
        self.asked.lock().unwrap().push(asker.clone());
        self.begun.notify_one();
        self.go.notified().await;
        let reply = json!({
            "content": "They spoke of kettles.", "finish": "stop", "usage": {}, "model": "m", "provider": "script",
            "cost": 1_000, "latency_ms": 1,
        });
        Ok(serde_json::from_value(reply).unwrap())
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn explain(&self, _: &TenantId, _: &str) -> Option<Value> {
        None
    }
}

impl MemoryFixture {
    fn with(&self, models: Arc<dyn ModelService>, now_ms: usize) -> MemoryService {
        let parts = MemoryPorts {
            index: Arc::new(self.index.clone()),
            records: Arc::new(self.records.clone()),
            models: Some(models),
            clock: Arc::new(TickingClock(AtomicUsize::new(now_ms))),
        };
        MemoryService::new(&MemoryConfig::default(), parts).unwrap()
    }
}

fn under(key: &str) -> ModelCaller {
    ModelCaller { key: key.to_owned(), ..asker() }
}

async fn talks(memory: &MemoryService, messages: usize) {
    let said: Vec<String> = (0..messages).map(|number| format!("message {number}")).collect();
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    talk(memory, "c1", None, &said).await;
}

fn wanted() -> ContextRequest {
    ContextRequest { strategy: ContextStrategy::ShortOnly, ..ContextRequest::new(Some("c1".into()), "") }
}

#[tokio::test]
async fn a_context_says_how_many_words_are_told_nowhere_and_a_summary_tells_them() {
    let mut world = MemoryFixture::new();
    world.models = Arc::new(ScriptedReplies { words: Some("They spoke of kettles."), ..ScriptedReplies::default() });
    let memory = world.memory();
    talks(&memory, 50).await;
    let context = memory.context(&tenant(), &wanted()).await.unwrap();
    assert_eq!((context.recent_messages.len(), context.left_out.unsummarised), (50, 0), "all of it fits");
    talks(&memory, 30).await;
    let context = memory.context(&tenant(), &wanted()).await.unwrap();
    assert_eq!((context.recent_messages.len(), context.left_out.unsummarised), (50, 30));
    let short = ContextRequest { tokens: Some(40), ..wanted() };
    let context = memory.context(&tenant(), &short).await.unwrap();
    assert_eq!(context.left_out.unsummarised, 80 - context.recent_messages.len(), "its budget is passed sooner");

    memory.summarise(&asker(), "c1", 25).await.unwrap().unwrap();
    let context = memory.context(&tenant(), &wanted()).await.unwrap();
    assert_eq!(context.summary.as_deref(), Some("They spoke of kettles."));
    assert_eq!((context.recent_messages.len(), context.left_out.unsummarised), (50, 0));
    // All messages are still there.
    let recent = memory.recent(&tenant(), "c1", 80).await.unwrap();
    assert_eq!(recent.len(), 80);
    // The next messages need no summary for a while.
    talks(&memory, 20).await;
    assert_eq!(memory.context(&tenant(), &wanted()).await.unwrap().left_out.unsummarised, 0);
}

#[tokio::test]
async fn of_two_who_would_sum_it_up_at_once_one_does_and_pays() {
    let (world, slow) = (MemoryFixture::new(), Arc::new(SlowModels::default()));
    // Two processes on one store.
    let (one, other) = (world.with(slow.clone(), 0), world.with(slow.clone(), 500));
    talks(&one, 30).await;
    let first = under("first");
    let both = async {
        slow.begun.notified().await;
        let second = other.summarise(&under("second"), "c1", 5).await.unwrap();
        assert_eq!(second, None, "there is none yet, and nobody waits for it");
        slow.go.notify_one();
    };
    let (summary, ()) = futures::join!(one.summarise(&first, "c1", 5), both);
    assert_eq!(summary.unwrap().unwrap().covers, 25);
    let asked = slow.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].key.starts_with("first/summary/c1/"), "{asked:?}");
    // The claim is released, and there is nothing left to summarise.
    assert_eq!(other.summarise(&under("second"), "c1", 5).await.unwrap().unwrap().covers, 25);
    assert_eq!(slow.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn where_no_model_can_be_asked_the_words_stay_and_it_is_tried_again_a_minute_later() {
    let (world, failing) = (MemoryFixture::new(), Arc::new(ScriptedReplies::default()));
    let memory = world.with(failing.clone(), 0);
    talks(&memory, 30).await;
    let asked = |models: &ScriptedReplies| models.asked.lock().unwrap().len();
    for key in ["a", "b", "c"] {
        assert_eq!(memory.summarise(&under(key), "c1", 5).await.unwrap(), None);
    }
    assert_eq!(asked(&failing), 1, "nobody asks again at once");
    let context = memory.context(&tenant(), &wanted()).await.unwrap();
    assert_eq!((context.summary, context.left_out.unsummarised), (None, 0), "no excerpt took their place");
    let speaking = Arc::new(ScriptedReplies { words: Some("Kettles."), ..ScriptedReplies::default() });
    let soon = world.with(speaking.clone(), 30_000);
    assert_eq!((soon.summarise(&under("d"), "c1", 5).await.unwrap(), asked(&speaking)), (None, 0));
    let later = world.with(speaking.clone(), 90_000);
    assert_eq!(later.summarise(&under("d"), "c1", 5).await.unwrap().unwrap().by, SummarySource::Model);
}

#[tokio::test]
async fn a_call_that_is_made_again_after_a_crash_goes_on_with_the_summary_it_had_in_hand() {
    let world = MemoryFixture::new();
    let failing = world.with(Arc::new(ScriptedReplies::default()), 0);
    talks(&failing, 30).await;
    assert_eq!(failing.summarise(&under("k"), "c1", 5).await.unwrap(), None);
    let speaking = Arc::new(ScriptedReplies { words: Some("Kettles."), ..ScriptedReplies::default() });
    let again = world.with(speaking, 10);
    assert_eq!(again.summarise(&under("k"), "c1", 5).await.unwrap().unwrap().covers, 25);
}
