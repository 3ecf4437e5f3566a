//! A tool of one's own: typed arguments, from which its schema follows, and errors that the model can act on.

use std::sync::Arc;

use async_trait::async_trait;
use examples::glm;
use kode_core::id::AgentId;
use kode_core::store::memory::MemoryStore;
use kode_core::template::Template;
use kode_core::tool::{ToolCx, ToolError, ToolTraits, Typed, TypedTool};
use kode_core::{AgentSpec, Runtime};
use kode_sandbox::LocalSandbox;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Converts a temperature.
struct Celsius;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Degrees Fahrenheit.
    fahrenheit: f64,
}

#[async_trait]
impl TypedTool for Celsius {
    type Args = Args;
    const NAME: &'static str = "celsius";
    const DESCRIPTION: &'static str = "Converts degrees Fahrenheit to Celsius.";
    const TRAITS: ToolTraits = ToolTraits { readonly: true, replayable: true, ..ToolTraits::NONE };

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        if args.fahrenheit < -459.67 {
            return Err(ToolError::new("below_zero", "nothing is colder than absolute zero")
                .hint("check the number and call it again"));
        }
        cx.emit("converted", json!({ "from": args.fahrenheit })).await;
        Ok(json!({ "celsius": (args.fahrenheit - 32.0) / 1.8 }))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let sandboxes = Arc::new(LocalSandbox::new("./workspace")?);
    let runtime = Runtime::builder(Arc::new(MemoryStore::default()), glm()?, sandboxes)
        .tool(Arc::new(Typed(Celsius)))
        .template(Template::new("weather", "You convert temperatures.").with_tools(["celsius"]))
        .default_model("glm-4.5-air")
        .build()?;
    let agent = runtime.resume_or_create(&AgentId::new("user:me")?, AgentSpec::default()).await?.agent;
    let answer = agent.complete("What is 451 °F in Celsius?").await?;
    println!("{:?}: {}", answer.status, answer.text);
    Ok(())
}
