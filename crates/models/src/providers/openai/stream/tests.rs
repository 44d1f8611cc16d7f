use proptest::prelude::*;

use super::{Events, Pieces};

/// The events of these bytes, fed in pieces of a size.
fn events(bytes: &[u8], size: usize) -> Option<Vec<String>> {
    let mut events = Events::default();
    let mut all = Vec::new();
    for piece in bytes.chunks(size) {
        all.extend(events.feed(piece).ok()?);
    }
    all.extend(events.rest().ok()?);
    Some(all)
}

#[test]
fn events_are_data_between_blank_lines() {
    let bytes = b": comment\nevent: x\ndata: one\r\n\r\ndata:two\ndata: more\n\n\n\nid: 7\n\ndata: three";
    assert_eq!(events(bytes, 7), Some(vec!["one".into(), "two\nmore".into(), "three".into()]));
}

proptest! {
    #[test]
    fn however_bytes_are_cut_the_events_are_the_same(
        text in "((data: ?|: |event: |)[a-z é{}]{0,6}\r?\n){0,12}",
        size in 1_usize..9,
    ) {
        prop_assert_eq!(events(text.as_bytes(), size), events(text.as_bytes(), usize::MAX));
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 1_usize..50) {
        let _ = events(&bytes, size);
    }

    #[test]
    fn no_chunk_is_too_strange(
        index in prop_oneof![0_usize..3, Just(usize::MAX)],
        text in "[a-z\\\\\"{}]{0,10}",
        finish in prop_oneof![Just("null"), Just("\"stop\""), Just("\"odd\""), Just("7")],
    ) {
        let mut pieces = Pieces::default();
        let text = serde_json::to_string(&text).expect("writes");
        for delta in [
            format!(r#"{{"tool_calls":[{{"index":{index},"function":{{"arguments":{text}}}}}]}}"#),
            format!(r#"{{"content":{text},"refusal":{text}}}"#),
            "null".to_owned(),
        ] {
            let _ = pieces.take(&format!(r#"{{"choices":[{{"delta":{delta},"finish_reason":{finish}}}]}}"#));
        }
        let _ = pieces.answer();
    }
}
