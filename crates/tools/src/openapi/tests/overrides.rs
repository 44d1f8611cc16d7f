//! Overrides of single operations, output schemas in documents, and discriminators without a mapping.

use baton_core::tool::EffectClass;
use baton_ports::tools::ToolGateway as _;
use serde_json::{Value, json};

use super::{one, parsed};
use crate::testing::service::{FakeService, json as says};
use crate::testing::{ToolsFixture, registry};
use crate::{ToolDefinition, ToolRisk};

/// A shop with orders that can be placed, found and cancelled.
fn shop() -> Value {
    let id = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}});
    let order =
        json!({"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}});
    json!({
        "openapi": "3.0.3", "info": {"title": "Shop", "version": "2.7"},
        "servers": [{"url": "https://api.shop.example/v1"}],
        "paths": {
            "/orders": {"post": {"operationId": "place", "requestBody": order, "responses": {"201": {
                "description": "made", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}}}},
            "/orders/{id}": {"delete": {"operationId": "callOff", "parameters": [id]}},
            "/search": {"post": {"operationId": "find", "parameters": [
                {"name": "locale", "in": "query", "required": true, "schema": {"type": "string", "enum": ["en", "es"]}},
                {"name": "words", "in": "query", "required": true, "schema": {"type": "string"}},
                {"name": "limit", "in": "query", "schema": {"type": "integer"}},
            ]}},
            "/twice": {"get": {"operationId": "same"}, "put": {"operationId": "same"}},
        },
        "components": {"schemas": {"Order": {"type": "object", "required": ["sku", "id", "card"], "properties": {
            "sku": {"type": "string"}, "id": {"type": "string", "readOnly": true},
            "card": {"type": "string", "writeOnly": true},
        }}}}
    })
}

fn more(operations: Value) -> Value {
    json!({"operations": operations})
}

#[test]
fn what_is_said_of_one_operation_holds_for_it_and_for_no_other() {
    let undone = json!({"tool_name": "shop.callOff", "parameters": {"id": "{{ output.id }}"}});
    let tools = parsed(
        shop(),
        json!({"risk": "medium", "timeout_ms": 900, "operations": {
            "place": {"name": "order", "description": "Orders one", "compensation": undone, "output_fields": ["id"],
                "risk": "high", "timeout_ms": 50, "cost_usd": 0.5, "rate": "3/min"},
            "post /search": {"class": "read", "risk": "low", "cache_seconds": 60},
            "PUT /twice": {"enabled": false},
        }}),
    )
    .tools;
    let registry = registry(tools);
    let names: Vec<String> = registry.names().into_iter().filter(|name| name.starts_with("shop.")).collect();
    assert_eq!(names, ["shop.callOff", "shop.find", "shop.get_twice", "shop.order"]);
    let order = registry.describe_shared("shop.order").unwrap();
    assert_eq!((order.facts.class, order.risk, order.compensable), (EffectClass::Once, ToolRisk::High, true));
    assert_eq!((order.facts.description.as_str(), &order.facts.irreversible), ("Orders one", &None));
    assert_eq!((order.facts.timeout.as_millis(), order.cost_usd), (50, 0.5));
    assert_eq!((order.rate.as_deref(), order.version.as_deref()), (Some("3/min"), Some("2.7")));
    let find = registry.describe_shared("shop.find").unwrap();
    assert_eq!((find.facts.class, find.risk, find.cache_seconds), (EffectClass::Read, ToolRisk::Low, Some(60)));
    assert_eq!((find.rate.as_deref(), find.facts.timeout.as_millis()), (None, 900));
    let call_off = registry.describe_shared("shop.callOff").unwrap();
    assert_eq!(
        (call_off.facts.class, call_off.risk, call_off.compensable),
        (EffectClass::Keyed, ToolRisk::Medium, false)
    );
    assert_eq!(call_off.facts.irreversible.as_deref(), Some("its document does not say how it is undone"));
}

#[tokio::test]
async fn an_operation_takes_the_arguments_and_the_key_that_its_definition_says() {
    let service = FakeService::start(|_| says(200, &json!({}))).await;
    let definition = json!({"name": "shop", "kind": "openapi", "document": shop(), "server": service.url("/v1"), "operations": {
        "find": {
            "class": "keyed", "idempotency_header": "X-Request", "defaults": {"locale": "es"},
            "parameters": {"properties": {"words": {"type": "string", "maxLength": 5}}, "additionalProperties": true},
        },
    }});
    let world = ToolsFixture::with_definitions(json!({}), definition);
    world.done("key-1", "shop.find", json!({"words": "shoes"})).await;
    let asked = service.received().pop().unwrap();
    assert!(asked.target.contains("words=shoes") && asked.target.contains("locale=es"), "{}", asked.target);
    assert!(asked.header("x-request").is_some_and(|key| !key.is_empty()), "{asked:?}");
    world.done("key-2", "shop.find", json!({"words": "hats", "locale": "en"})).await;
    assert!(service.received().pop().unwrap().target.contains("locale=en"));
    let [long, unknown] = [json!({"words": "trousers"}), json!({"words": "hats", "limit": 5})];
    // Arguments that the service requires stay required, whatever the override says.
    for arguments in [long, unknown, json!({"locale": "es"}), json!({"words": "a", "locale": "fr"})] {
        assert_eq!(world.refused("key-3", "shop.find", arguments).await.0, "INVALID_PARAMETERS");
    }
}

#[test]
fn what_a_source_or_an_operation_cannot_mean_is_refused_with_the_way_out() {
    let whole = |name: &str, value: Value| Value::Object([(name.to_owned(), value)].into_iter().collect());
    let of = |operation: &str, said: Value| more(whole(operation, said));
    let narrowed = json!({"required": ["words"], "properties": {"words": {}}});
    for (more, expect) in [
        (json!({"class": "read"}), "write it under `operations.ID.class`"),
        (json!({"parameters": {"type": "object"}}), "write it under `operations.ID.parameters`"),
        (json!({"compensation": {"tool_name": "x"}}), "write it under `operations.ID.compensation`"),
        (json!({"output_fields": ["id"]}), "write it under `operations.ID.output_fields`"),
        (of("plce", json!({})), "operations.plce`: the document has no such operation; did you mean `place`?"),
        (of("POST /serch", json!({})), "did you mean `POST /search`?"),
        (of("same", json!({})), "is the id of several operations; say `METHOD /path`"),
        (more(json!({"place": {}, "POST /orders": {}})), "is the same operation as `operations.POST /orders`"),
        (more(json!({"place": {"name": "a"}, "find": {"name": "a"}})), "another operation is called `shop.a`"),
        (of("place", json!({"name": "a".repeat(70)})), "models take 64 at most"),
        (of("place", json!({"clas": "read"})), "operations.place`: unknown field `clas`; did you mean `class`?"),
        (of("place", json!({"enable": true})), "did you mean `enabled`?"),
        (of("place", json!({"class": "pure"})), "operations.place.class`: a request is not `pure`"),
        (of("place", json!({"class": "keyed"})), "operations.place.class`: `keyed` needs an `idempotency_header`"),
        (of("place", json!({"class": "verify"})), "operations.place.class`: nothing here says how to look up"),
        (
            of("place", json!({"idempotency_header": "a b"})),
            "operations.place.idempotency_header`: is no header's name",
        ),
        (
            of("place", json!({"on_unavailable": "empty"})),
            "operations.place.on_unavailable`: `empty` is for tools that",
        ),
        (of("place", json!({"cost_usd": -1})), "operations.place.cost_usd`: is a price"),
        (
            of("find", json!({"defaults": {"local": "es"}})),
            "operations.find.defaults.local`: the operation has no argument `local`; did you mean `locale`?",
        ),
        (of("find", json!({"defaults": {"locale": "fr"}})), "operations.find.defaults`: `locale`"),
        (
            of("find", json!({"parameters": {"properties": {"word": {}}}})),
            "operations.find.parameters.properties.word`: the operation has no argument",
        ),
        (of("find", json!({"parameters": narrowed})), "leaves out `locale`, which the service asks for"),
        (of("find", json!({"parameters": true})), "operations.find.parameters`: is the schema of an object"),
        (of("find", json!({"parameters": {"type": 7}})), "operations.find.parameters`: is no JSON Schema"),
    ] {
        let mut definition = json!({"name": "shop", "kind": "openapi", "document": shop()});
        definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = ToolDefinition::parse(definition).unwrap_err().to_string();
        assert!(error.contains(expect), "{more}: {error}");
    }
}

#[test]
fn an_operation_whose_name_was_given_to_another_is_left_out_and_the_others_stand() {
    let parsed = parsed(shop(), more(json!({"find": {"name": "place"}})));
    let names: Vec<&str> = parsed.tools.iter().map(ToolDefinition::name).collect();
    assert!(
        names.contains(&"shop.callOff") && names.iter().filter(|name| **name == "shop.place").count() == 1,
        "{names:?}"
    );
    let [left_out] =
        parsed.unsupported.iter().filter(|part| part.place.contains("/orders.post")).collect::<Vec<_>>()[..]
    else {
        panic!("{:?}", parsed.unsupported)
    };
    assert_eq!(
        left_out.reason,
        "`shop.place` is what `operations.find.name` calls another operation; say `operations.place.name`"
    );
}

#[test]
fn what_is_said_of_an_operation_that_is_left_out_is_doubted() {
    let parsed =
        parsed(shop(), json!({"exclude": ["fi*"], "operations": {"find": {"risk": "low"}, "place": {"risk": "low"}}}));
    let doubts: Vec<String> =
        parsed.warnings.iter().map(|(_, doubt)| format!("{}: {}", doubt.place, doubt.message)).collect();
    let expect = "operations.find: the operation is left out by `include` or `exclude`, so this holds for none";
    assert_eq!(doubts, [expect]);
}

#[test]
fn what_an_operation_answers_is_in_the_catalogue_without_what_only_the_caller_writes() {
    let registry = registry(parsed(shop(), json!({})).tools);
    let place = registry.describe_shared("shop.place").unwrap();
    let order = json!({"type": "object", "required": ["sku", "id"], "properties": {
        "sku": {"type": "string"}, "id": {"type": "string", "readOnly": true}}});
    let expect = json!({"$ref": "#/$defs/Order", "$defs": {"Order": order}});
    assert_eq!(place.output_schema.as_deref(), Some(&expect));
    assert_eq!(registry.describe_shared("shop.find").unwrap().output_schema, None, "its document does not say");
}

/// A post whose body is a cat or a dog, selected by their kind.
fn pets(cat: Value, dog: Value, discriminator: Value) -> ToolsFixture {
    let body = json!({"oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
        "discriminator": discriminator});
    let body = json!({"required": true, "content": {"application/json": {"schema": body}}});
    let mut document = one("post", json!({"operationId": "add", "requestBody": body}));
    document["components"]["schemas"] = json!({"Cat": cat, "Dog": dog});
    ToolsFixture::with_definitions(
        json!({}),
        json!({"name": "shop", "kind": "openapi", "document": document, "server": "http://127.0.0.1:1"}),
    )
}

/// Whether a body passes validation; the service itself does not exist.
async fn is_let_through(world: &ToolsFixture, body: Value) -> bool {
    world.send(&world.call("k", "shop.add", json!({"id": "1", "body": body}))).await.outcome.fault().is_some_and(
        |fault| match &*fault.code {
            "INVALID_PARAMETERS" => false,
            code => code == "SERVICE_UNAVAILABLE",
        },
    )
}

#[tokio::test]
async fn a_discriminator_without_a_mapping_means_the_names_of_the_schemas() {
    let animal = |more: Value| {
        let mut animal =
            json!({"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}, "name": {}}});
        animal["properties"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        animal
    };
    let told_by = json!({"propertyName": "kind"});
    // Without the names both alternatives match, so the value would be rejected.
    let plain = pets(animal(json!({})), animal(json!({"tail": {"type": "boolean"}})), told_by.clone());
    assert!(is_let_through(&plain, json!({"kind": "Cat", "name": "Tom"})).await);
    assert!(is_let_through(&plain, json!({"kind": "Dog", "tail": true})).await);
    assert!(!is_let_through(&plain, json!({"kind": "Dog", "tail": "long"})).await);
    assert!(!is_let_through(&plain, json!({"kind": "Cow"})).await);
    // A mapping that names one alternative leaves the other its own name.
    let mapped = json!({"propertyName": "kind", "mapping": {"tom": "Cat"}});
    let mapped = pets(animal(json!({})), animal(json!({})), mapped);
    assert!(is_let_through(&mapped, json!({"kind": "tom"})).await);
    assert!(is_let_through(&mapped, json!({"kind": "Dog"})).await);
    assert!(!is_let_through(&mapped, json!({"kind": "Cat"})).await);
    // Schemas that declare other values for themselves take precedence.
    let own = |value: &str| animal(json!({"kind": {"enum": [value]}}));
    let own = pets(own("cat"), own("dog"), told_by);
    assert!(is_let_through(&own, json!({"kind": "cat"})).await);
    assert!(!is_let_through(&own, json!({"kind": "Cat"})).await);
}
