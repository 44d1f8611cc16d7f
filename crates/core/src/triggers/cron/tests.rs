use super::*;

/// Checks the next instants after `from`, in UTC.
#[track_caller]
fn check(expression: &str, zone: &str, from: &str, expected: &[&str]) {
    let cron: CronSchedule = expression.parse().expect("an expression");
    let zone = TimeZone::get(zone).expect("a zone");
    let mut at: Time = from.parse().expect("an instant");
    let mut found = Vec::new();
    for _ in expected {
        at = cron.next(at, &zone).expect("comes");
        found.push(at.to_timestamp().to_string());
    }
    assert_eq!(found, expected, "{expression}");
}

#[test]
fn fields_names_steps_ranges_and_lists_say_when() {
    check("30 9 * * *", "UTC", "2026-11-23T09:30:00Z", &["2026-11-24T09:30:00Z", "2026-11-25T09:30:00Z"]);
    check(
        "*/20 8-9 * * mon-fri",
        "UTC",
        "2026-11-20T09:20:00Z",
        &["2026-11-20T09:40:00Z", "2026-11-23T08:00:00Z", "2026-11-23T08:20:00Z"],
    );
    check("0 0 1,15 jan,JUL ?", "UTC", "2026-11-23T00:00:00Z", &["2027-01-01T00:00:00Z", "2027-01-15T00:00:00Z"]);
    check("10/25 6 * * *", "UTC", "2026-11-23T00:00:00Z", &["2026-11-23T06:10:00Z", "2026-11-23T06:35:00Z"]);
    check("0 12 * * 7", "UTC", "2026-11-23T00:00:00Z", &["2026-11-29T12:00:00Z"]);
    check(
        "0 12 * * 5-7",
        "UTC",
        "2026-11-23T00:00:00Z",
        &["2026-11-27T12:00:00Z", "2026-11-28T12:00:00Z", "2026-11-29T12:00:00Z"],
    );
    check("*/10 30 23 * * *", "UTC", "2026-11-23T23:30:45Z", &["2026-11-23T23:30:50Z", "2026-11-24T23:30:00Z"]);
    check("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", &["2104-02-29T00:00:00Z"]);
    check("@hourly", "UTC", "2026-11-23T10:00:00.500Z", &["2026-11-23T11:00:00Z"]);
}

#[test]
fn either_day_will_do_where_both_are_limited_and_both_must_where_one_is_a_star() {
    check("0 0 13 * fri", "UTC", "2026-11-11T00:00:00Z", &["2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"]);
    check("0 0 */2 * mon", "UTC", "2026-11-02T01:00:00Z", &["2026-11-09T00:00:00Z", "2026-11-23T00:00:00Z"]);
}

#[test]
fn a_time_is_the_one_that_clocks_of_the_zone_show() {
    check("0 9 * * *", "Europe/Madrid", "2026-03-28T00:00:00Z", &["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"]);
    check("0 9 * * *", "Asia/Kathmandu", "2026-03-28T00:00:00Z", &["2026-03-28T03:15:00Z"]);
}

#[test]
fn a_set_time_that_is_skipped_comes_after_the_gap_and_once() {
    // In Madrid clocks go from 02:00 to 03:00 at 01:00 UTC.
    check("30 2 * * *", "Europe/Madrid", "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    check(
        "0,15,30 2,3 * * *",
        "Europe/Madrid",
        "2026-03-29T00:59:59Z",
        &["2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:00:00Z"],
    );
    // Samoa had no 30th of December 2011.
    check("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", &["2011-12-30T10:00:00Z", "2012-12-29T22:00:00Z"]);
}

#[test]
fn a_set_time_that_is_repeated_comes_the_first_time_only() {
    check("30 2 * * *", "Europe/Madrid", "2026-10-24T12:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    // Lord Howe goes back by half an hour.
    check(
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T00:00:00Z",
        &["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"],
    );
}

#[test]
fn intervals_go_by_what_clocks_show_nothing_in_the_gap_and_twice_what_is_repeated() {
    check("*/30 * * * *", "Europe/Madrid", "2026-03-29T00:30:00Z", &["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]);
    check(
        "0 * * * *",
        "Europe/Madrid",
        "2026-10-24T23:30:00Z",
        &["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"],
    );
    check("15 */2 * * *", "America/New_York", "2026-03-08T05:15:00Z", &["2026-03-08T08:15:00Z"]);
}

#[test]
fn the_latest_are_found_without_walking_through_all_of_them() {
    let cron: CronSchedule = "* * * * * *".parse().expect("an expression");
    let (from, until) =
        ("2020-01-01T00:00:00Z".parse().expect("a time"), "2026-01-01T00:00:00Z".parse().expect("a time"));
    let (latest, more) = cron.latest(from, until, &TimeZone::UTC, 3);
    let shown: Vec<String> = latest.iter().map(|at| at.to_timestamp().to_string()).collect();
    assert_eq!(
        (shown, more),
        (
            vec![
                "2025-12-31T23:59:58Z".to_owned(),
                "2025-12-31T23:59:59Z".to_owned(),
                "2026-01-01T00:00:00Z".to_owned()
            ],
            true
        )
    );
    assert_eq!(cron.latest(until, until, &TimeZone::UTC, 3), (Vec::new(), false));
}

#[test]
fn what_is_no_schedule_is_said_with_the_field() {
    for (expression, says) in [
        ("", "5 fields"),
        ("* * * *", "not 4"),
        ("60 * * * *", "minute: `60` is not 0 to 59"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of the month"),
        ("* * * foo *", "month: `foo`"),
        ("* * * * 8", "day of the week"),
        ("5-1 * * * *", "goes backwards"),
        ("*/0 * * * *", "is no step"),
        ("+5 * * * *", "`+5`"),
        ("1- * * * *", "``"),
        ("0 0 30 2 *", "never comes"),
        ("@sometimes", "no schedule"),
    ] {
        let error = expression.parse::<CronSchedule>().expect_err(expression);
        assert!(error.message.contains(says), "{expression}: {error}");
    }
}
