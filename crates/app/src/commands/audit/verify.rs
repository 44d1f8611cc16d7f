//! `baton audit verify`.

use baton_core::audit::{ChainBreak, ChainTip, hex};
use baton_ports::audit::{AuditTrail, ChainVerdict};

use super::TenantTrail;
use crate::{CommandExit, UsageError, print};

pub async fn run(trail: &TenantTrail, expect: Option<String>, as_json: bool) -> anyhow::Result<CommandExit> {
    let expect = expect.map(|hash| hash.to_lowercase());
    if let Some(hash) = &expect
        && baton_core::bundle::ContentHash::parse(hash).is_none()
    {
        return Err(UsageError::new("--expect takes a hash of 64 digits, as `baton audit verify` prints it").into());
    }
    let verdict = match &trail.system {
        Some(system) => system.store.verify(&trail.tenant).await?,
        None => ChainVerdict { tip: ChainTip::NONE, erased: 0, broken: None },
    };
    let is_missing = match &expect {
        Some(hash) if verdict.broken.is_none() => match &trail.system {
            Some(system) => !system.store.has_row(&trail.tenant, hash).await?,
            None => true,
        },
        _ => false,
    };
    let holds = verdict.broken.is_none() && !is_missing;
    if as_json {
        print::pretty(&verdict.as_json(is_missing));
    } else {
        print_verdict(trail, &verdict, is_missing);
    }
    Ok(if holds { CommandExit::Completed } else { CommandExit::Failed })
}

fn print_verdict(trail: &TenantTrail, verdict: &ChainVerdict, is_missing: bool) {
    let ChainVerdict { tip, erased, broken } = verdict;
    if let Some(ChainBreak { seq, reason: why }) = broken {
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
    let rows = print::count_noun(tip.seq, "row");
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
