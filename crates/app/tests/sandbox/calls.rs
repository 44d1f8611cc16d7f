//! Tool calls: how a program makes them, waits, and continues, in this or in another process.

use std::time::Duration;

use baton_core::agent::{ProgramOutcome, SandboxProgram};
use baton_ports::sandbox::SandboxLimits;
use serde_json::json;

use super::{asked, calls, done, failed, finished, not_done, pool, resume, run, start, within};

#[tokio::test]
async fn a_program_waits_at_each_call_and_goes_on_with_its_result() {
    let pool = pool(json!({}));
    let source =
        "print('one')\na = shop_orders(of='ana')\nprint('two', a)\nb = find({'id': a['id']}, deep=True)\n[a, b]";
    let (first, snapshot, printed) = calls(run(&pool, &start(source, &["shop.orders", "find"])).await);
    assert_eq!(asked(&first), [("c1", "shop.orders", &json!({"of": "ana"}))]);
    assert_eq!(printed, "one\n");
    let results = vec![done("shop.orders", json!({"id": 7}))];
    let (second, snapshot, printed) = calls(run(&pool, &resume(snapshot, results)).await);
    assert_eq!(asked(&second), [("c2", "find", &json!({"id": 7, "deep": true}))]);
    assert_eq!(printed, "two {'id': 7}\n");
    let end = run(&pool, &resume(snapshot, vec![done("find", json!("x"))])).await;
    assert_eq!(finished(end), (json!([{"id": 7}, "x"]), String::new()));
}

#[tokio::test]
async fn a_paused_program_goes_on_in_a_pool_that_never_saw_it() {
    let source = "x = [1.5, 'é', None, 2**70]\nfind(a=x[0])\n[str(v) for v in x]";
    let (_, snapshot, _) = calls(run(&pool(json!({})), &start(source, &["find"])).await);
    let kept = serde_json::to_string(&snapshot).unwrap();
    let snapshot = serde_json::from_str(&kept).unwrap();
    let end = run(&pool(json!({})), &resume(snapshot, vec![done("find", json!(null))])).await;
    assert_eq!(finished(end).0, json!(["1.5", "é", "None", "1180591620717411303424"]));
}

#[tokio::test]
async fn calls_that_are_gathered_go_out_together() {
    let pool = pool(json!({}));
    let source = "import asyncio\nasync def one(i):\n    return await find(i=i)\n\
                  found = await asyncio.gather(*[one(i) for i in range(3)], pay(amount=1))\n\
                  last = await find(i=found)\n[found, last]";
    let (together, snapshot, _) = calls(run(&pool, &start(source, &["find", "pay"])).await);
    let expected = [
        ("c1", "pay", &json!({"amount": 1})),
        ("c2", "find", &json!({"i": 0})),
        ("c3", "find", &json!({"i": 1})),
        ("c4", "find", &json!({"i": 2})),
    ];
    assert_eq!(asked(&together), expected);
    let results = ["p", "a", "b", "c"].map(|data| done("any", json!(data))).to_vec();
    let (then, snapshot, _) = calls(run(&pool, &resume(snapshot, results)).await);
    assert_eq!(asked(&then), [("c5", "find", &json!({"i": ["a", "b", "c", "p"]}))]);
    let end = run(&pool, &resume(snapshot, vec![done("find", json!("d"))])).await;
    assert_eq!(finished(end).0, json!([["a", "b", "c", "p"], "d"]));
}

#[tokio::test]
async fn a_call_may_be_awaited_later_than_another() {
    let pool = pool(json!({}));
    let source = "a = find(i=1)\nb = await find(i=2)\n[await a, b]";
    let (both, snapshot, _) = calls(run(&pool, &start(source, &["find"])).await);
    assert_eq!(both.len(), 2);
    let end = run(&pool, &resume(snapshot, vec![done("find", json!("a")), done("find", json!("b"))])).await;
    assert_eq!(finished(end).0, json!(["a", "b"]));
}

#[tokio::test]
async fn a_tool_that_failed_raises_where_it_was_called() {
    let pool = pool(json!({}));
    let source = "try:\n    pay(amount=1)\nexcept RuntimeError as e:\n    x = str(e)\nx";
    let (_, snapshot, _) = calls(run(&pool, &start(source, &["pay"])).await);
    let declined = not_done("pay", "PAYMENT_DECLINED", "insufficient funds");
    let end = run(&pool, &resume(snapshot, vec![declined.clone()])).await;
    assert_eq!(finished(end).0, json!("PAYMENT_DECLINED: insufficient funds"));

    let (_, snapshot, _) = calls(run(&pool, &start("pay(amount=1)", &["pay"])).await);
    let (code, message) = failed(run(&pool, &resume(snapshot, vec![declined])).await);
    assert_eq!(code, "CODE_RAISED");
    assert!(message.contains("RuntimeError: PAYMENT_DECLINED: insufficient funds"), "{message}");
}

#[tokio::test]
async fn a_tool_is_found_before_what_is_built_in() {
    let pool = pool(json!({}));
    let (made, _, _) = calls(run(&pool, &start("print(text='x')", &["print"])).await);
    assert_eq!(asked(&made), [("c1", "print", &json!({"text": "x"}))]);
}

#[tokio::test]
async fn names_that_mean_two_things_are_refused_before_anything_runs() {
    let pool = pool(json!({}));
    let (code, message) = failed(run(&pool, &start("1", &["a.b", "a-b"])).await);
    assert_eq!(code, "CODE_NAMES");
    assert!(message.contains("`a.b` and `a-b` would both be called `a_b`"), "{message}");
}

#[tokio::test]
async fn calls_prints_and_time_are_counted_over_all_pauses() {
    let pool = pool(json!({}));
    let source = "for i in range(3):\n    print('x' * 30)\n    find(i=i)";
    let program = start(source, &["find"]);
    let few = SandboxLimits { calls: 2, ..pool.limits() };
    let quiet = SandboxLimits { output_bytes: 70, ..pool.limits() };
    let brief = SandboxLimits { time: Duration::from_millis(1), ..pool.limits() };
    for (limits, code) in [(few, "CODE_CALLS"), (quiet, "CODE_OUTPUT")] {
        let (_, snapshot, _) = calls(within(&pool, &program, &limits).await);
        let (_, snapshot, _) = calls(within(&pool, &resume(snapshot, vec![done("find", json!(1))]), &limits).await);
        let end = within(&pool, &resume(snapshot, vec![done("find", json!(1))]), &limits).await;
        assert_eq!(failed(end).0, code);
    }
    let busy = start("for i in range(300000):\n    pass\nfind()", &["find"]);
    let (_, snapshot, _) = calls(run(&pool, &busy).await);
    let end = within(&pool, &resume(snapshot, vec![done("find", json!(1))]), &brief).await;
    assert_eq!(failed(end).0, "CODE_TIMEOUT");
}

#[tokio::test]
async fn a_program_is_replayed_over_its_recorded_calls() {
    let pool = pool(json!({}));
    for source in [
        "print('one')\na = find(i=1)\nprint('two')\nb = find(i=a)\nprint('three')\nfind(i=b)",
        "print('one')\na = await find(i=1)\nprint('two')\nb = await find(i=a)\nprint('three')\nawait find(i=b)",
    ] {
        let program = start(source, &["find"]);
        let SandboxProgram::Start { source, inputs, tools } = program.clone() else { unreachable!() };
        let (first, snapshot, _) = calls(run(&pool, &program).await);
        let (second, snapshot, _) = calls(run(&pool, &resume(snapshot, vec![done("find", json!(2))])).await);
        let (third, _, printed) = calls(run(&pool, &resume(snapshot, vec![done("find", json!(3))])).await);
        let recorded = vec![(first[0].clone(), done("find", json!(2))), (second[0].clone(), done("find", json!(3)))];
        let again = SandboxProgram::Replay { source, inputs, tools, calls: recorded };
        let (replayed, snapshot, reprinted) = calls(run(&pool, &again).await);
        assert_eq!((&replayed, reprinted), (&third, printed));
        assert_eq!(finished(run(&pool, &resume(snapshot, vec![done("find", json!(4))])).await).0, json!(4));
    }
}

#[tokio::test]
async fn a_replay_that_does_something_else_is_stopped() {
    let pool = pool(json!({}));
    let (made, _, _) = calls(run(&pool, &start("find(i=1)", &["find", "pay"])).await);
    let recorded = vec![(made[0].clone(), done("find", json!(2)))];
    for (source, says) in [
        ("find(i=2)", "its call 1, of `find`, has other arguments than it had"),
        ("pay(i=1)", "its call 1 is of `pay`, and was of `find`"),
        ("await find(i=2)", "its call 1, of `find`"),
        ("1", "it ended without its recorded call of `find`"),
    ] {
        let again = SandboxProgram::Replay {
            source: source.to_owned(),
            inputs: [].into(),
            tools: vec!["find".to_owned(), "pay".to_owned()],
            calls: recorded.clone(),
        };
        let (code, message) = failed(run(&pool, &again).await);
        assert_eq!(code, "CODE_DIFFERS", "{source}");
        assert!(message.contains(says), "{message}");
    }
}

#[tokio::test]
async fn inputs_are_variables_and_their_numbers_are_exact() {
    let pool = pool(json!({}));
    let inputs = json!({"a": {"deep": [1, 0.1, u64::MAX, i64::MIN]}, "print_": null});
    let program = SandboxProgram::Start {
        source: "a['deep'].append(print_)\na".to_owned(),
        inputs: serde_json::from_value(inputs).unwrap(),
        tools: Vec::new(),
    };
    let ran = run(&pool, &program).await;
    assert_eq!(finished(ran).0, json!({"deep": [1, 0.1, u64::MAX, i64::MIN, null]}));
}

#[tokio::test]
async fn the_libraries_that_programs_have_work_in_a_confined_child() {
    let pool = pool(json!({}));
    let source = "import asyncio, base64, collections, dataclasses, datetime, functools, itertools, json, math, re, typing\n\
        import unicodedata\n\
        d = datetime.date(2025, 2, 28) + datetime.timedelta(days=1)\n\
        n = collections.Counter(re.findall('[a-z]+', 'a b a'))\n\
        t = datetime.datetime.strptime('2025-01-02', '%Y-%m-%d').strftime('%d.%m.')\n\
        [d.isoformat(), n['a'], t, json.loads(json.dumps({'x': [math.sqrt(4)]})), base64.b64encode(b'ab').decode(),\n\
         functools.reduce(lambda a, b: a + b, itertools.chain([1], [2])), unicodedata.name('a'), sorted({3, 1})]";
    let expected = json!(["2025-03-01", 2, "02.01.", {"x": [2.0]}, "YWI=", 3, "LATIN SMALL LETTER A", [1, 3]]);
    assert_eq!(finished(run(&pool, &start(source, &[])).await).0, expected);
}

#[tokio::test]
async fn nothing_of_a_program_is_left_for_the_next_in_the_same_child() {
    let pool = pool(json!({"programs_per_child": 100, "children": 1}));
    assert_eq!(finished(run(&pool, &start("secret = 'x'\nimport json\nsecret", &[])).await).0, json!("x"));
    for source in ["secret", "json"] {
        let ran = run(&pool, &start(source, &[])).await;
        assert!(
            matches!(&ran, ProgramOutcome::Failed { fault, .. } if fault.message.contains("is not defined")),
            "{ran:?}"
        );
    }
}
