//! Which tool it is, of all that ever have its name: what one answered is no answer of another.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use baton_core::canonical::{self, Part};

use crate::config::Config;

/// Told apart from every other process.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
/// Tools that this process has made.
static MADE: AtomicU64 = AtomicU64::new(0);

/// Equal where two tools of one name answer alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity(Arc<str>);

impl Identity {
    /// Of a tool that no other process can know to be the same.
    pub(crate) fn of_process() -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self(format!("{:x}.{:x}.{number}", std::process::id(), *PROCESS).into())
    }

    /// Of a tool that every process makes in the same way: by this program, these settings and these words.
    pub(crate) fn of_words(settings: &SettingsDigest, words: &[u8; 32]) -> Self {
        let parts = [settings.0.as_slice(), words].map(hex);
        let all =
            [Part::Text(Some(env!("CARGO_PKG_VERSION"))), Part::Text(Some(&parts[0])), Part::Text(Some(&parts[1]))];
        Self(hex(canonical::digest_of_list(all)).into())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// SHA-256 of the settings of tools, the values of `[tools.secrets]` among them.
pub(crate) struct SettingsDigest([u8; 32]);

impl SettingsDigest {
    pub(crate) fn of(config: &Config) -> Self {
        let shown = format!("{config:?}");
        let secrets = config.secrets.iter().flat_map(|(name, bound)| [name.as_str(), bound.expose()]);
        let parts = std::iter::once(shown.as_str()).chain(secrets).map(|text| Part::Text(Some(text)));
        Self(canonical::digest_of_list(parts))
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
