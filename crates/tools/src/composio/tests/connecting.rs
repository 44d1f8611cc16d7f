//! Accounts: connecting, checking and disconnecting them.

use super::super::ConnectionStatus;
use super::*;
use crate::testing::done;

async fn states(project: &ComposioFixture) -> Vec<ConnectionStatus> {
    let all = project.composio().check_connections(&tenant()).await.unwrap();
    all.iter().map(|connection| connection.state).collect()
}

#[tokio::test]
async fn connecting_tells_where_to_go_and_keeps_no_token() {
    let project = ComposioFixture::begin(shop(), json!({})).await;
    let user = ComposioEntity::User("u1".to_owned());
    let link = project.composio().connect(&tenant(), "shopify", user, Some("https://app.example/back")).await.unwrap();
    assert_eq!(link.redirect_url, "https://connect.example/ca_1");
    assert_eq!(link.expires_at.as_deref(), Some("2025-01-15T09:10:00Z"));
    let asked = project.fake.asked("POST", "connected_accounts/link");
    let expect =
        json!({"auth_config_id": "ac_1", "user_id": "acme:user:u1", "callback_url": "https://app.example/back"});
    assert_eq!(asked[0].json(), expect);
    let kept = project.records.space("composio.connections");
    let mut fields: Vec<&String> = kept[0].as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["account", "app", "checked_at", "connected_at", "entity", "reason", "state"]);
}

#[tokio::test]
async fn a_toolkit_that_is_not_chosen_cannot_be_connected() {
    let project = ComposioFixture::begin(shop(), json!({})).await;
    let refused = project.composio().connect(&tenant(), "gmail", ComposioEntity::Company, None).await.unwrap_err();
    assert!(refused.to_string().contains("`gmail` is not among `tools.composio.toolkits`"), "{refused}");
    let control = ComposioEntity::User("a\nb".to_owned());
    assert!(project.composio().connect(&tenant(), "shopify", control, None).await.is_err());
}

#[tokio::test]
async fn a_look_at_the_connections_keeps_how_they_stand_and_tells_the_desk() {
    let project = ComposioFixture::begin(shop(), json!({})).await;
    let connect = async |entity| project.composio().connect(&tenant(), "shopify", entity, None).await.unwrap();
    connect(ComposioEntity::Company).await;
    connect(ComposioEntity::User("u1".to_owned())).await;
    assert_eq!(states(&project).await, [ConnectionStatus::Initiated, ConnectionStatus::Initiated]);
    project.fake.set("ca_1", "ACTIVE");
    project.fake.set("ca_2", "EXPIRED");
    assert_eq!(states(&project).await, [ConnectionStatus::Active, ConnectionStatus::Expired]);
    assert_eq!(project.desk.titles(), ["the connection of `shopify` for user:u1 is EXPIRED: connect it again"]);
    let kept = project.composio().stored_connections(&tenant()).await.unwrap();
    assert_eq!(kept[1].reconnect_command(), "baton tools connect shopify --user 'u1'");
    project.fake.set("ca_2", "ACTIVE");
    assert_eq!(states(&project).await, [ConnectionStatus::Active, ConnectionStatus::Active]);
    assert_eq!(project.desk.titles(), [""; 0]);
    project.fake.set("ca_2", "SOMETHING_NEW");
    assert_eq!(states(&project).await, [ConnectionStatus::Active, ConnectionStatus::Unknown]);
}

#[tokio::test]
async fn what_performs_goes_on_until_a_person_has_connected_the_next_account() {
    let project = ComposioFixture::with(shop(), json!({})).await.connected(ComposioEntity::Company).await;
    assert_eq!(states(&project).await, [ConnectionStatus::Active]);
    let link = project.composio().connect(&tenant(), "shopify", ComposioEntity::Company, None).await.unwrap();
    assert_eq!(link.redirect_url, "https://connect.example/ca_2");
    assert_eq!((link.connection.account.as_str(), link.connection.state), ("ca_1", ConnectionStatus::Active));
    assert_eq!(link.connection.next.map(|next| next.account).as_deref(), Some("ca_2"));
    done(project.order("shopify.create_return").await);
    assert_eq!(states(&project).await, [ConnectionStatus::Active]);

    project.fake.set("ca_2", "ACTIVE");
    // The next start checks, and so does the check of all connections, which has the previous account deleted.
    assert_eq!(project.learn().await, []);
    done(project.order("shopify.create_return").await);
    assert_eq!(states(&project).await, [ConnectionStatus::Active]);
    let accounts: Vec<Value> = project.fake.asked("POST", "tools/execute").iter().map(account).collect();
    assert_eq!(accounts, ["ca_1", "ca_2"]);
    assert_eq!(project.fake.with(|world| world.accounts.keys().cloned().collect::<Vec<_>>()), ["ca_2"]);
    assert!(project.records.space("composio.connections")[0].get("former").is_none());
}

fn account(asked: &crate::testing::service::RecordedRequest) -> Value {
    asked.json()["connected_account_id"].clone()
}

#[tokio::test]
async fn an_account_that_nobody_finishes_connecting_takes_no_place() {
    for (status, passes) in [("INITIATED", 61), ("FAILED", 1)] {
        let project = ComposioFixture::with(shop(), json!({})).await.connected(ComposioEntity::Company).await;
        states(&project).await;
        project.composio().connect(&tenant(), "shopify", ComposioEntity::Company, None).await.unwrap();
        project.fake.set("ca_2", status);
        project.clock.advance(std::time::Duration::from_secs(passes * 60));
        assert_eq!(states(&project).await, [ConnectionStatus::Active]);
        let kept = project.composio().stored_connections(&tenant()).await.unwrap();
        assert_eq!((kept[0].account.as_str(), &kept[0].next), ("ca_1", &None), "{status}");
        assert_eq!(project.desk.titles(), [""; 0]);
    }
}

#[tokio::test]
async fn of_a_look_and_a_new_connection_at_once_none_is_lost() {
    let project = ComposioFixture::begin(shop(), json!({})).await.connected(ComposioEntity::Company).await;
    let composio = project.composio();
    let mut looked = composio.stored_connections(&tenant()).await.unwrap().remove(0);
    // The account is disconnected and connected again while the check of the first account is in progress.
    composio.disconnect(&tenant(), "shopify", ComposioEntity::Company).await.unwrap();
    project.fake.with(|world| drop(world.accounts.insert("ca_0".to_owned(), (String::new(), "EXPIRED"))));
    let anew = composio.connect(&tenant(), "shopify", ComposioEntity::Company, None).await.unwrap().connection;
    composio.record_status(&tenant(), &mut looked, ConnectionStatus::Expired, None).await.unwrap();
    assert_eq!(
        (&looked.account, looked.state),
        (&anew.account, ConnectionStatus::Initiated),
        "it hears of the new account"
    );
    assert_eq!(composio.stored_connections(&tenant()).await.unwrap(), [anew]);
}

#[tokio::test]
async fn of_many_that_write_one_connection_at_once_each_is_heard() {
    let project = ComposioFixture::with(shop(), json!({})).await.connected(ComposioEntity::Company).await;
    states(&project).await;
    let (composio, acme) = (project.composio(), tenant());
    let looks = futures::future::join_all((0..3).map(|_| composio.check_connections(&acme)));
    let connects = composio.connect(&acme, "shopify", ComposioEntity::Company, None);
    let (looked, connected) = futures::future::join(looks, connects).await;
    assert!(looked.iter().all(Result::is_ok), "{looked:?}");
    connected.unwrap();
    let kept = composio.stored_connections(&tenant()).await.unwrap();
    assert_eq!((kept[0].account.as_str(), kept[0].state), ("ca_1", ConnectionStatus::Active));
    assert_eq!(kept[0].next.as_ref().map(|next| next.account.as_str()), Some("ca_2"));
}

#[tokio::test]
async fn disconnecting_revokes_there_and_forgets_here() {
    let project = ComposioFixture::begin(shop(), json!({})).await.connected(ComposioEntity::Company).await;
    let gone = project.composio().disconnect(&tenant(), "shopify", ComposioEntity::Company).await.unwrap();
    assert_eq!(gone.unwrap().account, "ca_1");
    assert!(project.fake.with(|world| world.accounts.is_empty()));
    assert!(project.records.space("composio.connections").is_empty());
    assert_eq!(project.composio().disconnect(&tenant(), "shopify", ComposioEntity::Company).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_that_is_wrong_is_said_and_not_shown() {
    let project = ComposioFixture::begin(shop(), json!({"api_key": "ak_wrong"})).await;
    let fault = project.composio().ping().await.unwrap_err().to_string();
    assert!(fault.contains("401") && fault.contains("Invalid API key") && !fault.contains("ak_wrong"), "{fault}");
}

/// A project whose callback endpoint browsers can reach.
async fn with_door() -> ComposioFixture {
    ComposioFixture::with(shop(), json!({"callback_base": "https://baton.example.com/"})).await
}

const STATE: &str = "5f0c9f7ad1";

#[tokio::test]
async fn whoever_comes_back_with_the_state_of_their_request_finishes_it_once() {
    let project = with_door().await;
    let link =
        project.composio().connect_with_callback(&tenant(), "shopify", ComposioEntity::Company, STATE).await.unwrap();
    let asked = project.fake.asked("POST", "connected_accounts/link");
    let back = format!("https://baton.example.com/api/v1/composio/callback?state={STATE}");
    assert_eq!(asked[0].json()["callback_url"], back);
    let kept = project.records.space("composio.returns");
    assert!(kept.len() == 1 && !kept[0].to_string().contains(STATE), "{kept:?}");

    assert_eq!(project.composio().complete_callback(&tenant(), "guessed").await.unwrap(), None);
    assert_eq!(project.composio().complete_callback(&"other".into(), STATE).await.unwrap(), None);
    project.fake.set(&link.connection.account, "ACTIVE");
    let back = project.composio().complete_callback(&tenant(), STATE).await.unwrap().unwrap();
    assert_eq!((back.account.as_str(), back.state), ("ca_1", ConnectionStatus::Active));
    done(project.order("shopify.get_order").await);
    assert_eq!(project.composio().complete_callback(&tenant(), STATE).await.unwrap(), None, "it is good once");
    assert!(project.records.space("composio.returns").is_empty());
}

#[tokio::test]
async fn whoever_comes_back_too_late_or_without_having_finished_has_connected_nothing() {
    let project = with_door().await;
    let connect = async |state: &str| {
        project.composio().connect_with_callback(&tenant(), "shopify", ComposioEntity::Company, state).await.unwrap()
    };
    connect(STATE).await;
    project.clock.advance(std::time::Duration::from_secs(60 * 60));
    assert_eq!(project.composio().complete_callback(&tenant(), STATE).await.unwrap(), None, "an hour is over");
    // Expired requests are deleted with the next request.
    connect("one").await;
    project.clock.advance(std::time::Duration::from_secs(60 * 60));
    connect("two").await;
    assert_eq!(project.records.space("composio.returns").len(), 1);
    // A browser's claim connects nothing: Composio is asked.
    let back = project.composio().complete_callback(&tenant(), "two").await.unwrap().unwrap();
    assert_eq!(back.state, ConnectionStatus::Initiated);
}

#[tokio::test]
async fn the_one_who_comes_back_from_connecting_anew_puts_the_new_account_in_the_others_place() {
    let project = with_door().await.connected(ComposioEntity::Company).await;
    done(project.order("shopify.get_order").await);
    assert_eq!(states(&project).await, [ConnectionStatus::Active]);
    project.composio().connect_with_callback(&tenant(), "shopify", ComposioEntity::Company, STATE).await.unwrap();
    project.fake.set("ca_2", "ACTIVE");
    let back = project.composio().complete_callback(&tenant(), STATE).await.unwrap().unwrap();
    assert_eq!((back.account.as_str(), back.state), ("ca_2", ConnectionStatus::Active));
}
