//! `baton audit verify`.

use baton_core::audit::{Break, Tip, Walk, hex};
use baton_ports::audit::{Audit, Filter, Verdict};
use baton_ports::read::PAGE_MAX;
use serde_json::json;

use super::Trail;
use crate::{Exit, Misuse, print};

pub async fn run(trail: &Trail, expect: Option<String>, as_json: bool) -> anyhow::Result<Exit> {
    let expect = expect.map(|hash| hash.to_lowercase());
    if let Some(hash) = &expect
        && baton_core::bundle::Hash::parse(hash).is_none()
    {
        return Err(Misuse::new("--expect takes a hash of 64 digits, as `baton audit verify` prints it").into());
    }
    let verdict = match &trail.system {
        Some(system) => system.store.verify(&trail.tenant).await?,
        None => Verdict { tip: Tip::NONE, erased: 0, broken: None },
    };
    let is_missing = match &expect {
        Some(hash) if verdict.broken.is_none() => !is_in(trail, hash).await?,
        _ => false,
    };
    let holds = verdict.broken.is_none() && !is_missing;
    if as_json {
        let broken = verdict.broken.map(|Break { seq, why }| json!({ "seq": seq, "why": why.word() }));
        print::pretty(&json!({
            "holds": holds, "rows": verdict.tip.seq, "erased": verdict.erased, "tip": hex(&verdict.tip.hash),
            "broken": broken, "expected_is_missing": is_missing,
        }));
    } else {
        tell(trail, &verdict, is_missing);
    }
    Ok(if holds { Exit::Completed } else { Exit::Failed })
}

/// Whether a row of the chain has this hash.
async fn is_in(trail: &Trail, hash: &str) -> anyhow::Result<bool> {
    let Some(system) = &trail.system else { return Ok(false) };
    let mut walk = Walk::default();
    loop {
        let filter = Filter { cursor: Some(walk.tip().seq), limit: PAGE_MAX, ..Filter::default() };
        let page = system.store.trail(&trail.tenant, filter).await?;
        for entry in &page {
            if hex(&entry.hash) == hash {
                return Ok(true);
            }
            if walk.follow(entry).is_err() {
                return Ok(false);
            }
        }
        if page.len() < PAGE_MAX {
            return Ok(false);
        }
    }
}

fn tell(trail: &Trail, verdict: &Verdict, is_missing: bool) {
    let Verdict { tip, erased, broken } = verdict;
    if let Some(Break { seq, why }) = broken {
        print::line(format_args!(
            "{} row {seq} of `{}` is {}",
            print::paint("31", "broken:"),
            trail.tenant,
            why.word()
        ));
        if *seq > 1 {
            print::line(format_args!("rows 1 to {} are as they were written", seq - 1));
        }
        return;
    }
    let emptied = if *erased > 0 { format!(", {erased} of them erased of a person") } else { String::new() };
    let rows = print::counted(tip.seq, "row");
    print::line(format_args!("{rows} of `{}`, all as written{emptied}", trail.tenant));
    if tip.seq > 0 {
        print::line(format_args!("newest hash: {}", hex(&tip.hash)));
    }
    if is_missing {
        let broken = print::paint("31", "broken:");
        print::line(format_args!(
            "{broken} the expected hash is not in the chain: it was written anew, or is another's"
        ));
    }
}
