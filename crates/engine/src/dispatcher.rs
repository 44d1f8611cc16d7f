//! Which runs this process owns or is about to own, and what is to become of each. No IO.
//!
//! A run that this process owns is in exactly one place here from before the store is asked for it until the store has said
//! that it is not this process's any more: it is being taken, or a task moves it, or it waits to be claimed afresh. Nothing
//! else leads out than [`Left::Gone`]. When a timer is due is known to its task, and to the store where it sleeps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use baton_core::id::RunId;
use baton_core::mutant::{Mutant, planted};
use baton_ports::clock::Steady;

/// How long a run waits whose first claim failed; twice as long after each further one.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
/// The longest it waits.
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// How long a run is left alone that cannot be folded.
const UNREADABLE_AGAIN: Duration = Duration::from_secs(300);
/// Runs that cannot be folded and take no room from the others.
const UNREADABLE_MAX: usize = 4_096;

/// What to do with a run that somebody says has something to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// Claim it and own it.
    Claim,
    /// It is awake here, or about to be: have its task look into its inbox.
    Nudge,
    /// No room: it waits its turn, here or, if the process stops, in the store.
    Later,
    /// It is claimed when its time comes; everything new is found then.
    Waits,
}

/// How a claim or a task left its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The store has said that this process does not own it: it was given back, is somebody else's, or is not there.
    Gone,
    /// This process owns it and nothing moves it, or whether it owns it is not known: it is claimed afresh. `moved` says
    /// whether anything was written since it was taken.
    Unsettled { moved: bool },
    /// It cannot be folded by this program, and is looked at again rarely.
    Unreadable,
}

#[derive(Debug)]
struct Place {
    stands: Stands,
    /// Times that taking it failed since something of it was written.
    failed: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// It is being claimed or created.
    Taken { nudged: bool },
    /// A task moves it.
    Awake { nudged: bool },
    /// It is claimed afresh then.
    Again { at: Steady },
    /// It cannot be folded, and is claimed afresh then.
    Unreadable { at: Steady },
}

pub struct Dispatcher {
    places: BTreeMap<RunId, Place>,
    /// Those that wait to be claimed afresh, by when.
    again: BTreeSet<(Steady, RunId)>,
    unreadable: usize,
    /// Hints about runs that nobody here owns; the store names them again if they are lost.
    later: VecDeque<RunId>,
    queued: BTreeSet<RunId>,
    awake_max: usize,
}

impl Dispatcher {
    pub fn new(awake_max: usize) -> Self {
        Self {
            places: BTreeMap::new(),
            again: BTreeSet::new(),
            unreadable: 0,
            later: VecDeque::new(),
            queued: BTreeSet::new(),
            awake_max,
        }
    }

    /// Somebody says this run has something to do.
    pub fn announce(&mut self, run: &RunId) -> Admission {
        if let Some(place) = self.places.get_mut(run) {
            return match &mut place.stands {
                Stands::Taken { nudged } | Stands::Awake { nudged } => {
                    *nudged = true;
                    Admission::Nudge
                }
                Stands::Again { .. } | Stands::Unreadable { .. } => Admission::Waits,
            };
        }
        if self.room() == 0 {
            if self.queued.len() < self.awake_max && self.queued.insert(run.clone()) {
                self.later.push_back(run.clone());
            }
            return Admission::Later;
        }
        self.take(run);
        Admission::Claim
    }

    /// This process is about to create the run and own it from its first instant. `false` if there is no room, which
    /// `forced` does not ask for, or if the run is here already: then it is created as nobody's.
    pub fn begin(&mut self, run: &RunId, forced: bool) -> bool {
        let fits = !self.places.contains_key(run) && (self.room() > 0 || forced && self.awake_max > 0);
        if fits {
            self.take(run);
        }
        fits
    }

    fn take(&mut self, run: &RunId) {
        self.places.insert(run.clone(), Place { stands: Stands::Taken { nudged: false }, failed: 0 });
    }

    /// A task moves the run from now on. `true` if somebody nudged it while it was taken: what came then it may not have
    /// found.
    pub fn woke(&mut self, run: &RunId) -> bool {
        let Some(place) = self.places.get_mut(run) else { return false };
        let nudged = place.stands == Stands::Taken { nudged: true };
        place.stands = Stands::Awake { nudged };
        nudged
    }

    /// Nothing moves a run any more. Returns the runs to announce anew: itself, if it was given back and nudged meanwhile,
    /// and the next that waits for room.
    pub fn left(&mut self, run: &RunId, left: Left, now: Steady) -> Vec<RunId> {
        let mut announce = Vec::new();
        let Some(mut place) = self.places.remove(run) else { return announce };
        let nudged = matches!(place.stands, Stands::Taken { nudged: true } | Stands::Awake { nudged: true });
        let dropped = planted(Mutant::ClaimDropped) && matches!(place.stands, Stands::Taken { .. });
        match left {
            Left::Unsettled { moved } if !dropped => {
                place.failed = if moved { 0 } else { place.failed };
                let at = now + wait(place.failed);
                place.failed = place.failed.saturating_add(1);
                self.put_off(run, place, Stands::Again { at });
            }
            Left::Unreadable => {
                let at = now + UNREADABLE_AGAIN;
                self.put_off(run, place, Stands::Unreadable { at });
            }
            Left::Gone | Left::Unsettled { .. } => announce.extend(nudged.then(|| run.clone())),
        }
        if self.room() > announce.len()
            && let Some(next) = self.later.pop_front()
        {
            self.queued.remove(&next);
            announce.push(next);
        }
        announce
    }

    fn put_off(&mut self, run: &RunId, place: Place, stands: Stands) {
        let (Stands::Again { at } | Stands::Unreadable { at }) = stands else { return };
        self.unreadable += usize::from(matches!(stands, Stands::Unreadable { .. }));
        self.again.insert((at, run.clone()));
        self.places.insert(run.clone(), Place { stands, ..place });
    }

    /// Those whose time has come: each is to be claimed now.
    pub fn again(&mut self, now: Steady) -> Vec<RunId> {
        let mut claim = Vec::new();
        while let Some((_, run)) = self.again.pop_first_if_due(now) {
            if let Some(place) = self.places.get_mut(&run) {
                self.unreadable -= usize::from(matches!(place.stands, Stands::Unreadable { .. }));
                place.stands = Stands::Taken { nudged: false };
                claim.push(run);
            }
        }
        claim
    }

    /// When the next of them is to be claimed.
    pub fn next_again(&self) -> Option<Steady> {
        self.again.first().map(|(at, _)| *at)
    }

    /// The nudge was seen: the inbox is being read.
    pub fn seen(&mut self, run: &RunId) {
        if let Some(Place { stands: Stands::Awake { nudged } | Stands::Taken { nudged }, .. }) =
            self.places.get_mut(run)
        {
            *nudged = false;
        }
    }

    /// Runs that are being taken or moved.
    pub fn awake(&self) -> usize {
        self.places.len() - self.again.len()
    }

    /// Those runs.
    pub fn busy(&self) -> impl Iterator<Item = &RunId> {
        let is_busy = |place: &Place| matches!(place.stands, Stands::Taken { .. } | Stands::Awake { .. });
        self.places.iter().filter(move |(_, place)| is_busy(place)).map(|(run, _)| run)
    }

    pub fn is_awake(&self, run: &RunId) -> bool {
        self.places.contains_key(run)
    }

    /// Runs that wait to be claimed afresh. The store may name them all the same: they are not owned if their claim failed.
    pub fn waiting(&self) -> usize {
        self.again.len()
    }

    /// Runs that this program cannot fold.
    pub fn unreadable(&self) -> impl Iterator<Item = &RunId> {
        let is_unreadable = |place: &Place| matches!(place.stands, Stands::Unreadable { .. });
        self.places.iter().filter(move |(_, place)| is_unreadable(place)).map(|(run, _)| run)
    }

    /// Room for more. What waits to be claimed afresh keeps its own.
    pub fn room(&self) -> usize {
        let taken = self.places.len() - self.unreadable.min(UNREADABLE_MAX);
        self.awake_max.saturating_sub(taken)
    }
}

/// Takes the first of what is sorted by time, if that has come.
trait Due {
    fn pop_first_if_due(&mut self, now: Steady) -> Option<(Steady, RunId)>;
}

impl Due for BTreeSet<(Steady, RunId)> {
    fn pop_first_if_due(&mut self, now: Steady) -> Option<(Steady, RunId)> {
        self.first().is_some_and(|(at, _)| *at <= now).then(|| self.pop_first()).flatten()
    }
}

fn wait(failed: u32) -> Duration {
    AGAIN_FIRST.saturating_mul(1 << failed.min(10)).min(AGAIN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Steady = Steady::from_ms(1_000_000);
    const UNSETTLED: Left = Left::Unsettled { moved: false };

    #[test]
    fn a_run_beyond_the_room_waits_its_turn() {
        let mut dispatcher = Dispatcher::new(1);
        assert_eq!(dispatcher.announce(&"a".into()), Admission::Claim);
        assert_eq!(dispatcher.announce(&"a".into()), Admission::Nudge);
        assert_eq!(dispatcher.announce(&"b".into()), Admission::Later);
        dispatcher.seen(&"a".into());
        assert_eq!(dispatcher.left(&"a".into(), Left::Gone, NOW), vec!["b".into()]);
        assert_eq!(dispatcher.announce(&"b".into()), Admission::Claim);
    }

    #[test]
    fn a_nudge_that_came_too_late_is_announced_again() {
        let mut dispatcher = Dispatcher::new(4);
        dispatcher.announce(&"a".into());
        dispatcher.announce(&"a".into());
        assert_eq!(dispatcher.left(&"a".into(), Left::Gone, NOW), vec!["a".into()]);
    }

    #[test]
    fn a_nudge_while_it_was_claimed_is_told_to_its_task() {
        let mut dispatcher = Dispatcher::new(4);
        dispatcher.announce(&"a".into());
        assert_eq!(dispatcher.announce(&"a".into()), Admission::Nudge);
        assert!(dispatcher.woke(&"a".into()));
        dispatcher.seen(&"a".into());
        assert_eq!(dispatcher.left(&"a".into(), Left::Gone, NOW), Vec::<RunId>::new());
    }

    #[test]
    fn a_claim_that_failed_is_tried_again_less_and_less_often() {
        let mut dispatcher = Dispatcher::new(1);
        assert_eq!(dispatcher.announce(&"a".into()), Admission::Claim);
        let (mut now, mut waits) = (NOW, Vec::new());
        for _ in 0..8 {
            assert_eq!(dispatcher.left(&"a".into(), UNSETTLED, now), Vec::<RunId>::new());
            assert_eq!(dispatcher.announce(&"a".into()), Admission::Waits, "a hint does not hurry it");
            assert_eq!(dispatcher.announce(&"b".into()), Admission::Later, "and its room stays its own");
            let next = dispatcher.next_again().unwrap();
            assert!(dispatcher.again(next - Duration::from_millis(1)).is_empty());
            assert_eq!(dispatcher.again(next), vec!["a".into()]);
            waits.push(next.since(now).as_millis());
            now = next;
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        dispatcher.woke(&"a".into());
        dispatcher.left(&"a".into(), Left::Unsettled { moved: true }, now);
        assert_eq!(dispatcher.next_again(), Some(now + AGAIN_FIRST), "what has moved begins anew");
    }

    #[test]
    fn what_cannot_be_folded_takes_no_room_and_is_looked_at_rarely() {
        let mut dispatcher = Dispatcher::new(1);
        dispatcher.announce(&"a".into());
        dispatcher.left(&"a".into(), Left::Unreadable, NOW);
        assert_eq!((dispatcher.room(), dispatcher.awake()), (1, 0));
        assert_eq!(dispatcher.unreadable().collect::<Vec<_>>(), [&RunId::from("a")]);
        assert_eq!(dispatcher.announce(&"a".into()), Admission::Waits);
        assert_eq!(dispatcher.announce(&"b".into()), Admission::Claim);
        assert_eq!(dispatcher.again(NOW + UNREADABLE_AGAIN), vec!["a".into()]);
    }

    #[test]
    fn what_is_created_here_has_its_place_before_the_store_is_asked() {
        let mut dispatcher = Dispatcher::new(1);
        assert!(dispatcher.begin(&"a".into(), false));
        assert!(!dispatcher.begin(&"a".into(), true), "once");
        assert!(!dispatcher.begin(&"b".into(), false));
        assert!(dispatcher.begin(&"b".into(), true), "where its key is, there it stays");
        dispatcher.left(&"a".into(), UNSETTLED, NOW);
        assert_eq!(dispatcher.again(NOW + AGAIN_FIRST), vec!["a".into()], "nobody knows whether it was created");
    }

    /// Whatever comes in whatever order, a run that is owned has exactly one place, and one that waits has a time.
    #[test]
    fn an_owned_run_is_never_without_a_place() {
        let mut number = 7_u64;
        let mut draw = |below: u64| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (number >> 33) % below
        };
        let mut dispatcher = Dispatcher::new(3);
        let mut owned = BTreeSet::new();
        let mut now = NOW;
        for _ in 0..20_000 {
            let run = RunId::new(format!("r{}", draw(8)));
            match draw(6) {
                0 | 1 => {
                    if dispatcher.announce(&run) == Admission::Claim {
                        owned.insert(run);
                    }
                }
                2 if dispatcher.busy().any(|busy| *busy == run) => drop(dispatcher.woke(&run)),
                3 if dispatcher.busy().any(|busy| *busy == run) => {
                    dispatcher.left(&run, Left::Unsettled { moved: draw(2) == 0 }, now);
                }
                4 if dispatcher.busy().any(|busy| *busy == run) => {
                    owned.remove(&run);
                    for next in dispatcher.left(&run, Left::Gone, now) {
                        if dispatcher.announce(&next) == Admission::Claim {
                            owned.insert(next);
                        }
                    }
                }
                _ => {
                    now = now + Duration::from_millis(draw(3_000));
                    dispatcher.again(now);
                }
            }
            let busy: BTreeSet<&RunId> = dispatcher.busy().collect();
            let again: BTreeSet<&RunId> = dispatcher.again.iter().map(|(_, run)| run).collect();
            assert!(busy.is_disjoint(&again));
            assert_eq!(busy.union(&again).copied().collect::<BTreeSet<_>>(), owned.iter().collect());
            assert!(dispatcher.places.len() <= 3 && dispatcher.later.len() <= 3, "all of it is bounded");
        }
    }
}
