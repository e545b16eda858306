"""Links between members: asyncio protocols over TCP, one connection for each pair of members.

``MemberLinks`` is the whole interface. It dials every configured seat to which no link stands,
accepts what the others dial, keeps one of two, and hands whole decoded messages to its
listener. It knows the layouts of ``quorate.protocol`` and nothing of what messages mean.
"""
