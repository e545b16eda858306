from pathlib import Path

from quorate.bench.figures import Figure, Measured, Target
from quorate.bench.machine import Probe
from quorate.bench.plot import draw, write_plot
from quorate.bench.run import Block
from quorate.config import Durability

PROBE = Probe(146, 343, 18, 18, 0.1, 5.0)
LATENCY = Measured([], (), {"idle": {200_000: 9_000, 1_000_000: 1_000}})
THROUGHPUT = Measured([Figure("deep window", "/s", (1.0, 3.0), Target(2, at_least=True))])


def block(measured: Measured) -> Block:
    return Block("part", Durability.FSYNC, measured, PROBE, PROBE)


def test_one_picture_of_what_there_is(tmp_path: Path) -> None:
    for number, blocks in enumerate(([LATENCY], [THROUGHPUT], [LATENCY, THROUGHPUT])):
        path = tmp_path / f"{number}.png"
        assert write_plot([block(each) for each in blocks], path, "a machine") == [path]
        assert path.read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw_makes_no_picture(tmp_path: Path) -> None:
    assert write_plot([block(Measured([]))], tmp_path / "plot.png", "a machine") == []
    assert list(tmp_path.iterdir()) == []


def test_the_machine_is_named_inside_the_picture_whatever_is_drawn() -> None:
    for blocks in ([LATENCY], [THROUGHPUT], [LATENCY, THROUGHPUT]):
        picture = draw([block(each) for each in blocks], "a machine of a long name " * 8)
        assert picture is not None
        picture.draw_without_rendering()
        (subtitle,) = picture.texts
        extent = subtitle.get_window_extent()
        assert picture.bbox.x0 <= extent.x0 < extent.x1 <= picture.bbox.x1
