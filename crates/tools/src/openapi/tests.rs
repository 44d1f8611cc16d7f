mod overrides;

use baton_core::tool::EffectClass;
use serde_json::{Value, json};

use crate::{ParsedDefinitions, ToolDefinition, ToolRisk};

fn parsed(document: Value, more: Value) -> ParsedDefinitions {
    let mut tool = json!({"name": "shop", "kind": "openapi", "document": document});
    tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ToolDefinition::parse(tool).unwrap()
}

#[track_caller]
fn refused(document: Value, expect: &str) {
    let error = ToolDefinition::parse(json!({"name": "shop", "kind": "openapi", "document": document})).unwrap_err();
    assert!(error.to_string().contains(expect), "{error}");
}

/// A document of one operation under `/orders/{id}`.
fn one(method: &str, operation: Value) -> Value {
    json!({
        "openapi": "3.0.3", "info": {"title": "Shop", "version": "1"}, "servers": [{"url": "https://api.shop.example/v1"}],
        "paths": {"/orders/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
            method: operation
        }},
        "components": {
            "schemas": {
                "Item": {"type": "object", "required": ["sku", "made"], "properties": {
                    "sku": {"type": "string"}, "made": {"type": "string", "readOnly": true},
                    "note": {"type": "string", "nullable": true},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
                    "price": {"type": "number", "minimum": 0, "exclusiveMinimum": true}
                }}
            },
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}
        }
    })
}

/// The only tool, with its facts as calls and models see them.
fn only(parsed: ParsedDefinitions) -> (String, Value, EffectClass, ToolRisk) {
    let [definition] = <[ToolDefinition; 1]>::try_from(parsed.tools).unwrap();
    let registry = crate::testing::registry(vec![definition.clone()]);
    let described = registry.describe_shared(definition.name()).unwrap();
    (definition.name().to_owned(), described.facts.parameters.clone(), described.facts.class, described.risk)
}

#[test]
fn an_operation_is_a_tool_with_the_schema_of_its_arguments() {
    let body =
        json!({"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}});
    let document = one("post", json!({"operationId": "addItem", "summary": "Adds an item", "requestBody": body}));
    let parsed = parsed(document, json!({}));
    assert_eq!(parsed.unsupported, []);
    let (name, schema, class, risk) = only(parsed);
    assert_eq!((name.as_str(), class, risk), ("shop.addItem", EffectClass::Once, ToolRisk::High));
    assert_eq!(schema["required"], json!(["id", "body"]));
    assert_eq!(schema["properties"]["body"], json!({"$ref": "#/$defs/Item"}));
    assert_eq!(
        schema["$defs"]["Item"],
        json!({"type": "object", "required": ["sku"], "properties": {
            "sku": {"type": "string"}, "note": {"type": ["string", "null"]},
            "parts": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
            "price": {"type": "number", "exclusiveMinimum": 0}
        }})
    );
}

#[test]
fn what_a_method_does_decides_what_may_be_done_again() {
    let class = |method: &str, more: Value| {
        let (_, _, class, risk) = only(parsed(one(method, json!({})), more));
        (class, risk)
    };
    assert_eq!(class("get", json!({})), (EffectClass::Read, ToolRisk::Medium), "nobody vouches for it");
    assert_eq!(class("get", json!({"trusted": true})), (EffectClass::Read, ToolRisk::Low));
    assert_eq!(class("put", json!({"trusted": true})), (EffectClass::Keyed, ToolRisk::Medium));
    assert_eq!(class("delete", json!({"trusted": true})), (EffectClass::Keyed, ToolRisk::High));
    assert_eq!(class("patch", json!({"trusted": true})), (EffectClass::Once, ToolRisk::Medium));
    let keyed = json!({"parameters": [{"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}]});
    let (_, schema, class, _) = only(parsed(one("post", keyed), json!({})));
    assert_eq!((class, &schema["properties"]["Idempotency-Key"]), (EffectClass::Keyed, &Value::Null));
}

#[test]
fn what_cannot_be_called_is_named_by_its_path_and_the_rest_is_there() {
    let mut document = one("get", json!({"operationId": "get"}));
    document["paths"]["/upload"] = json!({"post": {"operationId": "upload", "requestBody": {
        "required": true, "content": {"application/xml": {"schema": {}}}}}});
    document["paths"]["/elsewhere"] = json!({"$ref": "https://other.example/doc.yaml#/x"});
    document["paths"]["/matrix/{m}"] = json!({"get": {"operationId": "matrix", "parameters": [
        {"name": "m", "in": "path", "required": true, "style": "matrix", "schema": {}}]}});
    document["paths"]["/open"] = json!({"get": {"operationId": "open", "parameters": [
        {"name": "q", "in": "query", "schema": {"$ref": "#/components/schemas/Nothing"}}]}});
    let parsed = parsed(document, json!({}));
    let names: Vec<&str> = parsed.tools.iter().map(ToolDefinition::name).collect();
    assert_eq!(names, ["shop.open", "shop.get"]);
    let places: Vec<&str> = parsed.unsupported.iter().map(|part| part.place.as_str()).collect();
    assert_eq!(
        places,
        [
            "paths./elsewhere",
            "paths./matrix/{m}.get.parameters.0",
            "paths./open.get.parameters.0.schema",
            "paths./upload.post.requestBody"
        ]
    );
    assert!(parsed.unsupported[3].reason.contains("application/xml"), "{:?}", parsed.unsupported);
}

#[test]
fn operations_are_chosen_by_their_ids() {
    let mut document = one("get", json!({"operationId": "orders/get"}));
    document["paths"]["/b"] =
        json!({"get": {"operationId": "orders/list"}, "delete": {"operationId": "users/remove"}, "put": {}});
    let names = |more: Value| {
        let tools = parsed(document.clone(), more).tools;
        tools.iter().map(|tool| tool.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(json!({})), ["shop.orders_list", "shop.put_b", "shop.users_remove", "shop.orders_get"]);
    assert_eq!(names(json!({"include": ["orders/*"]})), ["shop.orders_list", "shop.orders_get"]);
    assert_eq!(names(json!({"include": ["*/list", "users*"], "exclude": ["*remove"]})), ["shop.orders_list"]);
}

#[test]
fn an_id_of_several_operations_names_none_of_them() {
    let mut document = one("get", json!({"operationId": "getOrder"}));
    let names = |document: &Value, more: Value| {
        let parsed = parsed(document.clone(), more);
        let names = parsed.tools.iter().map(|tool| tool.name().to_owned()).collect::<Vec<_>>();
        (names, parsed.unsupported)
    };
    assert_eq!(names(&document, json!({})), (vec!["shop.getOrder".to_owned()], vec![]));
    document["paths"]["/items"] = json!({"post": {"operationId": "getOrder"}});
    let (found, told) = names(&document, json!({}));
    assert_eq!(found, ["shop.post_items", "shop.get_orders_id"]);
    let places: Vec<&str> = told.iter().map(|part| part.place.as_str()).collect();
    assert_eq!(places, ["paths./items.post.operationId", "paths./orders/{id}.get.operationId"]);
    assert!(told[0].reason.contains("`getOrder` is the id of several operations"), "{told:?}");
    assert_eq!(names(&document, json!({"include": ["getOrder"]})).0.len(), 2);
    assert_eq!(names(&document, json!({"include": ["post/items"]})).0, ["shop.post_items"]);
    assert_eq!(names(&document, json!({"exclude": ["getOrder"]})).0.len(), 0);
}

/// Unusual but valid: webhooks, references everywhere, path-level parameters, server variables, every parameter
/// location and style.
fn odd() -> Value {
    json!({
        "openapi": "3.1.0", "info": {"title": "Odd", "version": "1"}, "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "servers": [{"url": "https://{region}.odd.example:{port}/{base}", "variables": {
            "region": {"default": "eu", "enum": ["eu", "us"]}, "port": {"default": "8443"}, "base": {"default": "v2"}}}],
        "webhooks": {"order": {"post": {"operationId": "onOrder", "requestBody": {"content": {"application/json": {}}}}}},
        "paths": {
            "/pets/{id}": {
                "parameters": [{"$ref": "#/components/parameters/Id"}, {"$ref": "#/components/parameters/Trace"}],
                "put": {"operationId": "putPet", "requestBody": {"$ref": "#/components/requestBodies/Pet"}},
                "get": {"operationId": "getPet", "parameters": [
                    {"name": "filter", "in": "query", "style": "deepObject", "schema": {"type": "object", "properties": {"age": {"type": ["integer", "null"]}}}},
                    {"name": "session", "in": "cookie", "schema": {"const": "s"}},
                    {"name": "X-Trace", "in": "header", "required": true, "schema": {"type": "string", "pattern": "^t"}}]},
                "post": {"operationId": "addPhoto", "requestBody": {"required": true, "content": {"application/xml": {"schema": {"type": "object"}}}}},
                "delete": {"operationId": "broken", "parameters": [{"name": "q", "in": "query", "schema": {"type": "string", "pattern": "(?<open"}}]}
            },
            "/labels/{label}": {"get": {"operationId": "matrix", "parameters": [
                {"name": "label", "in": "path", "required": true, "style": "label", "schema": {"type": "string"}}]}},
            "/callback": {"post": {"operationId": "watch", "callbacks": {"done": {"{$request.body#/url}": {"post": {}}}},
                "requestBody": {"content": {"text/plain": {"schema": {"type": "string"}}}}}}
        },
        "components": {
            "parameters": {
                "Id": {"name": "id", "in": "path", "required": true, "schema": {"$ref": "#/components/schemas/Id"}},
                "Trace": {"name": "X-Trace", "in": "header", "schema": {"type": "string"}}
            },
            "requestBodies": {"Pet": {"required": true, "content": {"application/vnd.odd+json": {"schema": {"oneOf": [
                {"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}], "discriminator": {"propertyName": "kind"}}}}}},
            "schemas": {
                "Id": {"type": "string", "minLength": 2},
                "Cat": {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "cat"}, "friends": {"type": "array", "items": {"$ref": "#/components/schemas/Dog"}}}},
                "Dog": {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "dog"}, "friends": {"type": "array", "items": {"$ref": "#/components/schemas/Cat"}}}}
            }
        }
    })
}

#[tokio::test]
async fn an_odd_document_yields_tools_or_says_by_path_what_it_does_not() {
    let parsed = parsed(odd(), json!({}));
    let names: Vec<&str> = parsed.tools.iter().map(ToolDefinition::name).collect();
    assert_eq!(names, ["shop.watch", "shop.getPet", "shop.putPet"]);
    let told: Vec<&str> = parsed.unsupported.iter().map(|part| part.place.as_str()).collect();
    assert_eq!(
        told,
        ["paths./labels/{label}.get.parameters.0", "paths./pets/{id}.post.requestBody", "paths./pets/{id}.delete",]
    );
    assert!(parsed.unsupported[2].reason.contains("their schema is none"), "{:?}", parsed.unsupported[2]);
    // Schemas are enforced: arguments that do not match are refused before anything is sent.
    let world = crate::testing::ToolsFixture::with_definitions(
        json!({}),
        json!({"name": "shop", "kind": "openapi", "document": odd()}),
    );
    for (tool, arguments, expect) in [
        ("shop.putPet", json!({"id": "a1", "body": {"kind": "cow"}}), "`body`"),
        ("shop.putPet", json!({"id": "a", "body": {"kind": "cat"}}), "`id`"),
        ("shop.putPet", json!({"id": "a1", "body": {"kind": "cat", "friends": [{"kind": "cat"}]}}), "`body`"),
        ("shop.getPet", json!({"id": "a1"}), "X-Trace"),
        ("shop.getPet", json!({"id": "a1", "X-Trace": "u1"}), "X-Trace"),
        ("shop.getPet", json!({"id": "a1", "X-Trace": "t1", "filter": {"age": "old"}}), "filter"),
    ] {
        let (code, message) = world.refused("k", tool, arguments).await;
        assert!(code == "INVALID_PARAMETERS" && message.contains(expect), "{tool}: {code}: {message}");
    }
}

/// A document of some size with the features of public ones: `testdata/openapi/README.md`.
fn freight() -> Value {
    serde_json::from_str(include_str!("../../testdata/openapi/freight.json")).unwrap()
}

#[test]
fn of_a_larger_document_everything_is_a_tool_or_is_named_by_its_path() {
    let parsed = parsed(freight(), json!({"auth": {"key": "k", "mtls": "none"}}));
    let names: Vec<&str> = parsed.tools.iter().filter_map(|tool| tool.name().strip_prefix("shop.")).collect();
    let expect = [
        "Shipments_List",
        "Shipments_Create",
        "Shipments_Get",
        "Shipments_Cancel",
        "Shipments_Change",
        "Labels_Get",
        "Labels_Upload",
        "Labels_Describe",
        "Zones_Get",
        "Payments_Take",
        "Quotes_Ask",
    ];
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let owned = |names: &[&str]| sorted(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(owned(&names), owned(&expect));
    let told = parsed.unsupported.iter().map(|part| part.place.clone()).collect();
    let expect = [
        "components.securitySchemes.mtls",
        "paths./graph",
        "paths./matrix/{at}.get.parameters.0",
        "paths./notes.post.servers.0",
        "paths./payments.post.requestBody.content.application/x-www-form-urlencoded.encoding",
        "paths./shipments.get.parameters.5",
        "paths./shipments/{id}.trace",
    ];
    assert_eq!(sorted(told), owned(&expect), "{:?}", parsed.unsupported);
}

#[tokio::test]
async fn what_does_not_fit_a_larger_document_is_refused_and_what_fits_is_sent_as_it_says() {
    let definition = json!({"name": "shop", "kind": "openapi", "document": freight(), "auth": {"key": "k"}});
    let world = crate::testing::ToolsFixture::with_definitions(json!({}), definition);
    let box_in_box = json!({"grams": 5, "inside": [{"boxes": [{"grams": "heavy"}]}]});
    for (tool, arguments, expect) in [
        ("shop.Shipments_List", json!({}), "X-Locale"),
        ("shop.Shipments_List", json!({"X-Locale": "fr"}), "X-Locale"),
        ("shop.Shipments_List", json!({"X-Locale": "es", "filter": {"weight": {"gt": "much"}}}), "filter"),
        ("shop.Shipments_Get", json!({"id": "order_1"}), "`id`"),
        ("shop.Shipments_Change", json!({"id": "shp_1", "body": {}}), "body"),
        ("shop.Shipments_Change", json!({"id": "shp_1", "body": {"weight": 0}}), "body"),
        ("shop.Shipments_Create", json!({"body": {"to": {"street": "x", "country": "ES"}, "parcels": []}}), "body"),
        ("shop.Quotes_Ask", json!({"body": box_in_box}), "body"),
        ("shop.Payments_Take", json!({"body": {"amount": 0, "currency": "EUR", "method": {"kind": "card"}}}), "body"),
        ("shop.Payments_Take", json!({"body": {"amount": 5, "currency": "EUR", "method": {"kind": "cash"}}}), "body"),
    ] {
        let (code, message) = world.refused("k", tool, arguments).await;
        assert!(code == "INVALID_PARAMETERS" && message.contains(expect), "{tool}: {code}: {message}");
    }

    let service = crate::testing::service::FakeService::start(|_| crate::testing::service::json(200, &json!({}))).await;
    let definition = json!({
        "name": "shop", "kind": "openapi", "document": freight(), "auth": {"key": "k"}, "server": service.url("/v3"),
    });
    let world = crate::testing::ToolsFixture::with_definitions(json!({}), definition);
    let sent = async |key: &str, tool: &str, arguments: Value| {
        world.done(key, tool, arguments).await;
        service.received().pop().unwrap()
    };
    let listed = sent(
        "k1",
        "shop.Shipments_List",
        json!({"X-Locale": "es", "filter": {"state": "open", "weight": {"gt": 5}}, "expand": ["to", "parcels"],
            "tag": ["a", "b"], "box": [1, 2], "where": {"x": 1}}),
    )
    .await;
    for part in [
        "filter%5Bstate%5D=open",
        "filter%5Bweight%5D%5Bgt%5D=5",
        "expand=to%2Cparcels",
        "tag=a&tag=b",
        "box=1%7C2",
        "where=%7B%22x%22%3A1%7D",
        "api_key=k",
    ] {
        assert!(listed.target.contains(part), "{part}: {}", listed.target);
    }
    let zone = json!({"area": {"lat": 1.5, "lon": 2}, "window": [8, 12], "X-Caps": {"kg": 5}});
    let zone = sent("k2", "shop.Zones_Get", zone).await;
    assert!(
        zone.target.starts_with("/v3/zones/lat=1.5,lon=2/8,12?")
            || zone.target.starts_with("/v3/zones/lat%3D1.5%2Clon%3D2/8%2C12?"),
        "{}",
        zone.target
    );
    assert_eq!(zone.header("x-caps"), Some("kg=5"));
    // The fields match both alternatives; the mapping decides.
    let paid = json!({"body": {"amount": 5, "currency": "EUR", "method": {"kind": "debit", "name": "Ana"}}});
    let paid = sent("k3", "shop.Payments_Take", paid).await;
    let body = &paid.body;
    assert!(body.contains("method%5Bkind%5D=debit") && body.contains("amount=5"), "{body}");
    let created = json!({"body": {"to": {"street": "x", "country": "ES", "geo": null}, "parcels": [{"grams": 5}]}});
    let created = sent("k4", "shop.Shipments_Create", created).await;
    assert!(created.header("idempotency-key").is_some_and(|key| !key.is_empty()));
}

#[test]
fn what_stands_beside_a_reference_counts_since_3_1() {
    let document = |version: &str| {
        let mut document = one(
            "post",
            json!({"operationId": "add", "requestBody": {"content": {"application/json": {
            "schema": {"$ref": "#/components/schemas/Item", "required": ["note"]}}}}}),
        );
        document["openapi"] = json!(version);
        document["components"]["schemas"]["Item"]["properties"]["price"] = json!({"type": "number"});
        document
    };
    let body = |version: &str| only(parsed(document(version), json!({}))).1["properties"]["body"].clone();
    assert_eq!(body("3.1.0")["required"], json!(["note"]));
    assert_eq!((&body("3.0.3")["required"], &body("3.0.3")["$ref"]), (&Value::Null, &json!("#/$defs/Item")));
}

#[test]
fn a_document_that_is_none_is_refused() {
    refused(json!({"swagger": "2.0"}), "speaks Swagger 2.0");
    refused(json!({"openapi": "4.0"}), "speaks OpenAPI 4.0");
    refused(json!({}), "is no OpenAPI document");
    refused(json!("apis/shop.yaml"), "is no OpenAPI document");
}

#[test]
fn a_server_without_a_host_must_be_named() {
    let mut document = one("get", json!({}));
    document["servers"] = json!([{"url": "/v1"}]);
    let without = parsed(document.clone(), json!({}));
    assert_eq!(without.tools.len(), 0);
    assert!(without.unsupported[0].reason.contains("say `server: https://…`"));
    assert_eq!(parsed(document, json!({"server": "https://shop.example/v2"})).tools.len(), 1);
}

#[test]
fn references_in_a_circle_end() {
    let mut document = one("get", json!({"parameters": [{"$ref": "#/components/parameters/a"}]}));
    document["components"]["parameters"] =
        json!({"a": {"$ref": "#/components/parameters/b"}, "b": {"$ref": "#/components/parameters/a"}});
    let parsed = parsed(document, json!({}));
    assert!(parsed.unsupported[0].reason.contains("in a circle"), "{:?}", parsed.unsupported);
}

#[test]
fn what_the_document_does_not_have_is_doubted_with_what_may_be_meant() {
    let document = || one("get", json!({"operationId": "getOrder"}));
    let doubts = |more: Value| {
        let doubts = parsed(document(), more).warnings.into_iter();
        doubts.map(|(_, doubt)| format!("{}: {}; {}", doubt.place, doubt.message, doubt.hint)).collect::<Vec<_>>()
    };
    assert!(doubts(json!({"include": ["get*"], "exclude": [], "auth": {"key": "k"}})).is_empty());
    let found = doubts(json!({"include": ["*Order", "getOrdr"], "exclude": ["put*"], "auth": {"keey": "k"}}));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("include.1: `getOrdr` fits no operation") && found[0].contains("`getOrder`?"));
    assert!(found[1].starts_with("exclude.0: `put*` fits no operation"), "{found:?}");
    assert!(found[2].contains("no security scheme `keey`") && found[2].contains("did you mean `key`?"), "{found:?}");
}

#[test]
fn an_operation_that_says_nothing_of_itself_is_told_by_its_id_and_path() {
    let described = |operation: Value| {
        let [definition] = <[ToolDefinition; 1]>::try_from(parsed(one("get", operation), json!({})).tools).unwrap();
        let registry = crate::testing::registry(vec![definition.clone()]);
        registry.describe_shared(definition.name()).unwrap().facts.description.clone()
    };
    assert_eq!(described(json!({"operationId": "getOpenOrder"})), "Get open order (GET /orders/{id})");
    assert_eq!(described(json!({"operationId": "orders.get_by-id2"})), "Orders get by id2 (GET /orders/{id})");
    assert_eq!(described(json!({})), "GET /orders/{id}");
    assert_eq!(described(json!({"operationId": "x", "summary": "Reads an order"})), "Reads an order");
}

#[test]
fn an_optional_body_that_cannot_be_sent_is_said() {
    let body = json!({"content": {"application/xml": {"schema": {"type": "object"}}}});
    let parsed = parsed(one("post", json!({"requestBody": body})), json!({}));
    assert_eq!(parsed.tools.len(), 1);
    let [note] = parsed.unsupported.as_slice() else { panic!("{:?}", parsed.unsupported) };
    assert_eq!(note.place, "paths./orders/{id}.post.requestBody");
    assert!(note.reason.contains("called without its body") && note.reason.contains("application/xml"));
}
