"""Geometries as CrystFEL's, out and in."""

from dataclasses import replace

import numpy as np
import pytest

from cdb.errors import BadFile, BadName, BadPayload, BadQuestion
from cdb.geometry import geom_file, tree
from cdb.geometry.comparison import pixel_shift
from cdb.geometry.crystfel import BOUND, from_geometry, to_geometry
from cdb.geometry.defaults import named
from cdb.geometry.pixels import branches, panel_coordinates
from tests.geometry.test_tiles import WITH_PIXELS

SMALL = [name for name in WITH_PIXELS if name != "jungfrau16m"]


def there_and_back(geometry, *, wide=False, **options):
    text = geom_file.format(from_geometry(geometry, wide=wide, **options))
    return to_geometry(geom_file.parse(text))


def apart(one, other):
    """Return how far pixels of two geometries are from each other, at most [um]."""
    first, second = (panel_coordinates(branches(each)[-1]) for each in (one, other))
    return np.sqrt(sum((a - b) ** 2 for a, b in zip(first, second, strict=True))).max()


@pytest.mark.parametrize("wide", [False, True], ids=["asics", "wide pixels"])
@pytest.mark.parametrize("name", SMALL)
def test_every_pixel_is_where_it_was_there_and_back(name, wide):
    made = there_and_back(named(name), wide=wide)
    assert apart(named(name), made.geometry) < BOUND
    assert made.off < BOUND
    assert tree.parse(tree.format(made.geometry)) == made.geometry


def test_a_tilted_and_shifted_detector_comes_back():
    geometry = tree.tilt(named("jungfrau4m"), "JFCAMERA:V1", z=0.3, y=-1.2, x=2.5)
    geometry = tree.move(geometry, "JUNGFRAU:V2", 3, x=10.37, y=-4.2, z=55.5)
    assert apart(geometry, there_and_back(geometry).geometry) < BOUND


def test_the_order_of_the_data_is_kept_panel_by_panel_or_stacked():
    for dims in (("%", "ss", "fs"), ("%", "panel", "ss", "fs"), ("panel", 0, "ss", "fs")):
        file = from_geometry(named("jungfrau4m"), dims=dims)
        shuffled = replace(file, panels=file.panels[::-1])
        assert apart(named("jungfrau4m"), to_geometry(shuffled).geometry) < BOUND


def test_a_panel_is_written_as_crystfel_has_it():
    text = "IP 0 MTRX:V2:4:6:100:100 0  0 0 -200000  90 0 0  0 0 0"
    file = from_geometry(tree.parse(text), photon_energy=9500, adu_per_eV=0.1, data="/data")
    (panel,) = file.panels
    # In psana's frame x points down and y to the right, seen along the beam.
    assert panel.fs == pytest.approx((-1, 0, 0))
    assert panel.ss == pytest.approx((0, -1, 0))
    assert (panel.corner_x, panel.corner_y) == pytest.approx((3, 2))
    assert (panel.coffset, panel.res, panel.shape) == (0, 10000, (4, 6))
    assert file.settings == {"clen": "0.2 m", "photon_energy": "9500 eV"}
    assert panel.more == {"adu_per_eV": "0.1"}


def test_the_distance_may_be_another_or_stand_in_the_data():
    near = from_geometry(named("epix10ka"), clen=0.1)
    assert to_geometry(near).geometry.parts[-1].z0 == -100_000
    unknown = from_geometry(named("epix10ka"), clen="/LCLS/EncoderValue mm")
    with pytest.raises(BadQuestion, match="the file has clen = /LCLS/EncoderValue mm, not a dist"):
        to_geometry(unknown)
    assert to_geometry(unknown, clen=0.3).geometry.parts[-1].z0 == -300_000


def test_what_nobody_said_is_asked_for_in_a_comment():
    assert from_geometry(named("pnccd")).comments[1:] == (
        "photon_energy = SET ME",
        "adu_per_eV = SET ME",
    )


def test_psanas_corner_is_half_a_pixel_inside():
    geometry = named("epix10ka2m")
    right, psanas = from_geometry(geometry), from_geometry(geometry, compat=True)
    for ours, theirs in zip(right.panels, psanas.panels, strict=True):
        assert theirs.corner_x - ours.corner_x == pytest.approx((ours.fs[0] + ours.ss[0]) / 2)
    assert apart(geometry, to_geometry(psanas, compat=True).geometry) < BOUND


@pytest.mark.parametrize("wide", [False, True])
def test_bad_pixels_go_out_and_come_in(wide):
    mask = np.ones((2, 512, 1024), dtype=np.uint8)
    mask[0, 100:120, 200:300] = mask[1, 0, :] = mask[1, 255:258, 511] = mask[1, 511, 1023] = 0
    rng = np.random.default_rng(1)
    mask[0][rng.random((512, 1024)) < 0.001] = 0
    made = there_and_back(named("jungfrau1m"), mask=mask, wide=wide)
    np.testing.assert_array_equal(made.mask, mask)


def test_a_masked_rectangle_is_one_region():
    mask = np.ones((352, 384))
    mask[10:20, 30:50] = 0
    (region,) = from_geometry(named("epix10ka"), mask=mask).bad
    assert (region.panel, region.ss, region.fs) == ("p0a0", (10, 19), (30, 49))


def test_a_mask_is_in_the_shape_of_the_data():
    mask = np.ones((185, 388, 2))
    mask[3, 7, 1] = 0
    made = there_and_back(named("cspad2x2"), mask=mask)
    assert np.argwhere(made.mask == 0).tolist() == [[1, 3, 7]]


def test_an_axis_that_is_the_same_for_all_panels_does_not_keep_them_from_being_stacked():
    file = from_geometry(named("jungfrau1m"), dims=("%", 0, "ss", "fs"))
    assert to_geometry(file).geometry.parts[1].key == ("JUNGFRAU:V2", 1)


def test_a_mask_of_another_detector_is_refused():
    with pytest.raises(BadPayload, match=r"\(2, 2\) does not hold 1 panels of 352 x 384"):
        from_geometry(named("epix10ka"), mask=np.ones((2, 2)))


TILE = """\
clen = 0.1
res = 5000
min_fs = 0
max_fs = 3
min_ss = 0
max_ss = 1
fs = x
ss = y
corner_y = 0
a/corner_x = 0
a/dim0 = 0
a/dim1 = ss
a/dim2 = fs
b/corner_x = 10
b/dim0 = 1
b/dim1 = ss
b/dim2 = fs
"""


def test_panels_of_no_known_sensor_become_matrices():
    made = to_geometry(geom_file.parse(TILE))
    names = [part.name for part in made.geometry.parts]
    assert names == ["MTRX:V2:2:4:200:200"] * 2 + ["CAMERA"]
    x, y, z = panel_coordinates(branches(made.geometry)[-1], frame=1)
    np.testing.assert_allclose(x[:, 0], [[100, 300, 500, 700], [2100, 2300, 2500, 2700]])
    np.testing.assert_allclose(y[0, :, 0], [100, 300])
    np.testing.assert_allclose(z, 100_000)


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        ("a/no_index = 1", {(0, r, c) for r in range(2) for c in range(4)}),
        ("badx/min_fs=3\nbadx/max_fs=3\nbadx/min_ss=1\nbadx/max_ss=1", {(0, 1, 3), (1, 1, 3)}),
        ("badx/min_x=11\nbadx/max_x=12\nbadx/min_y=0\nbadx/max_y=1", {(1, 0, 1)}),
        ("b/mask_edge_pixels = 1", {(1, r, c) for r in range(2) for c in range(4)}),
    ],
)
def test_what_the_file_has_bad_is_masked(said, hidden):
    mask = to_geometry(geom_file.parse(f"{TILE}{said}\n")).mask
    assert set(map(tuple, np.argwhere(mask == 0).tolist())) == hidden


def test_asics_that_were_moved_are_no_sensor_unless_asked_for():
    file = from_geometry(named("epix10ka"))
    moved = replace(file.panels[0], corner_x=file.panels[0].corner_x + 0.2)
    file = replace(file, panels=(moved, *file.panels[1:]))
    assert to_geometry(file).geometry.parts[0].name == "MTRX:V2:176:192:100:100"
    with pytest.raises(BadFile, match="um from where a EPIX10KA:V1 has them; allow that, or take"):
        to_geometry(file, sensor="EPIX10KA:V1")
    made = to_geometry(file, sensor="EPIX10KA:V1", within=20)
    assert 1 < made.off < 20
    assert made.geometry.parts[0].name == "EPIX10KA:V1"


@pytest.mark.parametrize(
    ("change", "options", "error", "sentence"),
    [
        ({}, {"sensor": "CAMERA"}, BadName, "no sensor 'CAMERA'; there are SENS2X1:V1"),
        ({}, {"sensor": "JUNGFRAU:V1"}, BadFile, "do not cover the pixels of a JUNGFRAU:V1"),
        ({}, {"sensor": "ARCHON:V1"}, BadName, "does not say its shape"),
        ({"fs = x": "fs = x+0.1y"}, {}, BadFile, "panel a: fs and ss are not at right angles"),
        ({"fs = x": "fs = 0x"}, {}, BadFile, "panel a: "),
        (
            {"b/corner_x": "b/max_fs = 4\nb/corner_x"},
            {},
            BadFile,
            "a of .2, 4. and b of .2, 5. pix",
        ),
        ({"max_fs = 3": "max_fs = 999999999"}, {}, BadFile, "has more than 268435456 pixels"),
        ({"corner_y = 0": "corner_y = 1e300"}, {}, BadFile, "panel a stands or reaches further"),
        ({"res = 5000": "res = 1e-300"}, {}, BadFile, "panel a stands or reaches further"),
        ({"fs = x": "fs = 1e308x"}, {}, BadFile, "panel a stands or reaches further"),
        ({"clen = 0.1": "clen = -0.1"}, {}, BadQuestion, "cannot stand -0.1 m behind the sample"),
        ({}, {"clen": float("nan")}, BadQuestion, "cannot stand nan m"),
        ({"clen = 0.1": ""}, {}, BadQuestion, "the file has no clen, not a distance; give one"),
    ],
)
def test_what_is_no_geometry_is_told(change, options, error, sentence):
    text = TILE
    for old, new in change.items():
        text = text.replace(old, new)
    with pytest.raises(error, match=sentence):
        to_geometry(geom_file.parse(text), **options)


def test_many_panels_far_apart_in_the_data_take_no_memory():
    lines = (
        f"p{n}/corner_x = 0\np{n}/min_ss = {n * 512}\np{n}/max_ss = {n * 512}" for n in range(3000)
    )
    head = "clen = 1\nres = 1e4\nmin_fs = 0\nmax_fs = 1\nfs = x\nss = y\ncorner_y = 0\n"
    made = to_geometry(geom_file.parse(head + "\n".join(lines)))
    assert made.mask.shape == (3000, 1, 2)


@pytest.mark.parametrize("name", ["epix10ka", "epix10ka2m", "cspad2x2", "epix100a"])
def test_a_sensor_has_the_name_again_that_all_programs_know(name):
    # EPIX10KA:V2 has the same places, and psana does not know it.
    before = named(name)
    made = to_geometry(from_geometry(before)).geometry
    assert [part.name for part in made.parts[:-1]] == [
        part.name for part in before.parts if ":" in part.name and "CSPAD2X2" not in part.name
    ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"clen": -1.0}, "cannot stand -1.0 m behind"),
        ({"clen": float("nan")}, "cannot stand nan m behind"),
        ({"photon_energy": float("nan")}, "photon_energy is a number above 0, not nan"),
        ({"adu_per_eV": 0}, "adu_per_eV is a number above 0, not 0"),
    ],
)
def test_a_number_that_crystfel_cannot_want_is_refused(given, sentence):
    with pytest.raises(BadQuestion, match=sentence):
        from_geometry(named("epix10ka"), **given)


def test_dims_have_rows_and_columns():
    with pytest.raises(BadQuestion, match="have to have ss and fs once"):
        from_geometry(named("pnccd"), dims=("%", "fs"))


def test_sixteen_million_pixels_are_no_trouble():
    geometry = named("jungfrau16m")
    assert pixel_shift(geometry, there_and_back(geometry).geometry).max < BOUND
