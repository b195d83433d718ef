#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""What a benchmark says about where it ran, and how it writes its figures down."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

_NAME_WIDTH = 40
_CELL_WIDTH = 9


def print_where(*more: str, packages: Sequence[str] = ("pipecat-ai",)) -> None:
    """Print the machine, the versions and the date.

    Args:
        more: Further versions.
        packages: Names of installed packages whose versions matter.
    """
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    versions = [f"Python {platform.python_version()}", *map(_version, packages), *more]
    print(f"machine   {_cpu()}, {os.cpu_count()} cores, {load} · {platform.platform(terse=True)}")
    print(f"versions  {' · '.join(versions)}")
    print(f"date      {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")


def percentile_95(values: Sequence[float]) -> float:
    """Return the value that 95 of 100 do not exceed; 0.0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))] if ordered else 0.0


def median_and_p95(values: Sequence[float], *, scale: float = 1.0) -> list[str]:
    """Write the median and the 95th percentile, for two cells of a table."""
    if not values:
        return ["-", "-"]
    return [f"{scale * median(values):.3f}", f"{scale * percentile_95(values):.3f}"]


def print_row(name: str, cells: Sequence[str]) -> None:
    """Print a row of a table."""
    print(f"{name:<{_NAME_WIDTH}}" + "".join(f"{cell:>{_CELL_WIDTH}}" for cell in cells))


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def _cpu() -> str:
    """Name the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
