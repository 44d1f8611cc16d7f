use baton_core::tool::ToolOutcome;
use baton_ports::tools::ToolGateway as _;
use serde_json::{Map, Value, json};

use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};
use crate::testing::{ToolsFixture, not_done};

fn document() -> Value {
    let query = |name: &str, more: Value| {
        let mut parameter = json!({"name": name, "in": "query", "schema": {}});
        parameter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parameter
    };
    json!({
        "openapi": "3.1.0",
        "paths": {
            "/orders/{id}/compare/{from}...{to}": {"get": {"operationId": "compare", "parameters": [
                {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
                {"name": "from", "in": "path", "required": true, "schema": {"type": "string"}},
                {"name": "to", "in": "path", "required": true, "schema": {"type": "string"}},
                query("id", json!({})),
                query("tags", json!({})),
                query("ids", json!({"explode": false})),
                query("filter", json!({"style": "deepObject"})),
                {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                {"name": "session", "in": "cookie", "schema": {"type": "string"}}
            ]}},
            "/orders": {
                "post": {"operationId": "order", "security": [{"token": []}], "requestBody": {
                    "content": {"application/json": {"schema": {"type": "object"}}}}},
                "patch": {"operationId": "upload", "requestBody": {"content": {"multipart/form-data": {
                    "encoding": {"photo": {"contentType": "image/png"}},
                    "schema": {"type": "object", "properties": {
                        "photo": {"type": "string", "format": "binary"},
                        "more": {"type": "array", "items": {"contentMediaType": "application/pdf"}},
                        "note": {"type": "string"}, "size": {"type": "object"}
                    }}}}}},
                "put": {"operationId": "form", "security": [{"basic": []}], "requestBody": {
                    "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}}
            }
        },
        "components": {"securitySchemes": {
            "token": {"type": "http", "scheme": "bearer"}, "basic": {"type": "http", "scheme": "basic"}
        }}
    })
}

async fn world() -> (ToolsFixture, FakeService) {
    let service = FakeService::start(|asked: &RecordedRequest| {
        let headers: Map<_, _> =
            asked.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        answer(200, &json!({"target": asked.target, "headers": headers, "body": asked.body}))
    })
    .await;
    let tool = json!({
        "name": "shop", "kind": "openapi", "document": document(), "server": service.url("/v1"),
        "auth": {"token": "{{ secrets.token }}", "basic": "ana:{{ secrets.token }}"}
    });
    (ToolsFixture::with_definitions(json!({"secrets": {"token": "s3cr3t"}}), tool), service)
}

#[tokio::test]
async fn arguments_go_where_the_document_says() {
    let (world, _service) = world().await;
    let arguments = json!({
        "id": "a/b", "from": "1", "to": "é", "id_query": 7, "tags": ["x", "y z"], "ids": [1, 2],
        "filter": {"state": "open"}, "X-Trace": "t1", "session": "s 1"
    });
    let said = world.done("k", "shop.compare", arguments).await;
    assert_eq!(
        said["target"],
        "/v1/orders/a%2Fb/compare/1...%C3%A9?id=7&tags=x&tags=y+z&ids=1%2C2&filter%5Bstate%5D=open"
    );
    assert_eq!((&said["headers"]["x-trace"], &said["headers"]["cookie"]), (&json!("t1"), &json!("session=s%201")));
}

#[tokio::test]
async fn bodies_and_keys_are_sent_as_the_document_says() {
    let (world, service) = world().await;
    let said = world.done("k", "shop.order", json!({"body": {"n": 1}})).await;
    assert_eq!((&said["body"], &said["headers"]["authorization"]), (&json!("{\"n\":1}"), &json!("[REDACTED]")));
    assert_eq!(service.received()[0].header("authorization"), Some("Bearer s3cr3t"));
    assert_eq!(said["headers"]["content-type"], "application/json");
    let said = world.done("k2", "shop.form", json!({"body": {"a": [1, 2], "b": {"c": "d e"}}})).await;
    assert_eq!(said["body"], "a%5B%5D=1&a%5B%5D=2&b%5Bc%5D=d%20e");
    assert_eq!(service.received()[1].header("authorization"), Some("Basic YW5hOnMzY3IzdA=="));
    assert!(!said.to_string().contains("YW5h"), "{said}");
}

#[tokio::test]
async fn no_argument_leads_out_of_its_part_of_the_path() {
    let (world, _service) = world().await;
    for id in ["..", ".", ""] {
        let (code, _) = world.refused("k", "shop.compare", json!({"id": id, "from": "1", "to": "2"})).await;
        assert_eq!(code, "INVALID_PARAMETERS", "{id}");
    }
}

#[tokio::test]
async fn a_document_alone_does_not_open_the_way_to_this_machine() {
    let service =
        FakeService::start(|_: &RecordedRequest| CannedResponse::Answer(200, String::new(), "inside".to_owned())).await;
    let mut document = document();
    document["servers"] = json!([{"url": service.url("/v1")}]);
    let world = |more: Value| {
        let mut tool = json!({"name": "shop", "kind": "openapi", "document": document});
        tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ToolsFixture::with_definitions(json!({}), tool)
    };
    let order = json!({"body": {}});
    assert_eq!(world(json!({})).refused("k", "shop.order", order.clone()).await.0, "ADDRESS_NOT_ALLOWED");
    assert_eq!(world(json!({"trusted": true})).done("k", "shop.order", order).await, "inside");
}

#[tokio::test]
async fn what_a_service_refuses_was_not_done() {
    let service = FakeService::start(|_: &RecordedRequest| {
        CannedResponse::Answer(422, String::new(), "no such thing".to_owned())
    })
    .await;
    let tool = json!({"name": "shop", "kind": "openapi", "document": document(), "server": service.url("/")});
    let world = ToolsFixture::with_definitions(json!({}), tool);
    let outcome = world.send(&world.call("k", "shop.order", json!({"body": {}}))).await.outcome;
    assert!(matches!(outcome, ToolOutcome::NotDone { retryable: false, .. }), "{outcome:?}");
    assert_eq!(not_done(outcome).0, "SERVICE_REJECTED");
}

#[tokio::test]
async fn a_form_of_several_parts_carries_files_out_of_base64() {
    let (world, service) = world().await;
    let schema = world.registry.facts("shop.upload").unwrap().parameters["properties"]["body"]["properties"].clone();
    assert_eq!(schema["photo"], json!({"type": "string", "contentEncoding": "base64"}));
    let body = json!({"photo": "UE5H", "more": ["MQ==", "Mg=="], "note": "a\r\n--b", "size": {"w": 1}});
    world.done("k1", "shop.upload", json!({"body": body})).await;
    world.done("k2", "shop.upload", json!({"body": body})).await;
    let asked = service.received();
    let kind = asked[0].header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let part = |head: &str, content: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    let pdf = "name=\"more\"; filename=\"more\"\r\nContent-Type: application/pdf";
    let expect = [
        part(pdf, "1"),
        part(pdf, "2"),
        part("name=\"note\"", "a\r\n--b"),
        part("name=\"photo\"; filename=\"photo\"\r\nContent-Type: image/png", "PNG"),
        part("name=\"size\"\r\nContent-Type: application/json", "{\"w\":1}"),
        format!("--{boundary}--\r\n"),
    ];
    assert_eq!(asked[0].body, expect.concat());
    assert_eq!(asked[0].body, asked[1].body, "the same however often it is sent");
    let (code, message) = world.refused("k3", "shop.upload", json!({"body": {"photo": "no base64!"}})).await;
    assert_eq!((code.as_str(), message.contains("`photo` is a file")), ("INVALID_PARAMETERS", true), "{message}");
    assert_eq!(service.received().len(), 2, "nothing went out");
}
