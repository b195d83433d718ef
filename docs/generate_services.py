#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Writes docs/services.md from what `pipecat_tts_cache.services` knows of each service.

    python docs/generate_services.py

A test compares the page with what this would write.
"""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pipecat_tts_cache.services import _PROFILES, ServiceProfile

PAGE = Path(__file__).with_name("services.md")

_CLOCKS = {"_cumulative_time", "_cumulative_audio_offset"}
_TOKENS = "sends tokens unless told `text_aggregation_mode=TextAggregationMode.SENTENCE`"
_DEPRECATED = "deprecated in Pipecat"
_REMARKS: Mapping[str, str] = {
    "BlandTTSService": _TOKENS,
    "DeepgramFluxSageMakerTTSService": _TOKENS,
    "DeepgramFluxTTSService": _TOKENS,
    "NvidiaTTSService": 'with `synthesis_mode="stitched"` it is taken for a streaming service',
    "RimeNonJsonTTSService": _DEPRECATED,
    "TogetherTTSService": "its provider may find several sentences in one, and end each of them",
    "XTTSService": _DEPRECATED,
}

_HEAD = """\
<!-- Written by docs/generate_services.py; edit that, or src/pipecat_tts_cache/services.py. -->

# How each service is treated

Pipecat's TTS services differ in how audio comes, how its end is known, and how many sentences the
provider can have under way at once. What the library knows of each is data, in
[`services.py`](../src/pipecat_tts_cache/services.py), and this page is written from it. It was
read from the sources of pipecat-ai 1.14.0 and, for limits, from the providers' documentation.

{listed} services are listed. What was tried with each is on [compatibility.md](compatibility.md).

"At once" is how many live sentences may be with the provider at a time. Replayed sentences do not
count.
"""

_TAIL = """\
## A service that is not listed

A subclass of a listed service is treated as that service. Any other service is taken for an inline
one if it holds no WebSocket. Should it turn out to answer later, its sentences go one at a time,
and once one of them does not end, it is left alone. A service that holds a WebSocket is left alone
from the start.

Who knows better says so with a class attribute, of the service or of the cached class:

```python
from pipecat.services.tts_service import WebsocketTTSService
from pipecat_tts_cache import ServiceProfile


class MyTTSService(WebsocketTTSService):
    # Its provider answers "done" at the end of each context, and three may be open at once.
    tts_cache_profile = ServiceProfile(inline=False, in_flight=3)
```

The fields are documented on `ServiceProfile`. Claim a certain end only where the provider itself
says that a sentence is complete. A pause is no such sign: what was cut off would be replayed so.
"""


class _Group(NamedTuple):
    title: str
    text: str
    holds: Callable[[ServiceProfile], bool]


_GROUPS = (
    _Group(
        "Inline",
        "`run_tts` yields a sentence's audio and returns when it is complete, so its end is "
        "certain. Pipecat itself waits for it before it asks for the next sentence.",
        lambda profile: profile.certain_end and profile.inline is not False,
    ),
    _Group(
        "Streaming, with ids",
        "Audio arrives later and says which context it belongs to. The provider tells when a "
        "context is complete.",
        lambda profile: profile.certain_end and profile.names_context,
    ),
    _Group(
        "Streaming, in order",
        "Audio arrives later and carries no id; the provider sends one end signal a sentence, in "
        "the order in which sentences were sent. When one goes wrong, none of those under way "
        "with it is stored.",
        lambda profile: profile.certain_end,
    ),
    _Group(
        "Left alone",
        "Nothing says when a sentence is complete; Pipecat waits for a pause. Complete and cut-off "
        "audio look the same, so nothing is stored or replayed: the service behaves as without "
        "the mixin, and `get_cache_stats()` counts its sentences under `bypassed` as "
        "`end_unknown`.",
        lambda profile: not profile.certain_end,
    ),
)


def page() -> str:
    """Write the page.

    Returns:
        Its text.
    """
    parts = [_HEAD.format(listed=len(_PROFILES))]
    left = dict(sorted(_PROFILES.items()))
    for group in _GROUPS:
        members = {name: profile for name, profile in left.items() if group.holds(profile)}
        left = {name: profile for name, profile in left.items() if name not in members}
        parts.append("\n".join(_section(group, members)))
    return "\n".join([*parts, _TAIL])


def _section(group: _Group, members: Mapping[str, ServiceProfile]) -> Iterator[str]:
    yield f"## {group.title} ({len(members)})\n\n{textwrap.fill(group.text, 100)}\n"
    counted = any(profile.inline is False and profile.certain_end for profile in members.values())
    yield "| service | at once | remarks |" if counted else "| service | remarks |"
    yield "|---|---|---|" if counted else "|---|---|"
    for name, profile in members.items():
        remarks = "; ".join(_remarks(name, profile))
        cells = [f"`{name}`", *([str(profile.in_flight)] if counted else []), remarks]
        yield f"| {' | '.join(cells)} |".replace("  |", " |")
    yield ""


def _remarks(name: str, profile: ServiceProfile) -> Iterator[str]:
    yield from (_REMARKS[name],) if name in _REMARKS else ()
    yield from _remarks_on_state(profile)
    yield from _remarks_on_settings(profile)


def _remarks_on_state(profile: ServiceProfile) -> Iterator[str]:
    if profile.closes_per_minute:
        limit = profile.closes_per_minute
        yield f"near the provider's limit of {limit} closed sentences a minute, sentences join"
    if profile.shared_clock:
        yield "its contexts share a word clock: a sentence that goes wrong rules out its neighbors"
    if _CLOCKS & profile.fresh_state.keys():
        yield "its word clock is reset before each live sentence"
    if "_previous_text" in profile.fresh_state:
        yield "earlier sentences of the turn are not sent along"
    if profile.sentence_state:
        yield "what a text transform sets for one sentence is in its key"


def _remarks_on_settings(profile: ServiceProfile) -> Iterator[str]:
    if profile.updated_settings is not None:
        but = f"except for {_names(profile.updated_settings)}, " if profile.updated_settings else ""
        yield f"{but}updates of settings change neither its speech nor the key"
    if profile.fixed_settings:
        yield f"updates of {_names(profile.fixed_settings)} change neither its speech nor the key"
    if profile.connection_settings:
        yield f"once {_names(profile.connection_settings)} is updated, nothing more is cached"
    if neutral := profile.neutral_settings | profile.neutral_arguments:
        yield f"not in the key: {_names(neutral)}"
    if files := profile.file_arguments | profile.file_settings:
        yield f"in the key is the content of what {_names(files)} names, where that is a file"


def _names(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
