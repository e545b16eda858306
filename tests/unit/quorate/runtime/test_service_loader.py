"""Whatever an author's module does wrong ends in one line that helps."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.errors import ConfigurationError
from quorate.runtime.service_loader import load_service

MODULE = """
from quorate.service.api import ClusteredService

class Counter(ClusteredService):
    pass

class Configured(ClusteredService):
    def __init__(self, text):
        self.text = text

class Optional(ClusteredService):
    def __init__(self, text="default"):
        self.text = text

class Greedy(ClusteredService):
    def __init__(self, one, two):
        pass

class Raising(ClusteredService):
    def __init__(self):
        raise RuntimeError("no\\n  disk")

class Silent(ClusteredService):
    def __init__(self):
        raise KeyError

class Liar(ClusteredService):
    def __new__(cls):
        return 42

class Outer:
    class Inner(ClusteredService):
        pass

class Plain:
    pass

instance = Counter()
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "author_service.py").write_text(MODULE)
    (tmp_path / "author_missing_import.py").write_text("import author_dependency_that_is_missing")
    (tmp_path / "author_longer_name.py").write_text("import author_longer")
    (tmp_path / "author_borrowing.py").write_text(
        "from quorate.examples.echo import Echo\n\nclass Orders(Echo):\n    pass\n"
    )
    (tmp_path / "author_syntax.py").write_text("def broken(:")
    (tmp_path / "author_raising.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.startswith("author_")]:
        del sys.modules[name]


def problem_with(spec: str, service_config: str = "") -> str:
    with pytest.raises(ConfigurationError) as raised:
        load_service(spec, service_config)
    (problem,) = raised.value.problems
    assert problem.startswith(f"member.service is {spec!r}: ")
    assert "\n" not in problem
    return problem


def test_a_class_is_imported_and_made_once() -> None:
    assert type(load_service("author_service:Counter")).__name__ == "Counter"
    assert type(load_service("author_service:Outer.Inner")).__name__ == "Inner"


def test_the_configuration_reaches_a_constructor_that_takes_it() -> None:
    assert vars(load_service("author_service:Configured", "a=1")) == {"text": "a=1"}
    assert vars(load_service("author_service:Configured")) == {"text": ""}
    assert vars(load_service("author_service:Optional", "a=1")) == {"text": "a=1"}
    assert vars(load_service("author_service:Optional")) == {"text": "default"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("author_absent:Counter", "there is no module 'author_absent' on Python's path; install"),
        ("author_service.sub:Counter", "there is no module 'author_service.sub'"),
        ("author_missing_import:X", "raised ModuleNotFoundError: No module named 'author_dep"),
        ("author_syntax:X", "importing 'author_syntax' raised SyntaxError"),
        ("author_raising:X", "importing 'author_raising' raised ZeroDivisionError"),
        ("author_longer_name:X", "importing 'author_longer_name' raised ModuleNotFoundError"),
        ("author_borrowing:Ech", "did you mean author_borrowing:Orders?"),
        ("author_service:Conter", "has no 'Conter'; did you mean author_service:Counter?"),
        ("author_service:Outer.Other", "has no 'Outer.Other'; did you mean"),
        ("author_service:Plain", "is a class Plain, not a subclass of ClusteredService; did you"),
        ("author_service:instance", "is a Counter, not a subclass"),
        ("author_service:Raising", "its constructor raised RuntimeError: no disk"),
        ("author_service:Silent", "its constructor raised KeyError"),
        ("author_service:Greedy", "its constructor raised TypeError"),
        ("author_service:Liar", "calling it made a int, not a ClusteredService"),
    ],
)
def test_every_mistake_is_one_line_that_says_what_to_do(spec: str, expected: str) -> None:
    assert expected in problem_with(spec)


def test_a_configuration_that_nobody_reads_is_refused() -> None:
    assert "takes no argument" in problem_with("author_service:Counter", "a=1")


def test_the_authors_own_exception_stays_the_cause() -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_service("author_service:Raising")
    assert isinstance(raised.value.__cause__, RuntimeError)
