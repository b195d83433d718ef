#
# Copyright (c) 2026, the pipecat-tts-cache authors
#
# SPDX-License-Identifier: BSD 2-Clause License
#

"""The documentation holds: its snippets run, its links lead somewhere, its tables are complete."""

import ast
import asyncio
import importlib
import importlib.util
import inspect
import pkgutil
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncpg
import pytest
from blockbuster import BlockBuster
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.tts_service import WebsocketTTSService
from redis.asyncio import Redis

import pipecat_tts_cache
from pipecat_tts_cache import (
    Bypass,
    CacheBackend,
    CacheError,
    MemoryCacheBackend,
    NotStored,
    RedisCacheBackend,
    TTSCacheMixin,
)
from pipecat_tts_cache.breaker import CircuitBreaker
from pipecat_tts_cache.exports.store import export_store
from pipecat_tts_cache.pipecat_compat import TESTED
from pipecat_tts_cache.statistics.stats import CacheStats
from pipecat_tts_cache.testing.store_contract import make_key, make_utterance
from tests.eventually import eventually
from tests.pipecat_services import importable
from tests.servers import Server, lets_redis_introduce_itself, own_server
from tests.sounds import sine, write_with_libav

__all__ = ["lets_redis_introduce_itself", "own_server"]

ROOT = Path(__file__).parent.parent
REPOSITORY = "https://github.com/omChauhanDev/pipecat-tts-cache/blob/main/"
REDIS_URL = "redis://localhost:6379/0"
REDIS_PAGE = "docs/store-redis.md"
RECORDINGS_PAGE = "docs/recordings.md"
WARMING_PAGE = "docs/warming.md"
POSTGRES_URL = "postgresql://bot:secret@localhost:5432/speech"
POSTGRES_PAGE = "docs/store-postgres.md"
"""Its snippets are run by tests/test_postgres_docs.py."""
OBJECT_PAGE = "docs/store-object.md"
"""Its snippets are run by tests/test_object_store_docs.py."""
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
}
FENCED = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def snippets(page: str, language: str) -> Iterator[tuple[int, str]]:
    """Find the snippets of a page, each with the number of the line that it follows."""
    for found in FENCED.finditer(PAGES[page]):
        indent, name, code = found.groups()
        if name == language:
            line = PAGES[page].count("\n", 0, found.start(3))
            yield line, re.sub(f"^{indent}", "", code, flags=re.MULTILINE)


def words_of_page(page: str) -> str:
    """Return a page with its lines joined, to look for a phrase in it."""
    return re.sub(r"\s+", " ", PAGES[page])


async def run(code: str, file: str, line: int, names: dict[str, Any]) -> None:
    """Run code that may await, as if it stood in a file behind a line."""
    compiled = compile("\n" * line + code, file, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(compiled, names)
    if inspect.isawaitable(outcome):
        await outcome


async def close_stores(names: Mapping[str, Any]) -> None:
    """Close the stores that code has made."""
    for value in names.values():
        if isinstance(value, CacheBackend):
            await value.close()


@pytest.fixture(scope="module", autouse=True)
def services() -> None:
    """Import what snippets import: that blocks, and they run on the event loop."""
    importable()


# Snippets


RUNNABLE = {page: list(snippets(page, "python")) for page in PAGES if any(snippets(page, "python"))}
WANT_REDIS = [page for page, code in RUNNABLE.items() if any(REDIS_URL in each for _, each in code)]


async def run_page(page: str, redis_url: str = "", postgres_url: str = "") -> dict[str, Any]:
    """Run the snippets of a page, each behind those before it."""
    names: dict[str, Any] = {"__name__": "snippet"}
    for line, code in RUNNABLE[page]:
        real = code.replace(REDIS_URL, redis_url).replace(POSTGRES_URL, postgres_url)
        await run(real, page, line, names)
    await close_stores(names)
    return names


@pytest.mark.parametrize(
    "page",
    sorted(
        RUNNABLE.keys() - {*WANT_REDIS, POSTGRES_PAGE, OBJECT_PAGE, RECORDINGS_PAGE, WARMING_PAGE}
    ),
)
async def test_python_snippets_run(page: str) -> None:
    """Every snippet of a page runs."""
    await run_page(page)


@pytest.fixture
def greeting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a folder with an audio file in it."""
    write_with_libav(tmp_path / "greeting.m4a", "aac", sine(24000), 24000)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("greeting")
async def test_snippets_about_recordings_run(tmp_path: Path) -> None:
    """Every snippet of the page runs, and leaves the files that it shows."""
    await run_page(RECORDINGS_PAGE)
    (shown,) = (code for _, code in snippets(RECORDINGS_PAGE, "text"))
    folder, *names = shown.split()
    for name in names:
        assert await asyncio.to_thread((tmp_path / folder / name).is_file), name


@pytest.fixture
def past_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a folder with lines, and with what was said in calls."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.csv").write_text("text,voice\nHello!,carla\n")
    call = '{"role": "assistant", "content": "One moment. It is done."}\n'
    (tmp_path / "calls.jsonl").write_text(2 * call)


@pytest.mark.usefixtures("past_calls")
async def test_snippets_about_warming_run(no_blocking: BlockBuster) -> None:
    """Every snippet of the page runs, and finds the lines that are to be prepared."""
    no_blocking.deactivate()  # to read a file blocks, and the page says so
    names = await run_page(WARMING_PAGE)
    texts = [line.text for line in names["lines"]]
    assert ["Hello!", "It is done.", "One moment."] == sorted(texts)


@pytest.mark.parametrize("page", WANT_REDIS)
@pytest.mark.usefixtures("lets_redis_introduce_itself")
async def test_python_snippets_run_on_redis(page: str, own_server: Server) -> None:
    """Every snippet of a page runs, and what it calls its Redis server is one."""
    await run_page(page, own_server.url)


def test_the_readme_shows_all_it_takes() -> None:
    """The first snippet of the README is a service with a cache, in ten lines and its imports."""
    (line, code), *_ = snippets("README.md", "python")
    names: dict[str, Any] = {}
    exec(compile("\n" * line + code, "README.md", "exec"), names)
    assert isinstance(names["tts"], TTSCacheMixin)
    body = [each for each in code.splitlines() if each and "import" not in each]
    assert len(body) <= 10


def test_the_store_in_the_documentation_keeps_the_contract(tmp_path: Path) -> None:
    """The store that shows how to write one, and the test that shows how to test it, pass."""
    start = PAGES["docs/stores.md"].count("\n", 0, PAGES["docs/stores.md"].index("## Writing"))
    code = [code for line, code in snippets("docs/stores.md", "python") if line > start]
    assert 2 == len(code)
    module = tmp_path / "test_folder_backend.py"
    module.write_text("\n\n".join(code), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    command += ["-o", "asyncio_default_fixture_loop_scope=function"]
    outcome = subprocess.run(
        [*command, str(module)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert 0 == outcome.returncode, outcome.stdout
    assert " passed" in outcome.stdout


async def test_the_documented_certificate_is_earned() -> None:
    """The service that shows how to certify one passes, and what it prints is what is printed."""
    names: dict[str, Any] = {"__name__": "snippet"}
    for line, code in snippets("docs/testing.md", "python"):
        await run(code, "docs/testing.md", line, names)
    await names["test_nobody_can_tell"]()
    (printed,) = (code for _, code in snippets("docs/testing.md", "text"))
    assert printed.strip() == str(names["report"])


@pytest.mark.usefixtures("lets_redis_introduce_itself")
async def test_the_named_permissions_suffice(own_server: Server) -> None:
    """A Redis user with the permissions that docs/store-redis.md names can do all a store does."""
    (acl,) = (code for _, code in snippets(REDIS_PAGE, "text") if code.startswith("ACL "))
    async with Redis.from_url(own_server.url) as admin:
        await admin.execute_command(*acl.split())
    url = own_server.url.replace("redis://", "redis://bot:secret@")
    async with RedisCacheBackend(
        url, timeout=5, write_timeout=5, sliding_ttl=60, watch=True
    ) as backend:
        for seed in range(17):  # every sixteenth write tidies the index
            await backend.set(make_key(str(seed)), make_utterance(seed), ttl=60)
        assert make_utterance(0) == await backend.get(make_key("0"))
        assert await backend.exists(make_key("1"))
        assert await backend.delete(make_key("1"))
        assert 16 == (await backend.get_stats())["entries"]
        assert 16 == len([entry async for entry in backend.entries()])
        await eventually(lambda: backend._watch.is_listening)
        assert 16 == await backend.clear()
        stats = await backend.get_stats()
        refusals = ("errors", "refused", "not_prolonged", "not_announced")
        assert [0, 0, 0, 0] == [stats[name] for name in refusals]


# Examples in docstrings


def modules() -> Iterator[ModuleType]:
    """Import every module of the package."""
    yield pipecat_tts_cache
    for module in pkgutil.walk_packages(pipecat_tts_cache.__path__, "pipecat_tts_cache."):
        yield importlib.import_module(module.name)


def examples() -> dict[str, str]:
    """Find the literal blocks in docstrings that are code, by the name of what they document."""
    found = {}
    for module in modules():
        documented = {module.__name__: module}
        documented |= {
            f"{module.__name__}.{name}": value
            for name, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__
        }
        for name, value in documented.items():
            for block in literal_blocks(value.__doc__ or ""):
                if is_code(block):
                    found[name] = block
    return found


def literal_blocks(docstring: str) -> Iterator[str]:
    """Find the indented blocks behind a double colon."""
    pattern = re.compile(r"::\n\n((?: {4,}.*\n?|\n)+)")
    for found in pattern.finditer(inspect.cleandoc(docstring)):
        yield textwrap.dedent(found.group(1))


def is_code(block: str) -> bool:
    """Tell code from a drawing or a table."""
    try:
        ast.parse(block)
    except SyntaxError:
        return False
    return True


EXAMPLES = examples()


async def ask() -> None:
    """Stands for a call in an example."""


class MyStore(MemoryCacheBackend):
    """Stands for a store in an example."""

    def __init__(self, _path: object) -> None:
        super().__init__()


@pytest.mark.parametrize("documented", EXAMPLES)
@pytest.mark.usefixtures("lets_redis_introduce_itself")
async def test_examples_in_docstrings_run(documented: str) -> None:
    """The code in a docstring runs, given the names that it takes for granted."""
    sentinel = importlib.import_module("redis.asyncio.sentinel").Sentinel
    names = {name: getattr(pipecat_tts_cache, name) for name in pipecat_tts_cache.__all__}
    names |= {
        "BackendUnavailableError": pipecat_tts_cache.BackendUnavailableError,
        "CartesiaTTSService": CartesiaTTSService,
        "MemoryStore": importlib.import_module("obstore.store").MemoryStore,
        "MyStore": MyStore,
        "RedisCluster": importlib.import_module("redis.asyncio").RedisCluster,
        "Sentinel": sentinel,
        "WebsocketTTSService": WebsocketTTSService,
        "__name__": "example",
        "ask": ask,
        "breaker": CircuitBreaker(),
        "pool": asyncpg.create_pool(POSTGRES_URL),  # nobody waits for it: it connects to nothing
    }
    await run(EXAMPLES[documented], documented, 0, names)


def test_the_examples_are_found() -> None:
    """The docstrings that users read first have an example, and it is taken for code."""
    assert {
        "pipecat_tts_cache",
        "pipecat_tts_cache.backends.base",
        "pipecat_tts_cache.backends.redis.backend.RedisCacheBackend",
        "pipecat_tts_cache.breaker.CircuitBreaker",
        "pipecat_tts_cache.mixin.TTSCacheMixin",
        "pipecat_tts_cache.services",
        "pipecat_tts_cache.testing.store_contract",
    } <= EXAMPLES.keys()


# Links, files, targets


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    text = FENCED.sub("", PAGES[page])
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Links into this repository lead to a file that is there, and to a heading in it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", PAGES[page])):
        if target.startswith(REPOSITORY):
            path, _, anchor = target.removeprefix(REPOSITORY).partition("#")
            file = ROOT / path
        elif "://" in target:
            continue
        else:
            path, _, anchor = target.partition("#")
            file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(str(file.resolve().relative_to(ROOT))), target


@pytest.mark.parametrize("page", PAGES)
def test_named_files_and_targets_exist(page: str) -> None:
    """What a page names with its path is there, and `make` knows the targets."""
    named = re.findall(r"\b(?:src|docs|examples|benchmarks|tests)/[\w./-]*\w", PAGES[page])
    for path in named:
        assert (ROOT / path).exists(), path
    makefile = ROOT / "Makefile"
    targets = re.findall(r"(?:^|`)make (\w+)", PAGES[page], re.MULTILINE)
    for target in targets:
        assert re.search(rf"^{target}:", makefile.read_text(encoding="utf-8"), re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES)
def test_named_extras_exist(page: str) -> None:
    """An extra that a page says to install is one."""
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(re.findall(r"pipecat-tts-cache\[(\w+)\]", PAGES[page])) <= extras.keys()


# Tables


def table(page: str, heading: str) -> dict[str, list[str]]:
    """Read the table under a heading: the names in its first column, and the other cells."""
    section = re.split(rf"^#+ {heading}$", PAGES[page], flags=re.MULTILINE)[1]
    section = re.split(r"^#", section, maxsplit=1, flags=re.MULTILINE)[0]
    rows = {}
    for row in re.findall(r"^\| *(`.+?) *\|$", section, re.MULTILINE):
        first, *cells = (cell.strip() for cell in row.split("|"))
        for name in re.findall(r"`([^`]+)`", first):
            rows[name] = cells
    return rows


def defaults(function: Any) -> dict[str, str]:
    """Return the keyword arguments of a function that have a default, as they are written."""
    parameters = inspect.signature(function).parameters.values()
    return {
        parameter.name: repr(parameter.default).replace("'", '"')
        for parameter in parameters
        if parameter.default is not parameter.empty
    }


@pytest.mark.parametrize("page", ["README.md", "docs/options.md"])
def test_every_option_is_listed(page: str) -> None:
    """The options, with their defaults, are those of the mixin."""
    listed = {name: cells[0].strip("`") for name, cells in table(page, "Options").items()}
    assert defaults(TTSCacheMixin.__init__) == listed


def test_every_statistic_is_listed() -> None:
    """The fields of the statistics are those that there are, in that order."""
    fields = CacheStats().as_dict(enabled=True, backend=None)
    assert list(fields) == list(table("docs/options.md", "Statistics"))


@pytest.mark.parametrize(
    ("heading", "reasons"),
    [("Why a sentence was not stored", NotStored), ("Why a sentence was not looked up", Bypass)],
)
def test_every_reason_is_listed(heading: str, reasons: type[NotStored] | type[Bypass]) -> None:
    """The reasons are those that there are."""
    assert [reason.value for reason in reasons] == list(table("docs/options.md", heading))


def test_every_event_is_listed() -> None:
    """The events are those that the mixin adds to a service."""

    class Cached(TTSCacheMixin, CartesiaTTSService):
        pass

    added = (
        Cached(api_key="")._event_handlers.keys()
        - CartesiaTTSService(api_key="")._event_handlers.keys()
    )
    assert added == table("docs/options.md", "Events").keys()


async def test_memory_statistics_are_listed() -> None:
    """The fields of the memory store's statistics are those that there are."""
    assert (await MemoryCacheBackend().get_stats()).keys() == table(
        "docs/stores.md", "Memory"
    ).keys()


async def test_redis_arguments_and_statistics_are_listed() -> None:
    """The arguments of the Redis store and the fields of its statistics are those there are."""
    assert defaults(RedisCacheBackend.__init__).keys() == table(REDIS_PAGE, "Arguments").keys()
    async with RedisCacheBackend("redis://127.0.0.1:1/0") as backend:
        fields = (await backend.get_stats()).keys()
    assert fields == table(REDIS_PAGE, "Statistics").keys()


def test_arguments_of_an_export_are_listed() -> None:
    """The arguments of an export are those there are, but the clock of tests."""
    listed = table(RECORDINGS_PAGE, "Exporting a store").keys()
    assert defaults(export_store).keys() - {"wall_clock"} == listed


def test_every_error_is_listed() -> None:
    """The errors are those that the package exports."""
    exported = {name: getattr(pipecat_tts_cache, name) for name in pipecat_tts_cache.__all__}
    classes = {name: value for name, value in exported.items() if isinstance(value, type)}
    errors = {name for name, value in classes.items() if issubclass(value, CacheError)}
    assert errors == table("docs/options.md", "Errors").keys()


def test_every_public_name_is_documented() -> None:
    """What the package exports is named somewhere in its documentation."""
    text = "".join(PAGES.values())
    assert [] == [name for name in pipecat_tts_cache.__all__ if not re.search(rf"\b{name}\b", text)]


# What is written from the sources


def generator() -> ModuleType:
    """Import docs/generate_services.py."""
    path = ROOT / "docs" / "generate_services.py"
    spec = importlib.util.spec_from_file_location("generate_services", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_services_page_is_current() -> None:
    """docs/services.md is what docs/generate_services.py writes; run that if this fails."""
    assert generator().page() == PAGES["docs/services.md"]


def supported() -> tuple[list[str], str, str]:
    """Read from pyproject.toml the versions of Python, and from where to where Pipecat goes."""
    low, high = map(int, re.findall(r"3\.(\d+)", PROJECT["project"]["requires-python"]))
    (pipecat,) = (d for d in PROJECT["project"]["dependencies"] if d.startswith("pipecat-ai"))
    oldest, below = re.findall(r"[><]=?([\d.]+)", pipecat)
    return [f"3.{minor}" for minor in range(low, high)], oldest, below


def test_the_readme_states_the_supported_versions() -> None:
    """The README names the versions of Python and Pipecat that pyproject.toml asks for."""
    pythons, oldest, below = supported()
    text = words_of_page("README.md")
    assert f"Python {pythons[0]} to {pythons[-1]} ·" in text
    assert f"Pipecat {oldest} or newer, below {below}." in text


def test_ci_runs_on_the_supported_versions() -> None:
    """The CI matrix holds every Python, and every Pipecat from the oldest that is supported on."""
    pythons, oldest, _ = supported()
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    matrix = dict(re.findall(r"^ +(python|pipecat): (\[.+\])$", workflow, re.MULTILINE))
    assert pythons == ast.literal_eval(matrix["python"])
    *pipecats, newest = ast.literal_eval(matrix["pipecat"])
    first, last = (int(release.split(".")[1]) for release in TESTED.split(" to "))
    assert f"1.{first}" == oldest
    assert [f"1.{minor}.*" for minor in range(first, last)] == pipecats
    assert "newest" == newest


def test_the_changelog_begins_with_this_version() -> None:
    """The newest entry of the changelog is about the version in pyproject.toml."""
    newest = re.search(r"^## \[(.+?)\]", PAGES["CHANGELOG.md"], re.MULTILINE)
    assert newest is not None
    assert PROJECT["project"]["version"] == newest.group(1)
