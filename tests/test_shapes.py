"""Which axes count gain ranges and panels, and which shapes a constant may have."""

import numpy as np
import pytest

from cdb.shapes import (
    AREAS,
    BLOCK,
    MAX_PARTS,
    PIXELS,
    Axes,
    axes_of,
    blocks,
    fits,
    parts,
    shapes_of,
)

# lcls1-calib-store.md 3.1 and lcls2-cdb.md 1.4, row by row.
SHAPES = [
    ("cspad", (32, 185, 388)),
    ("cspad", (4, 8, 185, 388)),
    ("cspad2x2", (185, 388, 2)),
    ("pnCCD", (4, 512, 512)),
    ("epix100a", (704, 768)),
    ("Epix10ka", (7, 1, 352, 384)),
    ("Epix10kaQuad", (7, 4, 352, 384)),
    ("Epix10ka2M", (7, 16, 352, 384)),
    ("epix10ka", (7, 5, 352, 384)),
    ("Jungfrau", (3, 1, 512, 1024)),
    ("jungfrau", (3, 32, 512, 1024)),
    ("epixm320", (3, 4, 192, 384)),
    ("epixuhr", (8, 6, 336, 576)),
    ("opal1000", (1024, 1024)),
    ("rayonix", (1920, 1920)),
    ("Andor3d", (2, 512, 2048)),
    ("uxi", (8, 1024, 512)),
    ("imp", (4, 1023)),
]


@pytest.mark.parametrize(("dettype", "shape"), SHAPES)
def test_the_shapes_of_the_references_fit(dettype, shape):
    assert any(fits(shape, lengths) for lengths in shapes_of(dettype, "pedestals"))
    assert not any(fits((*shape, 3), lengths) for lengths in shapes_of(dettype, "pedestals"))


@pytest.mark.parametrize(("dettype", "shape"), SHAPES)
def test_parts_are_panels_and_together_the_whole(dettype, shape):
    axes = axes_of(shape, dettype)
    seen = np.zeros(shape, "u1")
    area = AREAS[dettype.lower()]
    for part in parts(shape, axes):
        assert fits(seen[part.index].shape, area.panel)
        seen[part.index] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("dettype", [name for name, area in AREAS.items() if area.gains])
def test_gain_ranges_are_named_and_a_mask_may_lack_them(dettype):
    area = AREAS[dettype]
    shape = (len(area.gains), 2, 4, 6)
    assert [part.gain for part in parts(shape, axes_of(shape, dettype))][::2] == [*area.gains]
    assert len(shapes_of(dettype, "pixel_mask")) == 2 * len(shapes_of(dettype, "pedestals"))
    assert axes_of((2, 4, 6), dettype) == Axes(panels=(0,))


def test_another_number_of_gain_ranges_has_numbers_for_names():
    assert axes_of((2, 8, 512, 1024), "jungfrau").gains == ("0", "1")


def test_cspads_panels_are_counted_through_its_quads():
    found = {part.panel: part.index for part in parts((4, 8, 2, 3), axes_of((4, 8, 2, 3), "cspad"))}
    assert found[0][:2] == (0, 0)
    assert found[11][:2] == (1, 3)
    assert found[31][:2] == (3, 7)


def test_cspad2x2_as_psana_turns_it():
    assert axes_of((2, 185, 388), "cspad2x2").panels == (0,)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((), Axes()),
        ((5,), Axes()),
        ((4, 6), Axes()),
        ((3, 4, 6), Axes(panels=(0,))),
        ((2, 3, 4, 6), Axes(0, (1,), ("0", "1"))),
        ((2, 2, 3, 4, 6), Axes()),
        ((MAX_PARTS + 1, 4, 6), Axes()),
        ((2, MAX_PARTS, 4, 6), Axes()),
    ],
)
def test_an_unknown_detector_follows_the_custom(shape, axes):
    assert axes_of(shape, "new") == axes


def test_nothing_is_said_of_what_nobody_wrote_down():
    assert shapes_of("new", "pedestals") == shapes_of("jungfrau", "common_mode") == ()
    assert {"pedestals", "pixel_status"} < {*PIXELS}


def test_blocks_are_small_and_together_the_whole():
    for shape in [(7680, 7680), (3,), (10**7,), (1, 10, 10), (0, 5)]:
        pieces = list(blocks(shape))
        rows = [row for piece in pieces for row in range(*piece.indices(shape[0]))]
        assert rows == list(range(shape[0]))
        row = int(np.prod(shape[1:]))
        assert all(row * (piece.stop - piece.start) <= BLOCK for piece in pieces)
