//! Secrets of a tenant, sealed in its database with AES-256-GCM. The key is not in the database.
//!
//! Each row stores the id of its key, so that keys can be rotated one row at a time. A sealed value is bound to its
//! tenant and its name: a row that is moved elsewhere cannot be opened.

mod sealed_records;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;

use anyhow::Context;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use baton_core::audit::hex;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{self, RecordOp, RecordStore, StoredRecord};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::UsageError;
use crate::project::display_path;

pub use sealed_records::SealedRecords;

/// Maximum number of secrets of one tenant.
pub const SECRETS_MAX: usize = 1_000;
/// Maximum size of one secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 16 << 10;

const SPACE: &str = "secrets";
const KEY_BYTES: usize = 32;
/// Number of rows in one read.
const PAGE: usize = 200;
const KEY_HINT: &str = "make one with `head -c 32 /dev/urandom | base64` and set BATON_SECRETS__KEY, or name a file of it as \
                    `[secrets] key_file`";

/// `[secrets]`: the location of the key. It is never in the database, and should not be in the project's folder.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VaultConfig {
    /// 32 bytes in base64. Preferably set as `BATON_SECRETS__KEY`.
    pub key: Option<HiddenText>,
    /// A file with the key in the same format, relative to the project's folder.
    pub key_file: Option<PathBuf>,
    /// Earlier keys, for values that are still sealed under them.
    pub old_keys: Vec<HiddenText>,
}

/// Text that is never printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct HiddenText(String);

impl fmt::Debug for HiddenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The available keys by id. The id is the first half of a key's SHA-256.
pub struct KeyRing {
    current: Option<String>,
    keys: BTreeMap<String, LessSafeKey>,
}

/// A sealed row.
#[derive(Debug, Deserialize, Serialize)]
struct SealedSecret {
    key_id: String,
    nonce: String,
    sealed: String,
}

/// The facts about a secret that may be shown.
#[derive(Debug, Serialize)]
pub struct SecretSummary {
    pub name: String,
    /// The key it is sealed under.
    pub key_id: String,
    pub set_at: String,
    /// Whether that key is available.
    pub opens: bool,
}

/// The result of a key rotation for one tenant's secrets.
#[derive(Default)]
pub struct RotationResult {
    /// The number of secrets that were sealed under the current key.
    pub count: usize,
    /// Why others could not be rotated. Each error names its secret.
    pub failed: Vec<anyhow::Error>,
}

impl KeyRing {
    pub fn of(config: &VaultConfig, folder: &Path) -> anyhow::Result<Self> {
        let mut ring = Self { current: None, keys: BTreeMap::new() };
        let current = match (&config.key, &config.key_file) {
            (Some(_), Some(_)) => return Err(UsageError::new("secrets: write `key` or `key_file`, not both").into()),
            (Some(HiddenText(text)), None) => Some(text.clone()),
            (None, Some(file)) => {
                let file = folder.join(file);
                let text = std::fs::read_to_string(&file);
                Some(text.with_context(|| format!("secrets.key_file: {} cannot be read", display_path(&file)))?)
            }
            (None, None) => None,
        };
        for HiddenText(old) in &config.old_keys {
            ring.add(old, "secrets.old_keys")?;
        }
        if let Some(text) = current {
            ring.current = Some(ring.add(&text, "secrets.key")?);
        }
        Ok(ring)
    }

    /// Whether there is a current key.
    pub fn can_seal(&self) -> bool {
        self.current.is_some()
    }

    fn add(&mut self, text: &str, setting: &str) -> anyhow::Result<String> {
        let wrong = || UsageError::new(format!("{setting} is not {KEY_BYTES} bytes in base64")).hint(KEY_HINT);
        let bytes =
            BASE64_STANDARD.decode(text.trim()).ok().filter(|bytes| bytes.len() == KEY_BYTES).ok_or_else(wrong)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| wrong())?;
        let id: String = hex_of(digest(&SHA256, &bytes).as_ref()).chars().take(16).collect();
        self.keys.insert(id.clone(), LessSafeKey::new(key));
        Ok(id)
    }

    fn seal(&self, tenant: &TenantId, name: &str, secret: &str) -> anyhow::Result<SealedSecret> {
        let id = self
            .current
            .as_ref()
            .ok_or_else(|| UsageError::new("no key to seal secrets under is set up").hint(KEY_HINT))?;
        let key = &self.keys[id];
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|error| anyhow::anyhow!("no random bytes can be had: {error}"))?;
        let mut bytes = secret.as_bytes().to_vec();
        let sealed = key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            additional_data(tenant, name),
            &mut bytes,
        );
        sealed.map_err(|_| anyhow::anyhow!("`{name}` cannot be sealed"))?;
        let text = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        Ok(SealedSecret { key_id: id.clone(), nonce: text(&nonce), sealed: text(&bytes) })
    }

    fn open(&self, tenant: &TenantId, name: &str, row: &SealedSecret) -> anyhow::Result<String> {
        let key = self.keys.get(&row.key_id).ok_or_else(|| {
            UsageError::new(format!("the secret `{name}` is sealed under the key {}, which is not set up", row.key_id))
                .hint("set it as BATON_SECRETS__KEY or among BATON_SECRETS__OLD_KEYS, or `baton secrets delete` it")
        })?;
        let opened = || {
            let nonce = Nonce::try_assume_unique_for_key(&BASE64_STANDARD.decode(&row.nonce).ok()?).ok()?;
            let mut bytes = BASE64_STANDARD.decode(&row.sealed).ok()?;
            let opened = key.open_in_place(nonce, additional_data(tenant, name), &mut bytes).ok()?;
            String::from_utf8(opened.to_vec()).ok()
        };
        opened().ok_or_else(|| anyhow::anyhow!("the secret `{name}` does not open: its row was changed past Baton"))
    }
}

fn additional_data(tenant: &TenantId, name: &str) -> Aad<Vec<u8>> {
    // A tenant's name never contains this byte.
    Aad::from(format!("{tenant}\0{name}").into_bytes())
}

fn hex_of(digest: &[u8]) -> String {
    <&[u8; 32]>::try_from(digest).map(hex).unwrap_or_default()
}

/// One tenant's secrets.
pub struct SecretVault<'a> {
    pub records: &'a dyn RecordStore,
    pub tenant: &'a TenantId,
    pub ring: &'a KeyRing,
}

impl SecretVault<'_> {
    pub async fn set(&self, name: &str, secret: &str, now: Time) -> anyhow::Result<()> {
        let all = self.rows(SPACE).await?;
        if all.len() >= SECRETS_MAX && !all.iter().any(|row| row.key == name) {
            return Err(UsageError::new(format!("{SECRETS_MAX} secrets are kept, as many as may be")).into());
        }
        let value = json!(self.ring.seal(self.tenant, name, secret)?);
        let put = RecordOp::Put { space: SPACE.to_owned(), key: name.to_owned(), value };
        Ok(self.records.commit(self.tenant, vec![put], now).await?)
    }

    pub async fn list(&self) -> anyhow::Result<Vec<SecretSummary>> {
        let known = |row: StoredRecord| {
            let sealed = read(row.value)?;
            let opens = self.ring.keys.contains_key(&sealed.key_id);
            anyhow::Ok(SecretSummary { name: row.key, key_id: sealed.key_id, set_at: row.at.to_string(), opens })
        };
        self.rows(SPACE).await?.into_iter().map(known).collect()
    }

    /// Deletes a secret. Returns whether it existed.
    pub async fn delete(&self, name: &str, now: Time) -> anyhow::Result<bool> {
        let was_there = self.records.get(self.tenant, SPACE, name).await?.is_some();
        let delete = RecordOp::Delete { space: SPACE.to_owned(), key: name.to_owned() };
        self.records.commit(self.tenant, vec![delete], now).await?;
        Ok(was_there)
    }

    /// Seals secrets under the current key if they are sealed under another. A secret that is changed concurrently
    /// keeps its new value. A secret that cannot be opened stays as it is and does not block the others.
    pub async fn rotate(&self, now: Time) -> anyhow::Result<RotationResult> {
        let mut rotated = RotationResult::default();
        for StoredRecord { key: name, value, version, .. } in self.rows(SPACE).await? {
            let anew = || {
                let row = read(value)?;
                if Some(&row.key_id) == self.ring.current.as_ref() {
                    return Ok(None);
                }
                let secret = self.ring.open(self.tenant, &name, &row)?;
                anyhow::Ok(Some(json!(self.ring.seal(self.tenant, &name, &secret)?)))
            };
            self.store_resealed(SPACE, &name, version, anew(), now, &mut rotated).await?;
        }
        for space in sealed_records::SPACES {
            self.rotate_space(space, now, &mut rotated).await?;
        }
        Ok(rotated)
    }

    /// Does the same for the secrets in a record space of signatures. That includes secrets that were never sealed.
    async fn rotate_space(&self, space: &str, now: Time, rotated: &mut RotationResult) -> anyhow::Result<()> {
        for StoredRecord { key, value, version, .. } in self.rows(space).await? {
            let anew = || {
                let under = sealed_records::sealed_row(&value).map(|row| row.key_id);
                if under.is_some() && under == self.ring.current {
                    return Ok(None);
                }
                let opened = sealed_records::open_value(self.ring, self.tenant, space, &key, value)?;
                sealed_records::seal_value(self.ring, self.tenant, space, &key, &opened).map(Some)
            };
            self.store_resealed(space, &key, version, anew(), now, rotated).await?;
        }
        Ok(())
    }

    /// Stores a value that was sealed again, or records why that failed. `None` means that it is already sealed under
    /// the current key.
    async fn store_resealed(
        &self,
        space: &str,
        key: &str,
        version: u64,
        anew: anyhow::Result<Option<Value>>,
        now: Time,
        rotated: &mut RotationResult,
    ) -> anyhow::Result<()> {
        let value = match anew {
            Ok(Some(value)) => value,
            Ok(None) => return Ok(()),
            Err(error) => {
                rotated.failed.push(error);
                return Ok(());
            }
        };
        let set = RecordOp::CompareAndSet { space: space.to_owned(), key: key.to_owned(), version, value };
        match self.records.commit(self.tenant, vec![set], now).await {
            Ok(()) => rotated.count += 1,
            Err(records::RecordError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Opens all secrets of the tenant, by name.
    async fn open_all(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let open = |row: StoredRecord| {
            let secret = self.ring.open(self.tenant, &row.key, &read(row.value)?)?;
            anyhow::Ok((row.key, secret))
        };
        self.rows(SPACE).await?.into_iter().map(open).collect()
    }

    async fn rows(&self, space: &str) -> anyhow::Result<Vec<StoredRecord>> {
        let mut all: Vec<StoredRecord> = Vec::new();
        loop {
            let after = all.last().map(|row| row.key.clone());
            let page = self.records.list(self.tenant, space, "", after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }
}

fn read(value: Value) -> anyhow::Result<SealedSecret> {
    serde_json::from_value(value).context("a secret's row cannot be read")
}

/// Opens all secrets of a tenant, for callers that are not asynchronous.
pub fn open_secrets(
    records: &dyn RecordStore,
    tenant: &TenantId,
    ring: KeyRing,
) -> anyhow::Result<BTreeMap<String, String>> {
    block_on(SecretVault { records, tenant, ring: &ring }.open_all())
}

/// The names of all secrets, whether or not they can be opened.
pub fn secret_names(records: &dyn RecordStore, tenant: &TenantId) -> anyhow::Result<BTreeSet<String>> {
    let ring = KeyRing { current: None, keys: BTreeMap::new() };
    let rows = block_on(async { SecretVault { records, tenant, ring: &ring }.rows(SPACE).await })?;
    Ok(rows.into_iter().map(|row| row.key).collect())
}

/// Blocks on a future of the store, which runs on its own threads.
fn block_on<T>(answer: impl Future<Output = T>) -> T {
    /// Wakes a thread that only waits.
    struct ThreadWaker(Thread);

    impl Wake for ThreadWaker {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut answer = std::pin::pin!(answer);
    let waker = Waker::from(Arc::new(ThreadWaker(std::thread::current())));
    let mut context = TaskContext::from_waker(&waker);
    loop {
        match answer.as_mut().poll(&mut context) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(key: u8, old: &[u8]) -> KeyRing {
        let text = |byte: u8| HiddenText(BASE64_STANDARD.encode([byte; KEY_BYTES]));
        let config =
            VaultConfig { key: Some(text(key)), key_file: None, old_keys: old.iter().map(|old| text(*old)).collect() };
        KeyRing::of(&config, Path::new(".")).expect("a ring")
    }

    #[test]
    fn what_is_sealed_opens_under_its_key_for_its_tenant_and_by_its_name_alone() {
        let (acme, other) = (TenantId::from("acme"), TenantId::from("other"));
        let row = ring(1, &[]).seal(&acme, "crm", "s3cr3t").expect("seals");
        assert_eq!(ring(2, &[1]).open(&acme, "crm", &row).expect("opens"), "s3cr3t");
        assert!(ring(2, &[]).open(&acme, "crm", &row).expect_err("no key").to_string().contains(&row.key_id));
        assert!(ring(1, &[]).open(&other, "crm", &row).is_err());
        assert!(ring(1, &[]).open(&acme, "shop", &row).is_err());
        let again = ring(1, &[]).seal(&acme, "crm", "s3cr3t").expect("seals");
        assert_ne!((&row.nonce, &row.sealed), (&again.nonce, &again.sealed), "no nonce is used twice");
        for sealed in ["", "!", "AAAA"] {
            let row = SealedSecret { sealed: sealed.to_owned(), key_id: row.key_id.clone(), nonce: row.nonce.clone() };
            assert!(ring(1, &[]).open(&acme, "crm", &row).is_err());
        }
    }
}
