//! Data that does not fit.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Data of a message is not of the type that was asked for, or can't be written as JSON; its
/// [`source`](std::error::Error::source) says where and why.
#[derive(Debug)]
pub struct DataError {
    is_written: bool,
    source: serde_json::Error,
}

impl DataError {
    /// Data can't be written.
    pub(crate) const fn unwritable(source: serde_json::Error) -> Self {
        let is_written = true;
        Self { is_written, source }
    }

    /// Data is of another type.
    const fn unreadable(source: serde_json::Error) -> Self {
        let is_written = false;
        Self { is_written, source }
    }

    pub(crate) fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Self> {
        serde_json::from_str(json).map_err(Self::unreadable)
    }

    pub(crate) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Self> {
        serde_json::from_value(value).map_err(Self::unreadable)
    }

    pub(crate) fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, Self> {
        serde_json::to_value(value).map_err(Self::unwritable)
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_written {
            "the data can't be written as JSON"
        } else {
            "the message's data does not fit"
        })
    }
}

impl std::error::Error for DataError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
