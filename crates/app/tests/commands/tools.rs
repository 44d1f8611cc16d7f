//! `baton tools`: the available tools, and the parts of a project's documents that cannot be tools.

use serde_json::{Value, json};

use super::test_folder::TestFolder;

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

fn shop(definition: &str) -> TestFolder {
    TestFolder::with(&[("baton.toml", ""), ("apis/shop.json", &api()), ("tools/shop.yaml", definition)])
}

fn names(told: &Value) -> Vec<&str> {
    told["tools"].as_array().expect("tools").iter().map(|tool| tool["name"].as_str().expect("a name")).collect()
}

#[test]
fn a_tool_is_listed_once_and_found_by_its_other_names() {
    let place = TestFolder::empty();
    let all = place.baton(&["tools", "list", "--json"]).expect_code(0).json();
    let listed = names(&all);
    let mut once = listed.clone();
    once.dedup();
    assert_eq!(listed, once);
    let found = place.baton(&["tools", "list", "--search", "process_payment", "--json"]).expect_code(0).json();
    assert_eq!(names(&found), ["charge_payment"]);
    place
        .baton(&["tools", "list", "--search", "search_kb"])
        .expect_code(0)
        .expect_stdout("knowledge_base")
        .expect_stdout("(also search_kb)");
}

#[test]
fn what_a_definition_names_and_nobody_has_is_doubted() {
    let place = shop(
        "name: shop\nkind: openapi\ndocument: apis/shop.json\ninclude: [listOpenOrder, 'add*']\n\
         auth: {kee: '{{ secrets.shop }}'}\n",
    );
    for told in [place.baton(&["validate"]).expect_code(0), place.baton(&["doctor"])] {
        told.expect_stdout("tools/shop.yaml:4:11: include.0: `listOpenOrder` fits no operation")
            .expect_stdout("did you mean `listOpenOrders`?")
            .expect_stdout("tools/shop.yaml:5:14: auth.kee: the document has no security scheme `kee`")
            .expect_stdout("tools/shop.yaml:5:14: there is no secret `shop`")
            .expect_stdout("`baton secrets set shop`")
            .expect_stdout("BATON_TOOLS__SECRETS__SHOP");
    }
    place.write("baton.toml", "[tools.secrets]\nshop = \"s3cr3t\"\n");
    place.write(
        "tools/shop.yaml",
        "name: shop\nkind: openapi\ndocument: apis/shop.json\nauth: {key: '{{ secrets.shop }}'}\n",
    );
    place.write("workflows/a.yaml", "name: a\nnodes: [{id: a, type: transform, set: {x: 1}}]\n");
    place.baton(&["validate"]).expect_code(0).expect_stdout("nothing found");
}

#[test]
fn a_call_of_an_operation_that_was_left_out_is_told_why() {
    let call = |place: &TestFolder| place.baton(&["tools", "call", "shop.addOrder"]).expect_code(2);
    let define = |more: &str| format!("name: shop\nkind: openapi\ndocument: apis/shop.json\nauth: {{key: k}}\n{more}");
    let chosen = shop(&define("include: ['list*']\n"));
    call(&chosen)
        .expect_stderr("`shop.addOrder` is no tool")
        .expect_stderr("`include` and `exclude`")
        .expect_stderr("tools/shop.yaml");
    call(&shop(&define("operations: {addOrder: {enabled: false}}\n")))
        .expect_stderr("`operations.addOrder.enabled` is false");
    let unfit = shop(&define(""));
    unfit.write("apis/shop.json", api().replace("\"requestBody\":{", "\"requestBody\":{\"required\":true,"));
    call(&unfit).expect_stderr("paths./orders.post").expect_stderr("application/xml");
    // The error for an unknown tool is different.
    chosen
        .baton(&["tools", "call", "shop.listOpenOrder"])
        .expect_code(2)
        .expect_stderr("did you mean `shop.listOpenOrders`?");
}

#[test]
fn whoever_asks_what_became_of_a_tool_that_there_is_not_is_told_its_nearest_name() {
    let place = shop("name: shop\nkind: openapi\ndocument: apis/shop.json\nauth: {key: k}\n");
    place.baton(&["tools", "call", "calculator", "--input", r#"{"expression": "2 * 21"}"#]).expect_code(0);
    for asked in [["tools", "usage"], ["audit", "list"]] {
        let of = |tool: &'static str| place.baton(&[&asked[..], &["--tool", tool]].concat()).expect_code(0);
        of("calculater").expect_stderr("there is no tool `calculater`: did you mean `calculator`?");
        assert_eq!(of("shop.addOrder").err, "", "it is there, and was never called");
        assert_eq!(of("calculator").err, "");
    }
}

#[test]
fn operations_are_described_readably_and_a_body_that_is_left_out_is_said() {
    let place = shop("name: shop\nkind: openapi\ndocument: apis/shop.json\nauth: {key: k}\n");
    place.baton(&["tools", "list", "--search", "shop."]).expect_code(0).expect_stdout("List open orders (GET /orders)");
    let told = place.baton(&["tools", "unsupported"]).expect_code(0);
    told.expect_stdout("paths./orders.post.requestBody: it is called without its body")
        .expect_stdout("application/xml");
}

#[test]
fn what_a_tool_answers_with_and_what_is_said_of_one_operation_is_shown() {
    let place = shop(
        "name: shop\nkind: openapi\ndocument: apis/shop.json\nauth: {key: k}\noperations: {POST /orders: {class: read, name: order}}\n",
    );
    let shown = place.baton(&["tools", "show", "shop.order", "--json"]).expect_code(0).json()["tool"].clone();
    assert_eq!((&shown["facts"]["class"], &shown["version"]), (&json!("read"), &json!("1")));
    let expect = json!({"type": "object", "properties": {"id": {"type": "string"}}});
    assert_eq!(shown["output_schema"], expect);
    place.baton(&["tools", "show", "shop.order"]).expect_code(0).expect_stdout("output_schema");
    place.write(
        "tools/shop.yaml",
        "name: shop\nkind: openapi\ndocument: apis/shop.json\noperations: {addOrdr: {class: read}}\n",
    );
    place
        .baton(&["validate"])
        .expect_code(2)
        .expect_stderr("operations.addOrdr")
        .expect_stderr("did you mean `addOrder`?");
}
