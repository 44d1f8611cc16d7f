//! The registry passes the conformance suites of the ports for connections and the catalogue, with an app and
//! without.

use baton_ports::connections::AppConnections;
use baton_sim::conformance;
use baton_sim::conformance::fixtures;

use super::*;

#[tokio::test]
async fn apps_of_a_service_outside() {
    let kept = Mutex::new(Vec::new());
    conformance::connections(async || {
        let ComposioFixture { fake, registry, .. } = ComposioFixture::begin(shop(), json!({})).await;
        registry.refresh(&fixtures::tenant(), false).await.unwrap();
        kept.lock().unwrap().push(fake);
        registry
    })
    .await;
}

#[tokio::test]
async fn a_project_without_a_service_outside() {
    conformance::connections_of_nothing(async || {
        let services = ToolServices::new(Arc::new(InMemoryRecords::default()), Arc::new(ManualClock::at(NOW)));
        ToolRegistry::new(ToolsConfig::default(), &services).unwrap()
    })
    .await;
}

#[tokio::test]
async fn the_catalogue_of_what_is_shipped() {
    conformance::catalogue(async || {
        let services = ToolServices::new(Arc::new(InMemoryRecords::default()), Arc::new(ManualClock::at(NOW)));
        ToolRegistry::new(ToolsConfig::default(), &services).unwrap()
    })
    .await;
}
