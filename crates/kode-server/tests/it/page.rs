//! The server's own pages, as a browser gets them.

use axum::http::{HeaderMap, Method};
use base64::Engine;
use sha2::{Digest, Sha256};

use crate::auth::guarded;
use crate::world::{World, request};

async fn page(world: &World, path: &str) -> (HeaderMap, String) {
    let (head, body) = world.send(request(Method::GET, path, &[], None)).await.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere_and_run_only_their_own_script() {
    let world = World::new();
    for path in ["/", "/docs"] {
        let (headers, text) = page(&world, path).await;
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        let policy = headers["content-security-policy"].to_str().unwrap();
        for (element, directive) in [("script", "script-src"), ("style", "style-src")] {
            let parts: Vec<&str> = text.split(&format!("<{element}>")).collect();
            assert_eq!(parts.len(), 2, "{path} has one {element}");
            let inner = parts[1].split(&format!("</{element}>")).next().unwrap();
            let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(inner));
            assert!(
                inner.len() > 500 && policy.contains(&format!("{directive} 'sha256-{digest}'")),
                "{policy}"
            );
        }
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        for elsewhere in
            ["http://", "https://", "src=", "innerHTML", "style=", "onclick=", "document.write", "eval("]
        {
            assert!(!text.contains(elsewhere), "{path} has {elsewhere}");
        }
        assert_eq!(headers["referrer-policy"], "no-referrer", "a ticket is in a stream's URL");
    }
}

#[tokio::test]
async fn the_page_says_whether_a_script_answers_and_whether_a_key_is_needed() {
    let mut world = World::new();
    let (_, text) = page(&world, "/").await;
    assert!(text.contains(r#"data-demo="true" data-asks="false""#) && !text.contains("{{"));
    world.config.demo = false;
    let (_, text) = page(&guarded(world), "/").await;
    assert!(text.contains(r#"data-demo="false" data-asks="true""#));
}
