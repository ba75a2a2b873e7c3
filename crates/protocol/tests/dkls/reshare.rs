//! Resharing and refresh: the same key for another committee, and who spoils the set-up is named.

use entropy_protocol::{KeyShare, Offence, SetupError, sign};
use entropy_shared::Scheme;

use crate::{
    Shares,
    common::{Network, account, new_shares, reshare_context, reshares, servers, sets_of, signs},
    context, shares,
    sign::judge,
};

const SCHEMES: [Scheme; 2] = [Scheme::EcdsaDkls23, Scheme::EcdsaP256];

const FIRST_OF_SETUP: u8 = 7;
const OPENING_OF_SETUP: u8 = 8;
const AGREEMENT: u8 = 9;

fn shares_2_3(scheme: Scheme) -> &'static Shares {
    shares(scheme, 2, 3)
}

fn any(shares: &Shares) -> &KeyShare {
    shares.values().next().unwrap()
}

/// All sets of `t` sign, for the same derived key as before.
fn assert_same_key(old: &Shares, new: &Shares) {
    assert_eq!(any(new).public().root_key, any(old).public().root_key);
    let parties: Vec<_> = new.keys().copied().collect();
    let threshold = usize::from(any(new).public().committee.threshold());
    let before: Vec<_> = old.keys().copied().take(2).collect();
    let expected = context(old, &before, "m/4").final_key;
    for signers in sets_of(threshold, &parties) {
        let signing = context(new, &signers, "m/4");
        assert_eq!(signing.final_key, expected);
        let outputs = Network::orderly(3).run(signs(&signing, new)).outputs();
        for signature in outputs.values() {
            judge(&signing, signature);
        }
    }
}

#[test]
fn a_refresh_keeps_the_key_and_makes_the_old_shares_useless() {
    for scheme in SCHEMES {
        let old = shares_2_3(scheme);
        let parties: Vec<_> = old.keys().copied().collect();
        let redeal = reshare_context(any(old).public(), &parties, &parties, 2);
        let new = new_shares(&redeal, Network::chaotic(1).run(reshares(&redeal, old)));
        assert_same_key(old, &new);
        let signing = context(&new, &parties[..2], "m");
        let refused = sign(&signing, &old[&parties[0]], account(&parties[0])).err();
        assert_eq!(refused, Some(SetupError::OtherShare));
        // The old holders' shares work until they are erased.
        assert_same_key(old, old);
    }
}

#[test]
fn shares_pass_to_committees_that_overlap_and_to_others() {
    for (scheme, holders, threshold) in [
        (Scheme::EcdsaDkls23, 1..5, 3),
        (Scheme::EcdsaDkls23, 3..5, 2),
        (Scheme::EcdsaP256, 2..4, 2),
    ] {
        let old = shares_2_3(scheme);
        let dealers: Vec<_> = old.keys().copied().collect();
        let redeal = reshare_context(any(old).public(), &dealers, &servers(holders), threshold);
        let new = new_shares(&redeal, Network::orderly(2).run(reshares(&redeal, old)));
        assert_same_key(old, &new);
        for share in new.values() {
            assert_eq!(
                KeyShare::decode(&share.encode()).unwrap().encode(),
                share.encode()
            );
        }
    }
}

#[test]
fn a_new_holder_that_spoils_the_set_up_is_named_by_all() {
    let old = shares_2_3(Scheme::EcdsaDkls23);
    let dealers: Vec<_> = old.keys().copied().collect();
    let redeal = reshare_context(any(old).public(), &dealers, &dealers, 2);
    let bad = dealers[1];
    // What is flipped: the digest or the commitment to a proof, a byte of the opening, the digest again.
    for (round, byte, offence) in [
        (FIRST_OF_SETUP, 0, Offence::Equivocation),
        (FIRST_OF_SETUP, 40, Offence::FailedProof),
        (OPENING_OF_SETUP, 0, Offence::Malformed),
        (AGREEMENT, 0, Offence::Equivocation),
    ] {
        let network = Network::orderly(1).cheat(bad, round, move |packet| {
            packet.edited(|body| {
                if round == OPENING_OF_SETUP {
                    body.truncate(50);
                } else {
                    body[byte] ^= 1;
                }
            })
        });
        let run = network.run(reshares(&redeal, old));
        run.assert_all_blame(bad, offence);
        let silent = Network::orderly(1).tamper(move |packet| {
            if packet.from == bad && packet.round() >= round {
                vec![]
            } else {
                vec![packet]
            }
        });
        silent
            .run(reshares(&redeal, old))
            .assert_all_blame(bad, Offence::Silent);
    }
}
