//! A peer's messages, to a key generation: the first byte says of which scheme, the others are bodies, each after two bytes of its length.
//!
//! FROST's and CGGMP'24's first rounds; a ceremony that panics is what is looked for.
#![no_main]

use entropy_protocol::simulator::{Case, Frame, Kind, Stock};
use entropy_shared::Scheme;
use libfuzzer_sys::fuzz_target;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, mut rest)) = bytes.split_first() else {
        return;
    };
    let scheme = Scheme::ALL[usize::from(*choice) % Scheme::ALL.len()];
    let case = Case::new(scheme, Kind::Keygen, 2, 2);
    let Ok(mut job) = case.build(&mut Stock::default(), 1) else {
        return;
    };
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let (from, mut peer) = job.parties.remove(1);
    let sent = peer.start(rng).outbound;
    let (to, mut victim) = job.parties.remove(0);
    victim.start(rng);
    let Some(payload) = sent.into_iter().next().map(|message| message.payload) else {
        return;
    };
    let real = Frame { from, to, payload };
    let mut round = 1;
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length));
        let (body, after) = after.split_at(length.min(after.len()));
        let frame = real.with_body(body.to_vec()).with_round(round);
        victim.receive(&from, &frame.payload, rng);
        (rest, round) = (after, round + 1);
    }
});
