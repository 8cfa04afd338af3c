"""GeometryAccess and GeometryObject: psana's names, and no memory of earlier calls."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cdb.errors import BadFile, BadName, BadQuestion
from cdb.geometry import GeometryAccess, GeometryObject, ImageIndex, tree
from cdb.geometry.defaults import named

REAL = Path(__file__).parents[3] / "shared" / "data" / "lcls1-calib"
SMALL = "MTRX:2:3:50:50"
TEXT = f"""\
# TITLE two groups
# AUTHOR nobody
A   0  {SMALL} 0      0.25    0     0   0 0 0   0.1 0 0
A   0  {SMALL} 1    200       0     0   0 0 0   0   0 0
B   0  {SMALL} 0      0       0     0  90 0 0   0   0 0
B   0  {SMALL} 1    200.125   0     0  90 0 0   0   0 0
DET 0  A       0      0       0     0   0 0 0   0   0 0
DET 0  B       0      0    1000     0   0 0 0   0   0.2 0
IP  0  DET     0      0       0  5000   0 0 0   0   0 0
"""


@pytest.fixture
def geo():
    return GeometryAccess(TEXT)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# Faults of psana's caches, each a call after another that spoils it.


@pytest.mark.parametrize(
    "change",
    [
        lambda geo: geo.move_geo("A", 0, dx=7),
        lambda geo: geo.tilt_geo("A", 0, dt_z=1),
        lambda geo: geo.set_geo_pars("A", 0, x0=7),
    ],
)
def test_a_part_that_was_moved_is_elsewhere(geo, change):
    before = geo.get_pixel_coords("A", 0)
    geo.get_pixel_coord_indexes("A", 0)
    change(geo)
    after = geo.get_pixel_coords("A", 0)
    assert not same(before[:1], after[:1])
    fresh = GeometryAccess(TEXT)
    change(fresh)
    assert same(after, fresh.get_pixel_coords("A", 0))
    assert same(geo.get_pixel_coord_indexes("A", 0), fresh.get_pixel_coord_indexes("A", 0))


def test_looking_at_one_part_does_not_give_it_the_pixels_of_another(geo):
    geo.get_pixel_coords("A", 0)
    geo.get_geo("B", 0)
    assert same(geo.get_pixel_coords("B", 0), GeometryAccess(TEXT).get_pixel_coords("B", 0))


@pytest.mark.parametrize(
    "before",
    [
        lambda geo: geo.get_pixel_coord_indexes(xy0_off_pix=(100, 50)),
        lambda geo: geo.get_pixel_coord_indexes(pix_scale_size_um=10),
        lambda geo: geo.get_pixel_xy_inds_at_z(zplane=-90_000),
        lambda geo: geo.get_pixel_coord_indexes(cframe=1),
    ],
)
def test_indices_do_not_remember_an_offset_a_scale_or_a_plane(geo, before):
    before(geo)
    expected = GeometryAccess(TEXT).get_pixel_coord_indexes()
    assert same(geo.get_pixel_coord_indexes(), expected)


def test_a_point_does_not_remember_its_fractions(geo):
    row, col = geo.point_coord_indexes(fract=True)
    whole = geo.point_coord_indexes()
    assert whole == (int(row), int(col))
    assert all(isinstance(number, int) for number in whole)


def test_wide_pixels_do_not_depend_on_who_asked_first():
    text = "D 0 EPIX10KA:V1 0  0 0 0  0 0 0  0 0 0\n"
    first, second = (GeometryAccess(text, use_wide_pix_center=wide) for wide in (False, True))
    places = [float(geo.get_pixel_coords()[0][0, 0, 192]) for geo in (first, second, first)]
    assert places == [175, 112.5, 175]


def test_what_is_done_to_a_result_does_not_reach_the_next(geo):
    for call in (
        geo.get_pixel_coords,
        geo.get_pixel_coord_indexes,
        lambda: [geo.get_pixel_areas()],
    ):
        before = [u.copy() for u in call()]
        for u in call():
            u[...] = 99
        assert same(call(), before)


# Files and texts.


def test_a_path_or_a_text_is_loaded(tmp_path):
    path = tmp_path / "0-end.data"
    path.write_text(TEXT)
    coords = GeometryAccess(TEXT).get_pixel_coords()
    for geo in (GeometryAccess(path), GeometryAccess(str(path)), GeometryAccess(path=path)):
        assert geo.is_valid()
        assert same(geo.get_pixel_coords(), coords)


def test_one_row_is_a_text_and_a_long_word_a_file_that_does_not_exist():
    geo = GeometryAccess(f"D 0 {SMALL} 0  0 0 0  0 0 0  0 0 0")
    assert geo.shape3d() == (1, 2, 3)
    assert not GeometryAccess("x" * 10_000).is_valid()


def test_an_empty_object_can_be_loaded_later(tmp_path):
    path = tmp_path / "0-end.data"
    geo = GeometryAccess(path)
    assert not geo.is_valid()
    path.write_text(TEXT)
    geo.load_pars_from_file()
    assert geo.is_valid()
    geo.load_pars_from_str(None)
    assert not geo.is_valid()
    geo.load_pars_from_str(TEXT)
    assert geo.get_dict_of_comments() == {0: "TITLE two groups", 1: "AUTHOR nobody"}


NONE_OF_TWO = [
    "get_pixel_xy_at_z", "get_pixel_coord_indexes", "get_pixel_xy_inds_at_z", "point_coord_indexes"
]  # fmt: skip
NONE = [
    "get_pixel_coords", "get_pixel_areas", "get_pixel_mask", "get_pixel_scale_size", "shape3d",
    "get_dict_of_comments", "get_top_geo", "get_seg_geo", "psf", "get_psf", "pixel_coords_psf",
    "info_psf", "info_get_psf", "move_geo", "tilt_geo", "set_geo_pars",
]  # fmt: skip


@pytest.mark.parametrize("method", NONE + NONE_OF_TWO)
def test_without_a_geometry_there_is_no_answer(method):
    expected = (None, None) if method in NONE_OF_TWO else None
    assert getattr(GeometryAccess(), method)() == expected


def test_without_a_geometry_nothing_is_written(tmp_path):
    geo = GeometryAccess()
    geo.save_pars_in_file(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert (geo.get_geo("A", 0), geo.data_psf(np.zeros(3))) == (None, None)
    one = np.zeros(1)
    assert geo.xy_to_rc_arrays(None, None) == geo.xy_to_rc_point(None, None) == (None, None)
    assert geo.xy_to_rc_arrays(one, one) == geo.xy_to_rc_point(one, one) == (None, None)
    assert geo.xy_to_rc_point(one, one, pix_scale_size_um=50) == (0, 0)
    with pytest.raises(BadName, match="no geometry file is named"):
        geo.load_pars_from_file()


class Camera:
    """A detector as psana has it; the shape is known, or that of its pedestals."""

    def __init__(self, **known):
        vars(self).update(known)


PEDESTALS = {"pedestals": (np.zeros((2, 4800)), {})}


@pytest.mark.parametrize(
    "known", [{"_shape": (2, 4800)}, {"_calibconst": PEDESTALS}, {"calibconst": PEDESTALS}]
)
def test_a_detector_says_the_shape_that_the_name_of_its_sensor_does_not(known):
    text = "IP 0 ARCHON:V1 0  0 0 0  0 0 0  0 0 0"
    geo = GeometryAccess(detector=Camera(**known))
    geo.load_pars_from_str(text)
    assert geo.shape3d() == (1, 2, 4800)
    part = GeometryObject("IP", 0, "ARCHON:V1", 0, detector=Camera(**known))
    assert part.algo.shape() == (2, 4800)
    # What it does not need is not asked for: constants may be far away.
    assert GeometryAccess(TEXT, detector=object()).is_valid()
    with pytest.raises(BadName, match="nor does the detector: no pedestals"):
        GeometryAccess(text + "\n", detector=Camera(calibconst={}))


def test_scripts_may_name_a_frame_where_it_counts_for_nothing(geo):
    lab = GeometryAccess(TEXT, cframe=1)
    assert same(lab.get_pixel_coords(), geo.get_pixel_coords())


def test_an_offset_may_be_an_array(geo):
    offset = np.array([3, 5])
    moved = geo.get_pixel_coord_indexes(xy0_off_pix=offset)
    assert same(moved, geo.get_pixel_coord_indexes(xy0_off_pix=(3, 5)))


def test_a_part_moved_to_nowhere_is_told_in_one_sentence(geo, tmp_path):
    geo.move_geo("B", 0, dx=np.nan)
    for ask in (geo.get_pixel_coords, lambda: geo.save_pars_in_file(tmp_path / "out", compat=True)):
        with pytest.raises(BadQuestion, match="x0 of B 0 cannot be nan"):
            ask()
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("bad", ["A 0 B 0 1 2\n", "\n", "MTRX:1:1 0 MTRX:1:1 0 0\n"])
def test_a_text_that_is_no_geometry_is_refused(bad):
    with pytest.raises(BadFile):
        GeometryAccess(bad)


@pytest.mark.parametrize(
    ("name", "sentence"), [(".", "is a folder; give a file"), ("no/out", "there is no folder")]
)
def test_a_place_that_holds_no_file_is_told(geo, tmp_path, name, sentence):
    with pytest.raises(BadFile, match=sentence):
        geo.save_pars_in_file(tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_the_old_generation_makes_its_own_image():
    text = tree.format(named("epix10ka2m"))
    old, new = (GeometryAccess(text, generation=each) for each in ("PSCalib", "psana"))
    assert ImageIndex(*old.get_pixel_coord_indexes()).shape == (1674, 1672)
    assert ImageIndex(*new.get_pixel_coord_indexes()).shape == (1673, 1671)


def test_saving_loses_nothing(geo, tmp_path):
    geo.move_geo("B", 0, 0.1, 1e-7, 1 / 3)
    geo.tilt_geo(SMALL, 1, dt_x=1e-9)
    geo.save_pars_in_file(tmp_path / "out")
    again = GeometryAccess(tmp_path / "out")
    assert same(again.get_pixel_coords(), geo.get_pixel_coords())
    assert again.get_dict_of_comments() == geo.get_dict_of_comments()


@pytest.mark.parametrize("step", ["write_text", "replace"])
def test_a_file_is_written_whole_or_not_at_all(geo, tmp_path, monkeypatch, step):
    geo.save_pars_in_file(tmp_path / "out")
    before = (tmp_path / "out").read_text()
    geo.move_geo("A", 0, 1)

    def die(path, *_, **__):
        if step == "write_text":
            path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Path if step == "write_text" else os, step, die)
    with pytest.raises(OSError, match="disk full"):
        geo.save_pars_in_file(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == before


def test_saving_rounds_where_it_is_asked_to(geo, tmp_path):
    geo.save_pars_in_file(tmp_path / "out", compat=True)
    lines = (tmp_path / "out").read_text().splitlines()
    assert lines[:4] == [
        "# TITLE two groups",
        "# AUTHOR nobody",
        "",
        "A             0 MTRX:2:3:50:50   0         0        0        0"
        "         0          0          0     0.10000  0.00000  0.00000",
    ]
    assert GeometryAccess(tmp_path / "out").get_geo("B", 0).get_tilt() == (0, 0.2, 0)


def test_a_row_is_exact_unless_it_is_to_be_psanas():
    numbers = {"x0": 0.25, "rot_z": 90, "tilt_x": -0.0000123}
    exact, old = (GeometryObject("A", 0, SMALL, 1, **numbers, compat=compat) for compat in (0, 1))
    assert exact.str_data() .split() == [
        "A", "0", SMALL, "1", "0.25", "0", "0", "90", "0", "0", "0", "0", "-1.23e-05"
    ]  # fmt: skip
    assert old.str_data().split()[4:] == ["0", "0", "0", "90", "0", "0", "0.00000", "0.00000",
                                          "-0.00001"]  # fmt: skip


def test_comments_in_any_encoding_go_out_as_they_came_in(tmp_path):
    comment = "# Größe".encode("latin-1")
    (tmp_path / "in").write_bytes(comment + b"\n" + TEXT.encode())
    for compat in (False, True):
        GeometryAccess(tmp_path / "in").save_pars_in_file(tmp_path / "out", compat=compat)
        assert (tmp_path / "out").read_bytes().startswith(comment + b"\n")


# Parts.


def test_parts_know_each_other(geo):
    top, group = geo.get_top_geo(), geo.get_geo("A", 0)
    assert (top.get_geo_name(), top.get_geo_index(), top.get_parent_name()) == ("IP", 0, None)
    assert (top.get_parent(), top.get_size_geo_array()) == (None, 24)
    assert group.get_parent() is geo.get_geo("DET", 0)
    assert (group.get_parent_name(), group.get_parent_index()) == ("DET", 0)
    assert [child.get_geo_index() for child in group.get_list_of_children()] == [0, 1]
    assert geo.get_seg_geo() is group.get_list_of_children()[0]
    assert geo.get_geo("DET", 0).get_origin() == (0, 0, -5000)
    assert geo.get_geo("C", 0) is None


def test_a_tree_can_be_built_by_hand():
    top = GeometryObject(oname="TOP")
    for index in range(2):
        panel = GeometryObject("TOP", 0, SMALL, index, x0=100 * index)
        panel.set_parent(top)
        top.add_child(panel)
    assert top.get_pixel_coords()[0][:, 0, 0].tolist() == [0, 100]


def test_the_top_can_be_moved(geo):
    before = geo.get_pixel_coords()
    geo.move_geo(dx=1, dy=2, dz=3)
    for axis, (one, other) in enumerate(zip(geo.get_pixel_coords(), before, strict=True), 1):
        np.testing.assert_array_equal(one, other + axis)


def test_a_part_that_was_moved_to_a_positive_z_stays_there(geo):
    geo.set_geo_pars("DET", 0, z0=5)
    assert geo.get_pixel_coords("A", 0)[2][0, 0, 0] == 0
    assert geo.get_pixel_coords()[2][0, 0, 0] == 5


def test_a_part_that_is_not_there_is_told(geo):
    with pytest.raises(BadName, match=f"no part 'C' 0 in the geometry; there are {SMALL} 0"):
        geo.get_pixel_coords("C")


def test_the_frames_are_turned_into_each_other(geo):
    lab = geo.coords_psana_to_lab_frame(*geo.get_pixel_coords())
    assert same(lab, geo.get_pixel_coords(cframe=1))
    assert same(geo.coords_lab_to_psana_frame(*lab), geo.get_pixel_coords())


def test_what_is_told_goes_to_the_log(geo, caplog):
    caplog.set_level("INFO")
    geo.print_list_of_geos()
    geo.print_list_of_geos_children()
    geo.print_comments_from_dict()
    geo.print_pixel_coords("A", 0)
    geo.print_psf()
    geo.get_geo("A", 0).print_geo()
    geo.get_geo("A", 0).print_geo_children()
    text = caplog.text
    for words in ("x0:     200", "#children: 2: MTRX:2:3:50:50:0", "val: TITLE", "size=12", "None"):
        assert words in text
    assert text.count("parent:       DET  0   geo:          A  0") == 4


def test_print_bits_are_kept_and_caches_are_none(geo):
    geo.set_print_bits(7)
    assert (geo.pbits, geo.reset_cash()) == (7, None)


# Position, slow, fast, of sensors where psana cannot.


@pytest.mark.parametrize(
    "name", ["EPIX100:V1", "EPIXUHR3X2:V1", "JUNGFRAU:V2", "EPIXHR1X4:V1", "SENS2X1:V1"]
)
@pytest.mark.parametrize("wide", [False, True])
def test_the_vectors_give_back_all_normal_pixels(name, wide):
    text = f"D 0 {name} 0  1000 2000 -3  90 0 0  0.1 0.2 0.3\n"
    geo = GeometryAccess(text, use_wide_pix_center=wide)
    coords, back = geo.get_pixel_coords(cframe=1), geo.pixel_coords_psf()
    # Pixels next to a border may have been moved.
    for u, v in zip(coords, back, strict=True):
        inner = geo.data_psf(u)[:, 1:-1, 1:-1]
        np.testing.assert_allclose(inner, v[:, 1:-1, 1:-1], atol=1e-6)


def test_the_vectors_of_a_cspad2x2_are_those_of_its_panels():
    rows = "".join(
        f"CSPAD2X2:V1 0 SENS2X1:V1 {i}  0 {40_000 * i} 0  {90 * i} 0 0  0 0 0\n" for i in (0, 1)
    )
    geo = GeometryAccess(rows)
    vectors = geo.psf(cframe=0)
    assert len(vectors) == 4
    data = np.arange(185 * 388 * 2).reshape(185, 388, 2)
    np.testing.assert_array_equal(geo.data_psf(data)[2], data[:, :194, 1])
    x, y, _ = geo.get_pixel_coords()
    np.testing.assert_allclose(vectors[2][0][:2], (x[0, 0, 1], y[0, 0, 1]))
    assert geo.get_psf() is None
    assert geo.shape3d() == (2, 185, 388)


def test_one_row_of_pixels_has_no_slow_step():
    geo = GeometryAccess("D 0 MTRX:1:3:50:40 0  0 0 0  0 0 0  0 0 0\n")
    assert geo.psf(cframe=0) == [((0, 0, 0), (0, 0, 0), (0, 40, 0))]


# Both generations.


def test_of_lcls1_shapes_masks_and_sensors_are_its_own():
    text = "D 0 EPIX10KA:V1 0  0 0 0  0 0 0  0 0 0\nIP 0 D 0  0 0 0  0 0 0  0 0 0\n"
    old, new = (GeometryAccess(text, generation=name) for name in ("PSCalib", "psana"))
    assert old.get_pixel_coords()[0].shape == (1, 1, 352, 384)
    assert new.get_pixel_coords()[0].shape == (1, 352, 384)
    assert (old.get_pixel_coords()[0].max(), new.get_pixel_coords()[0].max()) == (19300, 19275)
    assert old.get_pixel_mask(mbits=2, wcentral=2).sum() == 348 * 380
    assert old.get_pixel_coord_indexes()[0].shape == (1, 1, 352, 384)


@pytest.mark.parametrize(
    ("path", "shape", "image"),
    [
        ("Epix100a::CalibV1/XppGon.0:Epix100a.1", (1, 704, 768), (709, 773)),
        ("Epix10kaQuad::CalibV1/XcsEndstation.0:Epix10kaQuad.0", (4, 352, 384), None),
        ("Jungfrau::CalibV1/CxiDs1.0:Jungfrau.0", (8, 512, 1024), None),
    ],
)
def test_real_geometries_have_their_shapes(path, shape, image):
    file = REAL / path / "geometry" / "0-end.data"
    if not file.exists():
        pytest.skip(f"the real files are not at {REAL}")
    geo = GeometryAccess(file)
    assert geo.shape3d() == geo.get_pixel_coords()[0].shape == shape
    rows, cols = geo.get_pixel_coord_indexes()
    if image:
        assert (rows.max() + 1, cols.max() + 1) == image


@pytest.mark.parametrize(
    ("statement", "loaded"),
    [
        ("import cdb.geometry", []),
        ("from cdb.geometry import GeometryAccess", ["logging", "numpy"]),
    ],
)
def test_the_package_is_light(statement, loaded):
    heavy = "{'numpy', 'matplotlib', 'h5py', 'logging'} & {*sys.modules}"
    code = f"import sys; {statement}; print(sorted({heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str(loaded)
