//! Which pages of which origins may call from a browser. Since every route that changes something needs a
//! JSON body, a page of another origin is always asked first.

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::request::REQUEST_ID;
use crate::trace::TRACEPARENT;

/// Allows these origins, and those on a loopback host.
pub(crate) fn layer(origins: &[String]) -> CorsLayer {
    let origins = origins.to_vec();
    let allowed = move |origin: &HeaderValue| {
        origin.to_str().is_ok_and(|origin| is_loopback(origin) || origins.iter().any(|o| o == origin))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| allowed(origin)))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::CONTENT_TYPE,
            header::ACCEPT,
            header::AUTHORIZATION,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            TRACEPARENT,
            REQUEST_ID,
        ])
        .expose_headers([REQUEST_ID, header::RETRY_AFTER])
}

/// Whether an origin is a page of this machine: `localhost`, `127.0.0.1` or `[::1]`, on any port.
fn is_loopback(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    host.is_some_and(|host| {
        ["localhost", "127.0.0.1", "[::1]"].into_iter().filter_map(|name| host.strip_prefix(name)).any(
            |port| {
                let digits = port.strip_prefix(':').unwrap_or(port);
                (port.is_empty() || port.starts_with(':')) && digits.bytes().all(|b| b.is_ascii_digit())
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_origin_is_told_from_one_that_only_begins_like_it() {
        let yes = ["http://localhost", "http://localhost:5173", "https://127.0.0.1:8", "http://[::1]:3000"];
        let no = [
            "http://localhost.evil.org",
            "http://127.0.0.1.evil.org",
            "http://evil.org",
            "null",
            "localhost",
        ];
        assert!(yes.into_iter().all(is_loopback));
        assert!(!no.into_iter().any(is_loopback));
    }
}
