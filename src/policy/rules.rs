//! All that decides what clients may do, asked in CometD's order: the policy, then the authorizers.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{Authorization, Authorizer, AuthorizerId, DynPolicy, Operation, PolicyRequest, Verdict};
use crate::{protocol::ChannelName, registry::Registry};

#[derive(Clone)]
struct Rule {
    id: AuthorizerId,
    pattern: ChannelName,
    authorizer: Arc<dyn Authorizer>,
}

/// The policy and the authorizers of one server.
#[derive(Default)]
pub(crate) struct Rules {
    policy: Option<Arc<dyn DynPolicy>>,
    authorizers: Registry<Rule>,
    next: AtomicU64,
}

impl Rules {
    pub(crate) fn new(policy: Option<Arc<dyn DynPolicy>>) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Adds an authorizer.
    pub(crate) fn authorize(&self, pattern: ChannelName, authorizer: Arc<dyn Authorizer>) -> AuthorizerId {
        let id = AuthorizerId(self.next.fetch_add(1, Relaxed));
        let rule = Rule {
            id,
            pattern,
            authorizer,
        };
        self.authorizers.add(rule);
        id
    }

    /// Takes an authorizer away, and says whether it was there.
    pub(crate) fn remove(&self, id: AuthorizerId) -> bool {
        self.authorizers.remove(|rule| rule.id == id)
    }

    /// Whether nothing is set: then nobody needs to be asked.
    pub(crate) fn allow_everything(&self) -> bool {
        self.policy.is_none() && self.authorizers.is_empty()
    }

    /// Asks about one operation. Either verdict may carry an `ext` and advice for the reply.
    pub(crate) async fn ask(&self, operation: Operation, request: PolicyRequest<'_>) -> Result<Verdict, Verdict> {
        let verdict = match &self.policy {
            Some(policy) => policy.ask(operation, request.clone()).await,
            None => Verdict::grant(),
        };
        if !verdict.is_granted() {
            return Err(verdict);
        }
        match self.refused_by_authorizers(operation, &request) {
            Some(reason) => Err(Verdict::deny_because(reason)),
            None => Ok(verdict),
        }
    }

    fn refused_by_authorizers(&self, operation: Operation, request: &PolicyRequest<'_>) -> Option<Cow<'static, str>> {
        if operation == Operation::Handshake {
            return None;
        }
        let authorizers = self.authorizers.all();
        let mut matching = authorizers
            .iter()
            .filter(|rule| rule.pattern.matches(request.channel))
            .map(|rule| rule.authorizer.authorize(operation, request))
            .peekable();
        matching.peek()?;
        let mut granted = false;
        for authorization in matching {
            match authorization {
                Authorization::Deny(reason) => return Some(reason),
                Authorization::Grant => granted = true,
                Authorization::Ignore => {}
            }
        }
        (!granted).then_some(Cow::Borrowed("denied_by_not_granting"))
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("has_policy", &self.policy.is_some())
            .field("authorizers", &self.authorizers)
            .finish()
    }
}
