//! Panics in the log: where, and with which words, but for the secrets that the server holds. What the standard library
//! prints by itself is whatever was at hand when something broke.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};

use kode_core::secrets::Secrets;

/// Longest words of a panic that are told, in bytes.
const WORDS: usize = 1_000;

/// Tells of panics from now on, in every thread.
pub(crate) fn to_the_log(secrets: Secrets) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = words(panic.payload(), &secrets);
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => tracing::error!(place, words, %backtrace, "something panicked"),
            _ => tracing::error!(place, words, "something panicked"),
        }
    }));
}

/// What a panic says.
fn words(payload: &(dyn Any + Send), secrets: &Secrets) -> String {
    let literal = payload.downcast_ref::<&'static str>().copied();
    let said = literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    // Cut only then: half a secret is not known for one.
    let clean = secrets.scrub(said.unwrap_or("something that is no text"));
    clean[..clean.floor_char_boundary(WORDS)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, panic_any};

    use super::*;

    #[test]
    fn a_panic_says_no_secret_and_not_more_than_fits() {
        let secrets = Secrets::new(["canary-of-a-panic"]);
        let told = |payload: Box<dyn Any + Send>| words(&*payload, &secrets);
        let key = "canary-of-a-panic";
        let formatted = catch_unwind(|| panic!("no {key}, only {}", "é".repeat(WORDS))).unwrap_err();
        let said = told(formatted);
        assert!(said.starts_with("no [redacted], only é") && said.len() <= WORDS, "{said}");
        assert_eq!(told(catch_unwind(|| panic!("plain")).unwrap_err()), "plain");
        assert_eq!(told(catch_unwind(|| panic_any(7)).unwrap_err()), "something that is no text");
    }
}
