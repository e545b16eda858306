"""kopf in its thread: it reaches the API server, stops when asked to, and its end is noticed."""

from __future__ import annotations

import asyncio
import getpass
import json
from pathlib import Path

import pytest

from quorate_fake_api.server import FakeApi, fake_api
from quorate_operator.handlers import Wakes, Watcher


@pytest.fixture
def kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def write(path: Path, url: str) -> None:
    content = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path.write_text(json.dumps(content))


async def until_asked(fake: FakeApi, task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(20):
        while not fake.requests and not task.done():  # noqa: ASYNC110 - another thread asks
            await asyncio.sleep(0.01)


def no_such_user() -> str:
    raise KeyError("getpwuid(): uid not found: 65532")


def test_a_user_that_is_a_number_only_does_not_keep_it_from_watching(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image runs as such a user, and kopf would look up its name."""
    monkeypatch.setattr(getpass, "getuser", no_such_user)

    async def story() -> None:
        async with fake_api() as fake:
            write(kubeconfig, fake.url)
            fake.objects |= {"/api": {"versions": []}, "/apis": {"groups": []}}
            watcher = Watcher(Wakes(lambda *_: None, lambda: None, lambda _: None))
            task = asyncio.get_running_loop().create_task(watcher.run())
            await until_asked(fake, task)
            assert fake.requests, "kopf ended before its first request"
            task.cancel()
            async with asyncio.timeout(20):
                await asyncio.wait([task])
            assert task.cancelled(), "it ends when it is asked to, and not by an error"

    asyncio.run(story())


def test_kopf_that_ends_by_itself_is_an_error(kubeconfig: Path) -> None:
    """A server that does not say what it serves ends it; that must not look like a quiet one."""

    async def story() -> None:
        async with asyncio.timeout(60), fake_api() as fake:
            write(kubeconfig, fake.url)
            await Watcher(Wakes(lambda *_: None, lambda: None, lambda _: None)).run()

    with pytest.raises(RuntimeError, match="kopf has ended by itself"):
        asyncio.run(story())
