"""Texts: every one that UTF-8 holds comes back."""

import pytest

from cdb.errors import BadPayload
from cdb.payload import decode, encode
from tests.payload.samples import stored


@pytest.mark.parametrize("text", ["", "geometry\n", "µm \U0001f600\0", "{'a': 1}", "x" * 10_000])
def test_a_text_comes_back_and_counts_its_characters(text):
    made = encode(text)
    assert made.fields == {"data_type": "str", "data_size": str(len(text))}
    assert made.data == text.encode()
    assert stored(text) == text


def test_stored_bytes_that_are_no_text_are_refused():
    with pytest.raises(BadPayload, match="not UTF-8: .* at byte 1"):
        decode(b"a\xff", {"data_type": "str"})
