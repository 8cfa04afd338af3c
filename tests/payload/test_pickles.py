"""Pickles of psana: read when allowed, and never run."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdb.errors import BadPayload, CalibError, UnsafePayload
from cdb.payload import decode
from tests.payload.samples import ANY, ARRAYS, POINT, assert_short, nested, same

PICKLED = {
    **{name: array for name, array in ARRAYS.items() if name not in ("jungfrau", "aligned")},
    "dict": {"a": [np.arange(3), {"b": np.float32(2)}], "c": (None, True, 1.5, 2j, 10**30)},
    "objects": np.array([[1, None], ["x", 2.5]], object),
    "sets": [{1, 2}, frozenset("a"), bytearray(b"ab"), b"ab"],
    "ordered": OrderedDict(b=1, a=2),
    "dtype": np.dtype(">f4"),
    "structured scalar": np.zeros(1, POINT)[0],
    "key": {np.int64(3): 1},
}
BAITED = Path("/tmp") / f"cdb-baited-{os.getpid()}"


class Bait:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {BAITED}",)


class Disguised:
    """The same, behind a container that is admitted."""

    def __reduce__(self):
        return set, ([Bait()],)


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("value", PICKLED.values(), ids=PICKLED)
def test_a_pickle_of_psana_is_read_when_allowed(value, protocol):
    back = decode(pickle.dumps(value, protocol), ANY, allow_pickle=True)
    assert repr(back) == repr(value)
    assert type(back) is type(value)


def test_a_pickle_of_an_older_numpy_is_read():
    for data in (np.arange(3), np.float32(2)):
        old = pickle.dumps(data, 4).replace(
            b"\x16numpy._core.multiarray", b"\x15numpy.core.multiarray"
        )
        back = decode(_without_frame(old), ANY, allow_pickle=True)
        assert same(back, data)


def _without_frame(data):
    """Return a pickle of protocol 4 without the frame, whose length may be wrong."""
    return data[:2] + data[11:]


def test_a_pickle_is_refused_unless_allowed():
    with pytest.raises(UnsafePayload, match="allow_pickle=True in Python, --allow-pickle on"):
        decode(pickle.dumps({"a": 1}), ANY)


@pytest.mark.parametrize("allow_pickle", [False, True])
@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "bait", [Bait(), [Bait()], Disguised(), {"a": (Bait(),)}], ids=["bare", "list", "set", "dict"]
)
def test_a_pickle_never_runs_a_command(bait, protocol, allow_pickle):
    with pytest.raises(UnsafePayload):
        decode(pickle.dumps(bait, protocol), ANY, allow_pickle=allow_pickle)
    assert not BAITED.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"cos\nsystem\n(S'touch x'\ntR.", "'os.system'"),
        (b"cbuiltins\neval\n(V1\ntR.", "'builtins.eval'"),
        (b"cbuiltins\ngetattr\n.", "'builtins.getattr'"),
        (b"ccollections\nOrderedDict.__init__.__globals__\n.", "globals"),
        (b"cnumpy\nload\n.", "'numpy.load'"),
        (b"cnumpy.testing._private.utils\nrunstring\n.", "runstring"),
        (b"cdatetime\ndatetime\n.", "'datetime.datetime'"),
        (b"ccdb.payload\ndecode\n.", "'cdb.payload.decode'"),
    ],
)
def test_a_pickle_that_asks_for_more_is_refused_by_name(text, words):
    with pytest.raises(UnsafePayload, match=words):
        decode(text, ANY, allow_pickle=True)


def cyclic():
    cycle = []
    cycle.append(cycle)
    return cycle


NO_PICKLES = {
    "nothing": b"",
    "text": b"hello",
    "no end": pickle.dumps([1])[:-1],
    "stack": b"....",
    "memo of 2**31": b"\x80\x04Nr\xff\xff\xff\x7f.",
    "persistent": b"Pid\n.",
    "class": b"cbuiltins\nset\n.",
    "cycle": pickle.dumps(cyclic()),
    "deep": pickle.dumps(nested(150)),
    "much memory": b"\x80\x04cbuiltins\nbytearray\n\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x85R.",
    "array unmade": b"cnumpy\nndarray\n)R.",
    "state for a class": b"cnumpy\nndarray\nN}\x86b.",
    "objects in a field": pickle.dumps(np.zeros(2, [("a", "O")])),
}


@pytest.mark.parametrize("data", NO_PICKLES.values(), ids=NO_PICKLES)
def test_a_pickle_that_cannot_be_read_is_refused(data):
    with pytest.raises(BadPayload):
        decode(data, ANY, allow_pickle=True)


CHANGES = st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(list(PICKLED.values())), st.sampled_from([4, 5]), CHANGES)
def test_a_changed_pickle_is_read_or_refused(value, protocol, changes):
    data = bytearray(pickle.dumps(value, protocol))
    for place, byte in changes:
        data[place % len(data)] = byte
    try:
        decode(bytes(data), ANY, allow_pickle=True)
    except CalibError as error:
        assert_short(error)
