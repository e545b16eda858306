"""Writes container images as archives, without a registry, a daemon or a builder."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_single_file_image(archive: Path, tag: str, file: Path, place: str, machine: str) -> None:
    """Write an image that holds one static program and runs it.

    Args:
        archive: The file to write, in docker's archive format.
        tag: Name and tag, such as ``localhost/pause:1``.
        file: The program on this machine.
        place: Its absolute path in the image.
        machine: What ``platform.machine()`` says.

    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo(place.lstrip("/"))
        entry.size, entry.mode = file.stat().st_size, 0o755
        with file.open("rb") as content:
            tar.addfile(entry, content)
    blob = layer.getvalue()
    config = {
        "architecture": _ARCHITECTURES[machine],
        "os": "linux",
        "config": {"Entrypoint": [place]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(blob).hexdigest()}"]},
        "history": [],
    }
    config_blob = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(config_blob).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": ["layer.tar"]}]
    files = {
        config_name: config_blob,
        "manifest.json": json.dumps(manifest).encode(),
        "layer.tar": blob,
    }
    _write_tar(archive, files)


def _write_tar(archive: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(archive, "w") as tar:
        for name, content in files.items():
            _add(tar, name, content)


def write_image_on(base: Path, archive: Path, tag: str, files: Mapping[str, str]) -> None:
    """Write an image that has more files than another one, as a Dockerfile of two lines makes it.

    Args:
        base: Archive of the other one.
        archive: The file to write.
        tag: Name and tag of the new one.
        files: Text by absolute path in the image; readable by everybody.

    """
    layer = _layer({place.lstrip("/"): text.encode() for place, text in files.items()})
    layer_name = f"{hashlib.sha256(layer).hexdigest()}.tar"
    with tarfile.open(base) as source, tarfile.open(archive, "w") as target:
        (row,) = json.loads(_content(source, "manifest.json"))
        config = json.loads(_content(source, row["Config"]))
        config["rootfs"]["diff_ids"].append(f"sha256:{hashlib.sha256(layer).hexdigest()}")
        config.setdefault("history", []).append({"created_by": "COPY"})
        config_blob = json.dumps(config).encode()
        config_name = f"{hashlib.sha256(config_blob).hexdigest()}.json"
        manifest = [
            {"Config": config_name, "RepoTags": [tag], "Layers": [*row["Layers"], layer_name]}
        ]
        for name in dict.fromkeys(row["Layers"]):
            entry = source.getmember(name)
            target.addfile(entry, source.extractfile(entry) if entry.isreg() else None)
        for name, blob in (
            (layer_name, layer),
            (config_name, config_blob),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            _add(target, name, blob)


def _content(source: tarfile.TarFile, name: str) -> bytes:
    file = source.extractfile(name)
    assert file is not None, f"{name} is no file"
    return file.read()


def _layer(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            _add(tar, name, content)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))
