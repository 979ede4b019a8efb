"""How much is done, and how long the rest will take."""

import itertools

import pytest

from humimp import progress


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Give the file that bars write to; the clock is a second later whenever it is asked."""
    path = tmp_path / "progress"
    monkeypatch.setenv(progress.VARIABLE, str(path))
    clock = itertools.count(1000.0)
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    return path


def test_a_bar_counts_its_units(shown):
    with progress.bar("attack", 4) as bar:
        bar.update(3)
    assert "attack" in shown.read_text()
    assert "3/4" in shown.read_text()


def test_what_an_earlier_session_did_is_shown_and_says_nothing_about_the_time_left(shown):
    with progress.bar("attack", 1000, done=900) as bar:
        bar.update(10)  # in a second
        assert "910/1000" in str(bar)
        assert "<00:09" in str(bar)
