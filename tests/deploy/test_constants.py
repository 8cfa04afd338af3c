"""Constants of a repository: the newest that are not later, and never a default unasked."""

import numpy as np
import pytest

from cdb.deploy import Asked
from cdb.deploy import constants as found
from cdb.errors import BadArray, BadFile, BadQuestion, NotFound
from cdb.files import text
from tests.deploy.conftest import EPIX, ID, OPAL, SHAPE, write


def gain_of(ready):
    return float(ready.data[0, 0])


@pytest.mark.parametrize(
    ("stamp", "gain"),
    [(None, 0.25), ("20210101", 0.25), ("20200318190730", 0.25), ("2017010101", 0.5)],
)
def test_the_newest_that_is_not_later(constants, stamp, gain):
    asked = Asked.of(EPIX, ids=[ID], stamp=stamp)
    ready = found.from_repository(constants, asked, "gain")
    assert (ready.ctype, ready.unit, gain_of(ready)) == ("pixel_gain", "keV/ADU", gain)
    assert (ready.data.shape, ready.copied) == (SHAPE, True)


def test_the_source_says_which_file_it_was(constants, epix):
    ready = found.from_repository(constants, epix, "pixel_gain")
    [file] = ready.as_source()["files"]
    assert file["path"] == str(ready.file)
    assert file["nbytes"] == ready.file.stat().st_size
    assert ready.as_source()["parameters"]["panels"] == [ID]


def test_what_is_missing_is_named(constants, epix):
    with pytest.raises(NotFound, match=f"no pixel_rms of {EPIX} in .*{ID}/rms"):
        found.from_repository(constants, epix, "rms")
    early = Asked.of(EPIX, ids=[ID], stamp="20100101")
    with pytest.raises(NotFound, match="before 20100101000000 .*there are 2 of later times"):
        found.from_repository(constants, early, "gain")
    with pytest.raises(NotFound, match=r"no folder .*--repo"):
        found.from_repository(constants / "none", epix, "gain")
    with pytest.raises(BadQuestion, match="there are gain, rms, status"):
        found.from_repository(constants, epix, "pedestals")


def test_ids_are_not_guessed_but_hinted_at(constants):
    with pytest.raises(NotFound, match=f"give --id.*has met it with {ID}"):
        found.from_repository(constants, Asked.of(EPIX), "gain")


def test_files_of_another_alias_are_not_taken(constants, epix):
    write(constants / "epix100a" / ID / "gain", "20250101000000", "gain", np.ones(SHAPE), "0001")
    assert gain_of(found.from_repository(constants, epix, "gain")) == 0.25


def test_both_words_for_a_type_are_folders_of_it(constants, epix):
    write(constants / "epix100a" / ID / "pixel_gain", "20220101000000", "gain", np.ones(SHAPE))
    assert gain_of(found.from_repository(constants, epix, "gain")) == 1


def test_a_default_is_taken_when_asked_for_only(constants):
    folder = constants / "opal1000" / "default"
    folder.mkdir(parents=True)
    np.savetxt(folder / "opal1000_default_gain.txt", np.full((4, 6), 2.0))
    opal = Asked.of(OPAL)
    with pytest.raises(NotFound, match=r"XcsEndstation-0-Opal1000-1/gain; the default .*--default"):
        found.from_repository(constants, opal, "gain")
    ready = found.from_repository(constants, opal, "gain", default=True)
    assert (gain_of(ready), ready.notes) == (2, (
        "the default of all opal1000, of no panel in particular",))  # fmt: skip
    assert ready.as_source()["parameters"]["default"] is True
    assert ready.as_source()["parameters"]["notes"] == list(ready.notes)
    with pytest.raises(NotFound, match="and no default rms of opal1000"):
        found.from_repository(constants, opal, "rms", default=True)


def test_more_panels_than_a_name_of_a_folder_can_hold_have_none_of_their_own(constants):
    ids = [f"{n:010}-" * 6 + f"{n:010}" for n in range(16)]
    (constants / "epix10ka2m").mkdir()
    for ctype in ("gain", "status_extra"):
        with pytest.raises(NotFound, match="no "):
            found.from_repository(
                constants, Asked.of("MfxEndstation.0:Epix10ka2M.0", ids=ids), ctype
            )


def test_rows_of_all_panels_become_the_detectors_shape(constants):
    folder = constants / "cspad" / "default"
    folder.mkdir(parents=True)
    np.savetxt(folder / "cspad_default_gain.txt", np.ones((5920, 388)), fmt="%.0f")
    cspad = Asked.of("CxiDs1.0:Cspad.0")
    ready = found.from_repository(constants, cspad, "gain", default=True)
    assert (ready.data.shape, ready.copied) == ((32, 185, 388), False)


def test_another_size_is_refused(constants, epix):
    write(constants / "epix100a" / ID / "rms", "20160318190730", "rms", np.ones((3, 4)))
    with pytest.raises(BadArray, match=r"have the shape \(704, 768\), not \(3, 4\)"):
        found.from_repository(constants, epix, "rms")


def test_parameters_of_a_common_mode_are_a_list(constants, epix):
    write(constants / "epix100a" / ID / "common_mode", "20160318", "cm", np.array([4.0, 6, 30, 30]))
    assert found.from_repository(constants, epix, "common_mode").data.tolist() == [4, 6, 30, 30]


# Status ----------------------------------------------------------------------------------------


def status(constants, kind, stamp, pixel, bits, dtype="u2"):
    array = np.zeros(SHAPE, dtype)
    array[pixel] = bits
    return write(constants / "epix100a" / ID / kind, stamp, kind, array)


def test_status_extra_is_the_or_of_the_newest_of_every_folder(constants, epix):
    status(constants, "status_data", "20160101000000", (0, 0), 1)
    status(constants, "status_data", "20180101000000", (1, 1), 1)
    status(constants, "status_light", "20160101000000", (1, 1), 2**40, "u8")
    status(constants, "status_merged", "20160101000000", (2, 2), 8)
    status(constants, "status_extra", "20160101000000", (2, 2), 8)
    ready = found.from_repository(constants, epix, "status_extra")
    assert (ready.data.dtype, ready.data[1, 1], np.count_nonzero(ready.data)) == (
        np.uint64, 2**40 + 1, 1)  # fmt: skip
    assert len(ready.files) == 2
    early = Asked.of(EPIX, ids=[ID], stamp="20170101")
    merged = found.from_repository(constants, early, "status_extra").data
    assert (merged[0, 0], merged[1, 1]) == (1, 2**40)


def test_a_folder_of_status_without_a_file_is_named(constants, epix):
    with pytest.raises(NotFound, match=r"no folders status_\* of"):
        found.from_repository(constants, epix, "status_extra")
    status(constants, "status_data", "20180101000000", (1, 1), 1)
    (constants / "epix100a" / ID / "status_light").mkdir()
    with pytest.raises(NotFound, match="no file of .*status_light"):
        found.from_repository(constants, epix, "status_extra")
    early = Asked.of(EPIX, ids=[ID], stamp="20170101")
    with pytest.raises(NotFound, match="20170101000000 in .*status_data and .*status_light"):
        found.from_repository(constants, early, "status_extra")


@pytest.mark.parametrize("bad", [-1.0, 0.5])
def test_a_status_of_no_whole_numbers_is_refused(constants, epix, bad):
    status(constants, "status_data", "20180101000000", (1, 1), bad, "f4")
    with pytest.raises(BadFile, match="whole numbers from 0 on"):
        found.from_repository(constants, epix, "status_extra")


def test_a_file_that_is_no_array_is_named(constants, epix):
    path = write(constants / "epix100a" / ID / "rms", "20160318190730", "rms", np.ones(SHAPE))
    path.write_text("1 2\nx 4\n")
    with pytest.raises(BadFile, match="line 2"):
        found.from_repository(constants, epix, "rms")
    assert text.read(next((constants / "epix100a" / ID / "gain").iterdir())).shape == SHAPE
