#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""Where an utterance is kept, and what a store tells of it without its audio."""

from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Self

from pipecat_tts_cache.errors import CorruptRecordError
from pipecat_tts_cache.utterance import Utterance, read_header


class CacheKey(NamedTuple):
    """Where an utterance is kept.

    Parameters:
        namespace: Whose it is. Any string: a store must keep namespaces apart whatever
            characters they hold.
        digest: What it is: 64 hexadecimal digits that stand for everything that shapes the audio.
    """

    namespace: str
    digest: str

    @property
    def seal(self) -> str:
        """What a record says of the key it was made for: a digest of both its parts."""
        owner = self.namespace.encode(errors="surrogatepass")
        return sha256(owner + b"\0" + self.digest.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An utterance in a store, without its audio.

    Parameters:
        key: Where it is kept.
        size: Bytes that it takes there.
        duration: Length of the audio in seconds.
        sample_rate: In Hz.
        num_channels: Number of channels.
        codec: How the audio is kept: "raw", "flac" or "opus".
        created_at: When it was recorded, in seconds since the Unix epoch.
        expires_at: When it will be forgotten, likewise; None for never.
        last_used_at: When it was last looked up, or else stored; None where the store does not
            take note.
        uses: How often it was looked up; None where the store does not count.
        text: The text that was spoken, or None where it was not kept.
        text_digest: What tells that it is some text, without holding it: `key.digest_text`.
        service: The name of the TTS service class.
        voice: The voice, where the service has one.
        model: The model, where the service has one.
        pinned: Whether it is never evicted, nor replaced by what is not pinned.
    """

    key: CacheKey
    size: int
    duration: float
    sample_rate: int
    num_channels: int
    codec: str
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    uses: int | None
    text: str | None
    text_digest: str
    service: str
    voice: str | None
    model: str | None
    pinned: bool = False

    @classmethod
    def of(
        cls,
        key: CacheKey,
        utterance: Utterance,
        *,
        size: int,
        codec: str = "raw",
        expires_at: float | None = None,
        last_used_at: float | None = None,
        uses: int | None = None,
    ) -> Self:
        """Describe an utterance.

        Args:
            key: Where it is kept.
            utterance: The utterance.
            size: Bytes that it takes in the store.
            codec: How its audio is kept.
            expires_at: When the store will forget it.
            last_used_at: When it was last looked up, or else stored.
            uses: How often it was looked up.

        Returns:
            The description.
        """
        return cls(
            key=key,
            size=size,
            duration=utterance.duration,
            sample_rate=utterance.sample_rate,
            num_channels=utterance.num_channels,
            codec=codec,
            created_at=utterance.created_at,
            expires_at=expires_at,
            last_used_at=last_used_at,
            uses=uses,
            text=utterance.text,
            text_digest=utterance.text_digest,
            service=utterance.service,
            voice=utterance.voice,
            model=utterance.model,
            pinned=utterance.pinned,
        )

    @classmethod
    def from_head(
        cls,
        key: CacheKey,
        head: bytes,
        *,
        expires_at: float | None = None,
        last_used_at: float | None = None,
        uses: int | None = None,
    ) -> Self:
        """Describe an utterance by the beginning of its record.

        Args:
            key: Where it is kept.
            head: The beginning of its record, at least `utterance.head_size` bytes.
            expires_at: When the store will forget it.
            last_used_at: When it was last looked up, or else stored.
            uses: How often it was looked up.

        Returns:
            The description.

        Raises:
            CorruptRecordError: If that is no record.
            NewerRecordError: If it was written in a format this version does not know.
        """
        header = read_header(head)
        try:
            return cls(
                key=key,
                size=header["size"],
                duration=header["num_frames"] / header["sample_rate"],
                sample_rate=header["sample_rate"],
                num_channels=header["num_channels"],
                codec=header["codec"].value,
                created_at=float(header["created_at"]),
                expires_at=expires_at,
                last_used_at=last_used_at,
                uses=uses,
                text=header["text"],
                text_digest=header["text_digest"],
                service=header["service"],
                voice=header["voice"],
                model=header["model"],
                pinned=header.get("pinned", False),
            )
        except (TypeError, ValueError, ZeroDivisionError, OverflowError):
            raise CorruptRecordError("the header's values make no sense") from None
