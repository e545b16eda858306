"""The control port as its callers meet it, over real connections on this machine."""

from __future__ import annotations

import asyncio
import json
import signal
import zlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import NoReturn

import aiohttp
import pytest

from quorate.consensus.types import Seat
from quorate.control import admin, server
from quorate.control.client import ControlClient, _read_result
from quorate.control.metrics import Metrics
from quorate.control.port import Health
from quorate.control.server import ControlServer, parse_wait
from quorate.control.status import MemberState
from quorate.errors import AdminRejected, AuthenticationRejected, NotConnected, RemoteProtocolError
from quorate.runtime.signals import END_SIGNALS
from quorate_runtime.control import STATUS, FakePort, world

TOKEN = "a-token-of-some-length"


async def answered(
    action: Coroutine[None, None, str], port: FakePort, completed: bool, reason: str
) -> str:
    """Give the outcome once the member was asked for it, and return what the client says."""
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(action)
        await port.was_asked.wait()
        assert port.on_outcome is not None
        port.on_outcome(completed, reason)
    return asking.result()


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await story()

    asyncio.run(limited())


def test_status_is_told_at_once_and_by_long_poll_when_it_changes() -> None:
    async def story() -> None:
        async with world() as here:
            assert await here.client.status(here.address) == STATUS
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(here.client.status(here.address, after=1, wait_s=10))
                await here.port.change(state=MemberState.LEADER)
            assert waiting.result().state is MemberState.LEADER
            assert (await here.client.status(here.address, after=1)).status_version == 2

    run(story)


def test_a_long_poll_without_change_ends_with_the_present_status() -> None:
    async def story() -> None:
        async with world() as here:
            code, text = await here.get("/status?after=1&wait=10ms")
            assert (code, json.loads(text)["status_version"]) == (200, 1)

    run(story)


@pytest.mark.parametrize(
    "query", ["after=x", "after=-1", "after=1&wait=1h", "after=" + "9" * 50, "after=%C2%B2"]
)
def test_a_bad_query_is_told(query: str) -> None:
    async def story() -> None:
        async with world() as here:
            code, text = await here.get(f"/status?{query}")
            assert code == 400
            assert "is not a whole number" in text
            assert here.metrics.refusals() == {("control", "http 400"): 1}

    run(story)


def test_too_many_long_polls_are_refused_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "POLLS_MAX", 1)

    async def story() -> None:
        async with world() as here, asyncio.TaskGroup() as group:
            first = group.create_task(here.client.status(here.address, after=1, wait_s=10))
            await here.port.was_polled.wait()
            code, text = await here.get("/status?after=1&wait=1ms")
            assert code == 503
            assert "long polls" in text
            await here.port.change()
            assert (await first).status_version == 2

    run(story)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
def test_probes_say_yes_or_why_not(path: str) -> None:
    async def story() -> None:
        async with world() as here:
            assert await here.get(path) == (200, "fine\n")
            here.port.health = Health(ok=False, reason="no leader in term 3")
            assert await here.get(path) == (503, "no leader in term 3\n")

    run(story)


def test_metrics_are_prometheus_text() -> None:
    async def story() -> None:
        async with world() as here, here.http.get(f"http://{here.address}/metrics") as response:
            text = await response.text()
            assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert "\nquorate_sessions 3.0\n" in text
            assert "\nquorate_commit_position_bytes 0.0\n" in text
            assert "\nprocess_resident_memory_bytes " in text

    run(story)


def test_an_admin_action_is_followed_to_its_outcome() -> None:
    async def story() -> None:
        async with world(TOKEN.encode(), TOKEN) as here:
            transfer = here.client.transfer(here.address, Seat(2))
            assert await answered(transfer, here.port, True, "seat 2 leads") == "seat 2 leads"
            assert here.port.asked == [("transfer", 2)]

    run(story)


def test_an_action_that_fails_or_is_refused_says_why() -> None:
    async def story() -> None:
        async with world() as here:
            here.port.refusal = "this member does not lead"
            with pytest.raises(AdminRejected, match="transfer: this member does not lead"):
                await here.client.transfer(here.address)
            assert here.port.asked == [("transfer", None)]
            assert here.metrics.refusals() == {("control", "transfer refused"): 1}
            here.port.refusal = None
            here.port.was_asked.clear()
            found = here.client.found(here.address, discard=True)
            with pytest.raises(ExceptionGroup) as raised:
                await answered(found, here.port, False, "seat 1 is not there")
            assert raised.group_contains(AdminRejected, match="found: seat 1 is not there")
            assert here.port.asked[-1] == ("found", True)

    run(story)


def test_an_outcome_that_never_comes_ends_as_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "RESULT_TIMEOUT_S", 0.01)

    async def story() -> None:
        async with world() as here:
            with pytest.raises(AdminRejected, match="no outcome within"):
                await here.client.found(here.address)
            assert await here.get("/admin/results/none") == (
                404,
                "no such result in this life of the process\n",
            )

    run(story)


def test_results_are_bounded_and_the_oldest_ended_one_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admin, "RESULTS_MAX", 2)

    async def story() -> None:
        async with world() as here:
            answers = [json.loads((await here.post("/admin/found"))[1]) for _ in range(2)]
            code, text = await here.post("/admin/found")
            assert (code, text) == (429, "too many admin actions are pending\n")
            here.port.on_outcome(True, "done")  # type: ignore[misc]
            assert (await here.post("/admin/found"))[0] == 202
            assert (await here.get(f"/admin/results/{answers[0]['id']}"))[0] == 202
            assert (await here.get(f"/admin/results/{answers[1]['id']}"))[0] == 404

    run(story)


@pytest.mark.parametrize("path", ["/admin/found", "/admin/transfer", "/admin/results/1"])
@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"]
)
def test_without_the_token_nothing_is_asked(path: str, authorization: str) -> None:
    async def story() -> None:
        async with world(TOKEN.encode()) as here:
            headers = {"Authorization": authorization} if authorization else {}
            for method in ("GET", "POST"):
                async with here.http.request(
                    method, f"http://{here.address}{path}", headers=headers
                ) as response:
                    assert response.status == 401
                    assert response.headers["WWW-Authenticate"].startswith("Bearer")
                    assert TOKEN not in await response.text()
            assert here.port.asked == []
            assert here.metrics.refusals() == {("control", "http 401"): 2}
            with pytest.raises(AuthenticationRejected, match="bearer token"):
                await here.client.found(here.address)

    run(story)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_is_read_as_http_has_it(scheme: str) -> None:
    async def story() -> None:
        async with world(TOKEN.encode()) as here:
            assert (await here.post("/admin/found", Authorization=f"{scheme} {TOKEN}"))[0] == 202

    run(story)


@pytest.mark.parametrize("wait_s", [0, 1, 20, 60])
def test_a_client_gives_a_member_the_time_that_it_asks_it_to_wait(
    wait_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals: list[float | None] = []
    timeout = aiohttp.ClientTimeout

    def noted(total: float, sock_connect: float) -> aiohttp.ClientTimeout:
        totals.append(total)
        return timeout(total=total, sock_connect=sock_connect)

    async def story() -> None:
        async with world() as here:
            monkeypatch.setattr(aiohttp, "ClientTimeout", noted)
            await here.client.status(here.address, after=7, wait_s=wait_s)
            assert totals == [pytest.approx(wait_s + 5)]

    run(story)


def test_without_a_secret_a_web_page_may_not_act_through_a_browser() -> None:
    async def story() -> None:
        async with world() as here:
            code, _ = await here.post("/admin/found", Origin="http://evil.example")
            assert code == 403
            assert here.port.asked == []

    run(story)


def test_who_may_not_ask_without_a_token_is_told_so() -> None:
    async def story() -> None:
        async with world() as here:
            here.client._headers = {"Origin": "http://evil.example"}
            with pytest.raises(AuthenticationRejected, match="for this machine only"):
                await here.client.found(here.address)

    run(story)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/admin/transfer", b""),
        ("/admin/transfer", b"{}"),
        ("/admin/transfer", b"not json"),
        ("/admin/transfer", b"[" * 4000),
        ("/admin/transfer", b'{"to": true}'),
        ("/admin/transfer", b'{"to": -1}'),
        ("/admin/transfer", b'{"to": 256}'),
        ("/admin/transfer", b'{"to": "2"}'),
        ("/admin/transfer", b'{"to": 1, "force": true}'),
        ("/admin/transfer", b'[{"to": 1}]'),
        ("/admin/found", b'{"discard": 1}'),
        ("/admin/found", b"\xff"),
    ],
)
def test_a_bad_body_is_refused_and_counted(path: str, body: bytes) -> None:
    async def story() -> None:
        async with world() as here:
            code, text = await here.post(path, body)
            assert code == 400
            assert text.count("\n") == 1
            assert here.port.asked == []
            assert here.metrics.refusals() == {("control", "http 400"): 1}

    run(story)


def test_a_large_body_and_unknown_paths_and_methods_are_refused() -> None:
    async def story() -> None:
        async with world() as here:
            assert (await here.post("/admin/found", b" " * 5000))[0] == 413
            assert (await here.get("/admin/found"))[0] == 405
            assert (await here.get("/nothing"))[0] == 404
            assert (await here.post("/status"))[0] == 405
            assert sum(here.metrics.refusals().values()) == 4

    run(story)


@pytest.mark.parametrize(
    "noise", [b"\0" * 100, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9000, b"\r\n"]
)
def test_bytes_that_are_not_http_do_no_harm(noise: bytes) -> None:
    async def story() -> None:
        async with world() as here:
            host, _, port = here.address.rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(noise)
            assert (await here.get("/livez"))[0] == 200
            writer.close()

    run(story)


@pytest.mark.parametrize("noise", [b"\0" * 100, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9000])
def test_bytes_that_are_not_http_are_answered_counted_and_not_logged(
    noise: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with world() as here:
            host, _, port = here.address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(noise)
            assert b" 400 " in await reader.readline()
            assert here.metrics.refusals() == {("control", "http 400"): 1}
            assert (await reader.read()).endswith(b"understands\n"), "and the connection ends"
            writer.close()

    run(story)
    assert not caplog.records


def test_a_handler_that_fails_is_answered_counted_and_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> NoReturn:
        raise OSError("statvfs failed")

    async def story() -> None:
        async with world() as here:
            monkeypatch.setattr(here.port, "status", fail)
            status, _ = await here.get("/status")
            assert status == 500
            assert here.metrics.refusals() == {("control", "http 500"): 1}
            assert (await here.get("/livez"))[0] == 200, "the others go on"

    run(story)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info is not None
    assert "statvfs failed" in str(record.exc_info[1])


def test_a_body_that_does_not_come_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BODY_TIMEOUT_S", 0.05)

    async def story() -> None:
        async with world() as here:
            host, _, port = here.address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST /admin/found HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
            assert b" 408 " in await reader.readline()
            assert here.port.asked == []
            assert here.metrics.refusals() == {("control", "http 408"): 1}
            writer.close()

    run(story)


def test_a_poller_that_has_gone_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "POLLS_MAX", 1)

    async def story() -> None:
        async with world() as here:
            host, _, port = here.address.rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /status?after=1&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n")
            await here.port.was_polled.wait()
            writer.transport.abort()
            while (await here.get("/status?after=1&wait=1ms"))[0] != 200:
                pass

    run(story)


def test_a_compressed_body_stays_compressed() -> None:
    async def story() -> None:
        async with world() as here:
            bomb = zlib.compress(b" " * 1_000_000, 9)
            headers = {"Content-Encoding": "deflate"}
            assert (await here.post("/admin/found", bomb, **headers))[0] == 400
            assert here.port.asked == []

    run(story)


def test_nobody_there_is_not_connected_and_a_stranger_is_a_protocol_error() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async def story() -> None:
        stranger = await asyncio.start_server(babble, "127.0.0.1", 0)
        address = f"127.0.0.1:{stranger.sockets[0].getsockname()[1]}"
        async with ControlClient() as client, stranger:
            with pytest.raises((RemoteProtocolError, NotConnected)):
                await client.status(address)
        async with ControlClient() as client:
            with pytest.raises(NotConnected, match=address):
                await client.status(address)

    run(story)


def test_a_member_sends_nobody_elsewhere() -> None:
    """A redirect would carry the token to whoever is named in it."""

    async def story() -> None:
        async with world() as here:
            asked = asyncio.Event()

            async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                asked.set()
                location = f"Location: http://{here.address}/status"
                lines = ("HTTP/1.1 307 Moved", location, "Content-Length: 0", "", "")
                writer.write("\r\n".join(lines).encode())
                writer.close()

            stranger = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
            address = f"127.0.0.1:{stranger.sockets[0].getsockname()[1]}"
            async with stranger:
                with pytest.raises(RemoteProtocolError, match="HTTP 307"):
                    await here.client.status(address)
            assert asked.is_set()

    run(story)


def test_an_action_without_an_outcome_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with world() as here:
            with pytest.raises(AdminRejected, match=r"found: no outcome from .* within 0 s"):
                await here.client.found(here.address, wait_s=0)
            monkeypatch.setattr(admin, "RESULT_TIMEOUT_S", 0.0)
            code, text = await here.post("/admin/found")
            code, text = await here.get(f"/admin/results/{json.loads(text)['id']}?wait=10s")
            assert (code, json.loads(text)["state"]) == (200, "unknown")

    run(story)


def test_a_member_with_too_many_actions_under_way_has_rejected_one_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admin, "RESULTS_MAX", 0)

    async def story() -> None:
        async with world() as here:
            with pytest.raises(AdminRejected, match="too many admin actions"):
                await here.client.found(here.address)

    run(story)


@pytest.mark.parametrize("seat", [0, 1, 255])
def test_leadership_goes_to_any_seat_there_may_be(seat: int) -> None:
    async def story() -> None:
        async with world() as here:
            assert (await here.post("/admin/transfer", b'{"to": %d}' % seat))[0] == 202
            assert here.port.asked == [("transfer", seat)]

    run(story)


def test_a_page_that_is_no_member_is_a_protocol_error() -> None:
    async def story() -> None:
        async with world() as here:
            with pytest.raises(RemoteProtocolError, match="HTTP 405"):
                await here.client._act(here.address, "../status", {}, 1)

    run(story)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not json",
        b"\xff",
        b"[" * 50_000,
        b"[]",
        b'{"id": "1", "state": "completed"}',
        b'{"id": 1, "state": "completed", "reason": ""}',
    ],
)
def test_an_outcome_that_is_none_is_a_protocol_error(answer: bytes) -> None:
    """Whatever listens there by now: it ends nobody who asks."""
    with pytest.raises(RemoteProtocolError, match="answered /admin/found with HTTP 200"):
        _read_result("host:1", "/admin/found", 200, answer)


def test_closing_lets_go_of_those_who_say_nothing() -> None:
    async def story() -> None:
        served = ControlServer(FakePort(), Metrics(), token=lambda: None)
        number = await served.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await reader.readline()
        async with asyncio.timeout(20):
            await served.close()
            await reader.read()
        writer.close()

    run(story)


def test_closing_answers_those_who_wait_at_once() -> None:
    async def story() -> None:
        port, metrics = FakePort(), Metrics()
        served = ControlServer(port, metrics, token=lambda: None)
        address = f"127.0.0.1:{await served.start('127.0.0.1', 0)}"
        async with ControlClient() as client, asyncio.TaskGroup() as group:
            waiting = group.create_task(client.status(address, after=1, wait_s=60))
            await port.was_polled.wait()
            async with asyncio.timeout(20):
                await served.close()
            assert (await waiting).status_version == 1

    run(story)


def test_closing_in_the_moment_in_which_a_wait_runs_out_is_a_close_like_any_other() -> None:
    async def story() -> None:
        port, loop = FakePort(), asyncio.get_running_loop()
        served = ControlServer(port, Metrics(), token=lambda: None)
        address = f"127.0.0.1:{await served.start('127.0.0.1', 0)}"
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
            waiting = group.create_task(http.get(f"http://{address}/status?after=1&wait=50ms"))
            await port.was_polled.wait()
            both_due, is_stopping = loop.time() + 0.1, asyncio.Event()
            loop.call_soon(is_stopping.set)
            while loop.time() < both_due:
                """Hold the loop, so that the time-out and the close come in one iteration."""
            await is_stopping.wait()
            async with asyncio.timeout(20):
                await served.close()
            assert (await waiting).status == 200

    run(story)


def test_a_port_in_use_is_an_os_error() -> None:
    async def story() -> None:
        async with world() as here:
            second = ControlServer(here.port, here.metrics, token=lambda: None)
            with pytest.raises(OSError, match="address already in use"):
                await second.start("127.0.0.1", int(here.address.rpartition(":")[2]))
            await second.close()

    run(story)


def test_waits_are_read_with_their_unit_and_bounded() -> None:
    assert (parse_wait("20s"), parse_wait("500ms"), parse_wait("3")) == (20, 0.5, 3)
    assert parse_wait("999999s") == server.WAIT_MAX_S


def test_what_asks_a_member_to_end_is_not_taken_over_by_its_control_port() -> None:
    """A server that ends the process by itself would do so with clients and leadership in hand."""

    async def story() -> None:
        before = {number: signal.getsignal(number) for number in END_SIGNALS}
        async with world() as here:
            assert (await here.get("/livez"))[0] == 200
            assert {number: signal.getsignal(number) for number in END_SIGNALS} == before

    run(story)
