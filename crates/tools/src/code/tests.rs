use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;

/// The code constants of this crate, read from its source.
fn codes() -> BTreeSet<&'static str> {
    include_str!("../code.rs").lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next()).collect()
}

fn pages() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors/tools")
}

#[test]
fn every_code_has_its_words_and_every_word_its_code() {
    assert_eq!(TEXTS.iter().map(|text| text.code).collect::<BTreeSet<_>>(), codes());
}

#[test]
fn every_code_has_a_page_that_quotes_its_words() {
    for text in TEXTS {
        let page = pages().join(format!("{}.md", text.code));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        for words in [text.english, text.spanish, text.action] {
            assert!(page.contains(words), "the page of {} does not say {words:?}", text.code);
        }
    }
}

#[test]
fn every_page_has_its_code() {
    for page in std::fs::read_dir(pages()).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        let code = name.trim_end_matches(".md");
        assert!(code == "README" || codes().contains(code), "{name}");
    }
}

#[test]
fn the_spanish_words_are_those_of_seed_000() {
    let says = |code, category| text(code, category).unwrap().customer(CustomerLanguage::Spanish);
    assert_eq!(says(RATE_LIMIT_EXCEEDED, "crm"), "Límite de uso excedido. Intenta en un momento.");
    assert_eq!(
        says(CALENDAR_NOT_CONFIGURED, "calendar"),
        "No hemos configurado tu calendario aún. Contacta a soporte."
    );
    assert_eq!(
        says(CALENDAR_UNAVAILABLE, "calendar"),
        "No pudimos verificar disponibilidad. Intenta de nuevo en unos minutos."
    );
    assert_eq!(says(SERVICE_UNAVAILABLE, "calendar"), "No pudimos conectar con el calendario. Intenta más tarde.");
    assert_eq!(says(SERVICE_UNAVAILABLE, "crm"), "No pudimos conectar con el servicio. Intenta más tarde.");
}

#[test]
fn a_fault_keeps_the_words_it_brings() {
    let mut fault = Fault::new(PAYMENT_DECLINED, "insufficient funds");
    fault.customer = Some("No funds.".into());
    let spoken = localize(fault, "payment", CustomerLanguage::Spanish);
    assert_eq!(spoken.customer.as_deref(), Some("No funds."));
    assert_eq!(spoken.suggested_action.as_deref(), Some("Ask the customer for another payment method"));
    assert_eq!(localize(Fault::new("OURS", "x"), "crm", CustomerLanguage::Spanish), Fault::new("OURS", "x"));
}
