"""CIELAB and CIEDE2000: published values, a literal version in degrees, finite differences."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from piq.functional.colour_conversion import rgb2xyz, xyz2lab

from humimp import color

# Table 1 of Sharma, Wu and Dalal (2005): L1, a1, b1, L2, a2, b2, ΔE00.
PUBLISHED = [
    (50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425),
    (50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615),
    (50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412),
    (50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669),
    (50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461),
    (50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065),
    (50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492),
    (50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977),
    (50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030),
    (50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000),
    (50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000),
    (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
    (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
    (61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731),
    (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
    (22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373),
    (36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
    (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
    (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
    (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
    (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
]


def literal(one, other):
    """CIEDE2000 step by step, in degrees, for one pair, by the article's Equations 2 to 22."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    g = 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    dh, h = h2 - h1, (h1 + h2) / 2
    if c1 * c2 == 0:
        dh, h = 0.0, h1 + h2
    elif abs(h2 - h1) > 180:
        dh += 360 if h2 <= h1 else -360
        h += 180 if h1 + h2 < 360 else -180
    big_dh = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(dh / 2))
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2

    def cos(degrees):
        return math.cos(math.radians(degrees))

    t = 1 - 0.17 * cos(h - 30) + 0.24 * cos(2 * h) + 0.32 * cos(3 * h + 6) - 0.2 * cos(4 * h - 63)
    theta = 30 * math.exp(-(((h - 275) / 25) ** 2))
    r_c = 2 * math.sqrt(chroma**7 / (chroma**7 + 25**7))
    s_l = 1 + 0.015 * (light - 50) ** 2 / math.sqrt(20 + (light - 50) ** 2)
    terms = (
        (l2 - l1) / s_l,
        (c2 - c1) / (1 + 0.045 * chroma),
        big_dh / (1 + 0.015 * chroma * t),
    )
    r_t = -math.sin(math.radians(2 * theta)) * r_c
    return math.sqrt(sum(term**2 for term in terms) + r_t * terms[1] * terms[2])


def pictures(n=3, side=4, channels=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, channels, side, side, generator=generator, dtype=dtype)


# --- values ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_34_published_pairs(dtype):
    table = torch.tensor(PUBLISHED, dtype=dtype)
    assert len(table) == 34
    one, other, wanted = table[:, :3], table[:, 3:6], table[:, 6]
    assert float((color.ciede2000(one, other) - wanted).abs().max()) < 1e-4
    assert torch.equal(color.ciede2000(one, other), color.ciede2000(other, one))
    assert not color.ciede2000(one, one).any()


colors = st.tuples(st.floats(0, 100), st.floats(-100, 100), st.floats(-100, 100))


@settings(max_examples=40)
@given(st.lists(st.tuples(colors, colors), min_size=1, max_size=30), st.integers(0, 2**20))
def test_against_the_formula_in_degrees(pairs, seed):
    generator = torch.Generator().manual_seed(seed)
    low, high = torch.tensor([0.0, -100, -100]), torch.tensor([100.0, 100, 100])
    drawn = low + (high - low) * torch.rand(20, 2, 3, generator=generator, dtype=torch.float64)
    table = torch.cat([torch.tensor(pairs, dtype=torch.float64), drawn])
    # Chroma below 1e-6 is none here, and opposite hues are a matter of rounding.
    table[..., 1:][table[..., 1:].abs() < 1e-5] = 0
    a, b = table[..., 1].T, table[..., 2].T
    cross = (a[0] * b[1] - a[1] * b[0]).abs()
    opposite = (cross < 1e-6) & (a[0] * a[1] + b[0] * b[1] < 0)
    table = table[~opposite]
    wanted = [literal(*pair) for pair in table.tolist()]
    got = color.ciede2000(table[:, 0], table[:, 1])
    assert got.tolist() == pytest.approx(wanted, rel=1e-6, abs=1e-6)


def test_greys_against_all_hues():
    """A grey has no hue: the other's counts alone."""
    angles = torch.linspace(0, 2 * math.pi, 25, dtype=torch.float64)[:-1]
    for chroma in (1.0, 30.0, 90.0):
        other = torch.stack([0 * angles + 40, chroma * angles.cos(), chroma * angles.sin()], 1)
        grey = torch.tensor([60.0, 0, 0]).double().expand_as(other)
        wanted = [literal(*pair) for pair in zip(grey.tolist(), other.tolist(), strict=True)]
        assert color.ciede2000(grey, other).tolist() == pytest.approx(wanted, rel=1e-12)
        assert color.ciede2000(other, grey).tolist() == pytest.approx(wanted, rel=1e-12)


def test_lab_of_primaries_and_greys():
    """Values of the primaries as in any table of sRGB under D65 (2°)."""
    rgb = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]]).double()
    wanted = [
        [53.2408, 80.0925, 67.2032],
        [87.7347, -86.1827, 83.1793],
        [32.2970, 79.1875, -107.8602],
        [100, 0, 0],
        [0, 0, 0],
    ]
    got = color.lab(rgb[..., None, None])[..., 0, 0]
    torch.testing.assert_close(got, torch.tensor(wanted).double(), atol=1e-4, rtol=0)
    greys = torch.linspace(0, 1, 256)[None, None, None]
    assert float(color.lab(greys)[:, 1:].abs().max()) < 1e-3
    assert float(color.lab(greys.double())[:, 1:].abs().max()) < 1e-12


def test_lab_is_piqs():
    x = torch.cat([pictures(4, 8), pictures(4, 8) * 0.05])
    wanted = xyz2lab(rgb2xyz(x), illuminant="D65")
    assert (x < 0.04).sum() > 100
    torch.testing.assert_close(color.lab(x), wanted, atol=1e-2, rtol=0)  # piq rounds constants


def test_one_channel_is_grey():
    x, y = pictures(channels=1, seed=1), pictures(channels=1, seed=2)
    rgb = [images.repeat(1, 3, 1, 1) for images in (x, y)]
    for measure in (color.delta_e, color.color_distance, color.mean_delta_e):
        assert torch.equal(measure(x, y), measure(*rgb))


@settings(max_examples=15)
@given(st.integers(0, 2**16), st.booleans())
def test_the_norm_and_the_mean_are_over_pixels(seed, double):
    dtype = torch.float64 if double else torch.float32
    x, y = pictures(seed=seed, dtype=dtype), pictures(seed=seed + 1, dtype=dtype)
    each = color.delta_e(x, y)
    assert (each.shape, each.dtype) == ((3, 4, 4), dtype)
    torch.testing.assert_close(color.color_distance(x, y), each.square().sum((1, 2)).sqrt())
    torch.testing.assert_close(color.mean_delta_e(x, y), each.sum((1, 2)) / 16)
    assert torch.equal(color.color_distance(x, y), color.color_distance(y, x))
    alone = torch.cat([color.color_distance(x[i : i + 1], y[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(alone, color.color_distance(x, y))
    assert not color.color_distance(x, x).any()
    assert not color.mean_delta_e(x, x).any()


# --- gradients ---


@settings(max_examples=2)
@given(st.integers(0, 2**16))
def test_gradients_against_finite_differences(seed):
    x = (0.02 + 0.96 * pictures(2, 2, seed=seed)).requires_grad_()
    y = (0.02 + 0.96 * pictures(2, 2, seed=seed + 1)).requires_grad_()
    for measure in (color.delta_e, color.color_distance, color.mean_delta_e):
        assert torch.autograd.gradcheck(measure, (x, y), eps=1e-7, atol=1e-4, rtol=1e-5)


def test_gradients_close_to_the_original():
    """Where an attack lives: the squares stay smooth when the difference is small."""
    x = 0.05 + 0.9 * pictures(2, 3)
    y = (x + 1e-4 * (pictures(2, 3, seed=1) - 0.5)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda y: color.color_distance(x, y), y, eps=1e-8, atol=1e-3, rtol=1e-4
    )


CORNERS = torch.cartesian_prod(*[torch.tensor([0.0, 0.5, 1.0])] * 3)  # black, white, greys, pure


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shift", [0.0, 1e-7, 1e-3])
def test_gradients_are_finite_everywhere(dtype, shift):
    """All pairs of 27 colours, among them black, grey and white, and each with itself."""
    n = len(CORNERS)
    x = CORNERS.to(dtype)[:, None].expand(n, n, 3).reshape(-1, 3, 1, 1).clone().requires_grad_()
    y = CORNERS.to(dtype)[None].expand(n, n, 3).reshape(-1, 3, 1, 1)
    y = (y - shift * (y > 0.7) + shift * (y < 0.7)).requires_grad_()
    for measure in (color.delta_e, color.color_distance, color.mean_delta_e):
        gradients = torch.autograd.grad(measure(x, y).sum(), (x, y))
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        assert all(gradient.any() for gradient in gradients)


def test_the_gradient_at_zero_is_zero():
    x = pictures().requires_grad_()
    for measure in (color.delta_e, color.color_distance, color.mean_delta_e):
        (gradient,) = torch.autograd.grad(measure(x.detach(), x).sum(), x)
        assert not gradient.any()


def test_a_grey_is_drawn_to_a_coloured_original():
    """The gradient at an exact grey, whose hue has none, still points the right way."""
    lab = torch.tensor([[50.0, 20.0, 10.0]], dtype=torch.float64)
    grey = torch.tensor([[50.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    before = color.ciede2000(lab, grey)
    (gradient,) = torch.autograd.grad(before.sum(), grey)
    assert (gradient[0, 1:] < 0).all()
    assert (color.ciede2000(lab, grey - 0.1 * gradient) < before).all()


# --- bad input ---


def test_bad_input():
    x = pictures()
    for measure in (color.delta_e, color.color_distance, color.mean_delta_e):
        with pytest.raises(ValueError, match="images: expected the shape of the originals"):
            measure(x, x[:2])
        with pytest.raises(ValueError, match=r"original: .*\[0, 1\]"):
            measure(255 * x, x)
    with pytest.raises(ValueError, match=r"images: .*\[0, 1\]"):
        color.lab(255 * x)
    for one, other in ((x, x[:2]), (x[:, :1], x[:, :1]), (x[0, 0, 0], x[0, 0, 0])):
        with pytest.raises(ValueError, match=r"lab: expected two tensors of one shape \(N, 3"):
            color.ciede2000(one, other)


def test_from_fixed_images_it_is_the_same():
    one, other = pictures(), pictures().flip(0)
    known, wanted = color.at(one), color.color_distance(one, other)
    assert torch.equal(known(other), wanted)
    rows = torch.tensor([2, 0])
    assert torch.equal(known[rows](other[rows]), wanted[rows])
    assert torch.equal(known[wanted > wanted.mean()](other[wanted > wanted.mean()]),
                       wanted[wanted > wanted.mean()])  # fmt: skip
    with pytest.raises(ValueError, match=r"original: .*\[0, 1\]"):
        color.at(255 * one)


def test_where_nothing_can_be_compiled_it_goes_on_without(monkeypatch):
    def compiler(function, **options):
        def broken(*given):
            raise RuntimeError("there is no C compiler")

        return broken

    monkeypatch.setattr(torch, "compile", compiler)
    color._fused.cache_clear()
    one, other = pictures(), pictures().flip(0)
    distance = color.at(one, compiled=True)
    with pytest.warns(RuntimeWarning, match=r"could not be compiled .*no C compiler.*; install"):
        found = distance(other)
    assert torch.equal(found, color.color_distance(one, other))
    assert torch.equal(distance(other), found)  # said once
    color._fused.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_compiled_on_a_gpu_it_is_the_same():
    one = torch.rand(3, 3, 20, 30, generator=torch.Generator().manual_seed(0)).cuda()
    other = (one + 0.02 * torch.randn_like(one)).clamp(0, 1)
    for n in (3, 2):  # the number of images may change
        found = []
        for compiled in (False, True):
            x = other[:n].clone().requires_grad_()
            value = color.at(one[:n], compiled=compiled)(x)
            found.append((value.detach(), *torch.autograd.grad(value.sum(), x)))
        (value, slope), (fused, fused_slope) = found
        torch.testing.assert_close(fused, value, rtol=1e-5, atol=0)
        assert (fused_slope - slope).norm() <= 1e-4 * slope.norm()
