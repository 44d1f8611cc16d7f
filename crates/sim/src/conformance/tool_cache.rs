use std::sync::Arc;
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::tool_cache::{CachedAnswer, ToolCache};
use serde_json::{Value, json};

use super::fixtures::{at, other_tenant, tenant};

fn answer(key: u8, output: Value, created_at: Time) -> CachedAnswer {
    CachedAnswer {
        tenant: tenant(),
        tool: "lookup".into(),
        key: [key; 32],
        output: Arc::new(output),
        memory_bytes: 100,
        user_id: Some("ana".into()),
        conversation_id: None,
        created_at,
        expires_at: created_at + Duration::from_secs(60),
    }
}

async fn found(cache: &impl ToolCache, of: &TenantId, key: u8, now: Time) -> Option<Value> {
    cache.find(of, &[key; 32], now).await.expect("reads").map(Arc::unwrap_or_clone)
}

pub async fn an_answer_is_found_until_it_is_over(cache: &impl ToolCache) {
    cache.keep(answer(1, json!({"n": 1.0}), at(0))).await.expect("is kept");
    assert_eq!(found(cache, &tenant(), 1, at(59_999)).await, Some(json!({"n": 1.0})));
    assert_eq!(found(cache, &tenant(), 2, at(0)).await, None, "another call's");
    assert_eq!(found(cache, &other_tenant(), 1, at(0)).await, None, "another tenant asked");
    assert_eq!(found(cache, &tenant(), 1, at(60_000)).await, None);
}

pub async fn the_newest_answer_to_a_call_is_found(cache: &impl ToolCache) {
    cache.keep(answer(1, json!("old"), at(0))).await.expect("is kept");
    cache.keep(answer(1, json!("new"), at(30_000))).await.expect("is kept");
    assert_eq!(found(cache, &tenant(), 1, at(89_999)).await, Some(json!("new")));
}
