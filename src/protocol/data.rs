//! Data that does not fit.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Data of a message is not of the type that was asked for, or can't be written as JSON.
#[derive(Debug)]
pub struct DataError(serde_json::Error);

impl DataError {
    pub(crate) const fn new(error: serde_json::Error) -> Self {
        Self(error)
    }

    pub(crate) fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Self> {
        serde_json::from_str(json).map_err(Self)
    }

    pub(crate) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Self> {
        serde_json::from_value(value).map_err(Self)
    }

    pub(crate) fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, Self> {
        serde_json::to_value(value).map_err(Self)
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the message's data does not fit: {}", self.0)
    }
}

impl std::error::Error for DataError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
