//! What people allow is for one account and one version of an action.

use std::time::Duration;

use baton_core::tool::Outcome;
use baton_ports::tools::{Needed, PermittedCall};

use super::*;
use crate::testing::{done, not_done};

async fn project(world: World) -> Project {
    let project = Project::with(world, json!({})).await;
    let project = project.connected(Entity::Company).await;
    project.composio().check_connections(&tenant()).await.unwrap();
    Project { registry: asking(&project), ..project }
}

/// The same project, where each act waits for a person.
fn asking(project: &Project) -> Registry {
    let composio = json!({
        "api_key": KEY, "base_url": project.fake.service.url("/api/v3"), "toolkits": ["shopify"], "trusted": true,
    });
    let config = json!({"composio": composio, "approval_from": "medium"});
    let services = Services::new(project.records.clone(), project.clock.clone()).with_desk(project.desk.clone());
    Registry::new(serde_json::from_value(config).unwrap(), &services).unwrap()
}

fn call(project: &Project) -> Call {
    project.call("shopify.create_return", json!({"order_id": "1001"}))
}

async fn needed(project: &Project, approved: Option<&str>) -> Needed {
    match project.registry.check(&call(project), approved).await {
        Checked::NeedsApproval(needed) => *needed,
        _ => panic!("nobody is asked"),
    }
}

async fn permit(project: &Project, approved: &str) -> Box<dyn PermittedCall> {
    match project.registry.check(&call(project), Some(approved)).await {
        Checked::Permitted(permit) => permit,
        _ => panic!("it was allowed"),
    }
}

async fn connects_anew(project: &Project) {
    let composio = project.composio();
    let link = composio.connect(&tenant(), "shopify", Entity::Company, None).await.unwrap();
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
    // One that was let through just before goes out with neither.
    let outcome = kept.perform(Duration::from_secs(5)).await.outcome;
    assert!(matches!(outcome, Outcome::NotDone { retryable: true, .. }), "{outcome:?}");
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
    project.registry.learn(&tenant()).await.unwrap();
    let second = needed(&project, Some(&first.hash)).await;
    assert_eq!(second.account.as_deref(), Some("ca_1, version 20260101_00"));
}
