"""EfficientNet-Lite2, a classifier of ImageNet.

EfficientNet (Tan and Le 2019) grows one small network in depth, width and size of image together.
Its Lite release (Liu 2020, in TensorFlow's repository ``tpu``) leaves out squeeze-and-excitation,
puts ReLU6 in place of swish, and keeps the first and the last layers and stages from growing.
"""

import torch.nn.functional as F
from torch import Tensor, nn

#: Each stage: expansion, side of the kernel, stride of its first block, channels, blocks. Those of
#: EfficientNet-B0, 1.1 times as wide (in multiples of 8) and 1.2 times as deep.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 3),
    (6, 5, 2, 48, 3),
    (6, 3, 2, 88, 4),
    (6, 5, 1, 120, 4),
    (6, 5, 2, 208, 5),
    (6, 3, 1, 352, 1),
)


class EfficientNetLite2(nn.Module):
    """The network, with random weights; made for images of 260 × 260, in [-1, 1] or so.

    ``features`` are the first convolution, 21 blocks and the last convolution; ``classifier`` takes
    their means over the places. It drops single features when it is trained, but no whole blocks.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = 32
        features: list[nn.Module] = [_layer(3, channels, kernel=3, stride=2)]
        for expansion, kernel, stride, out, blocks in _STAGES:
            for block in range(blocks):
                features.append(_Block(channels, out, expansion, kernel, 1 if block else stride))
                channels = out
        self.features = nn.Sequential(*features, _layer(channels, 1280))
        self.classifier = nn.Sequential(nn.Dropout(0.3), nn.Linear(1280, 1000))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 1000) of normalised images (N, 3, H, W)."""
        return self.classifier(self.features(images).mean((2, 3)))


class _Block(nn.Sequential):
    """Expand the channels, convolve each alone, project; add the input if it has the same shape."""

    def __init__(self, channels: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        wide = channels * expansion
        super().__init__(
            *([_layer(channels, wide)] if expansion > 1 else []),
            _layer(wide, wide, kernel, stride, groups=wide),
            _layer(wide, out)[:2],
        )
        self.adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x) if self.adds else super().forward(x)


class _Same(nn.Conv2d):
    """A convolution with the padding "same" of TensorFlow: an odd row goes below, not above.

    With stride 2 the output has ⌈H/2⌉ rows, and the padding depends on whether H is odd.
    """

    def forward(self, x: Tensor) -> Tensor:
        padding = []
        for size, kernel, stride in zip(
            x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [total // 2, total - total // 2]
        return super().forward(F.pad(x, padding))


def _layer(
    channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Make a convolution, its normalisation and ReLU6."""
    kind, padding = (nn.Conv2d, kernel // 2) if stride == 1 else (_Same, 0)
    return nn.Sequential(
        kind(channels, out, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(out, eps=1e-3, momentum=0.01),
        nn.ReLU6(inplace=True),
    )
