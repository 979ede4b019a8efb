"""Several networks: Table 1 of each, and where an attack works that was made on one of them."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from humimp.figures import style
from humimp.figures.table1 import Table, table1
from humimp.findings.networks import CHANGES, SHARES, transfer_rates

_VERDICTS = (
    "Network", "Attacked", "Ours (least a) least of the paper's rows", "Least LPIPS",
    "Least DISTS", "8-bit aware ÷ ours: L₂", "÷ ours: LPIPS", "÷ ours: DISTS",
    "Transfer at the least a (%)", "at the greatest a (%)",
)  # fmt: skip
_LABELS = 1.75  # inches for the attacks' names and what stands above the cells
_ROW = 0.3  # height of a row, in inches
_MAP = "Blues"  # pale to dark, also without colour vision and in grey
_DARK = 71.0  # from this share on, a number is written in white


def table_by_network(
    records: Mapping[str, pd.DataFrame], titles: Mapping[str, str] | None = None
) -> Table:
    """Set Table 1 of several networks, one beneath the other.

    Parameters
    ----------
    records
        By the network that was attacked: records of :func:`humimp.evaluate.run`, of every attack
        on it (``pandas.concat``), with the same measures for each.
    titles
        What to call networks in the table, by name.

    Returns
    -------
    Table
        For each network a row with its name, and then the rows of
        :func:`humimp.figures.table1` with the smallest distances on this network bold. Columns
        ``changes_<network>`` are left to :func:`transfer`.

    Raises
    ------
    ValueError
        If there are no records, or the networks' measures differ.
    """
    if not records:
        raise ValueError("records: nothing given; pass the records of one network at least")
    rows = []
    headings = None
    for network, found in records.items():
        columns = [name for name in found if str(name).startswith(CHANGES)]
        table = table1(found.drop(columns=columns), printed={})
        if headings is not None and table.headings != headings:
            raise ValueError(
                f"records of {network}: other measures than those of the networks before; give "
                "evaluate.run the same for each"
            )
        headings = table.headings
        name = (titles or {}).get(network, network)
        rows.append(((name, *[""] * (len(headings) - 1)), frozenset({0}), False))
        rows.extend(table.rows)
    assert headings is not None
    return Table(headings, tuple(rows))


def table_of_verdicts(found: pd.DataFrame, titles: Mapping[str, str] | None = None) -> Table:
    """Set what holds on each of several networks, a row for each.

    Parameters
    ----------
    found
        As of :func:`humimp.findings.networks.verdicts`.
    titles
        What to call networks in the table, by name.
    """
    lines = [
        (
            (titles or {}).get(str(network), str(network)), str(row["n"]),
            "yes" if row["claim"] else "no", row["least_lpips"], row["least_dists"],
            *("–" if pd.isna(row[f"ratio_{key}"]) else f"{row[f'ratio_{key}']:.4f}"
              for key in SHARES),
            f"{row['weak']:.0f}", f"{row['strong']:.0f}",
        )
        for network, row in found.iterrows()
    ]  # fmt: skip
    return Table(_VERDICTS, tuple((line, frozenset(), False) for line in lines))


def transfer(
    records: Mapping[str, pd.DataFrame], titles: Mapping[str, str] | None = None
) -> Figure:
    """Draw the shares of :func:`transfer_rates`, a panel per network attacked.

    Parameters
    ----------
    records
        As for :func:`transfer_rates`.
    titles
        What to call networks in the figure, by name.

    Returns
    -------
    Figure
        In each panel a row per attack, in the order in which they appear, and a column per network
        asked; the column of the network that was attacked is framed. Darker is more often. A dash
        stands where an attack was not made on a network, or on no image.

    Raises
    ------
    ValueError
        As :func:`transfer_rates`.
    """
    rates = transfer_rates(records)
    networks = list(records)
    names = [(titles or {}).get(network, network) for network in networks]
    attacks = list(dict.fromkeys(rates.index.get_level_values("attack")))
    with style.use():
        height = _LABELS + _ROW * len(attacks)
        figure = Figure(figsize=(style.COLUMN / 100, height))
        panels = figure.subplots(1, len(networks), sharey=True, squeeze=False)[0]
        for own, (panel, source) in enumerate(zip(panels, networks, strict=True)):
            shares = rates[rates.index.get_level_values("source") == source].droplevel("source")
            _panel(panel, shares.reindex(attacks), own, narrow=len(networks) > 2)
            panel.set_title(f"made on\n{names[own]}", loc="center", fontsize=10)
            panel.set_xticks(range(len(networks)), names)
            if len(networks) > 2:
                panel.tick_params(axis="x", labelrotation=90, labelsize=9)
        panels[0].set_yticks(range(len(attacks)), attacks)
        figure.supxlabel("network asked", fontsize=10)
    return figure


def _panel(axes: Axes, shares: pd.DataFrame, own: int, narrow: bool) -> None:
    """Draw the attacks made on one network."""
    values = shares.to_numpy(float)
    axes.imshow(values, cmap=_MAP, vmin=0, vmax=100, aspect="auto")
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            axes.text(
                column, row, "–" if pd.isna(value) else f"{value:.0f}", ha="center", va="center",
                color="white" if value > _DARK else "black", fontsize=9 if narrow else 10,
            )  # fmt: skip
    axes.add_patch(
        Rectangle((own - 0.5, -0.5), 1, len(values), fill=False, linewidth=2.2, clip_on=False,
                  edgecolor=style.COLORS["vermillion"], zorder=3)
    )  # fmt: skip
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
