//! What nodes show each other: a keyed digest over the whole of a forwarded request, never the secret itself.
//!
//! It binds method, path with query, body, the receiver, the time and the caller, so that no part of a request can be
//! exchanged, and one that was overheard is of use for a minute at most, and to the same node only. A message that
//! comes again within that minute has the same key, and is queued once.

use axum::http::{HeaderName, Method};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use kode_core::id::Millis;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::auth::Passport;
use crate::hex;

/// What a forwarded request says of itself, and the proof of it. No client's request has either.
pub(super) const TOLD: HeaderName = HeaderName::from_static("x-kode-forwarded");
pub(super) const PROOF: HeaderName = HeaderName::from_static("x-kode-proof");

/// By how much the clocks of two nodes may differ, with the time that a request is under way.
const SKEW: Millis = 60_000;
/// Shortest secret, in bytes.
const SECRET_MIN: usize = 16;
/// What the digest is for, so that it is good for nothing else.
const PURPOSE: &str = "kode forwarded request 1";

/// The secret that all nodes of a store have.
#[derive(Clone)]
pub struct ClusterSecret(SecretString);

/// A secret is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret for nodes has at least {SECRET_MIN} bytes, better 32 random ones: shorter ones can be guessed"
)]
pub struct WeakClusterSecret;

impl ClusterSecret {
    /// # Errors
    /// [`WeakClusterSecret`].
    pub fn new(secret: SecretString) -> Result<Self, WeakClusterSecret> {
        if secret.expose_secret().len() < SECRET_MIN {
            return Err(WeakClusterSecret);
        }
        Ok(Self(secret))
    }

    fn mac(&self, request: &Signed<'_>, told: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes())
            .expect("a key of any length will do");
        let body = hex::sha256(request.body);
        // No part holds a line feed, so none can be taken for the next.
        for part in [PURPOSE, request.method.as_str(), request.path, request.key, &body, told] {
            mac.update(part.as_bytes());
            mac.update(b"\n");
        }
        mac
    }

    /// Both headers of a request that is forwarded.
    pub(super) fn sign(&self, request: &Signed<'_>, told: &Told) -> (String, String) {
        let told = serde_json::to_vec(told).expect("plain fields can be written");
        let told = URL_SAFE_NO_PAD.encode(told);
        let proof = hex::text(&self.mac(request, &told).finalize().into_bytes());
        (told, proof)
    }

    /// What a request says of itself, if the proof is one, for this node and of now. Compared in constant time.
    pub(super) fn check(
        &self,
        request: &Signed<'_>,
        (told, proof): (&str, &str),
        (me, now): (&str, Millis),
    ) -> Result<Told, Unproven> {
        let proof = hex::bytes(proof).ok_or(Unproven::Forged)?;
        self.mac(request, told).verify_slice(&proof).map_err(|_| Unproven::Forged)?;
        let told = URL_SAFE_NO_PAD.decode(told).map_err(|_| Unproven::Forged)?;
        let told: Told = serde_json::from_slice(&told).map_err(|_| Unproven::Forged)?;
        if told.to != me {
            return Err(Unproven::Elsewhere);
        }
        if told.at.abs_diff(now) > SKEW {
            return Err(Unproven::Late);
        }
        Ok(told)
    }
}

/// Why a request is not taken as a node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unproven {
    #[error("the proof is none under this node's KODE_CLUSTER_SECRET")]
    Forged,
    #[error("it is meant for another node; two may have the same KODE_NODE_URL")]
    Elsewhere,
    #[error("it was made at another time: the clocks of the nodes differ by more than a minute")]
    Late,
}

/// What the digest is over, besides what the request says of itself.
pub(super) struct Signed<'r> {
    pub(super) method: &'r Method,
    /// With the query.
    pub(super) path: &'r str,
    /// The idempotency key; empty where there is none.
    pub(super) key: &'r str,
    pub(super) body: &'r [u8],
}

/// What a forwarded request says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// The node that it came to first.
    pub(super) from: String,
    /// The node that it is for.
    pub(super) to: String,
    /// When, by the first node's clock.
    pub(super) at: Millis,
    /// Who makes it.
    pub(super) caller: Passport,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> ClusterSecret {
        ClusterSecret::new(SecretString::from(text.to_owned())).unwrap()
    }

    fn told() -> Told {
        let caller = r#"{"name":"ann","prefixes":["user:1"],"rights":["write"],"key":false}"#;
        Told {
            from: "a".into(),
            to: "b".into(),
            at: 1_000_000,
            caller: serde_json::from_str(caller).unwrap(),
        }
    }

    fn request<'r>(method: &'r Method, path: &'r str, key: &'r str, body: &'r [u8]) -> Signed<'r> {
        Signed { method, path, key, body }
    }

    #[test]
    fn what_was_signed_is_taken_and_nothing_else() {
        let (secret, post) = (secret("a secret of sixteen"), Method::POST);
        let signed = request(&post, "/api/agents/a/messages?x=1", "k", b"{}");
        let (head, proof) = secret.sign(&signed, &told());
        let check = |request: &Signed<'_>, head: &str, proof: &str| {
            secret.check(request, (head, proof), ("b", 1_000_000 + SKEW))
        };
        assert_eq!(check(&signed, &head, &proof), Ok(told()));
        for other in [
            request(&Method::PUT, signed.path, "k", b"{}"),
            request(&post, "/api/agents/b/messages?x=1", "k", b"{}"),
            request(&post, "/api/agents/a/messages?x=2", "k", b"{}"),
            request(&post, signed.path, "", b"{}"),
            request(&post, signed.path, "k", b"{ }"),
        ] {
            assert_eq!(
                check(&other, &head, &proof),
                Err(Unproven::Forged),
                "{} {}",
                other.method,
                other.path
            );
        }
        let richer = Told {
            caller: serde_json::from_str(r#"{"name":"ann","prefixes":["*"],"rights":["admin"],"key":false}"#)
                .unwrap(),
            ..told()
        };
        let (richer, _) = secret.sign(&signed, &richer);
        assert_eq!(check(&signed, &richer, &proof), Err(Unproven::Forged), "who it is cannot be exchanged");
        for wrong in ["", "00", &proof[2..], &format!("{proof}00"), "zz"] {
            assert_eq!(check(&signed, &head, wrong), Err(Unproven::Forged), "{wrong:?}");
        }
    }

    #[test]
    fn another_secret_another_node_and_another_time_prove_nothing() {
        let (mine, post) = (secret("a secret of sixteen"), Method::POST);
        let signed = request(&post, "/", "", b"");
        let (head, proof) = mine.sign(&signed, &told());
        let shown = (head.as_str(), proof.as_str());
        assert_eq!(
            secret("another of sixteen!").check(&signed, shown, ("b", 1_000_000)),
            Err(Unproven::Forged)
        );
        assert_eq!(mine.check(&signed, shown, ("c", 1_000_000)), Err(Unproven::Elsewhere));
        for late in [1_000_000 + SKEW + 1, 1_000_000 - SKEW - 1] {
            assert_eq!(mine.check(&signed, shown, ("b", late)), Err(Unproven::Late));
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(
            ClusterSecret::new(SecretString::from("fifteen letters".to_owned())).err(),
            Some(WeakClusterSecret)
        );
    }
}
