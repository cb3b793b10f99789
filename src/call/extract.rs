//! What a handler may ask to be given.

use std::{
    any::{Any, type_name},
    fmt,
    future::Future,
    sync::Arc,
};

use http::request::Parts;
use serde::de::DeserializeOwned;

use super::{CallError, template::Template};
use crate::{
    channel::Message,
    protocol::{ChannelName, DataError},
    session::ServerSession,
};

/// One message from a client, on its way through the handlers.
#[derive(Clone)]
pub struct Call<'a> {
    message: &'a Message,
    ext: Option<&'a str>,
    request: &'a Arc<Parts>,
    server: &'a (dyn Any + Send + Sync),
    /// What the handler is set for, if that has parameters.
    template: Option<&'a Template>,
}

impl<'a> Call<'a> {
    /// `server` is for the floor above, which knows what it is.
    pub(crate) const fn new(
        message: &'a Message,
        ext: Option<&'a str>,
        request: &'a Arc<Parts>,
        server: &'a (dyn Any + Send + Sync),
    ) -> Self {
        Self {
            message,
            ext,
            request,
            server,
            template: None,
        }
    }

    /// The call, as the handler of a template sees it.
    pub(super) const fn through(mut self, template: Option<&'a Template>) -> Self {
        self.template = template;
        self
    }

    /// The session that calls; `None` for a message without a `clientId`, if the server
    /// [takes such](crate::BayeuxBuilder::unconnected_publish). Nobody can be answered then.
    #[must_use]
    pub const fn session(&self) -> Option<&'a ServerSession> {
        self.message.sender()
    }

    /// The channel of the message, without a trailing slash.
    #[must_use]
    pub fn channel(&self) -> &'a str {
        self.message.channel()
    }

    /// The HTTP request that brought the message: headers, extensions and so on.
    #[must_use]
    pub const fn request(&self) -> &'a Arc<Parts> {
        self.request
    }

    /// The message's `data`, as JSON; `null` if it has none.
    #[must_use]
    pub fn raw_data(&self) -> &'a str {
        self.message.raw_data()
    }

    /// The message's `data`.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it is not a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, DataError> {
        self.message.data()
    }

    /// The message's `ext`.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it is not a `T`; one that the message does not have counts as `null`.
    pub fn ext<T: DeserializeOwned>(&self) -> Result<T, DataError> {
        DataError::parse(self.ext.unwrap_or("null"))
    }

    /// What the segments in braces stand for, each with its name, if the handler is set for a template; see
    /// [`Params`](super::Params).
    pub fn params(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let channel = self.channel();
        let template = self.template.into_iter();
        template.flat_map(move |template| template.parameters(channel))
    }

    pub(crate) const fn server(&self) -> &'a (dyn Any + Send + Sync) {
        self.server
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("message", &self.message)
            .field("ext", &self.ext)
            .field("request", &self.request)
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

/// An argument of a handler, made from the [`Call`]; see [what a handler takes](super#what-a-handler-takes).
///
/// Implement it, as `async fn`, for what your handlers have in common:
///
/// ```
/// use tower_bayeux::{
///     BayeuxServer, ServerSession,
///     call::{Call, CallError, Data, FromCall},
/// };
///
/// #[derive(Clone)]
/// struct User {
///     name: String,
/// }
///
/// impl FromCall for User {
///     async fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
///         let session = ServerSession::from_call(call).await?;
///         let user = session.attribute::<User>();
///         user.map(|user| (*user).clone()).ok_or(CallError::new("log in first"))
///     }
/// }
///
/// let bayeux = BayeuxServer::new();
/// bayeux.service("/service/whoami", |user: User| async { Data(user.name) })?;
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be had from a call",
    label = "not an argument of a handler",
    note = "the message's data is had as `Data<T>`, a value of the request's extensions as `Extension<T>`",
    note = "implement `FromCall` for a type of your own"
)]
pub trait FromCall: Sized {
    /// Takes it from the call. An error answers the caller, and the handler is not called.
    fn from_call(call: &Call<'_>) -> impl Future<Output = Result<Self, CallError>> + Send;
}

/// The `data` of a message. As an argument of a handler it is parsed, and data that is not a `T` is answered as a failure;
/// returned, it answers the caller with success.
///
/// A message without `data` counts as one with `null`: take a `Data<Option<T>>` where it may be missing.
///
/// ```
/// use tower_bayeux::{BayeuxServer, call::Data};
///
/// async fn sum(Data(numbers): Data<Vec<f64>>) -> Data<f64> {
///     Data(numbers.iter().sum())
/// }
///
/// let bayeux = BayeuxServer::new();
/// bayeux.service("/service/sum", sum)?;
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned> FromCall for Data<T> {
    async fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        Ok(Self(call.data()?))
    }
}

/// A value that a layer has put into the extensions of the HTTP request. A request without it is answered as a failure;
/// where that is fine, take an `Option<Extension<T>>`.
///
/// axum's `Extension` layer puts them there, as does any middleware, as long as it stands outside the Bayeux layer.
///
/// ```
/// use tower_bayeux::{
///     BayeuxServer,
///     call::{Data, Extension},
/// };
///
/// #[derive(Clone)]
/// struct Language(&'static str);
///
/// async fn greet(language: Option<Extension<Language>>) -> Data<&'static str> {
///     match language {
///         Some(Extension(Language("fr"))) => Data("bonjour"),
///         _ => Data("hello"),
///     }
/// }
///
/// let bayeux = BayeuxServer::new();
/// bayeux.service("/service/greet", greet)?;
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Extension<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromCall for Extension<T> {
    async fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        let value = call.request.extensions.get::<T>().cloned();
        value
            .map(Self)
            .ok_or_else(|| CallError::new(format_args!("the request has no extension {}", type_name::<T>())))
    }
}

/// Who calls. Fails for a message without a session.
impl FromCall for ServerSession {
    async fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        call.session().cloned().ok_or_else(|| CallError::new("no session"))
    }
}

/// The channel of the message.
impl FromCall for ChannelName {
    async fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        Self::parse(call.channel()).map_err(CallError::new)
    }
}

/// The HTTP request that brought the message.
impl FromCall for Arc<Parts> {
    async fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        Ok(Self::clone(call.request))
    }
}

/// `None` where it can't be had, for whatever reason.
impl<A: FromCall> FromCall for Option<A> {
    async fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        Ok(A::from_call(call).await.ok())
    }
}
