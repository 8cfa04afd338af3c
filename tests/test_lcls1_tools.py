"""The table of LCLS-I's tools: all of them, and nothing that does not exist."""

import os
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.test_commands import GROUPS, NAMES, parsed

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "lcls1-tools.md").read_text()
# LCLS, "Calibration Store": its lists of tools.
TOOLS = (
    "makepeds", "calibrun", "calibfile", "det_ndarr_raw_proc", "det_pixel_status",
    "geometry_deploy_constants", "deploy_constants", "epix10ka_pedestals_calibration",
    "epix10ka_deploy_constants", "jungfrau_dark_proc", "jungfrau_deploy_constants",
    "jungfrau_gain_constants", "datinfo", "event_keys", "epix10ka_id", "jungfrau_id",
    "find_detector_names", "find_detector_runs", "find_runs_for_data_type", "dcs", "calibman",
    "optical_metrology_check", "optical_metrology_cspad_v1_cxi", "optical_metrology_cspad_v1_xpp",
    "optical_metrology_cspad2x2", "optical_metrology_epix10ka2m", "GeometryAccess",
)  # fmt: skip
ROWS = {
    row[0]: row[1:]
    for line in PAGE.splitlines()
    if len(row := [cell.strip() for cell in line.strip("|").split(" | ")]) == 3
    and row[0] not in ("old name", "---|---|---")
}  # fmt: skip
COMMANDS = sorted(set(re.findall(r"`(cdb [^`]+)`", PAGE.partition("## What the deployers")[0])))
SCRIPTS = sorted(set(re.findall(r"`scripts/(\w+)`", PAGE)))


def test_the_table_has_all_names_in_their_order():
    assert len(TOOLS) == 27
    assert (*ROWS,) == TOOLS


@pytest.mark.parametrize("name", TOOLS)
def test_every_row_says_what_to_type_and_more(name):
    now, how = ROWS[name]
    assert now.startswith("`cdb ")
    assert len(how) > 10


@pytest.mark.parametrize("typed", COMMANDS)
def test_every_command_of_the_table_exists_and_is_well_typed(typed):
    words = shlex.split(typed)[1:]
    if " ".join(words) in {*NAMES, *GROUPS}:  # named alone
        return
    assert parsed(words).params


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "NAME"])
def test_every_script_of_the_table_exists(name):
    assert os.access(ROOT / "scripts" / name, os.X_OK)
    assert name == "common_mode" or f"`scripts/{name}`" in " ".join(ROWS[name])


def test_every_script_with_an_old_name_is_in_the_table():
    there = {path.name for path in (ROOT / "scripts").iterdir() if path.suffix == ""}
    assert {*TOOLS} & there <= {*SCRIPTS}


def test_what_is_not_here_yet_is_not_promised():
    darks = [name for name, row in ROWS.items() if "ark processing" in " ".join(row)]
    assert len(darks) >= 5
    assert "cdb dark" not in PAGE
