//! kode's built-in tools over the sandbox port
