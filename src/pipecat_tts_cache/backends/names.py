#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Names of namespaces that any store and any file system can take."""

import re
from hashlib import sha256
from urllib.parse import quote, unquote

_MAX_NAME = 160
_UPPER_CASE = re.compile(r"%[0-9A-F]{2}|[A-Z.]")


def check_namespace(namespace: object) -> str | None:
    """Check what a user takes for a namespace.

    Args:
        namespace: Any string, or None for all namespaces.

    Returns:
        The namespace, or None.

    Raises:
        TypeError: If it is neither.
    """
    return None if namespace is None else _checked(namespace)


def encode_namespace(namespace: str) -> str:
    """Turn a namespace into a name that holds nothing but letters, digits and ``_.-~%``.

    Args:
        namespace: Any string, lone surrogates included.

    Returns:
        Its encoded name. Two namespaces never share one.

    Raises:
        TypeError: If it is no string.
    """
    return quote(_checked(namespace), safe="", errors="surrogatepass")


def decode_namespace(name: str) -> str:
    """Turn a name back into its namespace.

    Args:
        name: What `encode_namespace` or, if it is no digest, `file_name` returned.

    Returns:
        The namespace.
    """
    return unquote(name, errors="surrogatepass")


def file_name(namespace: str) -> str:
    """Turn a namespace into a name of a file or folder.

    Unlike an encoded name it is never empty, has a bounded length, no full stop and no upper case,
    so that it is safe where "a" and "A" name the same file.

    Args:
        namespace: Any string, lone surrogates included.

    Returns:
        "~" for the empty one, "~" and a digest for a very long one, else the encoded one. Two
        namespaces never share one.
    """
    name = _UPPER_CASE.sub(_escape, encode_namespace(namespace)).replace("~", "%7e")
    if not name:
        return "~"
    if len(name) > _MAX_NAME:
        return "~" + sha256(namespace.encode(errors="surrogatepass")).hexdigest()
    return name


def _checked(namespace: object) -> str:
    if not isinstance(namespace, str):
        raise TypeError(f"namespace must be a string, not {type(namespace).__name__}")
    return namespace


def _escape(match: re.Match[str]) -> str:
    found = match.group()
    return found.lower() if found.startswith("%") else f"%{ord(found):02x}"
