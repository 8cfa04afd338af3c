"""Rules for new constants: all of them, over 16 panels, beside one pass of numpy's."""

from typing import Any

import numpy as np
from table import Row, Target
from timing import medians

from cdb.gates import Gates, of_layers, packaged
from cdb.inspection import inspect

# A laboratory's rules for a megapixel AGIPD, whose constants have the gain range after the module.
AGIPD = {
    "agipd": {
        "offset": {
            "shape": {"lengths": [[16, 3, 512, 128]], "severity": "quarantine"},
            "finite": {"share": 0.99, "severity": "quarantine"},
            "low": {"value": 1, "share": 0.1, "severity": "quarantine"},
            "high": {"value": 16382, "share": 0.1, "severity": "quarantine"},
            "zero": {"severity": "quarantine"},
            "constant": {"severity": "quarantine"},
            "drift": {"value": 50, "severity": "warn"},
        }
    }
}


def rows() -> list[Row]:
    """Measure an AGIPD's offsets, and pedestals of an epix10ka2M with its seven gain ranges."""
    lab = of_layers([*packaged().layers, AGIPD], "a laboratory")
    return [
        measured(lab, "agipd", "offset", (16, 3, 512, 128)),
        measured(packaged(), "epix10ka2m", "pedestals", (7, 16, 352, 384)),
    ]


def measured(rules: Gates, dettype: str, ctype: str, shape: tuple[int, ...]) -> Row:
    """Measure all rules, the drift from a version in force among them."""
    rng = np.random.default_rng(1)
    new = 3000 + 20 * rng.standard_normal(shape, dtype="float32")
    old = 3000 + 20 * rng.standard_normal(shape, dtype="float32")

    def all_rules() -> None:
        verdict = inspect(rules, dettype, ctype, new, lambda: old)
        assert verdict.outcome == "accepted"
        assert not verdict.notes

    ours, theirs = medians(all_rules, lambda: one_pass(new), repeats=3)
    what = f"all rules, {dettype} {'x'.join(map(str, shape))}"
    return Row(what, ours, "numpy: finite, mean, min, max", theirs, Target(5.0))


def one_pass(array: Any) -> tuple[float, ...]:
    """Return what needs the array as a whole, and no more."""
    return float(np.isfinite(array).mean()), array.mean(), array.min(), array.max()
