//! See `fuzz::sequences`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::sequences(input));
