"""Small models, images and costs, all in double precision so that rounding decides nothing."""

import pytest
import torch
from torch import nn

from humimp import images


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Compute these small tensors in one thread: several would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(seed=0, channels=3, side=6, classes=4, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = nn.Linear(5 * (side - 2) ** 2, classes)
        model = nn.Sequential(nn.Conv2d(channels, 5, 3), nn.Tanh(), nn.Flatten(), head)
    return model.to(dtype).eval()


def pictures(n=6, seed=0, channels=3, side=6, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(0, 256, (n, channels, side, side), generator=generator)
    return images.from_uint8(levels.byte(), dtype)


@pytest.fixture(scope="session")
def setting():
    """Return a model, images, and labels of which all but two are what the model says."""
    model, x = network(), pictures(8)
    with torch.no_grad():
        y = model(x).argmax(1)
    y[3] = (y[3] + 1) % 4
    y[6] = (y[6] + 2) % 4
    return model, x, y


def distance(reference, images):
    """Return a cost with coefficients of its own for every pixel, zero at the reference."""
    weights = 0.5 + torch.linspace(0, 1, reference[0].numel(), dtype=reference.dtype)
    return ((images - reference).flatten(1).square() * weights).sum(1)
