use std::sync::Arc;

use baton_ports::models::ApiKey;

use crate::providers::rehearsal::{Call, KEY, Stopped, testdata};
use crate::providers::server::{Answer, Server};
use crate::providers::{Api, Site};

fn address(api: Api, base_url: &str, model: &str) -> String {
    use crate::providers::dialect::Dialect;
    let site = Call::to(api.clone(), base_url, "m").site;
    let openai = match api {
        Api::Azure { api_version } => super::OpenAi::azure(&site, api_version.as_deref()),
        Api::OpenAi | Api::Anthropic => super::OpenAi::new(&site),
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
        assert_eq!(address(Api::OpenAi, base_url, "m"), expected);
    }
}

#[test]
fn azure_is_addressed_in_both_its_forms() {
    let azure = |version: Option<&str>| Api::Azure { api_version: version.map(str::to_owned) };
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
    let server = Server::start(vec![Answer::json(testdata!("openai/completion.json"))]).await;
    let api = Api::Azure { api_version: Some("2024-10-21".into()) };
    Call::to(api, server.base_url.trim_end_matches("/v1"), "d1").ask().await.expect("a reply");
    let heard = server.heard()[0].to_lowercase();
    assert!(heard.starts_with("post /openai/deployments/d1/chat/completions?api-version=2024-10-21 http"), "{heard}");
    assert!(heard.contains(&format!("api-key: {KEY}")) && !heard.contains("authorization"), "{heard}");
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let error = |site: Site| site.open(Arc::new(Stopped)).expect_err("an error").to_string();
    let at = |base_url: &str| Call::openai(base_url).site;
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
    let said = error(Site { key: Some(ApiKey::new("sk-\u{7}x")), ..at("https://example.com/v1") });
    assert!(said.starts_with("models.api_key: ") && !said.contains("sk-"), "{said}");
    let azure = Site { api: Api::Azure { api_version: None }, base_url: None, ..at("https://example.com") };
    assert!(error(azure).starts_with("models.base_url: missing"));
}
