#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Commands sent to a Redis server several at a time."""

from collections.abc import Iterable, Sequence
from typing import Any

from pipecat_tts_cache.backends.redis.client import is_cluster

Command = tuple[Any, ...]
"""The name of a command, and its arguments."""


async def run(client: Any, commands: Iterable[Command], *, strict: bool = True) -> list[Any]:
    """Send commands in one go. On a cluster, their order is only kept on each node.

    Args:
        client: The client.
        commands: The commands.
        strict: Whether an error among the answers is raised, rather than returned.

    Returns:
        The answers.

    Raises:
        Exception: The first answer that is an error.
    """
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    # Were the pipeline to raise, it would quote the command in the message.
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    return _first_error_raised(answers) if strict else answers


async def run_in_order(
    client: Any, steps: Sequence[Sequence[Command]], *, message: Command
) -> tuple[list[list[Any]], Exception | None]:
    """Do one step after the other, in one go but on a cluster.

    Args:
        client: The client.
        steps: The commands of each step.
        message: What tells others of it when it is done. A server that does not pass it on does
            the rest all the same.

    Returns:
        The answers of each step, and what the server said if it did not pass the message on.

    Raises:
        Exception: The first answer to a step that is an error.
    """
    if is_cluster(client):
        return [await run(client, step) for step in steps], await _tell(client, message)
    commands = [command for step in steps for command in step]
    *answers, told = await run(client, [*commands, message], strict=False)
    each = iter(_first_error_raised(answers))
    return [[next(each) for _ in step] for step in steps], _error(told)


async def run_at_once(
    client: Any, commands: Sequence[Command], *, message: Command, undo: Command
) -> tuple[list[Any], Exception | None]:
    """Do all or nothing, in one go. A cluster cannot, and a full server does not even remove.

    Args:
        client: The client, of a single server.
        commands: The commands.
        message: What tells others of it when it is done. A server that does not pass it on does
            the rest all the same.
        undo: What to do if only a part can be done, as another's key is in the way, unless the
            last command answers None.

    Returns:
        The answers, and what the server said if it did not pass the message on.

    Raises:
        Exception: The first answer to a command that is an error.
    """
    together: list[Command] = [("MULTI",), *commands, ("EXEC",), message]
    # Names as bytes, or redis-py would try to make sense of "QUEUED" as the answer.
    as_bytes = [(name.encode(), *arguments) for name, *arguments in together]
    *queued, done, told = await run(client, as_bytes, strict=False)
    _first_error_raised([*queued, done])
    if any(_error(answer) for answer in done) and done[-1] is not None:
        await run(client, [undo], strict=False)
    return _first_error_raised(done), _error(told)


def _error(answer: object) -> Exception | None:
    return answer if isinstance(answer, Exception) else None


async def _tell(client: Any, message: Command) -> Exception | None:
    from redis.exceptions import ResponseError  # noqa: PLC0415

    try:
        await client.execute_command(*message)
    except ResponseError as error:
        return error
    return None


def _first_error_raised(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers
