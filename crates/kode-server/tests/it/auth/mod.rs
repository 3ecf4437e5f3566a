//! Who may do what, from outside.

mod jwt;
mod limits;
mod matrix;
mod reach;
mod secrets;
mod tickets;

use axum::http::Method;
use jsonwebtoken::{EncodingKey, Header, encode};
use kode_server::auth::{ApiKey, Auth, Jwt, KeyHash, Limits, Reach, Right, Rights};
use serde_json::{Value, json};

use crate::world::{Answer, World, request};

pub(crate) const SECRET: &str = "a secret of the test, of more than 32 bytes";
pub(crate) const ONE: &str = "kode_key-of-the-first-tenant";
pub(crate) const TWO: &str = "kode_key-of-the-second-tenant";
pub(crate) const ADMIN: &str = "kode_key-of-the-operator";

pub(crate) fn key(name: &str, key: &str, prefixes: &[&str], rights: Rights) -> ApiKey {
    let (hash, reach) = (KeyHash::of(key), Reach::under(prefixes).unwrap());
    ApiKey { name: name.into(), hash, reach, rights, limits: Limits::default() }
}

pub(crate) fn keys() -> Vec<ApiKey> {
    vec![
        key("one", ONE, &["user:1"], Rights::default()),
        key("two", TWO, &["user:2"], Rights::default()),
        key("admin", ADMIN, &["*"], [Right::Admin].into_iter().collect()),
    ]
}

pub(crate) fn auth() -> Auth {
    Auth::new(keys(), Some(Jwt::hs256(&SECRET.into(), None).unwrap()))
}

/// A world that asks who calls.
pub(crate) fn guarded(mut world: World) -> World {
    world.config.auth = auth();
    world
}

pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn signed(claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// A token that is good for a minute.
pub(crate) fn token(sub: &str) -> String {
    signed(&json!({ "sub": sub, "exp": now() + 60 }))
}

impl World {
    /// Asks in the name of whoever holds this.
    pub(crate) async fn call(&self, held: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let bearer = format!("Bearer {held}");
        let headers = [("authorization", bearer.as_str())];
        Answer::of(self.send(request(method, path, &headers, body)).await).await
    }

    pub(crate) async fn get_as(&self, held: &str, path: &str) -> Answer {
        self.call(held, Method::GET, path, None).await
    }

    pub(crate) async fn post_as(&self, held: &str, path: &str, body: Value) -> Answer {
        self.call(held, Method::POST, path, Some(body)).await
    }
}
