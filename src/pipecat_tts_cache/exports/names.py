#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Names of files that people read, and that any file system takes.

::

    booking-bot/anna/one-moment--3f9a4c11d2e8.flac

They hold letters of any script, digits and hyphens, all in lower case. The last twelve characters
stand for the key, so that two lines never share a name, and a line has the same in every export.
"""

import re
import unicodedata
from hashlib import sha256

from pipecat_tts_cache.backends.entry import CacheKey

_MAX_CHARACTERS = 60
_MAX_FOLDER = 40
_MAX_BYTES = 120
_TAG = 12
_MARK = 6
_SEPARATOR = "--"
_DEVICE = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]")
"""What Windows takes for a device."""
_TAGGED = re.compile(rf"(?:.*{_SEPARATOR})?([0-9a-f]{{{_TAG}}}|[0-9a-f]{{64}})", re.DOTALL)


def slug(text: str, max_characters: int = _MAX_CHARACTERS) -> str:
    """Make of a text what may stand in a name.

    Args:
        text: Any text.
        max_characters: How long it may be; it has 120 bytes in UTF-8 at most, too.

    Returns:
        Letters, digits and single hyphens between them; nothing if there are none in the text.
    """
    # A compatible character may become eighteen; what does not fit into the name is not looked at.
    folded = unicodedata.normalize("NFKC", text[: 4 * max_characters]).lower()
    kept = "".join(each if unicodedata.category(each)[0] in "LNM" else "-" for each in folded)
    words = re.sub("-+", "-", unicodedata.normalize("NFC", kept)).strip("-")[:max_characters]
    short = words.encode()[:_MAX_BYTES].decode(errors="ignore")
    return short.strip("-")


def folder_name(name: str | None, kind: str) -> str:
    """Make of the name of a namespace or a voice that of a folder.

    Args:
        name: The name, or None.
        kind: What it is the name of.

    Returns:
        The name itself if a file system takes it, else a slug and some digits that stand for it.
    """
    if not name:
        return f"no-{kind}"
    short = slug(name, _MAX_FOLDER)
    if short == name and not _DEVICE.fullmatch(short):
        return short
    digits = sha256(name.encode(errors="surrogatepass")).hexdigest()[:_MARK]
    return f"{short or kind}-{digits}"


def file_stem(text: str | None, key: CacheKey, *, whole: bool = False) -> str:
    """Make a name for the file of a line.

    Args:
        text: What is said in it, if that is known.
        key: Its key.
        whole: Whether to name all digits that stand for the key, where a dozen are taken.

    Returns:
        The name without what tells the format.
    """
    tag = key.seal if whole else tag_of(key)
    short = slug(text or "")
    return f"{short}{_SEPARATOR}{tag}" if short else tag


def tag_of(key: CacheKey) -> str:
    """Return the digits that stand for a key in the name of its file.

    Args:
        key: The key.

    Returns:
        Twelve hexadecimal digits.
    """
    return key.seal[:_TAG]


def tag_in(stem: str) -> str | None:
    """Find the digits that stand for a key in the name of a file.

    Args:
        stem: The name, without what tells the format.

    Returns:
        Twelve hexadecimal digits, or None if there are none.
    """
    found = _TAGGED.fullmatch(stem)
    return found[1][:_TAG] if found else None
