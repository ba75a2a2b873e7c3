//! Stored shares: what is read is what was written.
#![no_main]

use entropy_protocol::KeyShare;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(share) = KeyShare::decode(bytes) {
        assert_eq!(&**share.encode(), bytes);
    }
});
