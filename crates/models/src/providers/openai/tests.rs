use std::sync::Arc;

use baton_ports::models::ConsumerKey;

use crate::providers::stub_server::{StubAnswer, StubServer};
use crate::providers::test_support::{FixedInstantClock, KEY, ProviderFixture, testdata};
use crate::providers::{ProviderApi, ProviderSite};

fn address(api: ProviderApi, base_url: &str, model: &str) -> String {
    use crate::providers::dialect::ApiDialect;
    let site = ProviderFixture::to(api.clone(), base_url, "m").site;
    let openai = match api {
        ProviderApi::Azure { api_version } => super::OpenAiDialect::azure(&site, api_version.as_deref()),
        ProviderApi::OpenAi | ProviderApi::Anthropic => super::OpenAiDialect::new(&site),
    };
    openai.expect("an address").endpoint(model).into()
}

#[test]
fn the_endpoint_follows_the_base_urls_path() {
    for (base_url, expected) in [
        ("http://localhost:11434/v1/", "http://localhost:11434/v1/chat/completions"),
        ("https://example.com", "https://example.com/chat/completions"),
        ("https://example.com/openai/v1", "https://example.com/openai/v1/chat/completions"),
    ] {
        assert_eq!(address(ProviderApi::OpenAi, base_url, "m"), expected);
    }
}

#[test]
fn azure_is_addressed_in_both_its_forms() {
    let azure = |version: Option<&str>| ProviderApi::Azure { api_version: version.map(str::to_owned) };
    for written in
        ["https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1/", "https://r.openai.azure.com/openai"]
    {
        assert_eq!(address(azure(None), written, "m"), "https://r.openai.azure.com/openai/v1/chat/completions");
        assert_eq!(
            address(azure(Some("2024-10-21")), written, "my gpt/4"),
            "https://r.openai.azure.com/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21"
        );
    }
}

#[tokio::test]
async fn azures_key_has_its_own_header() {
    let server = StubServer::start(vec![StubAnswer::json(testdata!("openai/completion.json"))]).await;
    let api = ProviderApi::Azure { api_version: Some("2024-10-21".into()) };
    ProviderFixture::to(api, server.base_url.trim_end_matches("/v1"), "d1").ask().await.expect("a reply");
    let heard = server.requests()[0].to_lowercase();
    assert!(heard.starts_with("post /openai/deployments/d1/chat/completions?api-version=2024-10-21 http"), "{heard}");
    assert!(heard.contains(&format!("api-key: {KEY}")) && !heard.contains("authorization"), "{heard}");
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let error = |site: ProviderSite| site.build(Arc::new(FixedInstantClock)).expect_err("an error").to_string();
    let at = |base_url: &str| ProviderFixture::openai(base_url).site;
    for (base_url, problem) in [
        ("api.openai.com/v1", "not a URL"),
        ("ftp://example.com", "not an http or https URL"),
        ("https://me:secret@example.com/v1", "user name or password"),
        ("https://example.com/v1?api-key=secret", "a query"),
    ] {
        let said = error(at(base_url));
        assert!(said.starts_with("models.base_url: ") && said.contains(problem), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    let said = error(ProviderSite { key: Some(ConsumerKey::new("sk-\u{7}x")), ..at("https://example.com/v1") });
    assert!(said.starts_with("models.api_key: ") && !said.contains("sk-"), "{said}");
    let azure =
        ProviderSite { api: ProviderApi::Azure { api_version: None }, base_url: None, ..at("https://example.com") };
    assert!(error(azure).starts_with("models.base_url: missing"));
}
