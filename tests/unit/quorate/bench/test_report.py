import json

from quorate.bench import report
from quorate.bench.figures import Figure, Floor

FIGURES = [
    Figure("closed loop", "messages", "/s", (100_000, 160_000, 155_000.4), Floor(150_000)),
    Figure("closed loop", "leader", "cores", (0.9, 1.0, 0.8)),
    Figure("failover", "gap", "ms", (90.0, 310.0, 200.0), Floor(150, at_least=False)),
]


def test_the_table_has_median_range_and_floor() -> None:
    lines = report.table(FIGURES).splitlines()
    assert lines[0].split() == ["figure", "median", "range", "floor"]
    assert lines[1].split("  ", 1)[0] == "closed loop"
    assert "155,000/s" in lines[1]
    assert "100,000 to 160,000" in lines[1]
    assert lines[1].endswith("≥ 150,000/s met")
    assert lines[2].startswith(" ")
    assert "0.90 cores" in lines[2]
    assert lines[3].startswith("failover")
    assert lines[3].endswith("< 150.0 ms MISSED")


def test_columns_are_aligned() -> None:
    header, *rows = report.table(FIGURES).splitlines()
    end = header.index("range") + len("range")
    assert all(row[end - 1] != " " and row[end : end + 2] in {"", "  "} for row in rows)


def test_json_holds_every_repeat_and_the_machine() -> None:
    document = json.loads(report.to_json(FIGURES, {"quick": True}))
    assert document["options"] == {"quick": True}
    assert document["machine"]["cores"] >= 1
    assert document["machine"]["python"]
    first, second, third = document["figures"]
    assert first["values"] == [100_000, 160_000, 155_000.4]
    assert (first["floor"], first["floor_met"]) == (150_000, True)
    assert second["floor_met"] is None
    assert third["floor_met"] is False
