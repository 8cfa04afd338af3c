"""A constant held against its rules: what was found, and what becomes of it.

Each panel is looked at once, in float64; no more than one is held at a time.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdb import bits
from cdb.constant import QUARANTINED
from cdb.gates import LIMITS, SEVERITIES, Gates, Rule
from cdb.shapes import Lengths, Part, Shape, axes_of, fits, parts, shapes_of

# What becomes of a constant, by the severest of its findings.
ACCEPTED, WARNED, REFUSED = "accepted", "warned", "refused"
_OUTCOMES = dict(zip(SEVERITIES, (ACCEPTED, WARNED, QUARANTINED, REFUSED), strict=True))

# As many panels a message names.
NAMED = 3


@dataclass(frozen=True)
class Finding:
    """What is wrong with a constant.

    Attributes
    ----------
    code : str
        Of the rule: shape, low, drift, ...
    severity : str
        warn, quarantine or refuse.
    rule : str
        Where the rule stands: ``jungfrau.pedestals.low``.
    message : str
        A sentence.
    value, limit : float, str or None
        What was found, of the worst panel, and what would have been good.
    """

    code: str
    severity: str
    rule: str
    message: str
    value: float | str | None
    limit: float | str | None

    def as_json(self) -> dict[str, Any]:
        """Return it as documents keep it."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """What the rules say of a constant.

    Attributes
    ----------
    findings : tuple of Finding
        In the order of the rules.
    rules : tuple of str
        Names of the rules that there are for it; without any it passes.
    notes : tuple of str
        What was not looked at, and why.
    """

    findings: tuple[Finding, ...] = ()
    rules: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """``accepted``, ``warned``, ``quarantined`` or ``refused``."""
        severest = max((SEVERITIES.index(f.severity) for f in self.findings), default=0)
        return _OUTCOMES[SEVERITIES[severest]]

    @property
    def codes(self) -> str:
        """The codes of what led to the outcome."""
        return ", ".join(f.code for f in self.findings if _OUTCOMES[f.severity] == self.outcome)

    def fields(self, *, recorded: bool = False) -> dict[str, Any]:
        """Return what the document keeps: nothing if nothing was found.

        What is only `recorded` is a warning, however severe.
        """
        if not self.findings:
            return {}
        return {
            "gate": WARNED if recorded else self.outcome,
            "findings": [f.as_json() for f in self.findings],
        }

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "outcome": self.outcome,
            "findings": [f.as_json() for f in self.findings],
            "rules": list(self.rules),
            "notes": list(self.notes),
        }


# From nothing to the data in force, or to a text that says why there are none to compare with.
InForce = Callable[[], "NDArray[Any] | str"]


def inspect(gates: Gates, dettype: str, ctype: str, data: object, in_force: InForce) -> Verdict:
    """Return what the rules say of a constant.

    Parameters
    ----------
    gates : Gates
        The rules.
    dettype, ctype : str
        Detector type and type of the constant.
    data : ndarray, str or other
        The constant.
    in_force : callable
        Called, at most once, where the drift is to be looked at.

    Examples
    --------
    >>> from cdb.gates import packaged
    >>> nothing = lambda: "nothing is in force"
    >>> noise = np.full((704, 768), 3.0, "float32")
    >>> inspect(packaged(), "epix100a", "pixel_rms", noise, nothing).findings[0].message
    'the panel holds 3 everywhere'
    """
    rules = gates.rules(dettype, ctype)
    if not rules:
        note = f"no rule is about {ctype} of {dettype}: it passes"
        return Verdict(notes=(note,))
    looking = _Inspection(rules, dettype, ctype)
    found = list(looking.findings(data, in_force))
    found.sort(key=lambda finding: [*LIMITS].index(finding.code))
    names = tuple(rule.name for rule in rules.values())
    return Verdict(tuple(found), names, tuple(looking.notes))


@dataclass(frozen=True)
class _Panel:
    """What is kept of a panel, and what the rules want to know of it."""

    part: Part
    size: int
    n: int  # finite values
    mean: float
    least: float
    greatest: float
    below: int = 0
    above: int = 0
    bad: int = 0
    drift: float | None = None
    before: float = 0.0  # mean of the absolute values in force

    @property
    def name(self) -> str:
        panel = "the panel" if self.part.panel is None else f"panel {self.part.panel}"
        return panel if self.part.gain is None else f"{panel} in {self.part.gain}"


class _Inspection:
    """One constant and its rules."""

    def __init__(self, rules: Mapping[str, Rule], dettype: str, ctype: str) -> None:
        self.rules = rules
        self.dettype = dettype
        self.ctype = ctype
        self.notes: list[str] = []

    def findings(self, data: object, in_force: InForce) -> Iterator[Finding]:
        """Yield what is wrong, whole things first; a wrong shape leaves the values untouched."""
        wrong_kind = self._kind(data)
        if wrong_kind is not None:
            yield wrong_kind
            return
        if not isinstance(data, np.ndarray) or data.dtype.kind not in "biuf":
            if any(code != "kind" for code in self.rules):
                self.notes.append("it is no array of numbers: most rules did not look at it")
            return
        yield from self._dtype(data.dtype)
        wrong_shape = self._shape(data.shape)
        if wrong_shape is not None:
            yield wrong_shape
            self.notes.append("its values were not looked at: which are a panel is not known")
            return
        if not data.size:
            return
        before = in_force() if "drift" in self.rules else None
        if isinstance(before, np.ndarray) and (
            before.shape != data.shape or before.dtype.kind not in "biuf"
        ):
            before = f"what is in force has the shape {before.shape} of {before.dtype}"
        if isinstance(before, str):
            self.notes.append(f"drift was not looked at: {before}")
            before = None
        panels = [
            self._panel(data, before, part)
            for part in parts(data.shape, axes_of(data.shape, self.dettype))
        ]
        yield from self._of_panels(panels)

    # whole things ------------------------------------------------------------------------------

    def _kind(self, data: object) -> Finding | None:
        rule = self.rules.get("kind")
        if rule is None:
            return None
        wanted = rule.limits["is"]
        there = "text" if isinstance(data, str) else f"a {type(data).__name__}"
        if isinstance(data, np.ndarray):
            there = "array" if data.dtype.kind in "biuf" else f"an array of {data.dtype.name}"
        if there == wanted:
            return None
        good = "an array of numbers" if wanted == "array" else "a text"
        said = {"array": "an array", "text": "a text"}.get(there, there)
        return _finding(rule, f"{self.ctype} is {said}; it should be {good}", there, wanted)

    def _dtype(self, dtype: np.dtype[Any]) -> Iterator[Finding]:
        rule = self.rules.get("dtype")
        if rule is not None and dtype.name not in rule.limits["among"]:
            good = " or ".join(rule.limits["among"])
            message = f"{self.ctype} is {dtype.name}; {good} is usual"
            yield _finding(rule, message, dtype.name, good)

    def _shape(self, shape: Shape) -> Finding | None:
        rule = self.rules.get("shape")
        if rule is None:
            return None
        forms = rule.lengths or shapes_of(self.dettype, self.ctype)
        if not forms:
            self.notes.append(f"no shape is known of {self.ctype} of {self.dettype}")
            return None
        if 0 not in shape and any(fits(shape, form) for form in forms):
            return None
        good = " or ".join(map(_written, forms))
        cut_out = self.rules.get("cut_out")
        if cut_out is not None and any(_is_cut_out(shape, f, cut_out.share) for f in forms):
            message = f"{shape} is a cut-out of {good}"
            return _finding(cut_out, message, str(shape), good)
        message = f"the shape is {shape}; {self.ctype} of {self.dettype} has {good}"
        return _finding(rule, message, str(shape), good)

    # panels ------------------------------------------------------------------------------------

    def _panel(self, data: NDArray[Any], before: NDArray[Any] | None, part: Part) -> _Panel:
        stored = data[part.index]
        wide = _wide(stored)
        is_finite = np.isfinite(wide)
        n = int(np.count_nonzero(is_finite))
        finite = wide if n == wide.size else wide[is_finite]
        if not n:
            return _Panel(part, wide.size, 0, 0.0, 0.0, 0.0, bad=wide.size)
        drift, mean_before = None, 0.0
        if before is not None and self._is_about("drift", part):
            drift, mean_before = _distance(wide, _wide(before[part.index]))
        return _Panel(
            part,
            wide.size,
            n,
            _mean(finite),
            float(finite.min()),
            float(finite.max()),
            below=self._outside("low", np.less, finite, part),
            above=self._outside("high", np.greater, finite, part),
            bad=bits.count_bad(stored, self.ctype) if self._is_about("bad", part) else 0,
            drift=drift,
            before=mean_before,
        )

    def _is_about(self, code: str, part: Part) -> bool:
        rule = self.rules.get(code)
        return rule is not None and rule.is_about(part.gain)

    def _outside(self, code: str, compare: Any, finite: NDArray[np.float64], part: Part) -> int:
        if not self._is_about(code, part):
            return 0
        return int(np.count_nonzero(compare(finite, self.rules[code].limits["value"])))

    def _of_panels(self, panels: Sequence[_Panel]) -> Iterator[Finding]:
        for code, look in _LOOKS.items():
            rule = self.rules.get(code)
            if rule is None:
                continue
            about = [panel for panel in panels if rule.is_about(panel.part.gain)]
            found = [(look(rule, panel), panel) for panel in about]
            wrong = [(fault, panel) for fault, panel in found if fault is not None]
            if wrong:
                yield _worst(rule, wrong)
            if code in _ENOUGH:
                # Of a panel without any signal nothing else is worth a word.
                told = {id(panel) for _, panel in wrong}
                panels = [panel for panel in panels if id(panel) not in told]
        if "order" in self.rules:
            yield from _order(self.rules["order"], panels)


# What rules say of one panel --------------------------------------------------------------------


@dataclass(frozen=True)
class _Fault:
    """How far a panel is out: what was found, its limit, and the words for both."""

    value: float
    limit: float
    words: str
    weight: float  # of several the greatest is told


def _finite(rule: Rule, panel: _Panel) -> _Fault | None:
    share = panel.n / panel.size
    if share >= rule.share:
        return None
    words = f"has {_percent(share)} finite values; at least {_percent(rule.share)} are needed"
    return _Fault(share, rule.share, words, 1 - share)


def _low(rule: Rule, panel: _Panel) -> _Fault | None:
    return _outside(rule, panel, panel.below, "below")


def _high(rule: Rule, panel: _Panel) -> _Fault | None:
    return _outside(rule, panel, panel.above, "above")


def _outside(rule: Rule, panel: _Panel, number: int, where: str) -> _Fault | None:
    share = number / panel.size
    if share <= rule.share:
        return None
    words = (
        f"has {_percent(share)} of its values {where} {rule.limits['value']:g}; "
        f"{_percent(rule.share)} may be"
    )
    return _Fault(share, rule.share, words, share)


def _bad(rule: Rule, panel: _Panel) -> _Fault | None:
    share = panel.bad / panel.size
    if share <= rule.share:
        return None
    words = f"has {_percent(share)} bad pixels; {_percent(rule.share)} may be"
    return _Fault(share, rule.share, words, share)


def _zero(_: Rule, panel: _Panel) -> _Fault | None:
    if panel.n and panel.least == panel.greatest == 0:
        return _Fault(0.0, 0.0, "holds 0 everywhere", 1.0)
    return None


def _constant(_: Rule, panel: _Panel) -> _Fault | None:
    if panel.n > 1 and panel.least == panel.greatest != 0:
        return _Fault(panel.least, panel.least, f"holds {panel.least:g} everywhere", 1.0)
    return None


def _drift(rule: Rule, panel: _Panel) -> _Fault | None:
    """Compare the mean distance with a number, with a share of what is in force, or with both."""
    if panel.drift is None:
        return None
    limits = []
    if "value" in rule.limits:
        limits.append(float(rule.limits["value"]))
    if "share" in rule.limits:
        limits.append(rule.share * panel.before)
    limit = min(limits)
    if panel.drift <= limit:
        return None
    words = f"is {panel.drift:.4g} off the version in force, in the mean; {limit:.4g} may be"
    return _Fault(panel.drift, limit, words, panel.drift)


_LOOKS: Mapping[str, Callable[[Rule, _Panel], _Fault | None]] = {
    "finite": _finite,
    "zero": _zero,
    "constant": _constant,
    "low": _low,
    "high": _high,
    "bad": _bad,
    "drift": _drift,
}
_ENOUGH = ("zero", "constant")


def _worst(rule: Rule, wrong: Sequence[tuple[_Fault | None, _Panel]]) -> Finding:
    """Return one finding for all panels that are out, with the numbers of the worst."""
    faults = [(fault, panel) for fault, panel in wrong if fault is not None]
    fault, panel = max(faults, key=lambda pair: pair[0].weight)
    others = [p.name for _, p in faults if p is not panel]
    more = ""
    if others:
        few = ", ".join(others[:NAMED])
        rest = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        more = f" (so are {few}{rest})"
    message = f"{panel.name} {fault.words}{more}"
    return _finding(rule, message, _rounded(fault.value), _rounded(fault.limit))


def _order(rule: Rule, panels: Sequence[_Panel]) -> Iterator[Finding]:
    """Compare the means of gain ranges, panel by panel; the sign, a matter of wiring, is left."""
    by_gain = {(p.part.panel, p.part.gain): p for p in panels if p.n}
    for number in dict.fromkeys(p.part.panel for p in panels):
        for chain in rule.limits["falling"]:
            for first, second in zip(chain, chain[1:], strict=False):
                one, other = by_gain.get((number, first)), by_gain.get((number, second))
                if one is None or other is None or abs(one.mean) > abs(other.mean):
                    continue
                message = (
                    f"{other.name} has {abs(other.mean):.4g} in the mean, not less than "
                    f"{abs(one.mean):.4g} in {first}; {', '.join(chain)} should fall"
                )
                yield _finding(rule, message, _rounded(other.mean), _rounded(one.mean))
                return


# Numbers and words ------------------------------------------------------------------------------


def _finding(
    rule: Rule, message: str, value: float | str | None, limit: float | str | None
) -> Finding:
    return Finding(rule.code, rule.severity, rule.name, message, value, limit)


def _wide(values: NDArray[Any]) -> NDArray[np.float64]:
    # Beyond float64 a long double is infinite: not finite, whoever looks.
    with np.errstate(over="ignore"):
        return values.astype(np.float64)


def _mean(finite: NDArray[np.float64]) -> float:
    # A sum of what only a float64 holds may not fit into one.
    with np.errstate(over="ignore"):
        return float(finite.mean())


def _distance(new: NDArray[np.float64], old: NDArray[np.float64]) -> tuple[float | None, float]:
    """Return the mean distance of two panels where both are finite, and the mean of the old."""
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.abs(new - old)
        both = np.isfinite(apart)
        if not both.all():
            apart, old = apart[both], old[both]
        if not apart.size:
            return None, 0.0
        return float(apart.mean()), float(np.abs(old).mean())


def _rounded(value: float) -> float | None:
    """Return a number as documents keep it: six digits, and no infinity, which JSON lacks."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _written(form: Lengths) -> str:
    """Return a shape of the table as a text.

    Examples
    --------
    >>> _written((3, None, 512, 1024))
    '(3, N, 512, 1024)'
    """
    lengths = ", ".join("N" if length is None else str(length) for length in form)
    return f"({lengths},)" if len(form) == 1 else f"({lengths})"


def _is_cut_out(shape: Shape, form: Lengths, share: float) -> bool:
    """Return whether an array is a small part of what a shape stands for.

    Examples
    --------
    >>> _is_cut_out((2, 3), (7, None, 352, 384), 0.25)
    True
    >>> _is_cut_out((16, 352, 384), (7, None, 352, 384), 0.25)
    False
    """
    if not shape or 0 in shape or len(shape) > len(form):
        return False
    there = tuple(zip(reversed(shape), reversed(form), strict=False))
    if any(wanted is not None and length > wanted for length, wanted in there):
        return False
    pixels = [(length, wanted) for length, wanted in there[:2] if wanted is not None]
    return bool(pixels) and math.prod(n for n, _ in pixels) <= share * math.prod(
        n for _, n in pixels
    )
