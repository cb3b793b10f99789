//! The security policy: one object that is asked about everything.

use std::{any::Any, borrow::Cow, future::Future, pin::Pin, sync::Arc};

use http::request::Parts;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    attributes::Value,
    protocol::{Advice, DataError, Ext},
    session::ServerSession,
};

/// Decides what clients may do. Every method grants by default; implement those that you care about, as `async fn`.
///
/// Asked before a message takes effect, with no lock held: a method may take its time, query a database, or call the
/// server, by a [`WeakBayeuxServer`](crate::WeakBayeuxServer). Only the request that it was asked for waits. `/meta/…`
/// channels are refused without asking.
///
/// ```
/// use tower_bayeux::{BayeuxServer, PolicyRequest, SecurityPolicy, Verdict};
///
/// struct MembersOnly;
///
/// impl SecurityPolicy for MembersOnly {
///     async fn can_handshake(&self, request: PolicyRequest<'_>) -> Verdict {
///         match request.ext::<serde_json::Value>() {
///             Ok(ext) if ext["token"] == "s3cret" => Verdict::grant(),
///             _ => Verdict::deny(),
///         }
///     }
///
///     async fn can_publish(&self, request: PolicyRequest<'_>) -> Verdict {
///         if request.channel().starts_with("/announcements") {
///             return Verdict::deny_because("read_only");
///         }
///         Verdict::grant()
///     }
/// }
///
/// let bayeux = BayeuxServer::builder().security_policy(MembersOnly).build();
/// ```
pub trait SecurityPolicy: Send + Sync + 'static {
    /// Whether a client may have a session. Denied: `403::handshake_denied` and, unless the verdict says otherwise,
    /// `reconnect: none`.
    fn can_handshake(&self, request: PolicyRequest<'_>) -> impl Future<Output = Verdict> + Send {
        grant(request)
    }

    /// Whether a session may be the first on a channel, by publishing or subscribing to one that nobody has subscribed
    /// to. A channel exists as long as somebody subscribes to exactly its name, so this may be asked again; one that is
    /// [persistent](crate::ChannelSettings::persistent) always exists. Denied: `403:<reason>:channel_create_denied` or
    /// `403:<reason>:create_denied`.
    fn can_create(&self, request: PolicyRequest<'_>) -> impl Future<Output = Verdict> + Send {
        grant(request)
    }

    /// Whether a session may subscribe to a channel or pattern. Denied: `403:<reason>:subscribe_denied`.
    ///
    /// A pattern is asked about as it is, `/**` for instance: deny those that reach further than the session may.
    fn can_subscribe(&self, request: PolicyRequest<'_>) -> impl Future<Output = Verdict> + Send {
        grant(request)
    }

    /// Whether a session may publish a message. Denied: `403:<reason>:publish_denied`. Asked about messages without a
    /// session too, if the server [takes them](crate::BayeuxBuilder::unconnected_publish).
    fn can_publish(&self, request: PolicyRequest<'_>) -> impl Future<Output = Verdict> + Send {
        grant(request)
    }
}

async fn grant(_: PolicyRequest<'_>) -> Verdict {
    Verdict::grant()
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct PolicyRequest<'a> {
    pub(crate) session: Option<ServerSession>,
    pub(crate) channel: &'a str,
    pub(crate) data: &'a str,
    pub(crate) ext: Option<&'a str>,
    pub(crate) request: &'a Parts,
}

impl<'a> PolicyRequest<'a> {
    /// The session that asks; `None` at a handshake, and for a message without a `clientId`.
    #[must_use]
    pub const fn session(&self) -> Option<&ServerSession> {
        self.session.as_ref()
    }

    /// The channel or pattern in question, without a trailing slash.
    #[must_use]
    pub const fn channel(&self) -> &'a str {
        self.channel
    }

    /// The HTTP request that brought the message: headers, extensions and so on.
    #[must_use]
    pub const fn request(&self) -> &'a Parts {
        self.request
    }

    /// The message's `data`, as JSON; `null` if it has none.
    #[must_use]
    pub const fn raw_data(&self) -> &'a str {
        self.data
    }

    /// The message's `data`.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it is not a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, DataError> {
        DataError::parse(self.data)
    }

    /// The message's `ext`.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it is not a `T`; one that the message does not have counts as `null`.
    pub fn ext<T: DeserializeOwned>(&self) -> Result<T, DataError> {
        DataError::parse(self.ext.unwrap_or("null"))
    }
}

/// What a policy is asked about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// To have a session.
    Handshake,
    /// To be the first on a channel.
    Create,
    /// To subscribe to a channel or pattern.
    Subscribe,
    /// To publish a message.
    Publish,
}

/// A policy's answer, and what the client is told with it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Verdict {
    pub(crate) denied: Option<Cow<'static, str>>,
    pub(crate) ext: Ext,
    pub(crate) advice: Option<Advice>,
    pub(crate) attributes: Vec<Value>,
}

impl Verdict {
    /// Yes.
    pub fn grant() -> Self {
        Self {
            denied: None,
            ext: Ext::new(),
            advice: None,
            attributes: Vec::new(),
        }
    }

    /// No, with `denied_by_security_policy` in the error text.
    pub fn deny() -> Self {
        Self::deny_because("denied_by_security_policy")
    }

    /// No, with a reason of your own in the error text.
    pub fn deny_because(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            denied: Some(reason.into()),
            ..Self::grant()
        }
    }

    /// Puts an entry into the `ext` of the reply to a handshake, or to whatever is denied. A value that can't be written
    /// as JSON is left out.
    pub fn with_ext<T: Serialize + ?Sized>(mut self, name: impl Into<String>, value: &T) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.ext.insert(name.into(), value);
        }
        self
    }

    /// Puts this `advice` into the reply to a handshake, or to whatever is denied, in place of the server's own.
    pub fn with_advice(mut self, advice: Advice) -> Self {
        self.advice = Some(advice);
        self
    }

    /// Attaches a value to the session that is granted, before anybody else hears of it: so what the policy has found out
    /// about the client is there for whoever has the session. Without effect on anything but a handshake.
    ///
    /// ```
    /// use tower_bayeux::{PolicyRequest, SecurityPolicy, Verdict};
    ///
    /// struct User(String);
    ///
    /// struct Members;
    ///
    /// impl SecurityPolicy for Members {
    ///     async fn can_handshake(&self, request: PolicyRequest<'_>) -> Verdict {
    ///         match request.ext::<serde_json::Value>().as_ref().map(|ext| ext["user"].as_str()) {
    ///             Ok(Some(user)) => Verdict::grant().with_attribute(User(user.to_owned())),
    ///             _ => Verdict::deny(),
    ///         }
    ///     }
    ///
    ///     async fn can_publish(&self, request: PolicyRequest<'_>) -> Verdict {
    ///         match request.session().and_then(|session| session.attribute::<User>()) {
    ///             Some(user) if user.0 != "guest" => Verdict::grant(),
    ///             _ => Verdict::deny(),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn with_attribute<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.attributes.push(Arc::new(value));
        self
    }

    /// Whether it is a yes.
    #[must_use]
    pub const fn is_granted(&self) -> bool {
        self.denied.is_none()
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`SecurityPolicy`] as an object.
pub(crate) trait DynPolicy: Send + Sync {
    fn ask<'a>(&'a self, operation: Operation, request: PolicyRequest<'a>) -> BoxFuture<'a, Verdict>;
}

impl<P: SecurityPolicy> DynPolicy for P {
    fn ask<'a>(&'a self, operation: Operation, request: PolicyRequest<'a>) -> BoxFuture<'a, Verdict> {
        match operation {
            Operation::Handshake => Box::pin(self.can_handshake(request)),
            Operation::Create => Box::pin(self.can_create(request)),
            Operation::Subscribe => Box::pin(self.can_subscribe(request)),
            Operation::Publish => Box::pin(self.can_publish(request)),
        }
    }
}
