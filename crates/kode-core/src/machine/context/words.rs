//! What the model is told in words around a summary and in a reminder, in each language.

use crate::template::Language;

/// The words of one language.
pub(in crate::machine) struct Words {
    /// The system prompt of the request for a summary.
    pub(super) system: &'static str,
    /// The request, with `{words}` and `{text}`.
    pub(super) ask: &'static str,
    /// Before a summary.
    pub(in crate::machine) preface: &'static str,
    /// Before an excerpt.
    pub(super) excerpt: &'static str,
    /// Before the open items.
    pub(super) todos: &'static str,
    pub(super) user: &'static str,
    pub(super) assistant: &'static str,
    pub(super) called: &'static str,
    pub(super) result: &'static str,
    /// A reminder of open items, with `{todos}`.
    pub(in crate::machine) remind: &'static str,
    /// A reminder that there is a list.
    pub(in crate::machine) remind_empty: &'static str,
}

/// The words of a language.
pub(in crate::machine) fn words(language: Language) -> &'static Words {
    match language {
        Language::En => &EN,
        Language::Zh => &ZH,
    }
}

const EN: Words = Words {
    system: "You condense the beginning of a conversation between a user and an assistant that works with \
             tools. The assistant goes on from your summary alone: of that part it sees nothing else.",
    ask: "Summarise the conversation below in at most {words} words. Keep what the user asked for, with every \
          wish and limit; what was decided, and why; what was done, with the names of files, ids, numbers and \
          commands as they were; what failed; what is still open. Leave out greetings and what no longer \
          matters. Do not go on with the conversation, do not call tools, invent nothing. Write in the \
          language of the conversation.\n\n<conversation>\n{text}\n</conversation>",
    preface: "[The beginning of this conversation was condensed to save space. What follows stands for it: it \
              is what happened, not a new request.]",
    excerpt: "(An excerpt, made without a model; much is missing.)",
    todos: "[Open todos at that time]",
    user: "User",
    assistant: "Assistant",
    called: "Assistant called",
    result: "Result",
    remind: "[Automatic reminder, not from the user] The todo list has open items:\n{todos}\nGo on with them, \
             and keep the list up to date with todo_write. Do not mention this reminder.",
    remind_empty: "[Automatic reminder, not from the user] The todo list is empty. If the work has several \
                   steps, keep a list with todo_write; if it has not, go on without one. Do not mention this \
                   reminder.",
};

const ZH: Words = Words {
    system: "你负责压缩一段对话的开头。对话双方是用户和一个使用工具的助手。助手之后只能依据你的摘要继续工作，看不到这部分的其他内容。",
    ask: "请把下面的对话概括为不超过 {words} 字的摘要。保留：用户的要求及其全部愿望和限制；做出的决定及原因；已完成的事情，\
          文件名、编号、数字和命令保持原样；失败的事情；尚未完成的事情。省略寒暄和不再重要的内容。不要继续这段对话，\
          不要调用工具，不要编造。使用对话所用的语言。\n\n<conversation>\n{text}\n</conversation>",
    preface: "［为节省空间，本对话的开头已被压缩。以下内容代表该部分：它是已经发生的事情，不是新的请求。］",
    excerpt: "（以下为机械摘录，并非模型所写，缺失较多。）",
    todos: "［当时未完成的待办］",
    user: "用户",
    assistant: "助手",
    called: "助手调用",
    result: "结果",
    remind: "［自动提醒，并非来自用户］待办列表中有未完成的事项：\n{todos}\n请继续完成，并用 todo_write 保持列表最新。不要提及此提醒。",
    remind_empty: "［自动提醒，并非来自用户］待办列表为空。如果工作包含多个步骤，请用 todo_write 维护列表；否则无需列表，继续即可。\
                   不要提及此提醒。",
};
