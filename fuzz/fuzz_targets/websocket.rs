//! See `fuzz::websocket`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::websocket(input));
