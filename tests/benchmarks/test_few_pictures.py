"""Which pictures are drawn, and the table."""

from few_pictures import drawn, table


def test_as_many_as_there_are_and_the_same_for_a_seed(tmp_path):
    files = [tmp_path / f"{k}.png" for k in range(5)]
    for file in files:
        file.write_bytes(b"x")
    names = [sorted(p.name for p in drawn(files, 3, 7, tmp_path / str(k)).iterdir()) for k in range(2)]
    assert names[0] == names[1] and len(names[0]) == 3
    assert len(list(drawn(files, 100, 0, tmp_path / "all").iterdir())) == 5


def test_table():
    lines = table({1: [{"set5": 30.0}, {"set5": 31.0}]}, ["set5"])
    assert lines[0] == "| pictures | set5 mean | set5 worst |" and lines[2] == "| 1 | 30.500 | 30.000 |"
