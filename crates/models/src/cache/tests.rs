use baton_core::model::{ModelRequest, ToolChoice};
use serde_json::json;
use tokio::time::sleep;

use super::*;
use crate::providers::test_support::request;
use crate::test_support::reply;

const SECOND: Duration = Duration::from_secs(1);

fn cache(max_bytes: usize) -> ReplyCache {
    ReplyCache::new(&CacheSettings { enabled: true, max_bytes, ttl: 10 * SECOND }).expect("enabled")
}

fn key(text: &str) -> ReplyCacheKey {
    ReplyCacheKey::of(&"clinic".into(), &request("a", &[text]))
}

fn at(seconds: u64) -> Time {
    Time::EPOCH + Duration::from_secs(seconds)
}

async fn asked(cache: &ReplyCache, text: &str, now: Time, answer: &str) -> Result<(String, bool), ModelCallError> {
    let ask = async || Ok(ModelReply { content: answer.to_owned(), ..reply("m") });
    let found = cache.get_or_fetch(key(text), Instant::now() + SECOND, || now, ask).await?;
    Ok((found.0.content, found.1))
}

#[test]
fn nothing_is_kept_unless_asked_for() {
    assert!(ReplyCache::new(&CacheSettings::default()).is_none());
}

#[test]
fn all_that_may_change_a_reply_is_in_the_key() {
    let plain = request("a", &["u: hi"]);
    let same = ReplyCacheKey::of(&"clinic".into(), &plain);
    assert_eq!(same, ReplyCacheKey::of(&"clinic".into(), &plain.clone()));
    for other in [
        ModelRequest { agent: "b".into(), ..plain.clone() },
        ModelRequest { model: Some("gpt-4".into()), ..plain.clone() },
        ModelRequest { temperature: 0.1, ..plain.clone() },
        ModelRequest { max_tokens: Some(5), ..plain.clone() },
        ModelRequest { schema: Some(json!({})), ..plain.clone() },
        ModelRequest { tool_choice: Some(ToolChoice::None), ..plain.clone() },
        ModelRequest { more: json!({"seed": 1}).as_object().expect("an object").clone(), ..plain.clone() },
        request("a", &["u: hi", "u: hi"]),
    ] {
        assert_ne!(same, ReplyCacheKey::of(&"clinic".into(), &other), "{other:?}");
    }
    assert_ne!(same, ReplyCacheKey::of(&"shop".into(), &plain));
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_kept_for_its_time() {
    let cache = cache(1 << 20);
    assert_eq!(asked(&cache, "u: a", at(0), "1").await, Ok(("1".into(), false)));
    assert_eq!(asked(&cache, "u: a", at(9), "2").await, Ok(("1".into(), true)));
    assert_eq!(asked(&cache, "u: a", at(10), "3").await, Ok(("3".into(), false)));
}

#[tokio::test(start_paused = true)]
async fn what_was_used_longest_ago_goes_first() {
    let one = 512 + serde_json::to_string(&ModelReply { content: "1".into(), ..reply("m") }).expect("JSON").len();
    let cache = cache(2 * one);
    for text in ["u: a", "u: b"] {
        asked(&cache, text, at(0), "1").await.expect("a reply");
    }
    asked(&cache, "u: a", at(1), "2").await.expect("it is used");
    asked(&cache, "u: c", at(1), "1").await.expect("a third");
    let kept = async |text| asked(&cache, text, at(1), "new").await.expect("a reply").1;
    assert_eq!((kept("u: a").await, kept("u: c").await, kept("u: b").await), (true, true, false));
}

#[tokio::test(start_paused = true)]
async fn a_reply_larger_than_all_is_not_kept() {
    let cache = cache(600);
    asked(&cache, "u: a", at(0), &"x".repeat(600)).await.expect("a reply");
    assert!(!asked(&cache, "u: a", at(0), "1").await.expect("a reply").1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_asks_itself_where_the_first_fails_or_is_gone() {
    let cache = cache(1 << 20);
    let deadline = Instant::now() + 10 * SECOND;
    let now = || at(0);
    let failing = cache.get_or_fetch(key("u: a"), deadline, now, async || {
        sleep(SECOND).await;
        Err(transient(code::SERVICE_UNAVAILABLE, "down"))
    });
    let waiting = cache.get_or_fetch(key("u: a"), deadline, now, async || Ok(reply("second")));
    let (failed, waited) = tokio::join!(failing, waiting);
    assert!(failed.is_err());
    assert_eq!(waited.map(|(reply, is_kept)| (reply.model, is_kept)), Ok(("second".into(), false)));

    let hanging = cache.get_or_fetch(key("u: b"), deadline, now, async || std::future::pending().await);
    let waiting = cache.get_or_fetch(key("u: b"), deadline, now, async || Ok(reply("second")));
    let (given_up, waited) = tokio::join!(tokio::time::timeout(SECOND, hanging), waiting);
    assert!(given_up.is_err() && waited.is_ok());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_its_own_limit() {
    let cache = cache(1 << 20);
    let far = Instant::now() + 60 * SECOND;
    let hanging = cache.get_or_fetch(
        key("u: a"),
        far,
        || at(0),
        async || {
            sleep(30 * SECOND).await;
            Ok(reply("first"))
        },
    );
    let waiting = asked(&cache, "u: a", at(0), "never");
    let (first, waited) = tokio::join!(hanging, waiting);
    assert!(first.is_ok());
    assert_eq!(waited.expect_err("too late").fault.code, code::TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_was_cut_off_is_not_kept() {
    let cache = cache(1 << 20);
    let cut = async || Ok(ModelReply { finish: FinishReason::Length, ..reply("m") });
    cache.get_or_fetch(key("u: a"), Instant::now() + SECOND, || at(0), cut).await.expect("a reply");
    assert!(!asked(&cache, "u: a", at(0), "1").await.expect("a reply").1);
}
