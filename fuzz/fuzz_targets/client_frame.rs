#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rondo_fuzz::client_frame(input));
