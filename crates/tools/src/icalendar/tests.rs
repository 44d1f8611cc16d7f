use jiff::tz::TimeZone;

use super::{Appointment, CalendarEvent, ICalendarError, read};

fn madrid() -> TimeZone {
    TimeZone::get("Europe/Madrid").unwrap()
}

fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// One event with these lines, read in Madrid.
fn event(lines: &str) -> Result<CalendarEvent, ICalendarError> {
    let text = format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:u\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
    read(&text, &madrid()).map(|calendar| calendar.events[0].clone())
}

#[track_caller]
fn lasts(lines: &str, starts: &str, ends: &str) {
    let event = event(lines).unwrap();
    assert_eq!((event.starts, event.ends), (at(starts), at(ends)), "{lines}");
}

#[test]
fn times_are_read_in_their_zones() {
    lasts("DTSTART:20250120T090000Z\r\nDTEND:20250120T100000Z", "2025-01-20T09:00:00Z", "2025-01-20T10:00:00Z");
    let paris = "DTSTART;TZID=Europe/Paris:20250720T110000\r\nDTEND;TZID=America/New_York:20250720T060000";
    lasts(paris, "2025-07-20T09:00:00Z", "2025-07-20T10:00:00Z");
    lasts("DTSTART:20250120T100000\r\nDTEND:20250120T110000", "2025-01-20T09:00:00Z", "2025-01-20T10:00:00Z");
    let prefixed = "DTSTART;TZID=\"/freeassociation.sourceforge.net/Europe/Madrid\":20250120T100000\r\nDURATION:PT90M";
    lasts(prefixed, "2025-01-20T09:00:00Z", "2025-01-20T10:30:00Z");
}

#[test]
fn an_end_that_is_not_told_follows_from_the_start() {
    lasts("DTSTART;VALUE=DATE:20250120", "2025-01-19T23:00:00Z", "2025-01-20T23:00:00Z");
    lasts("DTSTART;VALUE=DATE:20250120\r\nDTEND;VALUE=DATE:20250122", "2025-01-19T23:00:00Z", "2025-01-21T23:00:00Z");
    lasts("DTSTART;VALUE=DATE:20250330", "2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z");
    lasts("DTSTART:20250120T090000Z", "2025-01-20T09:00:00Z", "2025-01-20T09:00:00Z");
    lasts("DTSTART:20250120T090000Z\r\nDURATION:P1DT2H3M4S", "2025-01-20T09:00:00Z", "2025-01-21T11:03:04Z");
    lasts("DTSTART:20250120T090000Z\r\nDURATION:-PT1H", "2025-01-20T09:00:00Z", "2025-01-20T09:00:00Z");
}

#[test]
fn what_takes_no_time_is_not_busy() {
    let of = |line: &str| event(&format!("DTSTART:20250120T090000Z\r\n{line}")).unwrap();
    assert!(of("SUMMARY:x").busy);
    assert!(!of("TRANSP:TRANSPARENT").busy);
    assert!(!of("STATUS:CANCELLED").busy && of("STATUS:CANCELLED").cancelled);
    assert!(of("STATUS:TENTATIVE").busy);
    assert!(of("RRULE:FREQ=DAILY").is_recurring && !of("SUMMARY:x").is_recurring);
}

#[test]
fn a_zone_that_only_the_text_describes_is_busy_for_every_offset_it_has() {
    let text = "BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:Custom\r\nBEGIN:STANDARD\r\nDTSTART:16010101T030000\r\n\
                TZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\nDTSTART:16010101T020000\r\n\
                TZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\n\
                DTSTART;TZID=Custom:20250120T100000\r\nDTEND;TZID=Custom:20250120T110000\r\nEND:VEVENT\r\nEND:VCALENDAR";
    let found = &read(text, &madrid()).unwrap().events[0];
    assert_eq!((found.starts, found.ends), (at("2025-01-20T08:00:00Z"), at("2025-01-20T10:00:00Z")));
    let known = text.replace("TZID:Custom\r\n", "TZID:Custom\r\nX-LIC-LOCATION:Europe/Madrid\r\n");
    let found = &read(&known, &madrid()).unwrap().events[0];
    assert_eq!((found.starts, found.ends), (at("2025-01-20T09:00:00Z"), at("2025-01-20T10:00:00Z")));
}

#[test]
fn busy_periods_are_read_in_every_form() {
    let text = "BEGIN:VCALENDAR\nBEGIN:VFREEBUSY\nFREEBUSY;FBTYPE=BUSY:20250120T090000Z/20250120T100000Z,\n \
                20250120T110000Z/PT30M\nFREEBUSY;FBTYPE=FREE:20250120T120000Z/PT1H\nEND:VFREEBUSY\n\
                BEGIN:VFREEBUSY\nDTSTART:20250120T150000Z\nDTEND:20250120T160000Z\nFBTYPE:BUSY\nEND:VFREEBUSY\nEND:VCALENDAR\n";
    let shown = |text: &str| format!("2025-01-20T{text}:00Z");
    let expect = [("09:00", "10:00"), ("11:00", "11:30"), ("15:00", "16:00")];
    let expect: Vec<_> = expect.iter().map(|(from, to)| (at(&shown(from)), at(&shown(to)))).collect();
    assert_eq!(read(text, &madrid()).unwrap().periods, expect);
}

#[test]
fn what_cannot_be_told_is_refused_with_its_line() {
    let of = |lines: &str| event(lines).unwrap_err();
    assert_eq!(of("SUMMARY:x").reason, "the event has no DTSTART");
    assert_eq!(of("DTSTART;TZID=Nowhere/Land:20250120T100000").line, 4);
    assert_eq!(of("DTSTART:20250230T100000").reason, "`20250230T100000` is no time");
    assert_eq!(of("DTSTART:20250120T100000Z\r\nDURATION:P1X").reason, "is no duration");
    let whole = |text: &str| read(text, &madrid()).unwrap_err().to_string();
    assert_eq!(whole("no calendar"), "line 1 of the calendar: has no `:`");
    assert_eq!(
        whole("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR"),
        "line 3 of the calendar: `END:VCALENDAR` ends `VEVENT` of line 2"
    );
    assert_eq!(whole("BEGIN:VCALENDAR"), "line 1 of the calendar: `VCALENDAR` does not end");
    assert_eq!(whole("UID:x"), "line 1 of the calendar: stands outside of any component");
    assert!(whole(&"BEGIN:VEVENT\n".repeat(9)).contains("nested deeper than 8"));
}

fn appointment(zone: &TimeZone, starts: &str, ends: &str) -> String {
    let own = [("X-BATON-ASKED", "a,b;c".to_owned())];
    let (starts, ends) = (at(starts), at(ends));
    let (summary, description) = ("Botox; año, \\nuevo", "customer: José Ñuñez\nnotes: línea\r\ndos\u{7}");
    Appointment {
        uid: "bk_1",
        stamp: at("2025-01-15T09:00:00Z"),
        starts,
        ends,
        zone,
        summary,
        description,
        extensions: &own,
    }
    .text()
}

#[test]
fn an_appointment_is_written_in_its_zone_and_read_back() {
    for (zone, starts, ends) in [
        ("Europe/Madrid", "2025-01-20T09:00:00Z", "2025-01-20T10:00:00Z"),
        // Across both daylight-saving changes.
        ("Europe/Madrid", "2025-03-30T00:30:00Z", "2025-03-30T01:30:00Z"),
        ("America/Santiago", "2025-04-06T02:30:00Z", "2025-04-06T04:30:00Z"),
        // 02:30 occurs twice: first in summer time, then in winter time.
        ("Europe/Madrid", "2025-10-26T00:30:00Z", "2025-10-26T00:45:00Z"),
        ("Europe/Madrid", "2025-10-26T01:30:00Z", "2025-10-26T02:30:00Z"),
        ("Europe/Madrid", "2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z"),
        ("Asia/Kolkata", "2025-07-20T09:00:00Z", "2025-07-20T10:00:00Z"),
        ("UTC", "2025-07-20T09:00:00Z", "2025-07-20T10:00:00Z"),
    ] {
        let zone = TimeZone::get(zone).unwrap();
        let text = appointment(&zone, starts, ends);
        let event = &read(&text, &TimeZone::UTC).unwrap().events[0];
        assert_eq!((event.starts, event.ends), (at(starts), at(ends)), "{text}");
        assert_eq!((event.uid.as_str(), event.extensions["X-BATON-ASKED"].as_str()), ("bk_1", "a,b;c"));
        assert!(event.busy);
    }
}

#[test]
fn a_written_text_is_folded_and_escaped() {
    let text = appointment(&madrid(), "2025-01-20T09:00:00Z", "2025-01-20T10:00:00Z");
    assert!(text.ends_with("END:VCALENDAR\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']));
    assert!(text.contains("SUMMARY:Botox\\; año\\, \\\\nuevo\r\n"));
    assert!(text.contains("DTSTART;TZID=Europe/Madrid:20250120T100000\r\n"));
    assert!(text.contains("TZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\n"), "{text}");
    let long = Appointment {
        uid: "u",
        stamp: 0,
        starts: 0,
        ends: 1,
        zone: &TimeZone::UTC,
        summary: &"ñandú ".repeat(40),
        description: "",
        extensions: &[],
    };
    let long = long.text();
    assert!(long.split("\r\n").all(|line| line.len() <= 75), "{long}");
    assert!(long.replace("\r\n ", "").contains(&"ñandú ".repeat(40)));
}
