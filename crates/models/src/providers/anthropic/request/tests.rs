use baton_core::model::{
    ModelImage, ModelMessage, ModelReply, ModelRequest, ModelToolCall, ThinkingBlock, ToolChoice, ToolOffer,
};
use baton_core::run::ModelCallError;
use serde_json::{Value, json};

use crate::catalogue::StructuredOutput;
use crate::fault::{ErrorOrigin, code, error_origin};
use crate::providers::stub_server::{StubAnswer, StubServer};
use crate::providers::test_support::{KEY, ProviderFixture, ask_stub, request, testdata, with_tools};

async fn reply(answer: StubAnswer, call: impl FnOnce(ProviderFixture) -> ProviderFixture) -> ModelReply {
    ask_stub(answer, |base_url| call(ProviderFixture::anthropic(base_url))).await.0.expect("a reply").reply
}

async fn fault(answer: StubAnswer, call: impl FnOnce(ProviderFixture) -> ProviderFixture) -> ModelCallError {
    ask_stub(answer, |base_url| call(ProviderFixture::anthropic(base_url))).await.0.expect_err("a fault").fault
}

/// The body that a call sends.
async fn body(call: impl FnOnce(ProviderFixture) -> ProviderFixture) -> Value {
    ask_stub(StubAnswer::json(testdata!("anthropic/message.json")), |base_url| {
        call(ProviderFixture::anthropic(base_url))
    })
    .await
    .1
}

#[tokio::test]
async fn a_request_is_written_as_documented() {
    let server = StubServer::start(vec![StubAnswer::json(testdata!("anthropic/message.json"))]).await;
    ProviderFixture::anthropic(&server.base_url).of(with_tools()).ask().await.expect("a reply");
    let heard = server.requests();
    let (head, body) = heard[0].split_once("\r\n\r\n").expect("a request");
    let head = head.to_lowercase();
    assert!(head.starts_with("post /v1/messages http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("x-api-key: {KEY}")) && head.contains("anthropic-version: 2023-06-01"), "{head}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let expected: Value = serde_json::from_slice(testdata!("anthropic/request_tools.json")).expect("JSON");
    assert_eq!(body, expected);
}

#[tokio::test]
async fn the_address_may_have_its_version_or_not() {
    let server = StubServer::start(vec![StubAnswer::json(testdata!("anthropic/message.json"))]).await;
    for base_url in [server.base_url.as_str(), server.base_url.trim_end_matches("/v1")] {
        ProviderFixture::anthropic(base_url).ask().await.expect("a reply");
    }
    assert!(
        server.requests().iter().all(|heard| heard.starts_with("POST /v1/messages HTTP")),
        "{:?}",
        server.requests()
    );
}

#[tokio::test]
async fn turns_alternate_and_begin_and_end_with_the_user() {
    let turns = async |messages: Vec<ModelMessage>| {
        body(|call| call.of(ModelRequest { messages, ..ModelRequest::default() })).await["messages"].clone()
    };
    let text = |text: &str| json!({"type": "text", "text": text});
    let said = |messages: &[&str]| request("a", messages).messages;
    assert_eq!(
        turns(said(&["u: one", "u: two", "a: three", "a: four", "s: and kind", "u: five"])).await,
        json!([
            {"role": "user", "content": [text("one"), text("two")]},
            {"role": "assistant", "content": [text("three"), text("four")]},
            {"role": "user", "content": [text("five")]},
        ])
    );
    assert_eq!(
        turns(said(&["a: hello", "u:  ", "a: again"])).await,
        json!([
            {"role": "user", "content": [text("Go on.")]},
            {"role": "assistant", "content": [text("hello"), text("again")]},
            {"role": "user", "content": [text("Go on.")]},
        ])
    );
    assert_eq!(turns(Vec::new()).await, json!([{"role": "user", "content": [text("Go on.")]}]));
}

#[tokio::test]
async fn results_stand_before_whatever_else_the_user_says() {
    let call = |id: &str| ModelToolCall { id: id.into(), name: "x".into(), arguments: json!("oops") };
    let result = |id: &str| ModelMessage::Tool { tool_call_id: id.into(), content: format!("of {id}") };
    let messages = vec![
        ModelMessage::user("hi"),
        ModelMessage::Assistant {
            content: "Well.".into(),
            tool_calls: vec![call("a.1"), call("b")],
            thinking: None,
            name: None,
        },
        result("a.1"),
        ModelMessage::user("hurry"),
        result("b"),
    ];
    let body = body(|call| call.of(ModelRequest { messages, ..ModelRequest::default() })).await;
    let used = |id: &str| json!({"type": "tool_use", "id": id, "name": "x", "input": {"arguments": "oops"}});
    assert_eq!(body["messages"][1]["content"], json!([{"type": "text", "text": "Well."}, used("a_1"), used("b")]));
    let result = |id: &str, of: &str| json!({"type": "tool_result", "tool_use_id": id, "content": of});
    assert_eq!(
        body["messages"][2]["content"],
        json!([result("a_1", "of a.1"), result("b", "of b"), {"type": "text", "text": "hurry"}])
    );
    // The API requires the tools that the messages mention, even if none may be called now.
    assert_eq!(body["tools"], json!([{"name": "x", "input_schema": {"type": "object"}}]));
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
}

#[tokio::test]
async fn images_are_shown_by_address_or_by_their_bytes() {
    let shown = |urls: &[&str]| {
        let images = urls.iter().map(|url| ModelImage::from_url(*url)).collect();
        ModelRequest {
            messages: vec![ModelMessage::User { content: "What?".into(), images, name: None }],
            ..ModelRequest::default()
        }
    };
    let both = shown(&["https://example.com/a.png", "data:image/png;base64,AAAA"]);
    let body = body(|call| call.of(both)).await;
    assert_eq!(
        body["messages"][0]["content"],
        json!([
            {"type": "text", "text": "What?"},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        ])
    );
    let fault = fault(StubAnswer::Hanging(Vec::new()), |call| call.of(shown(&["data:image/svg+xml,%3Csvg"]))).await;
    assert_eq!((fault.fault.code.as_ref(), error_origin(&fault)), (code::INVALID_REQUEST, ErrorOrigin::Request));
    assert!(fault.fault.message.contains("base64"), "{fault:?}");
}

#[tokio::test]
async fn who_speaks_by_name_is_told_by_words_but_not_to_the_model_of_itself() {
    let named = |name: &str| Some(name.to_owned());
    let said = ModelMessage::Assistant {
        content: "Hi.".into(),
        tool_calls: Vec::new(),
        thinking: None,
        name: named("helper"),
    };
    let image = ModelImage { detail: Some("low".into()), ..ModelImage::from_url("https://example.com/a.png") };
    let messages = vec![
        ModelMessage::System { content: "Be kind.".into(), name: named("house") },
        ModelMessage::User { content: "Hello".into(), images: Vec::new(), name: named("ana") },
        said,
        ModelMessage::User { content: String::new(), images: vec![image], name: named("ben") },
    ];
    let body = body(|call| call.of(ModelRequest { messages, ..ModelRequest::default() })).await;
    assert_eq!(body["system"], "house: Be kind.");
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    let source = json!({"type": "url", "url": "https://example.com/a.png"});
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": text("ana: Hello")},
            {"role": "assistant", "content": text("Hi.")},
            {"role": "user", "content": [{"type": "image", "source": source}]},
        ])
    );
}

#[tokio::test]
async fn strict_tools_are_written_for_models_that_hold_them() {
    let closed = json!({
        "type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"], "additionalProperties": false
    });
    let bounded = json!({
        "type": "object", "properties": {"x": {"type": "string", "maxLength": 3}}, "additionalProperties": false
    });
    let asked = |parameters: &Value| ModelRequest {
        tools: vec![ToolOffer {
            name: "t".into(),
            description: String::new(),
            parameters: parameters.clone(),
            strict: Some(true),
        }],
        ..request("a", &["u: hi"])
    };
    for (model, parameters, is_held) in [
        ("claude-opus-4-7", &closed, true),
        ("claude-opus-4-7", &bounded, false),
        ("claude-3-haiku-20240307", &closed, false),
    ] {
        let call = |mut call: ProviderFixture| {
            call.site.structured = Some(StructuredOutput::JsonSchema);
            call.model(model).of(asked(parameters))
        };
        let body = body(call).await;
        assert_eq!(body["tools"][0].get("strict"), is_held.then_some(&json!(true)), "{model} {parameters}");
        assert_eq!(call(ProviderFixture::anthropic("http://localhost/v1")).holds(), is_held);
    }
}

#[tokio::test]
async fn a_schema_is_held_where_nothing_of_it_is_left_out() {
    let closed = json!({"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": false});
    let bounded = json!({"type": "object", "properties": {"x": {"type": "string", "maxLength": 3}}});
    let any = json!({"type": "object"});
    for (model, schema, is_held) in [
        ("claude-opus-4-7", &closed, true),
        ("claude-opus-4-7", &bounded, false),
        ("claude-opus-4-7", &any, true),
        ("claude-opus-5-5", &any, false),
        ("claude-3-haiku-20240307", &closed, false),
    ] {
        let mut call = ProviderFixture::anthropic("http://localhost/v1").model(model);
        call.site.structured = Some(StructuredOutput::JsonSchema);
        let request = ModelRequest { schema: Some(schema.clone()), ..request("a", &["u: hi"]) };
        assert_eq!(call.of(request).holds(), is_held, "{model} {schema}");
    }
}

#[tokio::test]
async fn tool_choice_is_said_in_its_words_or_urged() {
    let chosen = async |model: &'static str, choice: ToolChoice| {
        let request = ModelRequest { tool_choice: Some(choice), schema: None, ..with_tools() };
        let body = body(|call| call.model(model).of(request)).await;
        (body["tool_choice"].clone(), body["system"].as_str().expect("a text").to_owned())
    };
    let order = || ToolChoice::Tool("shopify.get_order".into());
    for (choice, expected) in [
        (ToolChoice::Auto, json!({"type": "auto"})),
        (ToolChoice::None, json!({"type": "none"})),
        (ToolChoice::Required, json!({"type": "any"})),
        (order(), json!({"type": "tool", "name": "shopify_get_order"})),
    ] {
        assert_eq!(chosen("claude-sonnet-4-5", choice).await, (expected, "Be kind.".into()));
    }
    let (choice, system) = chosen("claude-opus-5-5", order()).await;
    assert_eq!(choice, json!({"type": "auto"}));
    assert_eq!(system, "Be kind.\n\nYour next reply must call the tool `shopify_get_order`.");
    let mut one = with_tools();
    one.more.insert("parallel_tool_calls".into(), json!(false));
    assert_eq!(
        body(|call| call.of(one)).await["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
}

#[tokio::test]
async fn further_fields_are_translated_where_there_is_a_word_for_them() {
    let mut request = request("a", &["u: hi"]);
    for (name, value) in [
        ("stop", json!(["END", " "])),
        ("top_p", json!(0.5)),
        ("user", json!("u7")),
        ("seed", json!(7)),
        ("reasoning_effort", json!("minimal")),
        ("cache_control", json!({"type": "ephemeral"})),
    ] {
        request.more.insert(name.into(), value);
    }
    let old = body(|call| call.of(request.clone())).await;
    assert_eq!((&old["stop_sequences"], &old["top_p"]), (&json!(["END"]), &json!(0.5)));
    assert_eq!((&old["metadata"], &old["cache_control"]), (&json!({"user_id": "u7"}), &json!({"type": "ephemeral"})));
    for unknown in ["seed", "stop", "user", "temperature", "output_config", "reasoning_effort"] {
        assert_eq!(old.get(unknown), None, "{unknown}");
    }
    let new = body(|call| call.model("claude-opus-5-5").of(request)).await;
    assert_eq!((new.get("top_p"), &new["output_config"]), (None, &json!({"effort": "low"})));
}

#[tokio::test]
async fn the_token_limit_is_always_said() {
    let limit = async |model: &'static str, max_tokens| {
        let request = ModelRequest { max_tokens, temperature: 1.7, ..request("a", &["u: hi"]) };
        let body = body(|call| call.model(model).of(request)).await;
        (body["max_tokens"].clone(), body.get("temperature").cloned())
    };
    assert_eq!(limit("claude-sonnet-4-5", Some(7)).await, (json!(7), Some(json!(1.0))));
    assert_eq!(limit("claude-3-haiku-20240307", None).await, (json!(4_096), Some(json!(1.0))));
    assert_eq!(limit("claude-opus-4-7", None).await, (json!(16_384), None));
}

fn answering() -> ModelRequest {
    ModelRequest {
        schema: Some(json!({
            "type": "object",
            "properties": {"agent": {"type": "string"}, "confidence": {"type": "number", "maximum": 1}},
            "required": ["agent"],
        })),
        ..request("router", &["u: hi"])
    }
}

#[tokio::test]
async fn a_schema_is_enforced_by_the_model_by_a_tool_or_by_words() {
    let sent = async |model: &'static str, structured: StructuredOutput, request: ModelRequest| {
        let ask = |mut call: ProviderFixture| {
            call.site.structured = Some(structured);
            call.model(model).of(request)
        };
        let body = body(ask).await;
        let has = |name: &str| body.get(name).is_some();
        (has("output_config"), body["tool_choice"]["name"] == "give_answer", has("system"))
    };
    let native = sent("claude-sonnet-4-5", StructuredOutput::JsonSchema, answering());
    assert_eq!(native.await, (true, false, false));
    assert_eq!(sent("claude-3-haiku-20240307", StructuredOutput::JsonSchema, answering()).await, (false, true, false));
    assert_eq!(sent("claude-sonnet-4-5", StructuredOutput::JsonObject, answering()).await, (false, true, false));
    assert_eq!(sent("claude-sonnet-4-5", StructuredOutput::Prompt, answering()).await, (false, false, true));
    // A schema that the model cannot enforce goes into a tool; if no tool may be forced either, the prompt asks for it.
    let free = ModelRequest { schema: Some(json!({"type": "object"})), ..answering() };
    assert_eq!(sent("claude-sonnet-4-5", StructuredOutput::JsonSchema, free.clone()).await, (false, true, false));
    assert_eq!(sent("claude-opus-5-5", StructuredOutput::JsonSchema, free).await, (false, false, true));
    // With other tools offered, nothing is forced.
    let tools = sent("claude-3-haiku-20240307", StructuredOutput::JsonSchema, with_tools());
    assert_eq!(tools.await, (false, false, true));
}

#[tokio::test]
async fn what_a_model_thought_goes_back_word_for_word_and_to_no_other() {
    for (answer, stream) in [
        (StubAnswer::json(testdata!("anthropic/thinking.json")), false),
        (StubAnswer::stream(testdata!("anthropic/stream_thinking.sse")), true),
    ] {
        let asked = |call: ProviderFixture| {
            let call = call.model("claude-opus-5-5").of(with_tools());
            if stream { call.streaming() } else { call }
        };
        let reply = reply(answer, asked).await;
        assert_eq!((reply.content.as_str(), reply.tool_calls.len()), ("Let me see.", 1));
        let thinking = reply.thinking.clone().expect("thinking");
        assert_eq!(thinking.parts.len(), 3);
        assert_eq!(thinking.parts[2]["input"], json!({"id": "12345"}));
        if stream {
            assert_eq!(thinking.parts[0]["thinking"], "The order comes first.");
            assert_eq!(thinking.parts[0]["signature"], "EqQBCgIYAhIM1gbcDa9GJwZA2b3h");
        }
        let back = async |content: &str, model: &'static str| {
            let said = ModelMessage::Assistant {
                content: content.into(),
                tool_calls: reply.tool_calls.clone(),
                thinking: reply.thinking.clone(),
                name: None,
            };
            let messages = vec![ModelMessage::user("hi"), said];
            let body = body(|call| call.model(model).of(ModelRequest { messages, ..with_tools() })).await;
            body["messages"][1]["content"].clone()
        };
        assert_eq!(back("Let me see.", "claude-opus-5-5").await, json!(thinking.parts));
        let plain = json!([{"type": "text", "text": "Let me see."}, thinking.parts[2]]);
        assert_eq!(back("Let me see.", "claude-sonnet-5").await, plain);
        // A turn that has changed is not sent back as the original.
        assert_eq!(back("Changed.", "claude-opus-5-5").await[0], json!({"type": "text", "text": "Changed."}));
    }
    let unread = ThinkingBlock { model: "claude-opus-5-5".into(), parts: Vec::new() };
    let said =
        ModelMessage::Assistant { content: "a".into(), tool_calls: Vec::new(), thinking: Some(unread), name: None };
    let messages = vec![ModelMessage::user("hi"), said, ModelMessage::user("b")];
    let body =
        body(|call| call.model("claude-opus-5-5").of(ModelRequest { messages, ..ModelRequest::default() })).await;
    assert_eq!(body["messages"][1]["content"], json!([{"type": "text", "text": "a"}]));
}
