//! Tests with a manual clock and the systems of two processes over one store.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_engine::triggers::schedule::{MissedRunPolicy, OverlapPolicy, STATE, ScheduleTrigger};
use baton_engine::triggers::{TriggerError, find};
use baton_engine::webhook_delivery::{DeliveryStatus, WebhookSubscription};
use baton_ports::post::{PostError, PostResponse, WebhookClient};
use baton_ports::read::{ReadModel as _, RunFilter, RunHead};
use baton_ports::records::{RecordOp, RecordStore as _};
use baton_store::sqlite::{SqliteStore, StoreOptions};
use serde_json::json;

use super::super::maintenance::tests::SettableClock;
use super::*;

const TICK: &str = "\
name: tick
input: {at: {type: string, default: ''}}
nodes: [{id: note, type: transform, set: {at: '{{ input.at }}'}}]
";
const LONG: &str = "name: long\nnodes: [{id: parcel, type: wait, signal: arrived}]\n";

struct JobsFixture {
    _folder: tempfile::TempDir,
    project: Project,
    store: SqliteStore,
    clock: Arc<SettableClock>,
}

fn time(text: &str) -> Time {
    text.parse().expect("a time")
}

impl JobsFixture {
    fn at(now: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("workflows")).expect("a folder");
        for (name, text) in [("tick", TICK), ("long", LONG)] {
            std::fs::write(folder.path().join(format!("workflows/{name}.yaml")), text).expect("a file");
        }
        let project = Project::open(folder.path()).expect("a project");
        let store = SqliteStore::in_memory(StoreOptions::default()).expect("opens");
        let clock = Arc::new(SettableClock(AtomicI64::new(time(now).as_ms())));
        Self { _folder: folder, project, store, clock }
    }

    fn set(&self, now: &str) {
        self.clock.0.store(time(now).as_ms(), Ordering::Release);
    }

    async fn system(&self) -> ProjectSystem {
        let mut system =
            ProjectSystem::with_clock(&self.project, self.store.clone(), self.clock.clone()).expect("is put together");
        system.save_workflows(&self.project).await.expect("saves");
        system
    }

    async fn keep(&self, schedule: ScheduleTrigger) {
        let system = self.system().await;
        let kept = system.serve_with_engine(async |engine| {
            let triggers = system.triggers(&self.project, engine);
            Ok(triggers.save_schedule(&system.tenant, None, schedule, self.clock.now()).await?)
        });
        kept.await.expect("is kept");
    }

    /// Two processes run a round at the same time.
    async fn run_twice(&self) {
        let (one, other) = (self.system().await, self.system().await);
        let both = one.serve_with_engine(async |engine| {
            let beside = other.serve_with_engine(async |beside| {
                let (first, second) = (
                    BackgroundJobs::new(&self.project, &one, engine),
                    BackgroundJobs::new(&self.project, &other, beside),
                );
                tokio::join!(first.run_due_schedules(), second.run_due_schedules());
                Ok(())
            });
            beside.await
        });
        both.await.expect("both look");
    }

    async fn runs(&self) -> Vec<RunHead> {
        let filter = RunFilter { limit: 500, ..RunFilter::default() };
        self.store.runs(&self.tenant(), filter).await.expect("reads")
    }

    fn tenant(&self) -> TenantId {
        self.project.tenant().expect("a tenant")
    }
}

fn hourly(missed: MissedRunPolicy, overlap: OverlapPolicy, workflow: &str) -> ScheduleTrigger {
    serde_json::from_value(json!({
        "name": "hourly", "workflow": workflow, "cron": "0 * * * *", "missed": missed, "overlap": overlap,
        "input": match workflow { "tick" => json!({ "at": "{{ scheduled_at }}" }), _ => json!({}) },
    }))
    .expect("a schedule")
}

#[tokio::test]
async fn an_instant_is_one_run_by_two_processes_and_after_a_crash_between_the_run_and_its_note() {
    let scene = JobsFixture::at("2026-11-23T09:59:00Z");
    scene.keep(hourly(MissedRunPolicy::RunOnce, OverlapPolicy::Allow, "tick")).await;
    scene.run_twice().await;
    assert_eq!(scene.runs().await.len(), 0, "not before its time");
    scene.set("2026-11-23T10:00:01Z");
    scene.run_twice().await;
    let first = scene.runs().await;
    assert_eq!(first.len(), 1);
    // As if the process that started the run had died before it recorded that.
    let forgot = json!({ "done": time("2026-11-23T09:59:00Z"), "last_run": null, "last_instant": null, "error": null });
    let put = RecordOp::Put { space: STATE.to_owned(), key: "hourly".to_owned(), value: forgot };
    scene.store.commit(&scene.tenant(), vec![put], scene.clock.now()).await.expect("is written");
    scene.run_twice().await;
    let again = scene.runs().await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].run, first[0].run);
    scene.set("2026-11-23T11:00:00Z");
    scene.run_twice().await;
    assert_eq!(scene.runs().await.len(), 2);
}

/// The number of runs after four hours without a server, and after the next scheduled time.
async fn check_missed(missed: MissedRunPolicy, expected: (usize, usize)) {
    let scene = JobsFixture::at("2026-11-23T10:00:00Z");
    scene.keep(hourly(missed, OverlapPolicy::Allow, "tick")).await;
    scene.set("2026-11-23T14:30:00Z");
    scene.run_twice().await;
    let after_the_outage = scene.runs().await.len();
    scene.run_twice().await;
    scene.set("2026-11-23T15:00:02Z");
    scene.run_twice().await;
    assert_eq!((after_the_outage, scene.runs().await.len()), expected, "{missed:?}");
}

#[tokio::test]
async fn what_was_missed_is_run_once_or_all_or_not() {
    check_missed(MissedRunPolicy::RunOnce, (1, 2)).await;
    check_missed(MissedRunPolicy::RunAll, (4, 5)).await;
    check_missed(MissedRunPolicy::Skip, (0, 1)).await;
}

#[tokio::test]
async fn what_was_missed_is_bounded() {
    let scene = JobsFixture::at("2026-01-01T00:00:00Z");
    scene.keep(hourly(MissedRunPolicy::RunAll, OverlapPolicy::Allow, "tick")).await;
    scene.set("2026-11-23T14:30:00Z");
    scene.run_twice().await;
    assert_eq!(scene.runs().await.len(), 100);
}

#[tokio::test]
async fn while_a_run_goes_on_the_next_is_begun_beside_or_left_out_or_waits() {
    for (overlap, expected) in [(OverlapPolicy::Allow, 2), (OverlapPolicy::Skip, 1), (OverlapPolicy::Wait, 1)] {
        let scene = JobsFixture::at("2026-11-23T09:59:00Z");
        scene.keep(hourly(MissedRunPolicy::RunOnce, overlap, "long")).await;
        for now in ["2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"] {
            scene.set(now);
            scene.run_twice().await;
        }
        assert_eq!(scene.runs().await.len(), expected, "{overlap:?}");
    }
}

#[tokio::test]
async fn a_paused_schedule_begins_nothing_and_makes_nothing_up() {
    let scene = JobsFixture::at("2026-11-23T09:59:00Z");
    scene.keep(hourly(MissedRunPolicy::RunAll, OverlapPolicy::Allow, "tick")).await;
    let enable = async |on: bool| {
        let system = scene.system().await;
        let done = system.serve_with_engine(async |engine| {
            let triggers = system.triggers(&scene.project, engine);
            Ok(triggers.enable_schedule(&system.tenant, "hourly", on, None, scene.clock.now()).await?)
        });
        done.await.expect("is changed");
    };
    enable(false).await;
    scene.set("2026-11-23T12:30:00Z");
    scene.run_twice().await;
    enable(true).await;
    scene.run_twice().await;
    assert_eq!(scene.runs().await.len(), 0);
    scene.set("2026-11-23T13:00:00Z");
    scene.run_twice().await;
    assert_eq!(scene.runs().await.len(), 1);
}

/// A subscriber that gives configured responses and records its requests.
#[derive(Default)]
struct FakeSubscriber {
    answers: Mutex<Vec<Result<PostResponse, PostError>>>,
    received: Mutex<Vec<(String, serde_json::Value)>>,
}

#[async_trait]
impl WebhookClient for FakeSubscriber {
    fn check(&self, _url: &str) -> Result<(), String> {
        Ok(())
    }

    async fn post(
        &self,
        _url: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<PostResponse, PostError> {
        let id = headers.iter().find(|(name, _)| *name == "webhook-id").map(|(_, id)| id.clone());
        let body = serde_json::from_slice(&body).expect("JSON");
        self.received.lock().expect("whole").push((id.expect("an id"), body));
        let next = self.answers.lock().expect("whole").pop();
        match next {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

const TAKEN: Result<PostResponse, PostError> = Ok(PostResponse { status: 204, retry_after_ms: None });
const FAILED: Result<PostResponse, PostError> = Ok(PostResponse { status: 503, retry_after_ms: None });

/// Executes a workflow to its end with a subscriber that gives these responses, the last one first.
async fn deliver_run(
    answers: Vec<Result<PostResponse, PostError>>,
) -> (JobsFixture, Arc<FakeSubscriber>, WebhookSender) {
    let scene = JobsFixture::at("2026-11-23T10:00:00Z");
    let system = scene.system().await;
    let listener = Arc::new(FakeSubscriber { answers: Mutex::new(answers), ..FakeSubscriber::default() });
    let outgoing = WebhookSender { post: listener.clone(), ..system.webhook_delivery(&scene.project) };
    let subscription: WebhookSubscription =
        serde_json::from_value(json!({ "name": "shop", "url": "https://shop.example/", "events": ["execution.*"] }))
            .expect("a subscription");
    let secret = Some("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned());
    outgoing.save(&system.tenant, None, subscription, secret).await.expect("is kept");
    scene.keep(hourly(MissedRunPolicy::RunOnce, OverlapPolicy::Allow, "tick")).await;
    let ran = system.serve_with_engine(async |engine| {
        let triggers = system.triggers(&scene.project, engine);
        let run = triggers.run_schedule(&system.tenant, "hourly", ("now", None), scene.clock.now()).await?;
        let mut follower = crate::progress::follower(engine, &system);
        follower.follow(&run).await?;
        Ok(follower.wait_all_idle().await?)
    });
    ran.await.expect("runs");
    (scene, listener, outgoing)
}

#[tokio::test]
async fn what_fails_is_posted_again_under_the_same_id_later_and_later_until_it_is_taken() {
    let (scene, listener, outgoing) = deliver_run(vec![TAKEN, FAILED, FAILED]).await;
    let tenant = scene.tenant();
    let heard = || listener.received.lock().expect("whole").len();
    for (now, expected) in [
        ("2026-11-23T10:00:00Z", 1),
        ("2026-11-23T10:00:04Z", 1),
        ("2026-11-23T10:00:05Z", 2),
        ("2026-11-23T10:00:34Z", 2),
        ("2026-11-23T10:00:35Z", 3),
        ("2026-11-30T00:00:00Z", 3),
    ] {
        scene.set(now);
        for _ in 0..3 {
            outgoing.deliver_due(&tenant).await.expect("looks");
        }
        assert_eq!(heard(), expected, "{now}");
    }
    let heard = listener.received.lock().expect("whole").clone();
    assert!(heard.iter().all(|one| *one == heard[0]), "the same id and body: {heard:?}");
    assert_eq!(heard[0].1["type"], "execution.completed");
    let sent = outgoing.deliveries(&tenant, "shop", DeliveryStatus::Sent, None, 10).await.expect("reads");
    assert_eq!((sent.len(), sent[0].attempts), (1, 3));
}

#[tokio::test]
async fn what_is_never_taken_is_a_dead_letter_and_may_be_sent_again() {
    let (scene, listener, outgoing) = deliver_run(vec![FAILED; 10]).await;
    let tenant = scene.tenant();
    for day in 24..30 {
        for hour in 0..24 {
            scene.set(&format!("2026-11-{day}T{hour:02}:00:00Z"));
            outgoing.deliver_due(&tenant).await.expect("looks");
        }
    }
    assert_eq!(listener.received.lock().expect("whole").len(), 10);
    let dead = outgoing.deliveries(&tenant, "shop", DeliveryStatus::Dead, None, 10).await.expect("reads");
    assert_eq!((dead.len(), dead[0].attempts, dead[0].last.as_deref()), (1, 10, Some("answered 503")));
    listener.answers.lock().expect("whole").push(TAKEN);
    outgoing.replay(&tenant, "shop", &dead[0].id).await.expect("is there");
    outgoing.deliver_due(&tenant).await.expect("looks");
    assert_eq!(listener.received.lock().expect("whole").len(), 11);
    assert!(outgoing.deliveries(&tenant, "shop", DeliveryStatus::Dead, None, 10).await.expect("reads").is_empty());
    let unknown = outgoing.replay(&tenant, "shop", "msg_none").await.expect_err("is not there");
    assert!(matches!(unknown, TriggerError::Unknown { .. }), "{unknown}");
    let other = find::<WebhookSubscription>(&scene.store, &TenantId::from("other"), "shop").await;
    assert!(matches!(other, Err(TriggerError::Unknown { .. })), "another tenant has none");
}

#[tokio::test]
async fn what_its_sender_died_over_is_posted_again_and_by_one_only_until_then() {
    let (scene, listener, outgoing) = deliver_run(Vec::new()).await;
    let tenant = scene.tenant();
    let heard = || listener.received.lock().expect("whole").len();
    let dies = async || {
        let before = heard();
        let is_heard = async {
            while heard() == before {
                tokio::task::yield_now().await;
            }
        };
        let look = async {
            for _ in 0..3 {
                outgoing.deliver_due(&tenant).await.expect("looks");
            }
        };
        tokio::select! {
            biased;
            () = look => {}
            () = is_heard => {}
        }
    };
    dies().await;
    assert_eq!(heard(), 1, "it hangs there, and whoever posted dies");
    scene.set("2026-11-23T10:00:59Z");
    dies().await;
    assert_eq!(heard(), 1, "it is another's for a minute");
    scene.set("2026-11-23T10:01:01Z");
    listener.answers.lock().expect("whole").push(TAKEN);
    outgoing.deliver_due(&tenant).await.expect("looks");
    assert_eq!(heard(), 2);
    let heard = listener.received.lock().expect("whole").clone();
    assert_eq!(heard[0], heard[1]);
}
