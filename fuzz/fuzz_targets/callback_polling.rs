//! See `fuzz::callback_polling`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::callback_polling(input));
