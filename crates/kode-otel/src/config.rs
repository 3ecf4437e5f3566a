//! The environment's `OTEL_…`, checked before anything is sent. What a span is made of never belongs here.
//!
//! What is not read here is read by the SDK: the service's name, attributes of the resource, headers, sampling, sizes and
//! times of batches.

use http::Uri;

/// Where to send to, and what may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtelConfig {
    pub(crate) traces: Option<String>,
    pub(crate) metrics: Option<String>,
    /// Whether spans name agents by their ids; by a hash otherwise.
    pub show_agents: bool,
}

/// Why nothing can be sent. Holds no value of the environment: an address may have a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtelError {
    /// The address is none.
    #[error("{0} is no address of a collector; write one such as http://127.0.0.1:4318")]
    Endpoint(String),
    /// Another protocol than is spoken.
    #[error("{0} asks for a protocol that is not spoken here; write http/protobuf, or leave it out")]
    Protocol(String),
    /// Another exporter than there is.
    #[error("{0} asks for an exporter that there is not; write otlp or none, or leave it out")]
    Exporter(String),
    /// Headers that are none.
    #[error("{0} is no list of headers; write name=value, with commas between several")]
    Headers(String),
    /// The exporter refused.
    #[error("the exporter of traces and metrics cannot be made: {0}")]
    Exporting(String),
}

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

impl OtelConfig {
    /// Reads the environment. None where nothing is to be sent: no address is set, or `OTEL_SDK_DISABLED` is `true`.
    ///
    /// # Errors
    /// The variable that is wrong.
    pub fn from_env(env: Env<'_>) -> Result<Option<Self>, OtelError> {
        let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        if env("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let traces = signal(&env, "TRACES", "/v1/traces")?;
        let metrics = signal(&env, "METRICS", "/v1/metrics")?;
        Ok((traces.is_some() || metrics.is_some()).then_some(Self { traces, metrics, show_agents: false }))
    }
}

/// Where one kind of telemetry goes.
fn signal(env: Env<'_>, kind: &str, path: &str) -> Result<Option<String>, OtelError> {
    let exporter = format!("OTEL_{kind}_EXPORTER");
    match env(&exporter).as_deref().map(str::trim) {
        Some("none") => return Ok(None),
        None | Some("otlp") => {}
        Some(_) => return Err(OtelError::Exporter(exporter)),
    }
    // The address of one kind is taken as it is; that of all gets the kind's path.
    let (own, all) = (format!("OTEL_EXPORTER_OTLP_{kind}_ENDPOINT"), "OTEL_EXPORTER_OTLP_ENDPOINT");
    let endpoint = match (env(&own), env(all)) {
        (Some(address), _) => checked(&own, &address)?,
        (None, Some(address)) => format!("{}{path}", checked(all, &address)?.trim_end_matches('/')),
        (None, None) => return Ok(None),
    };
    for name in [format!("OTEL_EXPORTER_OTLP_{kind}_PROTOCOL"), "OTEL_EXPORTER_OTLP_PROTOCOL".into()] {
        if env(&name).is_some_and(|protocol| protocol.trim() != "http/protobuf") {
            return Err(OtelError::Protocol(name));
        }
    }
    for name in [format!("OTEL_EXPORTER_OTLP_{kind}_HEADERS"), "OTEL_EXPORTER_OTLP_HEADERS".into()] {
        if env(&name).is_some_and(|list| !list.split(',').all(is_header)) {
            return Err(OtelError::Headers(name));
        }
    }
    Ok(Some(endpoint))
}

fn checked(name: &str, address: &str) -> Result<String, OtelError> {
    let address = address.trim();
    let uri: Option<Uri> = address.parse().ok();
    let good = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    if good { Ok(address.to_owned()) } else { Err(OtelError::Endpoint(name.to_owned())) }
}

fn is_header(pair: &str) -> bool {
    let Some((name, value)) = pair.split_once('=') else { return false };
    let name = name.trim();
    http::HeaderName::try_from(name).is_ok() && http::HeaderValue::try_from(value.trim()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Option<OtelConfig>, OtelError> {
        let find =
            |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        OtelConfig::from_env(&find)
    }

    fn endpoints(vars: &[(&str, &str)]) -> (Option<String>, Option<String>) {
        read(vars).unwrap().map_or((None, None), |config| (config.traces, config.metrics))
    }

    const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

    #[test]
    fn nothing_is_sent_unless_it_is_said_where() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("OTEL_SERVICE_NAME", "chat"), (ALL, " ")]), Ok(None));
        assert_eq!(read(&[(ALL, "http://c:4318"), ("OTEL_SDK_DISABLED", "True")]), Ok(None));
        let none = [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none"), (ALL, "http://c")];
        assert_eq!(read(&none), Ok(None));
    }

    #[test]
    fn an_address_of_all_gets_paths_and_that_of_one_kind_none() {
        let both = (Some("http://c:4318/at/v1/traces".into()), Some("http://c:4318/at/v1/metrics".into()));
        assert_eq!(endpoints(&[(ALL, "http://c:4318/at/")]), both);
        let own = [(ALL, "http://c"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t.example/in")];
        assert_eq!(
            endpoints(&own),
            (Some("https://t.example/in".into()), Some("http://c/v1/metrics".into()))
        );
    }

    #[test]
    fn what_is_wrong_is_named_and_not_shown() {
        let good = (ALL, "http://c:4318");
        let wrong = [
            vec![(ALL, "collector:4318")],
            vec![(ALL, "grpc://user:secret@c:4317")],
            vec![(ALL, "http://")],
            vec![(ALL, "not a url secret")],
            vec![good, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            vec![good, ("OTEL_TRACES_EXPORTER", "zipkin")],
            vec![good, ("OTEL_EXPORTER_OTLP_HEADERS", "authorization")],
            vec![good, ("OTEL_EXPORTER_OTLP_HEADERS", "bad name=secret")],
        ];
        for vars in wrong {
            let said = read(&vars).expect_err("it is wrong").to_string();
            assert!(said.contains(vars.last().unwrap().0) && !said.contains("secret"), "{said}");
        }
    }
}
