//! Serves the GLM emulator on a port, for clients that are not written in Rust:
//! `cargo run -p kode-testkit --example glm_emulator -- 127.0.0.1:8899`.
//!
//! It answers a request that offers tools by calling the first one, a tool's result with a sentence, and
//! anything else with what was said to it. A message `fail CODE` gets that error.

use std::io;

use kode_testkit::glm_emulator::{FragmentStyle, GlmEmulator, Reply, Request};
use serde_json::json;
use tokio::net::TcpListener;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the address is what a script waits for")]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let glm = GlmEmulator::on(TcpListener::bind(address).await?)?;
    glm.respond(answer);
    println!("{}", glm.base_url());
    tokio::signal::ctrl_c().await
}

fn answer(request: &Request) -> Reply {
    let last = request.last_message();
    let said = last["content"].as_str().unwrap_or_default();
    let tool = request.body["tools"][0]["function"]["name"].as_str();
    match (last["role"].as_str(), tool) {
        (Some("tool"), _) => Reply::text(format!("The tool said: {said}")).pieces(3).usage(20, 5),
        (_, Some(name)) => {
            let arguments = json!({"city": "北京"});
            Reply::call(name, &arguments).thinking("A tool can tell.").fragments(3, FragmentStyle::Repeat)
        }
        _ => match said.strip_prefix("fail ") {
            Some(code) => Reply::error(400, code, "as you wish"),
            None => Reply::text(format!("You said: {said}")).thinking("An echo.").pieces(4).usage(12, 6),
        },
    }
}
