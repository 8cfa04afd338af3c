"""psana 4.3.4 finds and reads in an exported tree what look-ups answer: one process of psana."""

import json
import subprocess

import numpy as np

from cdb.exchange.lcls1_export import Export
from cdb.exchange.lcls1_import import Import
from tests.exchange.conftest import (
    CSPAD,
    EXPERIMENT,
    PEDESTALS,
    answer,
    edges_of,
    folders_of,
)

PROGRAM = """
import json, sys
from psana.pscalib.calib.CalibFileFinder import CalibFile, CalibFileFinder
from psana.pscalib.calib.NDArrIO import load_txt

# What Python 3 no longer asks for: without it two files of one folder are a TypeError.
CalibFile.__lt__ = lambda self, other: self.__cmp__(other) < 0

told = []
for group, source, ctype, run in json.loads(sys.argv[1]):
    path = CalibFileFinder("calib/", group, pbits=0).findCalibFile(source, ctype, run)
    if not path:
        told.append(None)
    elif ctype == "geometry":
        told.append(open(path, "rb").read().hex())
    else:
        array = load_txt(path)
        told.append([str(array.dtype), list(array.shape), array.tobytes().hex()])
print(json.dumps(told))
"""


def plain(found):
    if isinstance(found, np.ndarray):
        return [str(found.dtype), list(found.shape), found.tobytes().hex()]
    return None if found is None else found.encode("latin-1").hex()


def test_psana_finds_and_reads_what_look_ups_answer(psana_python, memory_db, calib, tmp_path):
    # Of two spellings of the same runs psana takes either, as the folder's order has it.
    (calib / PEDESTALS / "8-9999.data").unlink()
    Import(memory_db, calib, EXPERIMENT).run()
    rng = np.random.default_rng(3)
    for ctype, dtype, run, run_end in [
        ("pedestals", "float32", 9, 10), ("pedestals", "float64", 14, "end"),
        ("pixel_status", "uint64", 3, 7000), ("pixel_mask", "uint8", 4, 4),
    ]:  # fmt: skip
        data = (rng.random((3, 4, 5)) * 200).astype(dtype)
        memory_db.add(
            data, detector=CSPAD, ctype=ctype, experiment=EXPERIMENT, run=run, run_end=run_end
        )
    made = Export(memory_db, tmp_path / "calib", EXPERIMENT).run()
    assert (made.left_out, made.stand_ins) == ([], [])
    runs = edges_of(tmp_path / "calib")
    folders = [f for f in folders_of(tmp_path / "calib") if not f.group.startswith("iStar")]
    asked = [(f.group, f.source, f.ctype, run) for f in folders for run in runs]
    done = subprocess.run(
        [psana_python, "-c", PROGRAM, json.dumps(asked)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    for (_, source, ctype, run), theirs in zip(asked, told, strict=True):
        ours = plain(answer(memory_db, source, ctype, experiment=EXPERIMENT, run=run))
        assert theirs == ours, (source, ctype, run)
    assert len({json.dumps(one) for one in told}) > 10
