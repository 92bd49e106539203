"""`tvmsr targets`: a list, and all that is known of one."""

import json

from tvmsr.cli.main import main
from tvmsr.hardware import list_targets


def test_the_list(capfd) -> None:
    assert main(["targets"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 1 + len(list_targets())
    assert any(line.split()[:6] == ["arm", "aarch64", "linux", "i8mm,", "dotprod,", "neon"] for line in lines)


def test_one_with_its_figures_and_sources(capfd) -> None:
    assert main(["targets", "rk3588"]) == 0
    text = capfd.readouterr().out
    for part in ("4x cortex-a76", "4x cortex-a55", "s8 76.8", "3 MiB", "34.1 GB/s", "datasheet", "computed", "never"):
        assert part in text


def test_json(capfd) -> None:
    assert main(["targets", "rk3588", "--json"]) == 0
    (found,) = json.loads(capfd.readouterr().out)["targets"]
    assert found["architecture"] == "aarch64"
    assert found["clusters"][1]["core"] == "cortex-a55"
    assert found["clusters"][0]["gmacs_per_core"]["s8"] == 76.8
    assert found["cache_bytes"] == [64 << 10, 512 << 10, 3 << 20]
    assert found["levels"][0]["needs"] == ["dotprod"]


def test_mistakes_are_one_line(capfd, tmp_path) -> None:
    path = tmp_path / "board.toml"
    path.write_text('extends = "rpi5"\nspeed = 3\n')
    assert main(["targets", str(path)]) == 3
    assert "board.toml: speed" in capfd.readouterr().err
    assert main(["targets", "rpi99"]) == 2
    assert "known are" in capfd.readouterr().err
