//! Fuzzes iCalendar: whatever a server sends, reading ends within its limits and without a panic; a written
//! appointment reads back unchanged.

#[path = "../../core/tests/fuzz/drive.rs"]
mod drive;

use baton_tools::icalendar::{Appointment, ENTRIES_MAX, read};
use jiff::tz::TimeZone;

const SOURCES: [&str; 4] = [
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTIMEZONE\r\nTZID:Custom\r\nX-LIC-LOCATION:Europe/Madrid\r\nBEGIN:STANDARD\r\n\
     DTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\n\
     END:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:one\r\nDTSTART;TZID=Custom:20250120T150000\r\n\
     DTEND;TZID=Custom:20250120T160000\r\nSUMMARY:a\\, b\\n c\r\n d\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:two\nDTSTART;VALUE=DATE:20250120\nTRANSP:TRANSPARENT\nSTATUS:CANCELLED\n\
     RRULE:FREQ=DAILY\nEND:VEVENT\nEND:VCALENDAR\n",
    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;TZID=\"/x.org/Europe/Paris\":20250330T023000\nDURATION:-P1WT2H3M4S\n\
     X-BATON-HELD:1/2\nEND:VEVENT\nEND:VCALENDAR",
    "BEGIN:VCALENDAR\nBEGIN:VFREEBUSY\nDTSTART:20250120T000000Z\nDTEND:20250121T000000Z\nFBTYPE:BUSY\n\
     FREEBUSY;FBTYPE=BUSY-TENTATIVE:20250120T100000Z/PT5400S,20250120T140000Z/20250120T150000Z\nEND:VFREEBUSY\nEND:VCALENDAR",
];

#[test]
fn any_calendar_is_read_or_refused() {
    let corpus: Vec<Vec<u8>> = SOURCES.iter().map(|source| source.as_bytes().to_vec()).collect();
    let zones = ["Europe/Madrid", "America/St_Johns", "UTC"].map(|name| TimeZone::get(name).expect("known"));
    drive::fuzz("icalendar", &corpus, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for zone in &zones {
            if let Ok(calendar) = read(&text, zone) {
                assert!(calendar.events.len() + calendar.periods.len() <= ENTRIES_MAX);
                assert!(calendar.events.iter().all(|event| event.starts <= event.ends));
                assert!(calendar.periods.iter().all(|(from, to)| from <= to));
            }
            // An appointment with arbitrary bytes as texts and arbitrary numbers as times.
            let number = |at: usize| {
                bytes.iter().skip(at).step_by(2).take(5).fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte))
            };
            let starts = number(0);
            let own = [("X-OWN", text.to_string())];
            let (uid, words) = (format!("u{starts}"), text.as_ref());
            let ends = starts + number(1).rem_euclid(86_400_000);
            let whole = |at: i64| at - at.rem_euclid(1_000);
            let (starts, ends) = (whole(starts), whole(ends));
            let written = Appointment {
                uid: &uid,
                stamp: starts,
                starts,
                ends,
                zone,
                summary: words,
                description: words,
                extensions: &own,
            };
            let found = read(&written.text(), &TimeZone::UTC).expect("what is written is read").events;
            assert_eq!((found.len(), found[0].starts, found[0].uid.as_str()), (1, starts, uid.as_str()));
            assert_eq!(found[0].ends, ends);
        }
    });
}
