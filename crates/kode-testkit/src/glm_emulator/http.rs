//! As much of HTTP/1.1 as an emulator needs: reads a request, writes a head and chunks.
//!
//! Written by hand because a test wants to cut, hold and watch the connection at any byte, which a server
//! library takes care to prevent.

use std::io::{self, ErrorKind};

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};

/// Most bytes of a request's head or body.
const MOST: usize = 64 * 1024 * 1024;

/// A request, not yet understood.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Incoming {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the next request; none when the client has closed the connection.
pub(super) async fn read<R, W>(from: &mut R, to: &mut W) -> io::Result<Option<Incoming>>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Some(start) = line(from).await? else { return Ok(None) };
    let mut words = start.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut incoming = Incoming { method, path, ..Incoming::default() };
    incoming.headers = headers(from).await?;
    if incoming.header("expect").is_some_and(|wish| wish.eq_ignore_ascii_case("100-continue")) {
        to.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    incoming.body = body(from, &incoming).await?;
    Ok(Some(incoming))
}

async fn headers<R: AsyncBufRead + Unpin>(from: &mut R) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let header = line(from).await?.ok_or(ErrorKind::UnexpectedEof)?;
        let Some((name, value)) = header.split_once(':') else {
            return if header.is_empty() { Ok(headers) } else { Err(ErrorKind::InvalidData.into()) };
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

async fn body<R: AsyncBufRead + Unpin>(from: &mut R, incoming: &Incoming) -> io::Result<Vec<u8>> {
    if incoming.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return chunked(from).await;
    }
    let length = incoming.header("content-length").unwrap_or("0");
    exactly(from, length.parse().map_err(|_| ErrorKind::InvalidData)?).await
}

async fn chunked<R: AsyncBufRead + Unpin>(from: &mut R) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(from).await?.ok_or(ErrorKind::UnexpectedEof)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| ErrorKind::InvalidData)?;
        body.extend(exactly(from, size).await?);
        // The line end behind a chunk; behind the last one the trailer's blank line.
        line(from).await?;
        if size == 0 {
            return Ok(body);
        }
    }
}

async fn exactly<R: AsyncRead + Unpin>(from: &mut R, length: usize) -> io::Result<Vec<u8>> {
    if length > MOST {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok(body)
}

/// The next line without its end; none at the end of the connection.
async fn line<R: AsyncBufRead + Unpin>(from: &mut R) -> io::Result<Option<String>> {
    let mut line = String::new();
    if from.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The head of an answer whose body comes in chunks.
pub(super) fn head(status: u16, content_type: &str, headers: &[(String, String)]) -> String {
    let extra: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "HTTP/1.1 {status} emulated\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n{extra}\r\n"
    )
}

/// One chunk of a body. An empty one would end it.
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// What ends a body in good order.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Returns once the client has closed its side.
pub(super) async fn closed<R: AsyncBufRead + Unpin>(from: &mut R) {
    match from.fill_buf().await {
        Ok(bytes) if !bytes.is_empty() => std::future::pending().await, // It already asks for the next thing.
        Ok(_) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(wire: &str) -> io::Result<Option<Incoming>> {
        let mut sent = Vec::new();
        read(&mut wire.as_bytes(), &mut sent).await
    }

    #[tokio::test]
    async fn a_body_comes_by_length_or_in_chunks() {
        let length = "POST /p HTTP/1.1\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello";
        let chunked =
            "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n";
        for wire in [length, chunked] {
            let incoming = parse(wire).await.unwrap().unwrap();
            assert_eq!((incoming.method.as_str(), incoming.path.as_str()), ("POST", "/p"));
            assert_eq!(incoming.body, b"hello");
        }
    }

    #[tokio::test]
    async fn a_closed_connection_is_no_request_and_a_cut_one_an_error() {
        assert!(parse("").await.unwrap().is_none());
        assert!(parse("POST /p HTTP/1.1\r\nContent-Length: 9\r\n\r\nhello").await.is_err());
        assert!(parse("POST /p HTTP/1.1\r\nnonsense\r\n\r\n").await.is_err());
    }
}
