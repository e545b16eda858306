"""How a member ends: on request in good order, or at once with the exit code that says why."""

from __future__ import annotations

import asyncio

from quorate.consensus.types import Role
from quorate.errors import (
    ConfigurationError,
    CorruptRecord,
    DirectoryInUse,
    ForeignData,
    ServiceFailed,
    StorageError,
)
from quorate.protocol.log_codec import UnknownFormat
from quorate.runtime.exit_codes import ExitCode
from quorate.runtime.member import Member

_CODES: tuple[tuple[tuple[type[BaseException], ...], ExitCode], ...] = (
    # A lack of memory is one of this process at this time: it may go on after a restart.
    ((MemoryError,), ExitCode.FAILED),
    ((ConfigurationError,), ExitCode.CONFIGURATION),
    ((ForeignData, DirectoryInUse, UnknownFormat), ExitCode.FOREIGN_DATA),
    ((CorruptRecord,), ExitCode.DAMAGED),
    ((StorageError,), ExitCode.STORAGE_FAILED),
    ((ServiceFailed,), ExitCode.SERVICE_FAILED),
)
RETRY_S = 0.05
"""Between two attempts to hand over, where the first was refused."""


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code for what ended the process; an unforeseen error is a bug: 6."""
    return next(
        (code for kinds, code in _CODES if isinstance(error, kinds)), ExitCode.INVARIANT_BROKEN
    )


async def shut_down(member: Member) -> None:
    """End in good order: leadership first, then clients, then files; the service is told last.

    Blocking: at most ``handover_timeout`` and ``redirect_timeout``, and the last sync.
    """
    member.agent.is_stopping = True
    member.agent.on_news()
    settings = member.config.member
    await hand_over(member, settings.handover_timeout_ms / 1000)
    if member.agent.module.leader is not None:
        try:
            async with asyncio.timeout(settings.redirect_timeout_ms / 1000):
                await member.gateway.wait_empty()
        except TimeoutError:
            pass
    await member.gateway.close()
    await member.links.close()
    await member.writer.close(clean=True)
    member.agent.applier.end()


async def hand_over(member: Member, timeout_s: float) -> None:
    """Hand leadership to the best voter, trying the next when one fails, within a bound."""
    agent = member.agent
    try:
        async with asyncio.timeout(timeout_s):
            while agent.module.role is Role.LEADER and agent.module.core.links:
                if not await _transfer_once(member):
                    await asyncio.sleep(RETRY_S)
            while agent.module.leader is None and agent.module.core.links:  # noqa: ASYNC110
                # The successor is being elected, and the clients here want its address. What
                # ends this may also be a link that breaks, so there is no one event to wait for.
                await asyncio.sleep(RETRY_S)
    except TimeoutError:
        return


async def _transfer_once(member: Member) -> bool:
    outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def on_outcome(completed: bool, _reason: str) -> None:  # noqa: FBT001 (the port's signature)
        if not outcome.done():
            outcome.set_result(completed)

    member.effects.transfer_outcomes.append(on_outcome)
    if member.agent.request_transfer(None) is not None:
        member.effects.transfer_outcomes.remove(on_outcome)
        return False
    return await outcome
