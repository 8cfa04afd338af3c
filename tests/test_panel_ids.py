"""Ids of panels, by the numbers that are burnt in."""

import numpy as np
import pytest

from cdb.errors import BadName
from cdb.panel_ids import EPIX_NUMBERS, epix_id, id_in, jungfrau_id, long_name


def test_an_epix_has_seven_numbers_of_ten_digits():
    assert epix_id(range(1, 8)) == "-".join(f"{n:010d}" for n in range(1, 8))
    assert epix_id(np.full(7, 2**32 - 1, dtype="u4")) == "-".join(["4294967295"] * 7)


@pytest.mark.parametrize(
    ("numbers", "id_"),
    [
        ([0x8000000020000, 0x230920, 0x20004002C], "8000000020000-230920-20004002c"),
        # LCLS-I's tool gives "3-" where a zero stood at an end.
        ([0x30, 0x0, 0xA0], "30-0-a0"),
        ([0x100, 0xABC0], "100-abc0"),
    ],
)
def test_a_jungfrau_keeps_every_digit(numbers, id_):
    assert jungfrau_id(numbers) == id_


@pytest.mark.parametrize(
    ("make", "numbers"),
    [
        (epix_id, [1] * 6), (epix_id, [1] * 6 + [2**32]), (epix_id, [1] * 6 + ["x"]),
        (epix_id, [1] * 6 + [None]), (epix_id, [1] * 6 + [float("inf")]),
        (jungfrau_id, [1]), (jungfrau_id, [1, 2, -3]), (jungfrau_id, [1, 2, 3, 4]),
    ],
)  # fmt: skip
def test_numbers_that_are_no_id(make, numbers):
    with pytest.raises(BadName):
        make(numbers)


@pytest.mark.parametrize(
    ("configuration", "id_"),
    [
        ({"detid": "1-2-3", "serialNumber": 9}, "1-2-3"),
        (dict(zip(EPIX_NUMBERS, range(7), strict=True)), epix_id(range(7))),
        ({"moduleVersion": 1, "firmwareVersion": 16, "serialNumber": 17}, "1-10-11"),
        ({"firmwareVersion": 16, "serialNumber": 17}, "10-11"),
        ({"firmwareVersion": 16}, None),
        ({"detid": ""}, None),
    ],
)
def test_the_id_in_a_configuration(configuration, id_):
    assert id_in(configuration) == id_


def test_a_long_name_needs_all_ids():
    assert long_name("epix10ka", ["1-2", "3-4"]) == "epix10ka_1-2_3-4"
    for wrong in ("", ["1"]), ("epix10ka", []), ("epix10ka", ["1", ""]):
        with pytest.raises(BadName):
            long_name(*wrong)
