//! Model checking: the follower as it is, with a host, a broker, a commit log and an operator that are modelled, over all
//! interleavings within stated bounds. Then the same with one guard taken away at a time, which must be found out.
//!
//! The product's code knows nothing of this: guards of the follower are taken away by feeding it otherwise
//! (`reader.rs`), guards of the host in its model (`host.rs`).

#![allow(clippy::unwrap_used)]

mod host;
mod reader;
mod world;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};
use world::{Bounds, Guard, World};

/// Two messages, one partition, one group, no faults.
const SMALL: Bounds = Bounds { messages: 2, groups: 1, partitions: 1, ..Bounds::NONE };

/// What may happen, which is everything that is promised to be survived.
fn promised() -> Vec<(&'static str, World)> {
    let world = |bounds, repair, ids, heartbeat| World { bounds, repair, ids, heartbeat, without: None };
    vec![
        (
            "lost and doubled records, take-overs, zombies, restarts; repaired by heartbeats",
            world(
                Bounds { takeovers: 1, losses: 1, duplicates: 1, compactions: 1, restarts: 1, ..SMALL },
                false,
                false,
                true,
            ),
        ),
        (
            "the same, repaired by asking the group",
            world(Bounds { takeovers: 1, losses: 1, restarts: 1, failures: 1, ..SMALL }, true, false, false),
        ),
        ("two groups", world(Bounds { groups: 2, losses: 1, restarts: 1, ..SMALL }, false, false, true)),
        (
            "two partitions, pauses, rebalances of the follower",
            world(
                Bounds { partitions: 2, messages: 1, pauses: 1, rebalances: 1, restarts: 1, ..SMALL },
                false,
                false,
                true,
            ),
        ),
        (
            "inserts that overlap",
            world(Bounds { messages: 3, takeovers: 1, losses: 1, overlap: true, ..SMALL }, false, false, true),
        ),
        (
            "a group that goes back, with zombies and compaction, asked",
            world(Bounds { rewinds: 1, compactions: 1, ..SMALL }, true, false, false),
        ),
        (
            "a topic made anew, whose records name it",
            world(Bounds { recreations: 1, duplicates: 1, ..SMALL }, false, true, true),
        ),
        (
            "a topic made anew in calm, whose group is asked",
            world(Bounds { recreations: 1, duplicates: 1, ..SMALL }, true, false, false),
        ),
    ]
}

#[test]
fn every_invariant_holds_in_every_state() {
    for (name, world) in promised() {
        let started = Instant::now();
        let checker = world.checker().threads(2).spawn_bfs().join();
        println!(
            "{name}: {} states, {} of them different, depth {}, {:.1} s",
            checker.state_count(),
            checker.unique_state_count(),
            checker.max_depth(),
            started.elapsed().as_secs_f64()
        );
        for (property, path) in checker.discoveries() {
            let is_goal = property == world::GOAL;
            assert!(is_goal, "{name}: {property}\n{:#?}\n{:#?}", path.clone().into_actions(), path.last_state());
        }
        assert!(checker.discovery(world::GOAL).is_some(), "{name}: nothing is ever delivered in full");
        assert!(checker.is_done());
    }
}

/// Which property is found broken when a guard is taken away, and in which world.
#[test]
fn every_guard_is_missed_when_it_is_gone() {
    let worlds = promised();
    for (guard, property, world) in Guard::all() {
        let bounds = world.map_or_else(|| panic!("{guard:?} has no world"), |index: usize| worlds[index].1.clone());
        let world = guard.taken_from(bounds);
        let checker =
            world.checker().threads(2).finish_when(HasDiscoveries::AnyOf([property].into())).spawn_bfs().join();
        let found: Vec<_> = checker.discoveries().into_keys().collect();
        assert!(found.contains(&property), "without {guard:?}: {property} is not found broken, only {found:?}");
        let length = checker.discovery(property).unwrap().into_actions().len();
        println!("without {guard:?}: {property}, in {length} steps, {} states", checker.state_count());
    }
}
