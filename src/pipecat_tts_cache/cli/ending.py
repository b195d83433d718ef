#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""How commands end: with one line that says what went wrong, and an exit code."""

import asyncio
import errno
import os
import re
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import unquote, urlsplit

import typer

from pipecat_tts_cache.backends.base import CacheBackend
from pipecat_tts_cache.backends.disk.folder import DiskFolder
from pipecat_tts_cache.cli.words import plain
from pipecat_tts_cache.errors import CacheError
from pipecat_tts_cache.key import is_secret_name

_T = TypeVar("_T")
_CLOSE_SECONDS = 2.0
_CANCELLATIONS = 20
_LIMITS = {"timeout": "10s", "write_timeout": "60s"}


class ExitCode(IntEnum):
    """What a command says to whom called it."""

    FAILED = 1
    USAGE = 2
    NOTHING_FOUND = 3
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class Stop(Exception):  # noqa: N818 - it need not be an error
    """Ends a command.

    Parameters:
        message: One line for people.
        code: What to exit with.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@contextmanager
def ending(*urls: str) -> Generator[None]:
    """Turn whatever a command raises into a line on stderr and an exit code.

    Args:
        urls: The stores that it works on: what is secret in these is shown to nobody.
    """
    _let_any_text_out()
    try:
        with _no_logs():
            yield
            sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):  # the latter at a prompt
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except Stop as stop:
        _say(stop.message, urls)
        raise typer.Exit(stop.code) from None
    except CacheError as error:
        _say(str(error), urls)
        raise typer.Exit(ExitCode.FAILED) from None
    except OSError as error:
        _end_for(error, urls)
    except (typer.Exit, typer.BadParameter):
        raise
    except Exception as error:  # its words may hold what is nobody's business
        _say(f"this failed: {type(error).__name__}", urls)
        raise typer.Exit(ExitCode.FAILED) from None


def open_store(url: str, *, make: bool = False) -> CacheBackend:
    """Open a store.

    Args:
        url: Where it is.
        make: Whether it may be made, where it is a folder that is not there.

    Returns:
        The store.

    Raises:
        Stop: If that is no URL of a store, or the folder is not there.
        MissingExtraError: If what it needs is not installed.
    """
    from pipecat_tts_cache.backends.urls import open_backend  # noqa: PLC0415 - not at load

    if not make and re.match("file:", url.strip(), re.IGNORECASE):
        folder = unquote(urlsplit(url.strip()).path)
        if not Path(folder).is_dir():
            raise Stop(f"there is no folder {folder}")
    try:
        backend = open_backend(_with_patience(url.strip()))
    except (TypeError, ValueError) as error:
        raise Stop(str(error), ExitCode.USAGE) from None
    if not make and (missing := _missing_folder(backend)):
        raise Stop(f"there is no store in {missing}")
    return backend


def _with_patience(url: str) -> str:
    """Give a store more time than a call would, unless the URL says how much."""
    address, _, query = url.partition("?")
    if address.partition(":")[0].lower() in ("memory", "tiered"):
        return url
    options = [each for each in query.split("&") if each]
    given = {each.partition("=")[0] for each in options}
    options += [f"{name}={limit}" for name, limit in _LIMITS.items() if name not in given]
    return f"{address}?{'&'.join(options)}"


def _missing_folder(backend: CacheBackend) -> str | None:
    """Tell where a store on disk would be made if it were used."""
    levels: list[Any] = getattr(backend, "_levels", [])
    if levels:
        return _missing_folder(levels[-1].backend)
    folder: Any = getattr(backend, "_folder", None)
    if isinstance(folder, DiskFolder) and folder.database() is None:
        return str(folder.path)
    return None


def with_store(url: str, work: Callable[[CacheBackend], Awaitable[_T]]) -> _T:
    """Work on a store, and close it.

    Args:
        url: Where it is.
        work: What to do.

    Returns:
        What came of it.
    """
    backend = open_store(url)
    return run(lambda: work(backend), backend)


def run(work: Callable[[], Awaitable[_T]], *stores: CacheBackend) -> _T:
    """Work on stores, and close them: soon, if it went wrong or was interrupted.

    Args:
        work: What to do.
        *stores: The stores.

    Returns:
        What came of it.
    """

    async def run_and_close() -> _T:
        task = asyncio.ensure_future(work())
        limit: float | None = _CLOSE_SECONDS
        try:
            await asyncio.wait({task})
            limit = None if task.exception() is None else limit
        except asyncio.CancelledError:
            await _end(task)
            raise
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await asyncio.gather(*(each.close() for each in stores))
        return task.result()

    return asyncio.run(run_and_close())


async def _end(task: "asyncio.Future[Any]") -> None:
    """Cancel a task until it heeds that: the client of a server may let one go unheeded."""
    for _ in range(_CANCELLATIONS):
        task.cancel()
        await asyncio.wait({task}, timeout=_CLOSE_SECONDS / _CANCELLATIONS)
        if task.done():
            _ = task.cancelled() or task.exception()  # which is of no interest any more
            break


def conceal(message: str, *urls: str) -> str:
    """Take out of a message what stands for user and password in a URL.

    Args:
        message: The message.
        urls: The URLs.

    Returns:
        The message without them.
    """
    secrets = {each for url in urls for each in _secrets(url)}
    for secret in sorted(secrets, key=len, reverse=True):
        message = message.replace(secret, "***")
    return message


def _secrets(url: str) -> Iterator[str]:
    """Find what is secret in a URL, also in one that is made of several."""
    for part in url.split("//")[1:]:
        owner, at, _ = part.rpartition("@")
        if at:
            password = owner.partition(":")[2]
            yield from (each for each in (owner, password, unquote(password)) if each)
    for part in re.split("[?&,;]", url):
        name, _, value = part.partition("=")
        if value and is_secret_name(name):
            yield from (value, unquote(value))


def _say(message: str, urls: Iterable[str]) -> None:
    with suppress(OSError):  # nobody listens
        sys.stderr.write(f"pipecat-tts-cache: {plain(conceal(message, *urls))}\n")
        sys.stderr.flush()


def _end_for(error: OSError, urls: Iterable[str]) -> NoReturn:
    """End for what the system did not do."""
    if error.errno in (errno.EPIPE, errno.ESHUTDOWN):
        with suppress(OSError, ValueError):  # else Python complains when it flushes in the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.BROKEN_PIPE) from None
    where = f"{error.filename}: " if isinstance(error.filename, str) else ""
    _say(f"{where}{error.strerror or type(error).__name__}", urls)
    raise typer.Exit(ExitCode.FAILED) from None


def _let_any_text_out() -> None:
    """Write what the encoding of stdout does not have as an escape, in place of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _no_logs() -> Generator[None]:
    """Keep stores from logging: what they raise is told."""
    from loguru import logger  # noqa: PLC0415 - not at load

    logger.disable("pipecat_tts_cache")
    try:
        yield
    finally:
        logger.enable("pipecat_tts_cache")
