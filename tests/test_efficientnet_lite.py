"""EfficientNet-Lite2: the code that its checkpoint was made with, and TensorFlow's padding."""

import math

import efficientnet_lite_pytorch
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from humimp import efficientnet_lite, weights


@pytest.mark.parametrize(
    ("made_for", "height", "width"), [(260, 260, 260), (None, 97, 64), (None, 33, 130)]
)
def test_logits_are_those_of_the_code_that_made_the_checkpoint(made_for, height, width):
    """Which pads for images of 260 × 260, or for those that come if it is told no size."""
    state = weights.load("efficientnet_lite2")
    theirs = efficientnet_lite_pytorch.EfficientNet.from_name(
        "efficientnet-lite2", image_size=made_for
    )
    theirs.load_state_dict(state)
    ours = efficientnet_lite.EfficientNetLite2()
    ours.load_state_dict(dict(zip(ours.state_dict(), state.values(), strict=True)))
    images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, got = theirs.eval()(images), ours.eval()(images)
    assert expected.std() > 0.5
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


@settings(max_examples=20)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.sampled_from([1, 2, 3, 5]),
    stride=st.integers(1, 3),
)
def test_same_padding_from_its_definition(size, kernel, stride):
    """⌈size / stride⌉ windows; what they reach beyond the image, the lesser half of it before."""
    convolution = efficientnet_lite._Same(1, 1, kernel, stride).double().requires_grad_(False)
    image = torch.rand(size, dtype=torch.float64)
    counts = [math.ceil(length / stride) for length in size]
    starts = [
        -(max((count - 1) * stride + kernel - length, 0) // 2)
        for count, length in zip(counts, size, strict=True)
    ]
    expected = torch.full(counts, float(convolution.bias), dtype=torch.float64)
    for row in range(counts[0]):
        for column in range(counts[1]):
            for i in range(kernel):
                for j in range(kernel):
                    y, x = starts[0] + row * stride + i, starts[1] + column * stride + j
                    if 0 <= y < size[0] and 0 <= x < size[1]:
                        expected[row, column] += convolution.weight[0, 0, i, j] * image[y, x]
    torch.testing.assert_close(convolution(image[None, None])[0, 0], expected)
