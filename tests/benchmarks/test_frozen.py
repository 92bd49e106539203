"""What is expected without looking at the pictures: exact means, against all assignments of small cases."""

from itertools import permutations, product
from statistics import mean, pvariance

import frozen
import pytest
from adapting.mixtures import best_dealt, best_within, mixture, own_shares
from frozen import Plans, bits, row, table, timed

ROWS = [
    {"picture": "set5/a", "choice": 0, "psnr": [30.0, 31.0, 33.0]},
    {"picture": "set5/b", "choice": 2, "psnr": [20.0, 20.5, 21.0]},
    {"picture": "set14/c", "choice": 0, "psnr": [40.0, 39.0, 44.0]},
]


def test_by_chance_is_the_mean_of_all_draws():
    shares = own_shares(ROWS)
    assert shares == pytest.approx([2 / 3, 0, 1 / 3])
    drawn = [mean(r["psnr"][k] for r, k in zip(ROWS, ks, strict=True)) for ks in product((0, 0, 2), repeat=3)]
    found = mixture(ROWS, shares)
    assert found.psnr == pytest.approx(mean(drawn)) and found.deviation**2 == pytest.approx(pvariance(drawn))
    dealt = [mean(r["psnr"][k] for r, k in zip(ROWS, ks, strict=True)) for ks in permutations((0, 0, 2))]
    assert found.psnr == pytest.approx(mean(dealt)), "as many of each, dealt at random, have the same mean"
    assert best_dealt(ROWS) == pytest.approx(max(dealt))


def test_the_best_mixture_within_a_budget():
    means = [30.0, 90.5 / 3, 98 / 3]
    half = best_within(ROWS, [1.0, 2.0, 3.0], 2.0)
    assert half.shares == pytest.approx((0.5, 0, 0.5)) and half.psnr == pytest.approx((means[0] + means[2]) / 2)
    assert best_within(ROWS, [1.0, 2.0, 1.0], 1.0).shares == (0, 0, 1), "where more costs nothing, all get it"
    assert best_within(ROWS, [3.0, 1.0, 3.5], 1.0).shares == (0, 1, 0)
    shares = [(a, b, 100 - a - b) for a in range(101) for b in range(101 - a)]
    costs = [1.0, 1.3, 2.5]
    every = [
        sum(s * m for s, m in zip(one, means, strict=True)) / 100
        for one in shares
        if sum(s * c for s, c in zip(one, costs, strict=True)) <= 190
    ]
    assert best_within(ROWS, costs, 1.9).psnr == pytest.approx(max(every))
    with pytest.raises(ValueError, match="no choice costs at most"):
        best_within(ROWS, [1.0, 2.0, 3.0], 0.5)


NAMES = ["base", "fewer", "more"]
RECORD = {"names": NAMES, "factors": [0, -1, 1], "bit_operations": [0.5, 0.4, 0.6], "pictures": ROWS}
EIGHT = {"names": ["default"], "factors": [0], "bit_operations": [1.0]}
EIGHT["pictures"] = [{"picture": one["picture"], "choice": 0, "psnr": [35.0]} for one in ROWS]
WAY = "auto:a6w4"
FOUND = {"8": EIGHT, WAY: RECORD}


def test_costs_are_parts_of_that_of_8_bits():
    assert bits(FOUND) == {"8": [1.0], WAY: [0.5, 0.4, 0.6]}
    least = {"8|default": 8.0, f"{WAY}|base": 4.0, f"{WAY}|fewer": 2.0, f"{WAY}|more": 6.0}
    records = {"n times": {"sizes": {"2x1": {key: {"median": ms} for key, ms in least.items()}}}}
    assert timed("n", records, FOUND, "2x1") == {"8": [1.0], WAY: [0.5, 0.25, 0.75]}
    assert timed("n", {}, FOUND, "2x1") == {}


def test_row_and_table():
    plans = Plans("n", FOUND, {"8": [1.0], WAY: [0.5, 0.25, 0.75]})
    cells = row(plans, WAY, frozen.BOTH)
    assert cells[3:5] == ["-1 / +0 / +1", "0% / 67% / 33%"] and cells[5] == "0.250 / 0.500 / 0.750"
    assert cells[7:9] == ["0.583", "30.333"]
    assert cells[-1] == "30.167 (`auto:a6w4` -1)", "8 bits would take longer"
    lines = [line.strip("| ").split(" | ") for line in table([plans], ["set5", "set14"])]
    assert [line[2] for line in lines[2:]] == ["set5", "set14"]
    assert dict(zip(lines[0], cells, strict=True))["at best"] == cells[10]
