#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""A turn passes on what its sentences have to say in the order in which they were asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipecat.frames.frames import Frame, TextFrame, TTSAudioRawFrame

from pipecat_tts_cache.speaking.turn import Item, Mark, Segment, Turn
from pipecat_tts_cache.testing.simulation import simulated_time
from pipecat_tts_cache.utterance import Word

RATE = 8000


def audio(seconds: float) -> TTSAudioRawFrame:
    return TTSAudioRawFrame(bytes(2 * round(seconds * RATE)), RATE, 1)


def text(name: str) -> TextFrame:
    return TextFrame(name)


def name_of(item: Item | Mark) -> str:
    match item:
        case TTSAudioRawFrame():
            return f"{item.num_frames / RATE:g}s"
        case Word():
            return f"{item.text}@{item.start:g}"
        case Mark():
            return "END"
        case _:
            return str(getattr(item, "text", item))


@dataclass
class Listener:
    """What a turn passes its items on to, which may take a while.

    Parameters:
        turns: How often the event loop turns before an item is taken, over and over.
    """

    turns: list[int] = field(default_factory=lambda: [0])
    passed: list[Item | Mark] = field(default_factory=list)
    busy: bool = False

    async def pass_on(self, turn: Turn, item: Item | Mark) -> None:
        assert not self.busy
        self.busy = True
        self.passed.append(item)
        for _ in range(self.turns[len(self.passed) % len(self.turns)]):
            await asyncio.sleep(0)
        self.busy = False

    @property
    def names(self) -> list[str]:
        return [name_of(item) for item in self.passed]


@pytest.fixture
def listener() -> Listener:
    """A listener that takes everything at once."""
    return Listener()


@pytest.fixture
def turn(listener: Listener) -> Turn:
    """A turn that goes to it."""
    return Turn("outer", listener.pass_on)


def live() -> Segment:
    return Segment(complete=False)


# One by one


async def test_a_live_sentence_is_passed_on_as_it_comes(turn: Turn, listener: Listener) -> None:
    """What comes of the sentence at the head is passed on at once."""
    sentence = live()
    await turn.open(sentence)
    for seconds in (0.1, 0.2):
        sentence.add(audio(seconds))
        await turn.advance()
        assert f"{seconds:g}s" == listener.names[-1]
    await turn.finish(sentence)
    assert ["0.1s", "0.2s"] == listener.names


async def test_who_is_early_waits(turn: Turn, listener: Listener) -> None:
    """Sentences behind the head keep what they have until it is their turn."""
    first, second = live(), live()
    await turn.open(first)
    await turn.open(second)
    await turn.open(Segment([audio(0.3)], complete=True))
    second.add(audio(0.2))
    await turn.finish(second)
    assert [] == listener.names
    first.add(audio(0.1))
    await turn.finish(first)
    assert ["0.1s", "0.2s", "0.3s"] == listener.names


async def test_words_are_timed_in_their_turn(turn: Turn, listener: Listener) -> None:
    """Words count from the start of their sentence, and are passed on from the start of all."""
    first = live()
    await turn.open(first)
    await turn.open(Segment([Word("there", 0.1), audio(0.5), Word("again", 0.4)], complete=True))
    first.add(Word("Hello", 0.0))
    first.add(audio(1.0))
    first.add(Word("you", 0.75))
    await turn.finish(first)
    assert ["Hello@0", "1s", "you@0.75", "there@1.1", "0.5s", "again@1.4"] == listener.names
    assert 1.5 == turn.position


async def test_frames_keep_their_place(turn: Turn, listener: Listener) -> None:
    """What Pipecat appends stands behind the sentence that it follows."""
    sentence = live()
    await turn.open(sentence)
    await turn.append(text("behind"))
    await turn.open(Segment([audio(0.2)], complete=True))
    sentence.add(audio(0.1))
    await turn.finish(sentence)
    assert ["0.1s", "behind", "0.2s"] == listener.names


async def test_a_text_stands_in_front_of_its_sentence(turn: Turn, listener: Listener) -> None:
    """A text that belongs in front gets there if the sentence has not been heard."""
    first, second = live(), live()
    await turn.open(first)
    await turn.open(second)
    second.add(audio(0.2))
    await turn.lead_with(text("two"))
    await turn.finish(first)
    assert ["two", "0.2s"] == listener.names


async def test_a_text_that_is_late_comes_at_once(turn: Turn, listener: Listener) -> None:
    """A text whose sentence is being heard, or has been, comes as soon as it can."""
    sentence = live()
    await turn.open(sentence)
    sentence.add(audio(0.1))
    await turn.advance()
    await turn.lead_with(text("one"))
    sentence.add(audio(0.2))
    await turn.finish(sentence)
    await turn.lead_with(text("late"))
    assert ["0.1s", "one", "0.2s", "late"] == listener.names


async def test_a_text_does_not_lead_another_frame(turn: Turn, listener: Listener) -> None:
    """A frame that stands last in line is no sentence; a text goes behind it."""
    sentence = live()
    await turn.open(sentence)
    await turn.append(text("frame"))
    await turn.lead_with(text("text"))
    await turn.finish(sentence)
    assert ["frame", "text"] == listener.names


@pytest.mark.parametrize(
    "release",
    [
        lambda turn: turn.lead_with(text("text")),
        lambda turn: turn.append(text("text")),
        lambda turn: turn.open(Segment([text("text")], complete=True)),
        lambda turn: turn.end(),
    ],
)
async def test_a_replayed_sentence_waits_for_its_text(
    turn: Turn, listener: Listener, release: Callable[[Turn], Awaitable[None]]
) -> None:
    """A sentence that waits for its text goes on with it, or when it is clear that none comes."""
    sentence = Segment([audio(0.1)], complete=True)
    sentence.waits_for_text = True
    await turn.open(sentence)
    assert [] == listener.names
    await release(turn)
    assert {"0.1s"} <= set(listener.names)


async def test_the_end_comes_last_and_once(turn: Turn, listener: Listener) -> None:
    """The turn is over when nothing more is asked for and everything has been passed on."""
    sentence = live()
    await turn.open(sentence)
    await turn.end()
    await turn.end()
    assert [] == listener.names
    sentence.add(audio(0.1))
    await turn.finish(sentence)
    await turn.end()
    await turn.advance()
    assert ["0.1s", "END"] == listener.names
    assert turn.ended


async def test_the_end_waits_for_what_is_expected(turn: Turn, listener: Listener) -> None:
    """A sentence that was asked for holds the end back until it is there."""
    turn.expect(1.0)
    turn.expect(2.0)
    await turn.end()
    await turn.settle()
    assert ([], 2.0) == (listener.names, turn.last_asked)
    await turn.open(Segment([audio(0.1)], complete=True))
    await turn.settle()
    assert ["0.1s", "END"] == listener.names
    await turn.settle()
    assert 0 == turn.expected


async def test_a_single_sentence_ends_its_turn(listener: Listener) -> None:
    """A turn of one sentence needs nobody to end it."""
    turn = Turn("outer", listener.pass_on, single=True)
    turn.expect(0.0)
    await turn.open(Segment([audio(0.1)], complete=True))
    await turn.settle()
    assert ["0.1s", "END"] == listener.names


async def test_nothing_comes_of_what_is_dropped(turn: Turn, listener: Listener) -> None:
    """After an interruption nothing more is passed on, whatever still comes."""
    sentence = live()
    await turn.open(sentence)
    sentence.add(audio(0.1))
    turn.drop()
    sentence.add(audio(0.2))
    await turn.finish(sentence)
    await turn.append(text("text"))
    await turn.open(Segment([audio(0.3)], complete=True))
    await turn.lead_with(text("text"))
    await turn.end()
    assert [] == listener.names
    assert turn.ended


async def test_an_interruption_comes_while_something_is_passed_on() -> None:
    """What is being passed on when the turn is dropped is the last of it."""
    listener = Listener(turns=[3])
    turn = Turn("outer", listener.pass_on)
    passing = asyncio.create_task(turn.open(Segment([audio(0.1), audio(0.2)], complete=True)))
    await asyncio.sleep(0)
    turn.drop()
    await passing
    assert ["0.1s"] == listener.names


async def test_a_turn_may_go_quiet(turn: Turn, listener: Listener) -> None:
    """A context that is opened anew begins its clock anew."""
    await turn.open(Segment([audio(1.0)], complete=True))
    turn.started = True
    turn.rewind()
    await turn.open(Segment([Word("Hello", 0.25), audio(1.0)], complete=True))
    assert ["1s", "Hello@0.25", "1s"] == listener.names
    assert (False, 1.0) == (turn.started, turn.position)


async def test_it_is_known_whether_something_waits(turn: Turn) -> None:
    """A sentence with something behind it holds it back."""
    first, second = live(), live()
    assert not turn.holds_back(first)
    await turn.open(first)
    assert not turn.holds_back(first)
    await turn.open(second)
    assert turn.holds_back(first)
    assert not turn.holds_back(second)


async def test_a_failure_does_not_block_the_turn(listener: Listener) -> None:
    """Where passing on fails once, it goes on with the next."""
    failures = [RuntimeError("once")]

    async def pass_on(turn: Turn, item: Item | Mark) -> None:
        if failures:
            raise failures.pop()
        await listener.pass_on(turn, item)

    turn = Turn("outer", pass_on)
    with pytest.raises(RuntimeError, match="once"):
        await turn.open(Segment([audio(0.1), audio(0.2)], complete=True))
    await turn.end()
    assert ["0.2s", "END"] == listener.names


async def test_a_frame_without_a_rate_takes_no_time(turn: Turn) -> None:
    """Audio that does not say how fast it is does not move the clock."""
    await turn.open(Segment([TTSAudioRawFrame(bytes(2), 0, 1), audio(0.5)], complete=True))
    assert 0.5 == turn.position


async def test_a_replay_is_made_when_it_is_due(turn: Turn, listener: Listener) -> None:
    """What is replayed is cut into frames one by one, not all at once."""
    made: list[float] = []

    def frames() -> Any:
        for seconds in (0.1, 0.2):
            made.append(seconds)
            yield audio(seconds)

    first = live()
    await turn.open(first)
    await turn.open(Segment(frames(), complete=True))
    assert [] == made
    await turn.finish(first)
    assert [0.1, 0.2] == made


async def test_the_first_audio_is_given_a_start(turn: Turn) -> None:
    """Whoever has much to say lets the first audio of the turn leave before."""
    async with simulated_time() as loop:

        async def waits() -> float:
            began = loop.time()
            await turn.let_first_leave()
            return round(loop.time() - began, 4)

        assert 0.0 == await waits()
        await turn.open(Segment([audio(0.1)], complete=True))
        assert await waits() > 0.0
        assert 0.0 == await waits()
        await turn.open(Segment([audio(0.1)], complete=True))
        assert 0.0 == await waits()


# All at once

Step = tuple[str, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["live", "replay", "waiting", "frame", "text", "audio", "word", "finish"]),
        st.integers(0, 5),
    ),
    max_size=25,
)
delays = st.lists(st.integers(0, 3), min_size=1, max_size=5)


class Play:
    """Does to a turn what a service and Pipecat do, from several tasks, and takes down the ranks.

    The rank of what is said is the number of sentences and frames that were in line before it.
    """

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.turn = Turn("outer", listener.pass_on)
        self.rank = 0
        self.ranks: dict[str, int] = {}
        self.order: dict[int, list[str]] = {}
        self.live: list[tuple[Segment, int]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def begin(self, work: Any) -> None:
        self.tasks.append(asyncio.create_task(work))

    def make(self, rank: int) -> TextFrame | Word:
        name = f"{len(self.ranks)}"
        self.ranks[name] = rank
        self.order.setdefault(rank, []).append(name)
        return Word(name, 0.0) if len(self.ranks) % 3 == 0 else text(name)

    def open(self, what: str, count: int) -> None:
        self.rank += 1
        items = [self.make(self.rank) for _ in range(count)] if what != "live" else []
        segment = Segment(items, complete=what != "live")
        segment.waits_for_text = what == "waiting"
        if what == "live":
            self.live.append((segment, self.rank))
        self.begin(self.turn.open(segment))

    def do(self, what: str, number: int) -> None:
        if what in ("live", "replay", "waiting"):
            self.open(what, number)
        elif what == "frame":
            self.rank += 1
            self.begin(self.turn.append(self.frame(self.rank)))
        elif what == "text":
            name = f"text {len(self.ranks)}"
            self.ranks[name] = self.rank
            self.begin(self.turn.lead_with(text(name)))
        elif self.live:
            segment, rank = self.live[number % len(self.live)]
            if what == "finish":
                self.live.remove((segment, rank))
                self.begin(self.turn.finish(segment))
            else:
                segment.add(self.make(rank))
                self.begin(self.turn.advance())

    def frame(self, rank: int) -> Frame:
        item = self.make(rank)
        return text(item.text) if isinstance(item, Word) else item

    async def finish(self) -> None:
        for segment, _ in self.live:
            self.begin(self.turn.finish(segment))
        self.begin(self.turn.end())
        await asyncio.gather(*self.tasks)


def heard(listener: Listener) -> list[str]:
    return [getattr(item, "text", "END") for item in listener.passed]


@given(steps, delays, delays)
@settings(max_examples=300)
def test_any_play_comes_out_in_order(played: list[Step], slow: list[int], pace: list[int]) -> None:
    """Whoever says what when, everything is heard once, in the order of the sentences."""

    async def run() -> Play:
        play = Play(Listener(slow))
        for number, (what, count) in enumerate(played):
            play.do(what, count)
            for _ in range(pace[number % len(pace)]):
                await asyncio.sleep(0)
        await play.finish()
        return play

    play = asyncio.run(run())
    names = heard(play.listener)
    assert "END" == names.pop()
    assert sorted(play.ranks) == sorted(names)
    ranks = [play.ranks[name] for name in names]
    assert sorted(ranks) == ranks
    for rank in set(ranks):
        texts = [int(name[5:]) for name in names if name[:4] == "text" and play.ranks[name] == rank]
        assert sorted(texts) == texts
    for rank, order in play.order.items():
        own = [name for name in names if play.ranks[name] == rank and not name.startswith("text")]
        assert order == own


@given(steps, delays, delays, st.integers(0, 25))
def test_any_play_can_be_dropped(
    played: list[Step], slow: list[int], pace: list[int], when: int
) -> None:
    """Dropped at any moment, a turn passes nothing more on, and never ends."""

    async def run() -> tuple[int, int]:
        play = Play(Listener(slow))
        passed = 0
        for number, (what, count) in enumerate([*played, ("text", 0)]):
            if number == when % (len(played) + 1):
                play.turn.drop()
                passed = len(play.listener.passed)
            play.do(what, count)
            for _ in range(pace[number % len(pace)]):
                await asyncio.sleep(0)
        await play.finish()
        return passed, len(play.listener.passed)

    passed, afterwards = asyncio.run(run())
    assert passed == afterwards


@given(
    st.lists(
        st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=6), min_size=1, max_size=6
    )
)
def test_word_times_follow_the_audio(sentences: list[list[tuple[bool, int]]]) -> None:
    """A word is passed on with its time from the start of the turn, by the audio before it."""
    listener = Listener()
    expected: list[float] = []

    async def run() -> float:
        turn = Turn("outer", listener.pass_on)
        start = position = 0
        for sentence in sentences:
            start = position
            items: list[Item] = []
            for is_word, length in sentence:
                if is_word:
                    items.append(Word("word", length / 100))
                    expected.append((start + length) / 100)
                else:
                    items.append(audio(length / 100))
                    position += length
            await turn.open(Segment(items, complete=True))
        assert pytest.approx(position / 100) == turn.position
        return turn.position

    asyncio.run(run())
    times = [item.start for item in listener.passed if isinstance(item, Word)]
    assert pytest.approx(expected) == times
