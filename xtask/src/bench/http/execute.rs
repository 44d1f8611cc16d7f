//! A request to execute the workflow, and the checks of all accepted runs afterwards.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::super::models::load::LoadConnection;

/// Runs on one page of the list.
const PAGE: usize = 100;
/// Time limit for accepted runs to end.
const END_MAX: Duration = Duration::from_secs(120);
/// Pause between two polls.
const PAUSE: Duration = Duration::from_millis(250);

/// The address of the server and the API key.
#[derive(Clone)]
pub struct ExecuteClient {
    pub port: u16,
    pub key: String,
}

pub struct ExecuteAnswer {
    pub status: u16,
    /// The id of the run.
    pub run: Option<String>,
    pub text: String,
    /// Whether the response replays an earlier request with this key.
    pub replayed: bool,
}

impl ExecuteClient {
    /// Executes the workflow with this idempotency key. Opens a connection if there is none.
    pub async fn ask(
        &self,
        line: &mut Option<LoadConnection>,
        idempotency_key: &str,
    ) -> std::io::Result<ExecuteAnswer> {
        let body = format!(r#"{{"workflow_id":"say","input_data":{{"message":"{idempotency_key}"}}}}"#);
        let head = format!("POST /api/v1/workflows/execute HTTP/1.1\r\nidempotency-key: {idempotency_key}\r\n");
        let text = self.send(line, &head, &body).await?;
        let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
        let run = text.split_once(r#""execution_id":""#).and_then(|(_, rest)| rest.split('"').next());
        let replayed = text.to_ascii_lowercase().contains("idempotency-replayed: true");
        Ok(ExecuteAnswer { status, run: run.map(str::to_owned), replayed, text: text.clone() })
    }

    async fn send(&self, line: &mut Option<LoadConnection>, head: &str, body: &str) -> std::io::Result<String> {
        let line = match line {
            Some(line) => line,
            None => line.insert(LoadConnection::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).await?),
        };
        let request = format!(
            "{head}host: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        );
        Ok(String::from_utf8_lossy(line.ask(request.as_bytes()).await?).into_owned())
    }

    /// All runs, and those that have completed.
    async fn runs(&self) -> anyhow::Result<(BTreeSet<String>, BTreeSet<String>)> {
        let (mut all, mut completed) = (BTreeSet::new(), BTreeSet::new());
        let (mut line, mut cursor) = (None, String::new());
        loop {
            let head = format!("GET /api/v1/executions?limit={PAGE}{cursor} HTTP/1.1\r\n");
            let text = self.send(&mut line, &head, "").await?;
            let body = text.split_once("\r\n\r\n").context("an answer without an end of its head")?.1;
            let page: Value = serde_json::from_str(body).with_context(|| text.clone())?;
            let runs = page["executions"].as_array().with_context(|| format!("no list of runs: {page}"))?;
            for run in runs {
                let id = run["execution_id"].as_str().context("a run without an id")?.to_owned();
                if run["status"] == "completed" || run["state"] == "completed" {
                    completed.insert(id.clone());
                }
                ensure!(all.insert(id), "a run is listed twice: {run}");
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok((all, completed)),
            }
        }
    }
}

/// Checks that exactly these runs are in the journal, and that each completes soon.
///
/// # Errors
/// An accepted run is missing or has not ended, or there is a run that no response named.
pub fn check_journal(asking: &ExecuteClient, accepted: &BTreeSet<String>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let began = Instant::now();
    loop {
        let (all, completed) = runtime.block_on(asking.runs())?;
        let lost: Vec<&String> = accepted.difference(&all).collect();
        ensure!(lost.is_empty(), "{} accepted runs are lost, `{}` first", lost.len(), lost[0]);
        let surplus: Vec<&String> = all.difference(accepted).collect();
        ensure!(surplus.is_empty(), "{} runs more than keys, `{}` first", surplus.len(), surplus[0]);
        let open = all.len() - completed.len();
        if open == 0 {
            return Ok(());
        }
        ensure!(began.elapsed() < END_MAX, "{open} accepted runs did not come to a good end");
        std::thread::sleep(PAUSE);
    }
}

/// Checks that each key returns its original run, and starts no new one.
pub fn check_replays(asking: &ExecuteClient, keys: &[(&str, &str)]) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut line = None;
        for (key, run) in keys {
            let answer = asking.ask(&mut line, key).await?;
            let is_its_own = answer.replayed && answer.run.as_deref() == Some(run);
            ensure!(is_its_own, "`{key}` began `{run}` and was then answered: {}", answer.text);
        }
        Ok(())
    })
}
