//! What kind of failure the provider tells of, and whether another attempt may help.
//!
//! Only reads what was answered. Whether an attempt is made, and when, is the machine's to say.

mod report;
mod retry_after;
mod table;

use kode_core::id::Millis;
use kode_core::model::{ErrorClass, ModelError};
use serde_json::Value;

use self::report::Report;
pub use self::retry_after::retry_after;

/// The failure that an HTTP answer stands for: its status, its body of whatever shape, and how many
/// milliseconds it asks to wait. The body's business code wins over the status.
#[must_use]
pub fn answer(status: u16, body: &[u8], retry_after: Option<Millis>) -> ModelError {
    let report = Report::of_bytes(body);
    let class = if report.no_route {
        ErrorClass::MisconfiguredBaseUrl
    } else {
        report.code.as_deref().and_then(table::of_code).unwrap_or_else(|| table::of_status(status))
    };
    let fallback = || format!("the provider answered with http status {status}");
    ModelError { retry_after, ..error(class, report, fallback) }
}

/// The failure that a frame inside a stream stands for. Where the provider failed, it did so in mid-answer.
#[must_use]
pub fn in_band(body: &Value) -> ModelError {
    of_report(Report::of(body))
}

/// The same for the data of an `event: error` frame, which may be no JSON.
#[must_use]
pub fn in_band_bytes(data: &[u8]) -> ModelError {
    of_report(Report::of_bytes(data))
}

fn of_report(report: Report) -> ModelError {
    let class = match report.code.as_deref().and_then(table::of_code) {
        None | Some(ErrorClass::Server) => ErrorClass::UpstreamInterrupted,
        Some(class) => class,
    };
    error(class, report, || "the provider gave up in mid-answer".to_owned())
}

/// The address answered, but not as a chat API does.
#[must_use]
pub fn not_a_chat_api() -> ModelError {
    let nothing_said = || "the address did not answer as a chat API does".to_owned();
    error(ErrorClass::MisconfiguredBaseUrl, Report::default(), nothing_said)
}

fn error(class: ErrorClass, report: Report, fallback: impl FnOnce() -> String) -> ModelError {
    let said = report.message.unwrap_or_else(fallback);
    let message = match table::advice(class) {
        None => said,
        Some(advice) => format!("{said}; {advice}"),
    };
    ModelError {
        class,
        message,
        provider_code: report.code,
        retryable: table::retryable(class),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(status: u16, body: &Value) -> (ErrorClass, bool) {
        let error = answer(status, body.to_string().as_bytes(), None);
        (error.class, error.retryable)
    }

    #[test]
    fn the_business_code_wins_over_the_status() {
        let coded = |code: Value| json!({"error": {"code": code, "message": "m"}});
        assert_eq!(class(429, &coded(json!("1113"))), (ErrorClass::Billing, false));
        assert_eq!(class(400, &coded(json!(1302))), (ErrorClass::RateLimited, true));
        assert_eq!(class(200, &coded(json!("1261"))), (ErrorClass::ContextOverflow, false));
        assert_eq!(class(503, &coded(json!("9999"))), (ErrorClass::Server, true));
        assert_eq!(
            class(400, &coded(json!("context_length_exceeded"))),
            (ErrorClass::ContextOverflow, false)
        );
    }

    #[test]
    fn every_code_of_the_table_has_its_class() {
        let table: &[(&[u16], ErrorClass)] = &[
            (&[401, 1000, 1001, 1002, 1003, 1004, 1005], ErrorClass::Auth),
            (&[1110, 1111, 1112, 1113, 1120, 1121, 1309, 1314, 1315], ErrorClass::Billing),
            (&[1210, 1212, 1213, 1214, 1215, 1221, 1222], ErrorClass::BadRequest),
            (&[1211], ErrorClass::ModelNotFound),
            (&[1220, 1311, 1313], ErrorClass::Permission),
            (&[1261], ErrorClass::ContextOverflow),
            (&[1300, 1301], ErrorClass::ContentFiltered),
            (&[1302, 1303], ErrorClass::RateLimited),
            (&[1304], ErrorClass::QuotaExhausted),
            (&[1305], ErrorClass::Overloaded),
            (&[1308, 1310, 1316, 1321], ErrorClass::QuotaWindow),
            (&[408, 500, 502, 503, 504, 1200, 1230, 1234], ErrorClass::Server),
        ];
        for (codes, class) in table {
            for code in *codes {
                assert_eq!(table::of_code(&code.to_string()), Some(*class), "{code}");
            }
        }
        assert_eq!(table::of_code("1399"), None);
    }

    #[test]
    fn without_a_code_the_status_decides() {
        let plain = |status| answer(status, b"<html>", None).class;
        assert_eq!(plain(401), ErrorClass::Auth);
        assert_eq!(plain(403), ErrorClass::Permission);
        assert_eq!(plain(302), ErrorClass::MisconfiguredBaseUrl);
        assert_eq!(plain(404), ErrorClass::MisconfiguredBaseUrl);
        assert_eq!(plain(422), ErrorClass::BadRequest);
        assert_eq!(plain(429), ErrorClass::RateLimited);
        assert_eq!(plain(502), ErrorClass::Server);
        assert_eq!(plain(529), ErrorClass::Overloaded);
    }

    #[test]
    fn a_body_in_the_form_of_a_stream_is_read_too() {
        let body =
            b"event: error\ndata: {\"error\":{\"code\":\"1305\",\"message\":\"m\"}}\n\ndata: [DONE]\n\n";
        let error = answer(429, body, None);
        assert_eq!((error.class, error.message.as_str()), (ErrorClass::Overloaded, "m"));
    }

    #[test]
    fn a_quota_error_shows_when_it_ends_and_keeps_the_wish_to_wait() {
        let body = json!({"error": {"code": "1308", "message": "used up,\nreset at 05:38"}});
        let error = answer(429, body.to_string().as_bytes(), Some(7));
        let expected = ModelError {
            class: ErrorClass::QuotaWindow,
            message: "used up, reset at 05:38".into(),
            provider_code: Some("1308".into()),
            retryable: false,
            retry_after: Some(7),
        };
        assert_eq!(error, expected);
    }

    #[test]
    fn a_failure_inside_a_stream_is_an_interruption_unless_its_code_says_more() {
        let told = |code: &str| in_band(&json!({"error": {"code": code, "message": "m"}})).class;
        assert_eq!(told("1234"), ErrorClass::UpstreamInterrupted);
        assert_eq!(told("500"), ErrorClass::UpstreamInterrupted);
        assert_eq!(told("77"), ErrorClass::UpstreamInterrupted);
        assert_eq!(told("1301"), ErrorClass::ContentFiltered);
        assert_eq!(told("1302"), ErrorClass::RateLimited);
        assert_eq!(in_band_bytes(b"boom").message, "boom");
        assert_eq!(in_band_bytes(b"{\"code\":\"1305\",\"message\":\"m\"}").class, ErrorClass::Overloaded);
    }
}
