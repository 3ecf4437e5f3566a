//! Tokens: the good ones, and those that try.

use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
use kode_server::auth::{Auth, Jwt, WeakSecret};
use serde_json::{Value, json};

use crate::auth::{SECRET, guarded, now, signed};
use crate::world::World;

/// Base64 as tokens have it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

/// A token with this head, signed with this secret as if it were of this algorithm.
fn forged(head: &Value, claims: &str, secret: &[u8], algorithm: Algorithm) -> String {
    let message = format!("{}.{}", base64(head.to_string().as_bytes()), base64(claims.as_bytes()));
    let signature = sign(message.as_bytes(), &EncodingKey::from_secret(secret), algorithm).unwrap();
    format!("{message}.{signature}")
}

async fn status(world: &World, token: &str) -> u16 {
    world.get_as(token, "/api/agents").await.status.as_u16()
}

#[tokio::test]
async fn a_token_reaches_what_it_says_or_its_own_user() {
    let world = guarded(World::new());
    let exp = now() + 60;
    let mine = signed(&json!({ "sub": "1", "exp": exp }));
    assert_eq!(world.post_as(&mine, "/api/agents", json!({ "agentId": "user:1" })).await.status, 201);
    assert_eq!(world.get_as(&mine, "/api/agents/user:12").await.refusal(), (404, "agent_not_found"));
    assert_eq!(world.get_as(&mine, "/api/metrics").await.refusal(), (403, "forbidden"));

    let teams = signed(
        &json!({ "sub": "auth0|7", "exp": exp, "prefixes": ["team:a", "user:1"], "rights": ["read"] }),
    );
    assert_eq!(world.get_as(&teams, "/api/agents/user:1").await.status, 200);
    let refused = world.post_as(&teams, "/api/agents/team:a/messages", json!({ "text": "x" })).await;
    assert_eq!(refused.refusal(), (403, "forbidden"));
    let operator =
        signed(&json!({ "sub": "op", "exp": exp, "prefixes": ["*"], "rights": ["admin"], "nbf": now() }));
    assert_eq!(world.get_as(&operator, "/api/metrics").await.status, 200);
}

#[tokio::test]
async fn a_token_that_tries_is_no_token() {
    let world = guarded(World::new());
    let head = json!({ "alg": "HS256", "typ": "JWT" });
    let good = json!({ "sub": "1", "exp": now() + 60 }).to_string();
    let ours = SECRET.as_bytes();
    let hs256 = |claims: &str| forged(&head, claims, ours, Algorithm::HS256);
    let whole = hs256(&good);
    assert_eq!(status(&world, &whole).await, 200, "the forge works");

    let (message, signature) = whole.rsplit_once('.').unwrap();
    let payload = message.split_once('.').unwrap().1;
    let unsigned = |alg: &str, signature: &str| {
        format!(
            "{}.{payload}.{signature}",
            base64(json!({ "alg": alg, "typ": "JWT" }).to_string().as_bytes())
        )
    };
    let with = |alg: Value, algorithm| forged(&json!({ "alg": alg }), &good, ours, algorithm);
    let claims = |more: Value| {
        let mut all = json!({ "sub": "1", "exp": now() + 60 });
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        hs256(&all.to_string())
    };
    let swapped = base64(json!({ "sub": "2", "exp": now() + 60 }).to_string().as_bytes());
    let attacks = [
        ("none", unsigned("none", "")),
        ("None", unsigned("None", "")),
        ("NONE", unsigned("NONE", "")),
        ("none with a signature", unsigned("none", signature)),
        ("no algorithm", with(Value::Null, Algorithm::HS256)),
        ("another hash", with(json!("HS384"), Algorithm::HS384)),
        ("yet another hash", with(json!("HS512"), Algorithm::HS512)),
        ("a public key's algorithm", with(json!("RS256"), Algorithm::HS256)),
        ("a curve's", with(json!("ES256"), Algorithm::HS256)),
        ("another case", with(json!("hs256"), Algorithm::HS256)),
        ("says one hash, is another", with(json!("HS256"), Algorithm::HS512)),
        ("an unknown algorithm", with(json!("XS1"), Algorithm::HS256)),
        ("a list of algorithms", with(json!(["HS256"]), Algorithm::HS256)),
        ("no signature", format!("{message}.")),
        ("no signature and no dot", message.to_owned()),
        ("half a signature", format!("{message}.{}", &signature[..20])),
        ("a padded signature", format!("{whole}=")),
        ("more behind it", format!("{whole}.x")),
        ("dots", "..".into()),
        ("another's payload", format!("{}.{swapped}.{signature}", message.split_once('.').unwrap().0)),
        (
            "another secret",
            forged(&head, &good, b"another secret, also of more than 32 bytes", Algorithm::HS256),
        ),
        ("no secret", forged(&head, &good, b"", Algorithm::HS256)),
        (
            "an extension",
            forged(&json!({ "alg": "HS256", "crit": ["b64"], "b64": false }), &good, ours, Algorithm::HS256),
        ),
        (
            "a key of its own",
            forged(
                &json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": base64(b"mine") } }),
                &good,
                b"mine",
                Algorithm::HS256,
            ),
        ),
        ("expired", claims(json!({ "exp": now() - 1 }))),
        ("expires now", claims(json!({ "exp": now() }))),
        ("never expires", hs256(&json!({ "sub": "1" }).to_string())),
        ("expires as a text", claims(json!({ "exp": "9999999999" }))),
        ("expires before time", claims(json!({ "exp": -1 }))),
        ("expires beyond time", claims(json!({ "exp": 1e300 }))),
        ("expires twice", hs256(&format!("{{\"sub\":\"1\",\"exp\":1,\"exp\":{}}}", now() + 60))),
        ("not yet", claims(json!({ "nbf": now() + 30 }))),
        ("nobody", hs256(&json!({ "exp": now() + 60 }).to_string())),
        ("an empty name", claims(json!({ "sub": "" }))),
        ("a number", claims(json!({ "sub": 1 }))),
        ("a colon", claims(json!({ "sub": "1:session:x" }))),
        ("a colon, with prefixes", claims(json!({ "sub": "a:b", "prefixes": ["user:1"] }))),
        ("a name that no agent has", claims(json!({ "sub": "a/b" }))),
        ("a line break", claims(json!({ "sub": "1\n2", "prefixes": ["user:1"] }))),
        ("a long name", claims(json!({ "sub": "x".repeat(129), "prefixes": ["user:1"] }))),
        ("the empty prefix", claims(json!({ "prefixes": [""] }))),
        ("one bad prefix of two", claims(json!({ "prefixes": ["user:1", "user:*"] }))),
        ("a prefix that is no list", claims(json!({ "prefixes": "user:1" }))),
        ("an unknown right", claims(json!({ "rights": ["root"] }))),
        ("no claims", hs256("[]")),
        ("too long", claims(json!({ "note": "x".repeat(9_000) }))),
    ];
    for (what, token) in &attacks {
        assert_eq!(status(&world, token).await, 401, "{what}");
    }
    assert_eq!(world.pool.stats().resident, 0);
}

#[tokio::test]
async fn an_audience_is_asked_for_where_one_is_configured() {
    let mut world = World::new();
    world.config.auth = Auth::new(Vec::new(), Some(Jwt::hs256(&SECRET.into(), Some("kode")).unwrap()));
    let to = |aud: Value| signed(&json!({ "sub": "1", "exp": now() + 60, "aud": aud }));
    assert_eq!(status(&world, &to(json!("kode"))).await, 200);
    assert_eq!(status(&world, &to(json!(["other", "kode"]))).await, 200);
    for aud in [json!("other"), json!([]), json!(null), json!("kode2"), json!(7)] {
        assert_eq!(status(&world, &to(aud.clone())).await, 401, "{aud}");
    }
    assert_eq!(status(&world, &signed(&json!({ "sub": "1", "exp": now() + 60 }))).await, 401);
    assert_eq!(status(&world, crate::auth::ONE).await, 401, "there are no keys");
}

#[test]
fn a_secret_that_can_be_guessed_is_refused_and_none_is_shown() {
    assert!(matches!(Jwt::hs256(&"fifteen bytes..".into(), None), Err(WeakSecret)));
    let jwt = Jwt::hs256(&SECRET.into(), Some("kode")).unwrap();
    assert!(!format!("{jwt:?}").contains(SECRET));
}
