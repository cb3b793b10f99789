//! What a handler's return value says to the caller.

use std::{borrow::Cow, fmt};

use serde::Serialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};

use super::Data;
use crate::protocol::DataError;

/// What a handler returns; see [what it returns](super#what-it-returns).
///
/// For a type of your own, make an [`Answer`]:
///
/// ```
/// use tower_bayeux::{
///     BayeuxServer,
///     call::{Answer, IntoAnswer},
/// };
///
/// enum Vote {
///     Counted { votes: u32 },
///     Closed,
/// }
///
/// impl IntoAnswer for Vote {
///     fn into_answer(self) -> Answer {
///         match self {
///             Self::Counted { votes } => Answer::success(&votes),
///             Self::Closed => Answer::failure(&"too late"),
///         }
///     }
/// }
///
/// let bayeux = BayeuxServer::new();
/// bayeux.service("/service/vote", || async { Vote::Counted { votes: 1 } })?;
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to a call",
    label = "returned by a handler",
    note = "wrap what is to be serialised: `Data(value)`",
    note = "a handler returns `Data<T>`, `()`, `Answer`, `Result<_, CallError>`, or a type that implements `IntoAnswer`"
)]
pub trait IntoAnswer {
    /// The answer.
    fn into_answer(self) -> Answer;
}

/// An answer to a call: success or failure with data, or none.
///
/// ```
/// use tower_bayeux::{
///     BayeuxServer,
///     call::{Answer, Data},
/// };
///
/// let bayeux = BayeuxServer::new();
/// bayeux.service("/service/lookup", |Data(word): Data<String>| async move {
///     match word.as_str() {
///         "" => Answer::none(),
///         "tea" => Answer::success(&42),
///         _ => Answer::failure(&serde_json::json!({ "unknown": word })),
///     }
/// })?;
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Answer(Option<Sent>);

/// What goes to the caller.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) successful: bool,
    pub(super) data: Cow<'static, RawValue>,
}

impl Answer {
    /// None: the caller gets nothing but the reply to its publish.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Success, with this data. Data that can't be written as JSON makes a failure.
    pub fn success<T: Serialize + ?Sized>(data: &T) -> Self {
        match to_raw_value(data) {
            Ok(data) => Self::some(true, data),
            Err(_) => CallError::new("the answer can't be written as JSON").into_answer(),
        }
    }

    /// Failure, with this data. Data that can't be written as JSON becomes `null`.
    pub fn failure<T: Serialize + ?Sized>(data: &T) -> Self {
        match to_raw_value(data) {
            Ok(data) => Self::some(false, data),
            Err(_) => Self(Some(Sent {
                successful: false,
                data: Cow::Borrowed(RawValue::NULL),
            })),
        }
    }

    const fn some(successful: bool, data: Box<RawValue>) -> Self {
        Self(Some(Sent {
            successful,
            data: Cow::Owned(data),
        }))
    }

    pub(super) const fn sent(&self) -> Option<&Sent> {
        self.0.as_ref()
    }
}

impl IntoAnswer for Answer {
    fn into_answer(self) -> Answer {
        self
    }
}

impl IntoAnswer for () {
    fn into_answer(self) -> Answer {
        Answer::none()
    }
}

impl<T: Serialize> IntoAnswer for Data<T> {
    fn into_answer(self) -> Answer {
        Answer::success(&self.0)
    }
}

impl<A: IntoAnswer, E: Into<CallError>> IntoAnswer for Result<A, E> {
    fn into_answer(self) -> Answer {
        match self {
            Ok(answer) => answer.into_answer(),
            Err(error) => error.into().into_answer(),
        }
    }
}

/// Why a call failed, as the caller is told: `successful: false`, and in `data` an object with a `message`, or data of
/// your choice.
///
/// No error becomes one by `?` unless you say so, because its text would go to a client that may be anybody's. Say it
/// where the error occurs, or once for a type:
///
/// ```
/// use tower_bayeux::call::{CallError, Data};
///
/// async fn divide(Data((a, b)): Data<(i32, i32)>) -> Result<Data<i32>, CallError> {
///     a.checked_div(b).map(Data).ok_or(CallError::new("can't divide"))
/// }
///
/// async fn parse(Data(text): Data<String>) -> Result<Data<i32>, CallError> {
///     text.parse().map(Data).map_err(CallError::new)
/// }
///
/// enum ShopError {
///     SoldOut,
///     Database(std::io::Error),
/// }
///
/// impl From<ShopError> for CallError {
///     fn from(error: ShopError) -> Self {
///         match error {
///             ShopError::SoldOut => Self::with_data(&serde_json::json!({ "code": 17, "again": "tomorrow" })),
///             ShopError::Database(error) => {
///                 eprintln!("{error}");
///                 Self::new("try again later")
///             }
///         }
///     }
/// }
///
/// async fn buy() -> Result<(), ShopError> {
///     Err(ShopError::SoldOut)
/// }
///
/// # let bayeux = tower_bayeux::BayeuxServer::new();
/// # bayeux.service("/service/divide", divide)?;
/// # bayeux.service("/service/parse", parse)?;
/// # bayeux.service("/service/buy", buy)?;
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
#[derive(Clone, Debug)]
pub struct CallError(Failure);

#[derive(Clone, Debug)]
enum Failure {
    Message(String),
    Data(Box<RawValue>),
}

impl CallError {
    /// A failure with `{"message": …}` as its data: a text, or an error whose text the caller may know.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        Self(Failure::Message(message.to_string()))
    }

    /// A failure with this data. If it can't be written as JSON, a message says so in its place.
    #[must_use]
    pub fn with_data<T: Serialize + ?Sized>(data: &T) -> Self {
        to_raw_value(data).map_or_else(
            |_| Self::new("the failure can't be written as JSON"),
            |data| Self(Failure::Data(data)),
        )
    }
}

impl IntoAnswer for CallError {
    fn into_answer(self) -> Answer {
        match self.0 {
            Failure::Message(message) => Answer::failure(&json!({ "message": message })),
            Failure::Data(data) => Answer::some(false, data),
        }
    }
}

/// With the cause: who has sent the data is to know what is wrong with it.
impl From<DataError> for CallError {
    fn from(error: DataError) -> Self {
        match std::error::Error::source(&error) {
            Some(cause) => Self::new(format_args!("{error}: {cause}")),
            None => Self::new(error),
        }
    }
}

/// The message, or the data as JSON.
impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Failure::Message(message) => message,
            Failure::Data(data) => data.get(),
        })
    }
}

impl std::error::Error for CallError {}
