"""Images that are made on top of others, without a builder."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

from quorate_kubernetes.archives import write_image_on, write_single_file_image


def test_image_on_another_has_its_layers_and_one_more(tmp_path: Path) -> None:
    program, base, archive = tmp_path / "program", tmp_path / "base.tar", tmp_path / "next.tar"
    program.write_bytes(b"elf")
    write_single_file_image(base, "localhost/base:1", program, "/bin/program", "x86_64")

    write_image_on(base, archive, "localhost/next:2", {"/etc/words": "tea"})

    with tarfile.open(archive) as tar:
        contents = {entry.name: _content(tar, entry) for entry in tar.getmembers()}
    (row,) = json.loads(contents["manifest.json"])
    assert row["RepoTags"] == ["localhost/next:2"]
    config = json.loads(contents[row["Config"]])
    digests = [f"sha256:{hashlib.sha256(contents[name]).hexdigest()}" for name in row["Layers"]]
    assert config["rootfs"]["diff_ids"] == digests
    assert config["config"]["Entrypoint"] == ["/bin/program"]
    assert [_names(contents[name]) for name in row["Layers"]] == [["bin/program"], ["etc/words"]]


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry)
    assert file is not None
    return file.read()


def _names(layer: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return tar.getnames()
