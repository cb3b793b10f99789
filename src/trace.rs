//! Tracing that compiles to nothing without the `tracing` feature, so that no call site carries a `cfg`.

macro_rules! debug {
    ($($arg:tt)+) => {
        #[cfg(feature = "tracing")]
        {
            tracing::debug!(target: "tower_bayeux", $($arg)+);
        }
    };
}

macro_rules! warning {
    ($($arg:tt)+) => {
        #[cfg(feature = "tracing")]
        {
            tracing::warn!(target: "tower_bayeux", $($arg)+);
        }
    };
}

pub(crate) use {debug, warning};
