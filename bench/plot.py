"""A picture of the ratios to the reference, by workload and system."""

from __future__ import annotations

from pathlib import Path

from bench.report import Report, ratios
from bench.systems import OURS, SYSTEMS

_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10)


def draw(report: Report, path: Path) -> None:
    """Draw it into a file. Raises `ModuleNotFoundError` without matplotlib."""
    from matplotlib import pyplot
    from matplotlib.ticker import NullLocator

    compared = {
        key: ratio for key, ratio in ratios(report.runs, report.reference).items() if key[1] != report.reference
    }
    if not compared:
        return
    workloads = list(dict.fromkeys(workload for workload, _ in compared))
    present = {system for _, system in compared}
    systems = [system for system in SYSTEMS if system in present]
    shades = pyplot.get_cmap("Set3")
    figure, axes = pyplot.subplots(figsize=(11, 1.5 + 0.18 * len(workloads) * (len(systems) + 1)))
    height = 1 / (len(systems) + 1)
    for number, system in enumerate(systems):
        rows = [row for row, workload in enumerate(workloads) if (workload, system) in compared]
        values = [compared[workloads[row], system] for row in rows]
        places = [row + (number - (len(systems) - 1) / 2) * height for row in rows]
        colour = "black" if system == OURS else shades(number)
        # A bar on a logarithmic scale has no foot: it is drawn from the reference.
        bars = axes.barh(places, [value - 1 for value in values], height, left=1, label=system, color=colour)
        axes.bar_label(bars, [f" {value:.2f} " for value in values], fontsize=7)
    axes.set_xscale("log")
    axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(min(*compared.values(), 0.5) / 1.4, max(*compared.values(), 2) * 1.4)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(workloads)), workloads)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set_xlabel(f"the server's cost beside {report.reference} = 1 (log scale; to the left is cheaper)")
    axes.legend(
        fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.6 / figure.get_figheight()), ncols=4
    )
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
