#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Recordings as files that are made to be kept under version control.

::

    tts-recordings/
      one-moment--3f9a4c11d2e8.flac     what is heard; WAV where FLAC cannot write it
      one-moment--3f9a4c11d2e8.json     the line, its words, its voice, its key

Nothing in them changes from run to run by itself: no time, no order of a dictionary. What is
recorded again and is the same is not written again.
"""

import dataclasses
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pipecat_tts_cache.backends.entry import CacheKey
from pipecat_tts_cache.codec import decode, takes, write_sound
from pipecat_tts_cache.errors import CorruptRecordError
from pipecat_tts_cache.exports.names import file_stem
from pipecat_tts_cache.utterance import Utterance, Word

_MARK = "pipecat_tts_cache"
_VERSION = 1
_MAX_CHANNELS = 33
_PAGE = re.compile(r"--[0-9a-f]{12}\.json$")
"""How the page of a recording is called."""
_SUFFIXES = (".flac", ".wav")
_NOT_KEPT = {"audio", "words", "seal", "created_at", "expires_at"}
"""What the files hold in another way, and what would change from run to run."""
_DEFAULTS = {
    each.name: each.default
    for each in dataclasses.fields(Utterance)
    if each.name not in _NOT_KEPT and each.default is not dataclasses.MISSING
}


@dataclass(frozen=True, slots=True)
class Recording:
    """A line that was recorded.

    Parameters:
        key: Where it is kept.
        head: The utterance, but with a single frame of silence for its audio.
        num_frames: How many samples of each channel it has.
        page: The file of JSON.
        sound: The content of the sound file.
    """

    key: CacheKey
    head: Utterance
    num_frames: int
    page: Path
    sound: bytes

    def utterance(self) -> Utterance:
        """Read it.

        Returns:
            The utterance, made at no time.

        Raises:
            CorruptRecordError: If the sound file is damaged, or is that of another take.
        """
        channels = self.head.num_channels
        try:
            audio = decode(self.sound, num_frames=self.num_frames, num_channels=channels)
        except ValueError as error:
            raise CorruptRecordError(f"its sound file holds {error}") from None
        return replace(self.head, audio=audio)


class Library:
    """A folder of recordings, all of them in memory. Opening and writing block."""

    def __init__(self, root: Path) -> None:
        """Read the folder.

        Args:
            root: The folder. It need not be there.

        Raises:
            OSError: If it is there and cannot be read.
        """
        self.root = root
        self.recordings: dict[CacheKey, Recording] = {}
        self.damaged: dict[str, str] = {}
        """What cannot be used, by the name of its file, with the reason."""
        for page in sorted(root.glob("*.json")) if root.is_dir() else ():
            try:
                self._take(_read(page))
            except CorruptRecordError as error:
                self.damaged[page.name] = str(error)

    def _take(self, recording: Recording | None) -> None:
        if recording is None:
            return
        if other := self.recordings.get(recording.key):
            raise CorruptRecordError(f"{other.page.name} is of the same line")
        self.recordings[recording.key] = recording

    def add(self, key: CacheKey, utterance: Utterance) -> bool:
        """Write a recording, in place of what was there.

        Args:
            key: Where it is kept.
            utterance: The utterance.

        Returns:
            Whether it is another than was there.

        Raises:
            CorruptRecordError: If the files would not give back the same.
            OSError: If they cannot be written.
        """
        utterance = replace(utterance, seal=key.seal, created_at=0.0, expires_at=None)
        before = self.recordings.get(key)
        if before is not None and _holds(before, utterance):
            return False
        page = self.root / f"{file_stem(utterance.text, key)}.json"
        suffix, sound = _write_sound(utterance)
        text = _describe(key, utterance)
        recording = _parse(page, text, sound)
        if recording is None or not _holds(recording, utterance):
            raise CorruptRecordError("its text or its words would come back as others")
        self.root.mkdir(parents=True, exist_ok=True)
        if before is not None:
            _unlink(before.page, but=(page, page.with_suffix(suffix)))
        _replace(page.with_suffix(suffix), sound)
        _replace(page, text.encode())
        self.damaged.pop(page.name, None)
        self.recordings[key] = recording
        return True

    def remove(self, keys: Iterable[CacheKey]) -> None:
        """Remove recordings, and no file that is none.

        Args:
            keys: Where they are kept.

        Raises:
            OSError: If one cannot be removed.
        """
        for key in keys:
            if recording := self.recordings.pop(key, None):
                _unlink(recording.page)


def _holds(recording: Recording, utterance: Utterance) -> bool:
    try:
        return recording.utterance() == utterance
    except CorruptRecordError:
        return False


def _write_sound(utterance: Utterance) -> tuple[str, bytes]:
    rate, channels = utterance.sample_rate, utterance.num_channels
    flac = takes("flac", rate, channels)
    form: dict[str, Any] = {"format": "FLAC" if flac else "WAV", "subtype": "PCM_16"}
    sound = write_sound(utterance.audio, samplerate=rate, channels=channels, **form)
    return _SUFFIXES[0 if flac else 1], sound


def _describe(key: CacheKey, utterance: Utterance) -> str:
    """Write the page: a field a line, what people look for first."""
    fields = {name: getattr(utterance, name) for name in _DEFAULTS}
    words = [[*word] if word.carries_spaces else [*word[:2]] for word in utterance.words]
    told = {
        **{name: value for name, value in fields.items() if value != _DEFAULTS[name]},
        "sample_rate": utterance.sample_rate,
        "num_frames": utterance.num_frames,
        "words": words,
        "namespace": key.namespace,
        "digest": key.digest,
        _MARK: _VERSION,
    }
    lines = ",\n".join(f"  {_json(name)}: {_json(told[name])}" for name in sorted(told))
    return f"{{\n{lines}\n}}\n"


def _json(value: object) -> str:
    """Write JSON that shows every letter; a lone surrogate, which UTF-8 has not, is escaped."""
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)
    return written.encode(errors="backslashreplace").decode()


def _read(page: Path) -> Recording | None:
    """Read a recording; a file that is none is None."""
    try:
        text = page.read_text(encoding="utf-8")
        if _MARK not in text:
            if _PAGE.search(page.name):
                raise CorruptRecordError("it is empty, cut off or not as it was written")
            return None
        sounds = [sound for suffix in _SUFFIXES if (sound := page.with_suffix(suffix)).is_file()]
        if len(sounds) != 1:
            found = "two sound files" if sounds else "no sound file"
            raise CorruptRecordError(f"there is {found} to it")
        return _parse(page, text, sounds[0].read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptRecordError(f"it cannot be read ({type(error).__name__})") from None


def _parse(page: Path, text: str, sound: bytes) -> Recording | None:
    try:
        fields: Any = json.loads(text)
        if not isinstance(fields, dict) or _MARK not in fields:
            return None
        return _recording(cast("dict[str, Any]", fields), page, sound)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorruptRecordError(f"it makes no sense ({type(error).__name__})") from None


def _recording(fields: dict[str, Any], page: Path, sound: bytes) -> Recording:
    if fields[_MARK] != _VERSION:
        raise CorruptRecordError("another version of this library wrote it")
    key = CacheKey(fields["namespace"], fields["digest"])
    known = {name: fields[name] for name in (*_DEFAULTS, "sample_rate") if name in fields}
    words = tuple(Word(*word) for word in fields["words"])
    channels = known.get("num_channels", 1)
    if not all(isinstance(part, str) for part in key) or channels not in range(1, _MAX_CHANNELS):
        raise CorruptRecordError("its values make no sense")
    silence = bytes(2 * channels)
    head = Utterance(audio=silence, words=words, seal=key.seal, **known)
    num_frames = fields["num_frames"]
    if not head.is_sound() or type(num_frames) is not int or num_frames <= 0:
        raise CorruptRecordError("its values make no sense")
    return Recording(key, head, num_frames, page, sound)


def _replace(path: Path, content: bytes) -> None:
    """Write a file, all of it or nothing, whoever else writes it meanwhile."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _unlink(page: Path, *, but: Iterable[Path] = ()) -> None:
    """Remove the files of a recording."""
    for path in (page, *map(page.with_suffix, _SUFFIXES)):
        if path not in but:
            path.unlink(missing_ok=True)
