"""One event: its canonical form, and what makes a proposal stale."""

import pytest

from cdb.events import Proposal, canonical


def test_the_canonical_form_is_what_the_design_says():
    assert canonical({"b": [1, {"d": None, "c": "é"}], "a": True}) == (
        '{"a":true,"b":[1,{"c":"é","d":null}]}'.encode()
    )


def event(action="add", **names):
    return {"action": action, "versions": [{"database": "d", "id": "i", "key": "k", **names}]}


@pytest.mark.parametrize(
    ("between", "stale"),
    [(event(), True), (event(key="other"), False), (event("retire"), True),
     (event("sweep", key="other"), False), (event("sweep", id="upload"), True),
     (event("sweep", database="other", id="upload"), False)],
)  # fmt: skip
def test_only_what_a_proposal_rests_on_makes_it_stale(between, stale):
    proposal = Proposal(
        "add", "", lambda *_: [], frozenset("k"), uploads=frozenset([("d", "upload")])
    )
    assert proposal.is_stale_after(between) is stale
