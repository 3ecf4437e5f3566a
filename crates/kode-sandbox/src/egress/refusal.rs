//! What is refused: the code that an event says, and the answer that the process reads.
//!
//! What never belongs here: an address that a name led to. Who asks learns the kind of address, no more, as the
//! names of a private network are not the process's business.

use std::borrow::Cow;

use super::rules::shown;

/// A request that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The host and port that were asked for, as far as they could be read.
    pub(super) target: Option<(String, u16)>,
    pub(super) reason: Reason,
}

impl Refusal {
    /// Of a request whose target is not known.
    pub(super) const fn untold(reason: Reason) -> Self {
        Self { target: None, reason }
    }
}

/// Why. The codes are stable; the words are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// No rule names the host and port.
    NotAllowed,
    /// The target is not spelled as a host and port are; its text, and what is wrong with it.
    BadHost(String, String),
    /// The name leads to an address of this kind that is not of the outside world.
    PrivateAddress(&'static str),
    /// The name has no address, or none came in time.
    Unresolvable,
    /// No address could be connected to.
    ConnectFailed,
    /// The command has moved as many bytes as it may.
    ByteLimit(u64),
    /// It is not a request that a proxy carries out.
    BadRequest(&'static str),
    /// It has a body whose length is not said.
    LengthRequired,
    /// Its head is longer than this.
    HeadTooLarge(usize),
    /// Its head did not come in time.
    HeadTimeout,
}

impl Reason {
    /// What events and the status line call it.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::BadHost(..) => "bad_host",
            Self::PrivateAddress(_) => "private_address",
            Self::Unresolvable => "unresolvable",
            Self::ConnectFailed => "connect_failed",
            Self::ByteLimit(_) => "byte_limit",
            Self::BadRequest(_) => "bad_request",
            Self::LengthRequired => "length_required",
            Self::HeadTooLarge(_) => "head_too_large",
            Self::HeadTimeout => "head_timeout",
        }
    }

    const fn status(&self) -> u16 {
        match self {
            Self::NotAllowed | Self::PrivateAddress(_) | Self::ByteLimit(_) => 403,
            Self::BadHost(..) | Self::BadRequest(_) => 400,
            Self::Unresolvable | Self::ConnectFailed => 502,
            Self::LengthRequired => 411,
            Self::HeadTooLarge(_) => 431,
            Self::HeadTimeout => 408,
        }
    }

    /// What is so, and what can be done.
    fn words(&self) -> Cow<'static, str> {
        match self {
            Self::NotAllowed => "The agent's template allows no connection to this host and port.\n\
                Trying again does not help. Do without it, or ask the operator to add the host to the list\n\
                sandbox.network of the template."
                .into(),
            Self::BadHost(text, why) => {
                format!("The host \"{}\" {why}.\nWrite it so, and ask again.", shown(text)).into()
            }
            Self::PrivateAddress(word) => format!(
                "The host leads to an address that is not of the outside world ({word}).\n\
                 No entry of sandbox.network opens such an address."
            )
            .into(),
            Self::Unresolvable => "The host's name could not be resolved.\n\
                Look whether it is written right, or try again later."
                .into(),
            Self::ConnectFailed => "The host could not be connected to. Try again later.".into(),
            Self::ByteLimit(limit) => format!(
                "This command has moved the {limit} bytes that a command may move over the network.\n\
                 Move less, or do it with several commands."
            )
            .into(),
            Self::BadRequest(why) => format!(
                "The request {why}.\n\
                 This proxy takes `CONNECT host:port` and `METHOD http://host/path`, one on each connection."
            )
            .into(),
            Self::LengthRequired => "The request has a body whose length is not said.\n\
                Send a Content-Length and no Transfer-Encoding, or use https."
                .into(),
            Self::HeadTooLarge(limit) => {
                format!("The head of the request is longer than {limit} bytes or 100 headers.").into()
            }
            Self::HeadTimeout => "The head of the request did not come in time.".into(),
        }
    }
}

/// The whole answer. The code is in the status line too, as many clients show nothing else of a refused `CONNECT`.
pub(super) fn answer(refusal: &Refusal) -> String {
    let (status, code) = (refusal.reason.status(), refusal.reason.code());
    let what = match &refusal.target {
        Some((host, port)) => format!("{host}:{port}"),
        None => "a request".into(),
    };
    let body = format!("kode refused {what}: {code}\n{}\n", refusal.reason.words());
    format!(
        "HTTP/1.1 {status} Refused by the sandbox ({code})\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}
