//! See `fuzz::channel_names`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::channel_names(input));
