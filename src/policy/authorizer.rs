//! Authorizers: rules that hang on channels.

use std::{
    borrow::Cow,
    ops::{BitOr, BitOrAssign},
};

use super::{Operation, PolicyRequest};

/// A rule for the channels of one name or pattern, set by [`BayeuxServer::authorize`](crate::BayeuxServer::authorize).
///
/// A channel without rules is free. Below `/meta` there are no rules: who may handshake is for a
/// [`SecurityPolicy`](super::SecurityPolicy) to say. Where there are some, all that match are asked: one that denies, denies; if none
/// denies, one that grants is needed. The reason of a refusal is the denying rule's, or `denied_by_not_granting`.
///
/// A client that subscribes to a pattern is asked for as if that were a channel: those rules count whose pattern matches it
/// as text, so a rule for `/room/*` counts for `/room/7`, `/room/*` and `/room/**`, one for `/**` for everything, and one for
/// `/room/7` for neither `/room/*` nor `/**`. Messages are not checked again on their way out. So a rule for one channel alone
/// does not keep its messages from those who subscribe to `/room/*`, `/room/**` or `/**`: these need rules too, or one rule
/// for all that looks at what reaches the channel.
///
/// ```
/// use tower_bayeux::{Authorization, BayeuxServer, ChannelName, Operation, PolicyRequest};
///
/// let bayeux = BayeuxServer::new();
/// // Closes `/room/7`, by whatever name or pattern it is reached, and nothing else. Where other rules say who may use the
/// // other channels, this one would say `Ignore` about them.
/// bayeux.authorize("/**", |_: Operation, request: &PolicyRequest<'_>| {
///     let asked = ChannelName::parse(request.channel());
///     if asked.is_ok_and(|asked| asked.matches("/room/7")) {
///         return Authorization::deny("closed");
///     }
///     Authorization::Grant
/// })?;
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
///
/// [`Grant`] is ready-made; any closure of this shape is a rule too:
///
/// ```
/// use tower_bayeux::{Authorization, BayeuxServer, Grant, Operation, PolicyRequest};
///
/// let bayeux = BayeuxServer::new();
/// // Everybody may listen to the rooms …
/// bayeux.authorize("/room/**", Grant::CREATE | Grant::SUBSCRIBE)?;
/// // … and those who are logged in may talk.
/// bayeux.authorize("/room/**", |operation: Operation, request: &PolicyRequest<'_>| {
///     if operation == Operation::Publish && request.request().headers.contains_key("authorization") {
///         return Authorization::Grant;
///     }
///     Authorization::Ignore
/// })?;
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
pub trait Authorizer: Send + Sync + 'static {
    /// What this rule says. Called with no lock held, but on the path of a request: for anything that has to wait,
    /// there is [`SecurityPolicy`](super::SecurityPolicy).
    fn authorize(&self, operation: Operation, request: &PolicyRequest<'_>) -> Authorization;
}

impl<F> Authorizer for F
where
    F: Fn(Operation, &PolicyRequest<'_>) -> Authorization + Send + Sync + 'static,
{
    fn authorize(&self, operation: Operation, request: &PolicyRequest<'_>) -> Authorization {
        self(operation, request)
    }
}

/// What an [`Authorizer`] says.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum Authorization {
    /// Yes, unless another rule denies.
    Grant,
    /// Nothing: the others decide.
    Ignore,
    /// No, for this reason.
    Deny(Cow<'static, str>),
}

impl Authorization {
    /// No, for this reason.
    pub fn deny(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Deny(reason.into())
    }
}

/// Names a rule of one server, to be handed to
/// [`BayeuxServer::remove_authorizer`](crate::BayeuxServer::remove_authorizer).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AuthorizerId(pub(super) u64);

/// A ready-made [`Authorizer`]: grants some operations and says nothing about the others.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Grant(u8);

impl Grant {
    /// Grants nothing: what no other rule grants is refused. For one channel it does not close the patterns that reach it,
    /// whose subscribers go on to get its messages; for `/**` it closes everything. See [`Authorizer`].
    pub const NONE: Self = Self(0);
    /// Grants to be the first on the channel.
    pub const CREATE: Self = Self(1);
    /// Grants to subscribe.
    pub const SUBSCRIBE: Self = Self(2);
    /// Grants to publish.
    pub const PUBLISH: Self = Self(4);
    /// Grants everything.
    pub const ALL: Self = Self(7);

    const fn of(operation: Operation) -> Self {
        match operation {
            Operation::Handshake => Self::NONE,
            Operation::Create => Self::CREATE,
            Operation::Subscribe => Self::SUBSCRIBE,
            Operation::Publish => Self::PUBLISH,
        }
    }
}

impl BitOr for Grant {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Grant {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl Authorizer for Grant {
    fn authorize(&self, operation: Operation, _: &PolicyRequest<'_>) -> Authorization {
        if self.0 & Self::of(operation).0 == 0 {
            Authorization::Ignore
        } else {
            Authorization::Grant
        }
    }
}
