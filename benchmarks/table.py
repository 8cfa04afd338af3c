"""The table of figures: one row a measurement, each beside a named alternative."""

from collections.abc import Sequence
from dataclasses import dataclass

HEAD = ("what", "ours", "alternative", "its figure", "ratio", "target", "met?")


@dataclass(frozen=True)
class Target:
    """What a figure should be at most, or at least.

    Attributes
    ----------
    limit : float
        In the row's unit; a number for a ratio.
    of : str
        ``ours``; ``ratio``, of ours to the alternative; ``more``, ours minus the alternative.
    at_least : bool
        Whether more is better.
    """

    limit: float
    of: str = "ours"
    at_least: bool = False


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes
    ----------
    what : str
        What was measured.
    ours, theirs : float
        Our figure and the alternative's [unit].
    alternative : str
        Its name.
    target : Target or None
        None where the figure is only told.
    unit : str
        ``s``, or what is counted.
    """

    what: str
    ours: float
    alternative: str
    theirs: float
    target: Target | None = None
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Ours to theirs; of times, below 1 is better than the alternative."""
        return self.ours / self.theirs if self.theirs else float("inf")

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        figures = {"ours": self.ours, "ratio": self.ratio, "more": self.ours - self.theirs}
        figure_, limit = figures[self.target.of], self.target.limit
        return figure_ >= limit if self.target.at_least else figure_ <= limit

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the row, in the order of `HEAD`."""
        return (
            self.what,
            figure(self.ours, self.unit),
            self.alternative,
            figure(self.theirs, self.unit),
            ratio_text(self.ratio),
            target_text(self.target, self.unit),
            {None: "", True: "yes", False: "NO"}[self.met],
        )


def figure(value: float, unit: str = "s") -> str:
    """Return a figure in a fit unit, three digits.

    Examples
    --------
    >>> figure(0.00123), figure(2.5e-7), figure(12, "commands")
    ('1.23 ms', '0.25 us', '12 commands')
    """
    if unit != "s":
        return f"{value:.4g} {unit}" if value < 1e4 else f"{value:.0f} {unit}"
    for factor, name in ((1, "s"), (1e3, "ms")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {name}"
    return f"{value * 1e6:.3g} us"


def ratio_text(ratio: float) -> str:
    """Return a ratio, three digits, without an exponent."""
    return f"{ratio:.3g}" if 1e-3 <= ratio < 1e3 else f"{ratio:.6f}"[:8]


def target_text(target: Target | None, unit: str) -> str:
    """Return a target as the table shows it."""
    if target is None:
        return ""
    sign = ">=" if target.at_least else "<="
    if target.of == "ratio":
        return f"ratio {sign} {target.limit:g}"
    return f"{sign} {figure(target.limit, unit)}{' more' if target.of == 'more' else ''}"


def lines(rows: Sequence[Row]) -> list[str]:
    """Return the table as aligned lines."""
    table = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(cells[n]) for cells in table) for n in range(len(HEAD))]
    numbers = {1, 3, 4}
    aligned = [
        "  ".join(
            cell.rjust(width) if n in numbers else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in table
    ]
    return [aligned[0], "  ".join("-" * width for width in widths), *aligned[1:]]
