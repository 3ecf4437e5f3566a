//! A caller as one node of a cluster tells another of it: who it is and what it may, as the first one found out. Told
//! under the nodes' common secret only; no key or token is in it.

use serde::{Deserialize, Serialize};

use crate::auth::reach::Reach;
use crate::auth::rights::Right;
use crate::auth::{Auth, Caller};

/// Who makes a request, for another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passport {
    name: String,
    prefixes: Vec<String>,
    rights: Vec<Right>,
    /// Whether the name is a key's, of which the other node keeps the counts as well.
    key: bool,
}

impl Caller {
    /// For another node; none for one who only looks at one agent, which every node shows.
    pub(crate) fn passport(&self) -> Option<Passport> {
        let (name, rights) = (self.name().to_owned(), self.rights().each());
        Some(Passport { name, prefixes: self.reach().prefixes()?, rights, key: self.meter().is_some() })
    }
}

impl Auth {
    /// The caller that another node tells of, for as long as one request lasts.
    pub(crate) fn admit(&self, passport: Passport) -> Option<Caller> {
        let Passport { name, prefixes, rights, key } = passport;
        let reach = Reach::under(&prefixes).ok()?;
        let known = self.keys().iter().find(|known| key && known.name == name).cloned();
        // Its requests were counted where they came in; its agents and runs are to be counted here.
        let meter = known.map(|key| self.inner.meters.of(&key));
        Some(Caller::told_of(&name, reach, rights.into_iter().collect(), meter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::rights::Rights;

    fn caller(prefixes: &[&str], rights: &[Right]) -> Caller {
        let rights: Rights = rights.iter().copied().collect();
        Caller::told_of("ann", Reach::under(prefixes).unwrap(), rights, None)
    }

    #[test]
    fn who_is_told_of_is_and_may_the_same() {
        for (prefixes, rights) in [
            (vec!["*"], vec![Right::Admin]),
            (vec!["user:1", "team:a"], vec![Right::Read, Right::Write]),
            (vec![], vec![]),
        ] {
            let caller = caller(&prefixes, &rights);
            let told = serde_json::to_string(&caller.passport().unwrap()).unwrap();
            let other = Auth::new(Vec::new(), None).admit(serde_json::from_str(&told).unwrap()).unwrap();
            assert_eq!(
                (other.name(), other.reach(), other.rights()),
                ("ann", caller.reach(), caller.rights())
            );
        }
    }
}
