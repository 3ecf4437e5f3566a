//! What the proxy refuses: what the process reads, what the witness hears, and that nothing was reached.

use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::notice;
use super::world::{PUBLIC, World, connect, rest};

#[tokio::test]
async fn a_host_that_no_rule_names_is_refused_before_its_name_is_resolved() {
    let mut world = World::new(&["example.com", "*.example.com"]).await;
    for target in ["evil.example:443", "example.com:22", "example.com.evil.example:443", "8.8.8.8:443"] {
        let answer = world.answer(connect(target)).await;
        assert!(answer.starts_with("HTTP/1.1 403 Refused by the sandbox (not_allowed)\r\n"), "{answer}");
        assert!(answer.contains(&format!("kode refused {target}: not_allowed\n")), "{answer}");
        assert!(answer.contains("sandbox.network of the template"), "{answer}");
        let (host, port) = target.rsplit_once(':').unwrap();
        let port: u16 = port.parse().unwrap();
        let told = json!({ "host": host, "port": port, "reason": "not_allowed" });
        assert_eq!(world.notice().await, notice("egress_refused", told));
    }
    assert_eq!(
        (world.asked(), world.dialled()),
        (vec![], vec![]),
        "a name could carry a secret to its server"
    );
}

#[tokio::test]
async fn an_empty_list_refuses_all() {
    let world = World::new(&[]).await;
    for request in [connect("example.com:443"), get("example.com")] {
        assert!(world.answer(request).await.contains("(not_allowed)"));
    }
    assert_eq!(world.dialled(), [""; 0]);
}

fn get(host: &str) -> String {
    format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_whole() {
    let inside: [&[&str]; 11] = [
        &["127.0.0.1"],
        &["10.0.0.1"],
        &["169.254.169.254"],
        &["0.0.0.0"],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::10.0.0.1"],
        &["fd00:ec2::254"],
        // One good address does not open the way to another.
        &[PUBLIC, "192.168.0.1"],
        &["192.168.0.1", PUBLIC],
        &[PUBLIC, PUBLIC, PUBLIC, PUBLIC, PUBLIC, "fe80::1"],
    ];
    for answers in inside {
        let mut world = World::new(&["example.com"]).await.with_name("example.com", &[answers]);
        for request in [connect("example.com:443"), get("example.com")] {
            let answer = world.answer(request).await;
            assert!(
                answer.starts_with("HTTP/1.1 403 Refused by the sandbox (private_address)\r\n"),
                "{answer}"
            );
            assert!(
                !answers.iter().any(|address| answer.contains(address)),
                "the address is not told: {answer}"
            );
            assert_eq!(world.notice().await.1["reason"], "private_address");
        }
        assert_eq!(world.dialled(), [""; 0], "{answers:?}");
    }
}

#[tokio::test]
async fn a_name_that_changes_where_it_leads_gains_nothing() {
    let world = World::new(&["example.com"])
        .await
        .with_name("example.com", &[&[PUBLIC], &["127.0.0.1"], &["10.0.0.1"]]);
    let (client, server) = world.tunnel().await;
    assert_eq!((world.asked().len(), world.dialled()), (1, vec![format!("{PUBLIC}:443")]));
    drop((client, server));
    for _ in 0..2 {
        assert!(world.answer(connect("example.com:443")).await.contains("(private_address)"));
    }
    assert_eq!((world.asked().len(), world.dialled().len()), (3, 1));
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_apart() {
    let mut world = World::new(&["example.com", "none.example", "gone.example", "1.1.1.1"])
        .await
        .with_name("none.example", &[&[]])
        .with_down(PUBLIC)
        .with_down("1.1.1.1");
    for (target, reason) in [
        ("example.com:443", "connect_failed"),
        ("1.1.1.1:443", "connect_failed"),
        ("none.example:443", "unresolvable"),
        ("gone.example:443", "unresolvable"),
    ] {
        let answer = world.answer(connect(target)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 502 Refused by the sandbox ({reason})\r\n")),
            "{answer}"
        );
        assert_eq!(world.notice().await.1["reason"], reason);
    }
    assert_eq!(world.asked(), ["example.com", "none.example", "gone.example"]);
}

#[tokio::test]
async fn an_odd_spelling_is_told_and_shown_harmlessly() {
    let mut world = World::new(&["example.com"]).await;
    let answer = world.answer("CONNECT 2130706433:443 HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 Refused by the sandbox (bad_host)\r\n"), "{answer}");
    assert!(answer.contains("four decimal numbers"), "{answer}");
    let told = json!({ "host": "2130706433:443", "reason": "bad_host" });
    assert_eq!(world.notice().await, notice("egress_refused", told));

    let answer = world.answer("CONNECT \u{202e}moc:443 HTTP/1.1\r\n\r\n").await;
    assert!(answer.contains("punycode") && answer.is_ascii(), "{answer}");
    assert_eq!(world.notice().await.1["host"], "\\u{202e}moc:443");
    assert_eq!((world.asked(), world.dialled()), (vec![], vec![]));
}

#[tokio::test]
async fn what_is_no_request_to_a_proxy_is_told_how_one_looks() {
    let mut world = World::new(&["example.com"]).await;
    let answer = world.answer("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    assert!(answer.contains("(bad_request)") && answer.contains("CONNECT host:port"), "{answer}");
    assert_eq!(world.notice().await, notice("egress_refused", json!({ "reason": "bad_request" })));

    let chunked =
        "POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = world.answer(chunked).await;
    assert!(answer.starts_with("HTTP/1.1 411 ") && answer.contains("Content-Length"), "{answer}");
    world.notice().await;

    let mut client = world.send("CONNECT exam").await;
    client.shutdown().await.unwrap();
    assert!(rest(client).await.contains("ends within its head"));
    world.notice().await;

    let mut silent = world.send("").await;
    silent.shutdown().await.unwrap();
    assert_eq!(rest(silent).await, "", "who asks for nothing is told nothing");
    assert_eq!(world.end().await, [], "and is no event");
}

#[tokio::test]
async fn a_head_without_end_is_refused_at_its_limit() {
    let mut world = World::new(&["example.com"]).await;
    let endless = format!("CONNECT example.com:443 HTTP/1.1\r\nX: {}", "x".repeat(40_000));
    let answer = world.answer(endless).await;
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("16384 bytes"), "{answer}");
    assert_eq!(world.notice().await.1["reason"], "head_too_large");
    assert_eq!(world.dialled(), [""; 0]);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let mut world = World::new(&["example.com"]).await;
    let client = world.send("CONNECT example.com:443 HTT").await;
    tokio::time::pause();
    let answer = rest(client).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(world.notice().await.1["reason"], "head_timeout");
}

#[tokio::test]
async fn sixty_four_events_are_told_and_the_rest_is_summed() {
    let mut world = World::new(&["example.com"]).await;
    for _ in 0..70 {
        world.answer(connect("evil.example:443")).await;
    }
    for _ in 0..64 {
        assert_eq!(world.notice().await.0, "egress_refused");
    }
    let (mut client, server) = world.tunnel().await;
    client.write_all(b"abc").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(server).await, "abc");
    assert_eq!(rest(client).await, "");
    let sums = json!({ "connections": 1, "refused": 6, "up": 3, "down": 0 });
    assert_eq!(world.end().await, [notice("egress_more", sums)]);
}
