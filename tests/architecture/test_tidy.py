"""The rules of the house that a machine can check; each failure says what to do about it.

Reads the repository as text. The limits and their reasons are in CONTRIBUTING.md.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("node", "operator", "tests")
TEXT_ROOTS = (*SOURCE_ROOTS, "docs", "charts", "crds", ".ci")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".sh", ".txt", ".json", ".html", ".cfg"}
TOP_LEVEL = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "charts",
    "crds",
    "docs",
    "node",
    "operator",
    "pyproject.toml",
    "tests",
}

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
FILE_BYTES_MAX = 1 << 20

SHAPELESS_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"}
PRINTING_PACKAGES = {"cli", "dev", "bench"}

# Written in halves, so that this file does not find itself.
REMINDER = re.compile(r"\b(?:TO" + "DO|FIX" + "ME|X" + "XX|HA" + r"CK)\b")
OUTSIDE_PATH = re.compile(r"\.\./sha" + r"red\b|(?<![\w./-])/wo" + r"rk/")
MARKDOWN_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(?:#[^)\s]*)?\)")
DOCSTRING_REFERENCE = re.compile(r":(?:mod|class|func|meth|attr|data|exc):`~?(quorate[\w.]*)`")


def is_source(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def python_files(*roots: str) -> list[Path]:
    return [path for root in roots for path in sorted((ROOT / root).rglob("*.py"))]


def text_files() -> list[Path]:
    below = [path for root in TEXT_ROOTS for path in sorted((ROOT / root).rglob("*"))]
    top = sorted(ROOT.iterdir())
    return [
        path
        for path in (*top, *below)
        if is_source(path)
        and (path.suffix in TEXT_SUFFIXES or path.name in {"Makefile", "Dockerfile", "run"})
    ]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{shown(path)}:{number}: {line.strip()[:100]}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]


def report(found: list[str], remedy: str) -> None:
    assert not found, f"{remedy}\n" + "\n".join(found)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count from the `def` to the end without the docstring: documentation costs no budget."""
    assert function.end_lineno is not None
    count = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        assert first.end_lineno is not None
        count -= first.end_lineno - first.lineno + 1
    return count


def test_reads_the_repository() -> None:
    assert len(python_files(*SOURCE_ROOTS)) > 5
    assert ROOT / "Makefile" in text_files()


def test_files_are_short() -> None:
    report(
        [
            f"{shown(path)}: {count} lines"
            for path in python_files(*SOURCE_ROOTS)
            if (count := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
        ],
        f"a file may have {FILE_LINES_MAX} lines; split it by role, phase or story:",
    )


def test_functions_are_short() -> None:
    report(
        [
            f"{shown(path)}:{function.lineno}: {function.name} has {count} lines"
            for path in python_files(*SOURCE_ROOTS)
            for function in functions(path)
            if (count := lines_of_code(function)) > FUNCTION_LINES_MAX
        ],
        f"a function may have {FUNCTION_LINES_MAX} lines; give a part of it a name:",
    )


def test_no_large_files() -> None:
    report(
        [
            f"{shown(path)}: {path.stat().st_size} bytes"
            for root in TEXT_ROOTS
            for path in sorted((ROOT / root).rglob("*"))
            if is_source(path) and path.stat().st_size > FILE_BYTES_MAX
        ],
        f"a file may have {FILE_BYTES_MAX} bytes; generate it, or keep a seed that makes it:",
    )


def test_no_reminders_are_left() -> None:
    report(
        lines_matching(REMINDER),
        "do it now, or write it down in docs/explanation/critiques.md, and remove the reminder:",
    )


def test_nothing_points_outside_of_the_repository() -> None:
    report(
        lines_matching(OUTSIDE_PATH),
        "a reader has only this repository; say it here or point to a page in docs/:",
    )


def test_every_module_has_a_subject() -> None:
    report(
        [
            shown(path)
            for path in python_files(*SOURCE_ROOTS)
            for name in (path.parent.name if path.stem == "__init__" else path.stem,)
            if name.split("_")[-1] in SHAPELESS_NAMES
        ],
        "name the one concept that the file holds; if it has no name, it has no home:",
    )


def test_source_roots_and_test_folders_are_not_packages() -> None:
    support = ROOT / "tests" / "support"
    forbidden = [ROOT / root / "__init__.py" for root in SOURCE_ROOTS]
    forbidden += [
        path
        for path in (ROOT / "tests").rglob("__init__.py")
        if path.parent == support or not path.is_relative_to(support)
    ]
    report(
        sorted({shown(path) for path in forbidden if path.exists()}),
        "remove these: operator/ would shadow a module of the standard library, and test folders "
        "would shadow the packages under test; helper packages live in tests/support/<name>/:",
    )


def test_only_the_tools_for_people_print() -> None:
    node = ROOT / "node" / "quorate"
    report(
        [
            f"{shown(path)}:{call.lineno}"
            for path in python_files("node")
            if path.relative_to(node).parts[0] not in PRINTING_PACKAGES
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id == "print"
        ],
        f"print only in {sorted(PRINTING_PACKAGES)}; log a numbered event, or return an effect:",
    )


def test_the_top_level_is_the_agreed_one() -> None:
    ignored = {
        line.strip().strip("/")
        for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    }
    report(
        [
            path.name
            for path in sorted(ROOT.iterdir())
            if not path.name.startswith(".") and path.name not in TOP_LEVEL | ignored
        ],
        "move it into node/, tests/ or docs/, or argue for it in docs/adr/ and add it here:",
    )


def test_markdown_links_lead_somewhere() -> None:
    report(
        [
            f"{shown(path)}: {target}"
            for path in text_files()
            if path.suffix == ".md"
            for target in MARKDOWN_LINK.findall(path.read_text(encoding="utf-8"))
            if not (path.parent / target).exists()
        ],
        "these relative links lead nowhere; correct or remove them:",
    )


def names_defined_in(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.ImportFrom():
                names.update(alias.asname or alias.name for alias in node.names)
            case _:
                pass
    return names


def resolves(reference: str) -> bool:
    """Follow the dotted name through folders and files, then look for a definition."""
    place = ROOT / "node"
    parts = reference.split(".")
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if parts and (place / f"{parts[0]}.py").is_file():
        place /= f"{parts.pop(0)}.py"
    file = place / "__init__.py" if place.is_dir() else place
    return file.is_file() and set(parts) <= names_defined_in(file)


def test_docstrings_name_what_exists() -> None:
    report(
        [
            f"{shown(path)}: {reference}"
            for path in python_files(*SOURCE_ROOTS)
            for reference in DOCSTRING_REFERENCE.findall(path.read_text(encoding="utf-8"))
            if not resolves(reference)
        ],
        "these references name nothing that exists; docstrings rot when code moves:",
    )


@pytest.mark.parametrize(
    ("text", "is_reminder"),
    [("# TO" + "DO later", True), ("to-do list", False), ("ha" + "ckney", False)],
)
def test_recognises_reminders(text: str, *, is_reminder: bool) -> None:
    assert bool(REMINDER.search(text)) is is_reminder


@pytest.mark.parametrize(
    ("text", "is_outside"),
    [
        ("see ../sha" + "red/design", True),
        ("in /wo" + "rk/main", True),
        ("docs/how-to/work/x", False),
        ("a/wo" + "rk/b", False),
    ],
)
def test_recognises_paths_outside(text: str, *, is_outside: bool) -> None:
    assert bool(OUTSIDE_PATH.search(text)) is is_outside
