"""What `cdb raw info` says of a run, for people and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdb.cli import output

if TYPE_CHECKING:
    from cdb.constant import Version
    from cdb.readers import Run
    from cdb.run_facts import GainMode


@dataclass(frozen=True)
class Codes:
    """With how many of the first `looked_at` events each event code came."""

    counts: Mapping[int, int]
    looked_at: int

    def told(self, run: "Run") -> str:
        """Return them for people."""
        n_events = sum(step.n_events for step in run.steps)
        of = f" of the first {self.looked_at} events" if self.looked_at < n_events else ""
        return ", ".join(f"{code} ({n})" for code, n in self.counts.items()) + of


def as_json(
    run: "Run", steps: Sequence[int], codes: Codes, facts: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return what JSON says of a run."""
    return {
        "run": run.where,
        "kind": run.kind,
        "experiment": run.experiment,
        "number": run.number,
        "begin": run.begin.isoformat() if run.begin else None,
        "end": run.end.isoformat() if run.end else None,
        "steps": [
            {"number": step.number, "events": step.n_events,
             "values": {name: _simple(value) for name, value in step.values.items()}}
            for step in run.steps
            if step.number in steps
        ],
        "event_codes": {str(code): n for code, n in codes.counts.items()},
        "sources": [
            {
                "name": one["source"].name,
                "detector_type": one["source"].detector_type,
                "key": one["source"].key,
                "frames": one["source"].n_frames,
                "shape": list(one["source"].shape),
                "dtype": str(one["source"].dtype),
                "stamped_by": one["source"].stamped_by,
                "panels": one["panels"],
                "longname": one["longname"],
                "configured_gain": one["configured"],
                "gain_modes": {
                    step: {"mode": gain.mode, "fractions": dict(gain.fractions)}
                    for step, gain in one["modes"].items()
                },
                **({"configuration": one["configuration"]} if "configuration" in one else {}),
                **(
                    {"constants": [version.as_json() for version in one["constants"]]}
                    if "constants" in one
                    else {}
                ),
            }
            for one in facts
        ],
    }  # fmt: skip


def tell(run: "Run", steps: Sequence[int], codes: Codes, facts: list[dict[str, Any]]) -> None:
    """Print what people want to know of a run."""
    number = "" if run.number is None else f" run {run.number}"
    output.fields(
        {
            "run": run.where,
            "is": f"{run.experiment or 'no experiment named'}{number}, {run.kind}",
            "begin": _time(run.begin),
            "end": _time(run.end),
            "events": sum(step.n_events for step in run.steps),
            "steps": len(run.steps),
            **({"codes": codes.told(run)} if codes.counts else {}),
        }
    )
    told = [step for step in run.steps if step.number in steps]
    if len(run.steps) > 1:
        output.table(
            [
                {"step": str(step.number), "events": str(step.n_events),
                 "values": ", ".join(f"{k} {_simple(v)}" for k, v in step.values.items())}
                for step in told
            ],
            beneath=["values"],
        )  # fmt: skip
    if not facts:
        output.tell("no source of frames")
    rows = [
        {"source": one["source"].name, "type": one["source"].detector_type or "-",
         "frames": str(one["source"].n_frames),
         "frame": values(str(one["source"].dtype), one["source"].shape),
         "stamps": one["source"].stamped_by, "gain mode": _gain(one)}
        for one in facts
    ]  # fmt: skip
    output.table(rows, beneath=["gain mode"], optional=["stamps", "type"])
    for one in facts:
        for place, id_ in enumerate(one["panels"]):
            output.tell(f"panel {place} of {one['source'].name}: {id_}")
        for place, panel in enumerate(one.get("configuration", [])):
            output.tell(f"configuration {place} of {one['source'].name}")
            if panel:
                output.fields(panel, indent="  ")
        if one.get("constants"):
            output.tell(f"constants of {one['source'].name}")
            output.table(list(map(_constant, one["constants"])), optional=["version"])


def _constant(version: "Version") -> dict[str, str]:
    from cdb.payload.arrays import shape_of

    meta = version.meta
    shape = shape_of(meta["data_shape"]) if "data_shape" in meta else None
    return {
        "type": version.ctype,
        "values": values(str(meta.get("data_dtype", meta.get("data_type", ""))), shape),
        "runs": str(version.runs or ""),
        "database": version.database,
        "version": str(meta.get("version", "")),
        "id": version.id,
    }


def _gain(facts: dict[str, Any]) -> str:
    """Return the gain mode for a table: one where all steps agree, else one a step."""
    modes: dict[int, GainMode] = facts["modes"]
    words = {step: _mode(gain) for step, gain in modes.items()}
    if len({*words.values()}) == 1:
        said = next(iter(words.values()))
    else:
        said = ", ".join(f"step {step}: {word}" for step, word in words.items())
    return f"{said} (set to {facts['configured']})" if facts["configured"] else said


def _mode(gain: "GainMode") -> str:
    if gain.mode is None:
        return "mixed"
    return f"{gain.mode} ({gain.fractions[gain.mode]:.0%})"


def values(dtype: str, shape: Sequence[int] | None) -> str:
    """Return the dtype and shape of values for a line."""
    return f"{dtype} {'x'.join(map(str, shape))}".strip() if shape is not None else dtype


def _time(time: Any) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}Z" if time else "unknown"


def settings(panel: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a panel; of arrays their values where they are few."""
    return {name: _setting(value) for name, value in panel.items()}


def _setting(value: Any) -> Any:
    if isinstance(value, list):
        return [settings(one) if isinstance(one, dict) else _simple(one) for one in value]
    if hasattr(value, "tolist") and value.ndim:
        return value.tolist() if value.size <= 16 else values(str(value.dtype), value.shape)
    return _simple(value)


def _simple(value: Any) -> Any:
    """Return a value that JSON and a line can hold."""
    return value if isinstance(value, int | float | str | bool | None) else str(value)[:200]
