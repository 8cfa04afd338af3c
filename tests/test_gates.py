"""Rules are read from TOML, joined table by table, and checked when they are read."""

from pathlib import Path

import pytest

from cdb import gates
from cdb.errors import BadFile
from cdb.gates import load, packaged
from cdb.shapes import AREAS


@pytest.fixture
def lab(tmp_path: Path):
    """A function that reads a laboratory's file of rules."""

    def read(text: str) -> gates.Gates:
        path = tmp_path / "lab.toml"
        path.write_text(text)
        return load(path)

    return read


def test_every_known_detector_has_rules_for_pedestals():
    assert all(packaged().rules(dettype, "pedestals") for dettype in AREAS)


def test_the_packages_own_rules_make_sense():
    assert gates.of_layers(packaged().layers, "the package") == packaged()


def test_a_rule_says_where_it_stands():
    rules = packaged().rules("epix10ka", "pedestals")
    assert rules["low"].name == "epix10ka.pedestals.low"
    assert rules["dtype"].name == "known.pedestals.dtype"
    assert rules["low"].limits["share"] == 0.1  # of the table of all known detectors


def test_detector_types_may_be_written_in_capitals():
    assert packaged().rules("epix10ka2M", "pedestals") == packaged().rules(
        "epix10ka2m", "pedestals"
    )


def test_a_laboratory_changes_one_limit_and_keeps_the_rest(lab):
    rules = lab("[jungfrau.pedestals]\ndrift = { value = 20, severity = 'refuse' }")
    changed = rules.rules("jungfrau", "pedestals")
    assert (changed["drift"].limits["value"], changed["drift"].severity) == (20, "refuse")
    assert changed["high"] == packaged().rules("jungfrau", "pedestals")["high"]
    assert rules.rules("cspad", "pedestals") == packaged().rules("cspad", "pedestals")


def test_a_laboratory_turns_a_rule_off(lab):
    rules = lab("[known.pedestals]\nzero = { severity = 'off' }")
    assert "zero" not in rules.rules("jungfrau", "pedestals")
    assert "zero" not in rules.rules("epix10ka", "pedestals")


def test_a_laboratory_has_rules_for_a_detector_of_its_own(lab):
    rules = lab("""
        ['agipd*'.Offset]
        shape = { lengths = [['*', 3, 512, 128]], severity = 'quarantine' }
        low = { value = 1, severity = 'warn' }
        """)
    assert rules.rules("agipd1m", "Offset")["shape"].lengths == ((None, 3, 512, 128),)
    assert rules.rules("jungfrau", "Offset") == {}


def test_off_is_no_rule_at_all():
    assert load("off").rules("jungfrau", "pedestals") == {}


def test_nothing_named_is_the_package_alone():
    assert load(None) is load("") is packaged()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[jungfrau\n", r"is not TOML: .* \(at line 1, column 10\)"),
        ("jungfrau = 3", "jungfrau in the rules of .*lab.toml is 3; write tables, as"),
        ("[jungfrau.pedestals]\nlow = 3", "jungfrau.pedestals.low in the rules of .* is 3; write"),
        ("[jungfrau.pedestals.lowest]", "jungfrau.pedestals.lowest .* is no rule; there are kind,"),
        ("[jungfrau.pedestals.low]\nvalu = 3", "low.valu .* is no limit; good: severity, value"),
        ("[jungfrau.pedestals.low]\nvalue = '3'", "low.value .* is '3'; write a number"),
        ("[jungfrau.pedestals.low]\nvalue = true", "low.value .* is True; write a number"),
        ("[jungfrau.pedestals.low]\nvalue = nan", "low.value .* is nan; write a number"),
        ("[jungfrau.pedestals.low]\nshare = 10", "low.share .* is 10; write a number from 0 to 1"),
        ("[jungfrau.pedestals.low]\nseverity = 'no'", "severity .* 'no'; good: off, warn, quar"),
        ("[jungfrau.pedestals.low]\ngains = ['FH']", "names FH, which is no gain range of jungf"),
        ("[jungfrau.pixel_gain.order]\nfalling = ['g0']", "falling .* write lists of gain ranges"),
        ("[lab.pedestals.low]\nvalue = 3", "lab.pedestals.low .* has no severity; good: off,"),
        ("[lab.pedestals.low]\nseverity = 'warn'", "lab.pedestals.low .* has no limit; give val"),
        ("['lab*'.pedestals.drift]\nseverity = 'warn'", "has no limit; give value or share"),
        ("[lab.pedestals.shape]\nlengths = [[3, 0]]", r"write a list of shapes, as \[\[3, "),
        ("[lab.geometry.kind]\nis = 'table'", 'kind.is .* is .table.; write "array" or "text"'),
    ],
)
def test_a_rule_that_makes_no_sense_is_one_sentence_when_it_is_read(lab, text, says):
    with pytest.raises(BadFile, match=says) as told:
        lab(text)
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(BadFile, match=r"rules .*none.toml cannot be read: No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadFile, match="is not TOML"):
        load(tmp_path / "bytes.toml")
