use serde_json::json;

use crate::testing::ToolsFixture;

#[tokio::test]
async fn a_document_is_transformed_by_jmespath() {
    let data = json!({"orders": [{"id": 1, "total": 20}, {"id": 2, "total": 5}]});
    let arguments = json!({"data": data, "expression": "orders[?total > `10`].id"});
    assert_eq!(ToolsFixture::new().done("k", "transform_json", arguments).await, json!({"result": [1]}));
    let list = json!({"data": [1, 2, 3], "expression": "sum(@)"});
    assert_eq!(ToolsFixture::new().done("k", "transform_json", list).await["result"].as_f64(), Some(6.0));
}

#[tokio::test]
async fn what_is_not_jmespath_is_refused_and_what_does_not_fit_fails() {
    let world = ToolsFixture::new();
    let (code, message) = world.refused("k", "transform_json", json!({"data": {}, "expression": "a["})).await;
    assert_eq!(code, "INVALID_PARAMETERS");
    assert!(message.contains("`expression`"), "{message}");
    let (code, _) = world.refused("k", "transform_json", json!({"data": {"a": "x"}, "expression": "sum(a)"})).await;
    assert_eq!(code, "EXPRESSION_FAILED");
}
