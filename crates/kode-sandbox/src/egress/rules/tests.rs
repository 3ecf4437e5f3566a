//! Rules: what each spelling allows, and what is said of those that are none.

use proptest::prelude::*;

use super::*;

fn rules(entries: &[&str]) -> Result<Rules, BadRule> {
    Rules::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
}

/// Whether a request for `target` would be let through by the rules, in the spelling of a request.
fn allows(entries: &[&str], target: &str) -> bool {
    let Ok((host, Some(port))) = host::authority(target) else { return false };
    rules(entries).unwrap().allow(&host, port)
}

#[test]
fn a_rule_allows_what_it_says_and_no_more() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "api.example.com",
            &["api.example.com:443", "api.example.com:80", "API.Example.COM.:443"],
            &[
                "api.example.com:8443",
                "example.com:443",
                "x.api.example.com:443",
                "xapi.example.com:443",
                "api.example.com.evil.net:443",
                "api.example.co:443",
                "api-example.com:443",
            ],
        ),
        (
            "*.Example.com.",
            &["a.example.com:443", "a.b.example.com:80", "A.EXAMPLE.COM:443"],
            &["example.com:443", "aexample.com:443", "a.example.com.evil.net:443", "a.example.com:22"],
        ),
        ("git.example.com:22", &["git.example.com:22"], &["git.example.com:443", "git.example.com:80"]),
        ("*.example.com:8443", &["a.example.com:8443"], &["a.example.com:443"]),
        ("1.1.1.1", &["1.1.1.1:443"], &["1.1.1.2:443", "1.1.1.1:53"]),
        ("[2606:4700:0::1111]:853", &["[2606:4700::1111]:853"], &["[2606:4700::1111]:443"]),
        ("2606:4700::1111", &["[2606:4700::1111]:443"], &["[2606:4700::1112]:443"]),
        ("xn--bcher-kva.example", &["xn--bcher-kva.example:443"], &["bücher.example:443"]),
        ("a_b.example.com", &["a_b.example.com:443"], &["ab.example.com:443"]),
    ];
    for (rule, allowed, not) in cases {
        for target in *allowed {
            assert!(allows(&[rule], target), "{rule} allows {target}");
        }
        for target in *not {
            assert!(!allows(&[rule], target), "{rule} does not allow {target}");
        }
    }
    assert!(allows(&["a.example", "b.example"], "b.example:443"), "any rule is enough");
}

#[test]
fn an_empty_list_allows_nothing() {
    assert!(rules(&[]).unwrap().is_empty());
    assert!(!allows(&[], "example.com:443"));
    assert!(!rules(&["example.com"]).unwrap().is_empty());
}

#[test]
fn a_bad_rule_says_which_it_is_what_is_wrong_and_what_to_write() {
    let cases = [
        ("", "is empty or longer"),
        ("*", "there is no rule for all hosts"),
        ("*:443", "there is no rule for all hosts"),
        ("a.*.example.com", "write *.example.com"),
        ("*example.com", "write *.example.com"),
        ("*.com", "is a single word"),
        ("*.*.com", "has a character"),
        ("*.1.1.1.1", "write the addresses"),
        ("localhost", "is a single word"),
        ("api.localhost", "is the local host's name"),
        ("intranet", "is a single word"),
        ("https://api.example.com", "without a scheme, a user or a path"),
        ("api.example.com/v1", "without a scheme, a user or a path"),
        ("me@example.com", "without a scheme, a user or a path"),
        (" example.com", "has a character"),
        ("example.com\0", "has a character"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("example。com", "write it in punycode"),
        ("a..example.com", "has an empty part"),
        (".example.com", "has an empty part"),
        ("-a.example.com", "hyphen at its edge"),
        ("example.com..", "has an empty part"),
        ("example.com:", "has a port that is not"),
        ("example.com:0", "has a port that is not"),
        ("example.com:0443", "has a port that is not"),
        ("example.com:+443", "has a character"),
        ("example.com:65536", "has a port that is not"),
        ("127.0.0.1", "not an address of the outside world (loopback)"),
        ("10.1.2.3:443", "not an address of the outside world (private)"),
        ("169.254.169.254", "not an address of the outside world (link-local)"),
        ("[::1]", "not an address of the outside world (loopback)"),
        ("fd00::1", "not an address of the outside world (private)"),
        ("[64:ff9b::10.0.0.1]", "not an address of the outside world (private)"),
        ("::ffff:8.8.8.8", "write it as IPv4"),
        ("[8.8.8.8]", "is not an IPv6 address"),
        ("fe80::1%eth0", "without a zone"),
        ("[2606:4700::1111", "is not an IPv6 address"),
        ("127.1", "four decimal numbers"),
        ("0x7f.1", "four decimal numbers"),
        ("0x7f000001", "four decimal numbers"),
        ("2130706433", "four decimal numbers"),
        ("0177.0.0.1", "four decimal numbers"),
        ("8.8.8.8.", "four decimal numbers"),
        ("1.2.3.4.5", "four decimal numbers"),
    ];
    for (entry, why) in cases {
        let bad = rules(&["example.com", entry]).expect_err(entry);
        let text = bad.to_string();
        assert!(text.starts_with("sandbox.network[1]: \"") && text.contains(why), "{entry:?}: {text}");
        assert_eq!((bad.index(), FileError::from(bad).to_string()), (1, text));
    }
    let long = format!("{}.example.com", "a".repeat(64));
    assert!(rules(&[&long]).unwrap_err().to_string().contains("more than 63 characters"));
    let longer = format!("{}example.com", "a.".repeat(130));
    assert!(rules(&[&longer]).unwrap_err().to_string().contains("longer than 253"));
}

#[test]
fn what_is_shown_of_a_rule_is_printable_and_short() {
    let text = rules(&[&format!("\u{1b}[2J\u{202e}{}", "x".repeat(10_000))]).unwrap_err().to_string();
    assert!(text.len() < 600 && text.is_ascii() && !text.contains('\u{1b}'), "{text}");
}

/// Names, addresses and near misses of both.
fn host_text() -> impl Strategy<Value = String> {
    let name = r"(\*\.)?([a-c]{1,2}\.){0,3}(com|example\.com|COM\.|1|0x7f)(:(443|80|8443|0))?";
    prop_oneof![name, r"[0-9a-fx.:\[\]*]{0,20}", r"\PC{0,20}", any::<String>()]
}

proptest! {
    #[test]
    fn any_text_is_a_rule_or_an_error(entry in host_text(), target in host_text()) {
        let _ = host::authority(&target);
        let _ = Rules::parse(&[entry]);
    }

    /// Said again without the types: what is let through is the rule's text, or ends in it, and has no other
    /// character than a name or an address has.
    #[test]
    fn what_is_allowed_matches_a_rule_as_text(entry in host_text(), target in host_text()) {
        let (Ok(rules), Ok((host, Some(port)))) = (Rules::parse(std::slice::from_ref(&entry)), host::authority(&target))
        else { return Ok(()) };
        if rules.allow(&host, port) {
            let plain = |text: &str| text.to_ascii_lowercase().replace(['[', ']'], "");
            let without_port = |text: &str| match text.rsplit_once(':') {
                Some((host, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) && !host.ends_with(':')
                    && (host.ends_with(']') || !host.contains(':')) => host.to_owned(),
                _ => text.to_owned(),
            };
            let (rule, asked) = (plain(&without_port(&entry)), plain(&without_port(&target)));
            let (rule, asked) = (rule.trim_end_matches('.'), asked.trim_end_matches('.'));
            let is_match = match rule.strip_prefix('*') {
                Some(tail) => asked.len() > tail.len() && asked.ends_with(tail),
                None => asked == rule || rule.parse::<std::net::Ipv6Addr>().ok() == asked.parse().ok(),
            };
            prop_assert!(is_match, "{} let {} through", entry, target);
            prop_assert!(target.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b)));
        }
    }

    #[test]
    fn a_host_reads_as_it_is_written(target in host_text()) {
        if let Ok((host, _)) = host::authority(&target) {
            prop_assert_eq!(host::authority(&host.to_string()), Ok((host, None)));
        }
    }
}
