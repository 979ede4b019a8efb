"""Data sets: what is in them, that it is verified, and what is said of what cannot be used."""

import csv
import hashlib
import importlib.util
import io
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from humimp import attacks, checks, datasets, evaluate, images, progress, weights

VARIABLE = datasets.VARIABLE
OWN_DATA = os.environ.get(VARIABLE, "")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test an empty cache, and no folder of its own."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def picture(seed: int, size: int = 12, mode: str = "RGB") -> Image.Image:
    generator = np.random.default_rng(seed)
    shape = (size, size, 3) if mode == "RGB" else (size, size)
    return Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def check(dataset: datasets.Dataset, shape: tuple[int, ...]) -> None:
    """Hold a data set to what `Dataset` promises."""
    images, labels, ids = dataset
    checks.images(images)
    checks.labels(labels, images)
    assert images.dtype == torch.float32
    assert tuple(images.shape) == shape
    assert len(set(ids)) == len(ids) == len(images)
    assert not any(set(name) & set("/\\") for name in ids)
    levels = images.double() * 255
    assert (levels - levels.round()).abs().max() < 1e-4


# --- what ships ---


def test_class_names_are_imagenets():
    names = datasets.class_names()
    assert len(names) == 1000
    assert [names[i] for i in (0, 243, 305, 999)] == [
        "tench",
        "bull mastiff",
        "dung beetle",
        "toilet tissue",
    ]
    names.clear()
    assert len(datasets.class_names()) == 1000


def test_photographs_are_foolboxs_twenty():
    dataset = datasets.photographs()
    check(dataset, (20, 3, 224, 224))
    assert dataset.labels.tolist() == [
        *(243, 559, 438, 990, 949, 853, 609, 609, 915, 455),
        *(541, 630, 741, 471, 129, 99, 251, 22, 317, 305),
    ]
    assert dataset.ids[0] == "imagenet_00"
    assert "foolbox" not in sys.modules
    fewer = datasets.photographs(3, 64)
    check(fewer, (3, 3, 64, 64))
    assert fewer.ids == dataset.ids[:3]


def test_digits_take_turns():
    test, train = datasets.digits(), datasets.digits("train")
    check(test, (2000, 1, 28, 28))
    check(train, (6000, 1, 28, 28))
    assert test.labels.tolist() == [*range(10)] * 200
    assert train.labels.tolist() == [*range(10)] * 600
    first = datasets.digits(n=10)
    check(first, (10, 1, 28, 28))
    assert first.ids == test.ids[:10]
    assert torch.equal(first.images, test.images[:10])


def test_digits_are_mnists():
    """The package foolbox ships the first twenty of MNIST's test set; some of them were drawn."""
    (folder,) = importlib.util.find_spec("foolbox").submodule_search_locations
    dataset = datasets.digits()
    compared = 0
    for path in Path(folder).glob("data/mnist_*_*.png"):
        _, index, label = path.stem.split("_")
        if (name := f"mnist_test_{int(index):05d}") in dataset.ids:
            at = dataset.ids.index(name)
            levels = (dataset.images[at, 0] * 255).round().byte().numpy()
            assert np.array_equal(levels, np.asarray(Image.open(path)))
            assert dataset.labels[at] == int(label)
            compared += 1
    assert compared >= 2


def test_what_ships_is_small():
    assert sum(path.stat().st_size for path in datasets._HERE.iterdir() if path.is_file()) < 6e6


def test_the_list_of_the_thousand_images_is_complete():
    rows = datasets._credits()
    assert len(rows) == len({row["id"] for row in rows}) == 1000
    assert len({row["sha256"] for row in rows}) == 1000
    assert all(0 <= int(row[key]) < 1000 for row in rows for key in ("label", "target"))
    assert all(row["label"] != row["target"] for row in rows)
    assert all("creativecommons.org/licenses/by" in row["license"] for row in rows)
    assert all(row["author"] and row["url"].startswith("http") for row in rows)


@pytest.mark.skipif(not OWN_DATA, reason=f"{VARIABLE} names no folder with imagenet1000")
def test_the_thousand_images_are_the_listed_ones(monkeypatch):
    monkeypatch.setenv(VARIABLE, OWN_DATA)
    dataset = datasets.imagenet1000(20)
    check(dataset, (20, 3, 299, 299))
    assert dataset.labels[:2].tolist() == [305, 883]
    check(datasets.imagenet1000(2, size=64), (2, 3, 64, 64))


@pytest.mark.parametrize(
    ("load", "most"),
    [
        (datasets.photographs, 20),
        (lambda n: datasets.digits("test", n), 2000),
        (lambda n: datasets.digits("train", n), 6000),
        (datasets.imagenet1000, 1000),
    ],
)
def test_n_is_from_1_to_what_there_is(load, most):
    for n in (0, -1, most + 1, 2.5):
        with pytest.raises(ValueError, match=f"n: expected a whole number from 1 to {most}, got"):
            load(n)


def test_unknown_split():
    with pytest.raises(ValueError, match="split: expected one of 'train', 'test', got 'valid'"):
        datasets.digits("valid")  # type: ignore[arg-type]


def test_without_foolbox_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"foolbox.*requirements-models\.txt"):
        datasets.photographs()


# --- the thousand images, from wherever they are ---


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Image.Image]:
    """Put three small images in the place of the thousand."""
    pictures = {f"p{k}": picture(k) for k in range(3)}
    rows = [
        {"id": name, "label": str(k), "sha256": hashlib.sha256(image.tobytes()).hexdigest()}
        for k, (name, image) in enumerate(pictures.items())
    ]
    monkeypatch.setattr(datasets, "_credits", lambda: rows)
    return pictures


def pixels(images: dict[str, Image.Image]) -> torch.Tensor:
    arrays = np.stack([np.asarray(image) for image in images.values()])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2)


def test_images_are_fetched_once_and_are_the_published_ones(
    listed, site, cache, monkeypatch, tmp_path
):
    shown = tmp_path / "progress"
    monkeypatch.setenv(progress.VARIABLE, str(shown))
    monkeypatch.setattr(datasets, "_SOURCE", f"{site.address}/images/")
    for name, image in listed.items():
        site[f"/images/{name}.png"] = png(image)
    first = datasets.imagenet1000(2, size=12)
    assert sorted(path.name for path in (cache / "imagenet1000").iterdir()) == ["p0.png", "p1.png"]
    dataset = datasets.imagenet1000(size=12)
    check(dataset, (3, 3, 12, 12))
    assert torch.equal((dataset.images * 255).round().byte(), pixels(listed))
    assert torch.equal(first.images, dataset.images[:2])
    assert (dataset.labels.tolist(), dataset.ids) == ([0, 1, 2], ["p0", "p1", "p2"])
    assert "fetching images" in shown.read_text()
    site.clear()  # no more network
    assert torch.equal(datasets.imagenet1000(size=12).images, dataset.images)
    check(datasets.imagenet1000(size=5), (3, 3, 5, 5))


@pytest.mark.parametrize("content", [png(picture(9)), b"<html>please log in</html>"])
def test_a_fetched_image_that_is_another_is_not_kept(content, listed, site, cache, monkeypatch):
    monkeypatch.setattr(datasets, "_SOURCE", f"{site.address}/")
    for name, image in listed.items():
        site[f"/{name}.png"] = content if name == "p1" else png(image)
    with pytest.raises(ValueError, match=r"p1\.png.*(another SHA-256|not a readable image)"):
        datasets.imagenet1000(size=12)
    assert not (cache / "imagenet1000" / "p1.png").exists()


def test_without_a_network_one_error_names_the_image_and_the_place(listed, cache, monkeypatch):
    monkeypatch.setattr(datasets, "_SOURCE", "http://127.0.0.1:9/")
    with pytest.raises(ConnectionError, match=r"p\d\.png could not be downloaded") as error:
        datasets.imagenet1000(size=12)
    for part in ("by hand", str(cache / "imagenet1000"), VARIABLE):
        assert part in str(error.value)


@pytest.mark.parametrize("place", ["own", "cache"])
@pytest.mark.parametrize("fault", ["other", "cut"])
def test_a_damaged_image_is_named_and_stays(fault, place, listed, cache, tmp_path, monkeypatch):
    folder = cache / "imagenet1000"
    if place == "own":
        monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))
        folder = tmp_path / "own" / "imagenet1000" / "images"
    folder.mkdir(parents=True)
    for name, image in listed.items():
        (folder / f"{name}.png").write_bytes(png(image))
    check(datasets.imagenet1000(size=12), (3, 3, 12, 12))
    bad = folder / "p2.png"
    bad.write_bytes(png(picture(9)) if fault == "other" else png(listed["p2"])[:-40])
    content = bad.read_bytes()
    with pytest.raises(ValueError, match=rf"{bad}.*(Delete it and run again|get the file again)"):
        datasets.imagenet1000(size=12)
    assert bad.read_bytes() == content
    assert len(datasets.imagenet1000(2, size=12).ids) == 2


def test_own_images_may_be_webp_and_must_be_there(listed, tmp_path, monkeypatch):
    folder = tmp_path / "imagenet1000" / "images"
    folder.mkdir(parents=True)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for name in ("p0", "p1"):
        listed[name].save(folder / f"{name}.webp", lossless=True)
    assert torch.equal(
        (datasets.imagenet1000(2, size=12).images * 255).round().byte(), pixels(listed)[:2]
    )
    with pytest.raises(FileNotFoundError, match=rf"neither p2\.webp nor p2\.png.*{VARIABLE}"):
        datasets.imagenet1000(size=12)


# --- a folder of one's own ---


def put(root: Path, name: str, image: Image.Image | None = None) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or picture(len(name))).save(path)
    return path


def table(root: Path, *rows: tuple[str, ...], header: tuple[str, ...] = ("path", "label")) -> None:
    root.mkdir(exist_ok=True)
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def test_folders_named_by_class_or_index(tmp_path):
    for name in ("7/b.png", "7/a.jpg", "Tabby/x.png", "tench/deep/y.webp", "tench/.hidden.png"):
        put(tmp_path, name)
    (tmp_path / "7" / "notes.txt").write_text("not an image")
    dataset = datasets.folder(tmp_path, 10)
    check(dataset, (4, 3, 10, 10))
    assert dataset.ids == ["7__a", "7__b", "Tabby__x", "tench__deep__y"]
    assert dataset.labels.tolist() == [7, 7, 281, 0]
    assert datasets.folder(str(tmp_path), 10, 2).ids == dataset.ids[:2]


def test_a_table_gives_the_order_and_the_labels(tmp_path):
    put(tmp_path, "b.png")
    put(tmp_path, "sub/a.png")
    put(tmp_path, "unlisted.png")
    table(tmp_path, ("sub/a.png", "tiger_cat"), ("b.png", " 3 "))
    dataset = datasets.folder(tmp_path, 10)
    assert dataset.ids == ["sub__a", "b"]
    assert dataset.labels.tolist() == [282, 3]
    raw = (tmp_path / "labels.csv").read_bytes()
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbf" + raw)  # as spreadsheets save it
    assert datasets.folder(tmp_path, 10).ids == dataset.ids


def test_classes_of_ones_own(tmp_path):
    put(tmp_path, "Yes/a.png", picture(0, mode="L"))
    put(tmp_path, "0/b.png", picture(1, mode="L"))
    dataset = datasets.folder(tmp_path, 10, classes=["no", "yes"])
    check(dataset, (2, 1, 10, 10))
    assert dict(zip(dataset.ids, dataset.labels.tolist(), strict=True)) == {"Yes__a": 1, "0__b": 0}


def test_every_class_name_of_imagenet_is_its_class():
    names = tuple(datasets.class_names())
    for index, name in enumerate(names):
        assert datasets._label(name, names, "here") == index
        assert datasets._label(name.replace(" ", "_"), names, "here") == index


def test_a_name_of_two_classes_needs_the_index(tmp_path):
    """ImageNet has a dog called Cardigan and a cardigan."""
    assert [datasets.class_names()[i] for i in (264, 474)] == ["Cardigan", "cardigan"]
    put(tmp_path, "CARDIGAN/a.png")
    with pytest.raises(ValueError, match=r"'CARDIGAN' names 2 classes; give.*one of 264, 474"):
        datasets.folder(tmp_path)
    with pytest.raises(ValueError, match="'a' names 2 classes; give the index instead"):
        datasets._label("a", ("a", "b", "a"), "here")


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        datasets.folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds no images \(\.png.*labels\.csv with the columns"):
        datasets.folder(tmp_path)
    put(tmp_path, "1/a.png")
    stray = put(tmp_path, "stray.png")
    with pytest.raises(ValueError, match=r"stray\.png has no label: put each image into a folder"):
        datasets.folder(tmp_path)
    stray.unlink()
    with pytest.raises(ValueError, match="n: expected a whole number from 1 to 1, got 2"):
        datasets.folder(tmp_path, n=2)
    put(tmp_path, "1/a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg and .*a\.png would both be called '1__a': re"):
        datasets.folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("1000", "1000: there is no class 1000; the classes are 0 to 999"),
        ("-1", "unknown class '-1'; give its index, 0 to 999, or its name"),
        ("tabi", r"tabi: unknown class 'tabi'.*humimp\.datasets\.class_names\(\)"),
    ],
)
def test_unknown_labels(name, message, tmp_path):
    put(tmp_path, f"{name}/a.png")
    with pytest.raises(ValueError, match=message):
        datasets.folder(tmp_path)


def test_tables_that_cannot_be_used(tmp_path):
    put(tmp_path, "a.png")
    table(tmp_path, ("a.png", "1"), header=("file", "class"))
    with pytest.raises(ValueError, match=r"labels\.csv must have the columns path and label; it"):
        datasets.folder(tmp_path)
    table(tmp_path)
    with pytest.raises(ValueError, match=r"labels\.csv lists no images"):
        datasets.folder(tmp_path)
    table(tmp_path, ("a.png", "1"), ("b.png", "1"))
    with pytest.raises(FileNotFoundError, match=r"labels\.csv, line 3 lists b\.png, which is not"):
        datasets.folder(tmp_path)
    for row in (("a.png", ""), ("a.png",), ("", "1")):
        table(tmp_path, row)
        with pytest.raises(ValueError, match=r"labels\.csv, line 2 lacks a path or a label"):
            datasets.folder(tmp_path)
    table(tmp_path, ("a.png", "no such"))
    with pytest.raises(ValueError, match=r"labels\.csv, line 2: unknown class 'no such'"):
        datasets.folder(tmp_path)
    table(tmp_path, ("a.png", "1"), ("a.png", "2"))
    with pytest.raises(ValueError, match=r"would both be called 'a': rename one of them, or list"):
        datasets.folder(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_damaged_image_is_named(suffix, tmp_path):
    put(tmp_path, "0/good.png")
    bad = put(tmp_path, f"1/bad.{suffix}", picture(0, 64))
    bad.write_bytes(bad.read_bytes()[:-500])
    with pytest.raises(ValueError, match=rf"{bad}: not a readable image, or damaged"):
        datasets.folder(tmp_path)


def test_colour_and_grayscale_do_not_mix(tmp_path):
    put(tmp_path, "0/colour.png")
    put(tmp_path, "1/grey.png", picture(0, mode="L"))
    with pytest.raises(ValueError, match=r"grey\.png has 1 channels, .*colour\.png has 3: save"):
        datasets.folder(tmp_path)


# --- images by country ---


def listed_by_country(root: Path, *rows: tuple, name: str = "manifest.csv") -> Path:
    root.mkdir(exist_ok=True)
    frame = pd.DataFrame(rows, columns=["path", "label", "country"])
    if name.endswith(".parquet"):
        frame.to_parquet(root / name)
    else:
        frame.to_csv(root / name, index=False)
    return root / name


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.parquet"])
def test_a_manifest_gives_labels_and_countries(name, tmp_path):
    for image in ("b.png", "sub/a.png", "c.png", "unlisted.png"):
        put(tmp_path, image)
    rows = [("sub/a.png", "tiger_cat", "NA"), ("b.png", "3", "uk"), ("./c.png", " 0 ", "USA")]
    manifest = listed_by_country(tmp_path, *rows, name=name)
    dataset = datasets.geo(manifest, 10)
    assert isinstance(dataset, datasets.GeoDataset)
    check(dataset[:3], (3, 3, 10, 10))
    assert dataset.ids == ["sub__a", "b", "c"]
    assert dataset.labels.tolist() == [282, 3, 0]
    assert dataset.countries == ["NAM", "GBR", "USA"]
    assert dataset.planted.tolist() == [False] * 3
    assert dataset.excluded.empty
    assert list(dataset.excluded) == ["country", "n", "reason"]
    assert torch.equal(dataset.images[1], images.load(tmp_path / "b.png", 10))
    assert datasets.geo(str(manifest), 10, 2).ids == dataset.ids[:2]


def test_labels_in_a_parquet_file_may_be_numbers(tmp_path):
    put(tmp_path, "a.png")
    manifest = listed_by_country(tmp_path, ("a.png", 7, "USA"), name="m.parquet")
    assert datasets.geo(manifest, 8).labels.tolist() == [7]


def test_unknown_countries_are_errors_or_counted(tmp_path):
    for image in "abcd":
        put(tmp_path, f"{image}.png")
    countries = ["Atlantis", "USA", "", "Atlantis"]
    rows = [(f"{image}.png", "1", where) for image, where in zip("abcd", countries, strict=True)]
    manifest = listed_by_country(tmp_path, *rows)
    message = r"'Atlantis' \(line 2 and 1 more\); '' \(line 4\)\. Give ISO-3166 codes"
    with pytest.raises(ValueError, match=message):
        datasets.geo(manifest)
    dataset = datasets.geo(manifest, 8, unknown="exclude")
    assert dataset.ids == ["b"]
    assert dataset.excluded.to_dict("records") == [
        {"country": "Atlantis", "n": 2, "reason": "unknown country"},
        {"country": "", "n": 1, "reason": "unknown country"},
    ]
    manifest = listed_by_country(tmp_path, *rows[2:])
    with pytest.raises(ValueError, match="none of the 2 images has a known country"):
        datasets.geo(manifest, unknown="exclude")
    with pytest.raises(ValueError, match="unknown: expected one of 'error', 'exclude'"):
        datasets.geo(manifest, unknown="ignore")


def test_a_seed_gives_the_images_of_a_manifest_in_a_random_order(tmp_path):
    names = [f"{number}.png" for number in range(6)]
    for name in names:
        put(tmp_path, name)
    rows = [(name, "1", "" if name == "3.png" else "USA") for name in names]
    manifest = listed_by_country(tmp_path, *rows)
    orders = [datasets.geo(manifest, 9, seed=seed, unknown="exclude").ids for seed in range(5)]
    assert len(set(map(tuple, orders))) > 1
    assert all(sorted(order) == ["0", "1", "2", "4", "5"] for order in orders)
    some = datasets.geo(manifest, 9, 2, seed=4, unknown="exclude")
    assert some.ids == orders[4][:2]
    one_by_one = [images.load(tmp_path / f"{name}.png", 9) for name in some.ids]
    assert torch.equal(some.images, torch.stack(one_by_one))


def test_ids_are_fit_for_files_and_differ_in_more_than_case(tmp_path):
    mine = tmp_path / "mine"
    put(mine, "golden retriever/IMG (1).png")
    put(mine, "tench/_2.png")
    found = datasets.folder(mine, 9)
    assert found.ids == ["golden-retriever__IMG-1", "tench___2"]
    given = found._replace(labels=found.labels % 8)
    evaluate.run(
        attacks.no_attack, lambda x: x.flatten(1)[:, :8] - 1, given,
        out=tmp_path / "run", about={"classifier": "the first eight values"},
    )  # fmt: skip
    listed = tmp_path / "listed"
    table(listed, ("a.png", "tench"), ("A.jpg", "tench"))
    put(listed, "a.png")
    put(listed, "A.jpg")
    with pytest.raises(ValueError, match=r"would both be called 'A': rename"):
        datasets.folder(listed, 9)


def test_manifests_that_cannot_be_used(tmp_path):
    put(tmp_path, "a.png")
    with pytest.raises(FileNotFoundError, match=r"There is no manifest .*nothing\.csv"):
        datasets.geo(tmp_path / "nothing.csv")
    table(tmp_path, ("a.png", "1"))
    with pytest.raises(ValueError, match="must have the columns path, label and country; it has"):
        datasets.geo(tmp_path / "labels.csv")
    with pytest.raises(ValueError, match=r"lists no images: give one row for each, path, label"):
        datasets.geo(listed_by_country(tmp_path))
    missing = [(f"{number}.png", "1", "USA") for number in range(7)]
    manifest = listed_by_country(tmp_path, ("a.png", "1", "USA"), *missing)
    message = (
        r"lists 7 of 8 images that are not there: .*0\.png \(line 3\).*4\.png \(line 7\) and 2"
    )
    with pytest.raises(FileNotFoundError, match=message):
        datasets.geo(manifest)
    manifest = listed_by_country(tmp_path, ("a.png", "1", "USA"), ("x/../a.png", "2", "USA"))
    message = r"lists 1 images more than once: a\.png \(line 2 and line 3\); keep one row"
    with pytest.raises(ValueError, match=message):
        datasets.geo(manifest)
    manifest = listed_by_country(tmp_path, ("a.png", "2", "USA"))
    with pytest.raises(ValueError, match=r"manifest\.csv, line 2: there is no class 2; the cl"):
        datasets.geo(manifest, classes=["no", "yes"])
    with pytest.raises(ValueError, match=r"n: 2 images .* has 1 whose country is known; take few"):
        datasets.geo(manifest, n=2)
    with pytest.raises(ValueError, match="n: expected a whole number from 1 to 1, got 0"):
        datasets.geo(manifest, n=0)
    for row in (("a.png", "", "USA"), ("", "1", "USA")):
        with pytest.raises(ValueError, match=r"line 2 lacks a path or a label: give both"):
            datasets.geo(listed_by_country(tmp_path, row))
    put(tmp_path, "a.jpg")
    manifest = listed_by_country(tmp_path, ("a.png", "1", "USA"), ("a.jpg", "1", "USA"))
    with pytest.raises(ValueError, match=r"a\.png and .*a\.jpg would both be called 'a': rename"):
        datasets.geo(manifest)
    (tmp_path / "a.jpg").write_bytes(b"no image")
    manifest = listed_by_country(tmp_path, ("a.jpg", "1", "USA"))
    with pytest.raises(ValueError, match=r"a\.jpg: not a readable image, or damaged"):
        datasets.geo(manifest)


def test_files_that_are_no_manifest(tmp_path):
    for name in ("m.parquet", "m.csv"):
        (tmp_path / name).write_bytes(b"\xff\xfePAR\x00no table")
        with pytest.raises(ValueError, match=rf"m\.{name[2:]}: not a (Parquet|CSV) file"):
            datasets.geo(tmp_path / name)


def test_a_sample_is_fixed_in_order_and_holds_every_smaller_one():
    whole = datasets.digits("test", 50)
    drawn = {n: datasets.sample(whole, n) for n in (1, 7, 20, 50)}
    for n, one in drawn.items():
        rows = [whole.ids.index(name) for name in one.ids]
        assert rows == sorted(set(rows))
        assert len(rows) == n
        assert torch.equal(one.images, whole.images[rows])
        assert torch.equal(one.labels, whole.labels[rows])
    assert set(drawn[1].ids) < set(drawn[7].ids) < set(drawn[20].ids)
    assert drawn[7].ids != whole.ids[:7]
    assert drawn[7].ids == datasets.sample(whole, 7, seed=0).ids
    assert drawn[7].ids != datasets.sample(whole, 7, seed=1).ids
    for n in (0, 51):
        with pytest.raises(ValueError, match=f"n: expected a whole number from 1 to 50, got {n}"):
            datasets.sample(whole, n)


def test_files_of_the_size_asked_for_can_be_left_alone(tmp_path):
    image = picture(0, size=12)
    put(tmp_path, "0/a.png", image)
    pixels = images.load(tmp_path / "0" / "a.png")
    (tmp_path / "list.csv").write_text("path,label,country\n0/a.png,0,FRA\n")
    for load, where in ((datasets.folder, tmp_path), (datasets.geo, tmp_path / "list.csv")):
        assert not torch.equal(load(where, 12)[0][0], pixels)  # enlarged, and cut out
        assert torch.equal(load(where, 12, shorter=12)[0][0], pixels)
        assert torch.equal(load(where, None)[0][0], pixels)


def test_without_a_size_files_must_have_one_shape(tmp_path):
    put(tmp_path, "0/a.png", picture(0, size=12))
    put(tmp_path, "0/b.png", picture(1, size=14))
    message = r"b.png has 14 × 14 pixels, .*a.png has 12 × 12: give a size to resize them"
    with pytest.raises(ValueError, match=message):
        datasets.folder(tmp_path, None)


def test_sets_of_photographs_are_loaded_by_name(monkeypatch):
    whole = datasets.load("photographs", 5, size=32)
    assert same(whole, datasets.photographs(5, 32))
    for drawn in (0, 5, 9):
        assert same(datasets.load("photographs", 5, size=32, drawn=drawn), whole)
    assert same(datasets.load("photographs", 5, size=32, drawn=3), datasets.sample(whole, 3))
    monkeypatch.setattr(datasets, "imagenet1000", lambda n, size: (n, size))
    assert datasets.load("imagenet1000", 7, size=64) == (7, 64)
    with pytest.raises(ValueError, match="name: expected one of 'photographs', 'imagenet1000'"):
        datasets.load("digits", 5, size=32)
    with pytest.raises(ValueError, match="drawn"):
        datasets.load("photographs", 5, size=32, drawn=-1)


def same(one, other):
    tensors = torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)
    return tensors and one.ids == other.ids
