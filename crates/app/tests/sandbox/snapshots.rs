//! Snapshots that were altered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use baton_core::agent::{ProgramOutcome, ProgramSnapshot, SandboxProgram};
use serde_json::json;

use super::{calls, done, failed, finished, pool, resume, run, start};

const SOURCE: &str = "x = 41\nx + find(i=1)";

async fn paused(settings: serde_json::Value) -> ProgramSnapshot {
    calls(run(&pool(settings), &start(SOURCE, &["find"])).await).1
}

#[tokio::test]
async fn an_altered_snapshot_is_refused_before_a_child_sees_it() {
    let settings = json!({"snapshot_key": "k".repeat(32)});
    let snapshot = paused(settings.clone()).await;
    // No child can be started, so a rejection here happens before that.
    let mut unable = super::launch();
    unable.program = "/nowhere".into();
    let pool = super::SandboxPool::new(super::config(settings), unable).unwrap();
    let bytes = BASE64.decode(&snapshot.bytes).unwrap();
    let grant = String::from_utf8_lossy(&bytes).find("\"find\"").unwrap();
    let mut granted_other = bytes.clone();
    granted_other[grant + 1..grant + 5].copy_from_slice(b"boom");
    let mut state_changed = bytes.clone();
    *state_changed.last_mut().unwrap() ^= 1;
    let mut longer = bytes.clone();
    longer.push(0);
    let mut grant_length = bytes.clone();
    grant_length[40] ^= 1;
    for altered in [granted_other, state_changed, longer, grant_length, bytes[..bytes.len() - 1].to_vec(), vec![0; 8]] {
        let altered = ProgramSnapshot { bytes: BASE64.encode(altered), ..snapshot.clone() };
        match run(&pool, &resume(altered, vec![done("find", json!(1))])).await {
            ProgramOutcome::Failed { fault, .. } => assert_eq!(fault.code, "SNAPSHOT_REFUSED", "{}", fault.message),
            other => assert_eq!(other, ProgramOutcome::Stale),
        }
    }
}

#[tokio::test]
async fn a_snapshot_waits_for_as_many_results_as_it_asked_for() {
    let snapshot = paused(json!({})).await;
    for results in [vec![], vec![done("find", json!(1)), done("find", json!(2))]] {
        let (code, message) = failed(run(&pool(json!({})), &resume(snapshot.clone(), results)).await);
        assert_eq!(code, "SNAPSHOT_REFUSED");
        assert!(message.contains("waits for 1 results"), "{message}");
    }
}

#[tokio::test]
async fn another_key_or_version_is_stale_and_the_program_can_be_replayed() {
    let snapshot = paused(json!({"snapshot_key": "k".repeat(32)})).await;
    let other = pool(json!({"snapshot_key": "l".repeat(32)}));
    let results = vec![done("find", json!(1))];
    assert_eq!(run(&other, &resume(snapshot.clone(), results.clone())).await, ProgramOutcome::Stale);
    let older = ProgramSnapshot { version: "monty-0.0.1.1-baton-1".to_owned(), ..snapshot };
    assert_eq!(run(&other, &resume(older, results)).await, ProgramOutcome::Stale);

    let (asked, _, _) = calls(run(&other, &start(SOURCE, &["find"])).await);
    let again = SandboxProgram::Replay {
        source: SOURCE.to_owned(),
        inputs: [].into(),
        tools: vec!["find".to_owned()],
        calls: vec![(asked[0].clone(), done("find", json!(1)))],
    };
    assert_eq!(finished(run(&other, &again).await).0, json!(42));
}

#[tokio::test]
async fn one_snapshot_may_be_gone_on_from_more_than_once() {
    let snapshot = paused(json!({})).await;
    let pool = pool(json!({}));
    for given in [1, 2] {
        let end = run(&pool, &resume(snapshot.clone(), vec![done("find", json!(given))])).await;
        assert_eq!(finished(end).0, json!(41 + given));
    }
}
