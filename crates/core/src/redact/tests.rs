use serde_json::json;

use super::*;

#[track_caller]
fn check(given: &str, expect: &str) {
    assert_eq!(text(given), expect, "given {given:?}");
}

#[test]
fn an_email_address_is_taken_out_whatever_surrounds_it() {
    check("write to ana.lopez+x@clinic.example.com, please", "write to [REDACTED_EMAIL], please");
    check("<a@b.io>", "<[REDACTED_EMAIL]>");
    check("a@b.io.x", "[REDACTED_EMAIL].x");
    check("josé@example.es", "[REDACTED_EMAIL]");
    check("ana@bücher.example", "[REDACTED_EMAIL]");
    check("a@b.co.", "[REDACTED_EMAIL].");
    check("x@y.com,z@y.com", "[REDACTED_EMAIL],[REDACTED_EMAIL]");
}

#[test]
fn an_at_sign_alone_is_no_address() {
    for kept in ["@", "a@", "@b.com", "me@localhost", "5 @ 3.50", "a@b.c", "@@@@"] {
        check(kept, kept);
    }
}

#[test]
fn a_phone_number_is_taken_out_in_the_ways_people_write_it() {
    for phone in [
        "+34 612 345 678",
        "+34612345678",
        "+1 (555) 123-4567",
        "0034 612 345 678",
        "612345678",
        "612 345 678",
        "612 34 56 78",
        "555-123-4567",
        "555.123.4567",
        "5551234567",
        "(555) 123-4567",
        "1-555-123-4567",
    ] {
        check(&format!("call {phone}!"), "call [REDACTED_PHONE]!");
        check(phone, "[REDACTED_PHONE]");
    }
}

#[test]
fn dates_times_amounts_addresses_of_machines_and_ids_are_kept() {
    for kept in [
        "2025-01-20",
        "2025-01-20 10:00",
        "2025-01-20T10:00:00Z",
        "10:00-11:00",
        "1732157400",
        "1732157400123",
        "192.168.100.200",
        "612.345.678.901",
        "1234.56",
        "order 12345",
        "booking_6789012345",
        "bk_612345678",
        "550e8400-e29b-41d4-a716-446655440000",
        "+5",
        "3 + 4",
        "(2025)",
    ] {
        check(kept, kept);
    }
}

#[test]
fn a_social_security_number_is_taken_out() {
    check("ssn 123-45-6789.", "ssn [REDACTED_SSN].");
    check("123-45-67890", "123-45-67890");
}

#[test]
fn a_card_number_is_taken_out_only_if_its_check_digit_is_right() {
    for card in ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005"] {
        check(card, "[REDACTED_CREDIT_CARD]");
    }
    check("4111 1111 1111 1111 12/27", "[REDACTED_CREDIT_CARD] 12/27");
    check("4111111111111112", "4111111111111112");
}

#[test]
fn an_iban_is_taken_out_only_if_its_check_digits_are_right() {
    check("a ES91 2100 0418 4502 0005 1332 gracias", "a [REDACTED_IBAN] gracias");
    check("GB82WEST12345698765432", "[REDACTED_IBAN]");
    check("de89370400440532013000", "[REDACTED_IBAN]");
    check("ES92 2100 0418 4502 0005 1332", "ES92 2100 0418 4502 0005 1332");
}

#[test]
fn text_without_a_digit_or_an_at_sign_is_not_copied() {
    assert!(matches!(text("hola, ¿qué tal?"), Cow::Borrowed(_)));
    assert!(matches!(text("10:00"), Cow::Borrowed(_)));
}

#[test]
fn secrets_are_known_by_the_name_of_their_field() {
    for secret in ["password", "API-Key", "x_api_key", "Authorization", "cardNumber", "accessToken", "client_secret"] {
        assert!(is_secret(secret), "{secret}");
    }
    for open in ["author", "tokens", "keyboard", "card", "secretary", "", "pineapple", "password_hint"] {
        assert!(!is_secret(open), "{open}");
    }
}

#[test]
fn a_value_keeps_its_field_names_and_loses_what_is_private() {
    let given = json!({
        "to": ["ana@clinic.example"], "password": "hunter2", "token": null, "card": 4_111_111_111_111_111_u64,
        "amount": 120, "nested": {"api_key": {"a": 1}, "note": "call 612345678"}, "bob@x.org": 1
    });
    let expect = json!({
        "to": ["[REDACTED_EMAIL]"], "password": "[REDACTED]", "token": null, "card": "[REDACTED_CREDIT_CARD]",
        "amount": 120, "nested": {"api_key": "[REDACTED]", "note": "call [REDACTED_PHONE]"}, "[REDACTED_EMAIL]": 1
    });
    assert_eq!(value(&given, RedactionBounds::AUDIT), expect);
}

#[test]
fn what_is_too_much_is_cut_and_says_so() {
    let bounds = RedactionBounds { bytes: 400, string_bytes: 10, items: 2, depth: 2 };
    let given = json!({"a": "0123456789x", "b": [1, 2, 3], "c": 1});
    assert_eq!(value(&given, bounds), json!({"a": "0123456789… (11 bytes)", "b": [1, 2, "… 1 more"], "…": "1 more"}));
    assert_eq!(value(&json!([[[1]]]), bounds), json!([["… 1 items"]]));
    let wide = RedactionBounds { items: 1_000, ..bounds };
    let kept = value(&json!(vec!["12345678"; 200]), wide).to_string().len();
    assert!(kept < 800, "{kept}");
}

#[test]
fn fields_whose_names_are_taken_out_stay_apart() {
    let given = json!({"ana@x.org": 1, "bob@x.org": {"a": "\"quoted\"\n"}, "c": 1.0});
    let expect = json!({"[REDACTED_EMAIL]": 1, "[REDACTED_EMAIL] 2": {"a": "\"quoted\"\n"}, "c": 1.0});
    assert_eq!(value(&given, RedactionBounds::AUDIT), expect);
}

#[test]
fn an_address_that_is_cut_in_two_is_still_taken_out() {
    let bounds = RedactionBounds { string_bytes: 12, ..RedactionBounds::AUDIT };
    let cut = value(&json!("to 612345678 or 698765432"), bounds);
    assert_eq!(cut, json!("to [REDACTED_PHONE]… (25 bytes)"));
    let long = format!("{}ana@clinic.example", "x ".repeat(5));
    assert_eq!(value(&json!(long), bounds), json!("x x x x x an… (28 bytes)"));
}

#[test]
fn an_address_is_found_in_any_text() {
    let parts = ["é", "@", "+", "(", "4111", "612345678", " ", "-", ".", "ES91", "a", "\u{301}", "x@y.zz", "00"];
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut given = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            given.push_str(parts[(state >> 33) as usize % parts.len()]);
        }
        assert!(!text(&given).contains("x@y.zz"), "given {given:?}");
        let _ = value(&json!(given), RedactionBounds { string_bytes: 9, ..RedactionBounds::AUDIT });
    }
}

/// Escaped characters are directly before and after a match, and in the middle of text that is then not a match.
#[test]
fn what_is_written_escaped_is_found_and_reads_back() {
    for (given, expect) in [
        ("\"ana@clinic.example\"", "\"[REDACTED_EMAIL]\""),
        ("\n612345678\t698765432\\", "\n[REDACTED_PHONE]\t[REDACTED_PHONE]\\"),
        ("\u{1}GB82WEST12345698765432\u{1f}", "\u{1}[REDACTED_IBAN]\u{1f}"),
        ("ana\"b@clinic.example", "ana\"[REDACTED_EMAIL]"),
        ("GB82\"WEST12345698765432", "GB82\"WEST12345698765432"),
        ("é\\4111 1111 1111 1111\r", "é\\[REDACTED_CREDIT_CARD]\r"),
        ("3\"@4\\", "3\"@4\\"),
    ] {
        assert_eq!(value(&json!({given: given}), RedactionBounds::AUDIT), json!({expect: expect}), "given {given:?}");
    }
}

/// Both scans of a text, with escapes and without, find the same.
#[test]
fn a_text_is_cleaned_as_a_value_is() {
    let parts =
        ["é", "@", "+", "(", "4111", "612345678", " ", "-", ".", "ES91", "\"", "\\", "\n", "x@y.zz", "2100 0418", "a"];
    let mut state = 11_u64;
    for _ in 0..20_000 {
        let mut given = String::new();
        for _ in 0..14 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            given.push_str(parts[(state >> 33) as usize % parts.len()]);
        }
        assert_eq!(value(&json!(given), RedactionBounds::AUDIT), json!(text(&given)), "given {given:?}");
    }
}
