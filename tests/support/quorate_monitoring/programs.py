"""Prometheus and promtool: from the path, or from the distribution's package, kept in a cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PACKAGE = "prometheus"
PROGRAMS = ("prometheus", "promtool")
"""The package holds both in Debian 12; since 13 the second has a package of its own name."""
FETCH_TIMEOUT_S = 300.0


def program(name: str) -> Path:
    """Return where ``prometheus`` or ``promtool`` is, fetching the package if need be.

    Raises:
        RuntimeError: It is not on the path and the package cannot be fetched.

    Blocking: on the first call, for the download of some 20 MB.

    """
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quorate"
    base.mkdir(parents=True, exist_ok=True)
    kept = base / PACKAGE
    with (base / f"{PACKAGE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _program_in(kept, name).exists():
            _fetch(base, kept)
    return _program_in(kept, name)


def _program_in(root: Path, name: str) -> Path:
    return root / "usr" / "bin" / name


def _fetch(base: Path, kept: Path) -> None:
    with tempfile.TemporaryDirectory(dir=base) as scratch:
        root = Path(scratch, "root")
        _extract(PACKAGE, root)
        for name in PROGRAMS:
            if not _program_in(root, name).exists():
                _extract(name, root)
        shutil.rmtree(kept, ignore_errors=True)
        root.rename(kept)


def _extract(package: str, root: Path) -> None:
    folder = root.parent / package
    folder.mkdir()
    words = ["apt-get", "download", "--quiet", package]
    try:
        _run(words, folder)
    except RuntimeError:
        # A machine that is new has no list of packages, or one from too long ago.
        if os.geteuid() != 0:
            raise
        _run(["apt-get", "update", "--quiet"], folder)
        _run(words, folder)
    (archive,) = folder.glob("*.deb")
    _run(["dpkg-deb", "--extract", str(archive), str(root)], folder)


def _run(words: list[str], folder: Path) -> None:
    try:
        subprocess.run(
            words, cwd=folder, check=True, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        raise RuntimeError(
            f"prometheus is not on the path and `{' '.join(words)}` failed ({said}); as root: "
            "apt-get update && apt-get install -y prometheus"
        ) from error
