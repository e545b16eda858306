"""Prometheus and promtool: from the path, or from the distribution's package, kept in a cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PACKAGE = "prometheus"
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
        if not kept.exists():
            _fetch(base, kept)
    return kept / "usr" / "bin" / name


def _fetch(base: Path, kept: Path) -> None:
    with tempfile.TemporaryDirectory(dir=base) as scratch:
        try:
            _run(["apt-get", "download", "--quiet", PACKAGE], scratch)
        except RuntimeError:
            # A machine that is new has no list of packages, or one from too long ago.
            if os.geteuid() != 0:
                raise
            _run(["apt-get", "update", "--quiet"], scratch)
            _run(["apt-get", "download", "--quiet", PACKAGE], scratch)
        (archive,) = Path(scratch).glob("*.deb")
        _run(["dpkg-deb", "--extract", str(archive), "root"], scratch)
        Path(scratch, "root").rename(kept)


def _run(words: list[str], folder: str) -> None:
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
