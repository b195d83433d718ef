#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a folder of exported recordings holds by now, and what of it people have edited."""

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from pipecat_tts_cache.backends.entry import CacheKey
from pipecat_tts_cache.errors import CorruptRecordError, NewerRecordError
from pipecat_tts_cache.exports.index import Line, Row, find_index, read_index, read_row
from pipecat_tts_cache.exports.names import tag_in, tag_of
from pipecat_tts_cache.sound.file import from_sound_file
from pipecat_tts_cache.sound.plain import load_audio
from pipecat_tts_cache.utterance import Utterance, Word

_MAX_SIZE = 1 << 28
"""Bytes of a sound file; ten minutes from a studio, in stereo, take less."""
_MAX_FILES = 1_000_000
_ABOUT_THE_SAME = 0.1
"""Seconds by which a recording may be longer or shorter and keep the times of its words."""
_SOUNDS = {
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".aac", ".aif", ".aiff"),
    *(".webm", ".mka", ".mkv", ".mov", ".wma"),
}
_TEXT_EDITED = (
    "its text was edited, but it is kept under what the bot says, which is the old text: let the "
    "service speak the new one, and edit the recording of that"
)


class Found(NamedTuple):
    """What was found of a line of the index.

    Parameters:
        file: Its file, from the folder.
        key: Where it is kept in a store, if that can be told.
        utterance: The recording; None if there is none to take.
        edits: What was edited, in words.
        problem: Why there is none to take; empty if its file is just gone.
    """

    file: str
    key: CacheKey | None = None
    utterance: Utterance | None = None
    edits: str = ""
    problem: str = ""


class Recordings:
    """A folder of recordings. All of it blocks."""

    def __init__(self, root: Path) -> None:
        """Look at the folder.

        Args:
            root: The folder.

        Raises:
            OSError: If it or its index is not there, or cannot be read.
            ValueError: If its index is none, or it holds absurdly many files.
        """
        kind = find_index(root)
        if kind is None:
            raise FileNotFoundError(f"{str(root)!r} holds neither index.csv nor index.jsonl")
        self.rows = list(read_index(root, kind))
        self._files: dict[str, Path] = {}
        self._by_tag: dict[str, list[str]] = {}
        self._about: set[str] = set()
        self._keys: set[CacheKey] = set()
        for path in _walk(root):
            name = path.relative_to(root).as_posix()
            self._files[name] = path
            if tag := tag_in(path.stem):
                self._by_tag.setdefault(tag, []).append(name)
            if len(self._files) > _MAX_FILES:
                raise ValueError(f"{str(root)!r} holds more than a million files")

    def find(self, rows: Sequence[Row | ValueError]) -> list[Found]:
        """Read recordings.

        Args:
            rows: Lines of the index.

        Returns:
            What was found of each.
        """
        return [self._find(row) for row in rows]

    def strays(self) -> list[str]:
        """Tell which sound files none of the lines that were read is about.

        Returns:
            Their names, from the folder.
        """
        return sorted(
            name
            for name, path in self._files.items()
            if name not in self._about and path.suffix.lower() in _SOUNDS
        )

    def _find(self, row: Row | ValueError) -> Found:
        if isinstance(row, ValueError):
            return Found("", problem=str(row))
        name = row.get("file")
        file = name if isinstance(name, str) else ""
        self._about.add(file)  # whatever else is wrong with the line
        try:
            line = read_row(row)
            self._check_key(line.key)
            file = self._locate(line)
            if not file:
                return Found(line.file, line.key)
            utterance, edits = _read(self._files[file], line)
        except (ValueError, OSError, NewerRecordError) as error:
            return Found(file, problem=_in_words(error))
        return Found(file, line.key, utterance, edits)

    def _check_key(self, key: CacheKey) -> None:
        if key in self._keys:
            raise ValueError("another line of the index is about the same recording")
        self._keys.add(key)

    def _locate(self, line: Line) -> str:
        """Find the file of a line: by its name, or by the digits in it, whatever else it is now."""
        named = _checked_name(line.file)
        twins = self._by_tag.get(tag_of(line.key), [])
        whole = [name for name in twins if Path(name).stem.endswith(line.key.seal)]
        same = whole or [name for name in twins if not _is_of_other(name, line.key)]
        if named in self._files:
            self._about |= {named, *same}
            if named not in twins or len(same) == 1:
                return named
        self._about |= set(same)
        if len(same) > 1:
            raise ValueError(f"there are several files of it: {', '.join(map(repr, sorted(same)))}")
        return same[0] if same else ""


def _is_of_other(name: str, key: CacheKey) -> bool:
    """Whether a name holds all digits of another key that begins like this one."""
    digits = Path(name).stem.rpartition("--")[2]
    return len(digits) == len(key.seal) and digits != key.seal


def _walk(root: Path) -> "list[Path]":
    """List the files of a folder, but links, which may lead out of it, and what is hidden."""
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(folder, name) for name in files if not name.startswith("."))
        found += [path for path in paths if path.is_file() and not path.is_symlink()]
        if len(found) > _MAX_FILES:
            break
    return found


def _checked_name(name: str) -> str:
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise ValueError("the path of its file leads out of the folder")
    return posix.as_posix()


def _read(path: Path, line: Line) -> tuple[Utterance, str]:
    """Read a recording, and tell what was edited."""
    if path.stat().st_size > _MAX_SIZE:
        raise ValueError("its file is larger than 256 MiB")
    if line.text_edited:
        raise ValueError(_TEXT_EDITED)
    words: tuple[Word, ...] = line.fields["words"]
    if line.words_edited and any(now.start < before.start for before, now in pairwise(words)):
        raise ValueError("its words were edited, and their times do not rise")
    original = _untouched(path, line.key)
    if original is None:
        utterance, edits = _read_edited(path, line)
    else:
        text = original.text if line.fields["text"] is not None else None
        fields = {"text": text, **{name: line.fields[name] for name in _OURS}}
        utterance = replace(original, **fields)
        edits = _differences(original, utterance)
    if line.words_edited and any(word.start > utterance.duration for word in utterance.words):
        raise ValueError("its words were edited, and one begins after the end of the recording")
    if not utterance.is_sound():
        raise ValueError("its line in the index holds impossible values")
    return utterance, edits


_OURS = ("words", "voice", "model", "service", "pinned", "created_at", "expires_at")


def _untouched(path: Path, key: CacheKey) -> Utterance | None:
    """Read a file as it was exported for a key; None if it is not that any more."""
    try:
        namespace, utterance = from_sound_file(path.read_bytes())
    except CorruptRecordError:
        return None
    return utterance if (namespace, utterance.seal) == (key.namespace, key.seal) else None


def _read_edited(path: Path, line: Line) -> tuple[Utterance, str]:
    fields = line.fields
    audio = load_audio(path, fields["sample_rate"], fields["num_channels"])
    utterance = Utterance(audio=audio, seal=line.key.seal, **fields)
    words, what = _fit(line, utterance.duration)
    return replace(utterance, words=words), f"its sound was edited{what}"


def _fit(line: Line, duration: float) -> tuple[tuple[Word, ...], str]:
    """Fit the words of a line to a recording of another length."""
    words: tuple[Word, ...] = line.fields["words"]
    if line.words_edited:
        return words, ", and its words"
    scale = 1.0
    if abs(duration - line.duration) > _ABOUT_THE_SAME:
        if line.duration <= 0:
            raise ValueError("'duration' is not above 0")
        scale = duration / line.duration
    fitted = tuple(word._replace(start=min(word.start * scale, duration)) for word in words)
    what = f": {duration:.2f} s instead of {line.duration:.2f} s"
    return (fitted, f"{what}, with the words' times to match") if scale != 1 else (words, what)


def _differences(before: Utterance, now: Utterance) -> str:
    names = [name for name in _OURS[:-1] if getattr(before, name) != getattr(now, name)]
    return f"edited: {', '.join(names)}" if names else ""


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"its file cannot be read: {error.strerror or type(error).__name__}"
    if isinstance(error, NewerRecordError):
        return f"its file was written by a newer version of this library: {error}"
    return str(error)
