"""What ``cpu.py`` has measured: a table in Markdown, and a plot of each group."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from pathlib import Path

OURS, REFERENCE = ("fused", "plain"), "PyTorch"

Numbers = dict[int, dict[str, list[float]]]  # by threads, library and round


@dataclass(frozen=True)
class Row:
    """What was measured of a work, in ``unit``; ``most`` are the bounds of our ratio to other libraries."""

    title: str
    group: str
    unit: str
    most: dict[str, float]
    numbers: Numbers

    def ratio(self, threads: int, name: str, other: str = REFERENCE) -> float | None:
        """The median over the rounds of ``name`` ÷ ``other``; None if one of them is missing."""
        columns = self.numbers[threads]
        if name not in columns or other not in columns:
            return None
        return statistics.median(a / b for a, b in zip(columns[name], columns[other], strict=True))

    def each(self, name: str) -> str:
        """The ratios of ``name`` for all numbers of threads."""
        ratios = [self.ratio(threads, name) for threads in self.numbers]
        return " / ".join(f"{ratio:.2f}" for ratio in ratios if ratio is not None) or "–"

    def reference(self) -> str:
        """What all ratios are of."""
        medians = [statistics.median(columns[REFERENCE]) for columns in self.numbers.values()]
        return " / ".join(f"{median:.{max(2 - int(log10(median)), 0)}f}" for median in medians) + f" {self.unit}"

    def bounds(self) -> str:
        """Each bound, and by how much the better of ours misses it at worst."""
        texts = []
        for name, most in self.most.items():
            text = f"≤ {most:g}" + (f" × {name}" if name != REFERENCE else "")
            ratios = [[self.ratio(threads, own, name) for own in OURS] for threads in self.numbers]
            known = [[ratio for ratio in own if ratio is not None] for own in ratios]
            worst = max((min(own) for own in known if own), default=0.0)
            texts.append(f"**{text}: missed, {worst:.2f}**" if round(worst, 2) > most else text)
        return ", ".join(texts)


def table(rows: Sequence[Row], libraries: Sequence[str]) -> str:
    """A line for each row: PyTorch's number, the ratio of each other library to it, and the bounds."""
    others = [name for name in libraries if name != REFERENCE]
    threads = " / ".join(map(str, rows[0].numbers))
    plural = "" if threads == "1" else "s"
    heads = [f"{threads} thread{plural}", REFERENCE, *others, f"{' or '.join(OURS)} is to be"]
    lines = [
        heads,
        ["---", *["---:"] * (len(heads) - 2), "---"],
        *([row.title, row.reference(), *map(row.each, others), row.bounds()] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plot(rows: Sequence[Row], libraries: Sequence[str], folder: Path) -> list[Path]:
    """Draw a figure for each group of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = {row.group: [own for own in rows if own.group == row.group] for row in rows}
    paths = [folder / f"{group.replace(' ', '_')}.svg" for group in groups]
    for path, (group, own) in zip(paths, groups.items(), strict=True):
        draw(group, own, [name for name in libraries if name != REFERENCE], path)
    return paths


def draw(title: str, rows: Sequence[Row], names: Sequence[str], path: Path) -> None:
    """Ratios to PyTorch: a full mark for the first number of threads, an open one for the next, a dotted bound."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogLocator, NullLocator

    figure = Figure(figsize=(8, 1.6 + 0.9 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(1, color="black", linewidth=1)
    fills = dict(zip(rows[0].numbers, ("full", "none"), strict=False))
    marks = [{"marker": "o", "linestyle": "", "color": f"C{i}", "label": name} for i, name in enumerate(names)]
    shown = [i for i, name in enumerate(names) if any(row.each(name) != "–" for row in rows)]
    for y, row in enumerate(rows):
        axes.plot([row.most[REFERENCE]] * 2, [y - 0.4, y + 0.4], color="gray", linestyle=":")
        for lane, i in enumerate(shown):
            for threads, fill in fills.items():
                if (ratio := row.ratio(threads, names[i])) is not None:
                    axes.plot(ratio, y + 0.7 * ((lane + 0.5) / len(shown) - 0.5), fillstyle=fill, **marks[i])
    axes.set(xscale="log", xlabel="ratio to PyTorch", title=title, ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), [row.title for row in rows])
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", linewidth=0.3)
    handles = [Line2D([], [], **marks[i]) for i in shown]
    for threads, fill in fills.items():
        label = f"{threads} thread{'s' * (threads > 1)}"
        handles.append(Line2D([], [], marker="o", linestyle="", color="black", fillstyle=fill, label=label))
    handles.append(Line2D([], [], color="gray", linestyle=":", label="bound"))
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    figure.savefig(path)
