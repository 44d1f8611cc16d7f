use baton_ports::connections::{AppConnections, ConnectionError, ConnectionRequest};
use serde_json::Value;

use super::fixtures::{other_tenant, tenant};

/// An app that is not selected.
const UNCHOSEN_APP: &str = "nobodys_app";

fn wish(app: &str) -> ConnectionRequest<'_> {
    ConnectionRequest { app, entity: "company", callback: Some("https://app.example/back"), state: "guess" }
}

/// The app that is selected.
async fn app(connections: &impl AppConnections) -> String {
    let apps = connections.apps(&tenant()).await.expect("tells");
    apps.first().expect("one app is chosen").name.clone()
}

async fn accounts(connections: &impl AppConnections, asks: bool) -> Vec<Value> {
    connections.accounts(&tenant(), asks).await.expect("tells")
}

pub async fn apps_are_told_by_name_with_what_they_can_do(connections: &impl AppConnections) {
    let apps = connections.apps(&tenant()).await.expect("tells");
    assert!(apps.is_sorted_by(|one, next| one.name < next.name), "{apps:?}");
    for app in &apps {
        let actions = connections.actions(&tenant(), Some(&app.name)).await.expect("tells");
        let mut told = app.available_actions.clone();
        told.sort();
        assert_eq!(told, actions.iter().map(|action| action.action_name.clone()).collect::<Vec<_>>());
        assert_eq!(app.total_actions, actions.len());
    }
}

pub async fn actions_are_told_by_app_and_name(connections: &impl AppConnections) {
    let all = connections.actions(&tenant(), None).await.expect("tells");
    assert!(!all.is_empty(), "a suite about actions needs some");
    let place = |action: &baton_ports::connections::AppAction| (action.app_name.clone(), action.action_name.clone());
    assert!(all.is_sorted_by(|one, next| place(one) < place(next)), "{all:?}");
    let app = app(connections).await;
    let of_app = connections.actions(&tenant(), Some(&app)).await.expect("tells");
    assert_eq!(of_app, all.into_iter().filter(|action| action.app_name == app).collect::<Vec<_>>());
}

pub async fn a_search_finds_actions_and_no_more_than_was_asked_for(connections: &impl AppConnections) {
    let all = connections.actions(&tenant(), None).await.expect("tells");
    for action in &all {
        let words = format!("{} {}", action.app_name, action.action_name.replace('_', " "));
        let (found, why) = connections.search(&tenant(), &words, 50).await.expect("finds");
        assert!(found.contains(action), "`{words}` finds {found:?} ({why:?})");
        let (one, _) = connections.search(&tenant(), &words, 1).await.expect("finds");
        assert_eq!(one, found[..1]);
    }
}

pub async fn what_is_not_chosen_is_refused(connections: &impl AppConnections) {
    let refused = |fault: ConnectionError| assert!(matches!(fault, ConnectionError::Rejected { .. }), "{fault}");
    refused(connections.actions(&tenant(), Some(UNCHOSEN_APP)).await.expect_err("is not chosen"));
    refused(connections.connect(&tenant(), wish(UNCHOSEN_APP)).await.expect_err("is not chosen"));
    assert_eq!(accounts(connections, false).await, [] as [Value; 0]);
}

pub async fn a_person_is_sent_somewhere_and_the_account_is_its_tenants_alone(connections: &impl AppConnections) {
    let app = app(connections).await;
    let link = connections.connect(&tenant(), wish(&app)).await.expect("links");
    assert!(link.authorization_url.starts_with("https://"), "{link:?}");
    assert!(!link.connection_id.is_empty(), "{link:?}");
    let kept = accounts(connections, false).await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!((kept[0]["app"].as_str(), kept[0]["entity"].as_str()), (Some(&*app), Some("company")));
    assert_eq!(accounts(connections, true).await.len(), 1);
    assert_eq!(connections.accounts(&other_tenant(), false).await.expect("tells"), [] as [Value; 0]);
    let apps = connections.apps(&tenant()).await.expect("tells");
    assert!(apps.iter().all(|app| !app.is_connected), "nobody has been there yet: {apps:?}");
}

pub async fn an_account_is_forgotten_once_and_by_its_own_tenant(connections: &impl AppConnections) {
    let app = app(connections).await;
    connections.connect(&tenant(), wish(&app)).await.expect("links");
    assert_eq!(connections.disconnect(&other_tenant(), &app, "company").await.expect("answers"), None);
    assert_eq!(connections.disconnect(&tenant(), &app, "user:somebody").await.expect("answers"), None);
    assert_eq!(accounts(connections, false).await.len(), 1);
    let was = connections.disconnect(&tenant(), &app, "company").await.expect("answers").expect("was there");
    assert_eq!(was["app"].as_str(), Some(&*app));
    assert_eq!(accounts(connections, false).await, [] as [Value; 0]);
    assert_eq!(connections.disconnect(&tenant(), &app, "company").await.expect("answers"), None);
}

pub async fn looking_up_again_tells_of_each_app_and_loses_nothing(connections: &impl AppConnections) {
    let (app, before) = (app(connections).await, connections.actions(&tenant(), None).await.expect("tells"));
    for newest in [false, true] {
        let found = connections.refresh(&tenant(), newest).await.expect("looks");
        assert!(found.iter().any(|one| one.to_string().contains(&app)), "{found:?}");
        assert_eq!(connections.actions(&tenant(), None).await.expect("tells"), before);
    }
}

/// Without a service there are no connections, and the error of other requests explains how to configure one.
pub async fn without_a_service_there_is_nothing_to_connect(connections: &impl AppConnections) {
    assert_eq!(connections.apps(&tenant()).await.expect("tells"), []);
    assert_eq!(connections.accounts(&tenant(), true).await.expect("tells"), [] as [Value; 0]);
    let refused = connections.connect(&tenant(), wish(UNCHOSEN_APP)).await.expect_err("there is no service");
    assert!(matches!(refused, ConnectionError::Rejected { .. }), "{refused}");
}
