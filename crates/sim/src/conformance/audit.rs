use std::time::Duration;

use baton_core::audit::{AdminAction, ChainTip};
use baton_core::money::Usd;
use baton_core::time::{Time, TimeZone};
use baton_core::tool::{AuditDetails, AuditRow, AuditStatus};
use baton_core::usage::UsageDimension;
use baton_ports::audit::{AuditFilter, AuditOrder, AuditTrail, ChainVerdict, ErasureSubject, UsageFilter};
use baton_ports::journal::{JournalAppend, JournalStore};
use serde_json::{Value, json};

use super::fixtures::{at, audit, entry, join, other_tenant, owned, tenant};

/// Appends these rows, one append each, to a run of its own.
async fn written(store: &impl JournalStore, rows: &[AuditRow]) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    for (seq, row) in (0..).zip(rows) {
        store
            .append(JournalAppend { audit: vec![row.clone()], ..entry("run", ownership, seq) })
            .await
            .expect("appends");
    }
}

async fn read(store: &impl AuditTrail, filter: AuditFilter) -> Vec<AuditRow> {
    let entries = store.trail(&tenant(), filter).await.expect("reads");
    entries.into_iter().map(|entry| entry.row).collect()
}

async fn verified(store: &impl AuditTrail) -> ChainVerdict {
    store.verify(&tenant()).await.expect("reads")
}

/// The second row of a call: it failed, and was retried.
fn three() -> [AuditRow; 3] {
    let failed =
        AuditRow { status: AuditStatus::Error, error_code: Some("TIMEOUT".into()), ..audit("one", "send_email") };
    let other = AuditRow { at: at(9), user_id: Some("user-2".into()), ..audit("two", "calculator") };
    [audit("one", "calculator"), failed, other]
}

pub async fn rows_are_kept_in_order(store: &(impl JournalStore + AuditTrail)) {
    let rows = three();
    written(store, &rows).await;
    assert_eq!(read(store, AuditFilter::default()).await, rows);
    let entries = store.trail(&tenant(), AuditFilter::default()).await.expect("reads");
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3]);
}

pub async fn a_row_that_no_append_brings_stands_in_the_same_chain(store: &(impl JournalStore + AuditTrail)) {
    let rows = three();
    written(store, &rows[..1]).await;
    let act = AdminAction {
        action: "keys.create".into(),
        target: Some("key_1".into()),
        by: "boss".into(),
        key_id: Some("key_0".into()),
        before: None,
        after: Some(json!({ "role": "service" })),
    };
    let act = act.row(&tenant(), at(7));
    store.append_row(act.clone()).await.expect("writes");
    assert_eq!(read(store, AuditFilter::default()).await, [rows[0].clone(), act.clone()]);
    let details = json!(act.details);
    assert!(details["after"].is_string() && details["before"].is_null(), "{details}");
    assert_eq!(read(store, AuditFilter { action: Some("keys.create".into()), ..AuditFilter::default() }).await, [act]);
    let verdict = verified(store).await;
    assert_eq!((verdict.tip.seq, verdict.broken), (2, None));
}

pub async fn rows_are_found_by_whatever_is_asked(store: &(impl JournalStore + AuditTrail)) {
    let rows = three();
    written(store, &rows).await;
    let all = AuditFilter::default;
    let cases: [(AuditFilter, &[usize]); 9] = [
        (AuditFilter { run: Some("one".into()), ..all() }, &[0, 1]),
        (AuditFilter { action: Some("calculator".into()), ..all() }, &[0, 2]),
        (AuditFilter { run: Some("two".into()), action: Some("calculator".into()), ..all() }, &[2]),
        (AuditFilter { person: Some("user-2".into()), ..all() }, &[2]),
        (AuditFilter { person: Some("user-1".into()), run: Some("two".into()), ..all() }, &[]),
        (AuditFilter { status: Some(AuditStatus::Error), ..all() }, &[1]),
        (AuditFilter { from: Some(at(4)), ..all() }, &[2]),
        (AuditFilter { to: Some(at(9)), ..all() }, &[0, 1]),
        (AuditFilter { from: Some(at(3)), to: Some(at(10)), ..all() }, &[0, 1, 2]),
    ];
    for (filter, expect) in cases {
        let expect: Vec<AuditRow> = expect.iter().map(|index| rows[*index].clone()).collect();
        assert_eq!(read(store, filter.clone()).await, expect, "{filter:?}");
    }
}

pub async fn pages_follow_their_cursor_both_ways(store: &(impl JournalStore + AuditTrail)) {
    written(store, &three()).await;
    let seqs = async |order, cursor| {
        let filter = AuditFilter { order, cursor, limit: 2, ..AuditFilter::default() };
        let entries = store.trail(&tenant(), filter).await.expect("reads");
        entries.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(AuditOrder::OldestFirst, None).await, [1, 2]);
    assert_eq!(seqs(AuditOrder::OldestFirst, Some(2)).await, [3]);
    assert_eq!(seqs(AuditOrder::NewestFirst, None).await, [3, 2]);
    assert_eq!(seqs(AuditOrder::NewestFirst, Some(2)).await, [1]);
}

pub async fn a_call_stands_as_the_newest_row_about_it_says(store: &(impl JournalStore + AuditTrail)) {
    let booked = audit("one", "create_booking");
    let failed = AuditRow { status: AuditStatus::Error, ..booked.clone() };
    let undone = AuditRow {
        call: booked.call.clone(),
        changes: true,
        status: AuditStatus::Compensated,
        ..audit("one", "cancel_booking")
    };
    let about_no_call = AuditRow { call: None, ..audit("one", "approval") };
    written(store, &[failed, booked.clone(), audit("two", "calculator"), undone, about_no_call]).await;
    let latest = async |filter| {
        let entries = store.latest(&tenant(), filter).await.expect("reads");
        entries.into_iter().map(|entry| (entry.seq, entry.row.action, entry.row.status)).collect::<Vec<_>>()
    };
    let expect = [
        (2, "create_booking".to_owned(), AuditStatus::Compensated),
        (3, "calculator".to_owned(), AuditStatus::Success),
    ];
    assert_eq!(latest(AuditFilter::default()).await, expect);
    assert_eq!(latest(AuditFilter { run: Some("one".into()), ..AuditFilter::default() }).await, expect[..1]);
    let filter = AuditFilter { status: Some(AuditStatus::Compensated), ..AuditFilter::default() };
    assert_eq!(latest(filter).await, expect[..1]);
}

pub async fn a_chain_is_followed_from_its_first_row_to_its_end(store: &(impl JournalStore + AuditTrail)) {
    assert_eq!(verified(store).await, ChainVerdict { tip: ChainTip::NONE, erased: 0, broken: None });
    written(store, &three()).await;
    let tip = store.tip(&tenant()).await.expect("reads");
    assert_eq!(tip.seq, 3);
    assert_eq!(verified(store).await, ChainVerdict { tip, erased: 0, broken: None });
}

pub async fn chains_of_tenants_are_apart(store: &(impl JournalStore + AuditTrail)) {
    let theirs = AuditRow { company_id: other_tenant(), ..audit("one", "calculator") };
    written(store, &[audit("one", "calculator"), theirs.clone(), theirs]).await;
    assert_eq!(store.tip(&tenant()).await.expect("reads").seq, 1);
    let other = store.verify(&other_tenant()).await.expect("reads");
    assert_eq!((other.tip.seq, other.broken), (2, None));
    assert_eq!(read(store, AuditFilter::default()).await.len(), 1);
}

pub async fn an_erased_persons_rows_are_empty_and_the_chain_holds(store: &(impl JournalStore + AuditTrail)) {
    written(store, &three()).await;
    assert_eq!(store.erase(&tenant(), &ErasureSubject::of("user-1"), "olga", at(20)).await.expect("erases"), 2);
    let entries = store.trail(&tenant(), AuditFilter::default()).await.expect("reads");
    for entry in &entries[..2] {
        let row = &entry.row;
        assert_eq!((&row.user_id, &row.conversation_id, &row.details), (&None, &None, &AuditDetails::default()));
        assert_eq!((entry.details.as_str(), entry.salt, entry.erased_at), ("", None, Some(at(20))));
    }
    assert_eq!(entries[2].row, three()[2], "nobody else is touched");
    assert_eq!((entries[3].row.action_type.as_str(), entries[3].row.user_id.as_deref()), ("erasure", Some("olga")));
    assert_eq!((&entries[3].row.details["rows"], entries[3].row.erases.as_slice()), (&Value::from(2), &[(1, 2)][..]));
    let verdict = verified(store).await;
    assert_eq!((verdict.tip.seq, verdict.erased, verdict.broken), (4, 2, None));
    assert_eq!(
        store.erase(&tenant(), &ErasureSubject::of("user-1"), "olga", at(21)).await.expect("erases"),
        0,
        "once is enough"
    );
    assert_eq!(store.erase(&tenant(), &ErasureSubject::of("olga"), "ines", at(22)).await.expect("erases"), 1);
    let verdict = verified(store).await;
    assert_eq!((verdict.tip.seq, verdict.erased, verdict.broken), (5, 3, None), "whoever erased can be erased");
}

pub async fn rows_of_others_that_mention_a_person_are_emptied_too(store: &(impl JournalStore + AuditTrail)) {
    let about = |by: &str, details: Value| AuditRow {
        user_id: Some(by.to_owned()),
        details: details.into(),
        ..audit("one", "send_email")
    };
    let rows = [
        about("user-1", json!({"arguments": {"subject": "x"}})),
        about("clerk", json!({"arguments": {"to": ["bob@example.com", "Ana.Diaz@Example.com"]}})),
        about("clerk", json!({"arguments": {"to": "joana.diaz@example.com"}})),
        about("clerk", json!({"arguments": {"phone": "+34 612-345-678", "amount": 5}})),
        about("clerk", json!({"arguments": {"phone": "346123456789"}})),
        about("ana.diaz@example.com", json!({"arguments": {}})),
    ];
    let theirs = AuditRow { company_id: other_tenant(), ..rows[1].clone() };
    written(store, &[&rows[..], &[theirs]].concat()).await;
    let ana = ErasureSubject {
        id: "user-1".to_owned(),
        other_names: vec!["ana.diaz@example.com".to_owned(), "+34612345678".to_owned()],
        ..ErasureSubject::default()
    };
    assert_eq!(store.erase(&tenant(), &ana, "olga", at(20)).await.expect("erases"), 4);
    let entries = store.trail(&tenant(), AuditFilter::default()).await.expect("reads");
    let erased: Vec<u64> = entries.iter().filter(|entry| entry.erased_at.is_some()).map(|entry| entry.seq).collect();
    assert_eq!(erased, [1, 2, 4, 6]);
    for entry in &entries[..6] {
        let is_empty = entry.row.user_id.is_none() && entry.row.details.is_null() && entry.salt.is_none();
        assert_eq!(is_empty, erased.contains(&entry.seq), "{entry:?}");
    }
    let verdict = verified(store).await;
    assert_eq!((verdict.erased, verdict.broken), (4, None));
    let other = store.verify(&other_tenant()).await.expect("reads");
    assert_eq!((other.erased, other.broken), (0, None), "another tenant's trail is not theirs to erase from");
    assert_eq!(store.erase(&tenant(), &ana, "olga", at(21)).await.expect("erases"), 0, "once is enough");
}

pub async fn whoever_is_in_no_row_is_erased_from_none(store: &(impl JournalStore + AuditTrail)) {
    written(store, &three()).await;
    assert_eq!(store.erase(&tenant(), &ErasureSubject::of("nobody"), "olga", at(20)).await.expect("erases"), 0);
    assert_eq!(read(store, AuditFilter::default()).await, three());
}

pub async fn uses_are_summed_up_by_whatever_is_asked(store: &(impl JournalStore + AuditTrail)) {
    let day = 24 * 60 * 60 * 1_000;
    let paid = AuditRow { cost: Usd::from_nanos(5), duration_ms: 30, ..audit("one", "calculator") };
    let [first, failed, other] = three();
    let theirs = AuditRow { company_id: other_tenant(), ..audit("one", "calculator") };
    let about_no_call = AuditRow { call: None, sent: false, ..audit("one", "calculator") };
    let next_day = AuditRow { at: at(day), agent_name: Some("router".into()), ..paid.clone() };
    written(store, &[first, failed, other, theirs, about_no_call, paid, next_day]).await;

    let sums = async |filter: UsageFilter| {
        let usage = store.usage(filter).await.expect("reads");
        usage.into_iter().map(|usage| (usage.parts.join(" "), usage.tally.executions)).collect::<Vec<_>>()
    };
    let by = |by: &[UsageDimension]| UsageFilter { tenant: Some(tenant()), by: by.to_vec(), ..UsageFilter::default() };
    let named =
        |rows: &[(&str, u64)]| rows.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Vec<_>>();
    assert_eq!(sums(by(&[])).await, named(&[("", 5)]));
    assert_eq!(sums(by(&[UsageDimension::Tool])).await, named(&[("calculator", 4), ("send_email", 1)]));
    assert_eq!(sums(by(&[UsageDimension::Agent])).await, named(&[("", 4), ("router", 1)]));
    assert_eq!(sums(by(&[UsageDimension::User])).await, named(&[("user-1", 4), ("user-2", 1)]));
    let (one, two) = (at(0).to_date(), at(day).to_date());
    let days = [(format!("{one} calculator"), 3), (format!("{one} send_email"), 1), (format!("{two} calculator"), 1)];
    assert_eq!(sums(by(&[UsageDimension::Day, UsageDimension::Tool])).await, days);
    assert_eq!(sums(by(&[UsageDimension::Month])).await.len(), 1);
    let tokyo = TimeZone::get("Asia/Tokyo").ok();
    assert!(tokyo.is_some(), "the zone is known");
    let in_tokyo = |at: Time| (at + Duration::from_secs(9 * 60 * 60)).to_date();
    let days = [(in_tokyo(at(0)), 4), (in_tokyo(at(day)), 1)];
    assert_eq!(sums(UsageFilter { zone: tokyo, ..by(&[UsageDimension::Day]) }).await, days);
    assert_eq!(
        sums(UsageFilter { tenant: None, ..by(&[UsageDimension::Tenant]) }).await,
        named(&[("clinic-a", 5), ("clinic-b", 1)])
    );
    assert_eq!(sums(UsageFilter { from: Some(at(4)), to: Some(at(day)), ..by(&[]) }).await, named(&[("", 1)]));
    assert_eq!(sums(UsageFilter { action: Some("send_email".into()), ..by(&[]) }).await, named(&[("", 1)]));

    let all = store.usage(by(&[UsageDimension::Tool])).await.expect("reads").swap_remove(0).tally;
    assert_eq!((all.successes, all.cost, all.percentile_ms(50)), (4, Usd::from_nanos(10), Some(12)));
    let mail = store.usage(by(&[UsageDimension::Tool])).await.expect("reads").swap_remove(1).tally;
    assert_eq!((mail.success_rate(), mail.errors["TIMEOUT"]), (0.0, 1));
}
