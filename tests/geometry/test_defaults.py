"""The geometries that come with the package."""

import pytest

from cdb.errors import NotFound
from cdb.geometry import defaults, tree
from cdb.geometry.defaults import DEFAULTS, default_for, named


@pytest.mark.parametrize("name", defaults.names())
def test_a_packaged_geometry_says_where_its_numbers_are_from(name):
    geometry = named(name)
    title, positions, header = geometry.comments
    assert (title[:5], positions[:9], header[:3]) == ("TITLE", "POSITIONS", "HDR")
    assert geometry.top in (("IP", 0), ("IP:V1", 0))
    assert tree.parse(tree.format(geometry)) == geometry


@pytest.mark.parametrize(
    ("dettype", "panels"), [(dettype, n) for dettype in DEFAULTS for n in DEFAULTS[dettype]]
)
def test_a_default_has_as_many_panels_as_asked(dettype, panels):
    geometry = default_for(dettype.upper(), panels)
    groups = {part.parent_key for part in geometry.parts}
    assert sum(part.key not in groups for part in geometry.parts) == panels


def test_every_packaged_geometry_but_one_is_some_default():
    used = {name for known in DEFAULTS.values() for name in known.values()}
    assert set(defaults.names()) - used == {"epix10kaquad-ued"}


def test_a_type_of_one_size_needs_no_number():
    assert default_for("cspad") is named("cspad")


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        (("camera",), "no default geometry for the detector type 'camera'; .* jungfrau, pnccd"),
        (
            ("jungfrau",),
            "a jungfrau of an unknown number of panels; there are some for 1, 2, 8, 32",
        ),
        (("jungfrau", 3), "a jungfrau of 3 panels; there are some for 1, 2, 8, 32"),
    ],
)
def test_what_has_no_default_is_told(question, sentence):
    with pytest.raises(NotFound, match=sentence):
        default_for(*question)


@pytest.mark.parametrize("name", ["../tree", "geometry", ""])
def test_only_what_is_packaged_is_read(name):
    with pytest.raises(NotFound, match="no packaged geometry"):
        named(name)
