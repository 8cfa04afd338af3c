"""What is in force against limits: age, bad pixels, means."""

import numpy as np
import pytest

from cdb import staleness, trends
from cdb.database import Database
from cdb.errors import BadFile, BadQuestion, BadTime, NotFound
from cdb.staleness import DEFAULTS, Limits, Thresholds, parse, parse_age, read, stale

JUNGFRAU = "jungfrau_000001"


def day(n, hour=0):
    return f"2021-10-{n:02d}T{hour:02d}:00:00Z"


def add_dark(db, n, *, level=100.0, bad=0, **more):
    dark = np.full((3, 2, 4, 6), 100.0, "f4")
    dark[0] = level
    status = np.zeros((3, 2, 4, 6), "u8")
    status.reshape(-1)[:bad] = 4
    which = {"detector": JUNGFRAU, "run": n, "time": day(n), **more}
    return db.add(dark, ctype="pedestals", **which), db.add(status, ctype="pixel_status", **which)


def by_type(db, **asked):
    return {condition.ctype: condition for condition in stale(db, **asked)}


def test_what_is_in_force_has_an_age_and_a_trend(any_db):
    for n, bad in ((1, 0), (2, 0), (3, 1)):
        add_dark(any_db, n, level=100 + n, bad=bad, experiment="xpp1")
    found = by_type(any_db, experiment="xpp1", time=day(3, 6))
    peds, status = found["pedestals"], found["pixel_status"]
    assert (peds.stale, peds.age, peds.before) == (False, 6 * 3600, 2)
    assert peds.mean_change == pytest.approx(1.5 / 101.5)
    assert peds.gain == "g0"
    assert (status.bad, status.bad_change) == (1 / 144, 1 / 144)
    assert status.mean is None
    assert peds.last_dark.day == 3


def test_a_tag_stands_for_a_state(any_db):
    first, _ = add_dark(any_db, 1, experiment="xpp1")
    any_db.tags.create("summer26")
    second, _ = add_dark(any_db, 2, level=200, experiment="xpp1")
    for asked, ids in ({"tag": "summer26"}, [first.id]), ({}, [first.id, second.id]):
        (there,) = [
            each
            for each in staleness.in_force(any_db, experiment="xpp1", **asked)
            if each.ctype == "pedestals"
        ]
        assert there.version.id == ids[-1]
        of_trend = trends.versions_of(any_db, JUNGFRAU, "pedestals", experiment="xpp1", **asked)
        assert [version.id for version in of_trend] == ids
    found = by_type(any_db, experiment="xpp1", time=day(3), tag="summer26")["pedestals"]
    assert (found.before, found.mean_change) == (0, None)
    with pytest.raises(BadQuestion, match="give one of them"):
        stale(any_db, tag="summer26", as_of=1)


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ({"level": 130.0}, "the mean of g0 changed by 30 %, limit 10 %"),
        ({"bad": 2}, "the share of bad values grew by 1.4 %, limit 1 %"),
        ({"bad": 10}, "6.9 % of the values are bad, limit 5 %"),
    ],
)
def test_each_limit_has_its_reason(memory_db, last, reason):
    add_dark(memory_db, 1)
    add_dark(memory_db, 2, **last)
    reasons = [why for found in stale(memory_db, time=day(2, 1)) for why in found.reasons]
    assert reason in reasons
    assert all(not found.stale for found in stale(memory_db, time=day(1, 1)))


def test_what_is_old_is_stale(memory_db):
    add_dark(memory_db, 1)
    assert not by_type(memory_db, time=day(8))["pedestals"].stale
    assert by_type(memory_db, time=day(9))["pedestals"].reasons == ("8 d old, limit 7 d",)
    assert by_type(memory_db)["pedestals"].stale


def test_what_holds_for_past_runs_alone_is_missing(memory_db):
    add_dark(memory_db, 1, run_end=5)
    found = by_type(memory_db, time=day(1, 1))["pedestals"]
    assert (found.version, found.reasons) == (None, ("nothing holds for coming runs",))
    memory_db.add("old", detector=JUNGFRAU, ctype="notes", run=1, run_end=2, time=day(1))
    assert not by_type(memory_db, time=day(1, 1))["notes"].stale


def test_the_last_dark_may_be_younger_than_what_is_in_force(memory_db):
    add_dark(memory_db, 1)
    add_dark(memory_db, 3, run_end=7)
    found = by_type(memory_db, time=day(3, 1))["pedestals"]
    assert (found.version.time.day, found.last_dark.day, found.since_dark) == (1, 3, 3600)


def test_an_experiment_without_darks_of_its_own_has_the_detectors(memory_db):
    for n in (1, 2):
        add_dark(memory_db, n, level=100 * n, experiment="xpp1")
    memory_db.add("text", detector=JUNGFRAU, ctype="notes", experiment="xpp2", time=day(2))
    found = by_type(memory_db, experiment="xpp2", time=day(2, 1))
    assert found["pedestals"].version.database == "cdb_jungfrau_000001"
    assert (found["pedestals"].before, found["pedestals"].mean_change) == (1, 1.0)
    assert found["notes"].version.experiment == "xpp2"


def test_every_detector_is_looked_at(memory_db):
    add_dark(memory_db, 1)
    memory_db.add(np.ones((2, 3)), detector="epix100_000001", ctype="pedestals", time=day(1))
    assert {found.detector for found in stale(memory_db)} == {JUNGFRAU, "epix100_000001"}
    assert {found.detector for found in stale(memory_db, detector=JUNGFRAU)} == {JUNGFRAU}


def test_a_long_name_is_taken(memory_db):
    memory_db.add(np.ones((2, 3)), detector="epix100_ab-1", ctype="pedestals", time=day(1))
    assert stale(memory_db, detector="epix100_ab-1")[0].detector == "epix100_000001"


def test_nothing_is_no_answer(memory_db):
    with pytest.raises(NotFound, match="this store"):
        stale(memory_db)
    with pytest.raises(NotFound, match="epix_000001"):
        stale(memory_db, detector="epix_000001")
    with pytest.raises(NotFound, match="xpp9"):
        stale(memory_db, experiment="xpp9")


def test_the_past_can_be_asked(memory_db):
    first, _ = add_dark(memory_db, 1)
    add_dark(memory_db, 3)
    found = by_type(memory_db, time=day(4), as_of=first.seq)
    assert found["pedestals"].version.time.day == 1


def test_without_a_trend_no_data_are_read(memory_db, monkeypatch):
    add_dark(memory_db, 1)
    monkeypatch.setattr(memory_db, "data", None)
    found = by_type(memory_db, time=day(1, 1), last=0)["pedestals"]
    assert (found.age, found.bad, found.mean) == (3600, None, None)
    with pytest.raises(BadQuestion, match="give 0"):
        stale(memory_db, last=-1)


def test_only_so_many_versions_make_the_trend(memory_db):
    for n, level in ((1, 1.0), (2, 1.0), (3, 100.0), (4, 100.0), (5, 100.0)):
        add_dark(memory_db, n, level=level)
    assert by_type(memory_db, time=day(6), last=2)["pedestals"].mean_change == 0
    assert by_type(memory_db, time=day(6), last=4)["pedestals"].before == 4


def test_what_lies_in_the_future_is_new(memory_db):
    add_dark(memory_db, 1)
    memory_db.add(
        np.ones((2, 3)), detector=JUNGFRAU, ctype="pixel_rms", time="2100-01-01T00:00:00Z"
    )
    assert by_type(memory_db)["pixel_rms"].age == 0


def test_an_array_without_values_has_no_share(memory_db):
    db = Database(memory_db.store, gates="off")
    db.add(np.empty((0, 3)), detector=JUNGFRAU, ctype="pedestals", time=day(1))
    db.add(np.full((2, 3), np.nan), detector=JUNGFRAU, ctype="pixel_rms", time=day(1))
    found = by_type(db)
    assert (found["pedestals"].bad, found["pixel_rms"].bad) == (None, 1.0)
    assert found["pixel_rms"].mean is None


# limits ----------------------------------------------------------------------------------------

TOML = """
[types.pedestals]
max_age = "36h"
[types.notes]
max_age = "1w"
[detectors.jungfrau]
pedestals = { max_mean_change = 0.02 }
[detectors.jungfrau_000002]
pedestals = { max_age = false, max_bad = 0 }
"""


def test_the_nearest_limit_counts():
    limits = parse(TOML)
    assert limits.of("epix_000001", "pedestals") == Limits(36 * 3600, max_mean_change=0.1)
    assert limits.of("jungfrau_000001", "pedestals") == Limits(36 * 3600, max_mean_change=0.02)
    assert limits.of("jungfrau_000002", "pedestals") == Limits(None, 0.0, None, 0.02)
    assert limits.of("epix_000001", "notes").max_age == 7 * 86400
    assert limits.of("epix_000001", "pixel_status") == DEFAULTS["pixel_status"]


def test_what_is_given_replaces_only_limits_that_are_there():
    limits = Thresholds(given={"max_age": 60.0, "max_bad": 0.5})
    assert limits.of("epix_000001", "pixel_status").max_age == 60
    assert limits.of("epix_000001", "pixel_status").max_bad == 0.5
    assert limits.of("epix_000001", "pedestals").max_bad is None
    assert limits.of("epix_000001", "geometry") == Limits()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[types", "is no TOML"),
        ("[type.pedestals]", "no table \\[type\\] is known"),
        ("types = 1", "must be a table"),
        ("[types]\npedestals = 1", "types.pedestals is 1; it must be a table"),
        ("[types.pedestals]\nmax_ages = '1d'", "max_ages is no limit; there are max_age, max_bad"),
        ("[types.pedestals]\nmax_age = 5", "types.pedestals: max_age: 5 is no age"),
        ("[types.pedestals]\nmax_bad = true", "max_bad is True; give a share"),
        ("[types.pedestals]\nmax_bad = nan", "max_bad is nan; give a share"),
        ("[types.pedestals]\nmax_bad = -1", "max_bad is -1; give a share"),
        ("[detectors]\njungfrau = 1", "detectors.jungfrau is 1; it must be a table"),
    ],
)
def test_a_file_that_says_what_is_no_limit_is_refused(text, said):
    with pytest.raises(BadFile, match=said):
        parse(text)


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(BadFile, match="there is no file"):
        read(tmp_path / "none.toml")
    with pytest.raises(BadFile, match="cannot read"):
        read(tmp_path)
    (tmp_path / "latin").write_bytes(b"\xff")
    with pytest.raises(BadFile, match="no UTF-8"):
        read(tmp_path / "latin")
    (tmp_path / "good.toml").write_text(TOML)
    assert read(tmp_path / "good.toml") == parse(TOML)


@pytest.mark.parametrize("text", ["", "5", "d", "-1d", "1e3d", "5 days", "1d12h", "٥d", 5, None])
def test_an_age_is_a_number_and_a_unit(text):
    with pytest.raises(BadTime, match="no age"):
        parse_age(text)


def test_an_age_is_told_in_the_unit_that_fits():
    assert [staleness.age(x) for x in (0, 7199, 7200, 2 * 86400)] == [
        "0 min",
        "119 min",
        "2 h",
        "2 d",
    ]
