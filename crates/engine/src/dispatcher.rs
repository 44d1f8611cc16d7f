//! Decides which runs this process owns or is about to own, and what happens to each. No IO.
//!
//! A run owned by this process is in exactly one state here, from before the store is asked for it until the store has
//! confirmed that this process no longer owns it: it is being claimed, it is moved by a task, or it waits to be claimed
//! again. Only [`TaskExit::NotOwned`] removes it. The time of the next timer is known to the task, and to the store
//! while the run sleeps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use baton_core::id::RunId;
use baton_core::mutant::{Mutant, planted};
use baton_ports::clock::MonotonicTime;

/// Delay after the first failed claim of a run; it doubles after each further one.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest delay.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Delay before a run that cannot be folded is tried again.
const UNREADABLE_RETRY: Duration = Duration::from_secs(300);
/// Maximum number of unreadable runs that do not count against the slots.
const UNREADABLE_MAX: usize = 4_096;

/// What to do with a run that was announced to have work.
#[derive(Debug, PartialEq, Eq)]
pub enum RunAdmission {
    /// Claim and own it.
    Claim,
    /// It is awake here, or about to be: make its task read the inbox.
    Wake,
    /// No free slot: it waits for one, here or, if the process stops, in the store.
    Queued,
    /// It is claimed when its delay is over; everything new is found then.
    Backoff,
}

/// How a claim or a task left its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskExit {
    /// The store has confirmed that this process does not own it: it was released, belongs to another process, or does
    /// not exist.
    NotOwned,
    /// This process owns it and no task moves it, or ownership is unknown: it is claimed again. `moved` says whether
    /// anything was written since it was claimed.
    Unsettled { moved: bool },
    /// This program cannot fold it; it is retried rarely.
    Unreadable,
}

#[derive(Debug)]
struct RunSlot {
    state: SlotState,
    /// Failed claims since the run last made progress.
    failed: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    /// It is being claimed or created.
    Claiming { nudged: bool },
    /// A task moves it.
    Awake { nudged: bool },
    /// It is claimed again at this time.
    Retrying { at: MonotonicTime },
    /// It cannot be folded, and is claimed again at this time.
    Unreadable { at: MonotonicTime },
}

pub struct Dispatcher {
    slots: BTreeMap<RunId, RunSlot>,
    /// Runs that wait to be claimed again, by time.
    retries: BTreeSet<(MonotonicTime, RunId)>,
    unreadable: usize,
    /// Hints about runs that this process does not own. If one is lost, the store names the run again.
    queue: VecDeque<RunId>,
    queued: BTreeSet<RunId>,
    awake_max: usize,
}

impl Dispatcher {
    pub fn new(awake_max: usize) -> Self {
        Self {
            slots: BTreeMap::new(),
            retries: BTreeSet::new(),
            unreadable: 0,
            queue: VecDeque::new(),
            queued: BTreeSet::new(),
            awake_max,
        }
    }

    /// Announces that this run has work.
    pub fn announce(&mut self, run: &RunId) -> RunAdmission {
        if let Some(place) = self.slots.get_mut(run) {
            return match &mut place.state {
                SlotState::Claiming { nudged } | SlotState::Awake { nudged } => {
                    *nudged = true;
                    RunAdmission::Wake
                }
                SlotState::Retrying { .. } | SlotState::Unreadable { .. } => RunAdmission::Backoff,
            };
        }
        if self.free_slots() == 0 {
            if self.queued.len() < self.awake_max && self.queued.insert(run.clone()) {
                self.queue.push_back(run.clone());
            }
            return RunAdmission::Queued;
        }
        self.take(run);
        RunAdmission::Claim
    }

    /// Reserves a slot for a run that this process is about to create and own from the start. Returns `false` if there
    /// is no free slot, which `forced` ignores, or if the run is already here: then it is created without an owner.
    pub fn reserve_slot(&mut self, run: &RunId, forced: bool) -> bool {
        let fits = !self.slots.contains_key(run) && (self.free_slots() > 0 || forced && self.awake_max > 0);
        if fits {
            self.take(run);
        }
        fits
    }

    fn take(&mut self, run: &RunId) {
        self.slots.insert(run.clone(), RunSlot { state: SlotState::Claiming { nudged: false }, failed: 0 });
    }

    /// A task moves the run from now on. Returns `true` if the run was woken while it was claimed: the claim may have
    /// missed what arrived then.
    pub fn task_started(&mut self, run: &RunId) -> bool {
        let Some(place) = self.slots.get_mut(run) else { return false };
        let nudged = place.state == SlotState::Claiming { nudged: true };
        place.state = SlotState::Awake { nudged };
        nudged
    }

    /// The run is no longer moved. Returns the runs to announce again: the run itself if it was released and woken
    /// meanwhile, and the next one that waits for a slot.
    pub fn task_exited(&mut self, run: &RunId, left: TaskExit, now: MonotonicTime) -> Vec<RunId> {
        let mut announce = Vec::new();
        let Some(mut place) = self.slots.remove(run) else { return announce };
        let nudged = matches!(place.state, SlotState::Claiming { nudged: true } | SlotState::Awake { nudged: true });
        let dropped = planted(Mutant::ClaimDropped) && matches!(place.state, SlotState::Claiming { .. });
        match left {
            TaskExit::Unsettled { moved } if !dropped => {
                place.failed = if moved { 0 } else { place.failed };
                let at = now + retry_delay(place.failed);
                place.failed = place.failed.saturating_add(1);
                self.schedule_retry(run, place, SlotState::Retrying { at });
            }
            TaskExit::Unreadable => {
                let at = now + UNREADABLE_RETRY;
                self.schedule_retry(run, place, SlotState::Unreadable { at });
            }
            TaskExit::NotOwned | TaskExit::Unsettled { .. } => announce.extend(nudged.then(|| run.clone())),
        }
        if self.free_slots() > announce.len()
            && let Some(next) = self.queue.pop_front()
        {
            self.queued.remove(&next);
            announce.push(next);
        }
        announce
    }

    fn schedule_retry(&mut self, run: &RunId, place: RunSlot, stands: SlotState) {
        let (SlotState::Retrying { at } | SlotState::Unreadable { at }) = stands else { return };
        self.unreadable += usize::from(matches!(stands, SlotState::Unreadable { .. }));
        self.retries.insert((at, run.clone()));
        self.slots.insert(run.clone(), RunSlot { state: stands, ..place });
    }

    /// Runs whose delay is over: each must be claimed now.
    pub fn due_retries(&mut self, now: MonotonicTime) -> Vec<RunId> {
        let mut claim = Vec::new();
        while let Some((_, run)) = self.retries.pop_first_if_due(now) {
            if let Some(place) = self.slots.get_mut(&run) {
                self.unreadable -= usize::from(matches!(place.state, SlotState::Unreadable { .. }));
                place.state = SlotState::Claiming { nudged: false };
                claim.push(run);
            }
        }
        claim
    }

    /// When the next of them must be claimed.
    pub fn next_retry(&self) -> Option<MonotonicTime> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// The wake-up was handled: the inbox is being read.
    pub fn wake_handled(&mut self, run: &RunId) {
        if let Some(RunSlot { state: SlotState::Awake { nudged } | SlotState::Claiming { nudged }, .. }) =
            self.slots.get_mut(run)
        {
            *nudged = false;
        }
    }

    /// Number of runs that are being claimed or moved.
    pub fn awake(&self) -> usize {
        self.slots.len() - self.retries.len()
    }

    /// The runs that are being claimed or moved.
    pub fn busy(&self) -> impl Iterator<Item = &RunId> {
        let is_busy = |place: &RunSlot| matches!(place.state, SlotState::Claiming { .. } | SlotState::Awake { .. });
        self.slots.iter().filter(move |(_, place)| is_busy(place)).map(|(run, _)| run)
    }

    pub fn is_awake(&self, run: &RunId) -> bool {
        self.slots.contains_key(run)
    }

    /// Number of runs that wait to be claimed again. The store may still name them: they are not owned if their claim
    /// failed.
    pub fn waiting(&self) -> usize {
        self.retries.len()
    }

    /// Runs that this program cannot fold.
    pub fn unreadable(&self) -> impl Iterator<Item = &RunId> {
        let is_unreadable = |place: &RunSlot| matches!(place.state, SlotState::Unreadable { .. });
        self.slots.iter().filter(move |(_, place)| is_unreadable(place)).map(|(run, _)| run)
    }

    /// Free slots. A run that waits to be claimed again keeps its slot.
    pub fn free_slots(&self) -> usize {
        let taken = self.slots.len() - self.unreadable.min(UNREADABLE_MAX);
        self.awake_max.saturating_sub(taken)
    }
}

/// Removes the first element of a time-ordered set if it is due.
trait PopDue {
    fn pop_first_if_due(&mut self, now: MonotonicTime) -> Option<(MonotonicTime, RunId)>;
}

impl PopDue for BTreeSet<(MonotonicTime, RunId)> {
    fn pop_first_if_due(&mut self, now: MonotonicTime) -> Option<(MonotonicTime, RunId)> {
        self.first().is_some_and(|(at, _)| *at <= now).then(|| self.pop_first()).flatten()
    }
}

fn retry_delay(failed: u32) -> Duration {
    RETRY_FIRST.saturating_mul(1 << failed.min(10)).min(RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: MonotonicTime = MonotonicTime::from_ms(1_000_000);
    const UNSETTLED: TaskExit = TaskExit::Unsettled { moved: false };

    #[test]
    fn a_run_beyond_the_room_waits_its_turn() {
        let mut dispatcher = Dispatcher::new(1);
        assert_eq!(dispatcher.announce(&"a".into()), RunAdmission::Claim);
        assert_eq!(dispatcher.announce(&"a".into()), RunAdmission::Wake);
        assert_eq!(dispatcher.announce(&"b".into()), RunAdmission::Queued);
        dispatcher.wake_handled(&"a".into());
        assert_eq!(dispatcher.task_exited(&"a".into(), TaskExit::NotOwned, NOW), vec!["b".into()]);
        assert_eq!(dispatcher.announce(&"b".into()), RunAdmission::Claim);
    }

    #[test]
    fn a_nudge_that_came_too_late_is_announced_again() {
        let mut dispatcher = Dispatcher::new(4);
        dispatcher.announce(&"a".into());
        dispatcher.announce(&"a".into());
        assert_eq!(dispatcher.task_exited(&"a".into(), TaskExit::NotOwned, NOW), vec!["a".into()]);
    }

    #[test]
    fn a_nudge_while_it_was_claimed_is_told_to_its_task() {
        let mut dispatcher = Dispatcher::new(4);
        dispatcher.announce(&"a".into());
        assert_eq!(dispatcher.announce(&"a".into()), RunAdmission::Wake);
        assert!(dispatcher.task_started(&"a".into()));
        dispatcher.wake_handled(&"a".into());
        assert_eq!(dispatcher.task_exited(&"a".into(), TaskExit::NotOwned, NOW), Vec::<RunId>::new());
    }

    #[test]
    fn a_claim_that_failed_is_tried_again_less_and_less_often() {
        let mut dispatcher = Dispatcher::new(1);
        assert_eq!(dispatcher.announce(&"a".into()), RunAdmission::Claim);
        let (mut now, mut waits) = (NOW, Vec::new());
        for _ in 0..8 {
            assert_eq!(dispatcher.task_exited(&"a".into(), UNSETTLED, now), Vec::<RunId>::new());
            assert_eq!(dispatcher.announce(&"a".into()), RunAdmission::Backoff, "a hint does not hurry it");
            assert_eq!(dispatcher.announce(&"b".into()), RunAdmission::Queued, "and its room stays its own");
            let next = dispatcher.next_retry().unwrap();
            assert!(dispatcher.due_retries(next - Duration::from_millis(1)).is_empty());
            assert_eq!(dispatcher.due_retries(next), vec!["a".into()]);
            waits.push(next.since(now).as_millis());
            now = next;
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        dispatcher.task_started(&"a".into());
        dispatcher.task_exited(&"a".into(), TaskExit::Unsettled { moved: true }, now);
        assert_eq!(dispatcher.next_retry(), Some(now + RETRY_FIRST), "what has moved begins anew");
    }

    #[test]
    fn what_cannot_be_folded_takes_no_room_and_is_looked_at_rarely() {
        let mut dispatcher = Dispatcher::new(1);
        dispatcher.announce(&"a".into());
        dispatcher.task_exited(&"a".into(), TaskExit::Unreadable, NOW);
        assert_eq!((dispatcher.free_slots(), dispatcher.awake()), (1, 0));
        assert_eq!(dispatcher.unreadable().collect::<Vec<_>>(), [&RunId::from("a")]);
        assert_eq!(dispatcher.announce(&"a".into()), RunAdmission::Backoff);
        assert_eq!(dispatcher.announce(&"b".into()), RunAdmission::Claim);
        assert_eq!(dispatcher.due_retries(NOW + UNREADABLE_RETRY), vec!["a".into()]);
    }

    #[test]
    fn what_is_created_here_has_its_place_before_the_store_is_asked() {
        let mut dispatcher = Dispatcher::new(1);
        assert!(dispatcher.reserve_slot(&"a".into(), false));
        assert!(!dispatcher.reserve_slot(&"a".into(), true), "once");
        assert!(!dispatcher.reserve_slot(&"b".into(), false));
        assert!(dispatcher.reserve_slot(&"b".into(), true), "where its key is, there it stays");
        dispatcher.task_exited(&"a".into(), UNSETTLED, NOW);
        assert_eq!(dispatcher.due_retries(NOW + RETRY_FIRST), vec!["a".into()], "nobody knows whether it was created");
    }

    /// Whatever the order of inputs, an owned run has exactly one state, and one that waits has a time.
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
                    if dispatcher.announce(&run) == RunAdmission::Claim {
                        owned.insert(run);
                    }
                }
                2 if dispatcher.busy().any(|busy| *busy == run) => drop(dispatcher.task_started(&run)),
                3 if dispatcher.busy().any(|busy| *busy == run) => {
                    dispatcher.task_exited(&run, TaskExit::Unsettled { moved: draw(2) == 0 }, now);
                }
                4 if dispatcher.busy().any(|busy| *busy == run) => {
                    owned.remove(&run);
                    for next in dispatcher.task_exited(&run, TaskExit::NotOwned, now) {
                        if dispatcher.announce(&next) == RunAdmission::Claim {
                            owned.insert(next);
                        }
                    }
                }
                _ => {
                    now = now + Duration::from_millis(draw(3_000));
                    dispatcher.due_retries(now);
                }
            }
            let busy: BTreeSet<&RunId> = dispatcher.busy().collect();
            let again: BTreeSet<&RunId> = dispatcher.retries.iter().map(|(_, run)| run).collect();
            assert!(busy.is_disjoint(&again));
            assert_eq!(busy.union(&again).copied().collect::<BTreeSet<_>>(), owned.iter().collect());
            assert!(dispatcher.slots.len() <= 3 && dispatcher.queue.len() <= 3, "all of it is bounded");
        }
    }
}
