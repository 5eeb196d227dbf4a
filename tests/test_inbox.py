"""The inbox: what is put comes out when due, once, whole, and within bounded memory."""

import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from watcherd.inbox import LONGEST_REST, Inbox, strongest
from watcherd.scope import ROOT, Cause, Request, Scope, folders, tree

SETTLE = 1.0
LSTM, GRU, CNN = "1h/BTC/LSTM", "1h/BTC/GRU", "1h/ETH/CNN"


@dataclass
class Clock:
    """A clock that stands still until told otherwise; any origin will do."""

    now: float = -1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(clock: Clock) -> Inbox:
    return Inbox(settle=SETTLE, clock=clock, most_folders=20, most_per_parent=5)


def event(*paths: str) -> Request:
    return Request(folders(paths), Cause.EVENT)


def taken(inbox: Inbox) -> Scope | None:
    """What is due now."""
    request = inbox.take(0)
    return request.scope if request else None


# -- when ------------------------------------------------------------------------------------------


def test_an_event_is_due_once_its_folder_had_time_to_settle(inbox: Inbox, clock: Clock) -> None:
    inbox.put(event(LSTM))
    clock.now += SETTLE - 0.01
    assert taken(inbox) is None
    clock.now += 0.01
    assert taken(inbox) == folders([LSTM])


def test_a_later_event_does_not_postpone_a_folder_that_waits(inbox: Inbox, clock: Clock) -> None:
    for _ in range(10):
        inbox.put(event(LSTM))
        clock.now += SETTLE / 10
    assert taken(inbox) == folders([LSTM])


def test_what_was_taken_comes_again_only_if_it_is_put_again(inbox: Inbox, clock: Clock) -> None:
    inbox.put(event(LSTM))
    clock.now += SETTLE
    assert taken(inbox)
    clock.now += 1000
    assert taken(inbox) is None
    inbox.put(event(LSTM))
    clock.now += SETTLE
    assert taken(inbox) == folders([LSTM])


@pytest.mark.parametrize("cause", [Cause.STARTUP, Cause.TIMER, Cause.OVERFLOW, Cause.REQUEST])
def test_all_but_events_are_due_at_once(inbox: Inbox, cause: Cause) -> None:
    inbox.put(Request(ROOT, cause))
    assert inbox.take(0) == Request(ROOT, cause)


def test_what_still_settles_is_due_at_its_own_time(inbox: Inbox, clock: Clock) -> None:
    inbox.put_at(event(LSTM), clock.now + 0.25)
    inbox.put_at(event(CNN), clock.now + 7)
    clock.now += 0.25
    assert taken(inbox) == folders([LSTM])
    clock.now += 6.75
    assert taken(inbox) == folders([CNN])


def test_what_waits_is_brought_forward_and_never_postponed(inbox: Inbox, clock: Clock) -> None:
    start = clock.now
    for due in (start + 5, start + 2, start + 9):
        inbox.put_at(event(LSTM), due)
    clock.now = start + 2
    assert taken(inbox) == folders([LSTM])
    clock.now = start + 100
    assert taken(inbox) is None


# -- together --------------------------------------------------------------------------------------


def test_all_that_is_due_at_a_moment_is_one_request(inbox: Inbox, clock: Clock) -> None:
    inbox.put(event(LSTM))
    inbox.put(Request(tree("1h/ETH"), Cause.EVENT))
    clock.now += SETTLE
    inbox.put(event(GRU))
    assert taken(inbox) == tree("1h/ETH") | folders([LSTM])


def test_the_two_folders_of_a_move_are_never_split(inbox: Inbox, clock: Clock) -> None:
    inbox.put(event(LSTM))
    clock.now += SETTLE / 2
    inbox.put(event(LSTM, CNN))
    clock.now += SETTLE / 2
    assert taken(inbox) == folders([LSTM, CNN])
    assert inbox.backlog == 0


def test_moves_in_a_chain_stay_together(inbox: Inbox, clock: Clock) -> None:
    inbox.put(event(CNN, GRU))
    clock.now += SETTLE / 2
    inbox.put(event(LSTM, "1h/BTC/X"))
    inbox.put(event(GRU, LSTM))
    clock.now += SETTLE / 2
    assert taken(inbox) == folders([LSTM, GRU, CNN, "1h/BTC/X"])


def test_a_move_out_of_a_tree_that_waits_comes_with_the_tree(inbox: Inbox, clock: Clock) -> None:
    inbox.put(Request(tree("1h/BTC"), Cause.EVENT))
    clock.now += SETTLE / 2
    inbox.put(event(LSTM, CNN))
    clock.now += SETTLE / 2
    assert taken(inbox) == tree("1h/BTC") | folders([CNN])


def test_a_folder_in_a_tree_that_is_due_no_later_adds_nothing(inbox: Inbox, clock: Clock) -> None:
    inbox.put(Request(tree("1h/BTC"), Cause.EVENT))
    inbox.put(event(LSTM))
    inbox.put(Request(tree(GRU), Cause.EVENT))
    assert inbox.backlog == 1
    clock.now += SETTLE
    assert taken(inbox) == tree("1h/BTC")


def test_a_folder_in_a_tree_that_is_due_later_does_not_wait_for_it(
    inbox: Inbox, clock: Clock
) -> None:
    inbox.put_at(Request(ROOT, Cause.TIMER), clock.now + 100)
    inbox.put(event(LSTM))
    clock.now += SETTLE
    assert taken(inbox) == folders([LSTM])
    clock.now += 99
    assert taken(inbox) == ROOT


def test_it_tells_which_trees_are_about_to_come_out(inbox: Inbox, clock: Clock) -> None:
    """But for the root's, for one that rests, and for those that a timer asks for, as folders that
    are polled: to look at these early would cost too much."""
    for scope in (tree("4h"), folders([LSTM]), tree("1d")):
        inbox.put(Request(scope, Cause.EVENT))
    assert inbox.coming() == tree("4h", "1d")
    clock.now += SETTLE
    assert taken(inbox)
    inbox.done(Request(tree("4h"), Cause.EVENT), 1.0)
    for scope in (tree("4h"), tree("1d")):
        inbox.put(Request(scope, Cause.EVENT))
    assert inbox.coming() == tree("1d")
    inbox.put(Request(tree("1w"), Cause.TIMER))
    assert inbox.coming() == tree("1d")
    inbox.put(Request(ROOT, Cause.TIMER))
    assert "" not in inbox.coming().trees


@pytest.mark.parametrize(
    ("causes", "label"),
    [
        ([Cause.EVENT, Cause.EVENT], Cause.EVENT),
        ([Cause.TIMER, Cause.EVENT], Cause.TIMER),
        ([Cause.TIMER, Cause.REQUEST], Cause.REQUEST),
        ([Cause.REQUEST, Cause.STARTUP], Cause.STARTUP),
        ([Cause.EVENT, Cause.OVERFLOW, Cause.STARTUP], Cause.OVERFLOW),
    ],
)
def test_of_several_causes_the_strongest_is_the_label(
    inbox: Inbox, clock: Clock, causes: list[Cause], label: Cause
) -> None:
    for number, cause in enumerate(causes):
        inbox.put(Request(folders([LSTM, f"1d/{number}"]), cause))
    clock.now += SETTLE
    request = inbox.take(0)
    assert request
    assert request.cause is label is strongest(causes)


# -- too many --------------------------------------------------------------------------------------


def test_too_many_folders_of_one_parent_become_the_parent(inbox: Inbox, clock: Clock) -> None:
    for number in range(5):
        inbox.put(event(f"1h/BTC/{number}"))
    assert inbox.backlog == 5
    inbox.put(event("1h/BTC/5"))
    assert inbox.backlog == 1
    clock.now += SETTLE
    assert taken(inbox) == tree("1h/BTC")


def test_too_many_parents_become_theirs(inbox: Inbox, clock: Clock) -> None:
    for ticker in range(6):
        for number in range(6):
            inbox.put(event(f"1h/{ticker}/{number}"))
    clock.now += SETTLE
    assert taken(inbox) == tree("1h")


def test_too_many_in_all_become_the_root(inbox: Inbox, clock: Clock) -> None:
    for number in range(20):
        inbox.put(event(f"1h/{number}/LSTM"))
    assert inbox.backlog == 20
    inbox.put(event("1h/20/LSTM"))
    assert inbox.backlog == 1
    clock.now += SETTLE
    assert taken(inbox) == ROOT


def test_the_root_has_no_parent_so_only_the_number_in_all_counts_below_it(
    inbox: Inbox, clock: Clock
) -> None:
    flat = [str(number) for number in range(20)]
    for name in flat:
        inbox.put(event(name))
    clock.now += SETTLE
    assert taken(inbox) == folders(flat)


def test_one_request_may_name_too_many(inbox: Inbox, clock: Clock) -> None:
    inbox.put(event(*(f"1h/BTC/{number}" for number in range(1000)), CNN))
    clock.now += SETTLE
    assert taken(inbox) == ROOT


def test_one_request_may_name_too_many_of_several_parents(inbox: Inbox, clock: Clock) -> None:
    inbox.put(event(*(f"1h/{ticker}/{number}" for ticker in "AB" for number in range(6))))
    assert inbox.backlog == 2
    clock.now += SETTLE
    assert taken(inbox) == tree("1h/A", "1h/B")


def test_what_was_taken_no_longer_counts(inbox: Inbox, clock: Clock) -> None:
    for number in range(30):
        inbox.put(event(f"1h/BTC/{number}"))
        clock.now += SETTLE
        assert taken(inbox) == folders([f"1h/BTC/{number}"])


def test_what_was_taken_leaves_nothing_behind(inbox: Inbox, clock: Clock) -> None:
    tracemalloc.start()
    try:
        for number in range(5000):
            inbox.put(event(f"1h/{number}/LSTM"))
            clock.now += 60
            request = inbox.take(0)
            assert request
            inbox.done(request, 1)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


def test_the_parent_is_due_when_the_first_of_its_folders_was(inbox: Inbox, clock: Clock) -> None:
    inbox.put(event("1h/BTC/0"))
    clock.now += SETTLE
    for number in range(1, 6):
        inbox.put(event(f"1h/BTC/{number}"))
    assert taken(inbox) == tree("1h/BTC")


def test_a_move_stays_whole_when_one_of_its_folders_becomes_its_parent(
    inbox: Inbox, clock: Clock
) -> None:
    inbox.put(event("1h/BTC/0", CNN))
    clock.now += SETTLE / 2
    for number in range(1, 6):
        inbox.put(event(f"1h/BTC/{number}"))
    clock.now += SETTLE / 2
    assert taken(inbox) == tree("1h/BTC") | folders([CNN])


def test_a_storm_of_events_takes_no_more_room_than_a_breeze() -> None:
    inbox = Inbox(settle=SETTLE)
    most = 0
    for number in range(50_000):
        inbox.put(event(f"{number % 7}/{number % 1999}/LSTM", f"{number % 11}/{number}/GRU"))
        most = max(most, inbox.backlog)
    assert most <= 512


# -- rest ------------------------------------------------------------------------------------------


def rest(inbox: Inbox, clock: Clock, request: Request, seconds: float) -> None:
    """Have a request taken and its look last that long."""
    inbox.put_at(request, clock.now)
    assert inbox.take(0) == request
    inbox.done(request, seconds)


def test_no_scope_is_handed_out_before_ten_times_its_last_look_has_passed(
    inbox: Inbox, clock: Clock
) -> None:
    rest(inbox, clock, event(LSTM), 0.5)
    inbox.put(event(LSTM))
    inbox.put(event(CNN))
    clock.now += SETTLE
    assert taken(inbox) == folders([CNN])
    clock.now += 5 - SETTLE
    assert taken(inbox) == folders([LSTM])


def test_a_rest_has_an_end_however_long_the_look_took(inbox: Inbox, clock: Clock) -> None:
    rest(inbox, clock, event(LSTM), 3600)
    inbox.put(event(LSTM))
    clock.now += LONGEST_REST - 0.1
    assert taken(inbox) is None
    clock.now += 0.1
    assert taken(inbox) == folders([LSTM])


@pytest.mark.parametrize(
    ("looked_at", "asked_for"),
    [
        pytest.param(ROOT, folders([LSTM]), id="a folder below a tree that took long"),
        pytest.param(ROOT, tree("1h"), id="a tree below a tree that took long"),
        pytest.param(tree(LSTM), folders([LSTM]), id="a folder without what lies below it"),
        pytest.param(folders([LSTM]), ROOT, id="the root, one folder of which is busy"),
    ],
)
def test_only_the_same_scope_rests(
    inbox: Inbox, clock: Clock, looked_at: Scope, asked_for: Scope
) -> None:
    rest(inbox, clock, Request(looked_at, Cause.EVENT), 2)
    inbox.put(Request(asked_for, Cause.EVENT))
    clock.now += SETTLE
    assert taken(inbox) == asked_for


def test_a_new_save_does_not_wait_for_a_tree_that_rests(inbox: Inbox, clock: Clock) -> None:
    rest(inbox, clock, Request(ROOT, Cause.OVERFLOW), 5)
    inbox.put(Request(ROOT, Cause.OVERFLOW))
    inbox.put(event(LSTM))
    clock.now += SETTLE
    assert taken(inbox) == folders([LSTM])
    clock.now += 50 - SETTLE
    assert taken(inbox) == ROOT


def test_a_person_waits_for_no_rest(inbox: Inbox, clock: Clock) -> None:
    rest(inbox, clock, Request(ROOT, Cause.TIMER), 5)
    inbox.put(Request(ROOT, Cause.TIMER))
    assert taken(inbox) is None
    inbox.put(Request(ROOT, Cause.REQUEST))
    assert inbox.take(0) == Request(ROOT, Cause.REQUEST)


def test_both_folders_of_a_move_rest_while_one_does(inbox: Inbox, clock: Clock) -> None:
    rest(inbox, clock, event(LSTM), 1)
    inbox.put(event(LSTM, CNN))
    clock.now += 10 - 0.1
    assert taken(inbox) is None
    clock.now += 0.1
    assert taken(inbox) == folders([LSTM, CNN])


def test_moves_from_one_resting_folder_to_the_next_do_not_wait_for_ever(
    inbox: Inbox, clock: Clock
) -> None:
    rest(inbox, clock, event(LSTM), 6)
    inbox.put(event(LSTM, GRU))
    clock.now += 50
    rest(inbox, clock, event(CNN), 6)
    inbox.put(event(GRU, CNN))
    clock.now += SETTLE + LONGEST_REST - 50
    assert taken(inbox) == folders([LSTM, GRU, CNN])


def test_rests_are_forgotten_before_they_fill_the_memory(inbox: Inbox, clock: Clock) -> None:
    for number in range(21):
        rest(inbox, clock, event(f"1h/{number}/LSTM"), 5)
    inbox.put(event("1h/0/LSTM", "1h/0/GRU"))
    inbox.put(event("1h/20/LSTM"))
    clock.now += SETTLE
    assert taken(inbox) == folders(["1h/0/LSTM", "1h/0/GRU"])


# -- waiting for it --------------------------------------------------------------------------------


def test_take_gives_up_after_its_timeout() -> None:
    inbox = Inbox(settle=60)
    inbox.put(event(LSTM))
    start = time.monotonic()
    assert inbox.take(0.05) is None
    assert 0.05 <= time.monotonic() - start < 5
    assert inbox.backlog == 1


def test_take_waits_until_what_waits_is_due() -> None:
    inbox = Inbox(settle=0.05)
    start = time.monotonic()
    inbox.put(event(LSTM))
    assert inbox.take() == event(LSTM)
    assert time.monotonic() - start >= 0.05


@pytest.fixture
def taker() -> Iterator["Taker"]:
    taker = Taker()
    yield taker
    taker.inbox.close()
    taker.thread.join(5)


class Taker:
    """A worker that is waiting in ``take``, with an hour to go for what it has."""

    def __init__(self) -> None:
        self.inbox = Inbox(settle=3600)
        self.inbox.put(event(CNN))
        self.got: list[Request | None] = []
        self.thread = threading.Thread(target=lambda: self.got.append(self.inbox.take(30)))
        self.thread.start()

    def ends(self) -> Request | None:
        self.thread.join(5)
        assert not self.thread.is_alive()
        return self.got[0]


def test_a_put_that_is_due_earlier_shortens_the_wait(taker: Taker) -> None:
    taker.inbox.put(Request(ROOT, Cause.REQUEST))
    assert taker.ends() == Request(ROOT, Cause.REQUEST)


def test_what_waits_ends_the_wait_when_it_is_brought_forward(taker: Taker) -> None:
    taker.inbox.put_at(event(CNN), time.monotonic())
    assert taker.ends() == event(CNN)


def test_wake_ends_the_wait_and_takes_nothing(taker: Taker) -> None:
    taker.inbox.wake()
    assert taker.ends() is None
    assert taker.inbox.backlog == 1


def test_close_ends_the_wait(taker: Taker) -> None:
    taker.inbox.close()
    assert taker.ends() is None


def test_a_wake_is_not_lost_when_nobody_waits_yet() -> None:
    inbox = Inbox(settle=0)
    inbox.put(event(LSTM))
    inbox.wake()
    inbox.wake()
    assert inbox.take() is None
    assert inbox.take() == event(LSTM)


def test_a_closed_inbox_takes_in_nothing_and_gives_nothing() -> None:
    inbox = Inbox(settle=0)
    inbox.put(event(LSTM))
    inbox.close()
    inbox.put(event(CNN))
    assert inbox.backlog == 0
    assert inbox.take() is None


def test_many_threads_put_while_one_takes_and_nothing_is_lost() -> None:
    inbox = Inbox(settle=0.001, most_folders=64, most_per_parent=16)

    def train(own: int) -> None:
        for number in range(1000):
            inbox.put(event(f"{own}/{number % 40}/LSTM"))

    threads = [threading.Thread(target=train, args=(own,)) for own in range(6)]
    missing = {f"{own}/{n}/LSTM" for own in range(6) for n in range(40)}
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while missing and time.monotonic() < deadline:
        request = inbox.take(1)
        assert request
        missing = {folder for folder in missing if not request.scope.covers(folder)}
    for thread in threads:
        thread.join()
    assert not missing


# -- whatever the order ----------------------------------------------------------------------------

PATHS = st.lists(st.sampled_from("abc"), max_size=3).map("/".join)
SCOPES = st.builds(
    Scope, trees=st.frozensets(PATHS, max_size=2), folders=st.frozensets(PATHS, max_size=4)
).filter(bool)
REQUESTS = st.builds(Request, SCOPES, st.sampled_from(Cause))
SECONDS = st.sampled_from([0.0, 0.1, SETTLE / 2, SETTLE, 3.0, 20.0])


@dataclass(frozen=True)
class Owed:
    """A request that was put and that no one scope has covered whole since."""

    request: Request
    due: float

    def is_paid_by(self, scope: Scope) -> bool:
        asked = self.request.scope
        return asked.folders <= {f for f in asked.folders if scope.covers(f)} and asked.trees <= {
            t for t in asked.trees if any(Scope(frozenset({u})).covers(t) for u in scope.trees)
        }


class AnyOrder(RuleBasedStateMachine):
    """Every request is covered, whole, by one scope that is taken no later than it is due.

    Where scopes rest, no later than the longest rest after that; a person's request not even then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.inbox = Inbox(settle=SETTLE, clock=self.clock, most_folders=8, most_per_parent=2)
        self.owed: dict[int, Owed] = {}
        self.numbers = count()
        self.in_hand: list[Request] = []
        self.rest = 0.0

    @rule(request=REQUESTS)
    def put(self, request: Request) -> None:
        self.inbox.put(request)
        settle = SETTLE if request.cause is Cause.EVENT else 0
        self.owed[next(self.numbers)] = Owed(request, self.clock.now + settle)

    @rule(request=REQUESTS, seconds=SECONDS)
    def put_what_settles(self, request: Request, seconds: float) -> None:
        self.inbox.put_at(request, self.clock.now + seconds)
        self.owed[next(self.numbers)] = Owed(request, self.clock.now + seconds)

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def take(self) -> None:
        if request := self.inbox.take(0):
            assert request.scope
            self.in_hand.append(request)
            paid = {n for n, owed in self.owed.items() if owed.is_paid_by(request.scope)}
            self.owed = {n: owed for n, owed in self.owed.items() if n not in paid}
        assert not [owed for owed in self.owed.values() if self.is_late(owed)]

    def is_late(self, owed: Owed) -> bool:
        rest = 0.0 if owed.request.cause is Cause.REQUEST else self.rest
        return owed.due + rest <= self.clock.now

    @precondition(lambda self: self.in_hand)
    @rule(seconds=SECONDS)
    def look(self, seconds: float) -> None:
        self.clock.now += seconds
        self.inbox.done(self.in_hand.pop(), seconds)
        self.rest = LONGEST_REST

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.inbox.backlog <= 8

    @invariant()
    def what_is_owed_waits(self) -> None:
        assert self.inbox.backlog or not self.owed


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_any_order = AnyOrder.TestCase
