//! Who may call what: `deny` beats `allow` beats `require_approval` beats the mode.

use crate::template::{Permission, PermissionMode};
use crate::tool::ToolTraits;

/// What policy says of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It may run.
    Allow,
    /// A person must decide.
    Ask(String),
    /// It must not run.
    Deny(String),
}

/// Rules on a call of the named tool.
#[must_use]
pub fn rule(permission: &Permission, tool: &str, traits: ToolTraits) -> Ruling {
    let listed = |list: &[String]| list.iter().any(|name| name == tool);
    if listed(&permission.deny) {
        return Ruling::Deny(format!("{tool} is denied to this agent"));
    }
    if !permission.allow.is_empty() && !listed(&permission.allow) {
        return Ruling::Deny(format!("{tool} is not among the tools that this agent is allowed"));
    }
    if listed(&permission.require_approval) {
        return Ruling::Ask(format!("{tool} needs approval"));
    }
    match (permission.mode, traits.readonly) {
        (PermissionMode::Auto, _) | (_, true) => Ruling::Allow,
        (PermissionMode::Approval, false) => Ruling::Ask(format!("{tool} changes things")),
        (PermissionMode::Readonly, false) => {
            Ruling::Deny(format!("{tool} changes things, and this agent only reads"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(mode: PermissionMode, ask: &[&str], allow: &[&str], deny: &[&str]) -> Permission {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Permission { mode, require_approval: own(ask), allow: own(allow), deny: own(deny), expire_secs: None }
    }

    #[test]
    fn deny_beats_allow_beats_ask_beats_mode() {
        let changes = ToolTraits::default();
        let reads = ToolTraits { readonly: true, ..changes };
        let every = permission(PermissionMode::Auto, &["a"], &["a", "b"], &["b"]);
        assert!(matches!(rule(&every, "b", changes), Ruling::Deny(_)));
        assert!(matches!(rule(&every, "c", changes), Ruling::Deny(_)));
        assert!(matches!(rule(&every, "a", reads), Ruling::Ask(_)));
        let readonly = permission(PermissionMode::Readonly, &["a"], &[], &[]);
        assert!(matches!(rule(&readonly, "a", changes), Ruling::Ask(_)));
        assert!(matches!(rule(&readonly, "b", changes), Ruling::Deny(_)));
        assert_eq!(rule(&readonly, "b", reads), Ruling::Allow);
        let approval = permission(PermissionMode::Approval, &[], &[], &[]);
        assert!(matches!(rule(&approval, "b", changes), Ruling::Ask(_)));
        assert_eq!(rule(&approval, "b", reads), Ruling::Allow);
    }
}
