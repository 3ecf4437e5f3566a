//! Who may call what: `deny` beats `allow` beats `require_approval` beats the mode.

use serde::{Deserialize, Serialize};

use crate::template::{Permission, PermissionMode};
use crate::tool::ToolTraits;

/// What policy says of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// It may run.
    Allow,
    /// A person must decide; the reason is what they read.
    Ask(String),
    /// It must not run; the reason is what the model reads.
    Deny(String),
}

/// What rules on a call of the named tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruled<'a> {
    /// The template itself.
    Here(Ruling),
    /// The host's policy of this name: no list names the tool.
    By(&'a str),
}

/// Rules on a call of the named tool, or says whose the ruling is.
#[must_use]
pub fn rule<'a>(permission: &'a Permission, tool: &str, traits: ToolTraits) -> Ruled<'a> {
    match (by_list(permission, tool), &permission.mode, traits.readonly) {
        (Some(ruling), _, _) => Ruled::Here(ruling),
        (None, PermissionMode::Policy(name), _) => Ruled::By(name),
        (None, PermissionMode::Auto, _)
        | (None, PermissionMode::Approval | PermissionMode::Readonly, true) => Ruled::Here(Ruling::Allow),
        (None, PermissionMode::Approval, false) => Ruled::Here(Ruling::Ask(format!("{tool} changes things"))),
        (None, PermissionMode::Readonly, false) => {
            Ruled::Here(Ruling::Deny(format!("{tool} changes things, and this agent only reads")))
        }
    }
}

/// What the lists say, the stronger one first.
fn by_list(permission: &Permission, tool: &str) -> Option<Ruling> {
    let listed = |list: &[String]| list.iter().any(|name| name == tool);
    if listed(&permission.deny) {
        return Some(Ruling::Deny(format!("{tool} is denied to this agent")));
    }
    if !permission.allow.is_empty() && !listed(&permission.allow) {
        return Some(Ruling::Deny(format!("{tool} is not among the tools that this agent is allowed")));
    }
    listed(&permission.require_approval).then(|| Ruling::Ask(format!("{tool} needs approval")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(mode: PermissionMode, ask: &[&str], allow: &[&str], deny: &[&str]) -> Permission {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Permission { mode, require_approval: own(ask), allow: own(allow), deny: own(deny), expire_secs: None }
    }

    /// The first letter of the ruling, or the policy's name.
    fn say(permission: &Permission, tool: &str, readonly: bool) -> String {
        match rule(permission, tool, ToolTraits { readonly, ..ToolTraits::default() }) {
            Ruled::Here(Ruling::Allow) => "allow".into(),
            Ruled::Here(Ruling::Ask(_)) => "ask".into(),
            Ruled::Here(Ruling::Deny(_)) => "deny".into(),
            Ruled::By(name) => name.to_owned(),
        }
    }

    #[test]
    fn deny_beats_allow_beats_ask_beats_mode() {
        let every = permission(PermissionMode::Auto, &["a"], &["a", "b"], &["b"]);
        assert_eq!(["a", "b", "c"].map(|tool| say(&every, tool, true)), ["ask", "deny", "deny"]);
        let readonly = permission(PermissionMode::Readonly, &["a"], &[], &[]);
        assert_eq!([say(&readonly, "a", false), say(&readonly, "b", false)], ["ask", "deny"]);
        assert_eq!(say(&readonly, "b", true), "allow");
        let approval = permission(PermissionMode::Approval, &[], &[], &[]);
        assert_eq!([say(&approval, "b", false), say(&approval, "b", true)], ["ask", "allow"]);
    }

    #[test]
    fn a_policy_rules_only_where_no_list_does() {
        let own = permission(PermissionMode::Policy("own".into()), &["a"], &["a", "b", "c"], &["b"]);
        for readonly in [true, false] {
            let said = ["a", "b", "c", "d"].map(|tool| say(&own, tool, readonly));
            assert_eq!(said, ["ask", "deny", "own", "deny"]);
        }
    }
}
