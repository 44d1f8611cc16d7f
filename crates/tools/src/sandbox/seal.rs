//! A paused program in its stored form: its grant and its state, under one seal.
//!
//! The state comes from the child and is opaque. The grant, with what the program has used of it, is written beside
//! it by the parent, so a program that took over its child cannot extend its rights for the time after its pause.
//!
//! The seal is an HMAC-SHA-256 over the format, the grant and the state. With a key from the settings, only holders
//! of the key can create a seal. Without one, the key is all zeros and the seal is a checksum: it detects every
//! accident, but anybody who can write the journal can create one, as they could write any other event. In any case,
//! the state of a snapshot with a valid seal goes to a confined child, and the child's responses are checked like all
//! others.
//!
//! ```text
//! key name (8) · seal (32) · length of the grant (4, least byte first) · grant (JSON) · state
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use baton_core::agent::{ProgramSnapshot, SNAPSHOT_BYTES_MAX};
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::function_names::FunctionNames;
use crate::config::SecretString;

/// The version of the sealed format. A change of the layout, of the grant or of the frames requires a new number.
const FORMAT: u16 = 1;
const KEY_NAME_BYTES: usize = 8;
const SEAL_BYTES: usize = 32;
/// The block size of SHA-256.
const KEY_BYTES: usize = 64;
const LENGTH_BYTES: usize = 4;
const HEAD_BYTES: usize = KEY_NAME_BYTES + SEAL_BYTES + LENGTH_BYTES;
/// Base64 is a third longer, and padded.
const TEXT_BYTES_MAX: usize = SNAPSHOT_BYTES_MAX.div_ceil(3) * 4;

/// What a paused program may still do, and has used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgramGrant {
    /// Tools by the names of their functions.
    pub(super) functions: FunctionNames,
    pub(super) awaits: bool,
    /// Number of calls made, including those it waits for.
    pub(super) calls: usize,
    /// Number of calls it waits for.
    pub(super) waiting: usize,
    pub(super) printed_bytes: usize,
    pub(super) time_ms: u64,
}

/// Why a snapshot is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SnapshotError {
    /// Another version wrote it, or it is sealed with another key, so it cannot be verified.
    Stale,
    /// It differs from what was sealed.
    Tampered(&'static str),
}

/// The size of a snapshot that is too large, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SnapshotSizeError(pub(super) usize);

pub(super) struct SnapshotSeal {
    version: String,
    /// SHA-256 of the configured key, padded with zeros to the block size of HMAC. All zeros without a key.
    key: [u8; KEY_BYTES],
}

impl SnapshotSeal {
    pub(super) fn new(key: Option<&SecretString>) -> Self {
        let version = format!("monty-{}.{}-baton-{FORMAT}", monty_types::MONTY_VERSION, monty::DUMP_VERSION);
        let mut own = [0; KEY_BYTES];
        let hash = key.map(|key| Sha256::digest(key.expose().as_bytes())).unwrap_or_default();
        own.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        Self { version, key: own }
    }

    /// Seals a grant and a state.
    ///
    /// # Errors
    /// It would exceed the maximum size of a snapshot.
    pub(super) fn close(&self, grant: &ProgramGrant, state: &[u8]) -> Result<ProgramSnapshot, SnapshotSizeError> {
        // A grant of names and numbers always serialises; an empty one would be refused when it is opened.
        let grant = serde_json::to_vec(grant).unwrap_or_default();
        let size = HEAD_BYTES + grant.len() + state.len();
        let length =
            u32::try_from(grant.len()).ok().filter(|_| size <= SNAPSHOT_BYTES_MAX).ok_or(SnapshotSizeError(size))?;
        let mut body = Vec::with_capacity(size - KEY_NAME_BYTES - SEAL_BYTES);
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(&grant);
        body.extend_from_slice(state);
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(&self.key_name());
        bytes.extend_from_slice(&self.mac(&body).finalize().into_bytes());
        bytes.extend_from_slice(&body);
        Ok(ProgramSnapshot { version: self.version.clone(), bytes: BASE64.encode(bytes) })
    }

    /// Verifies the seal, and returns the grant and the state.
    pub(super) fn open(&self, snapshot: &ProgramSnapshot) -> Result<(ProgramGrant, Vec<u8>), SnapshotError> {
        if snapshot.version != self.version {
            return Err(SnapshotError::Stale);
        }
        if snapshot.bytes.len() > TEXT_BYTES_MAX {
            return Err(SnapshotError::Tampered("it is larger than a snapshot can be"));
        }
        let bytes = BASE64.decode(&snapshot.bytes).map_err(|_| SnapshotError::Tampered("it is not base64"))?;
        let Some((head, body)) = bytes.split_at_checked(KEY_NAME_BYTES + SEAL_BYTES) else {
            return Err(SnapshotError::Tampered("it is cut off"));
        };
        let (name, seal) = head.split_at(KEY_NAME_BYTES);
        if name != self.key_name() {
            return Err(SnapshotError::Stale);
        }
        self.mac(body).verify_slice(seal).map_err(|_| SnapshotError::Tampered("its seal does not fit"))?;
        let (grant, state) = divided(body).ok_or(SnapshotError::Tampered("its parts do not fit"))?;
        let grant = serde_json::from_slice(grant).map_err(|_| SnapshotError::Tampered("its grant cannot be read"))?;
        Ok((grant, state.to_vec()))
    }

    fn mac(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(self.version.as_bytes());
        mac.update(&[0]);
        mac.update(body);
        mac
    }

    /// Distinguishes a snapshot with another key from an altered one, without revealing the key.
    fn key_name(&self) -> [u8; KEY_NAME_BYTES] {
        let mut name = [0; KEY_NAME_BYTES];
        let hash = Sha256::new().chain_update(b"baton snapshot key\0").chain_update(self.key).finalize();
        name.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        name
    }
}

fn divided(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = body.split_first_chunk::<LENGTH_BYTES>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> ProgramGrant {
        let functions = FunctionNames::from([("a_b".to_owned(), "a.b".to_owned())]);
        ProgramGrant { functions, awaits: true, calls: 3, waiting: 1, printed_bytes: 9, time_ms: 20 }
    }

    fn keyed() -> SnapshotSeal {
        SnapshotSeal::new(Some(&SecretString::new("k".repeat(32))))
    }

    #[test]
    fn what_was_sealed_comes_back() {
        for seal in [SnapshotSeal::new(None), keyed()] {
            let snapshot = seal.close(&grant(), b"state").unwrap();
            assert_eq!(seal.open(&snapshot), Ok((grant(), b"state".to_vec())));
        }
    }

    #[test]
    fn every_single_altered_bit_is_found() {
        let seal = keyed();
        let snapshot = seal.close(&grant(), b"state").unwrap();
        let bytes = BASE64.decode(&snapshot.bytes).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let broken = seal.open(&ProgramSnapshot { bytes: BASE64.encode(altered), ..snapshot.clone() }).unwrap_err();
            let is_in_name = bit / 8 < KEY_NAME_BYTES;
            assert_eq!(broken == SnapshotError::Stale, is_in_name, "bit {bit}: {broken:?}");
        }
    }

    #[test]
    fn what_is_cut_off_or_is_no_snapshot_is_found() {
        let seal = SnapshotSeal::new(None);
        let snapshot = seal.close(&grant(), b"state").unwrap();
        for bytes in
            ["", "AAAA", "no base64!", &snapshot.bytes[..snapshot.bytes.len() - 4], &"A".repeat(TEXT_BYTES_MAX + 4)]
        {
            let broken = seal.open(&ProgramSnapshot { bytes: bytes.to_owned(), ..snapshot.clone() });
            assert!(matches!(broken, Err(SnapshotError::Tampered(_))), "{broken:?}");
        }
    }

    #[test]
    fn a_seal_of_another_key_or_version_says_nothing() {
        let snapshot = keyed().close(&grant(), b"state").unwrap();
        assert_eq!(SnapshotSeal::new(None).open(&snapshot), Err(SnapshotError::Stale));
        let older = ProgramSnapshot { version: "monty-0.0.1.1-baton-1".to_owned(), ..snapshot };
        assert_eq!(keyed().open(&older), Err(SnapshotError::Stale));
    }

    #[test]
    fn what_would_be_too_large_is_not_sealed() {
        let seal = SnapshotSeal::new(None);
        let least = seal.close(&grant(), &[]).unwrap();
        let room = SNAPSHOT_BYTES_MAX - BASE64.decode(&least.bytes).unwrap().len();
        assert!(seal.close(&grant(), &vec![0; room]).is_ok());
        assert_eq!(seal.close(&grant(), &vec![0; room + 1]), Err(SnapshotSizeError(SNAPSHOT_BYTES_MAX + 1)));
    }
}
