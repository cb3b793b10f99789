//! Who may do what: the security policy and the authorizers.

mod authorizer;
mod rules;
mod security;

pub use authorizer::{Authorization, Authorizer, AuthorizerId, Grant};
pub use security::{Operation, PolicyRequest, SecurityPolicy, Verdict};

pub(crate) use rules::Rules;
pub(crate) use security::DynPolicy;
