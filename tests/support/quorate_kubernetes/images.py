"""The images of the cluster: a pod's sandbox, and the product from the repository's Dockerfile.

No image registry is reached. The Dockerfile names a public base image; here its argument ``BASE``
is one made from the distribution's packages, once, and kept in a builder's storage of our own.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from quorate_kubernetes.archives import write_single_file_image
from quorate_kubernetes.commands import attempt
from quorate_kubernetes.failures import BedFailure
from quorate_kubernetes.layout import CACHE, ROOT

BASE = "localhost/quorate-base:12"
BASE_RELEASE = "bookworm"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
SITE_PACKAGES = "/opt/quorate/lib/python3.11/site-packages"
"""Where the product's modules are in its image, with the Python of that release."""
PAUSE = "localhost/pause:1"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
KEPT = 2
"""Archives of the product kept beside the present one, some 100 MB each."""

_ARCHIVES = CACHE / "images"
_STORAGE = CACHE / "buildah"
# Everything that a Dockerfile of this repository may copy.
_CONTEXT = ("Dockerfile", ".dockerignore", "LICENSE", "README.md", "pyproject.toml")
_CONTEXT_TREES = ("node", "operator")


def product() -> str:
    """Return the name of the product's image for this source tree; it changes with the tree."""
    return f"localhost/quorate:e2e-{_context_digest()}"


def product_archive() -> Path:
    """Return where the product's image is, or will be."""
    return _ARCHIVES / f"quorate-{_context_digest()}.tar"


def built(tools: Path) -> list[Path]:
    """Return the archives that every node imports.

    Raises:
        BedFailure: One has not been built.

    """
    archives = [_pause_archive(tools), product_archive()]
    if not all(archive.exists() for archive in archives):
        raise BedFailure("the images of this source tree are not built: make e2e-images")
    return archives


def build(tools: Path) -> list[Path]:
    """Build what is not there yet."""
    _ARCHIVES.mkdir(parents=True, exist_ok=True)
    pause = _pause_archive(tools)
    if not pause.exists():
        write_single_file_image(pause, PAUSE, tools / "pause", "/pause", platform.machine())
    if not product_archive().exists():
        _build_base()
        _build_product()
    return built(tools)


def _pause_archive(tools: Path) -> Path:
    return _ARCHIVES / f"pause-{tools.name}.tar"


def _build_base() -> None:
    if attempt(*_buildah(), "inspect", "--type=image", BASE).returncode == 0:
        return
    with tempfile.TemporaryDirectory(prefix="quorate-base-") as scratch:
        root = Path(scratch, "root")
        include = f"--include={','.join(BASE_PACKAGES)}"
        _watch("debootstrap", "--variant=minbase", include, BASE_RELEASE, root)
        # The packages' files; whoever installs more in the image updates the lists first.
        shutil.rmtree(root / "var/cache/apt/archives")
        shutil.rmtree(root / "var/lib/apt/lists")
        Path(scratch, "Dockerfile").write_text("FROM scratch\nADD root /\n")
        _watch(*_buildah(), "bud", *_ISOLATION, "-t", BASE, scratch)


def _build_product() -> None:
    dockerfile = ROOT / "Dockerfile"
    if not dockerfile.exists():
        raise BedFailure(f"there is no {dockerfile}: the stories run the product's own image")
    arguments = [*_ISOLATION, f"--build-arg=BASE={BASE}", *_trust()]
    _watch(*_buildah(), "bud", *arguments, "-t", product(), "-f", dockerfile, ROOT)
    unfinished = product_archive().with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    _watch(*_buildah(), "push", product(), f"docker-archive:{unfinished}:{product()}")
    unfinished.rename(product_archive())
    archives = sorted(_ARCHIVES.glob("quorate-*.tar"), key=lambda path: -path.stat().st_mtime)
    for old in archives[KEPT + 1 :]:
        old.unlink()
        # May fail: the storage can be newer than the archives, and then has no such image.
        attempt(*_buildah(), "rmi", f"localhost/quorate:e2e-{old.stem.removeprefix('quorate-')}")


# `chroot` needs no namespaces of its own, and the limits are ones that any root may set.
_ISOLATION = ("--isolation=chroot", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")


def _buildah() -> tuple[str, ...]:
    # Own storage: nothing of the machine's other images is touched, and `vfs` works anywhere.
    run_root = Path(tempfile.gettempdir(), "quorate-buildah-run")
    return ("buildah", f"--root={_STORAGE}", f"--runroot={run_root}", "--storage-driver=vfs")


def _trust() -> Iterator[str]:
    """Yield what lets pip inside of the build reach what pip outside reaches."""
    if CERTIFICATES.exists():
        yield f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"
        yield f"--env=PIP_CERT={CERTIFICATES}"
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        if name in os.environ:
            yield f"--env={name}={os.environ[name]}"


def _context_digest() -> str:
    digest = hashlib.sha256()
    for path in _context_files():
        digest.update(f"{path.relative_to(ROOT)} {path.stat().st_mode & 0o111:o}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _context_files() -> Iterator[Path]:
    yield from (ROOT / name for name in _CONTEXT if (ROOT / name).exists())
    for tree in _CONTEXT_TREES:
        for path in sorted((ROOT / tree).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _watch(*argv: object) -> None:
    """Run a long command whose output its user may watch."""
    words = [str(word) for word in argv]
    if subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode:
        raise BedFailure(f"this command failed, and said why above: {' '.join(words)[:300]}")
