//! A response body, limited in size.

use baton_core::fault::error_chain;
use reqwest::Response;

use crate::providers::dialect::WireError;

/// Maximum size of a reply, in bytes.
const REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The body, chunk by chunk.
pub(super) struct ResponseBody {
    response: Response,
    taken: usize,
}

/// The body was cut off before its end.
#[derive(Debug)]
pub(super) enum BodyError {
    Broken(String),
    TooLarge,
}

impl From<BodyError> for WireError {
    fn from(cut: BodyError) -> Self {
        Self::Malformed(match cut {
            BodyError::Broken(why) => format!("the reply was cut off: {why}"),
            BodyError::TooLarge => format!("the reply has more than {REPLY_BYTES_MAX} bytes"),
        })
    }
}

impl ResponseBody {
    pub fn of(response: Response) -> Self {
        Self { response, taken: 0 }
    }

    /// Returns the next chunk; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, BodyError> {
        let piece =
            self.response.chunk().await.map_err(|error| BodyError::Broken(error_chain(&error.without_url())))?;
        self.taken += piece.as_ref().map_or(0, |piece| piece.len());
        if self.taken > REPLY_BYTES_MAX {
            return Err(BodyError::TooLarge);
        }
        Ok(piece)
    }

    /// Reads at most `bytes_max` of the body, for error texts; read errors are ignored.
    pub async fn read_prefix(response: Response, bytes_max: usize) -> Vec<u8> {
        let mut body = Self::of(response);
        let mut beginning = Vec::new();
        while let Ok(Some(piece)) = body.next().await {
            let room = bytes_max - beginning.len();
            let piece = piece.as_ref();
            beginning.extend_from_slice(&piece[..piece.len().min(room)]);
            if beginning.len() == bytes_max {
                break;
            }
        }
        beginning
    }
}
