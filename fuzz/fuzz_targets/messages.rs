//! See `fuzz::messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::messages(input));
