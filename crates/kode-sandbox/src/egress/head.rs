//! A request's head: read with a bound, parsed strictly, and written anew for the server that it goes to.
//!
//! What never belongs here: passing a head on as it came. What goes out is made of what was understood, so no server
//! can read another request in it than the one that was judged.

use std::io;

use httparse::{EMPTY_HEADER, Header, Status};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::host::{self, Host};
use super::refusal::{Reason, Refusal};

/// Headers of one request.
const MOST_HEADERS: usize = 100;
/// What ends a head.
const END: &[u8] = b"\r\n\r\n";
/// The port of an `http` address that names none.
const HTTP_PORT: u16 = 80;

/// Headers that are between a client and its proxy, or that are written anew.
const NOT_PASSED_ON: &[&str] =
    &["connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) kind: Kind,
    /// What came behind the head already: of a tunnel, or of the body.
    pub(super) early: Vec<u8>,
}

/// In which way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes both ways.
    Tunnel,
    /// One plain request and its answer.
    Exchange {
        /// The head as the server reads it.
        head: Vec<u8>,
        /// Bytes of the body.
        body: u64,
    },
}

/// Reads one request. `None` if the client left without having sent anything.
///
/// Takes at most `limit` bytes for the head and looks at each byte once, whatever pieces they come in.
pub(super) async fn read(
    from: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> io::Result<Option<Result<Request, Refusal>>> {
    let mut bytes = Vec::with_capacity(1_024);
    let mut seen = 0;
    loop {
        if let Some(at) = find_end(&bytes[seen..]) {
            let early = bytes.split_off(seen + at);
            return Ok(Some(parse(&bytes, early)));
        }
        seen = bytes.len().saturating_sub(END.len() - 1);
        let room = limit.saturating_sub(bytes.len());
        if room == 0 {
            return Ok(Some(Err(Refusal::untold(Reason::HeadTooLarge(limit)))));
        }
        if from.take(room as u64).read_buf(&mut bytes).await? == 0 {
            let cut = Refusal::untold(Reason::BadRequest("ends within its head"));
            return Ok((!bytes.is_empty()).then_some(Err(cut)));
        }
    }
}

fn find_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(END.len()).position(|window| window == END).map(|at| at + END.len())
}

/// Parses a head that ends in an empty line, and what came behind it.
pub(super) fn parse(head: &[u8], early: Vec<u8>) -> Result<Request, Refusal> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let refuse = |reason| Err(Refusal::untold(reason));
    match parsed.parse(head) {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return refuse(Reason::HeadTooLarge(head.len())),
        // Also where a bare line feed makes an empty line earlier: others might read on.
        Ok(_) | Err(_) => return refuse(Reason::BadRequest("is not one of HTTP/1.1")),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return refuse(Reason::BadRequest("is not one of HTTP/1.1"));
    };
    if method == "CONNECT" {
        return connect(target, early);
    }
    exchange(&Line { method, target, minor }, parsed.headers, early)
}

/// A request's first line.
struct Line<'a> {
    method: &'a str,
    target: &'a str,
    minor: u8,
}

fn connect(target: &str, early: Vec<u8>) -> Result<Request, Refusal> {
    match host::authority(target) {
        Ok((host, Some(port))) => Ok(Request { host, port, kind: Kind::Tunnel, early }),
        Ok((_, None)) => Err(bad_host(target, "has no port; write host:443")),
        Err(why) => Err(bad_host(target, why)),
    }
}

fn bad_host(text: &str, why: impl ToString) -> Refusal {
    Refusal::untold(Reason::BadHost(text.to_owned(), why.to_string()))
}

fn exchange(line: &Line<'_>, headers: &[Header<'_>], early: Vec<u8>) -> Result<Request, Refusal> {
    let (authority, path) = split(line.target).map_err(|why| Refusal::untold(Reason::BadRequest(why)))?;
    let (host, port) = host::authority(authority).map_err(|why| bad_host(authority, why))?;
    let port = port.unwrap_or(HTTP_PORT);
    let told = |reason| Refusal { target: Some((host.to_string(), port)), reason };
    same_host(headers, &host, port, line.minor).map_err(|why| told(Reason::BadRequest(why)))?;
    let body = body_length(headers).map_err(told)?;
    if early.len() as u64 > body.unwrap_or(0) {
        return Err(told(Reason::BadRequest("is followed by another one")));
    }
    let head = rewritten(line, path, &host, port, headers, body);
    Ok(Request { host, port, kind: Kind::Exchange { head, body: body.unwrap_or(0) }, early })
}

/// The authority and the path of an absolute `http` address.
fn split(target: &str) -> Result<(&str, &str), &'static str> {
    const SCHEME: &str = "http://";
    if !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("has a path with characters that must be percent-encoded");
    }
    match target.get(..SCHEME.len()) {
        Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => {}
        _ if target.get(..8).is_some_and(|https| https.eq_ignore_ascii_case("https://")) => {
            return Err("names an https address, which needs CONNECT");
        }
        _ => return Err("does not name its host in its first line, as one to a proxy does"),
    }
    let rest = &target[SCHEME.len()..];
    if rest.contains('#') {
        return Err("has a fragment, which is never sent");
    }
    Ok(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

fn values<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The `Host` header names the host that is judged, or a server could choose another one by it.
fn same_host(headers: &[Header<'_>], host: &Host, port: u16, minor: u8) -> Result<(), &'static str> {
    let mut hosts = values(headers, "host");
    match (hosts.next(), hosts.next()) {
        (None, _) if minor == 0 => Ok(()),
        (None, _) => Err("has no Host header"),
        (Some(_), Some(_)) => Err("has more than one Host header"),
        (Some(value), None) => {
            let text = std::str::from_utf8(value).unwrap_or_default();
            match host::authority(text) {
                Ok((named, at)) if named == *host && at.unwrap_or(HTTP_PORT) == port => Ok(()),
                _ => Err("has a Host header that is not the host of its first line"),
            }
        }
    }
}

fn body_length(headers: &[Header<'_>]) -> Result<Option<u64>, Reason> {
    if values(headers, "transfer-encoding").next().is_some() {
        return Err(Reason::LengthRequired);
    }
    let mut lengths = values(headers, "content-length");
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(Reason::BadRequest("has more than one Content-Length")),
        (Some(value), None) => {
            let digits = std::str::from_utf8(value).unwrap_or_default();
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let length = if plain { digits.parse().ok() } else { None };
            length.map(Some).ok_or(Reason::BadRequest("has a Content-Length that is not a number"))
        }
    }
}

fn rewritten(
    line: &Line<'_>,
    path: &str,
    host: &Host,
    port: u16,
    headers: &[Header<'_>],
    body: Option<u64>,
) -> Vec<u8> {
    let slash = if path.starts_with('/') { "" } else { "/" };
    let port = if port == HTTP_PORT { String::new() } else { format!(":{port}") };
    let mut head =
        format!("{} {slash}{path} HTTP/1.{}\r\nHost: {host}{port}\r\n", line.method, line.minor).into_bytes();
    let named: Vec<String> = values(headers, "connection")
        .flat_map(|value| value.split(|b| *b == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .collect();
    for header in headers.iter().filter(|header| is_passed_on(header.name, &named)) {
        head.extend_from_slice(header.name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(header.value);
        head.extend_from_slice(b"\r\n");
    }
    if let Some(length) = body {
        head.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
    }
    head.extend_from_slice(b"Connection: close\r\n\r\n");
    head
}

fn is_passed_on(name: &str, named: &[String]) -> bool {
    let name = name.to_ascii_lowercase();
    !NOT_PASSED_ON.contains(&&*name) && !name.starts_with("proxy-") && !named.contains(&name)
}

#[cfg(test)]
mod tests;
