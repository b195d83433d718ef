#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The folder that recordings are exported to."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

from pipecat_tts_cache.backends.entry import CacheKey, Entry
from pipecat_tts_cache.codec import Codec
from pipecat_tts_cache.errors import RecordError
from pipecat_tts_cache.exports.index import (
    IndexKind,
    Row,
    check_row,
    find_index,
    make_row,
    read_index,
    write_index,
)
from pipecat_tts_cache.exports.names import file_stem, folder_name
from pipecat_tts_cache.sound.file import (
    HEAD_SIZE,
    SoundHead,
    read_sound_head,
    sound_head_size,
    to_sound_file,
)
from pipecat_tts_cache.sound.saving import write_file
from pipecat_tts_cache.utterance import Utterance

Format = Literal["flac", "wav"]


class ExportFolder:
    """A folder of sound files, and its index. All of it blocks."""

    def __init__(self, root: Path, kind: IndexKind, form: Format) -> None:
        """Open the folder, or make it.

        Args:
            root: The folder.
            kind: Which index to write if there is none.
            form: How to write sound files.

        Raises:
            OSError: If it cannot be made, or its index cannot be read.
            ValueError: If its index is damaged.
        """
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._format = form
        found = find_index(root)
        self._kind: IndexKind = found or kind
        self._rows: dict[CacheKey | int, Row] = {}
        self._changed = found is None
        self._listings: dict[Path, dict[str, set[Path]]] = {}
        for number, row in enumerate(read_index(root, found) if found else ()):
            if isinstance(row, ValueError):
                raise row
            self._rows[_key_of(row) or number] = row

    def hold(self, entries: Sequence[Entry]) -> list[bool]:
        """Tell which recordings are there. One that is there without a line in the index gets one.

        Args:
            entries: What the store says of them.

        Returns:
            For each whether it is there.
        """
        return [self._holds(entry) for entry in entries]

    def write(self, entry: Entry, utterance: Utterance) -> tuple[str, str]:
        """Write a recording.

        Args:
            entry: What the store says of it.
            utterance: The recording.

        Returns:
            Its file, from the folder, and what went wrong, if something did.
        """
        stem = self._stem(entry)
        if utterance.seal not in ("", entry.key.seal):
            return self._name(stem), "the store holds it under another key than it was made for"
        utterance = replace(utterance, seal=entry.key.seal)
        try:
            codec: Codec = "raw" if self._format == "wav" else "flac"
            sound = to_sound_file(utterance, namespace=entry.key.namespace, codec=codec)
            path = stem.with_name(stem.name + sound.suffix)
            file = self._name(path)
            row = make_row(entry, utterance, duration=utterance.duration, file=file)
            check_row(row, self._kind)
            self._make_folder(path.parent)
            others = [each for each in self._files(stem) if each != path]
            write_file(path, sound.content)
            self._list(path.parent).setdefault(stem.name, set()).add(path)
            for each in others:
                each.unlink()
                self._list(path.parent)[stem.name].discard(each)
        except RecordError as error:
            return self._name(stem), f"no sound file can hold it: {error}"
        except (OSError, ValueError) as error:
            return self._name(stem), _without_path(error)
        self._put(entry.key, row)
        return file, ""

    def save(self) -> None:
        """Write the index, if something changed.

        Raises:
            OSError: If it cannot be written.
        """
        if self._changed:
            write_index(self._root, self._kind, list(self._rows.values()))
            self._changed = False

    def _holds(self, entry: Entry) -> bool:
        row = self._rows.get(entry.key)
        files = self._files(self._stem(entry))
        if row is not None:
            return bool(files) or self._has(row)
        if not files:
            return False
        head = _head(files[0])  # it was written, but not the index any more
        if head is None or head.utterance.seal != entry.key.seal:
            return False
        self._put(
            entry.key,
            make_row(entry, head.utterance, duration=head.duration, file=self._name(files[0])),
        )
        return True

    def _has(self, row: Row) -> bool:
        name = row.get("file")
        parts = PurePosixPath(name).parts if isinstance(name, str) and "\0" not in name else ()
        return bool(parts) and ".." not in parts and self._root.joinpath(*parts).is_file()

    def _stem(self, entry: Entry) -> Path:
        """Return the path of a recording without its suffix: the short one, if it is not taken."""
        folder = (
            self._root
            / folder_name(entry.key.namespace, "namespace")
            / folder_name(entry.voice, "voice")
        )
        short = folder / file_stem(entry.text, entry.key)
        named = self._rows.get(entry.key, {}).get("file")
        if isinstance(named, str) and named.startswith(self._name(short) + "."):
            return short
        heads = map(_head, self._files(short))
        if all(head is not None and head.utterance.seal == entry.key.seal for head in heads):
            return short
        return folder / file_stem(entry.text, entry.key, whole=True)

    def _make_folder(self, folder: Path) -> None:
        for each in (folder.parent, folder):
            if each.is_symlink():
                raise ValueError(
                    f"{self._name(each)!r} is a link, and might lead out of the folder"
                )
        folder.mkdir(parents=True, exist_ok=True)

    def _put(self, key: CacheKey, row: Row) -> None:
        extras = {name: value for name, value in self._rows.get(key, {}).items() if name not in row}
        self._rows[key] = row | extras
        self._changed = True

    def _files(self, stem: Path) -> list[Path]:
        """Find the files of a recording, in any format."""
        return sorted(self._list(stem.parent).get(stem.name, ()))

    def _list(self, folder: Path) -> dict[str, set[Path]]:
        """List a folder by the names without what tells the format: once, as it may be large."""
        if folder not in self._listings:
            listing: dict[str, set[Path]] = {}
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.is_file():
                    listing.setdefault(path.stem, set()).add(path)
            self._listings[folder] = listing
        return self._listings[folder]

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def _key_of(row: Row) -> CacheKey | None:
    namespace, digest = row.get("namespace"), row.get("digest")
    if not isinstance(namespace, str | None) or not isinstance(digest, str):
        return None
    return CacheKey(namespace or "", digest)


def _head(path: Path) -> SoundHead | None:
    """Read what a file says of itself, if it is one of ours."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_SIZE)
            while (needed := sound_head_size(head)) > len(head):
                more = file.read(needed - len(head))
                if not more:
                    return None
                head += more
            return read_sound_head(head)
    except (OSError, RecordError):
        return None


def _without_path(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"it cannot be written: {error.strerror or type(error).__name__}"
    return str(error)
