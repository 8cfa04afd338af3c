"""The rules of a laboratory: what a constant must be like to be let in, per detector and type.

A rule has a code, a severity and limits. Rules stand in TOML, in tables that are named for a
detector type and a constant type; those of the package are in ``gates.toml`` beside this module,
a laboratory's own file comes after it. What a rule looks at says ``docs/gates.md``.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from cdb.errors import BadFile, shown
from cdb.shapes import AREAS, Lengths

# From the mildest on; the last ones decide what becomes of a constant.
SEVERITIES = ("off", "warn", "quarantine", "refuse")
KNOWN = "known"  # every detector type of the table of shapes
OFF = "off"  # in place of a file: no rules at all

Table = Mapping[str, Any]
# Detector type -> constant type -> code -> limits.
Layer = Mapping[str, Mapping[str, Mapping[str, Table]]]


# What limits can be -----------------------------------------------------------------------------


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1  # type: ignore[operator]


def _is_positive(value: object) -> bool:
    return _is_number(value) and value > 0  # type: ignore[operator]


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)


def _are_chains(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_are_texts, value))


def _are_shapes(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_shape, value))


def _is_shape(value: object) -> bool:
    return isinstance(value, list) and all(
        length == "*" or (isinstance(length, int) and not isinstance(length, bool) and length > 0)
        for length in value
    )


@dataclass(frozen=True)
class _Limit:
    """What a limit can be, and the words for it."""

    admits: Callable[[object], bool]
    good: str


_SHARE = _Limit(_is_share, "a number from 0 to 1")
_VALUE = _Limit(_is_number, "a number")
_POSITIVE = _Limit(_is_positive, "a number above 0")
_GAINS = _Limit(_are_texts, 'a list of gain ranges, as ["g0", "g1"]')
_ALL = {"gains": _GAINS}

# The limits of each rule; the codes in the order in which findings are told.
LIMITS: Mapping[str, Mapping[str, _Limit]] = {
    "kind": {"is": _Limit(lambda v: v in ("array", "text"), '"array" or "text"')},
    "dtype": {"among": _Limit(_are_texts, 'a list of dtypes, as ["float32"]')},
    "shape": {"lengths": _Limit(_are_shapes, 'a list of shapes, as [[3, "*", 512, 1024]]')},
    "cut_out": {"share": _SHARE},
    "finite": {"share": _SHARE, **_ALL},
    "low": {"value": _VALUE, "share": _SHARE, **_ALL},
    "high": {"value": _VALUE, "share": _SHARE, **_ALL},
    "bad": {"share": _SHARE, **_ALL},
    "zero": _ALL,
    "constant": _ALL,
    "order": {"falling": _Limit(_are_chains, 'lists of gain ranges, as [["g0", "g1", "g2"]]')},
    "drift": {"value": _POSITIVE, "share": _POSITIVE, **_ALL},
}
# Of these limits a rule needs at least one.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "kind": ("is",),
    "dtype": ("among",),
    "cut_out": ("share",),
    "finite": ("share",),
    "low": ("value",),
    "high": ("value",),
    "bad": ("share",),
    "order": ("falling",),
    "drift": ("value", "share"),
}


# Rules ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """One rule for one constant type of one detector type.

    Attributes
    ----------
    code : str
        What it looks at; stands in findings.
    name : str
        Where it stands in the file: ``jungfrau.pedestals.low``.
    severity : str
        One of `SEVERITIES`.
    limits : mapping
        By name, as the file has them.
    """

    code: str
    name: str
    severity: str
    limits: Table

    @property
    def share(self) -> float:
        """The share of a panel that may be otherwise; 0 where the file says nothing."""
        return float(self.limits.get("share", 0))

    def is_about(self, gain: str | None) -> bool:
        """Return whether the rule looks at a gain range; None is an array without any."""
        return gain is None or gain in self.limits.get("gains", [gain])

    @property
    def lengths(self) -> tuple[Lengths, ...]:
        """Shapes that the file itself gives."""
        given: Sequence[Sequence[Any]] = self.limits.get("lengths", ())
        return tuple(tuple(None if n == "*" else n for n in shape) for shape in given)


@dataclass(frozen=True)
class Gates:
    """Rules for all constants.

    Attributes
    ----------
    layers : tuple of mappings
        Tables as they were read, one file after the other; of two that fit the later wins.
    source : str
        Where they are from, for messages.
    """

    layers: tuple[Layer, ...] = field(default=(), repr=False)
    source: str = OFF

    def rules(self, dettype: str, ctype: str) -> dict[str, Rule]:
        """Return the rules for a constant, by code; empty if there are none.

        Parameters
        ----------
        dettype : str
            Detector type, in any case.
        ctype : str
            Type of the constant.

        Examples
        --------
        >>> packaged().rules("jungfrau", "pedestals")["high"].limits["value"]
        16382
        >>> packaged().rules("epix", "pedestals")
        {}
        """
        kept = self._rules.get((dettype, ctype))
        if kept is None:
            found = self._merged(dettype.lower(), ctype)
            made = {
                code: Rule(code, name, given["severity"], given)
                for code, (name, given) in found.items()
                if given["severity"] != "off"
            }
            kept = self._rules[dettype, ctype] = {c: made[c] for c in LIMITS if c in made}
        return kept

    @cached_property
    def _rules(self) -> dict[tuple[str, str], dict[str, Rule]]:
        return {}

    def _merged(self, dettype: str, ctype: str) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return the name and the limits of each rule, joined from all tables that fit."""
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        for layer in self.layers:
            for detectors, tables in layer.items():
                detector = _fitting(detectors.lower(), dettype)
                for ctypes, rules in tables.items() if detector else ():
                    constant = _fitting(ctypes, ctype)
                    for code, given in rules.items() if constant else ():
                        before = found[code][1] if code in found else {}
                        found[code] = f"{detector}.{constant}.{code}", {**before, **given}
        return found


def _fitting(patterns: str, name: str) -> str | None:
    """Return which of a table's names means a detector type or constant type; None if none."""
    for pattern in _patterns(patterns):
        if name in AREAS if pattern == KNOWN else fnmatchcase(name, pattern):
            return pattern
    return None


def _patterns(text: str) -> list[str]:
    return [pattern.strip() for pattern in text.split(",")]


# Reading them -----------------------------------------------------------------------------------


@cache
def packaged() -> Gates:
    """Return the rules that come with the package."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    # Checked by the tests: an add should not wait for it.
    return Gates((tomllib.loads(text),), "the package")


def load(source: Path | str | None) -> Gates:
    """Return the rules of the package, with those of a laboratory's file over them.

    Parameters
    ----------
    source : Path or str or None
        The file; ``off`` for no rules at all, None or an empty text for the package's alone.

    Raises
    ------
    BadFile
        If it cannot be read, or a rule in it makes no sense: says which and what would.
    """
    if not source:
        return packaged()
    if str(source) == OFF:
        return Gates()
    try:
        table = tomllib.loads(Path(source).read_bytes().decode())
    except OSError as error:
        raise BadFile(f"the file of rules {source} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadFile(f"the file of rules {source} is not TOML: {error}") from error
    return of_layers([*packaged().layers, table], str(source))


def of_layers(layers: Sequence[object], source: str) -> Gates:
    """Return rules from tables, checked.

    Parameters
    ----------
    layers : sequence of mappings
        As TOML or JSON said them.
    source : str
        Where they are from, for messages.

    Raises
    ------
    BadFile
        Naming the rule that makes no sense.
    """
    checked = [_checked(layer, source) for layer in layers]
    made = Gates(tuple(checked), source)
    # A name with a star is tried on the known types, and on one that nobody else knows.
    named = {p.lower() for layer in checked for name in layer for p in _patterns(name)}
    detectors = {pattern.replace("*", "-") for pattern in named}
    ctypes = {p for layer in checked for t in layer.values() for c in t for p in _patterns(c)}
    for dettype in {*AREAS, *detectors} - {KNOWN}:
        for ctype in ctypes:
            for code, (name, given) in made._merged(dettype, ctype).items():
                _check_complete(name, code, given, source)
    return made


def _checked(layer: object, source: str) -> Layer:
    for detectors, tables in _table(layer, "the whole", source).items():
        for ctypes, rules in _table(tables, detectors, source).items():
            for code, given in _table(rules, f"{detectors}.{ctypes}", source).items():
                _check_rule(f"{detectors}.{ctypes}.{code}", code, given, source)
                _check_gains(f"{detectors}.{ctypes}.{code}", detectors, given, source)
    return layer  # type: ignore[return-value]  # that is what was checked


def _table(value: object, name: str, source: str) -> Table:
    if not isinstance(value, Mapping):
        raise BadFile(
            f"{name} in the rules of {source} is {shown(value)}; write tables, as "
            '[jungfrau.pedestals] with low = { value = 1, severity = "warn" }'
        )
    return value


def _check_rule(name: str, code: str, given: object, source: str) -> None:
    """Refuse a rule of which a part is no good."""
    if code not in LIMITS:
        good = ", ".join(LIMITS)
        raise BadFile(f"{name} in the rules of {source} is no rule; there are {good}")
    known = LIMITS[code]
    for key, value in _table(given, name, source).items():
        if key == "severity":
            if value not in SEVERITIES:
                good = ", ".join(SEVERITIES)
                raise BadFile(
                    f"{name}.severity in the rules of {source} is {shown(value)}; good: {good}"
                )
        elif key not in known:
            good = ", ".join(("severity", *known))
            raise BadFile(f"{name}.{key} in the rules of {source} is no limit; good: {good}")
        elif not known[key].admits(value):
            raise BadFile(
                f"{name}.{key} in the rules of {source} is {shown(value)}; write {known[key].good}"
            )


def _check_gains(name: str, detectors: str, given: Table, source: str) -> None:
    """Refuse gain ranges that the detector does not have, as far as one knows."""
    named = {*given.get("gains", ())} | {g for chain in given.get("falling", ()) for g in chain}
    for dettype, area in AREAS.items():
        wrong = sorted(named - {*area.gains})
        if wrong and area.gains and KNOWN not in detectors and _fitting(detectors.lower(), dettype):
            raise BadFile(
                f"{name} in the rules of {source} names {wrong[0]}, which is no gain range of "
                f"{dettype}; good: {', '.join(area.gains)}"
            )


def _check_complete(name: str, code: str, given: Table, source: str) -> None:
    if "severity" not in given:
        raise BadFile(
            f"{name} in the rules of {source} has no severity; good: {', '.join(SEVERITIES)}"
        )
    needs = _NEEDS.get(code, ())
    if given["severity"] != "off" and needs and not any(key in given for key in needs):
        raise BadFile(f"{name} in the rules of {source} has no limit; give {' or '.join(needs)}")
