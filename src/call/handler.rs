//! Which functions are handlers.

use std::{future::Future, marker::PhantomData, pin::Pin};

use super::{Answer, Call, CallError, FromCall, IntoAnswer};

/// A function that answers calls. Implemented for async functions, and closures that return a future, of up to eight
/// arguments that implement [`FromCall`] and a result that implements [`IntoAnswer`]; not meant to be implemented
/// elsewhere.
///
/// ```
/// use tower_bayeux::{BayeuxServer, call::{CallHandler, Data}};
///
/// // To set handlers that somebody else has written.
/// fn mount<A: 'static>(bayeux: &BayeuxServer, name: &str, handler: impl CallHandler<A>) {
///     bayeux.service(format!("/service/{name}"), handler).expect("a channel name");
/// }
///
/// mount(&BayeuxServer::new(), "echo", |data: Data<String>| async { data });
/// ```
///
/// Its future must be [`Send`]: no `Rc`, and no lock's guard, may be held over an await.
///
/// ```compile_fail
/// // The message's data must be asked for as `Data<String>`.
/// tower_bayeux::BayeuxServer::new().service("/service/echo", |text: String| async {});
/// ```
///
/// ```compile_fail
/// // What is to be serialised must be returned as `Data(…)`.
/// tower_bayeux::BayeuxServer::new().service("/service/ping", || async { "pong" });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't answer calls",
    label = "not a handler",
    note = "a handler is an async function, or a closure that returns a future, of at most 8 arguments that each implement `FromCall`"
)]
pub trait CallHandler<Args>: Send + Sync + 'static {
    /// Extracts the arguments and runs the function.
    #[doc(hidden)]
    fn handle(&self, call: &Call<'_>) -> impl Future<Output = Answer> + Send;
}

// In steps, each with few implementations to choose from, so that the compiler tells which one failed: the function, an
// argument, the future, or what it returns.
impl<F, Args> CallHandler<Args> for F
where
    F: Function<Args>,
    Args: FromCall + Send,
    F::Output: Future<Output: IntoAnswer> + Send,
{
    async fn handle(&self, call: &Call<'_>) -> Answer {
        match Args::from_call(call).await {
            Ok(arguments) => self.call(arguments).await.into_answer(),
            Err(error) => error.into_answer(),
        }
    }
}

/// A function whose arguments are a tuple.
pub trait Function<Args>: Send + Sync + 'static {
    /// What it returns.
    type Output;

    /// Calls it.
    fn call(&self, arguments: Args) -> Self::Output;
}

macro_rules! arguments {
    ($($Arg:ident)*) => {
        impl<F, Output, $($Arg),*> Function<($($Arg,)*)> for F
        where
            F: Fn($($Arg),*) -> Output + Send + Sync + 'static,
        {
            type Output = Output;

            #[allow(non_snake_case, reason = "the arguments are called as their types are")]
            fn call(&self, ($($Arg,)*): ($($Arg,)*)) -> Output {
                self($($Arg),*)
            }
        }

        /// Each of them, in this order.
        impl<$($Arg: FromCall + Send),*> FromCall for ($($Arg,)*) {
            #[allow(unused_variables, reason = "nothing is extracted for no arguments")]
            async fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
                Ok(($($Arg::from_call(call).await?,)*))
            }
        }
    };
}

arguments!();
arguments!(A1);
arguments!(A1 A2);
arguments!(A1 A2 A3);
arguments!(A1 A2 A3 A4);
arguments!(A1 A2 A3 A4 A5);
arguments!(A1 A2 A3 A4 A5 A6);
arguments!(A1 A2 A3 A4 A5 A6 A7);
arguments!(A1 A2 A3 A4 A5 A6 A7 A8);

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`CallHandler`] as an object.
pub(super) trait DynHandler: Send + Sync {
    fn handle<'a>(&'a self, call: &'a Call<'_>) -> BoxFuture<'a, Answer>;
}

/// A handler with its arguments forgotten.
pub(super) struct Erased<H, Args>(H, PhantomData<fn(Args)>);

impl<H, Args> Erased<H, Args> {
    pub(super) const fn new(handler: H) -> Self {
        Self(handler, PhantomData)
    }
}

impl<H: CallHandler<Args>, Args> DynHandler for Erased<H, Args> {
    fn handle<'a>(&'a self, call: &'a Call<'_>) -> BoxFuture<'a, Answer> {
        Box::pin(self.0.handle(call))
    }
}
