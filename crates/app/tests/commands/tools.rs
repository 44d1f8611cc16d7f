//! `baton tools`: what can be called, and what of a project's documents cannot.

use serde_json::{Value, json};

use super::place::Place;

fn api() -> String {
    json!({
        "openapi": "3.0.3", "info": {"title": "Shop", "version": "1"}, "servers": [{"url": "https://api.shop.example"}],
        "paths": {"/orders": {
            "get": {"operationId": "listOpenOrders"},
            "post": {"operationId": "addOrder", "summary": "Adds an order", "responses": {"200": {"content": {
                "application/json": {"schema": {"type": "object", "properties": {"id": {"type": "string"}}}}}}}, "requestBody": {
                "content": {"application/xml": {"schema": {"type": "object"}}}}}
        }},
        "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
        "security": [{"key": []}]
    })
    .to_string()
}

fn shop(definition: &str) -> Place {
    Place::with(&[("baton.toml", ""), ("apis/shop.json", &api()), ("tools/shop.yaml", definition)])
}

fn names(told: &Value) -> Vec<&str> {
    told["tools"].as_array().expect("tools").iter().map(|tool| tool["name"].as_str().expect("a name")).collect()
}

#[test]
fn a_tool_is_listed_once_and_found_by_its_other_names() {
    let place = Place::empty();
    let all = place.baton(&["tools", "list", "--json"]).ends(0).json();
    let listed = names(&all);
    let mut once = listed.clone();
    once.dedup();
    assert_eq!(listed, once);
    let found = place.baton(&["tools", "list", "--search", "process_payment", "--json"]).ends(0).json();
    assert_eq!(names(&found), ["charge_payment"]);
    place.baton(&["tools", "list", "--search", "search_kb"]).ends(0).says("knowledge_base").says("(also search_kb)");
}

#[test]
fn what_a_definition_names_and_nobody_has_is_doubted() {
    let place = shop(
        "name: shop\nkind: openapi\ndocument: apis/shop.json\ninclude: [listOpenOrder, 'add*']\n\
         auth: {kee: '{{ secrets.shop }}'}\n",
    );
    for told in [place.baton(&["validate"]).ends(0), place.baton(&["doctor"])] {
        told.says("tools/shop.yaml:4:11: include.0: `listOpenOrder` fits no operation")
            .says("did you mean `listOpenOrders`?")
            .says("tools/shop.yaml:5:14: auth.kee: the document has no security scheme `kee`")
            .says("tools/shop.yaml:5:14: there is no secret `shop`")
            .says("`baton secrets set shop`")
            .says("BATON_TOOLS__SECRETS__SHOP");
    }
    place.write("baton.toml", "[tools.secrets]\nshop = \"s3cr3t\"\n");
    place.write(
        "tools/shop.yaml",
        "name: shop\nkind: openapi\ndocument: apis/shop.json\nauth: {key: '{{ secrets.shop }}'}\n",
    );
    place.write("workflows/a.yaml", "name: a\nnodes: [{id: a, type: transform, set: {x: 1}}]\n");
    place.baton(&["validate"]).ends(0).says("nothing found");
}

#[test]
fn a_call_of_an_operation_that_was_left_out_is_told_why() {
    let call = |place: &Place| place.baton(&["tools", "call", "shop.addOrder"]).ends(2);
    let define = |more: &str| format!("name: shop\nkind: openapi\ndocument: apis/shop.json\nauth: {{key: k}}\n{more}");
    let chosen = shop(&define("include: ['list*']\n"));
    call(&chosen).warns("`shop.addOrder` is no tool").warns("`include` and `exclude`").warns("tools/shop.yaml");
    call(&shop(&define("operations: {addOrder: {enabled: false}}\n"))).warns("`operations.addOrder.enabled` is false");
    let unfit = shop(&define(""));
    unfit.write("apis/shop.json", api().replace("\"requestBody\":{", "\"requestBody\":{\"required\":true,"));
    call(&unfit).warns("paths./orders.post").warns("application/xml");
    // One that nobody has is another matter.
    chosen.baton(&["tools", "call", "shop.listOpenOrder"]).ends(2).warns("did you mean `shop.listOpenOrders`?");
}

#[test]
fn whoever_asks_what_became_of_a_tool_that_there_is_not_is_told_its_nearest_name() {
    let place = shop("name: shop\nkind: openapi\ndocument: apis/shop.json\nauth: {key: k}\n");
    place.baton(&["tools", "call", "calculator", "--input", r#"{"expression": "2 * 21"}"#]).ends(0);
    for asked in [["tools", "usage"], ["audit", "list"]] {
        let of = |tool: &'static str| place.baton(&[&asked[..], &["--tool", tool]].concat()).ends(0);
        of("calculater").warns("there is no tool `calculater`: did you mean `calculator`?");
        assert_eq!(of("shop.addOrder").err, "", "it is there, and was never called");
        assert_eq!(of("calculator").err, "");
    }
}

#[test]
fn operations_are_described_readably_and_a_body_that_is_left_out_is_said() {
    let place = shop("name: shop\nkind: openapi\ndocument: apis/shop.json\nauth: {key: k}\n");
    place.baton(&["tools", "list", "--search", "shop."]).ends(0).says("List open orders (GET /orders)");
    let told = place.baton(&["tools", "unsupported"]).ends(0);
    told.says("paths./orders.post.requestBody: it is called without its body").says("application/xml");
}

#[test]
fn what_a_tool_answers_with_and_what_is_said_of_one_operation_is_shown() {
    let place = shop(
        "name: shop\nkind: openapi\ndocument: apis/shop.json\nauth: {key: k}\noperations: {POST /orders: {class: read, name: order}}\n",
    );
    let shown = place.baton(&["tools", "show", "shop.order", "--json"]).ends(0).json()["tool"].clone();
    assert_eq!((&shown["facts"]["class"], &shown["version"]), (&json!("read"), &json!("1")));
    let expect = json!({"type": "object", "properties": {"id": {"type": "string"}}});
    assert_eq!(shown["output_schema"], expect);
    place.baton(&["tools", "show", "shop.order"]).ends(0).says("output_schema");
    place.write(
        "tools/shop.yaml",
        "name: shop\nkind: openapi\ndocument: apis/shop.json\noperations: {addOrdr: {class: read}}\n",
    );
    place.baton(&["validate"]).ends(2).warns("operations.addOrdr").warns("did you mean `addOrder`?");
}
