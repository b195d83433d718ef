#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Who is under way, who may be sent, who is waited for no longer, and whose audio is in doubt."""

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_tts_cache import NotStored, ServiceProfile
from pipecat_tts_cache.speaking.flight import Flight, LiveSentence
from pipecat_tts_cache.speaking.turn import Item, Mark, Segment, Turn
from tests.clock import Clock

WITH_IDS = ServiceProfile(inline=False, in_flight=3)
WITHOUT_IDS = ServiceProfile(inline=False, in_flight=3, names_context=False)
ONE_CLOCK = ServiceProfile(inline=False, in_flight=3, shared_clock=True)
DOUBTFUL = [
    NotStored.EMPTY,
    NotStored.ERROR,
    NotStored.INTERRUPTED,
    NotStored.NO_END,
    NotStored.RECONNECTED,
    NotStored.UNCERTAIN,
]
HARMLESS = [
    NotStored.DISABLED,
    NotStored.FORMAT_CHANGED,
    NotStored.JOINED,
    NotStored.SETTINGS_CHANGED,
]
SETTLING = 10.0
PATIENCE = 3.0


@pytest.fixture
def clock() -> Clock:
    """The clock of a flight."""
    return Clock(1000.0)


async def nowhere(turn: Turn, item: Item | Mark) -> None:
    """Take what a turn passes on."""


def a_turn() -> Turn:
    return Turn("outer", nowhere)


def a_sentence(turn: Turn | None = None, *, spoken: bool = True) -> LiveSentence:
    sentence = LiveSentence(turn=turn or a_turn(), text="Hello.", key=None, settings={})
    if spoken:
        sentence.recording.hear(bytes(16), sample_rate=8000, num_channels=1)
    return sentence


def sent(flight: Flight, count: int, **options: Any) -> list[LiveSentence]:
    sentences = [a_sentence(**options) for _ in range(count)]
    for sentence in sentences:
        flight.depart(sentence)
    return sentences


async def turns_of_the_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# Room


async def test_the_oldest_comes_first(clock: Clock) -> None:
    """Sentences under way are known in the order in which they were sent."""
    flight = Flight(WITH_IDS, clock)
    assert (0, None) == (len(flight), flight.oldest)
    first, second, third = sent(flight, 3)
    assert [first, second, third] == list(flight)
    flight.land(first)
    assert (2, second) == (len(flight), flight.oldest)
    flight.land(third)
    assert [second] == list(flight)


async def test_who_is_under_way_may_land_while_they_are_counted(clock: Clock) -> None:
    """Going through the sentences under way does no harm to those that land meanwhile."""
    flight = Flight(WITH_IDS, clock)
    sent(flight, 3)
    for sentence in flight:
        flight.land(sentence)
    assert 0 == len(flight)


async def test_no_more_are_sent_than_allowed(clock: Clock) -> None:
    """Who is one too many waits until another has landed; one each, in the order of waiting."""
    flight = Flight(WITH_IDS, clock)
    turn = a_turn()
    first, second, _ = sent(flight, 3)
    order: list[int] = []

    async def send(number: int) -> None:
        await flight.room(turn)
        order.append(number)
        flight.depart(a_sentence())

    waiting = [asyncio.create_task(send(number)) for number in range(2)]
    await turns_of_the_loop()
    assert ([], [turn, turn]) == (order, flight.waiting)
    flight.land(first)
    await turns_of_the_loop()
    assert ([0], [turn]) == (order, flight.waiting)
    flight.land(second)
    await asyncio.gather(*waiting)
    assert ([0, 1], []) == (order, flight.waiting)
    assert 3 == len(flight)


async def test_who_no_longer_waits_is_forgotten(clock: Clock) -> None:
    """A sentence that is given up while it waits is not counted among those waiting."""
    flight = Flight(WITH_IDS, clock)
    sent(flight, 3)
    waiting = asyncio.create_task(flight.room(a_turn()))
    await turns_of_the_loop()
    waiting.cancel()
    await asyncio.wait({waiting})
    assert [] == flight.waiting


async def test_there_is_room_at_first(clock: Clock) -> None:
    """Nobody waits where there is room."""
    flight = Flight(WITH_IDS, clock)
    sent(flight, 2)
    async with asyncio.timeout(0):
        await flight.room(a_turn())


async def test_emptiness_can_be_waited_for(clock: Clock) -> None:
    """Who must be alone waits until the last has landed."""
    flight = Flight(WITH_IDS, clock)
    sentences = sent(flight, 2)
    alone = asyncio.create_task(flight.empty())
    for sentence in sentences:
        await turns_of_the_loop()
        assert not alone.done()
        flight.land(sentence)
    await alone


# Limits of the provider


async def test_closing_has_a_limit(clock: Clock) -> None:
    """Of the closes in a minute a share is kept for the ends of turns."""
    flight = Flight(ServiceProfile(inline=False, closes_per_minute=20), clock)
    assert [True] * 15 + [False] * 3 == [flight.may_close() for _ in range(18)]
    assert [True] * 5 == [flight.may_close(at_last=True) for _ in range(5)]
    assert not flight.may_close()
    clock.now += 59.9
    assert not flight.may_close()
    clock.now += 0.1
    assert flight.may_close()


async def test_the_limit_is_that_of_the_latest_minute(clock: Clock) -> None:
    """At any moment, no more closes than allowed were made in the minute before."""
    flight = Flight(ServiceProfile(inline=False, closes_per_minute=8), clock)
    made: list[float] = []
    for _ in range(500):
        clock.now += 1.7
        if flight.may_close():
            made.append(clock.now)
        assert len([time for time in made if clock.now - time < 60]) <= 6
    assert len(made) > 6 * 13


async def test_without_a_limit_every_sentence_is_closed(clock: Clock) -> None:
    """Where a provider has no limit, a sentence stands by itself."""
    flight = Flight(WITH_IDS, clock)
    assert all(flight.may_close() for _ in range(1000))


# Doubts


@pytest.mark.parametrize("reason", DOUBTFUL + HARMLESS)
async def test_with_ids_nobody_harms_another(clock: Clock, reason: NotStored) -> None:
    """Where audio names its context, each sentence is judged by itself, at once."""
    flight = Flight(WITH_IDS, clock)
    first, second = sent(flight, 2)
    first.recording.fail(reason)
    assert [first] == flight.land(first)
    assert flight.settled
    assert [second] == flight.land(second)
    assert None is second.recording.judge()


@pytest.mark.parametrize("profile", [WITHOUT_IDS, ONE_CLOCK], ids=["no ids", "one clock"])
async def test_without_ids_all_are_judged_together(clock: Clock, profile: ServiceProfile) -> None:
    """Where one may have what belongs to another, nobody is judged before all have landed."""
    flight = Flight(profile, clock)
    first, second, third = sent(flight, 3)
    assert [] == flight.land(first)
    assert [] == flight.land(second)
    assert [first, second, third] == flight.land(third)
    assert [None] * 3 == [each.recording.judge() for each in (first, second, third)]
    (fourth,) = sent(flight, 1)
    assert [fourth] == flight.land(fourth)


@pytest.mark.parametrize("profile", [WITHOUT_IDS, ONE_CLOCK], ids=["no ids", "one clock"])
@pytest.mark.parametrize("reason", DOUBTFUL)
@pytest.mark.parametrize("place", range(3))
async def test_who_goes_wrong_casts_doubt_on_all(
    clock: Clock, profile: ServiceProfile, reason: NotStored, place: int
) -> None:
    """Where one went wrong, all that were under way with it are in doubt, before and behind."""
    flight = Flight(profile, clock)
    sentences = sent(flight, 3)
    if reason is NotStored.EMPTY:
        sentences[place] = a_sentence(spoken=False)
        flight._under_way[place] = sentences[place]
    else:
        sentences[place].recording.fail(reason)
    landed = [each for sentence in sentences for each in flight.land(sentence)]
    assert sentences == landed
    reasons = {each.recording.judge() for each in landed}
    assert reasons - {reason} <= {NotStored.UNCERTAIN}
    assert None not in reasons


@pytest.mark.parametrize("reason", HARMLESS)
async def test_not_everything_is_doubtful(clock: Clock, reason: NotStored) -> None:
    """What rules out one sentence without mixing up its audio does not rule out the others."""
    flight = Flight(WITHOUT_IDS, clock)
    first, second = sent(flight, 2)
    first.recording.fail(reason)
    flight.land(first)
    flight.land(second)
    assert (reason, None) == (first.recording.judge(), second.recording.judge())
    assert flight.settled


async def test_what_was_abandoned_may_still_come(clock: Clock) -> None:
    """For a while after a sentence went wrong, nobody can be sure of what comes."""
    flight = Flight(WITHOUT_IDS, clock)
    (lost,) = sent(flight, 1)
    assert flight.settled
    lost.recording.fail(NotStored.INTERRUPTED)
    flight.land(lost)
    assert not flight.settled
    (early,) = sent(flight, 1)
    assert NotStored.UNCERTAIN is early.recording.failure
    clock.now += SETTLING - 0.1
    assert not flight.settled
    clock.now += 0.1
    assert flight.settled
    (late,) = sent(flight, 1)
    assert None is late.recording.failure


async def test_strays_keep_the_doubt_alive(clock: Clock) -> None:
    """As long as stray audio comes in, it is not over; without a reason it means nothing."""
    flight = Flight(WITHOUT_IDS, clock)
    flight.stray()
    assert flight.settled
    (lost,) = sent(flight, 1)
    lost.recording.fail(NotStored.ERROR)
    flight.land(lost)
    for _ in range(5):
        clock.now += SETTLING - 1
        assert not flight.settled
        flight.stray()
    clock.now += SETTLING
    assert flight.settled


@given(
    st.sampled_from([WITH_IDS, WITHOUT_IDS, ONE_CLOCK]),
    st.lists(
        st.tuples(st.sampled_from(["send", "land", "fail", "wait", "stray"]), st.integers(0, 5)),
        max_size=40,
    ),
)
def test_everyone_lands_once_and_nobody_in_doubt_is_stored(
    profile: ServiceProfile, events: list[tuple[str, int]]
) -> None:
    """Each sentence is judged once, whatever happens, and neighbors of a failure are not kept."""
    clock = Clock()
    flight = Flight(profile, clock)
    under_way: list[LiveSentence] = []
    sent_so_far: list[LiveSentence] = []
    judged: list[LiveSentence] = []
    group: list[LiveSentence] = []
    failed_at = -math.inf
    for event, number in [*events, *[("land", 0)] * len(events)]:
        if event == "send":
            sentence = a_sentence()
            flight.depart(sentence)
            under_way.append(sentence)
            sent_so_far.append(sentence)
            group.append(sentence)
        elif event == "wait":
            clock.now += 3 * number
        elif event == "stray":
            flight.stray()
        elif under_way:
            sentence = under_way[number % len(under_way)]
            if event == "fail":
                sentence.recording.fail(NotStored.ERROR)
                continue
            under_way.remove(sentence)
            judged += flight.land(sentence)
            if sentence.recording.judge() is NotStored.ERROR:
                failed_at = clock.now
            if not under_way:
                verdicts = {each.recording.judge() for each in group}
                if NotStored.ERROR in verdicts and profile is not WITH_IDS:
                    assert None not in verdicts
                    assert flight.settled == (clock.now - failed_at >= 10)
                group.clear()
    assert len(judged) == len(set(map(id, judged)))
    assert set(map(id, sent_so_far)) == set(map(id, judged))


# Patience


@pytest.fixture
def ending() -> Turn:
    """A turn that has all its sentences."""
    turn = a_turn()
    turn.ending = True
    return turn


def overdue(flight: Flight, sentence: LiveSentence) -> bool:
    return flight.is_overdue(sentence, PATIENCE)


async def test_a_sentence_that_is_silent_is_overdue(clock: Clock, ending: Turn) -> None:
    """Where nothing comes for the patience there is, waiting ends."""
    flight = Flight(WITH_IDS, clock)
    (sentence,) = sent(flight, 1, turn=ending)
    sentence.sending = False
    clock.now += PATIENCE - 0.1
    assert not overdue(flight, sentence)
    flight.hear(sentence)
    clock.now += PATIENCE - 0.1
    assert not overdue(flight, sentence)
    clock.now += 0.1
    assert overdue(flight, sentence)


async def test_a_sentence_that_is_being_sent_is_waited_for(clock: Clock, ending: Turn) -> None:
    """A sentence that is still being sent, or that others are to join, is never overdue."""
    flight = Flight(WITH_IDS, clock)
    (sentence,) = sent(flight, 1, turn=ending)
    clock.now += 100
    assert not overdue(flight, sentence)
    sentence.sending = False
    sentence.unclosed = True
    assert not overdue(flight, sentence)
    sentence.unclosed = False
    assert overdue(flight, sentence)


async def test_a_turn_that_goes_on_may_take_its_time(clock: Clock) -> None:
    """The last sentence of a turn that goes on is waited for, until something waits behind it."""
    flight = Flight(WITH_IDS, clock)
    turn = a_turn()
    (sentence,) = sent(flight, 1, turn=turn)
    sentence.sending = False
    await turn.open(sentence)
    clock.now += 100
    assert not overdue(flight, sentence)
    flight.waiting.append(turn)
    assert overdue(flight, sentence)
    flight.waiting.clear()
    await turn.open(Segment(complete=True))
    assert overdue(flight, sentence)


async def test_who_is_asked_for_more_gets_more_time(clock: Clock, ending: Turn) -> None:
    """The patience counts from the last sentence asked for, or from the last that came."""
    flight = Flight(WITH_IDS, clock)
    (sentence,) = sent(flight, 1, turn=ending)
    sentence.sending = False
    clock.now += 2.9
    ending.expect(clock.now)
    clock.now += 2.9
    assert not overdue(flight, sentence)
    clock.now += 0.1
    assert overdue(flight, sentence)


async def test_a_provider_that_is_silent_gets_less_time(clock: Clock, ending: Turn) -> None:
    """After a sentence that was left unanswered, the next one is given up sooner."""
    flight = Flight(WITH_IDS, clock)
    (sentence,) = sent(flight, 1, turn=ending)
    sentence.sending = False
    ending.silent = True
    ending.last_asked = clock.now + 1
    clock.now += PATIENCE / 4 - 0.01
    assert not overdue(flight, sentence)
    clock.now += 0.01
    assert overdue(flight, sentence)


async def test_without_ids_the_next_is_heard_from_now_on(clock: Clock, ending: Turn) -> None:
    """Where audio has no id, the next sentence gets its time when the one before has landed."""
    for profile, late in ((WITHOUT_IDS, False), (WITH_IDS, True)):
        flight = Flight(profile, clock)
        first, second = sent(flight, 2, turn=ending)
        second.sending = False
        clock.now += 100
        flight.land(first)
        assert late is overdue(flight, second)
