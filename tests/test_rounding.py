"""Switches of a GPU, which can be set and read without one."""

import inspect
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from humimp import attacks, distances, evaluate, fingerprints
from humimp.rounding import in_full, reproducible, rounding


def switches() -> tuple[str, str]:
    return torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [((), ("ieee", "ieee")), (("tf32",), ("tf32", "ieee")), (("ieee", "tf32"), ("ieee", "tf32"))],
)
@pytest.mark.usefixtures("gpu")
def test_switches_are_set_for_a_while(given, wanted):
    before = switches()
    with rounding(*given):
        assert switches() == wanted
        with rounding():
            assert switches() == ("ieee", "ieee")
        assert switches() == wanted
    assert switches() == before != wanted


@pytest.mark.usefixtures("gpu")
def test_switches_are_put_back_after_an_error():
    before = switches()
    with pytest.raises(ZeroDivisionError), rounding():
        1 / 0  # noqa: B018
    assert switches() == before


def test_switches_are_left_alone_where_no_gpu_is_in_use(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    before = switches()
    with rounding():
        assert switches() == before


@pytest.mark.usefixtures("gpu")
def test_cudnn_repeats_itself_for_a_while_whatever_else_is_set():
    cudnn, before = torch.backends.cudnn, (torch.backends.cudnn.deterministic, switches())
    with rounding(), reproducible():  # PyTorch's own cudnn.flags() refuses this mixture
        assert (cudnn.deterministic, cudnn.benchmark, switches()) == (True, False, ("ieee", "ieee"))
        with reproducible():
            pass
        assert cudnn.deterministic
    assert (cudnn.deterministic, switches()) == before


@pytest.mark.usefixtures("gpu")
def test_one_thread_waits_until_another_has_put_the_switches_back():
    inside, go = threading.Event(), threading.Event()

    def first():
        with reproducible():
            inside.set()
            go.wait(5)

    def second():
        with reproducible():
            return torch.backends.cudnn.deterministic

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        assert inside.wait(5)
        other = pool.submit(second)
        time.sleep(0.05)
        assert not other.done()
        go.set()
        one.result()
        assert other.result()
    assert not torch.backends.cudnn.deterministic


@pytest.mark.usefixtures("gpu")
def test_a_function_computes_in_full_and_stays_what_it_is():
    def seen(what: str, *, more: int = 0) -> tuple[str, int, tuple[str, str]]:
        """Say so."""
        return what, more, switches()

    full, before = in_full(seen), switches()
    assert full("this", more=2) == ("this", 2, ("ieee", "ieee"))
    assert switches() == before
    assert (full.__doc__, inspect.signature(full)) == (seen.__doc__, inspect.signature(seen))


@pytest.mark.parametrize("name", ["alma", "ddn", "eight_bit", "lpa", "perc_al", "ppgd"])
@pytest.mark.usefixtures("gpu")
def test_attacks_that_search_the_boundary_or_take_finite_differences_compute_in_full(name):
    asked = []

    def model(x: torch.Tensor) -> torch.Tensor:
        asked.append(switches()[0])
        bright = x.mean((1, 2, 3))
        return 10 * torch.stack([bright, 1 - bright, 0 * bright], 1)

    more: dict[str, object] = {"steps": 3}
    if name in ("lpa", "ppgd"):
        more["features"] = lambda x: x.flatten(1)
    if name == "alma":
        more["cost"] = lambda x, y: (x - y).square().sum((1, 2, 3))
    attack = getattr(attacks, name)
    attack(model, torch.full((2, 3, 8, 8), 0.7), torch.zeros(2, dtype=torch.int64), **more)
    assert set(asked) == {"ieee"}
    assert fingerprints.describe(attack) == f"humimp.attacks.{name}.{name}"


class Watched(torch.nn.Module):
    """Two classes; it notes how a GPU would round while it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: list[tuple[str, str]] = []
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self._asked.append(switches())
        bright = x.mean((1, 2, 3))
        return 10 * torch.stack([bright, 1 - bright], 1)


@pytest.mark.usefixtures("gpu")
def test_success_is_asked_in_full_of_originals_attacked_and_defended_images(tmp_path):
    def untouched(model, images, labels):
        return images

    model = Watched()
    data = torch.full((2, 3, 8, 8), 0.8), torch.zeros(2, dtype=torch.int64), ["a", "b"]
    evaluate.run(untouched, model, data, out=tmp_path, defenses={"same": torch.clone})
    assert model._asked == [("ieee", "ieee")] * 3


@pytest.mark.parametrize("measure", [distances.LPIPS("alex"), distances.DISTS()])
@pytest.mark.usefixtures("gpu")
def test_learned_distances_are_measured_in_full(measure, monkeypatch):
    asked = []
    monkeypatch.setattr(distances, "_in_parts", lambda *_: asked.append(switches()[0]))
    measure(*torch.rand(2, 1, 3, 32, 32))
    assert asked == ["ieee"]


@pytest.mark.usefixtures("gpu")
def test_another_network_is_asked_in_full():
    model, x = Watched(), torch.full((1, 3, 4, 4), 0.8)
    assert distances.Changed(model)(x, 1 - x).tolist() == [1]
    assert model._asked == [("ieee", "ieee")] * 2
