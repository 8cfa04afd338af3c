"""Parameters of a common mode as a constant: checked for the detector, told in words."""

from collections.abc import Sequence

from cdb import common_mode
from cdb.deploy.detectors import Asked
from cdb.deploy.ready import Ready

CTYPE = "common_mode"


def from_parameters(asked: Asked, parameters: Sequence[float]) -> Ready:
    """Return a list of parameters as a constant.

    Raises
    ------
    BadQuestion
        If the detector has no such algorithm, or numbers are missing.
    """
    import numpy as np

    common_mode.parse(parameters, asked.dettype)
    return Ready(CTYPE, np.array(parameters, np.float64))


def from_defaults(asked: Asked, shape: Sequence[int] = (), *, readers: str = "python") -> Ready:
    """Return what LCLS-I's readers take where nothing is deployed, as a constant.

    Parameters
    ----------
    asked : Asked
        The detector.
    shape : sequence of int, optional
        Of a frame, where the parameters depend on it.
    readers : str, optional
        ``python`` or ``c++``.

    Raises
    ------
    BadQuestion
        If the shape is missing.
    """
    import numpy as np

    numbers = common_mode.defaults(asked.dettype, shape or asked.shape or (), readers=readers)
    parameters = {"default": readers, **({"shape": list(shape)} if shape else {})}
    note = f"the default of LCLS-I's {'C++' if readers == 'c++' else 'Python'} readers"
    return Ready(CTYPE, np.array(numbers, np.float64), (), parameters, None, (note,))


def in_words(asked: Asked, parameters: Sequence[float]) -> str:
    """Return what parameters mean for a detector; see `cdb.common_mode.describe`."""
    return common_mode.describe(parameters, asked.dettype)
