//! Heads: what is understood, what goes out, and what is refused.

use proptest::prelude::*;

use super::*;

fn parse_text(head: &str) -> Result<Request, Refusal> {
    parse(head.as_bytes(), Vec::new())
}

fn code(head: &str) -> &'static str {
    match parse_text(head) {
        Ok(_) => "ok",
        Err(refusal) => refusal.reason.code(),
    }
}

/// The head that goes out for one that came in.
fn sent(head: &str) -> String {
    match parse_text(head).unwrap().kind {
        Kind::Exchange { head, .. } => String::from_utf8(head).unwrap(),
        Kind::Tunnel => panic!("not an exchange"),
    }
}

#[test]
fn connect_names_a_host_and_a_port() {
    let request =
        parse(b"CONNECT API.example.com.:443 HTTP/1.1\r\nHost: any\r\n\r\n", b"early".to_vec()).unwrap();
    let host = Host::Name("api.example.com".into());
    assert_eq!(request, Request { host, port: 443, kind: Kind::Tunnel, early: b"early".to_vec() });
    assert_eq!(code("CONNECT example.com HTTP/1.1\r\n\r\n"), "bad_host");
    assert_eq!(code("CONNECT http://example.com/ HTTP/1.1\r\n\r\n"), "bad_host");
    assert_eq!(code("CONNECT /path HTTP/1.1\r\n\r\n"), "bad_host");
}

/// Every way to write an address or a name that some program reads and ours could have read otherwise.
#[test]
fn odd_spellings_of_a_host_are_refused() {
    let odd = [
        "0x7f.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "00127.0.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "1.1.1.1.",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:8.8.8.8]",
        "::1",
        "[::1",
        "::1]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[1.1.1.1]",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "a.localhost",
        "intranet",
        "example.com..",
        ".example.com",
        "exa%6dple.com",
        "example%2ecom",
        "127.0.0.1%00.example.com",
        "a@example.com",
        "example.com@127.0.0.1",
        "user:pass@example.com",
        "example.com\\@evil.net",
        "example.com#",
        "example.com?",
        "example.com/",
        "example\u{3002}com",
        "example\u{ff0e}com",
        "\u{2460}.1.1.1",
        "\u{ff11}.1.1.1",
        "ex\u{e4}mple.com",
        "ⓔxample.com",
        "exam\u{ad}ple.com",
        "-a.example.com",
        "a..b",
        "*.example.com",
        "*",
    ];
    for host in odd {
        let refused = |head: &str| matches!(code(head), "bad_host" | "bad_request");
        assert!(refused(&format!("CONNECT {host}:443 HTTP/1.1\r\n\r\n")), "CONNECT {host}");
        let plain = format!("GET http://{host}:80/ HTTP/1.1\r\nHost: {host}:80\r\n\r\n");
        assert!(refused(&plain), "GET {host}");
    }
    for broken in ["exam\0ple.com", "exam ple.com", "example.com\t", "\u{7f}a.example"] {
        assert_eq!(code(&format!("CONNECT {broken}:443 HTTP/1.1\r\n\r\n")), "bad_request", "{broken:?}");
    }
    for port in ["", "0", "00443", "+443", "-1", "65536", "4 43", "0x1bb", "443,80", "４４３"] {
        let head = format!("CONNECT example.com:{port} HTTP/1.1\r\n\r\n");
        assert!(matches!(code(&head), "bad_host" | "bad_request"), "{port}");
    }
}

#[test]
fn a_plain_request_goes_out_as_a_server_reads_it() {
    let came = "POST HTTP://Example.com:8080/a?b=http://c HTTP/1.1\r\nX-Drop: 1\r\nhost: EXAMPLE.com.:8080\r\n\
                Connection: keep-alive, X-Drop\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\n\
                Keep-Alive: 5\r\nTE: trailers\r\nTrailer: X\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\
                Accept: */*\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(
        sent(came),
        "POST /a?b=http://c HTTP/1.1\r\nHost: example.com:8080\r\nAccept: */*\r\nExpect: 100-continue\r\n\
         Content-Length: 3\r\nConnection: close\r\n\r\n"
    );
    let bare = |target| sent(&format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n\r\n"));
    let expected = |path| format!("GET {path} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n");
    assert_eq!(bare("http://example.com"), expected("/"));
    assert_eq!(bare("http://example.com?x"), expected("/?x"));
    assert_eq!(bare("http://example.com:80/"), expected("/"));
    assert_eq!(
        sent("GET http://example.com/ HTTP/1.0\r\n\r\n"),
        "GET / HTTP/1.0\r\nHost: example.com\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(
        sent(
            "POST http://[2606:4700::1]/ HTTP/1.1\r\nHost: [2606:4700:0::1]\r\nConnection: content-length\r\n\
              Content-Length: 0\r\n\r\n"
        ),
        "POST / HTTP/1.1\r\nHost: [2606:4700::1]\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn what_two_programs_could_read_in_two_ways_is_refused() {
    let host = "Host: example.com\r\n";
    let get = |headers: &str| code(&format!("GET http://example.com/ HTTP/1.1\r\n{headers}\r\n"));
    let cases = [
        ("", "bad_request"),
        ("Host: evil.net\r\n", "bad_request"),
        ("Host: example.com:81\r\n", "bad_request"),
        ("Host: example.com\r\nHost: example.com\r\n", "bad_request"),
        ("Host : example.com\r\n", "bad_request"),
        ("Host: example.com\r\n evil.net\r\n", "bad_request"),
        ("Host: example.com\r\nContent-Length: 1\r\nContent-Length: 1\r\n", "bad_request"),
        ("Host: example.com\r\nContent-Length: 1, 1\r\n", "bad_request"),
        ("Host: example.com\r\nContent-Length: +1\r\n", "bad_request"),
        ("Host: example.com\r\nContent-Length: 99999999999999999999\r\n", "bad_request"),
        ("Host: example.com\r\nTransfer-Encoding: chunked\r\n", "length_required"),
        ("Host: example.com\r\nContent-Length: 1\r\nTransfer-Encoding: x\r\n", "length_required"),
        ("Host: example.com\r\nX: a\rb\r\n", "bad_request"),
        ("Host: example.com\r\nX: a\0b\r\n", "bad_request"),
        ("Host: example.com\r\n\n", "bad_request"),
    ];
    for (headers, expected) in cases {
        assert_eq!(get(headers), expected, "{headers:?}");
    }
    let many = |count| get(&(0..count).fold(host.to_owned(), |all, n| format!("{all}X-{n}: 1\r\n")));
    assert_eq!((many(99), many(100)), ("ok", "head_too_large"));
    let followed = parse(b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", b"G".to_vec());
    assert_eq!(followed.unwrap_err().reason, Reason::BadRequest("is followed by another one"));
}

#[test]
fn what_no_proxy_is_asked_for_is_refused() {
    for line in [
        "GET / HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET https://example.com/ HTTP/1.1",
        "GET ftp://example.com/ HTTP/1.1",
        "GET //example.com/ HTTP/1.1",
        "GET example.com HTTP/1.1",
        "GET http://example.com/#a HTTP/1.1",
        "GET http://example.com/\u{e4} HTTP/1.1",
        "GET http://example.com/ HTTP/2.0",
        "GET http://example.com/",
        "PRI * HTTP/2.0",
        "\u{5}\u{1}\0",
        "",
    ] {
        assert_eq!(code(&format!("{line}\r\nHost: example.com\r\n\r\n")), "bad_request", "{line:?}");
    }
}

#[tokio::test]
async fn a_head_is_read_in_any_pieces_up_to_its_limit() {
    let head = b"CONNECT example.com:443 HTTP/1.1\r\n\r\n";
    for piece in 1..=head.len() {
        let (mut to, mut from) = tokio::io::duplex(piece);
        let feed = async {
            tokio::io::AsyncWriteExt::write_all(&mut to, head).await.unwrap();
            drop(to);
        };
        let (request, ()) = tokio::join!(read(&mut from, head.len()), feed);
        assert_eq!(request.unwrap().unwrap().unwrap().port, 443, "in pieces of {piece}");
    }
    let over = read(&mut &head[..], head.len() - 1).await.unwrap().unwrap().unwrap_err();
    assert_eq!(over.reason, Reason::HeadTooLarge(head.len() - 1));
    let cut = read(&mut &head[..9], 100).await.unwrap().unwrap().unwrap_err();
    assert_eq!(cut.reason, Reason::BadRequest("ends within its head"));
    assert!(read(&mut &b""[..], 100).await.unwrap().is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_a_refusal(head in any::<Vec<u8>>(), early in any::<Vec<u8>>()) {
        let _ = parse(&head, early);
    }

    /// What goes out is one request, for the host that was judged, whatever came in.
    #[test]
    fn what_goes_out_is_the_one_request_that_was_judged(
        host in "[a-c]{1,3}\\.com(:[0-9]{1,4})?",
        path in "(/[!-~]{0,12})?",
        names in prop::collection::vec("(X-[A-Z]|Host|Connection|Content-Length|TE|Proxy-X)", 0..5),
        value in "[ -~\\r\\n]{0,12}",
    ) {
        let headers: String = names.iter().map(|name| format!("{name}: {value}\r\n")).collect();
        let head = format!("GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        let Some(end) = find_end(head.as_bytes()) else { return Ok(()) };
        let Ok(request) = parse(&head.as_bytes()[..end], Vec::new()) else { return Ok(()) };
        let Kind::Exchange { head, body } = request.kind else { panic!("not an exchange") };
        prop_assert_eq!(find_end(&head), Some(head.len()));
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut sent = httparse::Request::new(&mut headers);
        prop_assert_eq!(sent.parse(&head), Ok(Status::Complete(head.len())));
        prop_assert!(sent.path.is_some_and(|path| path.starts_with('/')));
        prop_assert_eq!(same_host(sent.headers, &request.host, request.port, 1), Ok(()));
        prop_assert_eq!(body_length(sent.headers), Ok((body > 0).then_some(body).or_else(|| {
            values(sent.headers, "content-length").next().map(|_| 0)
        })));
    }
}
