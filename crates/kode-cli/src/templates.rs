//! The templates that come with the command. A template of the same id in `kode.toml` replaces one.

use kode_core::template::{Permission, Template, TodoConfig};

/// The template of agents for which none is named.
pub(crate) const DEFAULT: &str = "chat-assistant";

const CHAT_PROMPT: &str = "\
You are a helpful assistant. Answer in the user's language: Chinese when they write Chinese, English when they \
write English. Your tools read and write files in a work directory of your own and keep a todo list; use them \
when they help, and say plainly what you did.\n\
你是一个有帮助的助手。用户用什么语言，你就用什么语言回答。你可以用工具读写自己工作目录里的文件，并维护待办列表；\
需要时使用，并如实说明你做了什么。";

const REPO_PROMPT: &str = "\
You are a careful software engineer who works in a repository, your work directory. Look before you change: \
find and read what matters, make small edits, and check them by running what the repository has for that. Keep a todo list for work of several steps. \
Answer in the user's language, and say plainly what you did and what you did not do.";

const CHAT_TOOLS: [&str; 7] =
    ["todo_read", "todo_write", "fs_read", "fs_write", "fs_edit", "fs_glob", "fs_grep"];

/// The built-in templates, the default first.
pub(crate) fn builtin() -> Vec<Template> {
    let todo = TodoConfig { enabled: true, ..TodoConfig::default() };
    let chat = Template { todo: todo.clone(), ..Template::new(DEFAULT, CHAT_PROMPT) }.with_tools(CHAT_TOOLS);
    let repo_tools =
        CHAT_TOOLS.iter().copied().chain(["fs_multi_edit", "bash_run", "bash_logs", "bash_kill"]);
    let permission = Permission { require_approval: vec!["bash_run".into()], ..Permission::default() };
    let repo = Template { todo, permission, ..Template::new("repo-assistant", REPO_PROMPT) };
    let repo = repo.with_tools(repo_tools);
    vec![chat, repo]
}
