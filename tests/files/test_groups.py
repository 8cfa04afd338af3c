"""Sources of LCLS-I: their types and groups, by one table."""

from pathlib import Path

import pytest

from cdb.files.groups import DEVICES, device_of, group_of, plain_source, type_of

TABLE = Path(__file__).parents[3] / "shared" / "reference" / "lcls1-calib-store.md"
NAMES = Path(__file__).parents[3] / "shared" / "data" / "lcls1-detector-names.tsv"


def rows_of_the_reference():
    """Return the 37 rows of chapter 1.2, which has two of them in a line."""
    rows = []
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip().strip("*") for cell in line.split("|")[1:-1]]
        for at in (0, 5):
            row = cells[at : at + 4]
            if len(row) == 4 and row[0].isdigit() and row[3].endswith("::"):
                rows.append((int(row[0]), *row[1:]))
    return [row[1:] for row in sorted(rows)]


def test_the_table_is_that_of_the_reference():
    ours = [(d.name, d.dettype, d.group.removesuffix("CalibV1")) for d in DEVICES]
    assert len(ours) == 37
    assert ours == rows_of_the_reference()


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
@pytest.mark.parametrize("form", ["{}", "DetInfo({})", 'Source("DetInfo({})")', 'Source("{}")'])
def test_each_device_is_found_in_each_way_of_writing(device, form):
    source = f"XppGon.0:{device.name}.1"
    written = form.format(source)
    assert plain_source(written) == source
    assert device_of(written) == device
    assert (type_of(written), group_of(written)) == (device.dettype, device.group)


@pytest.mark.parametrize(
    "source",
    ["XppGon.0:cspad.0", "XppGon.0:Cspad", "XppGon-0|Cspad-0", "Cspad.0", "", "epix_alc3", "::."],
)
def test_what_is_no_source_of_the_table_is_undefined(source):
    assert (type_of(source), group_of(source)) == ("UNDEFINED", "UNDEFINED")


def test_every_source_that_psana_converts_is_read_as_it_stands():
    sources = [line.split("\t")[0] for line in NAMES.read_text().splitlines()[1:]]
    assert len(sources) > 300
    assert [plain_source(source) for source in sources] == sources
