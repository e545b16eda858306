"""Who may import what, where import-linter cannot say it: see its contracts in pyproject.toml.

Reads source text only, so a forbidden import is found even in code that no test reaches.
"""

import ast
import fnmatch
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = (ROOT / "node", ROOT / "operator")

# All that these packages may import beside the standard library.
MAY_IMPORT = {
    "quorate.consensus": {"quorate.consensus"},
    "quorate.examples": {"quorate.examples", "quorate.service"},
    "quorate.testing": {
        "quorate.clock",
        "quorate.config",
        "quorate.consensus",
        "quorate.errors",
        "quorate.protocol",
        "quorate.service",
        "quorate.testing",
    },
}


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path, root): path for root in SOURCE_ROOTS for path in sorted(root.rglob("*.py"))
}


def is_inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the import absolutely"
            assert node.module is not None
            if node.module == "quorate":  # `from quorate import service` names the module itself
                for alias in node.names:
                    yield node.lineno, f"quorate.{alias.name}"
            else:
                yield node.lineno, node.module


def pure_contract() -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return next(contract for contract in contracts if contract["id"] == "pure")


def modules_matching(pattern: str) -> list[str]:
    if pattern.endswith(".**"):  # here with the package's own __init__, which import-linter omits
        return [module for module in MODULES if is_inside(module, pattern.removesuffix(".**"))]
    matching = fnmatch.filter(MODULES, pattern)  # its `*` spans dots, import-linter's does not
    return [module for module in matching if module.count(".") == pattern.count(".")]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_nothing_else_of_the_distribution(package: str) -> None:
    modules = {name: path for name, path in MODULES.items() if is_inside(name, package)}
    assert modules, f"{package} has no module: it was moved; change MAY_IMPORT with it"
    broken = [
        f"{path.relative_to(ROOT)}:{line}: imports {imported}"
        for path in modules.values()
        for line, imported in imports_of(path)
        if imported.split(".")[0] not in sys.stdlib_module_names
        and not any(is_inside(imported, allowed) for allowed in MAY_IMPORT[package])
    ]
    assert not broken, (
        f"{package} may import the standard library and {sorted(MAY_IMPORT[package])} only; "
        f"take what is missing as an argument:\n" + "\n".join(broken)
    )


@pytest.mark.parametrize("pattern", pure_contract()["source_modules"])
def test_pure_modules_import_no_input_or_output(pattern: str) -> None:
    modules = modules_matching(pattern)
    assert modules, (
        f"the contract `pure` names {pattern}, which no module matches, so it guards nothing: "
        f"correct the name in pyproject.toml"
    )
    forbidden = pure_contract()["forbidden_modules"]
    broken = [
        f"{MODULES[module].relative_to(ROOT)}:{line}: imports {imported}"
        for module in modules
        for line, imported in imports_of(MODULES[module])
        if any(is_inside(imported, name) for name in forbidden)
    ]
    assert not broken, (
        "pure modules take time, chance and bytes as arguments and return effects:\n"
        + "\n".join(broken)
    )


def test_every_folder_of_a_source_root_is_a_package() -> None:
    missing = sorted(
        {
            str(path.parent.relative_to(ROOT))
            for path in MODULES.values()
            if not (path.parent / "__init__.py").exists()
        }
    )
    assert not missing, (
        f"{missing} hold modules but no __init__.py: import-linter does not see them and the "
        f"wheel may lack them; add one that documents the package"
    )


def test_source_roots_do_not_shadow_the_standard_library() -> None:
    # The folder operator/ has the name of a standard module; with an __init__.py in it, every
    # `python -m` started in the root of the repository dies importing its own library.
    subprocess.run(
        [sys.executable, "-c", "import operator, json; operator.itemgetter(0)"],
        cwd=ROOT,
        check=True,
        timeout=30,
    )
