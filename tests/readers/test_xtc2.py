"""Runs of LCLS-II in xtc2, read by the real psana in a process of its own."""

import json
import os
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from cdb.errors import CalibError
from cdb.readers import open_run
from tests import psana_clients
from tests.readers import writers

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "xtc2"
EPIX, JUNGFRAU = DATA / "test_epix_calib.xtc2", DATA / "test_jungfrau05M_calib.xtc2"

# All that is asked of psana, in one process; what the command line needs beside it comes last on
# the path, so that psana keeps its own numpy.
SCRIPT = """
import contextlib, io, json, sys
sys.path.append(sys.argv[1])
import numpy as np
from types import SimpleNamespace
from psana import DataSource
from psana.detector import UtilsEpix10ka as theirs
from cdb import gain_modes, run_facts
from cdb.errors import CalibError
from cdb.readers import open_run

told = {}
for name, path in (("epix", sys.argv[2]), ("jungfrau", sys.argv[3])):
    run = next(DataSource(files=path, skip_calib_load="all").runs())
    (detname,) = run.detnames
    raw = run.Detector(detname).raw
    events = run.events()
    frames, stamps = [], []
    for _ in range(2):
        event = next(events)
        frames.append(raw.raw(event).copy())
        stamps.append(event.timestamp)
        mode = theirs.find_gain_mode(raw, event) if name == "epix" else None
    with open_run(path) as ours:
        source = ours.source()
        whole = list(ours.blocks())
        single = list(ours.blocks(nbytes=1))
        last = list(ours.blocks(skip=1, limit=5))
        ids = run_facts.panels_of(ours, source)
        gain = run_facts.gain_modes_of(ours, source)[0]
        told[name] = {
            "where": [ours.experiment, ours.number, ours.begin.isoformat(), ours.end.isoformat()],
            "theirs": [run.expt, run.runnum],
            "source": [source.name, source.detector_type, list(source.shape), source.n_frames],
            "blocks": [len(block.data) for block in whole] + [len(b.data) for b in single],
            "equal": bool(np.array_equal(whole[0].data, np.stack(frames))
                          and np.array_equal(last[0].data, frames[1][None])),
            "stamps": [int(s) for s in whole[0].stamps],
            "expected_stamps": [((s >> 32) + 631152000) * 10**9 + (s & 0xFFFFFFFF) for s in stamps],
            "steps": [[step.number, step.n_events] for step in ours.steps],
            "uniqueid": raw._uniqueid,
            "longname": run_facts.long_name_of(source, ids),
            "panels": len(ids),
            "mode": gain.mode,
            "fractions": dict(gain.fractions),
            "psana_mode": mode,
            "configured": run_facts.configured_gain(ours, source),
            "keys": sorted({key.name for key in ours.recorded()})[:3],
        }

# A run of two steps; what is behind the last wanted frame is not read.
with open_run(sys.argv[7]) as ours:
    told["steps"] = [[step.number, step.n_events] for step in ours.steps]
    told["by_step"] = [[block.step, len(block.data)] for block in ours.blocks()]
    told["second"] = [[block.step, len(block.data)] for block in ours.blocks(steps=[1], limit=1)]
    told["modes"] = {step: gain.mode for step, gain in
                     run_facts.gain_modes_of(ours, ours.source()).items()}
    events = ours._streams[0].frames("epixquad")
    taken = []
    ours._streams[0].frames = lambda name: (taken.append(one) or one for one in events)
    told["first"] = sum(len(block.data) for block in ours.blocks(steps=[0], limit=1))
    told["looked_at"] = len(taken)

# The words of random configurations, as psana works them out, and their modes.
rng = np.random.default_rng(1)
same = []
for number in range(8):
    trbits = rng.integers(0, 2, 4)
    map_ = rng.integers(0, 16, (4, 176, 192)).astype(np.uint8)
    data = rng.integers(0, 2**15, (352, 384)).astype(np.uint16)
    words = gain_modes.epix10ka_words(trbits, map_)
    config = SimpleNamespace(trbit=trbits, asicPixelConfig=map_.copy())
    same.append(np.array_equal(words, theirs.cbits_config_epix10ka(config)))
    with_data = gain_modes.with_data_bit(words, data)
    maps = theirs.gain_maps_epix10ka_any_alg(with_data)
    modes = gain_modes.epix10ka_modes(with_data)
    same += [np.array_equal(modes == place, map_of) for place, map_of in enumerate(maps)]
told["words"] = [bool(one) for one in same]

# A file that was cut short behind its first event.
with open_run(sys.argv[4]) as ours:
    told["cut"] = [sum(len(block.data) for block in ours.blocks()), ours.notes]

# Streams of one run: two with panels of one detector, of which one lost an event; in the third
# another detector, in two chunks.
with open_run(sys.argv[6]) as ours:
    jungfrau = np.concatenate([block.data for block in ours.blocks("jungfrau")])
    epix = list(ours.blocks("epix"))
    with open_run(sys.argv[3]) as alone:
        panel = np.concatenate([block.data for block in alone.blocks()])[1:]
    with open_run(sys.argv[2]) as alone:
        quads = np.concatenate([block.data for block in alone.blocks()])
    told["streams"] = {
        "sources": [[one.name, list(one.shape), one.n_frames] for one in ours.sources.values()],
        "jungfrau": bool(np.array_equal(jungfrau, np.concatenate([panel, panel], axis=1))),
        "epix": bool(np.array_equal(np.concatenate([block.data for block in epix]), quads)),
        "steps": [[step.number, step.n_events] for step in ours.steps],
        "epix_steps": [block.step for block in epix],
        "panels": len(run_facts.panels_of(ours, ours.source("epix"))),
    }

# Event codes of a timing system, written by psana: one event has lost it.
from psana.dgramedit import AlgDef, DetectorDef, DgramEdit
from psana.psexp import TransitionId
config = DgramEdit(transition_id=TransitionId.Configure, ts=1 << 32, bufsize=2**20)
info = config.Detector(DetectorDef("runinfo", "runinfo", ""), AlgDef("runinfo", 0, 0, 1),
                       {"expt": (str, 1), "runnum": (np.uint32, 0)}).runinfo
timing = config.Detector(DetectorDef("timing", "ts", "detnum1"), AlgDef("raw", 2, 0, 0),
                         {"sequenceValues": (np.uint16, 1)}).raw
info.expt, info.runnum = "xpptut15", 54
def written(edit):
    buffer = bytearray(2**20)
    edit.save(memoryview(buffer))
    return buffer[:edit.size]
def datagram(kind, second, added=None):
    edit = DgramEdit(config_dgramedit=config, transition_id=kind, ts=second << 32, bufsize=2**20)
    if added is not None:
        edit.adddata(added)
    return written(edit)
with open(sys.argv[8], "wb") as file:
    file.write(written(config))
    file.write(datagram(TransitionId.BeginRun, 2, info))
    file.write(datagram(TransitionId.BeginStep, 3))
    file.write(datagram(TransitionId.Enable, 4))
    for second, codes in enumerate([[40], None, [40, 162], [281]], start=5):
        words = np.zeros(18, np.uint16)
        for code in codes or []:
            words[code // 16] |= 1 << code % 16
        timing.sequenceValues = words
        file.write(datagram(TransitionId.L1Accept, second, None if codes is None else timing))
with open_run(sys.argv[8]) as ours:
    told["codes"] = [list(ours.event_codes(*n).items()) for n in ([], [2], [0])]
    told["codes_of"] = [ours.experiment, ours.number, list(ours.sources)]
with open_run(sys.argv[3]) as ours:
    told["codes"].append(list(ours.event_codes().items()))

# A configuration that is noise: psana's compiled parts may say anything, but a sentence.
try:
    with open_run(sys.argv[5]) as ours:
        told["noise"] = f"opened: {list(ours.sources)}"
except CalibError as error:
    told["noise"] = str(error)

# The command line.
from click.testing import CliRunner
from cdb.cli.main import cli
for command in (["info", sys.argv[2]], ["info", sys.argv[3], "--json"], ["panels", sys.argv[2]],
                ["info", sys.argv[8], "-n", "3"], ["keys", sys.argv[3], "-p", "gainMode"]):
    result = CliRunner().invoke(cli, ["raw", *command], prog_name="cdb")
    told[" ".join([command[0], *command[2:]])] = [result.exit_code, result.output]
print("ANSWER " + json.dumps(told))
"""


def write_streams(folder: Path) -> None:
    """Write three streams with the stamps of one, as of one run."""
    folder.mkdir()
    epix, jungfrau = writers.datagrams(EPIX), writers.datagrams(JUNGFRAU)
    same = [jungfrau[place] for place in (0, 1, 3, 4, 6, 7)]
    same = [stamped[:8] + one[8:] for stamped, one in zip(epix, same, strict=True)]
    for name, parts in (
        ("s000-c000", same), ("s001-c000", same[:4] + same[5:]),
        ("s002-c000", epix[:5]), ("s002-c001", [*epix[:2], epix[5]]),
    ):  # fmt: skip
        (folder / f"ueddaq02-r0109-{name}.xtc2").write_bytes(b"".join(parts))


@pytest.fixture(scope="module")
def told(psana_python, tmp_path_factory):
    """What psana and we say of the two files."""
    folder = tmp_path_factory.mktemp("xtc2")
    whole = EPIX.read_bytes()
    (folder / "cut.xtc2").write_bytes(whole[:-1000])
    noise = np.random.default_rng(1).bytes(3000)
    chain = [writers.datagram(2, noise), writers.datagram(4, noise), writers.datagram(12, noise)]
    (folder / "noise.xtc2").write_bytes(b"".join(chain))
    write_streams(folder / "streams")
    parts = writers.datagrams(EPIX)
    steps = [*parts, parts[2], parts[3], parts[5]]
    (folder / "steps.xtc2").write_bytes(b"".join(steps))
    arguments = [sysconfig.get_paths()["purelib"], EPIX, JUNGFRAU, folder / "cut.xtc2",
                 folder / "noise.xtc2", folder / "streams",
                 folder / "steps.xtc2", folder / "codes.xtc2"]  # fmt: skip
    process = subprocess.Popen(
        [psana_python, "-c", SCRIPT, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return psana_clients.answered(process)


@pytest.mark.parametrize("name", ["epix", "jungfrau"])
def test_frames_and_stamps_are_psanas(told, name):
    assert told[name]["equal"]
    assert told[name]["stamps"] == told[name]["expected_stamps"]
    assert told[name]["blocks"] == [2, 1, 1]
    assert told[name]["where"][:2] == told[name]["theirs"]


@pytest.mark.parametrize(
    ("name", "source", "begin"),
    [
        ("epix", ["epixquad", "epix10ka", [4, 352, 384], 2], "2021-02-23T20:34:21.839351+00:00"),
        ("jungfrau", ["jungfrau", "jungfrau", [1, 512, 1024], 2],
         "2025-03-28T19:08:11.090739+00:00"),
    ],
)  # fmt: skip
def test_what_a_run_is(told, name, source, begin):
    assert told[name]["source"] == source
    assert told[name]["where"][2] == begin
    assert told[name]["steps"] == [[0, 2]]


@pytest.mark.parametrize(("name", "panels"), [("epix", 4), ("jungfrau", 1)])
def test_the_long_name_is_psanas(told, name, panels):
    assert told[name]["longname"] == told[name]["uniqueid"]
    assert told[name]["panels"] == panels


def test_the_gain_mode_is_psanas(told):
    assert told["epix"]["mode"] == told["epix"]["psana_mode"] == "FL"
    assert told["epix"]["fractions"]["FL"] == 1
    assert told["jungfrau"]["mode"] == "0"
    assert told["jungfrau"]["configured"] == "DYNAMIC"


def test_words_and_modes_of_any_configuration_are_psanas(told):
    assert len(told["words"]) == 64
    assert all(told["words"])


def test_what_was_recorded_is_listed(told):
    assert told["epix"]["keys"] == ["asicPixelConfig", "detid", "raw.calib"]


def test_steps_of_a_run(told):
    assert told["steps"] == [[0, 2], [1, 1]]
    assert told["by_step"] == [[0, 2], [1, 1]]
    assert told["second"] == [[1, 1]]
    assert told["modes"] == {"0": "FL", "1": "FL"}


def test_what_is_behind_the_last_wanted_frame_is_not_read(told):
    assert (told["first"], told["looked_at"]) == (1, 2)


def test_streams_are_joined_by_their_stamps(told):
    streams = told["streams"]
    assert streams["sources"] == [["epixquad", [4, 352, 384], 2], ["jungfrau", [2, 512, 1024], 1]]
    assert streams["jungfrau"]
    assert streams["epix"]
    assert (streams["steps"], streams["epix_steps"]) == ([[0, 2]], [0])
    assert streams["panels"] == 4


def test_event_codes_are_the_timing_systems(told):
    whole, some, none, without = told["codes"]
    assert whole == [[40, 2], [162, 1], [281, 1]]
    assert some == [[40, 1]]
    assert none == without == []
    assert told["codes_of"] == ["xpptut15", 54, []]


def test_a_file_that_was_cut_short_is_read_up_to_there(told):
    n_frames, notes = told["cut"]
    assert n_frames == 1
    assert "ends in the middle of a datagram; the 1 events before it are read" in notes[0]


def test_a_configuration_that_is_noise(told):
    assert "noise.xtc2" in told["noise"]
    assert "\n" not in told["noise"]


def test_the_commands(told):
    code, shown = told["info"]
    assert code == 0
    assert "ueddaq02 run 109, xtc2" in shown
    assert "FL (100%)" in shown
    code, shown = told["info -n 3"]
    assert "codes   40 (2), 162 (1) of the first 3 events" in shown
    assert "no source of frames" in shown
    code, shown = told["panels"]
    assert "panel  3  3926196238-0176373505-4043309078-" in shown
    code, shown = told["info --json"]
    (run,) = json.loads(shown)
    assert run["sources"][0]["longname"] == "jungfrau_8000000020000-230920-20004002c"
    code, shown = told["keys -p gainMode"]
    assert (code, "user.gainMode" in shown) == (0, True)


def test_without_psana_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psana", None)
    with pytest.raises(CalibError, match=r"xtc2 files need psana.*pip install 'cdb\[psana\]'"):
        open_run(EPIX)
