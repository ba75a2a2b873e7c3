//! Every behaviour and every error of the pallet, and those who would cheat it.

mod requests;
mod results;

use entropy_shared::{AccountId, lifecycle::request::RequestState, traits::Requests as _};
use frame_support::traits::fungible::InspectHold;

use crate::{Ended, EndedPlaces, HoldReason, Open, OpenOfKey, Requests, mock::*};

fn held(number: u8) -> u128 {
    Balances::balance_on_hold(
        &RuntimeHoldReason::Signing(HoldReason::Request),
        &account(number),
    )
}

/// What holds of the state between any two calls.
fn check_state() {
    let open = Open::<Test>::get();
    assert!(
        open.windows(2).all(|pair| pair[0].1 <= pair[1].1),
        "the list is in the order of expiry"
    );
    let is_open = |id| Requests::<Test>::get(id).unwrap().record.state == RequestState::Open;
    assert!(
        open.iter().all(|(id, _)| is_open(id)),
        "the list has open requests only"
    );
    let all_open =
        Requests::<Test>::iter_values().filter(|it| it.record.state == RequestState::Open);
    assert_eq!(all_open.count(), open.len(), "and all of them");
    for (key, count) in OpenOfKey::<Test>::iter() {
        let of_key = open
            .iter()
            .filter(|(id, _)| Signing::record(id).unwrap().content.key == key);
        assert_eq!(of_key.count(), count as usize);
        assert!(count > 0 && Signing::has_open(&key));
    }
    let places = EndedPlaces::<Test>::get();
    assert_eq!(
        Ended::<Test>::iter().count() as u64,
        places.end - places.first,
        "the queue has no gaps"
    );
    assert_eq!(
        Requests::<Test>::iter().count(),
        open.len() + Ended::<Test>::iter().count()
    );
    for number in 1..=2 {
        let due: u128 = Requests::<Test>::iter_values()
            .filter(|stored| stored.record.requester == AccountId([number; 32]))
            .map(|stored| stored.deposit)
            .sum();
        assert_eq!(held(number), due, "what is held is for what is kept");
    }
}
