//! Webhook signatures: HMAC-SHA-256 over the request, compared in constant time.
//!
//! Three schemes: Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature: v1,BASE64`), GitHub
//! (`x-hub-signature-256: sha256=HEX`) and Stripe (`stripe-signature: t=SECONDS,v1=HEX`).

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use baton_core::audit::hex;
use baton_core::time::Time;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The prefix of a Standard Webhooks secret.
const PREFIX: &str = "whsec_";
/// Maximum number of signatures that are compared per request.
const SIGNATURES_MAX: usize = 8;
/// Maximum size of a delivery's id, in bytes.
const ID_BYTES_MAX: usize = 256;

/// The signature scheme, and with it the headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureScheme {
    #[default]
    Standard,
    Github,
    Stripe,
}

/// A delivery with a valid signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDelivery {
    /// Identifies the delivery. It is derived from signed content only.
    pub id: String,
}

/// A new secret of 32 random bytes.
pub fn secret(random: &[u8; 32]) -> String {
    format!("{PREFIX}{}", BASE64_STANDARD.encode(random))
}

/// The header `webhook-signature` of a body.
pub fn sign(secret: &str, id: &str, at: Time, body: &[u8]) -> String {
    let mac = mac(secret, &[id.as_bytes(), b".", seconds(at).to_string().as_bytes(), b".", body]);
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

/// Whole seconds since 1970, as used in headers.
pub fn seconds(at: Time) -> i64 {
    at.as_ms().div_euclid(1_000)
}

impl SignatureScheme {
    /// Verifies headers and body. Returns the delivery if one of the secrets signed it within the allowed time.
    pub fn verify<'h>(
        self,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
        secrets: &[String],
        (now, tolerance): (Time, Duration),
    ) -> Option<VerifiedDelivery> {
        match self {
            Self::Standard => {
                let (id, at) = (header("webhook-id")?, header("webhook-timestamp")?);
                if id.is_empty() || id.len() > ID_BYTES_MAX || !is_recent(at, now, tolerance) {
                    return None;
                }
                let signed = [id.as_bytes(), b".", at.as_bytes(), b".", body];
                let given = header("webhook-signature")?.split(' ').filter_map(|one| one.strip_prefix("v1,"));
                let given = given.take(SIGNATURES_MAX).filter_map(|one| BASE64_STANDARD.decode(one).ok());
                is_signed(secrets, &signed, given).then(|| VerifiedDelivery { id: id.to_owned() })
            }
            Self::Github => {
                let given = header("x-hub-signature-256")?.strip_prefix("sha256=").and_then(unhex);
                // The id in the headers is not signed, so a replay may change it: the digest of the body is used
                // instead.
                is_signed(secrets, &[body], given).then(|| VerifiedDelivery { id: digest(body) })
            }
            Self::Stripe => {
                let parts = || header("stripe-signature").unwrap_or_default().split(',').map(str::trim);
                let at = parts().find_map(|part| part.strip_prefix("t="))?;
                if !is_recent(at, now, tolerance) {
                    return None;
                }
                let given = parts().filter_map(|part| part.strip_prefix("v1=")).take(SIGNATURES_MAX).filter_map(unhex);
                let is_good = is_signed(secrets, &[at.as_bytes(), b".", body], given);
                // An event is sent again under the same id, signed at another time.
                let id = || {
                    let event: serde_json::Value = serde_json::from_slice(body).ok()?;
                    let id = event.get("id")?.as_str().filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX)?;
                    Some(id.to_owned())
                };
                is_good.then(|| VerifiedDelivery { id: id().unwrap_or_else(|| digest(body)) })
            }
        }
    }
}

fn digest(body: &[u8]) -> String {
    baton_core::bundle::ContentHash::of(body).as_str().to_owned()
}

fn is_recent(at: &str, now: Time, tolerance: Duration) -> bool {
    let Ok(at) = at.parse::<i64>() else { return false };
    let apart = at.abs_diff(seconds(now));
    apart <= tolerance.as_secs()
}

/// Compares each signature with each secret's. The time it takes does not reveal how much of a signature is right.
fn is_signed(secrets: &[String], signed: &[&[u8]], given: impl IntoIterator<Item = Vec<u8>>) -> bool {
    let given: Vec<Vec<u8>> = given.into_iter().collect();
    let mut is_good = false;
    for secret in secrets {
        for one in &given {
            is_good |= mac(secret, signed).verify_slice(one).is_ok();
        }
    }
    is_good
}

fn mac(secret: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
    let decoded = secret.strip_prefix(PREFIX).and_then(|text| BASE64_STANDARD.decode(text).ok());
    let key = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
    // HMAC accepts keys of any length; the fallback is an empty key.
    let mut mac = Hmac::<Sha256>::new_from_slice(&key)
        .unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()));
    for part in parts {
        mac.update(part);
    }
    mac
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 {
        return None;
    }
    let digits = text.as_bytes().chunks_exact(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// In hexadecimal, as GitHub and Stripe write it; for tests and for senders that use their schemes.
pub fn sign_hex(secret: &str, parts: &[&[u8]]) -> String {
    hex(&mac(secret, parts).finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_ms(seconds * 1_000)
    }

    fn check(
        form: SignatureScheme,
        headers: &[(&str, String)],
        body: &[u8],
        secrets: &[&str],
        now: i64,
    ) -> Option<String> {
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        form.verify(header, body, &secrets, (at(now), Duration::from_secs(300))).map(|delivery| delivery.id)
    }

    fn standard(id: &str, signed_at: i64, signature: String) -> Vec<(&'static str, String)> {
        vec![
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", signed_at.to_string()),
            ("webhook-signature", signature),
        ]
    }

    #[test]
    fn the_example_of_standard_webhooks_is_signed_as_it_says() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at(1_614_265_330), br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_signature_is_good_for_its_id_its_time_its_body_and_its_secret_only() {
        let (secret, body) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"{}".as_slice());
        let signature = sign(secret, "a", at(1_000), body);
        let two = format!("v1,AAAA v2,x {signature}");
        let good = standard("a", 1_000, two);
        assert_eq!(check(SignatureScheme::Standard, &good, body, &["old", secret], 1_300).as_deref(), Some("a"));
        assert_eq!(check(SignatureScheme::Standard, &good, body, &[secret], 1_301), None, "too old");
        assert_eq!(check(SignatureScheme::Standard, &good, body, &[secret], 699), None, "from the future");
        assert_eq!(check(SignatureScheme::Standard, &good, b"{ }", &[secret], 1_000), None, "another body");
        assert_eq!(check(SignatureScheme::Standard, &good, body, &["whsec_AAAA"], 1_000), None, "another secret");
        assert_eq!(check(SignatureScheme::Standard, &good, body, &[], 1_000), None, "no secret");
        assert_eq!(
            check(SignatureScheme::Standard, &standard("b", 1_000, signature.clone()), body, &[secret], 1_000),
            None
        );
        assert_eq!(check(SignatureScheme::Standard, &standard("a", 1_001, signature), body, &[secret], 1_000), None);
        assert_eq!(check(SignatureScheme::Github, &good, body, &[secret], 1_000), None, "another form");
    }

    #[test]
    fn github_and_stripe_are_told_apart_by_what_they_sign() {
        let github = |body: &[u8]| vec![("x-hub-signature-256", format!("sha256={}", sign_hex("s", &[body])))];
        // From GitHub's documentation.
        assert_eq!(
            sign_hex("It's a Secret to Everybody", &[b"Hello, World!"]),
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
        let one = check(SignatureScheme::Github, &github(b"{}"), b"{}", &["s"], 5);
        assert!(one.is_some() && one != check(SignatureScheme::Github, &github(b"[]"), b"[]", &["s"], 5));
        assert_eq!(check(SignatureScheme::Github, &github(b"{}"), b"[]", &["s"], 5), None);
        let body = br#"{"id": "evt_1"}"#;
        let stripe = vec![("stripe-signature", format!("t=1000,v0=x,v1={}", sign_hex("s", &[b"1000.", body])))];
        assert_eq!(check(SignatureScheme::Stripe, &stripe, body, &["s"], 1_000).as_deref(), Some("evt_1"));
        assert_eq!(check(SignatureScheme::Stripe, &stripe, body, &["s"], 2_000), None, "too old");
        assert_eq!(check(SignatureScheme::Stripe, &[], body, &["s"], 1_000), None);
    }
}
