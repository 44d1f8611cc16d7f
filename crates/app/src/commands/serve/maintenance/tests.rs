//! Tests with a manual clock and the systems of two processes over one store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use baton_core::model::TokenUsage;
use baton_core::money::{BudgetWindow, Usd};
use baton_core::time::Time;
use baton_engine::RunFollower;
use baton_engine::tenants::{Tenant, TenantChange};
use baton_ports::budget::{self, AllowanceRequest, BudgetPeriod, BudgetSettlement, CallSpend, NOTICES, SpendAccount};
use baton_ports::clock::Clock;
use baton_ports::read::RunFilter;
use baton_ports::records::{RecordOp, RecordStore as _, StoredRecord};
use baton_ports::task_inbox::TaskInbox as _;
use baton_store::sqlite::{SqliteStore, StoreOptions};

use super::*;
use crate::project::Project;

pub struct SettableClock(pub AtomicI64);

impl Clock for SettableClock {
    fn now(&self) -> Time {
        Time::from_ms(self.0.load(Ordering::Acquire))
    }
}

fn time(text: &str) -> Time {
    text.parse().expect("a time")
}

/// A project with the given settings, and its clock.
struct MaintenanceFixture {
    _folder: tempfile::TempDir,
    project: Project,
    store: SqliteStore,
    clock: Arc<SettableClock>,
}

impl MaintenanceFixture {
    fn at(now: &str, settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("baton.toml"), settings).expect("a file");
        let project = Project::open(folder.path()).expect("a project");
        let store = SqliteStore::in_memory(StoreOptions::default()).expect("opens");
        let clock = Arc::new(SettableClock(AtomicI64::new(time(now).as_ms())));
        Self { _folder: folder, project, store, clock }
    }

    fn set(&self, now: &str) {
        self.clock.0.store(time(now).as_ms(), Ordering::Release);
    }

    fn system(&self) -> ProjectSystem {
        ProjectSystem::with_clock(&self.project, self.store.clone(), self.clock.clone()).expect("is put together")
    }

    /// Two processes run a round at the same time. The runs that they start are completed.
    async fn run_twice(&self) {
        let (one, other) = (self.system(), self.system());
        let both = one.serve_with_engine(async |engine| {
            let first = MaintenanceJob::new(&self.project.settings, &one, engine);
            let beside = other.serve_with_engine(async |beside| {
                let second = MaintenanceJob::new(&self.project.settings, &other, beside);
                tokio::join!(first.run_once(), second.run_once());
                Ok(())
            });
            // The other process stops. This one completes what the other left.
            beside.await?;
            let made = one.agent_registry.tenants().all().await?.into_iter().map(|tenant| tenant.id);
            for tenant in made.chain([one.tenant.clone()]) {
                let mut follower = RunFollower::new(engine, Arc::new(one.store.clone()), tenant.clone());
                let filter = RunFilter { limit: 100, ..RunFilter::default() };
                for head in one.store.runs(&tenant, filter).await? {
                    follower.follow(&head.run).await?;
                }
                follower.wait_all_idle().await?;
            }
            Ok(())
        });
        both.await.expect("they serve");
    }

    async fn outbox(&self) -> Vec<StoredRecord> {
        self.outbox_of(&self.project.tenant().expect("a tenant")).await
    }

    async fn outbox_of(&self, tenant: &TenantId) -> Vec<StoredRecord> {
        self.store.list(tenant, "outbox", "", None, 100).await.expect("is read")
    }

    /// Creates tenants with these names.
    async fn make(&self, names: impl IntoIterator<Item = String>) -> Vec<TenantId> {
        let (system, mut made) = (self.system(), Vec::new());
        for name in names {
            let id = TenantId::parse(&name).expect("a name");
            let tenant = Tenant::new(id.clone(), None, None, Clock::now(&*self.clock));
            system.agent_registry.tenants().create(&tenant, Clock::now(&*self.clock)).await.expect("is made");
            made.push(id);
        }
        made
    }

    async fn disable_tenant(&self, tenant: &TenantId) {
        let (system, now) = (self.system(), Clock::now(&*self.clock));
        system.agent_registry.tenants().change(tenant, &[TenantChange::Disable], None, now).await.expect("is shut");
    }
}

const REPORT: &str = "[upkeep]\nreport_to = [\"admin@clinic.example\", \"olga@clinic.example\"]\n";

#[tokio::test]
async fn the_weekly_report_is_sent_once_a_week_however_many_serve() {
    // Monday, an hour before the report is due.
    let scene = MaintenanceFixture::at("2026-11-23T06:00:00Z", REPORT);
    scene.run_twice().await;
    assert_eq!(scene.outbox().await.len(), 0);
    scene.set("2026-11-23T07:00:00Z");
    scene.run_twice().await;
    scene.run_twice().await;
    let sent = scene.outbox().await;
    assert_eq!(sent.len(), 1);
    let message = &sent[0].value["message"];
    assert_eq!(message["to"], json!(["admin@clinic.example", "olga@clinic.example"]));
    assert!(message["subject"].as_str().unwrap().contains("2026-W47"), "{message}");
    scene.set("2026-11-29T23:00:00Z");
    scene.run_twice().await;
    assert_eq!(scene.outbox().await.len(), 1, "the same week");
    scene.set("2026-11-30T07:00:00Z");
    scene.run_twice().await;
    assert_eq!(scene.outbox().await.len(), 2);
}

#[tokio::test]
async fn nobody_is_written_to_unless_the_settings_name_somebody() {
    let scene = MaintenanceFixture::at("2026-11-23T09:00:00Z", "");
    open(&scene, "2026-11-23T09:00:00Z").await;
    scene.run_twice().await;
    assert_eq!(scene.outbox().await.len(), 0);
}

/// Opens a task inbox item in the same way as the account check.
async fn open(scene: &MaintenanceFixture, at: &str) {
    open_of(scene, scene.project.tenant().expect("a tenant"), at).await;
}

async fn open_of(scene: &MaintenanceFixture, tenant: TenantId, at: &str) {
    let item = TaskItem {
        id: format!("connection/{tenant}/shopify/company"),
        tenant,
        run: None,
        kind: TaskItemKind::Connection,
        title: "the connection of `shopify` for the company is EXPIRED: connect it again".to_owned(),
        details: json!({"app": "shopify", "reason": "token revoked", "command": "baton tools connect shopify"}),
        opened_at: time(at),
        deadline: None,
    };
    assert!(scene.store.open_task(item).await.expect("opens"));
}

#[tokio::test]
async fn an_account_to_connect_again_is_written_about_once_until_it_breaks_again() {
    let scene = MaintenanceFixture::at("2026-11-24T09:00:00Z", "[upkeep]\nreconnect_to = [\"admin@clinic.example\"]\n");
    open(&scene, "2026-11-24T08:59:00Z").await;
    scene.run_twice().await;
    scene.set("2026-11-27T09:00:00Z");
    scene.run_twice().await;
    let sent = scene.outbox().await;
    assert_eq!(sent.len(), 1);
    let message = &sent[0].value["message"];
    assert!(message["subject"].as_str().unwrap().contains("`shopify`"), "{message}");
    let body = message["body"].as_str().unwrap();
    assert!(body.contains("baton tools connect shopify") && body.contains("token revoked"), "{body}");
    let tenant = scene.project.tenant().expect("a tenant");
    let id = "connection/default/shopify/company";
    scene.store.close_task(&tenant, id, "connected again", time("2026-11-27T09:00:00Z")).await.expect("closes");
    open(&scene, "2026-11-28T09:00:00Z").await;
    scene.run_twice().await;
    assert_eq!(scene.outbox().await.len(), 2, "it broke a second time");
}

/// Spends an amount of the tenant's hourly budget of ten dollars, as a call does.
async fn spend(scene: &MaintenanceFixture, dollars: f64) {
    let (tenant, now) = (scene.project.tenant().expect("a tenant"), Clock::now(&*scene.clock));
    let holder = budget::BudgetStore::open(&scene.store, now).await.expect("opens");
    let cost = Usd::from_f64(dollars);
    let line = BudgetPeriod::of(&tenant, None, BudgetWindow::Hour, now);
    let want = AllowanceRequest { line, limit: Usd::from_f64(10.0), need: cost, prefetch: Usd::ZERO };
    budget::BudgetStore::reserve(&scene.store, holder, vec![want], now).await.expect("grows");
    let (account, usage) = (SpendAccount::default(), TokenUsage::default());
    let spend = CallSpend {
        tenant,
        key_id: None,
        account,
        at: now,
        holder: Some(holder),
        calls: 1,
        answered: 1,
        estimated: 0,
        cost,
        usage,
        latency_ms: 0,
        saved: Usd::ZERO,
    };
    budget::BudgetStore::settle(
        &scene.store,
        BudgetSettlement { holder, number: 1, spends: vec![spend], returned: vec![] },
    )
    .await
    .expect("settles");
    budget::BudgetStore::close(&scene.store, holder).await.expect("closes");
}

async fn undelivered_tasks(scene: &MaintenanceFixture) -> Vec<StoredRecord> {
    let tenant = scene.project.tenant().expect("a tenant");
    scene.store.list(&tenant, NOTICES, "", None, 100).await.expect("is read")
}

#[tokio::test]
async fn each_mark_of_a_budget_is_written_about_once_however_many_serve() {
    let scene = MaintenanceFixture::at("2026-11-24T09:10:00Z", "[upkeep]\nbudgets_to = [\"admin@clinic.example\"]\n");
    spend(&scene, 7.9).await;
    scene.run_twice().await;
    assert_eq!(scene.outbox().await.len(), 0);
    spend(&scene, 0.2).await;
    scene.run_twice().await;
    scene.run_twice().await;
    let sent = scene.outbox().await;
    assert_eq!(sent.len(), 1);
    let message = &sent[0].value["message"];
    assert_eq!(message["to"], json!(["admin@clinic.example"]));
    assert!(message["subject"].as_str().unwrap().starts_with("80 % of the hourly budget"), "{message}");
    assert!(message["body"].as_str().unwrap().contains(" budgets\n"), "{message}");
    assert_eq!(undelivered_tasks(&scene).await, [], "nothing is left to tell");
    spend(&scene, 1.9).await;
    scene.run_twice().await;
    assert_eq!(scene.outbox().await.len(), 2);
    scene.set("2026-11-24T10:10:00Z");
    spend(&scene, 9.0).await;
    scene.run_twice().await;
    assert_eq!(scene.outbox().await.len(), 3, "another hour");
}

#[tokio::test]
async fn what_nobody_was_there_to_tell_in_time_is_on_the_desk_and_what_nobody_wants_to_know_is_dropped() {
    let scene = MaintenanceFixture::at("2026-11-24T09:10:00Z", "[upkeep]\nbudgets_to = [\"admin@clinic.example\"]\n");
    spend(&scene, 9.0).await;
    scene.set("2026-11-25T10:00:00Z");
    scene.run_twice().await;
    assert_eq!(scene.outbox().await.len(), 0, "a day after its hour it is no news");
    let desk = scene.store.open_tasks(&scene.project.tenant().unwrap(), None).await.expect("is read");
    assert!(
        desk.iter().any(|item| item.title.starts_with("nobody could be told by e-mail (nothing served")),
        "{desk:?}"
    );
    assert_eq!(undelivered_tasks(&scene).await, []);

    let deaf = MaintenanceFixture::at("2026-11-24T09:10:00Z", "");
    spend(&deaf, 9.0).await;
    deaf.run_twice().await;
    assert_eq!((undelivered_tasks(&deaf).await, deaf.outbox().await.len()), (vec![], 0));
}

#[tokio::test]
async fn what_was_to_be_told_is_forgotten_a_week_after_its_window_where_nobody_serves() {
    let scene = MaintenanceFixture::at("2026-11-24T09:10:00Z", "");
    spend(&scene, 9.0).await;
    scene.set("2026-11-30T09:10:00Z");
    spend(&scene, 9.0).await;
    assert_eq!(undelivered_tasks(&scene).await.len(), 2);
    scene.set("2026-12-02T09:10:00Z");
    spend(&scene, 9.0).await;
    let left: Vec<String> = undelivered_tasks(&scene).await.into_iter().map(|record| record.key).collect();
    assert!(left.len() == 2 && left[0].contains("2026-11-30") && left[1].contains("2026-12-02"), "{left:?}");
}

#[tokio::test]
async fn all_that_is_to_be_told_is_looked_at_however_much_it_is() {
    let scene = MaintenanceFixture::at("2026-11-24T09:10:00Z", "");
    let tenant = scene.project.tenant().expect("a tenant");
    let insert =
        |number| RecordOp::Insert { space: NOTICES.to_owned(), key: format!("n{number:03}"), value: json!({}) };
    for page in [0..100, 100..150] {
        let batch = page.map(insert).collect();
        scene.store.commit(&tenant, batch, time("2026-11-24T09:10:00Z")).await.expect("is written");
    }
    scene.run_twice().await;
    let more = scene.store.list(&tenant, NOTICES, "", None, 200).await.expect("is read");
    assert_eq!(more, []);
}

#[tokio::test]
async fn what_is_old_is_forgotten_once_a_day_as_the_settings_say() {
    let scene = MaintenanceFixture::at("2026-11-24T09:00:00Z", "[upkeep.retention]\nmessages_days = 30\n");
    let tenant = scene.project.tenant().expect("a tenant");
    let write = async |key: &str, at: &str| {
        let op = RecordOp::Insert { space: "outbox".to_owned(), key: key.to_owned(), value: json!({}) };
        scene.store.commit(&tenant, vec![op], time(at)).await.expect("is written");
    };
    write("old", "2026-10-20T00:00:00Z").await;
    write("newer", "2026-10-26T00:00:00Z").await;
    scene.run_twice().await;
    let left = |outbox: Vec<StoredRecord>| outbox.into_iter().map(|record| record.key).collect::<Vec<_>>();
    assert_eq!(left(scene.outbox().await), ["newer"]);
    write("old again", "2026-10-20T00:00:00Z").await;
    scene.run_twice().await;
    assert_eq!(scene.outbox().await.len(), 2, "once a day");
    scene.set("2026-11-25T00:00:00Z");
    scene.run_twice().await;
    assert_eq!(left(scene.outbox().await), ["newer"]);
    scene.set("2026-11-26T00:00:00Z");
    scene.run_twice().await;
    assert_eq!(left(scene.outbox().await), Vec::<String>::new());
}

#[tokio::test]
async fn an_erasure_that_nobody_has_brought_to_its_end_within_an_hour_is_done_again() {
    let scene = MaintenanceFixture::at("2026-11-24T09:00:00Z", "");
    let tenant = scene.project.tenant().expect("a tenant");
    let job = json!({
        "customer_id": "ana", "also": ["ana@example.com"], "end_runs": false, "by": "olga", "key_id": null,
    });
    let put = |space: &str, key: &str, value: Value| RecordOp::Insert { space: space.into(), key: key.into(), value };
    let key = ContentHash::of(b"ana").as_str().to_owned();
    let ops = vec![
        put("erasing_customer", &key, job),
        put("outbox", "hers", json!({ "message": { "to": ["ana@example.com"] } })),
        put("outbox", "his", json!({ "message": { "to": ["bob@example.com"] } })),
    ];
    scene.store.commit(&tenant, ops, time("2026-11-24T08:30:00Z")).await.expect("is written");
    scene.run_twice().await;
    assert_eq!(scene.outbox().await.len(), 2, "whoever asked may be at it");
    scene.set("2026-11-24T09:31:00Z");
    scene.run_twice().await;
    let left: Vec<String> = scene.outbox().await.into_iter().map(|record| record.key).collect();
    assert_eq!(left, ["his"]);
    let of = async |space: &str| scene.store.list(&tenant, space, "", None, 9).await.expect("is read").len();
    assert_eq!((of("erasing_customer").await, of("erased_customer").await), (0, 1));
}

#[tokio::test]
async fn a_file_that_an_erasure_could_not_scrub_is_scrubbed_some_minutes_later() {
    let scene = MaintenanceFixture::at("2026-11-24T09:00:00Z", "");
    let tenant = scene.project.tenant().expect("a tenant");
    let left = |key: &str| {
        let value = json!({ "scrub": true });
        RecordOp::Insert { space: "erasing_customer".into(), key: key.into(), value }
    };
    let ops = vec![left("one"), left("other")];
    scene.store.commit(&tenant, ops, time("2026-11-24T08:58:00Z")).await.expect("is written");
    let of = async || scene.store.list(&tenant, "erasing_customer", "", None, 9).await.expect("is read").len();
    scene.run_twice().await;
    assert_eq!(of().await, 2, "whoever erased may be at it");
    scene.set("2026-11-24T09:04:00Z");
    scene.run_twice().await;
    assert_eq!(of().await, 0);
}

#[tokio::test]
async fn every_tenant_that_is_open_is_sent_its_own_report() {
    let scene = MaintenanceFixture::at("2026-11-23T07:00:00Z", REPORT);
    let made = scene.make(["acme", "shut"].map(str::to_owned)).await;
    scene.disable_tenant(&made[1]).await;
    scene.run_twice().await;
    scene.run_twice().await;
    let sent = scene.outbox().await.into_iter();
    let subject = |letter: StoredRecord| letter.value["message"]["subject"].as_str().unwrap().to_owned();
    let own = scene.project.tenant().expect("a tenant");
    let expected = ["acme", own.as_str()].map(|tenant| format!("Tool usage report, 2026-W47 ({tenant})"));
    assert_eq!(sent.map(subject).collect::<BTreeSet<_>>(), expected.into());
    assert_eq!(scene.outbox_of(&made[0]).await.len(), 0, "who is written to is the house's matter");
}

#[tokio::test]
async fn another_tenants_account_is_written_about_with_its_name() {
    let scene = MaintenanceFixture::at("2026-11-24T09:00:00Z", "[upkeep]\nreconnect_to = [\"admin@clinic.example\"]\n");
    let made = scene.make(["acme", "shut"].map(str::to_owned)).await;
    scene.disable_tenant(&made[1]).await;
    for tenant in made.iter().cloned().chain(scene.project.tenant()) {
        open_of(&scene, tenant, "2026-11-24T08:59:00Z").await;
    }
    scene.run_twice().await;
    scene.run_twice().await;
    let sent = scene.outbox().await;
    assert_eq!((sent.len(), scene.outbox_of(&made[0]).await.len()), (2, 0));
    let theirs = |letter: &&StoredRecord| letter.value["message"]["subject"].as_str().unwrap().ends_with(" (acme)");
    let message = &sent.iter().find(theirs).expect("a letter about acme's").value["message"];
    let body = message["body"].as_str().unwrap();
    assert!(body.contains("  BATON_TENANT=acme baton tools connect shopify"), "{body}");
    assert!(body.contains("All that waits: BATON_TENANT=acme "), "{body}");
}

#[tokio::test]
async fn what_is_old_is_forgotten_of_every_tenant_that_is_open() {
    let scene = MaintenanceFixture::at("2026-11-24T09:00:00Z", "[upkeep.retention]\nmessages_days = 30\n");
    let made = scene.make(["acme", "shut"].map(str::to_owned)).await;
    scene.disable_tenant(&made[1]).await;
    for tenant in &made {
        let op = RecordOp::Insert { space: "outbox".to_owned(), key: "old".to_owned(), value: json!({}) };
        scene.store.commit(tenant, vec![op], time("2026-10-20T00:00:00Z")).await.expect("is written");
    }
    scene.run_twice().await;
    assert_eq!((scene.outbox_of(&made[0]).await.len(), scene.outbox_of(&made[1]).await.len()), (0, 1));
}

#[tokio::test]
async fn one_look_goes_round_to_so_many_tenants_and_the_next_to_those_after_them() {
    let scene = MaintenanceFixture::at("2026-11-24T09:00:00Z", "");
    let made = scene.make((0..TENANTS_MAX + 5).map(|number| format!("t{number:03}"))).await;
    scene.disable_tenant(&made[1]).await;
    let system = scene.system();
    let own = scene.project.tenant().expect("a tenant");
    let rounds = system.serve_with_engine(async |engine| {
        let upkeep = MaintenanceJob::new(&scene.project.settings, &system, engine);
        Ok([upkeep.tenants().await, upkeep.tenants().await, upkeep.tenants().await])
    });
    let rounds = rounds.await.expect("they are read");
    let lengths = rounds.each_ref().map(Vec::len);
    assert_eq!(lengths, [TENANTS_MAX, 6, TENANTS_MAX], "the project's own each time, and none that is shut");
    assert!(rounds.iter().all(|round| round[0] == own) && rounds[0][1] == made[0] && rounds[1][1] == made[TENANTS_MAX]);
    assert_eq!(rounds[0], rounds[2]);
}

#[tokio::test]
async fn of_many_who_want_a_turn_one_has_it() {
    let scene = MaintenanceFixture::at("2026-11-24T09:00:00Z", "");
    let tenant = scene.project.tenant().expect("a tenant");
    let hour = |now: &str| {
        let (store, tenant, now) = (scene.store.clone(), tenant.clone(), time(now));
        async move { job_claim::claim_period(&store, &tenant, "job", HOUR, now).await.expect("is written") }
    };
    let many = futures::future::join_all((0..20).map(|_| hour("2026-11-24T09:00:00Z"))).await;
    assert_eq!(many.into_iter().filter(|ours| *ours).count(), 1);
    assert!(!hour("2026-11-24T09:59:59Z").await);
    assert!(hour("2026-11-24T10:00:00Z").await);
    assert!(!hour("2026-11-24T09:30:00Z").await, "a clock that went back has no turn");
}

/// The run of that week's report.
async fn letter(scene: &MaintenanceFixture, week: &str) -> Option<baton_ports::read::RunHead> {
    let tenant = scene.project.tenant().expect("a tenant");
    let run = RunId::new(format!("weekly-report-{tenant}-{week}"));
    scene.store.run(&tenant, &run).await.expect("is read")
}

#[tokio::test]
async fn runs_that_ended_long_ago_are_deleted_and_what_waits_for_a_person_stays() {
    let waits = format!("{REPORT}[tools.tool.send_email]\napproval = true\n");
    for (settings, is_kept) in [(REPORT, false), (&waits, true)] {
        let scene = MaintenanceFixture::at("2026-03-02T09:00:00Z", settings);
        scene.run_twice().await;
        assert!(letter(&scene, "2026-W09").await.is_some());
        scene.set("2026-05-25T09:00:00Z");
        scene.run_twice().await;
        assert!(letter(&scene, "2026-W09").await.is_some(), "84 days");
        scene.set("2026-06-01T09:00:00Z");
        scene.run_twice().await;
        assert_eq!(letter(&scene, "2026-W09").await.is_some(), is_kept, "91 days");
        assert!(letter(&scene, "2026-W22").await.is_some());
    }
}

#[tokio::test]
async fn days_of_nothing_keep_for_ever() {
    let scene = MaintenanceFixture::at("2026-03-02T09:00:00Z", &format!("{REPORT}[upkeep.retention]\nruns_days = 0\n"));
    scene.run_twice().await;
    scene.set("2027-03-01T09:00:00Z");
    scene.run_twice().await;
    assert!(letter(&scene, "2026-W09").await.is_some());
}

#[tokio::test]
async fn a_chain_that_was_cut_at_its_old_end_still_holds_and_one_that_lost_a_row_does_not() {
    use baton_ports::audit::{AuditFilter, AuditTrail as _};
    let scene =
        MaintenanceFixture::at("2026-03-02T09:00:00Z", &format!("{REPORT}[upkeep.retention]\naudit_days = 30\n"));
    scene.run_twice().await;
    // The last row is never deleted, and the rows of the third round may follow its cut. So there must be two.
    scene.set("2026-03-09T09:00:00Z");
    scene.run_twice().await;
    let tenant = scene.project.tenant().expect("a tenant");
    let before = scene.store.tip(&tenant).await.expect("a tip");
    assert!(before.seq >= 2, "{before:?}");
    scene.set("2026-04-06T09:00:00Z");
    scene.run_twice().await;
    let verdict = scene.store.verify(&tenant).await.expect("is followed");
    assert!(verdict.broken.is_none() && verdict.tip.seq > before.seq, "{verdict:?}");
    let anchor = scene.store.anchor(&tenant).await.expect("is read").expect("it was cut");
    let rows = scene.store.trail(&tenant, AuditFilter { limit: 500, ..AuditFilter::default() }).await.expect("rows");
    assert_eq!(rows.first().map(|row| row.seq), Some(anchor.tip.seq + 1));
    assert!(rows.iter().any(|row| baton_core::audit::records_retention(row, &anchor.tip)));
}
