#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The house is in order: headers, sizes, what may not be in a file, what the package says it is."""

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
HEADER = """\
#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#
"""
FOLDERS = ("src", "tests", "examples", "benchmarks", "docs", ".ci", ".github")
MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 60
# Put together here, so that this file does not find itself.
FORBIDDEN = {
    "a path of somebody's machine": re.compile("/(?:work|tmp/env|home/" + r"\w+|root|Users/\w+)/"),
    "a note to finish something": re.compile(r"\b(?:TO" + "DO|FIX" + r"ME|XX" + r"X)\b"),
    "a merge that was not finished": re.compile("^(?:<{7}|>{7}) ", re.MULTILINE),
    "a key that works": re.compile(r"\b(?:sk|pk)[-_](?:live|proj|test)[-_]\w{16,}"),
}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def texts(*suffixes: str) -> Iterator[tuple[str, str]]:
    """Read the files of the repository that have one of the suffixes."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    for path in sorted([*paths, *ROOT.glob("*")]):
        if path.is_file() and path.suffix in suffixes:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Find the functions of a module, and how many lines each has below its docstring."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body:
                yield node.name, (node.end_lineno or 0) - body[0].lineno + 1


def test_every_file_has_the_header() -> None:
    """Every Python file begins with the copyright and the license."""
    assert [] == [name for name, text in texts(".py") if not text.startswith(HEADER)]


def test_every_module_says_what_it_is_for() -> None:
    """Every Python file has a docstring."""
    assert [] == [name for name, text in texts(".py") if not ast.get_docstring(ast.parse(text))]


def test_no_module_is_too_long() -> None:
    """No module of the library has more than 450 lines."""
    sizes = {name: text.count("\n") for name, text in texts(".py") if name.startswith("src")}
    assert {} == {name: size for name, size in sizes.items() if size > MAX_FILE_LINES}


def test_no_function_is_too_long() -> None:
    """No function of the library has more than 60 lines, its docstring not counted."""
    assert [] == [
        (name, function, lines)
        for name, text in texts(".py")
        if name.startswith("src")
        for function, lines in functions(text)
        if lines > MAX_FUNCTION_LINES
    ]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_that_does_not_belong(what: str) -> None:
    """No file holds what is of use to nobody else."""
    found = []
    for name, text in texts(".py", ".md", ".toml", ".yml", ""):
        found += [(name, match.group()) for match in FORBIDDEN[what].finditer(text)]
    assert [] == found


def test_the_package_is_typed() -> None:
    """Type checkers are told that the package has types."""
    assert (resources.files("pipecat_tts_cache") / "py.typed").is_file()


def test_the_package_needs_little() -> None:
    """Pipecat and msgpack are all that is required; everything else is an extra."""
    names = [re.split(r"[^\w-]", each)[0] for each in PROJECT["project"]["dependencies"]]
    assert ["pipecat-ai", "msgpack"] == names


def test_the_extra_for_all_holds_every_extra() -> None:
    """The extra `all` brings what the others bring."""
    extras = PROJECT["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert extras.keys() - {"all"} == set(re.split(r"[\[\],]", everything)[1:-1])


def test_every_supported_python_is_classified() -> None:
    """The classifiers name the versions of Python that are asked for."""
    low, high = map(int, re.findall(r"3\.(\d+)", PROJECT["project"]["requires-python"]))
    expected = [f"Programming Language :: Python :: 3.{minor}" for minor in range(low, high)]
    classified = [each for each in PROJECT["project"]["classifiers"] if ":: 3." in each]
    assert expected == classified


def test_the_installed_version_is_this_one() -> None:
    """What is installed is what pyproject.toml describes."""
    assert PROJECT["project"]["version"] == metadata.version("pipecat-tts-cache")
