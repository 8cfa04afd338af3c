"""Each planted fault has its own code, good constants pass, and a verdict says what becomes."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cdb.gates import LIMITS, Gates, of_layers, packaged
from cdb.inspection import Verdict, inspect

JUNGFRAU = (3, 2, 512, 1024)
EPIX10KA = (7, 1, 352, 384)


def nothing() -> str:
    return "nothing is in force"


def pedestals(shape=JUNGFRAU, seed: int = 1) -> np.ndarray:
    """Return pedestals as a dark gives them: around 2800, some ADU from pixel to pixel."""
    noise = np.random.default_rng(seed).standard_normal(shape, dtype="float32")
    return 2800 + 5 * noise


def noise(shape=JUNGFRAU) -> np.ndarray:
    return 3 + 0.1 * np.random.default_rng(2).random(shape, dtype="float32")


def gains(*means: float, shape=(1, 352, 384)) -> np.ndarray:
    spread = np.random.default_rng(3).normal(1, 0.01, (len(means), *shape))
    return (np.reshape(means, (-1, 1, 1, 1)) * spread).astype("float32")


def status(shape=JUNGFRAU, share: float = 0.01) -> np.ndarray:
    return (np.random.default_rng(4).random(shape, dtype="float32") < share).astype("uint64")


HIGH_MEDIUM_LOW = (16.4, 5.466, 0.164, 16.4, 5.466, 0.164, 0.164)


def with_charge_injection_missing() -> np.ndarray:
    made = pedestals(EPIX10KA)
    made[5:] = 0
    return made


GOOD = {
    "jungfrau pedestals": lambda: pedestals(),
    "epix10ka pedestals": lambda: pedestals(EPIX10KA),
    "epix10ka pedestals without charge injection": with_charge_injection_missing,
    "epix100a pedestals": lambda: pedestals((704, 768)).astype("float64"),
    "cspad pedestals": lambda: pedestals((4, 8, 185, 388)),
    "cspad2x2 pedestals": lambda: pedestals((185, 388, 2)),
    "epixm320 pedestals": lambda: pedestals((3, 4, 192, 384)),
    "pnccd pixel_rms": lambda: noise((4, 512, 512)),
    "epix10ka pixel_gain": lambda: gains(*HIGH_MEDIUM_LOW),
    "jungfrau pixel_gain": lambda: gains(41.5, -1.39, -0.11, shape=(1, 512, 1024)),
    "jungfrau pixel_status": status,
    "jungfrau pixel_mask": lambda: 1 - status(share=0.2).astype("uint8"),
    "jungfrau geometry": lambda: "# IP 0 TOP 0 0 0 0 0 0 0 0 0 0",
}


def changed(make, change):
    """Return what makes an array and plants a fault in it."""

    def made():
        array = make()
        change(array)
        return array

    return made


def put(index, value):
    return lambda array: array.__setitem__(index, value)


FAULTS = {
    "kind": ("jungfrau pedestals", lambda: "see the logbook"),
    "dtype": ("jungfrau pedestals", lambda: pedestals().astype("int16")),
    "shape": ("jungfrau pedestals", lambda: pedestals((2, 512, 1024))),
    "cut_out": ("jungfrau pedestals", lambda: pedestals((3, 2, 16, 16))),
    "finite": ("jungfrau pedestals", changed(pedestals, put((1, 0, slice(0, 9)), np.nan))),
    "low": ("jungfrau pedestals", changed(pedestals, put((0, 1, slice(0, 60)), 0.5))),
    "high": ("jungfrau pedestals", changed(pedestals, put((2, 1, slice(0, 60)), 16383))),
    "bad": ("jungfrau pixel_status", changed(status, put((0, 0, slice(0, 60)), 3))),
    "zero": ("jungfrau pedestals", changed(pedestals, put((1, 1), 0))),
    "constant": ("jungfrau pixel_rms", changed(noise, put((1, 1), 1))),
    "order": ("epix10ka pixel_gain", lambda: gains(5.466, 16.4, *HIGH_MEDIUM_LOW[2:])),
    "drift": ("jungfrau pedestals", lambda: pedestals() + 120),
}


def verdict_of(name: str, data: object, in_force=nothing) -> Verdict:
    dettype, ctype = name.split()[:2]
    return inspect(packaged(), dettype, ctype, data, in_force)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_set_passes_without_a_word(name):
    verdict = verdict_of(name, GOOD[name]())
    assert verdict.findings == ()
    assert verdict.outcome == "accepted"
    assert verdict.rules
    assert verdict.fields() == {}


@pytest.mark.parametrize("code", FAULTS)
def test_a_planted_fault_gives_its_code_and_no_other(code):
    name, make = FAULTS[code]
    verdict = verdict_of(name, make(), pedestals if code == "drift" else nothing)
    assert [finding.code for finding in verdict.findings] == [code]
    assert verdict.outcome != "accepted"


def test_there_are_twelve_faults_and_a_rule_for_each():
    assert len(FAULTS) == 12
    assert {*FAULTS} == {*LIMITS}


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("kind", "pedestals is a text; it should be an array of numbers"),
        ("dtype", "pedestals is int16; float32 or float64 is usual"),
        ("shape", r"the shape is (2, 512, 1024); pedestals of jungfrau has (3, N, 512, 1024)"),
        ("cut_out", "(3, 2, 16, 16) is a cut-out of (3, N, 512, 1024)"),
        ("finite", "panel 0 in g1 has 98.24 % finite values; at least 99 % are needed"),
        ("low", "panel 1 in g0 has 11.72 % of its values below 1; 10 % may be"),
        ("high", "panel 1 in g2 has 11.72 % of its values above 16382; 10 % may be"),
        ("zero", "panel 1 in g1 holds 0 everywhere"),
        ("constant", "panel 1 in g1 holds 1 everywhere"),
        ("drift", "panel 0 in g0 is 120 off the version in force, in the mean; 50 may be"),
    ],
)
def test_a_finding_says_what_was_found_where_and_what_would_be_good(code, says):
    name, make = FAULTS[code]
    (finding,) = verdict_of(name, make(), pedestals if code == "drift" else nothing).findings
    assert finding.message.startswith(says)


def test_many_panels_are_told_in_one_finding():
    (finding,) = verdict_of("jungfrau pedestals", np.zeros(JUNGFRAU, "float32")).findings
    assert finding.message == (
        "panel 0 in g0 holds 0 everywhere (so are panel 1 in g0, panel 0 in g1, panel 1 in g1 and "
        "2 more)"
    )


def test_nobody_asks_for_what_is_in_force_where_no_panel_is_looked_at():
    def never():
        raise AssertionError("asked")

    verdict = verdict_of("jungfrau pedestals", pedestals((3, 2, 16, 16)), never)
    assert verdict.outcome == "warned"
    assert verdict.notes == ("its values were not looked at: which are a panel is not known",)


def test_what_in_force_has_another_shape_is_not_compared():
    verdict = verdict_of("jungfrau pedestals", pedestals(), lambda: pedestals((3, 1, 512, 1024)))
    assert verdict.findings == ()
    assert "drift was not looked at: what is in force has the shape" in verdict.notes[0]


def test_drift_is_of_pixels_that_are_finite_in_both():
    old, new = pedestals(), pedestals()
    old[0, 0, 0], new[0, 0, 1] = np.nan, np.nan
    assert verdict_of("jungfrau pedestals", new, lambda: old).findings == ()


@pytest.mark.parametrize(
    ("value", "codes"),
    [(np.nan, ["finite"]), (np.inf, ["finite"]), (1e38, ["high"])],
)
def test_values_that_are_no_pedestals_stop_nothing(value, codes):
    data = np.full((704, 768), value, "float32")
    data[0, 0] = 3e38
    verdict = verdict_of("epix100a pedestals", data, lambda: pedestals((704, 768)))
    assert [f.code for f in verdict.findings if f.code != "drift"] == codes


def test_an_array_without_pixels_has_the_wrong_shape():
    data = np.zeros((3, 0, 512, 1024), "float32")
    assert [f.code for f in verdict_of("jungfrau pedestals", data).findings] == ["shape"]


@pytest.mark.parametrize("dtype", ["complex64", "U4", "bool"])
def test_what_is_no_number_is_told(dtype):
    (finding,) = verdict_of("epix100a pedestals", np.zeros((704, 768), dtype)).findings[:1]
    assert finding.code == ("dtype" if dtype == "bool" else "kind")


@pytest.mark.parametrize("data", ["a text", {"a": 1}, np.zeros(3, "complex64"), None])
def test_of_what_is_no_array_of_numbers_it_is_said_that_nothing_was_looked_at(data):
    rules = of_layers([{"lab": {"pedestals": {"zero": {"severity": "warn"}}}}], "a test")
    verdict = inspect(rules, "lab", "pedestals", data, nothing)
    assert verdict.outcome == "accepted"
    assert verdict.notes == ("it is no array of numbers: most rules did not look at it",)


# Every rule but those of the kind and the shape, so that values are always looked at.
SHARP = Gates(({"*": {"*": {
    "dtype": {"among": ["float32"], "severity": "warn"},
    "finite": {"share": 0.99, "severity": "warn"},
    "low": {"value": 1, "share": 0.1, "severity": "warn"},
    "high": {"value": 2, "severity": "quarantine"},
    "bad": {"share": 0.1, "severity": "warn"},
    "zero": {"severity": "warn"},
    "constant": {"severity": "refuse"},
    "order": {"falling": [["g0", "g1", "g2"], ["FH", "FM"], ["0", "1"]], "severity": "warn"},
    "drift": {"value": 1, "share": 0.1, "severity": "warn"},
}}},), "a test")  # fmt: skip

HUGE = np.longdouble("1e4000") if np.finfo(np.longdouble).maxexp > 10_000 else np.longdouble("inf")
SHAPES = hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
ODD = [np.dtype(spec) for spec in ("O", "V3", "f4,i4", ">f4", ">u8", "f2", "c8", "S2")]
ARRAYS = st.one_of(
    hnp.arrays(hnp.scalar_dtypes(), SHAPES),
    st.builds(np.zeros, SHAPES, st.sampled_from(ODD)),
    st.builds(np.full, SHAPES, st.sampled_from([HUGE, np.longdouble("nan"), 3e308, -3e308])),
)


@settings(deadline=None)
@given(
    data=ARRAYS,
    before=ARRAYS | st.none(),
    dettype=st.sampled_from(["jungfrau", "epix10ka", "cspad", "cspad2x2", "uxi", "mine"]),
    ctype=st.sampled_from(["pedestals", "pixel_status", "pixel_mask", "geometry", "notes"]),
)
def test_whatever_comes_gets_a_verdict_that_documents_can_keep(data, before, dettype, ctype):
    told = nothing() if before is None else before
    verdict = inspect(SHARP, dettype, ctype, data, lambda: told)
    kept = json.loads(json.dumps(verdict.as_json(), allow_nan=False))
    assert kept["outcome"] in ("accepted", "warned", "quarantined", "refused")
    codes = [finding["code"] for finding in kept["findings"]]
    assert codes == [code for code in LIMITS if code in codes]


def test_of_what_no_rule_is_about_all_passes():
    for dettype, ctype in (("epix", "pedestals"), ("jungfrau", "notes")):
        verdict = inspect(packaged(), dettype, ctype, object(), nothing)
        assert verdict.outcome == "accepted"
        assert verdict.notes == (f"no rule is about {ctype} of {dettype}: it passes",)


def test_the_severest_finding_decides():
    rules = of_layers([{"lab": {"pedestals": {
        "low": {"value": 0, "severity": "warn"}, "high": {"value": 9, "severity": "refuse"},
        "zero": {"severity": "quarantine"},
    }}}], "a test")  # fmt: skip
    asked = {(-1, 3): "warned", (0, 0): "quarantined", (-1, 10): "refused", (1, 2): "accepted"}
    for values, outcome in asked.items():
        verdict = inspect(rules, "lab", "pedestals", np.array([values], float), nothing)
        assert verdict.outcome == outcome
    assert verdict.fields() == {}


def test_memory_is_that_of_a_panel():
    data = pedestals((7, 16, 352, 384))
    tracemalloc.start()
    verdict_of("epix10ka2m pedestals", data, lambda: data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * (352 * 384 * 8)
