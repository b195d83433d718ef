#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What left a TTS service, in a form that two runs can be compared in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Self

from pipecat.frames.frames import (
    AggregatedTextFrame,
    AggregatedTextProgressFrame,
    ErrorFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    MetricsFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.metrics.metrics import TTFBMetricsData, TTSUsageMetricsData

from pipecat_tts_cache.testing.pipecat_versions import (
    DEPENDS_ON_SPEED,
    is_interruptible,
    word_baseline,
)
from pipecat_tts_cache.testing.report import in_words
from pipecat_tts_cache.testing.voice import Heard, listen

NANOSECOND = 1e-9
_CONTEXT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Captured:
    """A frame, and how the service's clocks stood when it left.

    Parameters:
        frame: The frame.
        at: The pipeline's clock, in seconds.
        baseline: What the service adds to word times at that moment, in seconds, if known.
    """

    frame: Frame
    at: float
    baseline: float | None

    @classmethod
    def now(cls, frame: Frame, service: Any) -> Self:
        """Take down a frame as it leaves."""
        baseline = word_baseline(service)
        at = service.get_clock().get_time()
        seconds = None if baseline is None else baseline * NANOSECOND
        return cls(frame, at * NANOSECOND, seconds)


@dataclass(frozen=True)
class Text:
    """A text frame of an audio context.

    Parameters:
        kind: `word` (TTSTextFrame), `announced` (AggregatedTextFrame) or `progress`.
        text: Its text; of a progress frame, what has been spoken and what remains.
        at: When it is due, in seconds after the context's audio begins; `None` without a pts.
        segment: Which announced text it belongs to, by running number; `None` if to none.
        append_to_context: As in the frame; `None` where the frame has no such thing.
        interruptible: As in the frame.
    """

    kind: str
    text: str | tuple[str, str]
    at: float | None
    segment: int | None
    append_to_context: bool | None
    interruptible: bool

    @property
    def told(self) -> str:
        """Its text as a reader writes it."""
        if isinstance(self.text, str):
            return in_words(self.text)
        spoken, remains = self.text
        return f"{spoken!r} (to come: {remains!r})"

    @property
    def timeless(self) -> str:
        """All of it but its time, in words."""
        rest = [] if self.segment is None else [f"of announcement {self.segment}"]
        if self.append_to_context is not None:
            rest.append("for the context" if self.append_to_context else "not for the context")
        rest += [] if self.interruptible else ["not to be interrupted"]
        return " ".join([self.told, f"({', '.join(rest)})" if rest else ""]).rstrip()


@dataclass
class Said:
    """What one audio context gave.

    Parameters:
        started: How many `TTSStartedFrame`s.
        stopped: How many `TTSStoppedFrame`s.
        audio: All samples, PCM s16le.
        sample_rate: In Hz; 0 without audio.
        frame_ms: The length of each audio frame, in milliseconds.
        heard: What a listener understood of the audio.
        texts: Its text frames, in order.
        append_to_context: As in the started frame.
        interruptible: Whether all its frames may be dropped by an interruption.
        stray: Frames that came before the start or behind the stop.
        began: When the first audio left, in seconds of the pipeline's clock.
    """

    started: int = 0
    stopped: int = 0
    audio: bytes = b""
    sample_rate: int = 0
    frame_ms: list[float] = field(default_factory=list)
    heard: Heard = field(default_factory=Heard)
    texts: list[Text] = field(default_factory=list)
    append_to_context: bool | None = None
    interruptible: bool = True
    stray: list[str] = field(default_factory=list)
    began: float | None = None

    @property
    def words(self) -> list[Text]:
        """The `TTSTextFrame`s."""
        return [text for text in self.texts if text.kind == "word"]

    @property
    def announced(self) -> list[Text]:
        """The `AggregatedTextFrame`s."""
        return [text for text in self.texts if text.kind == "announced"]

    @property
    def progress(self) -> list[Text]:
        """The `AggregatedTextProgressFrame`s."""
        return [text for text in self.texts if text.kind == "progress"]


@dataclass
class View:
    """What left a service.

    Parameters:
        contexts: What each audio context gave, in the order in which they appeared.
        order: The course of things, without audio's chunks: `start`, `end` (of an LLM turn),
            `started 0`, `audio 0`, `stopped 0` (of the context with that number), and the names
            of all other frames that no field holds.
        heard: What a listener understood of all audio, in order.
        errors: The texts of the errors, without the ids of contexts.
        usage: The characters of each usage metric.
        ttfb: The times to first byte that were reported, in seconds; zeros left out.
    """

    contexts: list[Said] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    heard: Heard = field(default_factory=Heard)
    errors: list[str] = field(default_factory=list)
    usage: list[int] = field(default_factory=list)
    ttfb: list[float] = field(default_factory=list)


class _Viewer:
    def __init__(self) -> None:
        self.view = View()
        self._contexts: dict[str | None, Said] = {}
        self._baselines: dict[str | None, float] = {}
        self._early: dict[str | None, list[tuple[int, float]]] = {}
        self._segments: dict[int, int] = {}

    def look_at(self, captured: Captured) -> None:
        frame = captured.frame
        match frame:
            case TTSStartedFrame() | TTSStoppedFrame() | TTSAudioRawFrame():
                self._sound(captured, frame)
            case AggregatedTextFrame() | AggregatedTextProgressFrame():
                self._text(frame)
            case MetricsFrame():
                self._metrics(frame)
            case LLMFullResponseStartFrame():
                self._happened("start")
            case LLMFullResponseEndFrame():
                self._happened("end")
            case _ if not isinstance(frame, DEPENDS_ON_SPEED):
                self._happened(type(frame).__name__)
            case _:
                pass

    def _happened(self, what: str) -> None:
        if not what.startswith("audio") or self.view.order[-1:] != [what]:
            self.view.order.append(what)

    def _context(self, context_id: str | None) -> tuple[int, Said]:
        if context_id not in self._contexts:
            self._contexts[context_id] = Said()
            self.view.contexts.append(self._contexts[context_id])
        return list(self._contexts).index(context_id), self._contexts[context_id]

    def _sound(self, captured: Captured, frame: Any) -> None:
        number, said = self._context(frame.context_id)
        said.interruptible = said.interruptible and is_interruptible(frame)
        if isinstance(frame, TTSStartedFrame):
            said.started += 1
            said.append_to_context = frame.append_to_context
            self._happened(f"started {number}")
        elif isinstance(frame, TTSStoppedFrame):
            said.stopped += 1
            self._happened(f"stopped {number}")
        else:
            self._audio(captured, frame, said)
            self._happened(f"audio {number}")
        if said.started != 1 or (said.stopped and not isinstance(frame, TTSStoppedFrame)):
            said.stray.append(type(frame).__name__)

    def _audio(self, captured: Captured, frame: TTSAudioRawFrame, said: Said) -> None:
        if said.began is None:
            said.began = captured.at
            baseline = captured.baseline
            began = captured.at if baseline is None else baseline
            self._baselines[frame.context_id] = began
            for place, due in self._early.pop(frame.context_id, ()):
                said.texts[place] = replace(said.texts[place], at=due - began)
        said.audio += frame.audio
        said.sample_rate = frame.sample_rate
        said.frame_ms.append(1000 * frame.num_frames / frame.sample_rate)

    def _text(self, frame: Any) -> None:
        _, said = self._context(frame.context_id)
        due = frame.pts * NANOSECOND if frame.pts else None
        baseline = self._baselines.get(frame.context_id)
        at = None if due is None or baseline is None else due - baseline
        text: str | tuple[str, str]
        if isinstance(frame, AggregatedTextProgressFrame):
            kind, text = "progress", (frame.accumulated_text, frame.remaining_text)
            segment, append = self._segments.get(getattr(frame, "segment_id", 0)), None
        elif isinstance(frame, TTSTextFrame):
            kind, text = "word", frame.text
            segment = self._segments.get(getattr(frame, "segment_id", 0) or 0)
            append = frame.append_to_context
        else:
            kind, text = "announced", frame.text
            segment = self._segments.setdefault(frame.id, len(self._segments))
            append = frame.append_to_context
            at = due = None  # as early as it can be; only its place matters
        if due is not None and baseline is None:
            self._early.setdefault(frame.context_id, []).append((len(said.texts), due))
        said.texts.append(Text(kind, text, at, segment, append, is_interruptible(frame)))

    def _metrics(self, frame: MetricsFrame) -> None:
        for data in frame.data:
            if isinstance(data, TTSUsageMetricsData):
                self.view.usage.append(data.value)
            elif isinstance(data, TTFBMetricsData) and data.value:
                self.view.ttfb.append(data.value)

    def finish(self, errors: Sequence[ErrorFrame]) -> View:
        for said in self.view.contexts:
            said.heard = listen(said.audio, sample_rate=said.sample_rate or 1)
        everything = self.view.heard
        for said in self.view.contexts:
            everything.words += said.heard.words
            everything.takes += said.heard.takes
            everything.starts += said.heard.starts
            everything.flaws += said.heard.flaws
        self.view.errors = [_CONTEXT_ID.sub("…", error.error) for error in errors]
        return self.view


def view(captured: Sequence[Captured], errors: Sequence[ErrorFrame] = ()) -> View:
    """Sort what left a service by audio contexts."""
    viewer = _Viewer()
    for one in captured:
        viewer.look_at(one)
    return viewer.finish(errors)


def differences(expected: View, actual: View, *, tolerance: float = 0.020) -> list[str]:
    """Say what differs between two runs that should sound and read alike.

    Takes may differ, and so may usage, times to first byte and how audio is cut into frames. The
    time of a word is right if it is that of the other run, or that at which the word is heard: not
    all services get their own times right.

    Args:
        expected: The one run.
        actual: The other.
        tolerance: How far the times of a word may be apart, in seconds.
    """
    found = _compare("order", expected.order, actual.order)
    pairs = zip_longest(expected.contexts, actual.contexts, fillvalue=Said())
    for number, (one, other) in enumerate(pairs):
        name = f"context {number}: "
        for what in ("started", "stopped", "append_to_context", "interruptible", "sample_rate"):
            found += _compare(name + what, getattr(one, what), getattr(other, what))
        found += _compare(name + "stray", one.stray, other.stray)
        found += _compare(name + "length of the audio", len(one.audio), len(other.audio))
        found += _compare(name + "words", one.heard.words, other.heard.words)
        found += _compare(name + "starts of words", one.heard.starts, other.heard.starts)
        found += _compare(name + "flaws", one.heard.flaws, other.heard.flaws)
        if one.heard.takes == other.heard.takes and one.audio != other.audio:
            found.append(name + "the same takes, but other samples")
        found += _compare_texts(name, one, other, tolerance)
    return found + _compare("errors", expected.errors, actual.errors)


def _compare(what: str, expected: object, actual: object) -> list[str]:
    if expected == actual:
        return []
    return [f"{what}: expected {in_words(expected)}, got {in_words(actual)}"]


def _compare_texts(name: str, expected: Said, actual: Said, tolerance: float) -> list[str]:
    """Compare the text frames, kind by kind.

    How kinds interleave depends on when the provider answers: without a cache, the announcement
    of a sentence comes somewhere into the words of the ones before it.
    """
    found: list[str] = []
    for kind in ("announced", "word", "progress"):
        ones = [text for text in expected.texts if text.kind == kind]
        others = [text for text in actual.texts if text.kind == kind]
        if not _told_better(expected, actual):
            found += _compare_in_order(f"{name}{kind}", ones, others)
        heard = actual.heard.starts if len(actual.heard.starts) == len(others) else []
        for one, other, start in zip_longest(ones, others, heard):
            if one and other and not _in_time(one, other, start, tolerance):
                found.append(f"{name}{kind} {one.told} {_when(other)}, not {_when(one)}")
    return found + _announced_late(name, actual.texts)


def _told_better(expected: Said, actual: Said) -> bool:
    """Whether the words that are told are those that are heard, and were not so before."""
    told, usual = ([text.text for text in said.words] for said in (actual, expected))
    return told == actual.heard.words != usual


def _compare_in_order(what: str, expected: list[Text], actual: list[Text]) -> list[str]:
    """Say which texts are missing, too many, or others than they should be."""
    ones, others = ([text.timeless for text in texts] for texts in (expected, actual))
    found: list[str] = []
    for change, i, up_to_i, j, up_to_j in SequenceMatcher(None, ones, others, False).get_opcodes():
        for one, other in zip_longest(ones[i:up_to_i], others[j:up_to_j]):
            if change == "equal":
                continue
            if other is None:
                found.append(f"{what} {one} is missing")
            elif one is None:
                found.append(f"{what} {other} is too many")
            else:
                found.append(f"{what}: expected {one}, got {other}")
    return found


def _when(text: Text) -> str:
    return "at no time" if text.at is None else f"at {text.at:.3f} s"


def _in_time(expected: Text, actual: Text, heard: float | None, tolerance: float) -> bool:
    if actual.at is None:
        return expected.at is None
    return any(
        right is not None and abs(actual.at - right) <= tolerance for right in (expected.at, heard)
    )


def _announced_late(name: str, texts: list[Text]) -> list[str]:
    announced = [text.segment for text in texts if text.kind == "announced"]
    late = [
        text
        for place, text in enumerate(texts)
        if text.kind != "announced"
        and text.segment in announced
        and not any(
            before.kind == "announced" and before.segment == text.segment
            for before in texts[:place]
        )
    ]
    return [f"{name}{text.kind} {text.told} comes before its announcement" for text in late]
