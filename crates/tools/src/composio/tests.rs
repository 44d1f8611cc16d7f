mod approvals;
mod calls;
mod conformance;
mod connecting;
mod fake;
mod toolkit_discovery;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_core::tool::{Caller, EffectClass, ToolInvocation};
use baton_ports::journal::TaskItem;
use baton_ports::task_inbox::TaskInbox;
use baton_ports::tools::{CallReport, CheckResult, ToolGateway};
use serde_json::{Value, json};

use super::{ComposioEntity, ComposioSource};
use crate::testing::{InMemoryRecords, ManualClock, NOW};
use crate::{ToolRegistry, ToolServices, ToolsConfig};
use fake::{FakeComposio, FakeComposioState, KEY, action};

/// A shop's toolkit: a tagged read, an untagged action whose name suggests a read, and actions with side effects.
fn shop() -> FakeComposioState {
    let actions = vec![
        action("SHOPIFY_GET_ORDER", "shopify", &["readOnlyHint"]),
        action("SHOPIFY_LIST_ORDERS", "shopify", &[]),
        action("SHOPIFY_CREATE_RETURN", "shopify", &["createHint"]),
        action("SHOPIFY_DELETE_ORDER", "shopify", &["destructiveHint"]),
        action("SHOPIFY_FIND_OR_CREATE_CUSTOMER", "shopify", &[]),
    ];
    FakeComposioState { actions: [("shopify", actions)].into(), ..FakeComposioState::default() }
}

/// A task inbox in memory.
#[derive(Default)]
struct RecordingInbox(Mutex<Vec<TaskItem>>);

impl RecordingInbox {
    fn titles(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|item| item.title.clone()).collect()
    }
}

#[async_trait]
impl TaskInbox for RecordingInbox {
    async fn open_task(&self, item: TaskItem) -> Result<bool, baton_ports::journal::JournalError> {
        let mut items = self.0.lock().unwrap();
        let is_open = items.iter().any(|open| open.id == item.id);
        if !is_open {
            items.push(item);
        }
        Ok(!is_open)
    }

    async fn close_task(
        &self,
        tenant: &TenantId,
        id: &str,
        _outcome: &str,
        _at: Time,
    ) -> Result<(), baton_ports::journal::JournalError> {
        self.0.lock().unwrap().retain(|item| item.id != id || item.tenant != *tenant);
        Ok(())
    }
}

/// A project that uses the fake, with a database and a task inbox.
struct ComposioFixture {
    fake: FakeComposio,
    records: Arc<InMemoryRecords>,
    desk: Arc<RecordingInbox>,
    clock: Arc<ManualClock>,
    registry: ToolRegistry,
}

impl ComposioFixture {
    /// Creates a project with these settings in addition to the address, the key and the toolkit; nothing is
    /// discovered yet.
    async fn begin(world: FakeComposioState, settings: Value) -> Self {
        let fake = FakeComposio::start(world).await;
        let (records, clock) = (Arc::new(InMemoryRecords::default()), Arc::new(ManualClock::at(NOW)));
        Self::over(fake, records, clock, settings)
    }

    fn over(fake: FakeComposio, records: Arc<InMemoryRecords>, clock: Arc<ManualClock>, settings: Value) -> Self {
        let mut composio = json!({
            "api_key": KEY, "base_url": fake.service.url("/api/v3"), "toolkits": ["shopify"], "trusted": true,
        });
        composio.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let desk = Arc::new(RecordingInbox::default());
        let services = ToolServices::new(records.clone(), clock.clone()).with_task_inbox(desk.clone());
        let config: ToolsConfig = serde_json::from_value(json!({"composio": composio})).unwrap();
        let registry = ToolRegistry::new(config, &services).unwrap();
        Self { fake, records, desk, clock, registry }
    }

    /// Creates a project with its actions discovered and loaded.
    async fn with(world: FakeComposioState, settings: Value) -> Self {
        let project = Self::begin(world, settings).await;
        assert_eq!(project.learn().await, []);
        project
    }

    async fn learn(&self) -> Vec<(String, super::ConnectionError)> {
        let faults = self.composio().refresh_toolkits(&tenant()).await.unwrap();
        self.registry.load_discovered(&tenant()).await.unwrap();
        faults
    }

    fn composio(&self) -> &ComposioSource {
        self.registry.composio().unwrap()
    }

    /// Connects the account of the company or of another entity, and finishes connecting.
    async fn connected(self, entity: ComposioEntity) -> Self {
        let link = self.composio().connect(&tenant(), "shopify", entity, None).await.unwrap();
        self.fake.set(&link.connection.account, "ACTIVE");
        self
    }

    fn call(&self, tool: &str, arguments: Value) -> ToolInvocation {
        ToolInvocation {
            tenant: tenant(),
            run: "run-1".into(),
            workflow: "booking".to_owned(),
            key: format!("run-1/{tool}/0/0"),
            tool: tool.to_owned(),
            class: self.registry.facts(tool).map_or(EffectClass::Once, |facts| facts.class),
            arguments: arguments.into(),
            agent: None,
            attempt: 1,
            provider: None,
            at: baton_ports::clock::Clock::now(&*self.clock),
            replies: Vec::new(),
            caller: Caller { user_id: Some("u1".to_owned()), ..Caller::default() },
        }
    }

    async fn send(&self, call: &ToolInvocation) -> CallReport {
        match self.registry.check(call, None).await {
            CheckResult::Permitted(permit) => permit.perform(std::time::Duration::from_secs(5)).await,
            CheckResult::Answered(performed) => *performed,
            CheckResult::NeedsApproval(_) => panic!("needs approval"),
            CheckResult::RateLimited { .. } | CheckResult::CircuitOpen { .. } => panic!("held back"),
        }
    }

    async fn order(&self, tool: &str) -> baton_core::tool::ToolOutcome {
        self.send(&self.call(tool, json!({"order_id": "1001"}))).await.outcome
    }

    fn done(&self) -> Vec<String> {
        self.fake.with(|world| world.done.clone())
    }
}

fn tenant() -> TenantId {
    TenantId::from("acme")
}
