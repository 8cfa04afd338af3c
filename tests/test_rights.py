"""Rights are patterns of database names; what lies outside the prefix is an administrator's."""

import pytest

from cdb.errors import BadName
from cdb.rights import ANYTHING, Rights, check_pattern


@pytest.mark.parametrize(
    ("rights", "reads", "writes"),
    [
        (Rights(), False, False),
        (Rights(read=("cdb_rixx*",)), True, False),
        (Rights(read=("cdb_xpp*",)), False, False),
        (Rights(write=("cdb_rixx4561?",)), True, True),
        (Rights(write=("cdb_RIXX*",)), False, False),
        (Rights(admin=True), True, True),
    ],
)
def test_a_pattern_says_what_may_be_read_and_written(rights, reads, writes):
    assert rights.may_read("cdb_rixx45619") is reads
    assert rights.may_write("cdb_rixx45619") is writes


def test_anything_is_not_the_journal():
    everything = Rights(read=ANYTHING, write=ANYTHING)
    assert everything.may_write("cdb_detnames")
    assert not everything.may_read("cdbjournal")
    assert Rights(admin=True).may_read("cdbjournal")


def test_rights_of_two_sources_add_up():
    both = Rights(read=("cdb_a*",)) | Rights(read=("cdb_a*", "cdb_b"), admin=True)
    assert both == Rights(read=("cdb_a*", "cdb_b"), admin=True)


@pytest.mark.parametrize("pattern", ["", "rixx*", "cdbjournal", "cdb_a/b", "**", "cdb_[ab]", 7])
def test_a_pattern_that_fits_no_database_is_refused(pattern):
    with pytest.raises(BadName, match="no database fits"):
        check_pattern(pattern)


@pytest.mark.parametrize(
    "value",
    ["admin", [], {"read": "cdb_a"}, {"write": 7}, {"admin": 1}, {"admin": "yes"}, {"owner": []},
     {"read": [None]}],
)  # fmt: skip
def test_rights_that_are_none_are_refused(value):
    with pytest.raises(BadName):
        Rights.of(value)
