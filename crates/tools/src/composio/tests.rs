mod calls;
mod conformance;
mod connecting;
mod fake;
mod finding;
mod leaves;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_core::tool::{Call, Caller, Class};
use baton_ports::desk::Desk;
use baton_ports::journal::DeskItem;
use baton_ports::tools::{Checked, Performed, Tools};
use serde_json::{Value, json};

use super::{Composio, Entity};
use crate::testing::{Memory, NOW, SetClock};
use crate::{Config, Registry, Services};
use fake::{Fake, KEY, World, action};

/// A shop's toolkit: a read that is tagged, one that is only named so, and what acts.
fn shop() -> World {
    let actions = vec![
        action("SHOPIFY_GET_ORDER", "shopify", &["readOnlyHint"]),
        action("SHOPIFY_LIST_ORDERS", "shopify", &[]),
        action("SHOPIFY_CREATE_RETURN", "shopify", &["createHint"]),
        action("SHOPIFY_DELETE_ORDER", "shopify", &["destructiveHint"]),
        action("SHOPIFY_FIND_OR_CREATE_CUSTOMER", "shopify", &[]),
    ];
    World { actions: [("shopify", actions)].into(), ..World::default() }
}

/// A desk in memory.
#[derive(Default)]
struct Items(Mutex<Vec<DeskItem>>);

impl Items {
    fn titles(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|item| item.title.clone()).collect()
    }
}

#[async_trait]
impl Desk for Items {
    async fn open(&self, item: DeskItem) -> Result<bool, baton_ports::journal::Error> {
        let mut items = self.0.lock().unwrap();
        let is_open = items.iter().any(|open| open.id == item.id);
        if !is_open {
            items.push(item);
        }
        Ok(!is_open)
    }

    async fn close(
        &self,
        tenant: &TenantId,
        id: &str,
        _outcome: &str,
        _at: Time,
    ) -> Result<(), baton_ports::journal::Error> {
        self.0.lock().unwrap().retain(|item| item.id != id || item.tenant != *tenant);
        Ok(())
    }
}

/// A project that uses the fake, with a database and a desk.
struct Project {
    fake: Fake,
    records: Arc<Memory>,
    desk: Arc<Items>,
    clock: Arc<SetClock>,
    registry: Registry,
}

impl Project {
    /// With these settings beside the address, the key and the toolkit; nothing is looked up yet.
    async fn begin(world: World, settings: Value) -> Self {
        let fake = Fake::start(world).await;
        let (records, clock) = (Arc::new(Memory::default()), Arc::new(SetClock::at(NOW)));
        Self::over(fake, records, clock, settings)
    }

    fn over(fake: Fake, records: Arc<Memory>, clock: Arc<SetClock>, settings: Value) -> Self {
        let mut composio = json!({
            "api_key": KEY, "base_url": fake.service.url("/api/v3"), "toolkits": ["shopify"], "trusted": true,
        });
        composio.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let desk = Arc::new(Items::default());
        let services = Services::new(records.clone(), clock.clone()).with_desk(desk.clone());
        let config: Config = serde_json::from_value(json!({"composio": composio})).unwrap();
        let registry = Registry::new(config, &services).unwrap();
        Self { fake, records, desk, clock, registry }
    }

    /// Looked up and taken in.
    async fn with(world: World, settings: Value) -> Self {
        let project = Self::begin(world, settings).await;
        assert_eq!(project.learn().await, []);
        project
    }

    async fn learn(&self) -> Vec<(String, super::Fault)> {
        let faults = self.composio().freshen(&tenant()).await.unwrap();
        self.registry.learn(&tenant()).await.unwrap();
        faults
    }

    fn composio(&self) -> &Composio {
        self.registry.composio().unwrap()
    }

    /// Connects the company's account, or another entity's, and finishes.
    async fn connected(self, entity: Entity) -> Self {
        let link = self.composio().connect(&tenant(), "shopify", entity, None).await.unwrap();
        self.fake.set(&link.connection.account, "ACTIVE");
        self
    }

    fn call(&self, tool: &str, arguments: Value) -> Call {
        Call {
            tenant: tenant(),
            run: "run-1".into(),
            workflow: "booking".to_owned(),
            key: format!("run-1/{tool}/0/0"),
            tool: tool.to_owned(),
            class: self.registry.facts(tool).map_or(Class::Once, |facts| facts.class),
            arguments: arguments.into(),
            agent: None,
            attempt: 1,
            provider: None,
            at: baton_ports::clock::Clock::now(&*self.clock),
            replies: Vec::new(),
            caller: Caller { user_id: Some("u1".to_owned()), ..Caller::default() },
        }
    }

    async fn send(&self, call: &Call) -> Performed {
        match self.registry.check(call, None).await {
            Checked::Permitted(permit) => permit.perform(std::time::Duration::from_secs(5)).await,
            Checked::Answered(performed) => *performed,
            Checked::NeedsApproval(_) => panic!("needs approval"),
            Checked::RateLimited { .. } | Checked::CircuitOpen { .. } => panic!("held back"),
        }
    }

    async fn order(&self, tool: &str) -> baton_core::tool::Outcome {
        self.send(&self.call(tool, json!({"order_id": "1001"}))).await.outcome
    }

    fn done(&self) -> Vec<String> {
        self.fake.with(|world| world.done.clone())
    }
}

fn tenant() -> TenantId {
    TenantId::from("acme")
}
