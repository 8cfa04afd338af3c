"""Calibrated frames: the expression of each detector family, written out."""

import numpy as np
import pytest

from cdb import calibration, common_mode, gain_modes
from cdb.errors import BadArray, BadQuestion

JUNGFRAU, QUAD = (2, 512, 1024), (4, 352, 384)


@pytest.fixture(scope="module")
def random():
    return np.random.default_rng(8)


def raw_of(random, shape, bits):
    return (random.integers(0, 0x4000, shape) | (random.choice(bits, shape) << 14)).astype("uint16")


def expected(raw, ranges, pedestals, gain, offset=0, mask=1):
    index = np.maximum(ranges, 0)[np.newaxis]
    dark = np.take_along_axis(pedestals + offset, index, 0)[0]
    values = ((raw & 0x3FFF) - dark) / np.take_along_axis(gain, index, 0)[0]
    return np.where(ranges < 0, 0, values) * mask


@pytest.mark.parametrize("shares", [[1, 0, 0, 0], [0.6, 0.2, 0.1, 0.1], [0, 0.2, 0, 0.8]])
def test_jungfrau_takes_the_constants_of_each_pixels_range(random, shares):
    raw = raw_of(random, JUNGFRAU, [0])
    bits = random.choice(4, JUNGFRAU, p=shares)
    raw |= (bits << 14).astype("uint16")
    pedestals = random.normal(2000, 99, (3, *JUNGFRAU)).astype("float32")
    gain = random.normal(20, 1, (3, *JUNGFRAU)).astype("float32")
    offset = random.normal(5, 1, (3, *JUNGFRAU)).astype("float32")
    mask = random.integers(0, 2, JUNGFRAU)
    pedestals[:, mask == 0] = np.nan
    made = calibration.prepare("jungfrau", pedestals, gain=gain, offset=offset, mask=mask)
    ranges = np.array([0, 1, -1, 2])[bits]
    wanted = expected(raw, ranges, np.nan_to_num(pedestals), gain, offset, mask)
    np.testing.assert_allclose(made.apply(raw), wanted, rtol=1e-5, atol=1e-4)
    assert made.apply(raw).dtype == np.float32


@pytest.mark.parametrize("dettype", ["epix10kaquad", "Epix10kaQuad", "epix10ka"])
def test_epix10ka_takes_configuration_and_data(random, dettype):
    raw = raw_of(random, QUAD, [0, 1])
    words = random.choice([28, 12, 8, 16, 0], QUAD).astype("uint8")
    pedestals = random.normal(2000, 99, (7, *QUAD)).astype("float32")
    gain = random.normal(16, 1, (7, *QUAD)).astype("float32")
    made = calibration.prepare(dettype, pedestals, gain=gain)
    ranges = gain_modes.epix10ka_modes(gain_modes.with_data_bit(words, raw))
    assert set(np.unique(ranges)) == set(range(7))
    found = made.apply(raw, words=words)
    np.testing.assert_allclose(found, expected(raw, ranges, pedestals, gain), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("mode", "low", "high"), [("FH", 0, 0), ("FL", 2, 2), ("AML", 4, 6)])
def test_a_mode_may_be_named_for_all_pixels(mode, low, high):
    pedestals = np.arange(7, dtype="float32").reshape(7, 1, 1, 1) * np.ones((7, 1, 352, 384))
    made = calibration.prepare("epix10ka", pedestals)
    raw = np.full((1, 352, 384), 100, "uint16")
    assert made.apply(raw, words=mode)[0, 0, 0] == 100 - low
    assert made.apply(raw | 0x4000, words=mode)[0, 0, 0] == 100 - high


def test_any_other_detector_loses_its_pedestals_and_is_amplified(random):
    raw = random.integers(0, 0xFFFF, (30, 40)).astype("uint16")
    pedestals = random.normal(900, 9, (30, 40)).astype("float32")
    gain = random.normal(0.06, 0.01, (30, 40)).astype("float32")
    times = calibration.prepare("epix100a", pedestals, gain=gain, divides=False)
    np.testing.assert_allclose(times.apply(raw), (raw - pedestals) * gain, rtol=1e-5)
    over = calibration.prepare("epix100", pedestals, gain=1 / gain)
    np.testing.assert_allclose(over.apply(raw[np.newaxis]), times.apply(raw)[np.newaxis], rtol=1e-5)
    plain = calibration.prepare("opal", pedestals)
    np.testing.assert_allclose(plain.apply(raw.astype("float64")), raw - pedestals, rtol=1e-5)


def test_a_gain_of_zero_makes_a_pixel_zero():
    gain = np.array([[2.0, 0.0]])
    made = calibration.prepare("opal", np.zeros((1, 2)), gain=gain)
    assert made.apply(np.array([[8, 8]])).tolist() == [[4, 0]]


def test_cspads_low_gain_is_made_up_for():
    low = np.zeros((32, 185, 388), "uint8")
    low[3, 5, 7] = 1
    made = calibration.prepare("cspad", np.zeros((32, 185, 388), "float32"))
    frame = made.apply(np.full((32, 185, 388), 10, "int16"), gain_mask=low)
    assert (frame[3, 5, 7], frame[3, 5, 8]) == (pytest.approx(68.5), 10)


def test_the_common_mode_is_found_where_the_gain_is_high(random):
    raw = (random.normal(2000, 3, JUNGFRAU) + 40).astype("uint16")
    raw[0, :, :30] |= 0x4000
    pedestals = np.full((3, *JUNGFRAU), 2000, "float32")
    mask = np.ones(JUNGFRAU, "uint8")
    mask[:, 10] = 0
    made = calibration.prepare("jungfrau", pedestals, mask=mask, parameters=(7, 4, 200, 10))
    wanted = np.where(raw >> 14, 0, raw - 2000.0).astype("float32")
    common_mode.apply(wanted, (7, 4, 200, 10), "jungfrau", mask * (raw < 0x4000))
    high = (raw >> 14 == 0) & (mask == 1)
    np.testing.assert_allclose(made.apply(raw)[high], wanted[high])
    assert abs(made.apply(raw)[high].mean()) < 1
    assert made.apply(raw)[0, 200, 5] == (raw[0, 200, 5] & 0x3FFF) - 2000
    assert made.apply(raw, parameters=())[high].mean() > 30


@pytest.mark.parametrize(
    ("unit", "dettype", "divides"),
    [
        ("ADU/keV", "cspad", True), ("ADU per keV", "cspad", True), ("adu / kev", "x", True),
        ("keV/ADU", "jungfrau", False), ("photon/ADU", "jungfrau", False),
        (None, "jungfrau", True), (None, "epix10ka2M", True), (None, "epixhr2x2", True),
        (None, "cspad", False), (None, "epix100a", False), (None, "opal1000", False),
        (None, "opal", True),
    ],
)  # fmt: skip
def test_the_unit_tells_what_a_gain_does_then_the_detector_type(unit, dettype, divides):
    assert calibration.gain_divides(unit, dettype) is divides


@pytest.mark.parametrize(
    ("raw", "options", "error"),
    [
        ([1, 2], {}, BadArray),
        (np.zeros((352, 384), "uint16"), {}, BadArray),
        (np.zeros((1, 512, 1024)), {}, BadArray),
        (np.zeros((1, 1024, 512), "uint16"), {}, BadArray),
        (np.zeros((1, 512, 1024), "uint16"), {"gain_mask": np.zeros((2, 2))}, BadArray),
        (np.zeros((1, 512, 1024), "uint16"), {"parameters": (4, 1, 2, 3)}, BadQuestion),
    ],
)
def test_frames_of_other_pixels_are_refused(raw, options, error):
    made = calibration.prepare("jungfrau", np.zeros((3, 1, 512, 1024), "float32"))
    with pytest.raises(error):
        made.apply(raw, **options)


@pytest.mark.parametrize(
    ("words", "says"),
    [(None, "give words="), ("HF", "no mode 'HF'"), (np.zeros((2, 2)), "not of the pixels")],
)
def test_epix10ka_wants_its_configuration(words, says):
    made = calibration.prepare("epix10ka", np.zeros((7, 1, 352, 384), "float32"))
    with pytest.raises((BadQuestion, BadArray), match=says):
        made.apply(np.zeros((1, 352, 384), "uint16"), words=words)


def test_constants_of_other_pixels_and_units_are_refused():
    with pytest.raises(BadArray, match="pixel_gain of the shape"):
        calibration.prepare("opal", np.zeros((4, 5)), gain=np.zeros((5, 4)))
    with pytest.raises(BadArray, match="the mask of the shape"):
        calibration.prepare("opal", np.zeros((4, 5)), mask=np.zeros((2, 4, 5)))
    with pytest.raises(BadArray, match="pedestals of a jungfrau"):
        calibration.prepare("jungfrau", np.zeros((512, 1024)))
    with pytest.raises(BadQuestion, match="'furlong'"):
        calibration.gain_divides("furlong", "jungfrau")
