"""The client link's bytes as released: a client of any release must understand them for ever.

Each file in ``session/`` is one message in hexadecimal. They are never regenerated: a change of
the layout takes another version beside them.
"""

from pathlib import Path

import pytest

from quorate.protocol.batch import (
    EgressKind,
    EgressMessage,
    encode_egress_batch,
    encode_error_payload,
    encode_ingress_batch,
)
from quorate.protocol.session_codec import (
    CLIENT_MESSAGE_BYTES_MAX,
    MessageSplitter,
    decode_message,
    encode_message,
)
from quorate.protocol.session_messages import (
    ClientLinkMessage,
    Close,
    Closed,
    Credit,
    Egress,
    EgressAcknowledge,
    Error,
    Ingress,
    KeepAlive,
    Open,
    Opened,
    Redirect,
    Rewind,
)

FOLDER = Path(__file__).parent / "session"
KEY = bytes(range(16))
CLUSTER = bytes(range(16, 32))

MESSAGES: dict[str, ClientLinkMessage] = {
    "open_new": Open(1, 1, CLUSTER, KEY, 0, 0, 65536, "till 3"),
    "open_resume": Open(1, 1, bytes(16), KEY, 896, 41, 0, ""),
    "opened": Opened(
        1, 1, 896, 17, 4194304, 30_000_000_000, 262144, 1048472, ("127.0.0.1:9010", "[::1]:9011")
    ),
    "ingress": Ingress(896, 18, 41, 3, encode_ingress_batch([b"8", b"", b"x5"])),
    "egress": Egress(
        20,
        42,
        2,
        encode_egress_batch(
            [
                EgressMessage(EgressKind.MESSAGE, 0, 18, b"42"),
                EgressMessage(EgressKind.ERROR, 1, 19, encode_error_payload(1344)),
            ]
        ),
    ),
    "egress_acknowledgement_only": Egress(21, 43, 0, b""),
    "redirect": Redirect("orders-2.orders.shop.svc.cluster.local.:9010"),
    "redirect_none_yet": Redirect(""),
    "credit": Credit(8388608),
    "rewind": Rewind(18),
    "closed_expired": Closed(896, 2),
    "error_too_large": Error(5),
    "egress_acknowledge": EgressAcknowledge(896, 43),
    "keep_alive": KeepAlive(),
    "close": Close(896),
}


def test_every_golden_file_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.hex")} == set(MESSAGES)


@pytest.mark.parametrize("name", MESSAGES)
def test_golden_bytes(name: str) -> None:
    golden = bytes.fromhex((FOLDER / f"{name}.hex").read_text(encoding="ascii"))
    assert encode_message(MESSAGES[name]) == golden
    (raw,) = MessageSplitter(CLIENT_MESSAGE_BYTES_MAX).feed(golden)
    assert decode_message(raw) == MESSAGES[name]
