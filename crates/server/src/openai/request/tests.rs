use serde_json::json;

use super::*;

fn asked(body: &Value) -> ChatRequest {
    read(body.to_string().as_bytes()).expect("a request")
}

fn refused(body: &Value) -> String {
    read(body.to_string().as_bytes()).expect_err("an error").body().to_string()
}

#[test]
fn a_profile_leaves_the_choice_to_the_router_and_a_model_does_not() {
    let of = |model: &str| {
        let asked = asked(&json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}));
        (asked.request.profile, asked.request.model)
    };
    assert_eq!(of("fast"), (ModelProfile::Fast, None));
    assert_eq!(of("powerful"), (ModelProfile::Powerful, None));
    assert_eq!(of("gpt-4"), (ModelProfile::Balanced, Some("gpt-4".into())));
}

#[test]
fn a_conversation_with_tools_and_images_is_read_whole() {
    let asked = asked(&json!({
        "model": "balanced",
        "messages": [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "name": "ana", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}}
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"x\":1}"}},
                {"id": "c2", "type": "function", "function": {"name": "look", "arguments": "oops"}}
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"}
        ],
        "tools": [{"type": "function", "function": {"name": "look", "strict": true, "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "description": "All of them", "strict": true,
            "schema": {"type": "array"}}},
        "max_completion_tokens": 7, "stream": true, "stream_options": {"include_usage": true},
        "top_p": 0.5, "user": "u1"
    }));
    assert!(asked.stream && asked.with_usage);
    let request = asked.request;
    assert_eq!(request.messages[0], ModelMessage::system("Be kind."));
    let images = vec![ModelImage { detail: Some("low".into()), ..ModelImage::from_url("https://example.org/a.png") }];
    assert_eq!(
        request.messages[1],
        ModelMessage::User { content: "What is this?".into(), images, name: Some("ana".into()) }
    );
    let ModelMessage::Assistant { tool_calls, .. } = &request.messages[2] else { panic!("{:?}", request.messages[2]) };
    assert_eq!((&tool_calls[0].arguments, &tool_calls[1].arguments), (&json!({"x": 1}), &json!("oops")));
    assert_eq!(request.tools[0].strict, Some(true));
    assert_eq!(request.tool_choice, Some(ToolChoice::Tool("look".into())));
    let schema = json!({"type": "array", "title": "n", "description": "All of them"});
    assert_eq!((request.schema, request.max_tokens), (Some(schema), Some(7)));
    assert_eq!(Value::Object(request.more), json!({"top_p": 0.5, "user": "u1"}));
}

#[test]
fn what_cannot_be_used_is_refused_with_its_field() {
    let hi = json!([{"role": "user", "content": "hi"}]);
    for (body, field) in [
        (json!({"messages": hi}), "body"),
        (json!({"model": "fast", "messages": []}), "messages"),
        (json!({"model": "fast", "messages": hi, "n": 2}), "n"),
        (json!({"model": "fast", "messages": hi, "service_tier": "priority"}), "service_tier"),
        (json!({"model": "fast", "messages": hi, "unheard_of": {}}), "unheard_of"),
        (json!({"model": "fast", "messages": [{"role": "robot", "content": ""}]}), "messages[0]"),
        (json!({"model": "fast", "messages": [{"role": "tool", "content": ""}]}), "messages[0]"),
        (json!({"model": "fast", "messages": hi, "tools": [{"type": "retrieval"}]}), "tools[0]"),
        (json!({"model": "fast", "messages": hi, "tool_choice": "maybe"}), "tool_choice"),
        (json!({"model": "fast", "messages": hi, "response_format": {"type": "xml"}}), "response_format"),
        (
            json!({"model": "fast", "messages": hi,
                "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": 7}}}}),
            "response_format",
        ),
        (
            json!({"model": "fast", "messages": hi,
                "response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}),
            "response_format",
        ),
        (
            json!({"model": "fast", "messages": hi, "tools": [{"type": "function", "function":
                {"name": "t", "strict": true, "parameters": {"type": 7}}}]}),
            "tools[0].function.parameters",
        ),
        (
            json!({"model": "fast", "messages": [{"role": "assistant", "content": null, "audio": {"id": "a"}}]}),
            "messages[0].audio",
        ),
        (
            json!({"model": "fast", "messages": [
                {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}}
            ]}),
            "messages[0].function_call",
        ),
    ] {
        let said = refused(&body);
        assert!(said.contains(&format!("\"param\":\"{field}\"")), "{body}: {said}");
    }
}

#[test]
fn a_reply_of_openais_can_be_sent_back_as_it_came() {
    let asked = asked(&json!({"model": "fast", "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "refusal": "I would rather not.", "annotations": [], "audio": null,
            "function_call": null, "tool_calls": null},
        {"role": "user", "content": "Why?"}
    ]}));
    let said = ModelMessage::Assistant {
        content: "I would rather not.".into(),
        tool_calls: Vec::new(),
        thinking: None,
        name: None,
    };
    assert_eq!(asked.request.messages[1], said);
}
