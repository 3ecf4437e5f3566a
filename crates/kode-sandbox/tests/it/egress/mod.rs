//! The proxy from end to end, over loopback: what is carried, and when it ends. What is refused has a room beside.

mod refused;
mod world;

use std::time::Duration;

use kode_sandbox::egress::Limits;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use world::{PUBLIC, World, connect, is_gone, line, rest};

fn notice(kind: &str, data: serde_json::Value) -> (String, serde_json::Value) {
    (kind.to_owned(), data)
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_and_each_end_ends_alone() {
    let mut world = World::new(&["example.com"]).await;
    let (mut client, mut server) = world.tunnel().await;

    client.write_all(b"question\n").await.unwrap();
    assert_eq!(line(&mut server).await, "question");
    server.write_all(b"answer\n").await.unwrap();
    assert_eq!(line(&mut client).await, "answer");

    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "the client's end is passed on");
    server.write_all(b"and more").await.unwrap();
    drop(server);
    assert_eq!(rest(client).await, "and more");

    let told = json!({ "host": "example.com", "port": 443, "up": 9, "down": 15 });
    assert_eq!(world.notice().await, notice("egress", told));
    assert_eq!(world.dialled(), [format!("{PUBLIC}:443")]);
    assert_eq!(world.end().await, []);
}

#[tokio::test]
async fn what_follows_a_connect_at_once_is_carried() {
    let world = World::new(&["example.com"]).await;
    let client = world.send(format!("{}early\n", connect("EXAMPLE.com.:443"))).await;
    assert_eq!(line(&mut world.accept().await).await, "early");
    drop(client);
    assert_eq!(world.asked(), ["example.com"]);
}

#[tokio::test]
async fn megabytes_arrive_whole_in_both_directions() {
    let mut world = World::new(&["example.com"]).await;
    let (client, server) = world.tunnel().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let one_end = |stream: tokio::net::TcpStream, bytes: Vec<u8>| async move {
        let (mut from, mut to) = stream.into_split();
        let send = async {
            to.write_all(&bytes).await.unwrap();
            to.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let (got_all, ()) = tokio::join!(from.read_to_end(&mut got), send);
        got_all.unwrap();
        assert!(got == bytes);
    };
    tokio::join!(one_end(client, bytes.clone()), one_end(server, bytes));
    let told = json!({ "host": "example.com", "port": 443, "up": 3_000_000, "down": 3_000_000 });
    assert_eq!(world.notice().await, notice("egress", told));
}

#[tokio::test]
async fn a_plain_request_is_rewritten_and_its_answer_comes_back() {
    let mut world = World::new(&["example.com"]).await;
    let head = "POST http://example.com/a HTTP/1.1\r\nHost: example.com\r\nProxy-Connection: keep-alive\r\n\
                Content-Length: 6\r\n\r\nab";
    let mut client = world.send(head).await;
    let mut server = world.accept().await;
    let expected =
        "POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Length: 6\r\nConnection: close\r\n\r\nab";
    let mut got = vec![0; expected.len()];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), expected);

    client.write_all(b"cdef").await.unwrap();
    let mut body = [0; 4];
    server.read_exact(&mut body).await.unwrap();
    assert_eq!(&body, b"cdef");
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    drop(server);
    assert_eq!(rest(client).await, "HTTP/1.1 204 No Content\r\n\r\n");
    let told = json!({ "host": "example.com", "port": 80, "up": expected.len() + 4, "down": 27 });
    assert_eq!(world.notice().await, notice("egress", told));
}

#[tokio::test]
async fn a_second_request_never_reaches_the_server_of_the_first() {
    let mut world = World::new(&["example.com"]).await;
    let first = "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let mut client = world.send(first).await;
    let mut server = world.accept().await;
    while !line(&mut server).await.is_empty() {}
    client.write_all(b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n").await.unwrap();
    assert!(is_gone(&mut server).await, "not a byte of it");
    let (_, data) = world.notice().await;
    assert_eq!(data["cut"], "second_request");

    let both = world.answer(format!("{first}{first}")).await;
    assert!(both.starts_with("HTTP/1.1 400 ") && both.contains("is followed by another one"), "{both}");
}

#[tokio::test]
async fn a_server_may_answer_before_it_has_the_whole_body() {
    let world = World::new(&["example.com"]).await;
    let head = "PUT http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000000\r\n\r\n";
    let client = world.send(head).await;
    let mut server = world.accept().await;
    while !line(&mut server).await.is_empty() {}
    server.write_all(b"HTTP/1.1 413 Too Large\r\n\r\n").await.unwrap();
    drop(server);
    assert_eq!(rest(client).await, "HTTP/1.1 413 Too Large\r\n\r\n");
}

#[tokio::test]
async fn the_next_address_is_tried_without_asking_for_the_name_again() {
    let world = World::new(&["example.com"])
        .await
        .with_name("example.com", &[&["2606:4700::1", PUBLIC], &["127.0.0.1"]])
        .with_down("2606:4700::1");
    let (client, server) = world.tunnel().await;
    drop((client, server));
    assert_eq!(world.asked(), ["example.com"]);
    assert_eq!(world.dialled(), ["[2606:4700::1]:443".to_owned(), format!("{PUBLIC}:443")]);
}

#[tokio::test]
async fn a_hundred_connections_are_served_sixty_four_at_a_time() {
    let limit = Limits::default().connections;
    let world = World::new(&["example.com"]).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(world.send(format!("{}ping\n", connect("example.com:443"))).await);
    }
    let mut servers = Vec::new();
    for _ in 0..limit {
        servers.push(world.accept().await);
    }
    // Paused time goes on only when nobody has anything left to do.
    tokio::time::pause();
    let more = tokio::time::timeout(Duration::from_millis(1), world.accept()).await;
    assert!(more.is_err(), "one more than may be");
    tokio::time::resume();

    let serve = async {
        for left in (0..100).rev() {
            let mut server = servers.remove(0);
            assert_eq!(line(&mut server).await, "ping");
            server.write_all(b"pong").await.unwrap();
            drop(server);
            if left >= limit {
                servers.push(world.accept().await);
            }
        }
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(clients.into_iter().map(rest)), serve);
    assert!(answers.iter().all(|answer| answer.ends_with("\r\n\r\npong")));
}

#[tokio::test]
async fn dropping_the_proxy_closes_every_connection_at_once() {
    let world = World::new(&["example.com"]).await;
    let (mut client, mut server) = world.tunnel().await;
    let mut half = world.send("CONNECT exam").await;
    assert_eq!(world.kill().await, []);
    assert!(is_gone(&mut client).await && is_gone(&mut server).await && is_gone(&mut half).await);
}

#[tokio::test]
async fn the_end_of_the_command_closes_every_connection_and_tells_of_it() {
    let world = World::new(&["example.com"]).await;
    let (mut client, mut server) = world.tunnel().await;
    let mut half = world.send("CONNECT exam").await;
    client.write_all(b"abc\n").await.unwrap();
    line(&mut server).await;
    let mut left = world.end().await;
    assert!(is_gone(&mut client).await && is_gone(&mut server).await && is_gone(&mut half).await);
    assert_eq!(left.len(), 1);
    left[0].1.as_object_mut().unwrap().remove("durationMs");
    let told = json!({ "host": "example.com", "port": 443, "up": 4, "down": 0, "cut": "command_ended" });
    assert_eq!(left[0], notice("egress", told));
}

#[tokio::test]
async fn a_connection_on_which_nothing_moves_is_cut() {
    let mut world = World::new(&["example.com"]).await;
    let (mut client, mut server) = world.tunnel().await;
    client.write_all(b"x\n").await.unwrap();
    line(&mut server).await;
    tokio::time::pause();
    let began = Instant::now();
    assert!(is_gone(&mut client).await && is_gone(&mut server).await);
    assert!(began.elapsed() < Limits::default().idle_time * 2, "and no later");
    assert_eq!(world.notice().await.1["cut"], "idle");
}

#[tokio::test]
async fn a_connection_on_which_one_way_moves_lives_on() {
    let limits = Limits::default();
    let world = World::with(&["example.com"], limits.clone()).await;
    let (mut client, mut server) = world.tunnel().await;
    tokio::time::pause();
    for _ in 0..5 {
        tokio::time::advance(limits.idle_time - Duration::from_secs(1)).await;
        server.write_all(b"still here\n").await.unwrap();
        assert_eq!(line(&mut client).await, "still here");
    }
}

#[tokio::test]
async fn the_bytes_of_a_command_are_bounded_over_all_its_connections() {
    let mut world = World::with(&["example.com"], Limits { bytes: 10, ..Limits::default() }).await;
    let (mut other, mut other_server) = world.tunnel().await;
    let (mut client, mut server) = world.tunnel().await;
    client.write_all(b"12345\n").await.unwrap();
    assert_eq!(line(&mut server).await, "12345");
    server.write_all(b"12345").await.unwrap();
    assert!(is_gone(&mut client).await, "five more are one too many");
    let told = json!({ "host": "example.com", "port": 443, "up": 6, "down": 0, "cut": "byte_limit" });
    assert_eq!(world.notice().await, notice("egress", told));

    other.write_all(b"x").await.unwrap();
    assert!(is_gone(&mut other_server).await, "nothing is left for another one");
    assert_eq!(world.notice().await.1["cut"], "byte_limit");

    let refused = world.answer(connect("example.com:443")).await;
    assert!(refused.contains("moved the 10 bytes"), "{refused}");
    let told = json!({ "host": "example.com", "port": 443, "reason": "byte_limit" });
    assert_eq!(world.notice().await, notice("egress_refused", told));
}
