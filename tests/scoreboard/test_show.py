import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from humimp import scoreboard
from humimp.pages import Project
from humimp.scoreboard import VERDICTS, show
from humimp.scoreboard.__main__ import BEGIN, END, is_drawn, main, picture, updated
from humimp.scoreboard.entry import Line

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def luminance(color):
    """Compute the relative luminance of the WCAG."""
    shares = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.fixture(scope="module")
def board():
    """Judge the committed records."""
    return scoreboard.scoreboard(scoreboard.reference(ROOT))


def parsed(page):
    return ET.fromstring(f"<div>{page._repr_html_()}</div>")


def text(element):
    return "".join(element.itertext())


def test_the_readme_has_the_scoreboard_of_the_committed_records(board):
    assert updated(README, show.markdown(board)) == README, "run python -m humimp.scoreboard"


def test_the_readme_s_picture_is_that_of_the_committed_run():
    drawn = picture(ROOT)
    assert is_drawn(drawn, ROOT / "results" / "figure3.png"), "run python -m humimp.scoreboard"
    said = re.search(r"enlarged and its change (\d+) times amplified", README)
    assert int(said[1]) == drawn.info["amplify"]


def test_a_picture_that_cannot_be_drawn_is_an_error(tmp_path, monkeypatch, board, capsys):
    monkeypatch.setattr(scoreboard, "scoreboard", lambda sources: board)
    for folder in ("book", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "book" / "03_2_pieapp.py").write_text("")
    (tmp_path / "_toc.yml").write_text("root: 03_2_pieapp\n")
    (tmp_path / "README.md").write_text(f"{BEGIN}\nSTALE\n{END}\n")
    assert main([], tmp_path) == 2
    assert "imagenet_00.png" in capsys.readouterr().err
    assert "STALE" in (tmp_path / "README.md").read_text()


def test_the_command_writes_checks_and_says_what_is_missing(tmp_path, monkeypatch, board, capsys):
    monkeypatch.setattr(scoreboard, "scoreboard", lambda sources: board)
    drawn = Image.new("RGB", (5, 5), "#0072B2")
    monkeypatch.setattr("humimp.scoreboard.__main__.picture", lambda root: drawn)
    (tmp_path / "results").mkdir()
    readme = tmp_path / "README.md"
    readme.write_text("# HumImp\n")
    assert main([], tmp_path) == 2
    assert BEGIN in capsys.readouterr().err
    readme.write_text(f"before\n{BEGIN}\nSTALE\n{END}\nafter\n")
    assert main(["--check"], tmp_path) == 1
    assert "STALE" in readme.read_text()
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    assert re.fullmatch(r"before\n<!--.*-->\nafter\n", readme.read_text(), re.S)
    assert "STALE" not in readme.read_text()
    capsys.readouterr()
    Image.new("RGB", (5, 5)).save(tmp_path / "results" / "figure3.png")
    assert main(["--check"], tmp_path) == 1
    assert capsys.readouterr().out.startswith("results/figure3.png: the picture is out of date")


def test_a_verdict_of_the_readme_is_one_that_the_records_give(board):
    lines = re.findall(r"^\| ([34]) \| (.*) \| (.*) \| \[(.*)\]\(.*?\)( †)? \|$", README, re.M)
    claims = board[board["kind"] == "claim"].set_index("what")
    tested = claims[claims["verdict"] != VERDICTS[3]]
    assert [what for _, what, *_ in lines] == tested.index.tolist()
    for section, what, run, verdict, mark in lines:
        line = claims.loc[what]
        assert (section, run, verdict) == (line["section"], line["run"], line["verdict"])
        assert bool(mark) == bool(line["stand_in"])


def test_the_counts_add_up(board):
    table = show.counts(board)
    assert list(table) == list(VERDICTS)
    assert table.to_numpy().sum() == len(board)
    for verdict in VERDICTS:
        assert table[verdict].sum() == (board["verdict"] == verdict).sum()


def test_the_bars_have_the_counts(board):
    rows = list(parsed(scoreboard.summary(board)).iter("tr"))
    for row, (heading, wanted) in zip(rows, show.counts(board).iterrows(), strict=True):
        name, total, bar = row
        shown = {part.get("title"): int(part.text) for part in bar.iter("span")}
        assert (text(name), int(total.text)) == (heading, wanted.sum())
        assert shown == {verdict: n for verdict, n in wanted.items() if n}


def test_every_line_is_shown_with_its_verdict_in_words(board):
    shown = [parsed(scoreboard.claims(board)), parsed(scoreboard.numbers(board))]
    links = [link for page in shown for link in page.iter("a")]
    assert len(links) == len(board)
    whole = " ".join(text(page) for page in shown)
    table = _of_table(board)
    for what, rule in zip(board["what"][~table], board["rule"][~table], strict=True):
        assert what in whole
        assert rule in whole
    groups = [
        show._group(board, kind, section)
        for kinds in (["claim"], ["number", "setting"])
        for kind, section, _ in show.GROUPS
        if kind in kinds
    ]
    # Within a group, Table 1 comes before the others.
    wanted = pd.concat([part for g in groups for part in (g[_of_table(g)], g[~_of_table(g)])])
    assert [link.text for link in links] == wanted["verdict"].tolist()


def _of_table(lines):
    return (lines["place"] == "Table 1") & (lines["kind"] == "number")


def test_table_1_has_a_row_per_attack_and_the_paper_s_numbers(board):
    (table,) = (t for t in parsed(scoreboard.numbers(board)).iter("table") if "NPTM" in text(t))
    rows = list(table.iter("tr"))[1:]
    numbers = board[_of_table(board)]
    printed = [cell[0].text for row in rows for cell in list(row)[1:]]
    assert printed == numbers["paper"].tolist()
    said = [text(cell.findall(".//a")[0]) for row in rows for cell in list(row)[1:]]
    assert said == numbers["verdict"].tolist()


def test_a_verdict_leads_to_a_place_that_there_is(board):
    project = Project(ROOT)
    for page in board["page"].unique():
        name, _, place = page.partition("#")
        source = project.page(name).source.read_text("utf-8")
        assert not place or re.search(rf':name: "?{place}"?$|\({place}\)=', source, re.M), page


def test_what_people_write_is_not_taken_for_html():
    values = dict.fromkeys(Line._fields, "a < b & c")
    line = Line(**values | {"kind": "claim", "section": "3", "verdict": "close", "page": "p"})
    page = scoreboard.claims(pd.DataFrame([line]))
    assert text(next(parsed(page).iter("td"))).startswith("a < b & c")
    assert "a \\| b" in show._grid(pd.DataFrame({"x": ["a | b"]}))[-1]


def test_verdicts_can_be_told_apart_and_read():
    backs = [back for back, _ in show._LOOKS.values()]
    assert len(set(backs)) == len(VERDICTS)
    for back, front in show._LOOKS.values():
        light, dark = sorted((luminance(back), luminance(front)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_the_words_about_the_rules_have_the_constants(monkeypatch):
    monkeypatch.setattr(show, "NEAR", 7.5)
    monkeypatch.setattr(show, "SAME", 0.123)
    assert "factor of 7.5" in show.rules()
    assert "within 12 %" in show.rules()


def test_what_the_marks_must_be():
    assert updated(f"a\n{BEGIN}\n{END}\nb", "x") == f"a\n{BEGIN}\n\nx\n\n{END}\nb"
    for wrong in ("", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"):
        with pytest.raises(ValueError, match=r"README\.md: expected .* put them where"):
            updated(wrong, "x")


def test_a_sentence_counts_each_verdict_of_a_group():
    line = dict.fromkeys(Line._fields, "")
    words = ["differs", "reproduced", "differs", "not testable here"]
    rows = [line | {"kind": "claim", "section": "3", "verdict": word} for word in words]
    rows[0]["run"] = rows[1]["run"] = "by construction"  # it differs, it is reproduced
    rows += [line | {"kind": "number", "section": "4", "verdict": "differs"}]
    told = show.told(pd.DataFrame(rows))
    assert (told["claims_3"], told["claims_4"], told["numbers_4"]) == (4, 0, 1)
    assert told["n_sure"] == 1
    assert told["claims_3_told"] == "1 reproduced, 0 close, 2 differ, 1 not testable here"
    assert told["numbers_4_told"] == "0 reproduced, 0 close, 1 differs, 0 not testable here"
