//! An approval is for one account and one version of an action.

use std::time::Duration;

use baton_core::tool::ToolOutcome;
use baton_ports::tools::{ApprovalRequirement, PermittedCall};

use super::*;
use crate::testing::{done, not_done};

async fn project(world: FakeComposioState) -> ComposioFixture {
    let project = ComposioFixture::with(world, json!({})).await;
    let project = project.connected(ComposioEntity::Company).await;
    project.composio().check_connections(&tenant()).await.unwrap();
    ComposioFixture { registry: asking(&project), ..project }
}

/// The same project, where each act waits for a person.
fn asking(project: &ComposioFixture) -> ToolRegistry {
    let composio = json!({
        "api_key": KEY, "base_url": project.fake.service.url("/api/v3"), "toolkits": ["shopify"], "trusted": true,
    });
    let config = json!({"composio": composio, "approval_from": "medium"});
    let services =
        ToolServices::new(project.records.clone(), project.clock.clone()).with_task_inbox(project.desk.clone());
    ToolRegistry::new(serde_json::from_value(config).unwrap(), &services).unwrap()
}

fn call(project: &ComposioFixture) -> ToolInvocation {
    project.call("shopify.create_return", json!({"order_id": "1001"}))
}

async fn needed(project: &ComposioFixture, approved: Option<&str>) -> ApprovalRequirement {
    match project.registry.check(&call(project), approved).await {
        CheckResult::NeedsApproval(needed) => *needed,
        _ => panic!("nobody is asked"),
    }
}

async fn permit(project: &ComposioFixture, approved: &str) -> Box<dyn PermittedCall> {
    match project.registry.check(&call(project), Some(approved)).await {
        CheckResult::Permitted(permit) => permit,
        _ => panic!("it was allowed"),
    }
}

async fn connects_anew(project: &ComposioFixture) {
    let composio = project.composio();
    let link = composio.connect(&tenant(), "shopify", ComposioEntity::Company, None).await.unwrap();
    project.fake.set(&link.connection.next.unwrap().account, "ACTIVE");
    composio.check_connections(&tenant()).await.unwrap();
}

#[tokio::test]
async fn what_was_allowed_with_one_account_is_asked_about_anew_with_another() {
    let project = project(shop()).await;
    project.learn().await;
    let first = needed(&project, None).await;
    assert_eq!(first.account.as_deref(), Some("ca_1, version 20251027_00"));
    let kept = permit(&project, &first.hash).await;

    connects_anew(&project).await;
    let second = needed(&project, Some(&first.hash)).await;
    assert_eq!(second.account.as_deref(), Some("ca_2, version 20251027_00"));
    assert_ne!(first.hash, second.hash);
    // A call that was admitted with the first account just before is performed with neither account.
    let outcome = kept.perform(Duration::from_secs(5)).await.outcome;
    assert!(matches!(outcome, ToolOutcome::NotDone { retryable: true, .. }), "{outcome:?}");
    let (code, message) = not_done(outcome);
    assert_eq!(code, "APPROVAL_REQUIRED");
    assert!(message.contains("allowed with ca_1, version 20251027_00, and would go out with ca_2"), "{message}");
    assert!(project.fake.asked("POST", "tools/execute").is_empty());

    done(permit(&project, &second.hash).await.perform(Duration::from_secs(5)).await.outcome);
    assert_eq!(project.fake.asked("POST", "tools/execute")[0].json()["connected_account_id"], "ca_2");
}

#[tokio::test]
async fn what_was_allowed_in_one_version_is_asked_about_anew_in_another() {
    let project = project(shop()).await;
    project.learn().await;
    let first = needed(&project, None).await;
    project.fake.with(|world| {
        for action in world.actions.get_mut("shopify").unwrap() {
            action["version"] = json!("20260101_00");
        }
    });
    project.composio().discover(&tenant(), true).await.unwrap();
    project.registry.load_discovered(&tenant()).await.unwrap();
    let second = needed(&project, Some(&first.hash)).await;
    assert_eq!(second.account.as_deref(), Some("ca_1, version 20260101_00"));
}
