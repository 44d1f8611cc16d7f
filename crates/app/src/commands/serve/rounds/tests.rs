//! By a clock that is set, with two processes' worth of systems over one store.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_engine::outgoing::{Stands, Subscription};
use baton_engine::triggers::schedule::{Missed, Overlap, STATE, Schedule};
use baton_engine::triggers::{Error, find};
use baton_ports::post::{NotPosted, Post, Posted};
use baton_ports::read::{Read as _, RunFilter, RunHead};
use baton_ports::records::{Op, Records as _};
use baton_store::sqlite::{Options, Store};
use serde_json::json;

use super::super::upkeep::tests::SetClock;
use super::*;

const TICK: &str = "\
name: tick
input: {at: {type: string, default: ''}}
nodes: [{id: note, type: transform, set: {at: '{{ input.at }}'}}]
";
const LONG: &str = "name: long\nnodes: [{id: parcel, type: wait, signal: arrived}]\n";

struct Scene {
    _folder: tempfile::TempDir,
    project: Project,
    store: Store,
    clock: Arc<SetClock>,
}

fn time(text: &str) -> Time {
    text.parse().expect("a time")
}

impl Scene {
    fn at(now: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("workflows")).expect("a folder");
        for (name, text) in [("tick", TICK), ("long", LONG)] {
            std::fs::write(folder.path().join(format!("workflows/{name}.yaml")), text).expect("a file");
        }
        let project = Project::open(folder.path()).expect("a project");
        let store = Store::in_memory(Options::default()).expect("opens");
        let clock = Arc::new(SetClock(AtomicI64::new(time(now).as_ms())));
        Self { _folder: folder, project, store, clock }
    }

    fn set(&self, now: &str) {
        self.clock.0.store(time(now).as_ms(), Ordering::Release);
    }

    async fn system(&self) -> System {
        let mut system =
            System::by_clock(&self.project, self.store.clone(), self.clock.clone()).expect("is put together");
        system.save(&self.project).await.expect("saves");
        system
    }

    async fn keep(&self, schedule: Schedule) {
        let system = self.system().await;
        let kept = system.serving(async |engine| {
            let triggers = system.triggers(&self.project, engine);
            Ok(triggers.save_schedule(&system.tenant, None, schedule, self.clock.now()).await?)
        });
        kept.await.expect("is kept");
    }

    /// Two processes look at the same time.
    async fn look(&self) {
        let (one, other) = (self.system().await, self.system().await);
        let both = one.serving(async |engine| {
            let beside = other.serving(async |beside| {
                let (first, second) =
                    (Rounds::new(&self.project, &one, engine), Rounds::new(&self.project, &other, beside));
                tokio::join!(first.schedules(), second.schedules());
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

fn hourly(missed: Missed, overlap: Overlap, workflow: &str) -> Schedule {
    serde_json::from_value(json!({
        "name": "hourly", "workflow": workflow, "cron": "0 * * * *", "missed": missed, "overlap": overlap,
        "input": match workflow { "tick" => json!({ "at": "{{ scheduled_at }}" }), _ => json!({}) },
    }))
    .expect("a schedule")
}

#[tokio::test]
async fn an_instant_is_one_run_by_two_processes_and_after_a_crash_between_the_run_and_its_note() {
    let scene = Scene::at("2026-11-23T09:59:00Z");
    scene.keep(hourly(Missed::RunOnce, Overlap::Allow, "tick")).await;
    scene.look().await;
    assert_eq!(scene.runs().await.len(), 0, "not before its time");
    scene.set("2026-11-23T10:00:01Z");
    scene.look().await;
    let first = scene.runs().await;
    assert_eq!(first.len(), 1);
    // As if whoever began it had died before it wrote that down.
    let forgot = json!({ "done": time("2026-11-23T09:59:00Z"), "last_run": null, "last_instant": null, "error": null });
    let put = Op::Put { space: STATE.to_owned(), key: "hourly".to_owned(), value: forgot };
    scene.store.commit(&scene.tenant(), vec![put], scene.clock.now()).await.expect("is written");
    scene.look().await;
    let again = scene.runs().await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].run, first[0].run);
    scene.set("2026-11-23T11:00:00Z");
    scene.look().await;
    assert_eq!(scene.runs().await.len(), 2);
}

/// Runs after four hours in which nothing served, and after the next instant.
async fn check_missed(missed: Missed, expected: (usize, usize)) {
    let scene = Scene::at("2026-11-23T10:00:00Z");
    scene.keep(hourly(missed, Overlap::Allow, "tick")).await;
    scene.set("2026-11-23T14:30:00Z");
    scene.look().await;
    let after_the_outage = scene.runs().await.len();
    scene.look().await;
    scene.set("2026-11-23T15:00:02Z");
    scene.look().await;
    assert_eq!((after_the_outage, scene.runs().await.len()), expected, "{missed:?}");
}

#[tokio::test]
async fn what_was_missed_is_run_once_or_all_or_not() {
    check_missed(Missed::RunOnce, (1, 2)).await;
    check_missed(Missed::RunAll, (4, 5)).await;
    check_missed(Missed::Skip, (0, 1)).await;
}

#[tokio::test]
async fn what_was_missed_is_bounded() {
    let scene = Scene::at("2026-01-01T00:00:00Z");
    scene.keep(hourly(Missed::RunAll, Overlap::Allow, "tick")).await;
    scene.set("2026-11-23T14:30:00Z");
    scene.look().await;
    assert_eq!(scene.runs().await.len(), 100);
}

#[tokio::test]
async fn while_a_run_goes_on_the_next_is_begun_beside_or_left_out_or_waits() {
    for (overlap, expected) in [(Overlap::Allow, 2), (Overlap::Skip, 1), (Overlap::Wait, 1)] {
        let scene = Scene::at("2026-11-23T09:59:00Z");
        scene.keep(hourly(Missed::RunOnce, overlap, "long")).await;
        for now in ["2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"] {
            scene.set(now);
            scene.look().await;
        }
        assert_eq!(scene.runs().await.len(), expected, "{overlap:?}");
    }
}

#[tokio::test]
async fn a_paused_schedule_begins_nothing_and_makes_nothing_up() {
    let scene = Scene::at("2026-11-23T09:59:00Z");
    scene.keep(hourly(Missed::RunAll, Overlap::Allow, "tick")).await;
    let enable = async |on: bool| {
        let system = scene.system().await;
        let done = system.serving(async |engine| {
            let triggers = system.triggers(&scene.project, engine);
            Ok(triggers.enable_schedule(&system.tenant, "hourly", on, None, scene.clock.now()).await?)
        });
        done.await.expect("is changed");
    };
    enable(false).await;
    scene.set("2026-11-23T12:30:00Z");
    scene.look().await;
    enable(true).await;
    scene.look().await;
    assert_eq!(scene.runs().await.len(), 0);
    scene.set("2026-11-23T13:00:00Z");
    scene.look().await;
    assert_eq!(scene.runs().await.len(), 1);
}

/// An address that answers as it is told, and remembers what it heard.
#[derive(Default)]
struct Listener {
    answers: Mutex<Vec<Result<Posted, NotPosted>>>,
    heard: Mutex<Vec<(String, serde_json::Value)>>,
}

#[async_trait]
impl Post for Listener {
    fn check(&self, _url: &str) -> Result<(), String> {
        Ok(())
    }

    async fn post(&self, _url: &str, headers: &[(&'static str, String)], body: Vec<u8>) -> Result<Posted, NotPosted> {
        let id = headers.iter().find(|(name, _)| *name == "webhook-id").map(|(_, id)| id.clone());
        let body = serde_json::from_slice(&body).expect("JSON");
        self.heard.lock().expect("whole").push((id.expect("an id"), body));
        let next = self.answers.lock().expect("whole").pop();
        match next {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

const TAKEN: Result<Posted, NotPosted> = Ok(Posted { status: 204, retry_after_ms: None });
const FAILED: Result<Posted, NotPosted> = Ok(Posted { status: 503, retry_after_ms: None });

/// Runs a workflow to its end with somebody subscribed, whose address answers so, the last first.
async fn told(answers: Vec<Result<Posted, NotPosted>>) -> (Scene, Arc<Listener>, Outgoing) {
    let scene = Scene::at("2026-11-23T10:00:00Z");
    let system = scene.system().await;
    let listener = Arc::new(Listener { answers: Mutex::new(answers), ..Listener::default() });
    let outgoing = Outgoing { post: listener.clone(), ..system.outgoing(&scene.project) };
    let subscription: Subscription =
        serde_json::from_value(json!({ "name": "shop", "url": "https://shop.example/", "events": ["execution.*"] }))
            .expect("a subscription");
    let secret = Some("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned());
    outgoing.save(&system.tenant, None, subscription, secret).await.expect("is kept");
    scene.keep(hourly(Missed::RunOnce, Overlap::Allow, "tick")).await;
    let ran = system.serving(async |engine| {
        let triggers = system.triggers(&scene.project, engine);
        let run = triggers.run_schedule(&system.tenant, "hourly", ("now", None), scene.clock.now()).await?;
        let mut follower = crate::told::follower(engine, &system);
        follower.follow(&run).await?;
        Ok(follower.until_all_rest().await?)
    });
    ran.await.expect("runs");
    (scene, listener, outgoing)
}

#[tokio::test]
async fn what_fails_is_posted_again_under_the_same_id_later_and_later_until_it_is_taken() {
    let (scene, listener, outgoing) = told(vec![TAKEN, FAILED, FAILED]).await;
    let tenant = scene.tenant();
    let heard = || listener.heard.lock().expect("whole").len();
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
            outgoing.look(&tenant).await.expect("looks");
        }
        assert_eq!(heard(), expected, "{now}");
    }
    let heard = listener.heard.lock().expect("whole").clone();
    assert!(heard.iter().all(|one| *one == heard[0]), "the same id and body: {heard:?}");
    assert_eq!(heard[0].1["type"], "execution.completed");
    let sent = outgoing.deliveries(&tenant, "shop", Stands::Sent, None, 10).await.expect("reads");
    assert_eq!((sent.len(), sent[0].attempts), (1, 3));
}

#[tokio::test]
async fn what_is_never_taken_is_a_dead_letter_and_may_be_sent_again() {
    let (scene, listener, outgoing) = told(vec![FAILED; 10]).await;
    let tenant = scene.tenant();
    for day in 24..30 {
        for hour in 0..24 {
            scene.set(&format!("2026-11-{day}T{hour:02}:00:00Z"));
            outgoing.look(&tenant).await.expect("looks");
        }
    }
    assert_eq!(listener.heard.lock().expect("whole").len(), 10);
    let dead = outgoing.deliveries(&tenant, "shop", Stands::Dead, None, 10).await.expect("reads");
    assert_eq!((dead.len(), dead[0].attempts, dead[0].last.as_deref()), (1, 10, Some("answered 503")));
    listener.answers.lock().expect("whole").push(TAKEN);
    outgoing.replay(&tenant, "shop", &dead[0].id).await.expect("is there");
    outgoing.look(&tenant).await.expect("looks");
    assert_eq!(listener.heard.lock().expect("whole").len(), 11);
    assert!(outgoing.deliveries(&tenant, "shop", Stands::Dead, None, 10).await.expect("reads").is_empty());
    let unknown = outgoing.replay(&tenant, "shop", "msg_none").await.expect_err("is not there");
    assert!(matches!(unknown, Error::Unknown { .. }), "{unknown}");
    let other = find::<Subscription>(&scene.store, &TenantId::from("other"), "shop").await;
    assert!(matches!(other, Err(Error::Unknown { .. })), "another tenant has none");
}

#[tokio::test]
async fn what_its_sender_died_over_is_posted_again_and_by_one_only_until_then() {
    let (scene, listener, outgoing) = told(Vec::new()).await;
    let tenant = scene.tenant();
    let heard = || listener.heard.lock().expect("whole").len();
    let dies = async || {
        let before = heard();
        let is_heard = async {
            while heard() == before {
                tokio::task::yield_now().await;
            }
        };
        let look = async {
            for _ in 0..3 {
                outgoing.look(&tenant).await.expect("looks");
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
    outgoing.look(&tenant).await.expect("looks");
    assert_eq!(heard(), 2);
    let heard = listener.heard.lock().expect("whole").clone();
    assert_eq!(heard[0], heard[1]);
}
