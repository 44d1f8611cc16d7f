//! `baton audit verify`.

use baton_core::audit::{Break, Tip, hex};
use baton_ports::audit::{Audit, Verdict};

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
        Some(hash) if verdict.broken.is_none() => match &trail.system {
            Some(system) => !system.store.has(&trail.tenant, hash).await?,
            None => true,
        },
        _ => false,
    };
    let holds = verdict.broken.is_none() && !is_missing;
    if as_json {
        print::pretty(&verdict.as_json(is_missing));
    } else {
        tell(trail, &verdict, is_missing);
    }
    Ok(if holds { Exit::Completed } else { Exit::Failed })
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
