//! Which code means what.

use kode_core::model::ErrorClass;

/// What a business code means, if it is known. It wins over the HTTP status.
pub(super) fn of_code(code: &str) -> Option<ErrorClass> {
    match code.parse::<u16>() {
        Ok(number) => of_number(number),
        Err(_) => of_name(code),
    }
}

fn of_number(code: u16) -> Option<ErrorClass> {
    Some(match code {
        401 | 1000..=1005 => ErrorClass::Auth,
        1110..=1113 | 1120 | 1121 | 1309 | 1314 | 1315 => ErrorClass::Billing,
        1211 => ErrorClass::ModelNotFound,
        1220 | 1311 | 1313 => ErrorClass::Permission,
        1210..=1222 => ErrorClass::BadRequest,
        1261 => ErrorClass::ContextOverflow,
        1300 | 1301 => ErrorClass::ContentFiltered,
        1302 | 1303 => ErrorClass::RateLimited,
        1304 => ErrorClass::QuotaExhausted,
        1305 => ErrorClass::Overloaded,
        1308 | 1310 | 1316..=1321 => ErrorClass::QuotaWindow,
        408 | 500 | 502..=504 | 1200 | 1230 | 1234 => ErrorClass::Server,
        _ => return None,
    })
}

/// The names that OpenAI-compatible hosts write where GLM has numbers.
fn of_name(code: &str) -> Option<ErrorClass> {
    Some(match code {
        "invalid_api_key" | "authentication_error" => ErrorClass::Auth,
        "insufficient_quota" => ErrorClass::Billing,
        "model_not_found" => ErrorClass::ModelNotFound,
        "context_length_exceeded" => ErrorClass::ContextOverflow,
        "content_filter" => ErrorClass::ContentFiltered,
        "rate_limit_exceeded" => ErrorClass::RateLimited,
        "overloaded_error" => ErrorClass::Overloaded,
        _ => return None,
    })
}

/// What an HTTP status means where no code is known.
pub(super) fn of_status(status: u16) -> ErrorClass {
    match status {
        401 => ErrorClass::Auth,
        402 => ErrorClass::Billing,
        403 => ErrorClass::Permission,
        // A redirect is not followed: it would carry the key to another host.
        200..=399 | 404 | 405 => ErrorClass::MisconfiguredBaseUrl,
        408 => ErrorClass::Server,
        429 => ErrorClass::RateLimited,
        529 => ErrorClass::Overloaded,
        500.. => ErrorClass::Server,
        _ => ErrorClass::BadRequest,
    }
}

/// Whether the same request may succeed later.
pub(super) fn retryable(class: ErrorClass) -> bool {
    match class {
        ErrorClass::RateLimited
        | ErrorClass::Overloaded
        | ErrorClass::Server
        | ErrorClass::UpstreamInterrupted
        | ErrorClass::TruncatedStream
        | ErrorClass::MalformedChunk
        | ErrorClass::EmptyAnswer
        | ErrorClass::Timeout
        | ErrorClass::Network => true,
        ErrorClass::Auth
        | ErrorClass::Billing
        | ErrorClass::BadRequest
        | ErrorClass::ModelNotFound
        | ErrorClass::Permission
        | ErrorClass::MisconfiguredBaseUrl
        | ErrorClass::ContextOverflow
        | ErrorClass::ContentFiltered
        | ErrorClass::QuotaExhausted
        | ErrorClass::QuotaWindow
        | ErrorClass::HookFailed => false,
    }
}

/// What a person can do about it.
pub(super) fn advice(class: ErrorClass) -> Option<&'static str> {
    match class {
        ErrorClass::Auth => Some("check the GLM key"),
        ErrorClass::Billing => Some("check the account's balance and plan"),
        ErrorClass::ModelNotFound => Some("check the model's name"),
        ErrorClass::Permission => Some("check what the account may use"),
        ErrorClass::MisconfiguredBaseUrl => Some("check the base URL"),
        ErrorClass::ContextOverflow => Some("compact the history"),
        ErrorClass::BadRequest
        | ErrorClass::ContentFiltered
        | ErrorClass::RateLimited
        | ErrorClass::Overloaded
        | ErrorClass::QuotaExhausted
        | ErrorClass::QuotaWindow
        | ErrorClass::Server
        | ErrorClass::UpstreamInterrupted
        | ErrorClass::TruncatedStream
        | ErrorClass::MalformedChunk
        | ErrorClass::EmptyAnswer
        | ErrorClass::Timeout
        | ErrorClass::Network
        | ErrorClass::HookFailed => None,
    }
}
