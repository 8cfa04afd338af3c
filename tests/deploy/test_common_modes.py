"""Parameters of a common mode as constants."""

import pytest

from cdb.deploy import Asked, common_modes
from cdb.errors import BadQuestion
from tests.deploy.conftest import EPIX, OPAL


def test_parameters_are_checked_for_the_detector():
    ready = common_modes.from_parameters(Asked.of(EPIX), [4, 6, 30, 30])
    assert (ready.data.dtype, ready.data.tolist()) == ("float64", [4, 6, 30, 30])
    assert "rows of 96 pixels" in common_modes.in_words(Asked.of(EPIX), ready.data)
    with pytest.raises(BadQuestion, match="no algorithm 8 for epix100a"):
        common_modes.from_parameters(Asked.of(EPIX), [8, 1, 100])


def test_defaults_say_whose_they_are():
    ready = common_modes.from_defaults(Asked.of(EPIX), readers="c++")
    assert ready.data.tolist()[:4] == [4, 6, 30, 10]
    assert ready.notes == ("the default of LCLS-I's C++ readers",)
    assert ready.as_source()["parameters"]["default"] == "c++"
    princeton = Asked.of("MecTargetChamber.0:Princeton.1")
    with pytest.raises(BadQuestion, match="depend on its shape"):
        common_modes.from_defaults(princeton)
    assert common_modes.from_defaults(princeton, (10, 20)).data[5] == 200
    assert not common_modes.from_defaults(Asked.of(OPAL)).data.any()
