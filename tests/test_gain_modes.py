"""Gain modes: each row of the tables, and where each ASIC lies."""

import numpy as np
import pytest

from cdb import gain_modes
from cdb.errors import BadQuestion
from cdb.gain_modes import EPIX10KA, JUNGFRAU_NAMES

# Bits: data bit 14, trbit, bit 3, bit 2 of the pixel map; None where either will do.
ROWS = {
    "FH": (None, 1, 1, 1), "FM": (None, 0, 1, 1), "FL": (None, None, 1, 0),
    "AHL-H": (0, 1, 0, 0), "AML-M": (0, 0, 0, 0), "AHL-L": (1, 1, 0, 0), "AML-L": (1, 0, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("data_bit", [0, 1])
@pytest.mark.parametrize("trbit", [0, 1])
@pytest.mark.parametrize("bit3", [0, 1])
@pytest.mark.parametrize("bit2", [0, 1])
def test_each_word_has_the_mode_of_its_row(data_bit, trbit, bit3, bit2):
    bits = (data_bit, trbit, bit3, bit2)
    fits = [
        mode
        for mode, row in ROWS.items()
        if all(want is None or want == bit for want, bit in zip(row, bits, strict=True))
    ]
    words = gain_modes.epix10ka_words([trbit] * 4, np.full((4, 176, 192), bit3 * 8 + bit2 * 4 + 3))
    words = gain_modes.with_data_bit(words, np.full((352, 384), data_bit << 14 | 77, dtype="u2"))
    modes = gain_modes.epix10ka_modes(words)
    # Bit 2 without bit 3 is no mode.
    assert [EPIX10KA[mode] for mode in {*modes.ravel().tolist()} - {-1}] == fits
    assert gain_modes.majority(gain_modes.fractions(modes, EPIX10KA)) == (fits or [None])[0]


@pytest.mark.parametrize(
    ("asic", "rows", "cols"),
    [
        (0, slice(176, None), slice(192, None)), (1, slice(None, 176), slice(192, None)),
        (2, slice(None, 176), slice(None, 192)), (3, slice(176, None), slice(None, 192)),
    ],
)  # fmt: skip
def test_where_each_asic_lies(asic, rows, cols):
    map_ = np.zeros((4, 178, 192), dtype="u1")
    map_[asic, :176] = 12
    map_[asic, 0, 0] = 8
    words = gain_modes.epix10ka_words(np.arange(4) == asic, map_)
    quarter = words[rows, cols]
    assert (words == 0).sum() == 3 * 176 * 192
    assert (quarter == 28).sum() == 176 * 192 - 1
    corner = quarter[-1, -1] if asic in (1, 2) else quarter[0, 0]
    assert corner == 24


def test_a_map_of_the_whole_panel_is_taken_as_it_lies():
    map_ = np.zeros((356, 384), dtype="u2")
    map_[0, 383] = 12
    words = gain_modes.epix10ka_words([0, 1, 0, 0], map_)
    assert (words[0, 383], words[0, 0], words[0, 382]) == (28, 0, 16)


@pytest.mark.parametrize("wrong", [(352, 383), (4, 176), (3, 176, 192)])
def test_a_map_of_another_shape(wrong):
    with pytest.raises(BadQuestion, match="the pixel map of an epix10ka has shape"):
        gain_modes.epix10ka_words([0] * 4, np.zeros(wrong, dtype="u1"))


def test_trbits_of_another_number():
    with pytest.raises(BadQuestion, match="not 3"):
        gain_modes.epix10ka_words([0] * 3, np.zeros((352, 384), dtype="u1"))


@pytest.mark.parametrize(
    ("names", "range_"),
    [
        (("Normal", "HighGain0", "DYNAMIC", "dynamic", "fixg0", "dynamicgain", "dynamichg0"), 0),
        (("FixedGain1", "ForcedGain1", "FIX_G1", "FORCE_SWITCH_G1", "fixg1", "forceswitchg1",
          "fixgain1"), 1),
        (("FixedGain2", "ForcedGain2", "FIX_G2", "FORCE_SWITCH_G2", "fixg2", "forceswitchg2",
          "fixgain2"), 2),
    ],
)  # fmt: skip
def test_each_name_of_a_jungfraus_range(names, range_):
    assert {gain_modes.jungfrau_range(name) for name in names} == {range_}
    assert {name for name, known in JUNGFRAU_NAMES.items() if known == range_} == {*names}


def test_a_name_that_is_none():
    with pytest.raises(BadQuestion, match="unknown gain mode 'Fast' of a jungfrau; known: Normal"):
        gain_modes.jungfrau_range("Fast")


@pytest.mark.parametrize(("bits", "range_"), [(0b00, 0), (0b01, 1), (0b11, 2), (0b10, -1)])
def test_each_pair_of_a_jungfraus_bits(bits, range_):
    raw = np.array([bits << 14, bits << 14 | 0x3FFF], dtype="u2")
    assert gain_modes.jungfrau_ranges(raw).tolist() == [range_] * 2


def test_half_of_the_pixels_is_no_majority():
    assert gain_modes.majority(gain_modes.fractions(np.int8([0, 0, 1, -1]), "ab")) is None
    assert gain_modes.majority(gain_modes.fractions(np.int8([0, 0, 0, -1]), "ab")) == "a"
    assert gain_modes.fractions(np.int8([]), "ab") == {"a": 0, "b": 0}
