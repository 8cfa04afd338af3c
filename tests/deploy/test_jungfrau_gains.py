"""Gains of a jungfrau: put together from its panels, nothing missing unsaid."""

import numpy as np
import pytest

from cdb.deploy import Asked
from cdb.deploy.jungfrau_gains import from_repository
from cdb.errors import BadArray, BadQuestion, NotFound
from tests.deploy.conftest import JUNGFRAU, PANELS


def asked(*ids, stamp=None):
    return Asked.of(JUNGFRAU, ids=ids, stamp=stamp)


def test_panels_come_in_the_order_of_their_ids(gains):
    gain, offset = from_repository(gains, asked(*reversed(PANELS)))
    assert (gain.ctype, gain.unit) == ("pixel_gain", "ADU/keV")
    assert (offset.ctype, offset.unit) == ("pixel_offset", "ADU")
    for ready, first in ((gain, 40), (offset, 1)):
        assert (ready.data.shape, ready.data.dtype) == ((3, 2, 512, 1024), np.float32)
        for panel, number in enumerate((1, 0)):
            for range_ in range(3):
                assert (ready.data[range_, panel] == first + 10 * number + range_).all()
        assert len(ready.files) == 6
        assert [*ready.parameters["panels"]] == [*reversed(PANELS)]


def test_a_panel_without_a_folder_is_named_and_its_default_only_asked_for(gains):
    with pytest.raises(NotFound, match=r"no folder of panels 1-1-1, 2-2-2 in .*MDEF .*--default"):
        from_repository(gains, asked(PANELS[0], "1-1-1", "2-2-2"))
    gain, _ = from_repository(gains, asked(PANELS[0], "1-1-1"), default=True)
    assert gain.data[0, 1, 0, 0] == 60
    assert gain.notes == ("panel 1-1-1: it has no folder; the default, MDEF, is taken",)
    assert gain.parameters["panels"] == {PANELS[0]: PANELS[0], "1-1-1": "MDEF"}


def test_the_folder_for_a_time_is_taken_and_a_later_one_is_said(gains):
    (gains / PANELS[0]).rename(gains / f"{PANELS[0]}-20200101000000")
    gain, _ = from_repository(gains, asked(PANELS[0], stamp="20210101"))
    assert gain.notes == ()
    gain, _ = from_repository(gains, asked(PANELS[0], stamp="20190101"))
    assert "all are later" in gain.notes[0]


def test_all_missing_files_are_named(gains):
    for panel, name in ((PANELS[0], "g1_gain.npy"), (PANELS[1], "g2_offset.npy")):
        (gains / panel / name).unlink()
    with pytest.raises(NotFound, match="g1_gain.npy, .*g2_offset.npy"):
        from_repository(gains, asked(*PANELS))


@pytest.mark.parametrize("array", [np.zeros((3, 4)), np.zeros((512, 1024), "c8")])
def test_what_is_no_panel_is_refused(gains, array):
    np.save(gains / PANELS[0] / "g1_gain.npy", array)
    with pytest.raises(BadArray, match=r"g1_gain.npy holds .*\(512, 1024\)"):
        from_repository(gains, asked(PANELS[0]))


def test_what_nobody_says_is_asked_for(gains):
    with pytest.raises(NotFound, match="ids of the panels .* not given; give --id"):
        from_repository(gains, Asked.of(JUNGFRAU))
    with pytest.raises(BadQuestion, match="is no jungfrau"):
        from_repository(gains, Asked.of("CxiDs1.0:Cspad.0", ids=["1-1-1"]))
    with pytest.raises(NotFound, match="--repo"):
        from_repository(gains / "none", asked(*PANELS))
    long = "_".join(["jungfrau", *PANELS])
    assert len(from_repository(gains, Asked.of(long))) == 2
