//! The child processes: the privileges they have dropped, their number, and how they end.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use baton_ports::sandbox::Sandbox as _;
use baton_tools::LaunchCommand;
use futures::future::{join, join_all};
use serde_json::json;

use super::{SandboxLimits, SandboxPool, config, failed, finished, launch, pool, run, start};

/// Live child processes that run programs. Each test has a process of its own under `cargo nextest` and shares one
/// under `cargo test`. So a test identifies its own children by an argument that it chose: their memory limit.
fn children(memory_mb: usize) -> BTreeSet<u32> {
    let mark = format!("--memory-bytes\0{}\0", memory_mb << 20);
    let own = std::process::id();
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_ours = |id: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        line.contains(&mark) && status.contains(&format!("PPid:\t{own}\n")) && !status.contains("State:\tZ")
    };
    all.filter(is_ours).collect()
}

/// Whether the parent of the process would find that it has ended.
fn has_ended(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/status")).map_or(true, |status| status.contains("State:\tZ"))
}

fn kill(id: u32) {
    assert!(Command::new("kill").args(["-KILL", &id.to_string()]).status().unwrap().success());
}

/// Waits until a condition holds, and yields to other tasks.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_child_has_given_up_everything() {
    let pool = pool(json!({"memory_mb": 101, "idle": 1, "time_seconds": 7}));
    pool.warm().await.unwrap();
    let id = children(101).pop_first().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    for line in [
        "Seccomp:\t2\n",
        "NoNewPrivs:\t1\n",
        "CapInh:\t0000000000000000\n",
        "CapPrm:\t0000000000000000\n",
        "CapEff:\t0000000000000000\n",
        "Threads:\t1\n",
    ] {
        assert!(status.contains(line), "{line:?} is not in\n{status}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    for name in ["Max open files", "Max processes", "Max core file size", "Max file size", "Max locked memory"] {
        assert_eq!(limit(name), ["0", "0"], "{name}");
    }
    assert_eq!(limit("Max cpu time"), ["9", "10"]);
    let memory: usize = limit("Max address space")[1].parse().unwrap();
    assert!(memory > 101 << 20 && memory < 600 << 20, "{memory}");
    let memory: usize = limit("Max data size")[1].parse().unwrap();
    assert!(memory > 101 << 20 && memory < 200 << 20, "{memory}");
    // Readable by the superuser only, so a child cannot be inspected.
    if let Ok(files) = std::fs::read_dir(format!("/proc/{id}/fd")) {
        assert_eq!(files.count(), 3);
        let words = b"MIMALLOC_ARENA_EAGER_COMMIT=0\0MIMALLOC_ARENA_RESERVE=32MiB\0";
        assert_eq!(std::fs::read(format!("/proc/{id}/environ")).unwrap(), words);
    }
}

#[tokio::test]
async fn programs_wait_for_a_child_and_all_are_served() {
    let pool = pool(json!({"memory_mb": 102, "children": 4}));
    let programs = (0..64).map(|number| start(&format!("sum(range({number}))"), &[])).collect::<Vec<_>>();
    let most = std::sync::atomic::AtomicUsize::new(0);
    let ran = join_all(programs.iter().map(async |program| {
        let ran = run(&pool, program).await;
        most.fetch_max(children(102).len(), std::sync::atomic::Ordering::Relaxed);
        ran
    }));
    for (number, ran) in ran.await.into_iter().enumerate() {
        assert_eq!(finished(ran).0, json!((0..number).sum::<usize>()));
    }
    // Four that run and two that are idle, and those that are ending while others start.
    assert!(most.into_inner() <= 12);
}

#[tokio::test]
async fn a_child_that_somebody_kills_is_a_clear_fault_and_is_replaced() {
    let pool = pool(json!({"memory_mb": 103, "idle": 0, "children": 1}));
    let endless = start("while True:\n    pass", &[]);
    let limits = pool.limits();
    let killing = async {
        until(|| children(103).len() == 1).await;
        kill(children(103).pop_first().unwrap());
    };
    let (ran, ()) = join(pool.run(&endless, &limits), killing).await;
    let fault = ran.unwrap_err();
    assert!(["SANDBOX_KILLED", "SANDBOX_UNAVAILABLE"].contains(&&*fault.code), "{fault}");
    assert_eq!(finished(run(&pool, &start("1", &[])).await).0, json!(1));
}

#[tokio::test]
async fn an_idle_child_that_somebody_kills_is_not_given_a_program() {
    let pool = pool(json!({"memory_mb": 104, "idle": 2}));
    pool.warm().await.unwrap();
    let ready = children(104);
    assert_eq!(ready.len(), 2);
    ready.iter().copied().for_each(kill);
    // A dying process releases its memory, and with it its command line, before it has ended.
    until(|| ready.iter().all(|id| has_ended(*id))).await;
    assert_eq!(finished(run(&pool, &start("1", &[])).await).0, json!(1));
}

#[tokio::test]
async fn no_program_runs_where_another_ran_unless_the_settings_allow_it() {
    for (memory_mb, programs, same) in [(105, 1, false), (106, 3, true)] {
        let pool = pool(json!({"memory_mb": memory_mb, "idle": 1, "children": 1, "programs_per_child": programs}));
        pool.warm().await.unwrap();
        let before = children(memory_mb);
        finished(run(&pool, &start("1", &[])).await);
        // The used child exits and its replacement starts at some later moment.
        until(|| before.is_subset(&children(memory_mb)) == same).await;
    }
}

#[tokio::test]
async fn a_child_whose_program_broke_a_limit_is_replaced() {
    let pool = pool(json!({"memory_mb": 107, "idle": 0, "children": 1, "programs_per_child": 100}));
    finished(run(&pool, &start("1", &[])).await);
    let first = children(107);
    assert_eq!(failed(run(&pool, &start("1/0", &[])).await).0, "CODE_RAISED");
    assert_eq!(children(107), first);
    assert_eq!(failed(run(&pool, &start("open('x')", &[])).await).0, "CODE_DENIED");
    until(|| children(107).is_empty()).await;
    finished(run(&pool, &start("1", &[])).await);
    assert!(children(107).is_disjoint(&first));
}

#[tokio::test]
async fn a_program_has_the_memory_it_is_granted_and_no_more() {
    let pool = pool(json!({"memory_mb": 512, "idle": 0, "children": 1, "programs_per_child": 100}));
    let program = start("x = ['a' * 1000 + str(i) for i in range(150000)]\nlen(x)", &[]);
    let narrow = SandboxLimits { memory_bytes: 64 << 20, ..pool.limits() };
    assert_eq!(finished(run(&pool, &program).await).0, json!(150_000));
    assert_eq!(failed(super::within(&pool, &program, &narrow).await).0, "CODE_MEMORY");
    assert_eq!(finished(run(&pool, &program).await).0, json!(150_000));
    // Limits above the settings are not granted.
    let wide = SandboxLimits { memory_bytes: 8 << 30, time: Duration::from_secs(10_000), ..pool.limits() };
    let greedy = start("x = []\nwhile True:\n    x.append('a' * 1000 + str(len(x)))", &[]);
    let (code, message) = failed(super::within(&pool, &greedy, &wide).await);
    assert_eq!(code, "CODE_MEMORY");
    assert!(message.contains("512 MB"), "{message}");
}

#[tokio::test]
async fn a_program_too_many_is_refused_and_may_come_again() {
    let pool = pool(json!({"memory_mb": 108, "children": 1, "waiting": 0, "idle": 0}));
    let limits = SandboxLimits { time: Duration::from_secs(1), ..pool.limits() };
    let endless = start("while True:\n    pass", &[]);
    let refused = async {
        until(|| children(108).len() == 1).await;
        pool.run(&start("1", &[]), &limits).await.unwrap_err()
    };
    let (ran, fault) = join(pool.run(&endless, &limits), refused).await;
    assert_eq!(failed(ran.unwrap()).0, "CODE_TIMEOUT");
    assert_eq!(fault.code, "SANDBOX_BUSY");
    assert_eq!(finished(run(&pool, &start("1", &[])).await).0, json!(1));
}

#[tokio::test]
async fn a_pool_that_cannot_start_children_says_so() {
    for (program, says) in [("/nowhere", "cannot be started"), ("/bin/false", "it ended at once"), ("/bin/echo", "")] {
        let pool = SandboxPool::new(config(json!({})), LaunchCommand { program: program.into(), ..launch() }).unwrap();
        let fault = pool.run(&start("1", &[]), &pool.limits()).await.unwrap_err();
        assert_eq!(fault.code, "SANDBOX_UNAVAILABLE");
        assert!(fault.message.contains(says), "{fault}");
    }
}

#[tokio::test]
async fn children_end_with_their_pool() {
    let pool = pool(json!({"memory_mb": 109, "idle": 3}));
    pool.warm().await.unwrap();
    assert_eq!(children(109).len(), 3);
    drop(pool);
    until(|| children(109).is_empty()).await;
}

#[tokio::test]
async fn a_probe_says_that_this_machine_confines() {
    assert!(pool(json!({})).probe().await.unwrap().is_confined);
}
