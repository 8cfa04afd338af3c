"""What a run tells of a detector: the ids of its panels, its long name, its gain mode by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cdb import gain_modes, panel_ids
from cdb.readers import Run, Source
from cdb.readers.frames import Block

# Frames that are looked at in each step.
FRAMES = 2
_CONFIGURED = ("user.gainMode", "gainMode", "settings")


@dataclass(frozen=True)
class GainMode:
    """The gain mode of a step.

    Attributes
    ----------
    mode : str or None
        What more than half of the pixels are in; None where no mode is.
    fractions : mapping of str to float
        Which part of the pixels is in each mode, 0 to 1.
    """

    mode: str | None
    fractions: Mapping[str, float]


def panels_of(run: Run, source: Source) -> list[str]:
    """Return the ids of the panels of a source, in their order; none where the run has none."""
    ids = [panel_ids.id_in(panel) for panel in run.configuration(source)]
    if not any(ids):
        ids = [panel_ids.id_of_source(source.name)]
    return [one for one in ids if one] if all(ids) else []


def long_name_of(source: Source, ids: Sequence[str]) -> str | None:
    """Return the long name by which the register knows a detector; None without ids."""
    return panel_ids.long_name(source.detector_type, ids) if ids and source.detector_type else None


def configured_gain(run: Run, source: Source) -> str | None:
    """Return the gain mode that a jungfrau was set to, as its configuration says it.

    Where several are said, all are named; ``high`` gain 0 is named beside it.
    """
    found: dict[str, None] = {}
    for panel in run.configuration(source):
        words = [str(panel[name]) for name in _CONFIGURED if isinstance(panel.get(name), str)]
        if str(panel.get("user.gain0", "")) == "high":
            words.append("high gain 0")
        if words:
            found[" ".join(words)] = None
    return ", ".join(found) or None


def gain_modes_of(run: Run, source: Source, **selected: Any) -> dict[int, GainMode]:
    """Return the gain mode of each step, by its first frames.

    Parameters
    ----------
    **selected : optional
        ``steps`` and ``skip``, as `Run.blocks` takes them.

    Returns
    -------
    modes : dict of int to GainMode
        By the number of the step; empty for a detector without gain modes.
    """
    look = _look_at(run, source)
    if look is None:
        return {}
    held: dict[int, list[npt.NDArray[np.int8]]] = {}
    for block in run.blocks(source, limit=FRAMES, **selected):
        held.setdefault(block.step, []).append(look(block).reshape(-1))
    names = gain_modes.JUNGFRAU if source.detector_type == "jungfrau" else gain_modes.EPIX10KA
    found = {}
    for step, modes in held.items():
        parts = gain_modes.fractions(np.concatenate(modes), names)
        found[step] = GainMode(gain_modes.majority(parts), parts)
    return found


def _look_at(run: Run, source: Source) -> Any:
    """Return what tells the mode of each pixel in a block; None where nothing does."""
    if source.detector_type == "jungfrau" and source.dtype.kind in "iu":
        return _jungfrau
    if source.detector_type.startswith("epix10k") and source.dtype.kind in "iu":
        words = [_words(panel) for panel in run.configuration(source)]
        if words and all(word is not None for word in words):
            stacked = np.stack(words)  # type: ignore[arg-type]
            if stacked.shape[-2:] == source.shape[-2:] and len(words) == source.n_panels:
                return lambda block: gain_modes.epix10ka_modes(
                    gain_modes.with_data_bit(stacked.reshape(source.shape), block.data)
                )
    return None


def _jungfrau(block: Block) -> npt.NDArray[np.int8]:
    # The European XFEL keeps the two bits in an array of their own.
    gain = block.more.get("gain")
    raw = block.data if gain is None else gain.astype(np.uint16) << 14
    return gain_modes.jungfrau_ranges(raw)


def _words(panel: Mapping[str, Any]) -> npt.NDArray[np.uint8] | None:
    """Return the words of a panel, by the names of LCLS-II or of LCLS-I."""
    asics = panel.get("asics")
    trbits = panel.get("trbit")
    if trbits is None and isinstance(asics, list):
        trbits = [one.get("trbit", 0) for one in asics]
    map_ = panel.get("asicPixelConfig", panel.get("asicPixelConfigArray"))
    if trbits is None or map_ is None:
        return None
    return gain_modes.epix10ka_words(list(trbits), map_)
