#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Certifies that nobody can tell a service with the cache from the same service without."""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pipecat.services.tts_service import TTSService

from pipecat_tts_cache.mixin import TTSCacheMixin
from pipecat_tts_cache.testing.provider import Provider
from pipecat_tts_cache.testing.report import Report
from pipecat_tts_cache.testing.script import SCRIPTS, Pause, Script, Turn, write_conversation
from pipecat_tts_cache.testing.shelf import Shelf
from pipecat_tts_cache.testing.trial import Trial

CHECKS = ("mixes", "conversations", "voices", "interruptions", "faults")
"""What can be checked."""

_TWO = 2  # voices that are changed

MakeService = type[TTSService] | Callable[..., TTSService]


async def check_cache(
    make_service: MakeService,
    provider: Provider,
    *,
    arguments: Mapping[str, Any] | None = None,
    sample_rate: int = 24_000,
    voices: tuple[Any, Any] | None = None,
    interruptions: int | None = None,
    simulate_time: bool = True,
    only: Collection[str] = CHECKS,
) -> Report:
    """Hold many conversations with a service, with the cache and without, and compare them.

    That is: every mix of hits and misses in a turn of three sentences; speak frames, turns and
    pauses in every combination that matters; a long random conversation; a change of voice inside
    a turn; interruptions at every frame of a turn, live and replayed; and everything that can go
    wrong at a provider. Whatever was stored is listened to.

    The service needs a provider that answers it in the readable voice: a local server, or an
    object in place of the provider's client, that builds on `Provider`. Several checks may use the
    same one, one after the other.

    Args:
        make_service: The class of the service, bare or cached, or a function that gives a new
            service each time. The function is called with the arguments of `TTSCacheMixin`
            (`cache_backend=…`), or with none for the service as it is without a cache.
        provider: Who answers the service.
        arguments: Further arguments for each call of `make_service`.
        sample_rate: Of the pipeline's output, in Hz.
        voices: Two values of the setting `voice`, of which the first is in use to begin with.
            Without them no voice is changed.
        interruptions: At how many places of a turn it is interrupted; None for every frame.
        simulate_time: Whether waiting takes no time; see `simulated_time`. To be refused where
            the provider runs in another thread or process.
        only: Which checks to run, for somebody who mends what one of them found: `mixes`,
            `conversations`, `voices`, `interruptions`, `faults`.

    Returns:
        What was found. `report.passed` says whether nobody can tell.

    Raises:
        TypeError: `make_service` is a service, or gives none, or one without the mixin where the
            cache is asked for; or `only` is a string.
        ValueError: There is no such check; `voices` are not two; or somebody else than the
            provider answers the service.
    """
    _refuse_misuse(make_service, voices, only)
    trial = Trial(
        make=_maker(make_service, dict(arguments or {})),
        provider=provider,
        options={"sample_rate": sample_rate, "simulate_time": simulate_time},
    )
    if not await trial.prepare():
        return trial.report
    if "mixes" in only:
        await trial.mixes()
    if "conversations" in only:
        await trial.scripts({**SCRIPTS, "a random conversation": write_conversation(seed=1)})
    if "voices" in only and voices is not None:
        await trial.voices("a change of voice in a turn", _voice_changes(*voices))
    if "interruptions" in only:
        await trial.interruptions(interruptions)
    if "faults" in only:
        await trial.faults()
    return trial.report


def _refuse_misuse(make_service: Any, voices: Any, only: Any) -> None:
    """Say what is wrong with the arguments, if it can be seen."""
    if not callable(make_service):
        raise TypeError(
            f"make_service must be a class or a function that gives a new service each time, not "
            f"a {type(make_service).__name__} itself"
        )
    if isinstance(only, str):
        raise TypeError(f"only must be a collection, as [{only!r}] is, not a string")
    if voices is not None and (isinstance(voices, str) or len(set(voices)) != _TWO):
        raise ValueError(f"voices must be two values of the setting, not {voices!r}")
    if unknown := set(only) - set(CHECKS):
        raise ValueError(f"There are the checks {', '.join(CHECKS)}, and no {min(unknown)!r}")


def _voice_changes(first: Any, second: Any) -> Script:
    return (
        Turn(("One is here.", "Two is there."), voice=second),
        Pause(),
        Turn(("One is here.",), voice=first),
        Pause(),
        Turn(("One is here.", "Two is there.")),
    )


def _maker(make_service: MakeService, arguments: dict[str, Any]) -> Callable[..., TTSService]:
    """Return a function that makes the service without a cache, or with a store."""
    cached: Callable[..., Any] = make_service
    if inspect.isclass(make_service) and not issubclass(make_service, TTSCacheMixin):
        cached = type(f"Cached{make_service.__name__}", (TTSCacheMixin, make_service), {})

    def make(shelf: Shelf | None = None) -> TTSService:
        if shelf is None:
            service = make_service(**arguments)
        else:
            service = cached(**arguments, cache_backend=shelf)
        needed = TTSService if shelf is None else TTSCacheMixin
        if not isinstance(service, needed):
            raise TypeError(
                f"make_service must give a {needed.__name__}, not a {type(service).__name__}; it "
                f"may be the class of the service itself, which is then cached by itself"
            )
        return service

    return make
