"""Another commit beside this tree: both measured in turns, and the ratios between them.

The other commit runs from a git worktree with the interpreter and the packages of this one. Both
are measured by the present ``quorate.bench``, which is copied over the other's, so that they differ
in nothing but the code that is measured. A commit whose members, client or ``quorate.dev`` this
bench no longer fits cannot be compared.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from quorate.bench.report import shown
from quorate.errors import QuorateError

HERE, OTHER = "this tree", "other"
_NODE = Path(__file__).parents[2]
END_TIMEOUT_S = 60.0

Key = tuple[str, str, str, str]
"""Part, durability, name and unit of a figure."""


class CompareFailed(QuorateError):
    """There is no such commit, or it could not be measured."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure of both."""

    key: Key
    here: tuple[float, ...]
    other: tuple[float, ...]
    """In the order of the rounds, as ``here``."""

    @property
    def ratios(self) -> tuple[float, ...]:
        """Of each round, this tree to the other; rounds in which the other has 0 are left out."""
        return tuple(
            here / other for here, other in zip(self.here, self.other, strict=True) if other
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was measured of both."""

    commit: str
    """The other one."""
    text: str
    """The lines to print."""
    documents: Mapping[str, Sequence[Mapping[str, object]]]
    """By ``HERE`` and ``OTHER``, the JSON documents in the order of the rounds."""

    def to_json(self) -> str:
        """Return all of it for programs."""
        return json.dumps({"commit": self.commit, **self.documents}, indent=1) + "\n"


async def compare(
    revision: str, rounds: int, directory: Path, options: Sequence[str]
) -> Comparison:
    """Measure this tree and another commit in turns.

    Args:
        revision: What git calls the other commit.
        rounds: How often each is measured; it alternates who begins.
        directory: For the worktree and the clusters.
        options: Of ``python -m quorate.bench``: what to measure.

    Raises:
        CompareFailed: No such commit, or one side could not be measured.

    """
    documents: dict[str, list[Mapping[str, object]]] = {HERE: [], OTHER: []}
    async with _worktree(revision, directory) as (commit, other):
        trees = {HERE: _NODE, OTHER: other}
        for number in range(rounds):
            for side in (HERE, OTHER) if number % 2 == 0 else (OTHER, HERE):
                _say(f"round {number + 1} of {rounds}: {side}")
                output = directory / f"{'here' if side == HERE else 'other'}-{number}"
                documents[side].append(await _measure(trees[side], output, options))
    found = ratios(documents[HERE], documents[OTHER])
    title = f"this tree to {revision} ({commit[:12]}), {rounds} rounds in turns"
    return Comparison(commit, table(found, title), documents)


def ratios(
    here: Sequence[Mapping[str, object]], other: Sequence[Mapping[str, object]]
) -> list[Ratio]:
    """Return what every round of both sides has measured, in the order of the first."""
    mine, theirs = [figures(each) for each in here], [figures(each) for each in other]
    return [
        Ratio(key, tuple(each[key] for each in mine), tuple(each[key] for each in theirs))
        for key in mine[0]
        if all(key in each for each in (*mine, *theirs))
    ]


def figures(document: Mapping[str, object]) -> dict[Key, float]:
    """Return the figures of a JSON document by part, durability, name and unit."""
    return {
        (block["part"], block["durability"] or "", figure["name"], figure["unit"]): figure["value"]
        for block in cast("list[dict[str, Any]]", document["blocks"])
        for figure in block["figures"]
    }


def table(found: Sequence[Ratio], title: str) -> str:
    """Return one line per figure: both medians, and the median and range of the ratios."""
    rows = [("figure", HERE, OTHER, "ratio", "range")]
    for each in found:
        part, durability, name, unit = each.key
        quotients = each.ratios
        rows.append(
            (
                f"{part}, {durability}: {name}" if durability else f"{part}: {name}",
                shown(statistics.median(each.here), unit),
                shown(statistics.median(each.other), unit),
                f"{statistics.median(quotients):.3f}" if quotients else "",
                f"{min(quotients):.3f} to {max(quotients):.3f}" if quotients else "",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [f"{row[0]:<{widths[0]}}"]
            + [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]
    return "\n".join([title, *lines])


@asynccontextmanager
async def _worktree(revision: str, directory: Path) -> AsyncIterator[tuple[str, Path]]:
    """Check the commit out; yields its id and its source root, with the present bench in it."""
    commit = (await _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")).strip()
    path = directory / "worktree"
    await _git("worktree", "add", "--quiet", "--detach", str(path), commit)
    try:
        node = path / "node"
        bench = node / "quorate" / "bench"
        shutil.rmtree(bench, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(__file__).parent, bench, ignore=ignored)
        yield commit, node
    finally:
        await _git("worktree", "remove", "--force", str(path))


async def _git(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "git",
        "-C",
        str(_NODE),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    output, errors = await process.communicate()
    if process.returncode:
        said = errors.decode("utf-8", "replace").strip() or "no such commit"
        raise CompareFailed(f"git {' '.join(arguments)}: {said}")
    return output.decode()


async def _measure(node: Path, output: Path, options: Sequence[str]) -> Mapping[str, object]:
    """Run the bench of a source root once; return its JSON document.

    Raises:
        CompareFailed: Something of it could not be measured.

    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "quorate.bench",
        "--repeats",
        "1",
        "--no-plot",
        "--output",
        str(output),
        *options,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        cwd=output.parent,
        env={**os.environ, "PYTHONPATH": str(node), "TMPDIR": str(output.parent)},
    )
    try:
        _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(END_TIMEOUT_S):
                await process.wait()
    if process.returncode:
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        said = next((line for line in lines if line.startswith("not measured")), lines[-1])
        raise CompareFailed(f"{node}: {said}")
    text = (output / "figures.json").read_text(encoding="utf-8")
    return cast("Mapping[str, object]", json.loads(text))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
