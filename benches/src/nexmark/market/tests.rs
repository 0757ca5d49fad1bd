//! The market is as Nexmark describes it.

use super::*;
use std::collections::HashSet;

const MARKET: Market = Market {
    events: 50_000,
    events_per_second: 100_000,
};

#[test]
fn of_fifty_events_one_is_a_person_and_three_are_auctions() {
    let mut counts = (0, 0, 0);
    for event in MARKET.all() {
        match event {
            Event::Person(_) => counts.0 += 1,
            Event::Auction(_) => counts.1 += 1,
            Event::Bid(_) => counts.2 += 1,
        }
    }
    assert_eq!(counts, (1_000, 3_000, 46_000));
}

#[test]
fn an_event_depends_on_its_number_alone() {
    let in_order: Vec<Event> = MARKET.all().collect();
    for number in (0..MARKET.events).rev().step_by(7) {
        assert_eq!(MARKET.event(number), in_order[number as usize]);
    }
}

#[test]
fn a_second_has_as_many_events_as_it_should_and_time_never_goes_back() {
    assert_eq!(MARKET.event(99_999).date_time(), 999);
    assert_eq!(MARKET.event(100_000).date_time(), 1_000);
    assert!(MARKET.all().is_sorted_by_key(|event| event.date_time()));
}

#[test]
fn persons_and_auctions_have_ids_of_their_own_without_gaps() {
    let (mut persons, mut auctions) = (HashSet::new(), HashSet::new());
    for event in MARKET.all() {
        match event {
            Event::Person(person) => assert!(persons.insert(person.id)),
            Event::Auction(auction) => assert!(auctions.insert(auction.id)),
            Event::Bid(_) => {}
        }
    }
    assert!((1_000..2_000).all(|id| persons.contains(&id)));
    assert!((1_000..4_000).all(|id| auctions.contains(&id)));
}

#[test]
fn half_of_the_bids_are_for_a_hot_auction_and_three_quarters_by_a_hot_bidder() {
    let share = |is_hot: fn(&Bid) -> bool| MARKET.bids().filter(is_hot).count() * 100 / 46_000;
    assert!((49..=52).contains(&share(|bid| bid.auction % HOT == 0)));
    assert!((74..=77).contains(&share(|bid| bid.bidder % HOT == 1)));
    assert!((49..=52).contains(&share(|bid| u64::from(bid.channel) < LARGE_CHANNELS)));
}

#[test]
fn about_a_hundred_auctions_are_open_at_a_time() {
    let slow = Market {
        events_per_second: 1_000,
        ..MARKET
    };
    let middle = slow.event(25_000).date_time();
    let is_open = |event: &Event| match event {
        Event::Auction(auction) => (auction.date_time..=auction.expires).contains(&middle),
        Event::Person(_) | Event::Bid(_) => false,
    };
    let open = slow.all().filter(is_open).count();
    assert!((70..=130).contains(&open), "{open}");
}

#[test]
fn readers_that_take_turns_have_each_event_once_and_in_order() {
    for readers in [1, 2, 5] {
        let numbers: Vec<u64> = (0..100)
            .map(|position| {
                let market = Market {
                    events: 100,
                    ..MARKET
                };
                market.in_turn(position, readers)
            })
            .collect();
        assert!(
            numbers
                .chunks(100 / readers as usize)
                .all(|part| part.is_sorted())
        );
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), 100);
        assert!(numbers.iter().all(|number| *number < 100));
    }
}
