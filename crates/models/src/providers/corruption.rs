//! Recorded replies, cut and corrupted at every position: the result is the reply or a clear error, and never a panic.

use std::fmt::Debug;

use baton_core::model::ModelRequest;
use proptest::prelude::*;

use super::ProviderRequest;
use super::anthropic::AnthropicDialect;
use super::dialect::{ApiDialect, ReplyAssembler, WireError, WireReply, WireRequest};
use super::openai::OpenAiDialect;
use super::remote::StreamReader;
use super::test_support::{LONG, ProviderFixture, asker, request, testdata};

const OPENAI_STREAMS: [&[u8]; 7] = [
    testdata!("openai/stream.sse"),
    testdata!("openai/stream_tools.sse"),
    testdata!("openai/stream_azure.sse"),
    testdata!("openai/stream_gemini.sse"),
    testdata!("openai/stream_ollama.sse"),
    testdata!("openai/stream_vllm.sse"),
    testdata!("openai/stream_error.sse"),
];
const OPENAI_WHOLE: [&[u8]; 6] = [
    testdata!("openai/completion.json"),
    testdata!("openai/completion_deepseek.json"),
    testdata!("openai/tool_calls.json"),
    testdata!("openai/refusal.json"),
    testdata!("openai/length.json"),
    testdata!("openai/error_inside.json"),
];
const ANTHROPIC_STREAMS: [&[u8]; 5] = [
    testdata!("anthropic/stream.sse"),
    testdata!("anthropic/stream_tools.sse"),
    testdata!("anthropic/stream_thinking.sse"),
    testdata!("anthropic/stream_forced.sse"),
    testdata!("anthropic/stream_error.sse"),
];
const ANTHROPIC_WHOLE: [&[u8]; 4] = [
    testdata!("anthropic/message.json"),
    testdata!("anthropic/tool_use.json"),
    testdata!("anthropic/thinking.json"),
    testdata!("anthropic/error_529.json"),
];

/// Parses with a dialect, without a network.
struct DialectReader<D> {
    dialect: D,
    request: ModelRequest,
}

fn openai() -> DialectReader<OpenAiDialect> {
    let dialect = OpenAiDialect::new(&ProviderFixture::openai("https://example.com").site).expect("a dialect");
    DialectReader { dialect, request: request("a", &["u: hi"]) }
}

fn anthropic() -> DialectReader<AnthropicDialect> {
    let dialect = AnthropicDialect::new(&ProviderFixture::anthropic("https://example.com").site).expect("a dialect");
    DialectReader { dialect, request: request("a", &["u: hi"]) }
}

impl<D: ApiDialect> DialectReader<D> {
    fn with<T>(&self, read: impl FnOnce(&D, &WireRequest<'_>) -> T) -> T {
        let asker = asker(1);
        let ask = ProviderRequest {
            asker: &asker,
            request: &self.request,
            model: "m",
            spec: None,
            limit: LONG,
            first_token: Some(LONG),
            key: None,
            pieces: None,
        };
        read(&self.dialect, &WireRequest::of(&ask, None))
    }

    fn whole(&self, bytes: &[u8]) -> Result<WireReply, WireError> {
        self.with(|dialect, query| dialect.read(query, bytes))
    }

    fn streamed(&self, bytes: &[u8], size: usize) -> Result<WireReply, WireError> {
        self.with(|dialect, query| {
            let mut reading = StreamReader::new(dialect.new_assembler(query));
            for piece in bytes.chunks(size) {
                reading.take(Some(piece))?;
            }
            reading.take(None)?;
            reading.assembly.answer()
        })
    }
}

/// Whether an error has a message, and a short one.
fn is_clear(problem: &WireError) -> bool {
    match problem {
        WireError::Malformed(why) => !why.is_empty() && why.len() < 200,
        WireError::Error(said) => !said.is_null(),
    }
}

fn is_whole_or_clear_error(cut: Result<WireReply, WireError>, whole: &Result<WireReply, WireError>) -> bool {
    match (cut, whole) {
        // Only counts may come after the cut.
        (Ok(cut), Ok(whole)) => WireReply { usage: whole.usage, ..cut } == *whole,
        (Ok(_), Err(_)) => false,
        (Err(problem), _) => is_clear(&problem),
    }
}

fn every_cut<D: ApiDialect + Debug>(reader: &DialectReader<D>, streams: &[&[u8]], whole: &[&[u8]]) {
    for bytes in streams {
        let uncut = reader.streamed(bytes, usize::MAX);
        for at in 0..bytes.len() {
            let cut = reader.streamed(&bytes[..at], usize::MAX);
            assert!(is_whole_or_clear_error(cut, &uncut), "{:?} cut at {at}", reader.dialect);
        }
    }
    for bytes in whole {
        let uncut = reader.whole(bytes);
        for at in 0..bytes.len() {
            assert!(is_whole_or_clear_error(reader.whole(&bytes[..at]), &uncut), "{:?} cut at {at}", reader.dialect);
        }
    }
}

#[test]
fn however_a_reply_is_cut_it_is_whole_or_a_clear_error() {
    every_cut(&openai(), &OPENAI_STREAMS, &OPENAI_WHOLE);
    every_cut(&anthropic(), &ANTHROPIC_STREAMS, &ANTHROPIC_WHOLE);
}

/// A recording with some bytes replaced, inserted or removed.
fn corrupted(recordings: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0_u8..3, any::<u8>());
    (prop::sample::select(recordings), prop::collection::vec(change, 1..6)).prop_map(|(recording, changes)| {
        let mut bytes = recording.to_vec();
        for (at, how, byte) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

fn is_reply_or_clear_error<D: ApiDialect>(reader: &DialectReader<D>, bytes: &[u8], size: usize) -> bool {
    let streamed = reader.streamed(bytes, size);
    let at_once = reader.streamed(bytes, usize::MAX);
    let same = match (&streamed, &at_once) {
        (Ok(one), Ok(other)) => one == other,
        (Err(one), Err(other)) => is_clear(one) && is_clear(other),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    };
    same && reader.whole(bytes).err().is_none_or(|problem| is_clear(&problem))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_corruption_of_openais_replies_is_too_strange(
        stream in corrupted(&OPENAI_STREAMS), whole in corrupted(&OPENAI_WHOLE), size in 1_usize..200,
    ) {
        prop_assert!(is_reply_or_clear_error(&openai(), &stream, size));
        prop_assert!(is_reply_or_clear_error(&openai(), &whole, size));
    }

    #[test]
    fn no_corruption_of_anthropics_replies_is_too_strange(
        stream in corrupted(&ANTHROPIC_STREAMS), whole in corrupted(&ANTHROPIC_WHOLE), size in 1_usize..200,
    ) {
        prop_assert!(is_reply_or_clear_error(&anthropic(), &stream, size));
        prop_assert!(is_reply_or_clear_error(&anthropic(), &whole, size));
    }
}
