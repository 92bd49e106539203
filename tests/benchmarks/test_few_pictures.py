"""Which pictures are drawn, the table, and what is not measured again."""

import json

import few_pictures
import pytest
from few_pictures import drawn, main, table


def record(network: str, count: int, psnr: float) -> dict:
    return {
        "network": network,
        "count": count,
        "seed": 0,
        "seconds": 1.0,
        "psnr": {"set5": psnr},
        "fp32": {"set5": 33.0},
    }


def test_as_many_as_there_are_and_the_same_for_a_seed(tmp_path):
    files = [tmp_path / f"{k}.png" for k in range(5)]
    for file in files:
        file.write_bytes(b"x")
    names = [sorted(p.name for p in drawn(files, 3, 7, tmp_path / str(k)).iterdir()) for k in range(2)]
    assert names[0] == names[1] and len(names[0]) == 3
    assert len(list(drawn(files, 100, 0, tmp_path / "all").iterdir())) == 5


def test_table():
    lines = table([record("a", 1, 30.0), record("a", 1, 31.0), record("a", 4, 32.0), record("b", 1, 9.0)], ["set5"])
    assert lines[0] == "| network | pictures | set5 mean | set5 worst |"
    assert lines[2:5] == [
        "| a | 1 | 30.500 | 30.000 |",
        "| a | 4 | 32.000 | 32.000 |",
        "| a | FP32 | 33.000 | 33.000 |",
    ]
    assert lines[5:] == ["| b | 1 | 9.000 | 9.000 |", "| b | FP32 | 33.000 | 33.000 |"]


def test_goes_on(tmp_path, monkeypatch):
    (tmp_path / "train").mkdir()
    asked: list[tuple[str, int]] = []

    def measure(network, files, count, seed, args):
        asked.append((network, count))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return record(network, count, 30.0)

    monkeypatch.setattr(few_pictures, "measure", measure)
    given = ["a", "b", "--images", str(tmp_path), "--json", str(tmp_path / "j"), "--out", str(tmp_path / "o")]
    given += ["--counts", "1", "4", "--seeds", "0", "--sets", "set5"]
    with pytest.raises(KeyboardInterrupt):
        main(given)
    main(given)
    assert asked == [("a", 1), ("a", 4), ("b", 1), ("b", 1), ("b", 4)]
    assert len(json.loads((tmp_path / "j").read_text())) == 4 and len((tmp_path / "o").read_text().splitlines()) == 8
    main([*given, "--costs", "bits"])
    assert len(asked) == 9, "another way"
