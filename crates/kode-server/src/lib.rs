//! kode over HTTP: routes, server-sent events, error bodies
