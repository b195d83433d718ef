#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""`__all__` is the public API, and importing it costs nothing that is not asked for."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pipecat_tts_cache
from pipecat_tts_cache import backends, errors, testing

PACKAGES = [pipecat_tts_cache, backends, testing]
ROOT = Path(pipecat_tts_cache.__file__).parent
HEAVY = ["pipecat", "redis", "numpy", "pytest", "hypothesis"]


def run(code: str) -> str:
    """Run code in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


def loaded_by(statement: str) -> list[str]:
    """Tell which of the heavy packages a statement loads."""
    code = f"import sys\n{statement}\nprint(*[n for n in {HEAVY} if n in sys.modules])"
    return run(code).split()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_can_be_imported(package: Any) -> None:
    """Each name in `__all__` is there, once, and in order."""
    assert [] == [name for name in package.__all__ if not hasattr(package, name)]
    assert sorted(set(package.__all__)) == package.__all__


def test_a_prompt_completes_the_public_names() -> None:
    """Lazy names show up like the others."""
    assert pipecat_tts_cache.__all__ == dir(pipecat_tts_cache)


def _own_docstring(value: Any) -> str | None:
    return value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_is_documented(package: Any) -> None:
    """Each public class and function has a docstring of its own."""
    assert [] == [name for name in package.__all__ if not _own_docstring(getattr(package, name))]


def test_nothing_public_is_missing() -> None:
    """What the package imports for its users, all errors among it, is in `__all__`."""
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipecat_tts_cache")
        for alias in node.names
    }
    assert imported == set(pipecat_tts_cache.__all__)
    raised = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert raised <= set(pipecat_tts_cache.__all__)
    assert set(backends.__all__) <= set(pipecat_tts_cache.__all__)


def test_what_signatures_mention_is_public() -> None:
    """Types that a user meets in the methods of a public class are public, too."""
    met = set()
    for name in pipecat_tts_cache.__all__:
        for _, method in inspect.getmembers(getattr(pipecat_tts_cache, name), inspect.isfunction):
            if method.__module__.startswith("pipecat_tts_cache") and method.__name__[0] != "_":
                for annotation in inspect.get_annotations(method, eval_str=True).values():
                    met |= {annotation, *getattr(annotation, "__args__", ())}
    ours = {
        each.__name__
        for each in met
        if inspect.isclass(each) and each.__module__.startswith("pipecat_tts_cache")
    }
    assert set() == ours - set(pipecat_tts_cache.__all__)


def test_errors_have_one_root() -> None:
    """Whoever catches `CacheError` catches everything the library raises on its own account."""
    for name in pipecat_tts_cache.__all__:
        value = getattr(pipecat_tts_cache, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            assert issubclass(value, errors.CacheError)
    tree = inspect.getdoc(errors) or ""
    assert [] == [name for name in vars(errors) if name.endswith("Error") and name not in tree]


def test_other_names_do_not_exist() -> None:
    """Names that are not there are missed in the usual way."""
    for package in (pipecat_tts_cache, backends):
        with pytest.raises(AttributeError, match="NoSuchThing"):
            package.NoSuchThing  # noqa: B018
    with pytest.raises(ImportError, match="NoSuchThing"):
        from pipecat_tts_cache import NoSuchThing  # type: ignore[attr-defined]  # noqa: F401


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("import pipecat_tts_cache", []),
        ("from pipecat_tts_cache import MemoryCacheBackend, Utterance, NotStored", []),
        ("import pipecat_tts_cache.backends", []),
        ("from pipecat_tts_cache import RedisCacheBackend", ["redis"]),
        ("from pipecat_tts_cache.backends import RedisCacheBackend", ["redis"]),
    ],
)
def test_importing_is_light(statement: str, expected: list[str]) -> None:
    """Neither Pipecat nor the client of a store is imported before it is needed."""
    assert expected == loaded_by(statement)


def test_the_mixin_brings_pipecat_and_nothing_of_a_store() -> None:
    """The mixin imports Pipecat, and no client of a store."""
    loaded = loaded_by("from pipecat_tts_cache import TTSCacheMixin")
    assert "pipecat" in loaded
    assert "redis" not in loaded


def test_a_missing_extra_says_how_to_install_it() -> None:
    """A store whose client is not installed can be imported; constructing it says what to do."""
    said = run(
        "import sys; sys.modules['redis'] = None\n"
        "from pipecat_tts_cache import MissingExtraError, RedisCacheBackend\n"
        "try:\n"
        "    RedisCacheBackend()\n"
        "except MissingExtraError as error:\n"
        "    print(isinstance(error, ImportError), error)\n"
    )
    assert said.startswith("True RedisCacheBackend")
    assert said.endswith("pip install 'pipecat-tts-cache[redis]'")


def test_everything_can_be_imported_with_a_star() -> None:
    """`import *` brings the public names, whatever they cost."""
    names = run(
        "from pipecat_tts_cache import *\nprint(*sorted(n for n in dir() if n[0] != '_'))"
    ).splitlines()[-1]
    assert " ".join(pipecat_tts_cache.__all__) == names


def test_below_the_seam_pipecat_is_not_needed() -> None:
    """Stores, keys, records and statistics work without Pipecat."""
    modules = [
        module.name
        for module in pkgutil.walk_packages([str(ROOT)], "pipecat_tts_cache.")
        if module.name.rpartition(".")[2]
        not in (
            "conductor",
            "controls",
            "feed",
            "flight",
            "following",
            "headless",
            "leading",
            "live",
            "loudspeaker",
            "metrics",
            "mixin",
            "needs",
            "outlet",
            "phrasebook",
            "pinning",
            "pipecat_compat",
            "place",
            "prefetching",
            "running",
            "sentences",
            "spans",
            "speech_cache",
            "studio",
            "taped",
            "telling",
            "turn",
            "twin",
            "versions",
            "warming",
            "word_clock",
        )
    ]
    loads = "; ".join(f"import {name}" for name in modules if ".testing" not in name)
    assert "pipecat" not in loaded_by(loads)
    for name in modules:
        importlib.import_module(name)
