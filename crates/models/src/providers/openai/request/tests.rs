use baton_core::model::{
    ModelImage, ModelMessage, ModelReply, ModelRequest, ModelToolCall, ThinkingBlock, ToolChoice, ToolOffer,
};
use serde_json::{Value, json};

use crate::catalogue::{ModelSpec, StructuredOutput};
use crate::providers::stub_server::{StubAnswer, StubServer};
use crate::providers::test_support::{KEY, ProviderFixture, ask_stub, request, testdata, with_tools};

async fn reply(answer: StubAnswer, call: impl FnOnce(ProviderFixture) -> ProviderFixture) -> ModelReply {
    ask_stub(answer, |base_url| call(ProviderFixture::openai(base_url))).await.0.expect("a reply").reply
}

/// The body that a call sends.
async fn body(call: impl FnOnce(ProviderFixture) -> ProviderFixture) -> Value {
    ask_stub(StubAnswer::json(testdata!("openai/completion.json")), |base_url| call(ProviderFixture::openai(base_url)))
        .await
        .1
}

#[tokio::test]
async fn a_request_is_written_as_documented() {
    let server = StubServer::start(vec![StubAnswer::json(testdata!("openai/completion.json"))]).await;
    ProviderFixture::openai(&server.base_url).of(with_tools()).ask().await.expect("a reply");
    let heard = server.requests();
    let (head, body) = heard[0].split_once("\r\n\r\n").expect("a request");
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains(&format!("authorization: bearer {KEY}")), "{head}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let expected: Value = serde_json::from_slice(testdata!("openai/request_tools.json")).expect("JSON");
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_schema_is_enforced_as_far_as_the_model_can() {
    let format = async |change: fn(ProviderFixture) -> ProviderFixture| {
        body(|call| change(call.of(with_tools()))).await["response_format"].clone()
    };
    let unknown = format(|call| call.model("gpt-4o")).await;
    assert_eq!((&unknown["type"], &unknown["json_schema"]["strict"]), (&json!("json_schema"), &json!(false)));
    let closed = format(|mut call| {
        call.site.structured = Some(StructuredOutput::JsonSchema);
        call.request.schema = Some(json!({
            "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false
        }));
        call
    });
    assert_eq!(closed.await["json_schema"]["strict"], json!(true));
    assert_eq!(format(|call| call.model("gpt-4")).await, Value::Null);
    let list = format(|mut call| {
        call.request.schema = Some(json!({"type": "array"}));
        call
    });
    assert_eq!(list.await, Value::Null);
}

#[tokio::test]
async fn what_is_not_enforced_is_asked_for() {
    let told = |body: &Value| body["messages"][0]["content"].as_str().expect("a text").to_owned();
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let plain = ModelRequest { schema: Some(schema.clone()), ..request("a", &["u: hi"]) };
    let only_words = body(|call| call.model("gpt-4").of(plain.clone())).await;
    assert_eq!(only_words["messages"][0]["role"], "system");
    assert!(told(&only_words).contains(&schema.to_string()), "{only_words}");
    let enforced = body(|call| call.model("gpt-4o").of(plain)).await;
    assert_eq!(enforced["messages"], json!([{"role": "user", "content": "hi"}]));
}

#[tokio::test]
async fn a_thinking_model_is_asked_in_its_own_words() {
    let mut request = with_tools();
    request.more.insert("top_p".into(), json!(0.5));
    request.more.insert("reasoning_effort".into(), json!("low"));
    let body = body(|call| call.model("gpt-6-luna").of(request)).await;
    assert_eq!((&body["max_completion_tokens"], &body["reasoning_effort"]), (&json!(200), &json!("low")));
    for refused in ["temperature", "max_tokens", "top_p"] {
        assert_eq!(body.get(refused), None, "{refused}");
    }
}

#[tokio::test]
async fn what_a_deployments_name_hides_the_catalogue_says() {
    let asked = async |sampling: bool| {
        let deployed = |call: ProviderFixture| {
            let spec = call.spec.clone().map(|spec| ModelSpec { sampling: Some(sampling), ..spec });
            ProviderFixture { model: "our-deployment", spec, ..call }
        };
        body(deployed).await.get("temperature").cloned()
    };
    assert_eq!((asked(true).await, asked(false).await), (Some(json!(0.0)), None));
}

#[tokio::test]
async fn further_fields_are_sent_on_and_ours_are_not_theirs_to_change() {
    let mut request = with_tools();
    for (name, value) in [
        ("top_p", json!(0.5)),
        ("stop", json!(["END"])),
        ("seed", json!(7)),
        ("parallel_tool_calls", json!(false)),
        ("n", json!(5)),
        ("service_tier", json!("priority")),
        ("prediction", json!({"type": "content", "content": "x"})),
        ("model", json!("dear-one")),
        ("stream", json!(true)),
        ("max_tokens", json!(9)),
    ] {
        request.more.insert(name.into(), value);
    }
    let body = body(|call| call.of(request)).await;
    assert_eq!((&body["top_p"], &body["stop"], &body["seed"]), (&json!(0.5), &json!(["END"]), &json!(7)));
    assert_eq!((&body["parallel_tool_calls"], &body["max_tokens"]), (&json!(false), &json!(200)));
    assert_eq!((body.get("service_tier"), body.get("prediction")), (None, None));
    assert_eq!((&body["model"], body.get("n"), body.get("stream")), (&json!("gpt-4-turbo"), None, None));
}

#[tokio::test]
async fn tool_choice_is_told_where_there_are_tools() {
    for (choice, expected) in [
        (ToolChoice::Auto, json!("auto")),
        (ToolChoice::None, json!("none")),
        (ToolChoice::Required, json!("required")),
        (
            ToolChoice::Tool("shopify.get_order".into()),
            json!({"type": "function", "function": {"name": "shopify_get_order"}}),
        ),
    ] {
        let request = ModelRequest { tool_choice: Some(choice), ..with_tools() };
        assert_eq!(body(|call| call.of(request)).await["tool_choice"], expected);
    }
    let without = ModelRequest { tool_choice: Some(ToolChoice::Required), ..request("a", &["u: hi"]) };
    assert_eq!(body(|call| call.of(without)).await.get("tool_choice"), None);
}

#[tokio::test]
async fn images_are_passed_through() {
    let image = |url: &str| ModelImage::from_url(url);
    let seen = |content: &str| ModelMessage::User {
        content: content.into(),
        images: vec![image("https://example.com/a.png"), image("data:image/png;base64,AAAA")],
        name: None,
    };
    let request = ModelRequest { messages: vec![seen("What is this?"), seen("")], ..ModelRequest::default() };
    let images = [
        json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
    ];
    let text = json!({"type": "text", "text": "What is this?"});
    let body = body(|call| call.of(request)).await;
    assert_eq!(body["messages"][0]["content"], json!([text, images[0], images[1]]));
    assert_eq!(body["messages"][1]["content"], json!(images));
}

#[tokio::test]
async fn names_details_and_strict_tools_are_written_where_openai_has_them() {
    let closed = json!({
        "type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"], "additionalProperties": false
    });
    let tool = |name: &str, parameters: &Value, strict| ToolOffer {
        name: name.into(),
        description: String::new(),
        parameters: parameters.clone(),
        strict,
    };
    let image = ModelImage { detail: Some("low".into()), ..ModelImage::from_url("https://example.com/a.png") };
    let said = ModelMessage::Assistant {
        content: "Hi.".into(),
        tool_calls: Vec::new(),
        thinking: None,
        name: Some("helper".into()),
    };
    let request = ModelRequest {
        messages: vec![
            ModelMessage::System { content: "Be kind.".into(), name: Some("house".into()) },
            ModelMessage::User { content: "What?".into(), images: vec![image], name: Some("ana".into()) },
            said,
        ],
        tools: vec![
            tool("held", &closed, Some(true)),
            tool("open", &json!({"type": "object"}), Some(true)),
            tool("free", &closed, Some(false)),
            tool("usual", &closed, None),
        ],
        ..ModelRequest::default()
    };
    let body = body(|call| call.of(request)).await;
    let names: Vec<&Value> = body["messages"].as_array().expect("messages").iter().map(|said| &said["name"]).collect();
    assert_eq!(names, ["house", "ana", "helper"]);
    assert_eq!(body["messages"][1]["content"][1]["image_url"]["detail"], "low");
    // A schema that strict mode would refuse is sent unchanged, and the caller validates its calls.
    let strict = [0, 1, 2, 3].map(|place| body["tools"][place]["function"].get("strict").cloned());
    assert_eq!(strict, [Some(json!(true)), None, Some(json!(false)), None]);
}

#[tokio::test]
async fn any_object_is_asked_for_in_json_mode_and_in_words() {
    let any = ModelRequest { schema: Some(json!({"type": "object"})), ..request("a", &["u: hi"]) };
    let body = body(|call| call.model("gpt-4o").of(any)).await;
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    // The API refuses JSON mode if no message mentions JSON.
    assert!(body["messages"][0]["content"].as_str().is_some_and(|told| told.contains("JSON")), "{body}");
}

#[tokio::test]
async fn what_a_model_holds_itself_is_told_from_what_it_only_hears() {
    let closed = json!({
        "type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"], "additionalProperties": false
    });
    let open = json!({"type": "object", "properties": {"x": {"type": "string"}}});
    let holds = |model: &'static str, schema: Option<&Value>, tool: Option<&Value>| {
        let tools = tool.map(|parameters| ToolOffer {
            name: "t".into(),
            description: String::new(),
            parameters: parameters.clone(),
            strict: Some(true),
        });
        let tools = tools.into_iter().collect();
        ProviderFixture::openai("http://localhost/v1")
            .model(model)
            .of(ModelRequest { schema: schema.cloned(), tools, ..ModelRequest::default() })
            .holds()
    };
    assert!(holds("gpt-4o", None, None));
    assert!(holds("gpt-4o", Some(&closed), Some(&closed)));
    assert!(holds("gpt-4o", Some(&json!({"type": "object"})), None));
    for not in [
        holds("gpt-4o", Some(&open), None),
        holds("gpt-4o", None, Some(&open)),
        holds("gpt-4o", Some(&json!({"type": "array"})), None),
        holds("gpt-4", Some(&closed), None),
        holds("gpt-4", None, Some(&closed)),
    ] {
        assert!(!not);
    }
}

#[tokio::test]
async fn what_a_model_thought_goes_back_to_it_and_to_no_other() {
    let reply =
        reply(StubAnswer::json(testdata!("openai/completion_deepseek.json")), |call| call.of(with_tools())).await;
    let thinking = reply.thinking.clone().expect("thinking");
    assert_eq!(thinking.parts, [json!({"reasoning_content": "The order comes first."})]);
    let back = async |thinking: ThinkingBlock| {
        let said = ModelMessage::Assistant {
            content: reply.content.clone(),
            tool_calls: reply.tool_calls.clone(),
            thinking: Some(thinking),
            name: None,
        };
        body(|call| call.of(ModelRequest { messages: vec![said], ..ModelRequest::default() })).await["messages"][0]
            .clone()
    };
    assert_eq!(back(thinking.clone()).await["reasoning_content"], "The order comes first.");
    assert_eq!(back(ThinkingBlock { model: "another".into(), ..thinking }).await.get("reasoning_content"), None);
}

#[tokio::test]
async fn what_is_sealed_beside_a_call_goes_back_beside_it() {
    let reply =
        reply(StubAnswer::stream(testdata!("openai/stream_gemini.sse")), |call| call.of(with_tools()).streaming())
            .await;
    let said = ModelMessage::Assistant {
        content: String::new(),
        tool_calls: reply
            .tool_calls
            .into_iter()
            .map(|call| ModelToolCall { name: "search_kb".into(), ..call })
            .collect(),
        thinking: reply.thinking,
        name: None,
    };
    let body = body(|call| call.of(ModelRequest { messages: vec![said], ..with_tools() })).await;
    // The instruction about the schema comes before it.
    let calls = &body["messages"][1]["tool_calls"];
    assert_eq!(calls[0]["extra_content"], json!({"google": {"thought_signature": "CvQBA"}}));
    assert_eq!(calls[1].get("extra_content"), None);
}
