use baton_core::model::{ModelImage, ModelMessage, ModelProfile, ToolOffer};
use baton_ports::models::ConsumerKey;
use serde_json::{Value, json};

use super::*;
use crate::config::ModelsConfig;
use crate::provider_registry::ServedProvider;
use crate::providers::test_support::{asker, request};
use crate::test_support::{FakeBehavior, FakeProvider, fake_provider};

/// A day in 2026 after the oldest models were retired.
const NOW: Time = Time::from_ms(1_795_000_000_000);

fn fake(name: &str, kind: ProviderKind) -> ServedProvider {
    fake_provider(name, kind, &FakeProvider::new(FakeBehavior::Answers(Duration::ZERO)))
}

/// Both public APIs, with keys.
fn public() -> Vec<ServedProvider> {
    [fake("openai", ProviderKind::OpenAi), fake("anthropic", ProviderKind::Anthropic)]
        .map(|served| ServedProvider { is_public: true, ..served })
        .into()
}

/// Self-hosted servers that speak the same dialects.
fn private() -> Vec<ServedProvider> {
    vec![fake("openai", ProviderKind::OpenAi), fake("anthropic", ProviderKind::Anthropic)]
}

fn router(settings: Value, providers: Vec<ServedProvider>) -> ModelRouter {
    let config: ModelsConfig = serde_json::from_value(settings).expect("settings");
    let providers = ProviderRegistry::of(providers);
    ModelRouter::new(ModelIndex::new(&config, &providers).expect("books"), providers)
}

fn asked(profile: ModelProfile) -> ModelRequest {
    ModelRequest { profile, ..request("a", &["u: what is the weather like?"]) }
}

fn names(choice: &ModelChoice) -> Vec<&str> {
    choice.viable.iter().map(|candidate| candidate.model.name.as_str()).collect()
}

fn dropped(choice: &ModelChoice) -> Vec<(&str, &str)> {
    choice.dropped.iter().map(|dropped| (dropped.model.name.as_str(), dropped.reason.word())).collect()
}

fn chosen(router: &ModelRouter, request: &ModelRequest) -> Vec<String> {
    let choice = router.choose(&asker(1), request, false, false, NOW);
    names(&choice).into_iter().map(str::to_owned).collect()
}

#[test]
fn the_seeds_profiles_choose_among_the_seeds_models() {
    let router = router(json!({}), private());
    for (profile, expect) in [
        (ModelProfile::Fast, ["claude-3-haiku", "gpt-3.5-turbo", "claude-3-sonnet", "gpt-4-turbo"]),
        (ModelProfile::Balanced, ["claude-3-sonnet", "gpt-4-turbo", "gpt-4", "claude-3-opus"]),
        (ModelProfile::Powerful, ["claude-3-opus", "gpt-4", "gpt-4-turbo", "claude-3-sonnet"]),
    ] {
        let found = chosen(&router, &asked(profile));
        assert_eq!(found[..4], expect, "{profile:?}");
    }
}

#[test]
fn with_one_provider_the_seeds_first_choices_are_asked() {
    let router = router(json!({}), vec![fake("openai", ProviderKind::OpenAi)]);
    let first = |profile| chosen(&router, &asked(profile))[0].clone();
    assert_eq!(
        [ModelProfile::Fast, ModelProfile::Balanced, ModelProfile::Powerful].map(first),
        ["gpt-3.5-turbo", "gpt-4-turbo", "gpt-4"]
    );
    let choice = router.choose(&asker(1), &asked(ModelProfile::Fast), false, false, NOW);
    assert!(dropped(&choice).contains(&("claude-3-haiku", "provider_not_set_up")), "{:?}", dropped(&choice));
}

#[test]
fn what_a_public_api_has_retired_gives_way_to_what_it_has() {
    let router = router(json!({}), public());
    assert_eq!(chosen(&router, &asked(ModelProfile::Fast)), ["claude-haiku-5-5", "gpt-6-luna"]);
    let choice = router.choose(&asker(1), &asked(ModelProfile::Balanced), false, false, NOW);
    assert!(dropped(&choice).contains(&("gpt-4-turbo", "retired")));
    let before =
        router.choose(&asker(1), &asked(ModelProfile::Balanced), false, false, Time::from_ms(1_700_000_000_000));
    assert_eq!(names(&before)[0], "claude-3-sonnet");
}

#[test]
fn more_than_four_fifths_of_the_context_is_too_much() {
    let settings = json!({"models": {"fast": ["small", "large"]}, "catalogue": {
        "small": {"input_usd_per_million": 0, "output_usd_per_million": 0, "context_tokens": 1_000, "quality": 9},
        "large": {"input_usd_per_million": 0, "output_usd_per_million": 0, "context_tokens": 100_000}}});
    let router = router(settings, private());
    // Four bytes per token, and four tokens for the message.
    let of = |tokens: usize| ModelRequest {
        profile: ModelProfile::Fast,
        ..request("a", &[&format!("u: {}", "a".repeat(4 * (tokens - 4)))])
    };
    assert_eq!(chosen(&router, &of(800)), ["small", "large"]);
    assert_eq!(chosen(&router, &of(801)), ["large"]);
    let long_reply = ModelRequest { max_tokens: Some(201), ..of(800) };
    assert_eq!(chosen(&router, &long_reply), ["large"]);
    let too_much = router.choose(&asker(1), &of(80_001), false, false, NOW);
    assert_eq!(dropped(&too_much), [("small", "context"), ("large", "context")]);
    let fault = too_much.no_candidate_fault();
    assert!(!fault.retryable && fault.fault.message.contains("80001 tokens"), "{fault:?}");
}

#[test]
fn a_call_over_the_profiles_limit_is_too_dear() {
    let settings = json!({"models": {"fast": ["dear", "cheap"]}, "catalogue": {
        "dear": {"input_usd_per_million": 0, "output_usd_per_million": 40.004, "quality": 10},
        "cheap": {"input_usd_per_million": 0, "output_usd_per_million": 40}}});
    let router = router(settings, private());
    let choice = router.choose(&asker(1), &asked(ModelProfile::Fast), false, false, NOW);
    assert_eq!((names(&choice), dropped(&choice)), (vec!["cheap"], vec![("dear", "cost")]));
}

#[test]
fn a_model_must_be_able_to_do_what_is_asked() {
    let free = |more: Value| {
        let mut entry = json!({"input_usd_per_million": 0, "output_usd_per_million": 0});
        entry.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        entry
    };
    let settings = json!({"models": {"fast": ["bare", "able"]}, "catalogue": {
        "bare": free(json!({"tools": false, "structured": "none", "streaming": false, "quality": 10})),
        "able": free(json!({"vision": true}))}});
    let router = router(settings, private());
    let tool = ToolOffer { name: "t".into(), description: String::new(), parameters: json!({}), strict: None };
    let image = ModelMessage::User {
        content: String::new(),
        images: vec![ModelImage::from_url("https://a/b.png")],
        name: None,
    };
    let plain = asked(ModelProfile::Fast);
    assert_eq!(chosen(&router, &plain), ["bare", "able"]);
    for request in [
        ModelRequest { tools: vec![tool], ..plain.clone() },
        ModelRequest { schema: Some(json!({"type": "object"})), ..plain.clone() },
        ModelRequest { messages: vec![image], ..plain.clone() },
    ] {
        assert_eq!(chosen(&router, &request), ["able"], "{request:?}");
    }
    assert_eq!(names(&router.choose(&asker(1), &plain, true, false, NOW)), ["able"], "streamed");
}

#[test]
fn nobody_to_ask_is_an_error_that_says_why_of_each() {
    let router = router(json!({"models": {"fast": ["gpt-4o", "claude-3-haiku"]}}), public_without_keys());
    let fault = router.choose(&asker(1), &asked(ModelProfile::Fast), false, false, NOW).no_candidate_fault();
    assert_eq!(fault.fault.code, "NO_MODEL");
    for part in ["`fast`", "`gpt-4o`: there is no key for `openai`", "`claude-3-haiku`: no provider `anthropic`"] {
        assert!(fault.fault.message.contains(part), "{}", fault.fault.message);
    }
    assert!(!fault.retryable);
}

fn public_without_keys() -> Vec<ServedProvider> {
    vec![ServedProvider { is_public: true, works_without_key: false, ..fake("openai", ProviderKind::OpenAi) }]
}

#[test]
fn a_consumers_key_is_for_one_provider_only() {
    let router = router(json!({"models": {"fast": ["gpt-4o", "claude-haiku-5-5"]}}), {
        let mut providers = public_without_keys();
        providers.push(ServedProvider { is_public: true, ..fake("anthropic", ProviderKind::Anthropic) });
        providers
    });
    let with = |key: &str| ModelCaller { api_key: Some(ConsumerKey::new(key)), ..asker(1) };
    let openai = router.choose(&with("sk-proj-1"), &asked(ModelProfile::Fast), false, false, NOW);
    assert_eq!((names(&openai), dropped(&openai)), (vec!["gpt-4o"], vec![("claude-haiku-5-5", "consumers_key")]));
    let anthropic = router.choose(&with("sk-ant-1"), &asked(ModelProfile::Fast), false, false, NOW);
    assert_eq!(names(&anthropic), ["claude-haiku-5-5"]);
}

#[test]
fn a_model_by_name_is_checked_and_not_scored() {
    let router = router(json!({}), public());
    let named = |name: &str| ModelRequest { model: Some(name.to_owned()), ..asked(ModelProfile::Fast) };
    assert_eq!(chosen(&router, &named("claude-fable-5-1")), ["claude-fable-5-1"]);
    let retired = router.choose(&asker(1), &named("gpt-4"), false, false, NOW).no_candidate_fault();
    assert!(
        retired.fault.message.starts_with("model `gpt-4` cannot be asked: its provider has retired it"),
        "{retired:?}"
    );
    let image = ModelMessage::User {
        content: String::new(),
        images: vec![ModelImage::from_url("https://a/b.png")],
        name: None,
    };
    let unseeing = ModelRequest { messages: vec![image], ..named("claude-haiku-5-5") };
    assert_eq!(chosen(&router, &unseeing), ["claude-haiku-5-5"]);
}

#[test]
fn a_name_nobody_knows_is_asked_of_whom_it_names_or_of_the_default() {
    let router = router(json!({}), private());
    let model = |name: &str| {
        let request = ModelRequest { model: Some(name.to_owned()), ..asked(ModelProfile::Fast) };
        let choice = router.choose(&asker(1), &request, false, false, NOW);
        let candidate = choice.viable.first().expect("a candidate");
        (candidate.model.served.as_ref().expect("served").name.clone(), candidate.model.upstream.clone())
    };
    assert_eq!(model("llama3:8b"), ("openai".into(), "llama3:8b".into()));
    assert_eq!(model("anthropic/claude-next"), ("anthropic".into(), "claude-next".into()));
    assert_eq!(model("meta/llama"), ("openai".into(), "meta/llama".into()));
}

#[test]
fn a_server_of_ones_own_may_have_any_model_and_a_public_api_only_its_own() {
    let named = ModelRequest { model: Some("claude-3-opus".into()), ..asked(ModelProfile::Fast) };
    let proxy = router(json!({}), vec![fake("openai", ProviderKind::OpenAi)]);
    assert_eq!(chosen(&proxy, &named), ["claude-3-opus"]);
    let openai = router(json!({}), vec![ServedProvider { is_public: true, ..fake("openai", ProviderKind::OpenAi) }]);
    let choice = openai.choose(&asker(1), &named, false, false, NOW);
    assert_eq!(dropped(&choice), [("claude-3-opus", "provider_not_set_up")]);
}

#[test]
fn files_answer_for_every_model() {
    let router = router(json!({}), vec![fake("script", ProviderKind::Script)]);
    assert_eq!(chosen(&router, &asked(ModelProfile::Fast))[..2], ["claude-3-haiku", "gpt-3.5-turbo"]);
    let named = ModelRequest { model: Some("gpt-4".into()), ..asked(ModelProfile::Fast) };
    assert_eq!(chosen(&router, &named), ["gpt-4"]);
}

#[test]
fn a_tenant_has_its_own_words() {
    let text =
        "tenants:\n  clinic:\n    profiles: {fast: {models: gpt-4o}}\n    models: {gpt-4o: {context_tokens: 10}}\n";
    let file = crate::catalogue::CatalogueFile::read(text.as_bytes()).expect("a file");
    let providers = ProviderRegistry::of(private());
    let config = ModelsConfig { file, ..ModelsConfig::default() };
    let router = ModelRouter::new(ModelIndex::new(&config, &providers).expect("books"), providers);
    let choice = router.choose(&asker(1), &asked(ModelProfile::Fast), false, false, NOW);
    assert_eq!(dropped(&choice), [("gpt-4o", "context")]);
    let other = ModelCaller { tenant: "other".into(), ..asker(1) };
    assert_eq!(names(&router.choose(&other, &asked(ModelProfile::Fast), false, false, NOW))[0], "claude-3-haiku");
}

#[test]
fn what_was_learned_counts() {
    let settings = json!({"models": {"fast": ["a", "b"]}, "catalogue": {
        "a": {"input_usd_per_million": 0, "output_usd_per_million": 0, "latency_ms": 200, "quality": 5},
        "b": {"input_usd_per_million": 0, "output_usd_per_million": 0, "latency_ms": 400, "quality": 5}}});
    let router = router(settings, private());
    assert_eq!(chosen(&router, &asked(ModelProfile::Fast)), ["a", "b"]);
    let health = router.index().health("a");
    let slow = |_| {
        let expected = Duration::from_millis(200);
        health.admit(NOW).expect("admitted").succeeded(Duration::from_secs(3), expected, None, NOW);
    };
    (0..5).for_each(slow);
    assert_eq!(chosen(&router, &asked(ModelProfile::Fast)), ["b", "a"]);
    let later = NOW + Duration::from_secs(6 * 60 * 60);
    let choice = router.choose(&asker(1), &asked(ModelProfile::Fast), false, false, later);
    assert_eq!(names(&choice), ["a", "b"], "what was learned is forgotten");
}

#[test]
fn a_choice_is_explained() {
    let router = router(json!({}), private());
    let choice = router.choose(&asker(1), &asked(ModelProfile::Fast), false, false, NOW);
    let explained: Value = serde_json::from_str(&choice.explain()).expect("JSON");
    assert_eq!(explained["chosen"], "claude-3-haiku");
    assert_eq!(explained["fallbacks"][0], "gpt-3.5-turbo");
    assert_eq!(explained["profile"], "fast");
    let best = &explained["candidates"][0];
    assert_eq!(
        (&best["provider"], &best["group"], &best["expected_latency_ms"]),
        (&json!("anthropic"), &json!(1), &json!(600))
    );
    let whole = 0.6 * best["latency_score"].as_f64().unwrap()
        + 0.3 * best["cost_score"].as_f64().unwrap()
        + 0.1 * best["quality_score"].as_f64().unwrap();
    assert!((whole - best["score"].as_f64().unwrap()).abs() < 1e-3, "{explained}");
    assert!(explained["reasoning"].as_str().unwrap().starts_with("claude-3-haiku suits fast best"), "{explained}");
    assert!(choice.explain().len() < 4_096);
    // With the explanation cache it is the same text, whatever the choices before had dropped.
    let image = ModelMessage::User {
        content: String::new(),
        images: vec![ModelImage::from_url("https://a/b.png")],
        name: None,
    };
    let seeing = ModelRequest { messages: vec![image], ..asked(ModelProfile::Fast) };
    let seeing = router.choose(&asker(1), &seeing, false, false, NOW);
    assert!(!seeing.dropped.is_empty());
    // It also holds for small differences: in tokens, in the requested name, in a model's latency.
    let choose = |request: &ModelRequest| router.choose(&asker(1), request, false, false, NOW);
    let longer = choose(&ModelRequest {
        messages: vec![ModelMessage::user("a longer word than that")],
        ..asked(ModelProfile::Fast)
    });
    let named = choose(&ModelRequest { model: Some("claude-3-haiku".to_owned()), ..asked(ModelProfile::Fast) });
    let health = router.index().health("claude-3-haiku");
    health.admit(NOW).expect("admitted").succeeded(Duration::from_millis(605), Duration::from_millis(600), None, NOW);
    let slower = choose(&asked(ModelProfile::Fast));
    assert_ne!(slower.explain(), choice.explain());
    let choices = [choice, seeing, longer, named, slower].map(Arc::new);
    for (first, second) in choices.iter().flat_map(|first| choices.iter().map(move |second| (first, second))) {
        let mut told = ExplanationCache::default();
        for choice in [first, second, second] {
            assert_eq!(choice.explain_cached(&mut told), choice.explain());
        }
    }
}

#[test]
fn at_the_door_files_have_no_models_but_those_the_catalogue_or_a_reply_names() {
    let script = |replies: Value| {
        let file = crate::ScriptFile { name: "replies/a.yaml".into(), document: json!({ "replies": replies }) };
        ProviderRegistry::scripted(crate::providers::script::ReplyScript::new(&[file]).expect("a script"))
    };
    let check = |name: &str, replies: Value| {
        let config: ModelsConfig = serde_json::from_value(json!({"models": {"fast": ["listed"]}})).expect("settings");
        let providers = script(replies);
        let router = ModelRouter::new(ModelIndex::new(&config, &providers).expect("books"), providers);
        let request = ModelRequest { model: Some(name.to_owned()), ..request("a", &["u: hi"]) };
        let (run, door) = (asker(1), baton_ports::models::ModelCaller { run: None, ..asker(1) });
        let choice = |asker| router.choose(asker, &request, false, false, NOW);
        assert!(choice(&run).dropped.is_empty(), "a run is answered whatever its agent names");
        let choice = choice(&door);
        dropped(&choice).first().map(|(_, reason)| (*reason).to_owned())
    };
    let any = || json!([{"agent": "*", "content": "x"}]);
    for known in ["gpt-4", "listed"] {
        assert_eq!(check(known, any()), None, "{known}");
    }
    assert_eq!(check("gpt-44", any()).as_deref(), Some("unknown"));
    assert_eq!(check("mine", json!([{"agent": "*", "model": "mine", "content": "x"}])), None);
    let looks = json!([{"agent": "*", "match": {"expr": "model == 'mine'"}, "content": "x"}]);
    assert_eq!(check("mine", looks), None);
}
