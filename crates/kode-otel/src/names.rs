//! The words of OpenTelemetry's conventions for generative AI and for HTTP, and a few of our own.

pub(crate) const SCOPE: &str = "kode";

pub(crate) const OPERATION: &str = "gen_ai.operation.name";
pub(crate) const PROVIDER: &str = "gen_ai.provider.name";
pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(crate) const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(crate) const RESPONSE_ID: &str = "gen_ai.response.id";
pub(crate) const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
pub(crate) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(crate) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(crate) const CACHED_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
pub(crate) const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
pub(crate) const TOKEN_TYPE: &str = "gen_ai.token.type";
pub(crate) const CONVERSATION: &str = "gen_ai.conversation.id";
pub(crate) const AGENT_NAME: &str = "gen_ai.agent.name";
pub(crate) const TOOL_NAME: &str = "gen_ai.tool.name";
pub(crate) const TOOL_CALL: &str = "gen_ai.tool.call.id";
pub(crate) const TOOL_TYPE: &str = "gen_ai.tool.type";
pub(crate) const ERROR_TYPE: &str = "error.type";

pub(crate) const TOKEN_USAGE: &str = "gen_ai.client.token.usage";
pub(crate) const DURATION: &str = "gen_ai.client.operation.duration";
pub(crate) const FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";

pub(crate) const CHAT: &str = "chat";
pub(crate) const EXECUTE_TOOL: &str = "execute_tool";
pub(crate) const INVOKE_AGENT: &str = "invoke_agent";

pub(crate) const METHOD: &str = "http.request.method";
pub(crate) const ROUTE: &str = "http.route";
pub(crate) const STATUS: &str = "http.response.status_code";

/// The id of a request, as its answer and the log have it.
pub(crate) const REQUEST: &str = "kode.request.id";
/// The number of a turn, within its agent.
pub(crate) const TURN: &str = "kode.turn";
/// How a turn ended.
pub(crate) const REASON: &str = "kode.turn.reason";
/// Whether the beginning of a turn was under another writer.
pub(crate) const RESUMED: &str = "kode.turn.resumed";
/// What became of a tool call.
pub(crate) const OUTCOME: &str = "kode.tool.outcome";
