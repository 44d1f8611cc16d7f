use baton_core::model::{Request, ToolChoice};
use serde_json::json;
use tokio::time::sleep;

use super::*;
use crate::providers::rehearsal::request;
use crate::rehearsal::reply;

const SECOND: Duration = Duration::from_secs(1);

fn cache(max_bytes: usize) -> Cache {
    Cache::new(&Settings { enabled: true, max_bytes, ttl: 10 * SECOND }).expect("enabled")
}

fn key(text: &str) -> Key {
    Key::of(&"clinic".into(), &request("a", &[text]))
}

fn at(seconds: u64) -> Time {
    Time::EPOCH + Duration::from_secs(seconds)
}

async fn asked(cache: &Cache, text: &str, now: Time, answer: &str) -> Result<(String, bool), ModelFault> {
    let ask = async || Ok(Reply { content: answer.to_owned(), ..reply("m") });
    let found = cache.reply(key(text), Instant::now() + SECOND, || now, ask).await?;
    Ok((found.0.content, found.1))
}

#[test]
fn nothing_is_kept_unless_asked_for() {
    assert!(Cache::new(&Settings::default()).is_none());
}

#[test]
fn all_that_may_change_a_reply_is_in_the_key() {
    let plain = request("a", &["u: hi"]);
    let same = Key::of(&"clinic".into(), &plain);
    assert_eq!(same, Key::of(&"clinic".into(), &plain.clone()));
    for other in [
        Request { agent: "b".into(), ..plain.clone() },
        Request { model: Some("gpt-4".into()), ..plain.clone() },
        Request { temperature: 0.1, ..plain.clone() },
        Request { max_tokens: Some(5), ..plain.clone() },
        Request { schema: Some(json!({})), ..plain.clone() },
        Request { tool_choice: Some(ToolChoice::None), ..plain.clone() },
        Request { more: json!({"seed": 1}).as_object().expect("an object").clone(), ..plain.clone() },
        request("a", &["u: hi", "u: hi"]),
    ] {
        assert_ne!(same, Key::of(&"clinic".into(), &other), "{other:?}");
    }
    assert_ne!(same, Key::of(&"shop".into(), &plain));
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
    let one = 512 + serde_json::to_string(&Reply { content: "1".into(), ..reply("m") }).expect("JSON").len();
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
    let failing = cache.reply(key("u: a"), deadline, now, async || {
        sleep(SECOND).await;
        Err(transient(code::SERVICE_UNAVAILABLE, "down"))
    });
    let waiting = cache.reply(key("u: a"), deadline, now, async || Ok(reply("second")));
    let (failed, waited) = tokio::join!(failing, waiting);
    assert!(failed.is_err());
    assert_eq!(waited.map(|(reply, is_kept)| (reply.model, is_kept)), Ok(("second".into(), false)));

    let hanging = cache.reply(key("u: b"), deadline, now, async || std::future::pending().await);
    let waiting = cache.reply(key("u: b"), deadline, now, async || Ok(reply("second")));
    let (given_up, waited) = tokio::join!(tokio::time::timeout(SECOND, hanging), waiting);
    assert!(given_up.is_err() && waited.is_ok());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_its_own_limit() {
    let cache = cache(1 << 20);
    let far = Instant::now() + 60 * SECOND;
    let hanging = cache.reply(
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
    let cut = async || Ok(Reply { finish: Finish::Length, ..reply("m") });
    cache.reply(key("u: a"), Instant::now() + SECOND, || at(0), cut).await.expect("a reply");
    assert!(!asked(&cache, "u: a", at(0), "1").await.expect("a reply").1);
}
