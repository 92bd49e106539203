"""Names and numbers as texts."""

from __future__ import annotations

import pytest

from tvmsr.reporting import words


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("baby", "baby"),
        ("bébé 图 <&'\">", "bébé 图 <&'\">"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("a\nb\x00\x7f", "a\\nb\\x00\\x7f"),
        ("a\udcffb", "a\\udcffb"),
        ("\u2028", "\\u2028"),
    ],
)
def test_any_name_is_a_text(name: str, shown: str) -> None:
    assert words.plain(name) == shown
    words.plain(name).encode()


def test_numbers() -> None:
    assert words.count(1, "picture") == "1 picture" and words.count(2000, "picture") == "2,000 pictures"
    assert words.decibels(31.456) == "31.46" and words.decibels(float("inf")) == "∞" and words.decibels(None) == "–"
    assert words.milliseconds(9.876) == "9.88" and words.milliseconds(98.76) == "98.8"
    assert words.signed(-0.0126, 3) == "−0.013" and words.signed(0.5) == "+0.50"
    assert words.signed(float("nan")) == words.signed(float("inf")) == words.signed(None) == "–"
    assert words.percent(0.5) == "50.0" and words.percent(0.00012) == "0.01" and words.percent(0.0) == "0.0"
    assert words.likeness(0.98765) == "0.9877"
