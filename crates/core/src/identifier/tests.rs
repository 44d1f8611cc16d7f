use serde_json::json;

use super::*;

fn mentions(details: &str, known: &str) -> bool {
    PersonMatcher::of("nobody", [known]).is_named_in_json_text(details)
}

#[test]
fn a_row_mentions_whoever_it_names_as_a_whole() {
    let details =
        json!({"to": "Ana.Diaz@Example.com", "phone": "+34 (612) 345-678", "note": "says \"hola\""}).to_string();
    for known in [
        "ana.diaz@example.com",
        " Ana.Diaz@example.com ",
        "34612345678",
        "+34 612 34 56 78",
        "says \"Hola\"",
        "612345678",
    ] {
        assert!(mentions(&details, known), "{known}");
    }
    for other in ["", " ", "diaz@example.co", "iaz@example.com", "12345678", "3461234567", "346123456789"] {
        assert!(!mentions(&details, other), "{other}");
    }
    assert!(!mentions(&json!({"order": [3461234, 5678]}).to_string(), "34612345678"), "two numbers are not one");
}

#[test]
fn another_address_that_only_holds_the_same_letters_is_somebody_elses() {
    let says = |text: &str| json!({ "text": text }).to_string();
    for other in [
        "ana.diaz@example.com",
        "ana_diaz@example.com",
        "ana-diaz@example.com",
        "ana+diaz@example.com",
        "diaz@example.com.mx",
        "diaz@example.com-pany.net",
        "diaz@example.community",
    ] {
        assert!(!mentions(&says(other), "diaz@example.com"), "{other}");
    }
    for own in [
        "<Diaz@example.com>",
        "Write to diaz@example.com.",
        "diaz@example.com...",
        "diaz@example.com - in the evening",
        "mailto:diaz@example.com?subject=x",
        "Thanks,\ndiaz@example.com\n",
        "not ana.diaz@example.com but diaz@example.com",
    ] {
        assert!(mentions(&says(own), "diaz@example.com"), "{own}");
    }
    assert!(mentions(&json!({"diaz@example.com": 1}).to_string(), "diaz@example.com"), "as a name");
}

#[test]
fn a_phone_number_is_found_beside_other_digits() {
    let says = |text: &str| json!({ "text": text }).to_string();
    for own in [
        "room 22 612 345 678",
        "612 345 678 2 nights",
        "+34 612-345-678",
        "flat 22/612.345.678",
        "tel.612\u{a0}345\u{a0}678",
    ] {
        assert!(mentions(&says(own), "612345678") && mentions(&says(own), "612 34 56 78"), "{own}");
    }
    for other in ["22612 345 678", "612 345 6782", "612 345 67", "612 345 x 678"] {
        assert!(!mentions(&says(other), "612345678"), "{other}");
    }
    assert!(mentions(&json!({"phone": 612_345_678}).to_string(), "612 345 678"), "as a number");
}

#[test]
fn a_long_text_of_digits_is_searched_in_one_pass() {
    // Each of these starts like the number in every part; rescanning from each, a million bytes would take minutes.
    for part in ["61234.56 ", "6123456", "612 345 6"] {
        assert!(!mentions(&format!("x {}", part.repeat(1_000_000 / part.len())), "6123456"), "{part}");
    }
}

#[test]
fn a_value_that_is_nothing_but_a_number_is_compared_as_a_whole() {
    for (known, other) in
        [("555-0100", "+1 (212) 555-0100"), ("3456789", "612 345 6789"), ("612345678", "+49 30 612 345 678")]
    {
        assert!(!mentions(&json!({ "phone": other }).to_string(), known), "{known} in {other}");
    }
    assert!(mentions(&json!({ "phone": "+34 612-345-678" }).to_string(), "612345678"));
}

#[test]
fn a_bare_number_is_theirs_only_as_the_whole_value_of_a_field_that_names_a_customer() {
    for id in ["1500", "2026", "20261125", "612345678"] {
        let whom = PersonMatcher::of(id, []);
        let number: u64 = id.parse().expect("a number");
        for theirs in [
            json!({ "customer_id": id }),
            json!({ "customerId": number }),
            json!({ "ticket": { "User-ID": id } }),
            json!({ "customer": { "id": number, "name": "Ana" } }),
            json!({ "customers": [{ "customer_id": id }] }),
            json!({ "body": json!({ "data": { "user_id": id } }).to_string() }),
        ] {
            assert!(whom.is_named_in_json(&theirs), "{theirs}");
        }
        for anothers in [
            json!({ "amount": number, "total": id }),
            json!({ "id": id, "order_id": number }),
            json!({ "text": format!("{id} EUR on 2026-11-25 at 15:00, room {id}, call +34 {id} 612 345 678") }),
            json!({ "at": "2026-11-25T15:00:00Z", "date": "20261125", "year": 2026, "phone": "+1500 2026 1125" }),
            json!({ "customer_id": format!("{id}0"), "customer": { "note": id } }),
            json!({ id: 1 }),
            json!([number, id]),
        ] {
            assert!(!whom.is_named_in_json(&anothers), "{id} {anothers}");
        }
        assert!(whom.matches_name(id) && !whom.matches_identifier(id));
    }
}

#[test]
fn an_id_of_letters_and_digits_is_a_word_in_running_text() {
    let whom = PersonMatcher::of("cust_789", []);
    for theirs in
        [json!({ "note": "Ask CUST_789 again." }), json!({ "customer": "cust_789" }), json!({ "cust_789": 1 })]
    {
        assert!(whom.is_named_in_json(&theirs), "{theirs}");
    }
    for anothers in [json!({ "note": "cust_7890" }), json!({ "customer": "cust_789_2" })] {
        assert!(!whom.is_named_in_json(&anothers), "{anothers}");
    }
    let plain = PersonMatcher::of("ana", []);
    assert!(plain.is_named_in_json(&json!({ "user": "ana" })) && !plain.is_named_in_json(&json!({ "subject": "ana" })));
}

#[test]
fn what_is_written_in_another_way_is_the_same() {
    let whom = PersonMatcher::of("c-77", ["José Pérez", "+34 (612) 345-678", "Ana.Diaz@Example.com"]);
    for text in [
        "JOSÉ PÉREZ",
        "jose\u{301}  pe\u{301}rez",
        "+34612345678",
        "612 34 56 78",
        "0034612345678",
        "ANA.DIAZ@EXAMPLE.COM",
    ] {
        assert!(whom.matches_alias(text) && whom.matches_name(text) && whom.is_mentioned_in(text), "{text}");
    }
    for text in ["Jose Perez Gil", "c-77", "+35 612 345 678"] {
        assert!(!whom.matches_alias(text), "{text}");
    }
}

#[test]
fn what_others_are_called_too_is_no_identifier() {
    for text in ["1500", "12:30", "2026-11-25", "20261125", "10,50", "ana", " ", "…"] {
        assert!(Identifier::of(text).is_none(), "{text}");
    }
    for text in ["Ana Ruiz", "customer 1500", "+34 612 345 678", "20 26 11 25", "ana@example.com"] {
        assert!(Identifier::of(text).is_some(), "{text}");
    }
}

#[test]
fn words_are_said_as_whole_words_whatever_they_are() {
    assert!(contains_words(&json!({ "subject": "A Reminder" }).to_string(), "reminder"));
    assert!(contains_words(&json!({ "amount": 1500 }).to_string(), "1500"));
    assert!(!contains_words(&json!({ "subject": "reminders" }).to_string(), "reminder") && !contains_words("{}", ""));
}
