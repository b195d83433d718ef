#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What the demo shows: a line a sentence as it is heard, the figures, the checks.

In a terminal the sentence that is being spoken fills up word by word, by its word times. Piped, it
is plain text, one line a fact.
"""

import os
from collections.abc import Iterable

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo.espeak_tts import SAMPLE_RATE
from demo.figures import Check, Figure, milliseconds
from demo.metered import Take

Row = Table | Text

_BAR_WIDTH = 10
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class _Output(Console):
    """Standard output."""

    def on_broken_pipe(self) -> None:
        """Nobody reads on (`| head`): leave at once, as other commands do."""
        os._exit(1)


class Show:
    """Writes to standard output."""

    def __init__(self) -> None:
        """Find out whether this is a terminal."""
        self._console = _Output(highlight=False)
        self._pretty = self._console.is_terminal
        self._console.soft_wrap = not self._pretty
        self._live: Live | None = None
        self._words_heard = 0

    def title(self, facts: dict[str, str]) -> None:
        """Say what this is."""
        self._console.print(Text("pipecat-tts-cache demo", style="bold"))
        for label, value in facts.items():
            self._console.print(Text.assemble((f"  {label:<18}", "dim"), value))

    def heading(self, text: str) -> None:
        """Open a section."""
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def call(self, text: str, remark: str) -> None:
        """Open a call."""
        self.heading(text)
        self._console.print(Text(f"  {remark}", style="dim"))
        self._console.print(self._row("source", "first audio", "length", Text()))

    def notice(self, text: str) -> None:
        """Say something that is worth knowing, and no failure."""
        self._console.print(Text(text, style="yellow"))

    def caller_speaks(self, text: str) -> None:
        """The caller says something."""
        self._console.print(self._row("caller", "", "", Text(text, style="cyan"), style="cyan"))

    def word_heard(self, take: Take) -> None:
        """A further word of this sentence was heard."""
        self._words_heard += 1
        if not self._pretty:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(self._sentence(take, self._words_heard), refresh=True)

    def sentence_heard(self, take: Take) -> None:
        """A sentence was heard to its end, or was cut off."""
        if self._live:
            self._live.stop()
            self._live = None
        if take.cut:
            self._console.print(self._sentence(take, self._words_heard, unheard="dim strike"))
        else:
            self._console.print(self._sentence(take, len(take.text.split())))
        self._words_heard = 0

    def sentences_dropped(self, count: int) -> None:
        """Sentences were asked for that nobody heard any more."""
        if count:
            plural = "s were" if count > 1 else " was"
            text = f"({count} more sentence{plural} on the way, and dropped)"
            self._console.print(self._row("", "", "", Text(text, style="dim")))

    def figures(self, headings: Iterable[str], rows: Iterable[Figure]) -> None:
        """Draw the end figures."""
        table = Table.grid(padding=(0, 2))
        table.add_column()
        for _ in headings:
            table.add_column(justify="right")
            if self._pretty:
                table.add_column(width=_BAR_WIDTH)
        heads = [(Text(heading, style="bold"), Text()) for heading in headings]
        self._add_row(table, "", heads)
        for row in rows:
            bars = [_bar(share) for share in row.shares] or [Text()] * len(row.values)
            self._add_row(table, row.label, list(zip(row.values, bars, strict=True)))
        self._console.print(table)

    def checks(self, results: Iterable[Check]) -> None:
        """Say what was checked, and what failed."""
        for check in results:
            mark = ("FAILED  ", "bold red") if check.failures else ("ok      ", "green")
            self._console.print(Text.assemble("  ", mark, check.claim))
            for failure in check.failures:
                self._console.print(Text(f"          {failure}", style="red"))

    def facts(self, facts: dict[str, str]) -> None:
        """Say some last things."""
        for label, value in facts.items():
            self._console.print(Text.assemble((f"  {label:<10}", "dim"), value))

    def _add_row(self, table: Table, label: str, cells: Iterable[tuple[str | Text, Text]]) -> None:
        flat = [cell for pair in cells for cell in (pair if self._pretty else pair[:1])]
        table.add_row(f"  {label}", *flat)

    def _sentence(self, take: Take, words_heard: int, *, unheard: str = "dim") -> Row:
        source, style = ("live", "yellow") if take.live else ("cached", "bold green")
        words = take.text.split()
        text = Text(" ".join(words[:words_heard]))
        if rest := " ".join(words[words_heard:]):
            text.append(" ").append(rest if self._pretty else "...", style=unheard)
        if take.cut:
            text.append("  interrupted", style="yellow")
        length = f"{len(take.audio) / (2 * SAMPLE_RATE):.1f} s"
        return self._row(source, milliseconds(take.wait), length, text, style=style)

    def _row(self, source: str, wait: str, length: str, text: Text, *, style: str = "dim") -> Row:
        """Put a line together; in a terminal, long text is folded within its column."""
        if not self._pretty:
            return Text(f"  {source:<6}  {wait:>11}  {length:>6}  {text}".rstrip())
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(width=8, style=style)
        row.add_column(width=11, justify="right", style=style)
        row.add_column(width=6, justify="right", style="dim")
        row.add_column()
        row.add_row(f"  {source}", wait, length, text)
        return row


def _bar(share: float) -> Text:
    eighths = round(share * _BAR_WIDTH * 8)
    full, part = divmod(max(eighths, 1), 8)
    return Text("█" * full + (_EIGHTHS[part] if part else ""), style="green")
