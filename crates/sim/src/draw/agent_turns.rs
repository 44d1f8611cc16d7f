//! Draws agents with the shipped step functions: which one, and the replies of its model turn by turn, in the format of
//! [`crate::model`].

use super::catalog::{CODE, REASONING, SIMPLE, TEXT, TOOLS};
use crate::rng::SeededRng;

/// Maximum number of replies with requests before the last one.
const TURNS_MAX: u64 = 3;
/// Maximum number of calls that one reply requests.
const TOGETHER_MAX: u64 = 3;

/// An agent and its task.
pub(super) fn draw(rng: &mut SeededRng) -> (&'static str, String) {
    let agent = rng.choose_weighted(&[(2, SIMPLE), (4, REASONING), (2, TEXT), (4, CODE)]);
    let turns = match agent {
        SIMPLE => simple(rng),
        CODE => code(rng),
        _ => reasoning(rng),
    };
    (agent, turns.join(";"))
}

/// The choice of a selecting agent: some of these tools, or none.
pub(super) fn choice(rng: &mut SeededRng, tools: &[&str]) -> String {
    let mut turns = unusable(rng, 20);
    turns.push(match rng.chance(80) {
        true => tools.iter().map(|tool| format!("call {tool} 1")).collect::<Vec<_>>().join(";+"),
        false => "answer".to_owned(),
    });
    turns.join(";")
}

fn simple(rng: &mut SeededRng) -> Vec<String> {
    let mut turns = unusable(rng, 40);
    turns.extend(unusable(rng, 15));
    turns.push("answer".to_owned());
    turns
}

/// Sometimes a reply that cannot be used.
fn unusable(rng: &mut SeededRng, percent: u64) -> Vec<String> {
    let is_one = rng.chance(percent);
    let one = *rng.choose(&["nonsense", "silence", "cut off"]);
    is_one.then(|| one.to_owned()).into_iter().collect()
}

fn reasoning(rng: &mut SeededRng) -> Vec<String> {
    if rng.chance(6) {
        // The agent never notices that this leads nowhere.
        return vec![calls(rng); 4];
    }
    let mut turns = Vec::new();
    for _ in 0..rng.below(TURNS_MAX + 1) {
        match rng.below(8) {
            0 => turns.push("ask".to_owned()),
            1 => turns.push("call nothing 1".to_owned()),
            2 => turns.extend(unusable(rng, 100)),
            _ => turns.push(calls(rng)),
        }
    }
    turns.push(rng.choose_weighted(&[(8, "answer"), (1, "hand over")]).to_owned());
    turns
}

/// Plans and judgements of them.
fn code(rng: &mut SeededRng) -> Vec<String> {
    let mut turns = unusable(rng, 10);
    turns.push(plan(rng));
    for _ in 0..rng.below(3) {
        turns.extend(unusable(rng, 10));
        turns.push("again".to_owned());
        turns.push(plan(rng));
    }
    turns.push("answer".to_owned());
    turns
}

fn plan(rng: &mut SeededRng) -> String {
    let mut steps = Vec::new();
    if rng.chance(40) {
        steps.push(calls(rng));
    }
    if rng.chance(15) {
        steps.push("ask".to_owned());
    }
    if steps.is_empty() || rng.chance(60) {
        steps.push(format!("run {}", program(rng)));
    }
    steps.join(";+")
}

/// Calls that are requested together.
fn calls(rng: &mut SeededRng) -> String {
    let together = rng.between(1, TOGETHER_MAX);
    let one = |_| format!("call {} {}", rng.choose_weighted(&TOOLS), rng.below(10));
    (0..together).map(one).collect::<Vec<_>>().join(";+")
}

/// Groups of calls, one after the other.
fn program(rng: &mut SeededRng) -> String {
    let mut groups = Vec::new();
    for _ in 0..rng.between(1, 3) {
        let first = format!("{} {}", rng.choose_weighted(&TOOLS), rng.below(10));
        let second = rng.chance(30).then(|| format!("+{} {}", rng.choose_weighted(&TOOLS), rng.below(10)));
        groups.push(first + second.as_deref().unwrap_or_default());
    }
    groups.join(",")
}
