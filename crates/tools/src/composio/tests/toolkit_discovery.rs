//! Discovery of actions, and their effect classes.

use std::time::Duration;

use super::*;
use crate::catalogue::ToolRisk;

fn many(count: usize) -> FakeComposioState {
    let actions = (0..count).map(|number| action(&format!("SHOPIFY_GET_THING_{number:03}"), "shopify", &[])).collect();
    FakeComposioState { actions: [("shopify", actions)].into(), page: 7, ..FakeComposioState::default() }
}

fn of_shop(project: &ComposioFixture) -> Vec<String> {
    project.registry.names().into_iter().filter(|name| name.starts_with("shopify.")).collect()
}

#[tokio::test]
async fn every_page_is_read_and_a_slug_is_a_tool_of_its_app() {
    let project = ComposioFixture::with(many(23), json!({})).await;
    let names = of_shop(&project);
    assert_eq!((names.len(), names[22].as_str()), (23, "shopify.get_thing_022"));
    let pages = project.fake.asked("GET", "tools?");
    assert_eq!(pages.len(), 4);
    assert!(pages[0].target.contains("toolkit_slug=shopify") && pages[0].target.contains("toolkit_versions=latest"));
    assert!(pages[3].target.contains("cursor=at21"));
}

#[tokio::test]
async fn what_is_found_is_kept_so_that_a_start_needs_no_network() {
    let project = ComposioFixture::with(shop(), json!({})).await;
    let ComposioFixture { fake, records, clock, .. } = project;
    clock.advance(Duration::from_secs(60 * 60));
    let before = fake.service.received().len();
    let again = ComposioFixture::over(fake.clone(), records.clone(), clock.clone(), json!({}));
    assert_eq!(again.learn().await, []);
    assert_eq!((of_shop(&again).len(), fake.service.received().len()), (5, before));
    // Outdated, and Composio does not respond: the stored actions stay in use, and the reason is reported.
    clock.advance(Duration::from_secs(24 * 60 * 60));
    let offline = ComposioFixture::over(fake, records, clock, json!({"base_url": "http://127.0.0.1:1/api/v3"}));
    let faults = offline.learn().await;
    assert_eq!((faults.len(), faults[0].0.as_str(), of_shop(&offline).len()), (1, "shopify", 5));
}

#[tokio::test]
async fn the_newest_version_is_pinned_once_and_stays_until_it_is_asked_for() {
    let project = ComposioFixture::with(shop(), json!({})).await;
    project.fake.with(|world| {
        for item in world.actions.get_mut("shopify").unwrap() {
            item["version"] = json!("20260101_00");
        }
    });
    project.clock.advance(Duration::from_secs(48 * 60 * 60));
    project.learn().await;
    let last = project.fake.asked("GET", "tools?").pop().unwrap();
    assert!(last.target.contains("toolkit_versions%5Bshopify%5D=20251027_00"), "{}", last.target);
    let found = project.composio().discover(&tenant(), true).await.unwrap();
    assert_eq!((found[0].version.as_str(), found[0].actions), ("20260101_00", 5));
}

#[tokio::test]
async fn a_version_of_the_settings_is_asked_for_and_a_changed_one_looked_up_at_once() {
    let project = ComposioFixture::with(shop(), json!({"app": {"shopify": {"version": "20250101_00"}}})).await;
    let ComposioFixture { fake, records, clock, .. } = project;
    let asked = fake.asked("GET", "tools?");
    assert!(asked[0].target.contains("toolkit_versions%5Bshopify%5D=20250101_00"), "{}", asked[0].target);
    let changed = json!({"app": {"shopify": {"version": "20251027_00"}}});
    ComposioFixture::over(fake.clone(), records, clock, changed).learn().await;
    assert_eq!(fake.asked("GET", "tools?").len(), 2);
}

#[tokio::test]
async fn what_acts_or_is_not_vouched_for_is_done_once() {
    let trusted = ComposioFixture::with(shop(), json!({})).await;
    let says = |project: &ComposioFixture, name: &str| {
        let tool = project.registry.describe_shared(name).unwrap();
        (tool.facts.class, tool.risk)
    };
    assert_eq!(says(&trusted, "shopify.get_order"), (EffectClass::Read, ToolRisk::Low));
    assert_eq!(
        says(&trusted, "shopify.list_orders"),
        (EffectClass::Read, ToolRisk::Low),
        "named like a read, and not tagged"
    );
    assert_eq!(says(&trusted, "shopify.create_return"), (EffectClass::Once, ToolRisk::Medium));
    assert_eq!(says(&trusted, "shopify.delete_order"), (EffectClass::Once, ToolRisk::High));
    assert_eq!(says(&trusted, "shopify.find_or_create_customer"), (EffectClass::Once, ToolRisk::Medium));
    let doubted = ComposioFixture::with(shop(), json!({"trusted": false})).await;
    assert_eq!(says(&doubted, "shopify.get_order"), (EffectClass::Once, ToolRisk::High));
}

#[tokio::test]
async fn the_settings_have_the_last_word_on_an_action() {
    let own = json!({"app": {"shopify": {"exclude": ["delete_*"], "action": {
        "get_order": {"cache_seconds": 60, "cost_usd": 0.01},
        "create_return": {"risk": "high", "compensation": {"tool": "shopify.delete_order", "parameters": {}}},
        "find_or_create_customer": {"class": "read"},
    }}}});
    let project = ComposioFixture::with(shop(), own).await;
    let of = |name: &str| project.registry.describe_shared(name);
    assert!(of("shopify.delete_order").is_none());
    let create = of("shopify.create_return").unwrap();
    assert_eq!((create.risk, create.compensable, create.facts.irreversible.clone()), (ToolRisk::High, true, None));
    let find = of("shopify.find_or_create_customer").unwrap();
    assert_eq!((find.facts.class, find.risk), (EffectClass::Read, ToolRisk::Low));
    assert!((of("shopify.get_order").unwrap().cost_usd - 0.01).abs() < 1e-9);
}

#[tokio::test]
async fn what_is_no_action_is_told_and_the_rest_is_there() {
    let mut large = action("SHOPIFY_GET_LARGE", "shopify", &[]);
    large["input_parameters"]["description"] = json!("x".repeat(70 << 10));
    let mut wrong = action("SHOPIFY_GET_WRONG", "shopify", &[]);
    wrong["input_parameters"] = json!({"type": "no type"});
    let mut old = action("SHOPIFY_GET_OLD", "shopify", &[]);
    old["is_deprecated"] = json!(true);
    let items = vec![
        action("SHOPIFY_GET_ORDER", "shopify", &[]),
        large,
        wrong,
        old,
        json!({"slug": "../../etc"}),
        json!({"slug": "SHOPIFY_GET_ODD", "tags": "none"}),
        json!(7),
    ];
    let world = FakeComposioState { actions: [("shopify", items)].into(), ..FakeComposioState::default() };
    let project = ComposioFixture::begin(world, json!({})).await;
    let found = project.composio().discover(&tenant(), false).await.unwrap();
    let doubts: Vec<&str> = found[0].doubts.iter().map(|doubt| doubt.slug.as_str()).collect();
    assert_eq!(doubts, ["SHOPIFY_GET_LARGE", "SHOPIFY_GET_WRONG", "../../etc", "SHOPIFY_GET_ODD", ""]);
    project.registry.load_discovered(&tenant()).await.unwrap();
    assert_eq!(of_shop(&project), ["shopify.get_large", "shopify.get_order", "shopify.get_wrong"]);
}

#[tokio::test]
async fn a_toolkit_that_is_not_there_is_said_and_a_list_without_end_is_cut_off() {
    let none = ComposioFixture::begin(FakeComposioState::default(), json!({})).await;
    let faults = none.learn().await;
    assert!(faults[0].1.to_string().contains("`shopify` has no actions"), "{}", faults[0].1);
    let endless = FakeComposioState { page: 1, ..many(400) };
    let faults = ComposioFixture::begin(endless, json!({})).await.learn().await;
    assert!(faults[0].1.to_string().contains("more than 200 pages"), "{}", faults[0].1);
}

#[tokio::test]
async fn a_newer_list_takes_the_place_of_the_older_and_leaves_nothing_of_it() {
    let project = ComposioFixture::with(many(150), json!({})).await;
    project.fake.with(|world| world.actions.get_mut("shopify").unwrap().truncate(3));
    project.composio().discover(&tenant(), false).await.unwrap();
    project.registry.load_discovered(&tenant()).await.unwrap();
    assert_eq!((of_shop(&project).len(), project.records.space("composio.actions").len()), (3, 3));
}

#[tokio::test]
async fn two_processes_that_look_at_once_leave_one_whole_list() {
    let project = ComposioFixture::begin(many(120), json!({})).await;
    let tenant = tenant();
    let (one, other) =
        tokio::join!(project.composio().discover(&tenant, false), project.composio().discover(&tenant, false));
    assert_eq!((one.unwrap()[0].actions, other.unwrap()[0].actions), (120, 120));
    project.clock.advance(Duration::from_secs(2 * 60 * 60));
    project.composio().discover(&tenant, false).await.unwrap();
    project.registry.load_discovered(&tenant).await.unwrap();
    assert_eq!((of_shop(&project).len(), project.records.space("composio.actions").len()), (120, 120));
}

#[tokio::test]
async fn a_search_finds_the_tool_by_words_here_and_there() {
    let project = ComposioFixture::with(shop(), json!({})).await;
    let (found, fault) = project.registry.search(&tenant(), "create return", 3).await;
    assert_eq!((&*found[0].name, fault), ("shopify.create_return", None));
    assert!(project.fake.asked("GET", "tools?").last().unwrap().target.contains("search=create+return"));
    // Composio does not respond: the tools are still found, and the failure is reported.
    let ComposioFixture { fake, records, clock, .. } = project;
    let offline = ComposioFixture::over(fake, records, clock, json!({"base_url": "http://127.0.0.1:1/api/v3"}));
    offline.registry.load_discovered(&tenant()).await.unwrap();
    let (found, fault) = offline.registry.search(&tenant(), "create return", 3).await;
    assert_eq!((&*found[0].name, fault.is_some()), ("shopify.create_return", true));
}

#[test]
fn settings_that_cannot_be_kept_are_refused_by_name() {
    let refused = |composio: Value, expect: &str| {
        let config = serde_json::from_value::<ToolsConfig>(json!({"composio": composio}));
        let services = ToolServices::new(Arc::new(InMemoryRecords::default()), Arc::new(ManualClock::at(NOW)));
        let error = match config {
            Err(error) => error.to_string(),
            Ok(config) => ToolRegistry::new(config, &services).err().unwrap().to_string(),
        };
        assert!(error.contains(expect), "{error}");
    };
    refused(json!({"toolkit": ["shopify"]}), "toolkit");
    refused(json!({"toolkits": ["Shopify"]}), "`Shopify` is no toolkit");
    refused(json!({"toolkits": ["shopify"], "app": {"gmail": {}}}), "`app.gmail` is not among the `toolkits`");
    refused(json!({"toolkits": ["shopify"], "entity_id_source": "users_id"}), "`users_id` is no source");
    let action = |said: Value| json!({"toolkits": ["shopify"], "app": {"shopify": {"action": {"get_order": said}}}});
    refused(action(json!({"class": "keyed"})), "no idempotency key");
    refused(action(json!({"clas": "read"})), "unknown field `clas`");
}
