//! Which agents a caller reaches: the one place of the rule that prefixes match whole `:` segments.
//!
//! Pure. Whether an agent exists is not known here, and plays no part.

use kode_core::id::{AgentId, InvalidAgentId};

/// What reaches every agent.
const ALL: &str = "*";

/// The agents that a caller reaches. What it does not reach does not exist for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach(Extent);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Extent {
    All,
    /// Those under any of these; none of these is under another.
    Under(Vec<AgentId>),
    /// This one, and nothing below it.
    Only(AgentId),
}

/// Why a text is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrefix {
    /// The text is empty.
    #[error("a prefix must not be empty; write \"*\" to reach every agent")]
    Empty,
    /// The text begins no agent id.
    #[error("a prefix is an agent id that also reaches what is below it, such as \"user:1\": {0}")]
    NoId(InvalidAgentId),
}

impl Reach {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self(Extent::All)
    }

    /// What lies under any of these: `user:1` is `user:1` itself and what begins with `user:1:`. `*` is everything.
    ///
    /// # Errors
    /// [`InvalidPrefix`], for the first that is none.
    pub fn under(prefixes: &[impl AsRef<str>]) -> Result<Self, InvalidPrefix> {
        if prefixes.iter().any(|prefix| prefix.as_ref() == ALL) {
            return Ok(Self::all());
        }
        let mut under = prefixes.iter().map(|text| prefix(text.as_ref())).collect::<Result<Vec<_>, _>>()?;
        under.sort_by_key(|prefix| prefix.as_str().len());
        let mut least: Vec<AgentId> = Vec::new();
        for prefix in under {
            if !least.iter().any(|above| prefix.is_under(above.as_str())) {
                least.push(prefix);
            }
        }
        Ok(Self(Extent::Under(least)))
    }

    /// One agent, without what is below it.
    pub(crate) fn only(agent: AgentId) -> Self {
        Self(Extent::Only(agent))
    }

    /// The prefixes that give this reach, as [`Reach::under`] takes them; none of one agent alone.
    pub(super) fn prefixes(&self) -> Option<Vec<String>> {
        match &self.0 {
            Extent::All => Some(vec![ALL.to_owned()]),
            Extent::Under(prefixes) => {
                Some(prefixes.iter().map(|prefix| prefix.as_str().to_owned()).collect())
            }
            Extent::Only(_) => None,
        }
    }

    /// Whether the agent is reached.
    #[must_use]
    pub fn reaches(&self, agent: &AgentId) -> bool {
        match &self.0 {
            Extent::All => true,
            Extent::Under(prefixes) => prefixes.iter().any(|prefix| agent.is_under(prefix.as_str())),
            Extent::Only(one) => one == agent,
        }
    }

    /// Whether an agent is reached as one of a user's: the user must be, unless it is all there is.
    pub(crate) fn reaches_as(&self, user: &AgentId, agent: &AgentId) -> bool {
        match &self.0 {
            Extent::Only(one) => one == agent,
            Extent::All | Extent::Under(_) => self.reaches(user) && self.reaches(agent),
        }
    }

    /// The prefixes of exactly those agents that lie under `asked` and are reached. A reach of one agent has no
    /// lists.
    #[must_use]
    pub fn within(&self, asked: &str) -> Vec<String> {
        match &self.0 {
            Extent::All => vec![asked.to_owned()],
            Extent::Under(prefixes) => prefixes.iter().filter_map(|held| common(held, asked)).collect(),
            Extent::Only(_) => Vec::new(),
        }
    }

    /// A reached name that ends with a fresh suffix. `None` where there is none that fits.
    pub(crate) fn name(&self, suffix: &str) -> Option<AgentId> {
        let fresh = format!("agent:{suffix}");
        match &self.0 {
            Extent::All => AgentId::new(fresh).ok(),
            Extent::Under(prefixes) => {
                prefixes.iter().find_map(|prefix| AgentId::new(format!("{prefix}:{fresh}")).ok())
            }
            Extent::Only(_) => None,
        }
    }
}

/// The narrower of two prefixes, where one lies within the other.
fn common(held: &AgentId, asked: &str) -> Option<String> {
    if held.is_under(asked) {
        return Some(held.as_str().to_owned());
    }
    // What begins no id has no agents under it.
    let asked = prefix(asked).ok()?;
    asked.is_under(held.as_str()).then(|| asked.as_str().to_owned())
}

fn prefix(text: &str) -> Result<AgentId, InvalidPrefix> {
    let text = text.strip_suffix(':').unwrap_or(text);
    if text.is_empty() {
        return Err(InvalidPrefix::Empty);
    }
    AgentId::new(text).map_err(InvalidPrefix::NoId)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> AgentId {
        AgentId::new(text).unwrap()
    }

    #[test]
    fn a_prefix_is_of_whole_segments() {
        let reach = Reach::under(&["user:1", "p:a:"]).unwrap();
        for near in ["user:1", "user:1:session:a", "user:1:", "p:a", "p:a:b"] {
            assert!(reach.reaches(&id(near)), "{near}");
        }
        for far in ["user:12", "user:1.x", "user", "user:", "p", "p:ab", "USER:1", "user:2", "xuser:1"] {
            assert!(!reach.reaches(&id(far)), "{far}");
        }
    }

    #[test]
    fn everything_is_said_with_a_star_and_never_with_nothing() {
        assert!(Reach::under(&["user:1", "*"]).unwrap().reaches(&id("x")));
        assert_eq!(Reach::under(&[""]), Err(InvalidPrefix::Empty));
        assert_eq!(Reach::under(&[":"]), Err(InvalidPrefix::Empty));
        for wrong in ["user:*", "user/1", "-x", "..", "user 1"] {
            assert!(matches!(Reach::under(&[wrong]), Err(InvalidPrefix::NoId(_))), "{wrong}");
        }
        let nobody = Reach::under(&[""; 0]).unwrap();
        assert!(!nobody.reaches(&id("x")) && nobody.within("").is_empty() && nobody.name("n").is_none());
    }

    #[test]
    fn what_is_asked_for_is_narrowed_to_what_is_reached() {
        let reach = Reach::under(&["user:1", "team:a", "user:1:session:x"]).unwrap();
        let within = |asked| reach.within(asked);
        assert_eq!(within(""), ["user:1", "team:a"]);
        assert_eq!(within("user"), ["user:1"]);
        assert_eq!(within("user:1:session"), ["user:1:session"]);
        assert_eq!(within("user:1:"), ["user:1"]);
        for none in ["user:12", "user:2", "use", "user:1/..", "*"] {
            assert_eq!(within(none), [""; 0], "{none}");
        }
        assert_eq!(Reach::all().within("user"), ["user"]);
    }

    #[test]
    fn one_agent_is_reached_alone() {
        let reach = Reach::only(id("user:1:session:a"));
        assert!(reach.reaches(&id("user:1:session:a")) && !reach.reaches(&id("user:1:session:a:b")));
        assert!(reach.reaches_as(&id("user:1"), &id("user:1:session:a")));
        assert!(!reach.reaches_as(&id("user:1"), &id("user:1")));
        assert!(reach.within("").is_empty());
        let deep = Reach::under(&["user:1:session:a"]).unwrap();
        assert!(!deep.reaches_as(&id("user:1"), &id("user:1:session:a")), "the user is not reached");
    }

    #[test]
    fn a_fresh_name_is_reached() {
        let reach = Reach::under(&["user:1"]).unwrap();
        assert_eq!(reach.name("n1"), Some(id("user:1:agent:n1")));
        assert_eq!(Reach::all().name("n1"), Some(id("agent:n1")));
        assert_eq!(Reach::under(&["x".repeat(199)]).unwrap().name("n1"), None, "it would be too long");
    }

    fn names() -> impl Strategy<Value = String> {
        proptest::collection::vec("[ab1]{1,2}", 1..4).prop_map(|parts| parts.join(":"))
    }

    proptest! {
        /// The rule said in another way: by lists of segments.
        #[test]
        fn reach_is_a_prefix_of_the_list_of_segments(held in proptest::collection::vec(names(), 0..4), agent in names()) {
            let segments: Vec<&str> = agent.split(':').collect();
            let expected = held.iter().any(|p| segments.starts_with(&p.split(':').collect::<Vec<_>>()));
            prop_assert_eq!(Reach::under(&held).unwrap().reaches(&id(&agent)), expected);
        }

        /// What a list shows is what is reached and was asked for: no more, no less.
        #[test]
        fn within_is_the_intersection(held in proptest::collection::vec(names(), 0..4), asked in names(), agent in names()) {
            let reach = Reach::under(&held).unwrap();
            let agent = id(&agent);
            let listed = reach.within(&asked).iter().any(|prefix| agent.is_under(prefix));
            prop_assert_eq!(listed, reach.reaches(&agent) && agent.is_under(&asked));
        }

        #[test]
        fn a_generated_name_is_always_reached(held in proptest::collection::vec(names(), 1..4)) {
            let reach = Reach::under(&held).unwrap();
            prop_assert!(reach.reaches(&reach.name("n1").unwrap()));
        }
    }
}
