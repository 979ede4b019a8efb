"""Figure 2 and its companions: what is drawn is what was given."""

import numpy as np
import pandas as pd
import torch
from matplotlib.colors import to_hex

from humimp.figures import figure2, style, tradeoff, whereabouts

GENERATOR = torch.Generator().manual_seed(0)
TITLES = ["Original", "SSIM step", "PGD step"]
ROWS = [{title: torch.rand(1, 28, 28, generator=GENERATOR) for title in TITLES} for _ in range(3)]


def test_figure2_shows_each_image_crisp_with_its_caption():
    captions = [{title: f"{title} {k}" for title in TITLES} for k in range(3)]
    figure = figure2(ROWS, captions)
    axes = np.array(figure.axes).reshape(3, 3)
    assert [panel.get_title() for panel in axes[0]] == TITLES
    for line, images, texts in zip(axes, ROWS, captions, strict=True):
        for panel, title in zip(line, TITLES, strict=True):
            (shown,) = panel.get_images()
            assert np.array_equal(shown.get_array(), images[title][0].numpy())
            assert shown.get_interpolation() == "nearest"
            assert shown.get_clim() == (0, 1)
            assert panel.get_xlabel() == texts[title]
    figure.canvas.draw()


def test_whereabouts_shows_signed_changes_and_shares():
    shares = pd.DataFrame(
        {"background": [8.0, 54.0], "edge": [12.0, 11.0], "stroke": [80.0, 35.0]}, index=TITLES[1:]
    )
    figure = whereabouts(ROWS, shares)
    pictures = [panel for panel in figure.axes if panel.get_images()]
    assert len(pictures) == 6
    for k, panel in enumerate(pictures):
        images, title = ROWS[k // 2], TITLES[1 + k % 2]
        (shown,) = panel.get_images()
        wanted = (images[title] - images["Original"])[0].numpy()
        assert np.allclose(shown.get_array(), wanted)
        low, high = shown.get_clim()
        assert low == -high  # no change is white
    bars = next(panel for panel in figure.axes if panel.patches)
    assert [bar.get_width() for bar in bars.patches] == [8.0, 12.0, 80.0, 54.0, 11.0, 35.0]
    figure.canvas.draw()


def test_tradeoff_draws_the_table():
    table = pd.DataFrame(
        {
            "attack": np.repeat(["SSIM step", "PGD step"], 3),
            "l2": [1.0, 2.0, 3.0] * 2,
            "success_rate": [7.0, 27.0, 54.0, 14.0, 55.0, 84.0],
            "ssim": [0.99, 0.95, 0.88, 0.89, 0.81, 0.73],
        }
    )
    figure = tradeoff(table)
    for panel, column in zip(figure.axes, ("success_rate", "ssim"), strict=True):
        assert panel.get_xlabel() == "distance $L_2$"
        curves = table.groupby("attack", sort=False)
        for line, (name, curve) in zip(panel.lines, curves, strict=True):
            assert line.get_label() == name
            assert np.array_equal(line.get_xydata(), curve[["l2", column]].to_numpy())
        colors = [to_hex(line.get_color()) for line in panel.lines]
        assert colors[1] == style.LOOKS["PGD (L2)"].color.lower()
    figure.canvas.draw()
