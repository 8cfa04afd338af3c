"""dcs files: the range and version that hold are found, and what is wrong is told, not fatal."""

import math

import numpy as np
import pytest

from cdb.errors import BadFile, BadTime, NotFound
from cdb.files import dcs
from tests.files.hdf5_files import fixed, h5py, number, write_dcs, write_range

PEDS = np.arange(6, dtype=np.float32).reshape(2, 3)
GEOMETRY = "IP 0  EPIX100:V1 0  0 0 -100000  90 180 0  0 0 0\n# µm"


@pytest.fixture
def path(tmp_path):
    ranges = [
        (100.25, "end", {1: PEDS, 2: PEDS + 1}),
        (100.25, 300.5, {1: PEDS + 2}),
        (200.0, 250.0, {1: PEDS + 3}),
    ]
    file = tmp_path / "epix100a-3925868555.h5"
    return write_dcs(file, {"geometry": [(5.5, "end", {1: GEOMETRY})], "pedestals": ranges})


def changed(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    return dcs.read(path)


def test_the_tree_is_read_with_its_notes(path):
    found = dcs.read(path)
    assert (found.dettype, found.detid, found.made) == ("epix100a", "3925868555", 1474587520.25)
    assert (found.predecessor, found.successor, found.refused) == (None, None, ())
    assert found.notes[""].history == ((1474587520.25, "add ctype pedestals"),)
    assert [each.name for each in found.ranges("pedestals")] == ["100-end", "100-301", "200-250"]
    first = found.ranges("pedestals")[0]
    assert (first.begin, first.end, first.default) == (100.25, math.inf, 0)
    assert first.notes.parameters == {"experiment": "xpptut15", "run": "54"}
    assert [(each.number, each.made) for each in first.versions] == [
        (1, 1474587521.5),
        (2, 1474587521.5),
    ]


@pytest.mark.parametrize(
    ("time", "name"),
    [
        (100.25, "100-301"),
        (199.999, "100-301"),
        (200, "200-250"),
        (250, "200-250"),
        (250.001, "100-301"),
        (300.5, "100-301"),
        (300.501, "100-end"),
        (1e12, "100-end"),
    ],
)
def test_the_range_that_begins_last_holds_and_of_several_that_which_ends_first(path, time, name):
    assert dcs.read(path).range_for("pedestals", time).name == name


def test_before_all_begins_nothing_holds(path):
    with pytest.raises(NotFound, match="no pedestals .* 100.249000; ranges: 100-end, 100-301"):
        dcs.read(path).range_for("pedestals", 100.249)


@pytest.mark.parametrize("time", [math.nan, math.inf])
def test_a_time_that_is_none_is_refused(path, time):
    with pytest.raises(BadTime, match="give Unix seconds"):
        dcs.read(path).range_for("pedestals", time)


def test_the_last_version_holds_unless_the_range_or_the_caller_names_another(path):
    found = dcs.read(path).range_named("pedestals", "100-end")
    assert (found.version().number, found.version(1).number) == (2, 1)
    with pytest.raises(NotFound, match="no version 7 in the range 100-end; there are: 1, 2"):
        found.version(7)


@pytest.mark.parametrize(("default", "holds"), [(1, 1), (0, 2), (7, 2)])
def test_the_default_of_a_range_counts_where_there_is_such_a_version(path, default, holds):
    def change(file):
        file["pedestals/100-end/versdef"][0] = default

    found = changed(path, change)
    assert found.range_named("pedestals", "100-end").version().number == holds


def test_arrays_come_as_they_are_and_texts_as_texts(path):
    found = dcs.read(path)
    array = dcs.read_data(path, found.range_for("pedestals", 220).version())
    assert (array.dtype, array.tolist()) == (np.float32, (PEDS + 3).tolist())
    assert dcs.read_data(path, found.range_for("geometry", 6).version()) == GEOMETRY


def test_a_version_without_its_number_has_that_of_its_name(path):
    def change(file):
        del file["pedestals/100-end/v0002/version"]

    found = changed(path, change)
    assert found.range_named("pedestals", "100-end").version().number == 2
    assert found.refused == ()


def spoil(file):
    """Spoil one thing of each kind beside what is good."""
    write_range(file["pedestals"], 400.0, "end", {1: PEDS})["begin"][0] = np.nan
    del write_range(file["pedestals"], 500.0, "end", {1: PEDS})["end"]
    file["pedestals/200-250/v0002/version"] = number(1)
    file["pedestals/200-250/v0003/version"] = number(1.5)
    file.create_group("pedestals/200-250/latest")
    file.create_group("pedestals/100-end/v0001/_parameters/run")
    file["_history/yesterday"] = fixed("?")
    file["_history/1.5"] = np.arange(3)


def test_what_makes_no_sense_is_left_out_and_told(path):
    found = changed(path, spoil)
    assert [each.name for each in found.ranges("pedestals")] == ["100-end", "100-301", "200-250"]
    told = "\n".join(found.refused)
    for part in (
        "'/pedestals/400-end/begin': is no number but nan",
        "'/pedestals/400-end': has no begin or no end",
        "'/pedestals/500-end': has no begin or no end",
        "'/pedestals/200-250/v0002': is another version 1 of its range",
        "v0003/version': 1.5 is no number of a version",
        "'/pedestals/200-250/latest': is no name of a version such as v0001",
        "_parameters/run': is a group, not a value",
        "'_history/yesterday': is no time",
        "'/_history/1.5': is not one text",
    ):
        assert part in told
    assert len(found.refused) == 9
    assert [each.number for each in found.ranges("pedestals")[2].versions] == [1, 3]
    assert all(str(path) in sentence and "\n" not in sentence for sentence in found.refused)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda file: file.pop("dettype"), "is no dcs file: it does not say dettype and detid"),
        (lambda file: file.move("dettype", "a/b"), "is no dcs file"),
        (lambda file: file.__setitem__("pedestals/x", file["pedestals"]), "is the same group as"),
        (
            lambda file: file.__setitem__("pedestals/x", h5py.ExternalLink("/etc/passwd", "/")),
            "'/pedestals/x': is a link to somewhere else",
        ),
        (lambda file: file.__setitem__("y", h5py.SoftLink("/none")), "'/y': is a link to"),
        (lambda file: file.__setitem__("t", np.dtype("f4")), "is neither a group nor a dataset"),
    ],
)
def test_a_file_that_is_made_up_is_refused_in_a_sentence(path, change, sentence):
    with pytest.raises(BadFile, match=sentence) as error:
        changed(path, change)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"1 2 3", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" * 99]
)
def test_what_is_no_hdf5_is_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(BadFile, match="cannot be read as HDF5") as error:
        dcs.read(tmp_path / "x.h5")
    assert "\n" not in str(error.value)


def test_a_file_that_was_cut_is_refused_in_a_sentence(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 1500):
        path.write_bytes(whole[:length])
        with pytest.raises(BadFile, match=r"^[^\n]* cannot be read as HDF5: [^\n]*$"):
            dcs.read(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda group: group.pop("data"), "v0001': has no data"),
        (lambda group: (group.pop("data"), group.create_group("data")), "has a group where"),
        (
            lambda group: (group.pop("data"), group.create_dataset("data", (10**6, 10**6), "f8")),
            r"data': promises data of shape \(1000000, 1000000\) and type float64",
        ),
        (
            lambda group: (group.pop("data"), group.__setitem__("data", np.array([b"\xff"]))),
            "v0001': data: 'utf-8' codec can't decode",
        ),
    ],
)
def test_data_that_make_no_sense_are_refused_in_a_sentence(path, change, sentence):
    with h5py.File(path, "r+") as file:
        change(file["pedestals/200-250/v0001"])
    version = dcs.read(path).range_named("pedestals", "200-250").version()
    with pytest.raises(BadFile, match=sentence):
        dcs.read_data(path, version)


def test_a_type_that_is_not_there_is_told_with_those_that_are(path):
    with pytest.raises(NotFound, match="no pixel_gain in .*; types are: geometry, pedestals"):
        dcs.read(path).ranges("pixel_gain")
    with pytest.raises(NotFound, match="no range 1-2 of pedestals .*; ranges: 100-end"):
        dcs.read(path).range_named("pedestals", "1-2")
