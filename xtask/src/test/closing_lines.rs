//! The last lines of a test runner, to be repeated at the very end.

/// From nextest's summary to its end: the counts, and the failed tests by name.
pub fn of_nextest(told: &str) -> Vec<String> {
    let summary = told.lines().skip_while(|line| !line.trim_start().starts_with("Summary ["));
    summary.map(str::to_owned).collect()
}

/// One line per test binary, with the counts of `cargo test`.
pub fn of_cargo(told: &str) -> Vec<String> {
    told.lines().filter(|line| line.starts_with("test result:")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_closes_with_its_summary_and_the_failures_below_it() {
        let told = "    PASS [ 0.1s] a b\n------------\n     Summary [ 0.2s] 2 tests run: 1 passed, 1 failed\n        FAIL [ 0.1s] a c\n";
        let lines = of_nextest(told);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("2 tests run") && lines[1].contains("FAIL"), "{lines:?}");
    }

    #[test]
    fn a_runner_that_never_came_to_its_summary_closes_with_nothing() {
        assert!(of_nextest("error: could not compile\n").is_empty());
    }

    #[test]
    fn cargo_test_closes_with_a_line_per_binary() {
        let told =
            "running 1 test\ntest a ... ok\ntest result: ok. 1 passed\n\nrunning 0 tests\ntest result: ok. 0 passed\n";
        assert_eq!(of_cargo(told).len(), 2);
    }
}
