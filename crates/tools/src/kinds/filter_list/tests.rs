use serde_json::{Value, json};

use crate::testing::ToolsFixture;

async fn kept(condition: Value) -> Value {
    let items = json!([
        {"name": "a", "price": 5, "tags": ["x"]}, {"name": "b", "price": 15, "tags": []}, {"name": "c", "price": 25, "tags": ["x"]}
    ]);
    let output = ToolsFixture::new().done("k", "filter_list", json!({"items": items, "condition": condition})).await;
    assert_eq!(output["count"], output["items"].as_array().unwrap().len());
    output["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect()
}

#[tokio::test]
async fn a_condition_may_be_written_in_each_language() {
    assert_eq!(kept(json!("price > 10")).await, json!(["b", "c"]));
    assert_eq!(kept(json!("item.price > 10 and index < 2")).await, json!(["b"]));
    assert_eq!(kept(json!({"expression": "'x' in tags"})).await, json!(["a", "c"]));
    assert_eq!(
        kept(json!({"type": "jmespath", "expression": "contains(tags, 'x') && price > `10`"})).await,
        json!(["c"])
    );
    assert_eq!(kept(json!({"field": "price", "operator": "less_than", "value": 10})).await, json!(["a"]));
}

#[tokio::test]
async fn items_may_be_anything() {
    let output = ToolsFixture::new()
        .done("k", "filter_list", json!({"items": [3, "x", null, 1], "condition": "item == 3"}))
        .await;
    assert_eq!(output, json!({"items": [3], "count": 1}));
}

#[tokio::test]
async fn a_condition_that_is_none_is_refused_and_one_that_breaks_names_the_item() {
    let world = ToolsFixture::new();
    let refused = |condition: Value| world.refused_filter(condition);
    assert_eq!(refused(json!("price >")).await.0, "INVALID_PARAMETERS");
    assert_eq!(refused(json!({"type": "lua", "expression": "x"})).await.0, "INVALID_PARAMETERS");
    let (code, message) = refused(json!("prize > 10")).await;
    assert_eq!(code, "EXPRESSION_FAILED");
    assert!(message.contains("item 0") && message.contains("did you mean `price`?"), "{message}");
}

impl ToolsFixture {
    async fn refused_filter(&self, condition: Value) -> (String, String) {
        self.refused("k", "filter_list", json!({"items": [{"price": 1}], "condition": condition})).await
    }
}
