import pytest

from humimp.findings import words


@pytest.mark.parametrize(("claim", "said"), [(1, "holds"), ([], "does not hold")])
def test_a_claim_holds_or_does_not(claim, said):
    assert words.holds(claim) == said


@pytest.mark.parametrize(
    ("names", "said"),
    [(["A"], "A"), (("A", "B"), "A and B"), (["A", "B", "C", "D"], "A, B, C and D")],
)
def test_several_names_are_joined_as_in_a_sentence(names, said):
    assert words.several(names) == said


@pytest.mark.parametrize(
    ("claims", "said"),
    [([True, 0, 5], "2 of 3"), ((c == "b" for c in "ab"), "1 of 2"), ([], "0 of 0")],
)
def test_cases_are_counted(claims, said):
    assert words.how_many(claims) == said


def test_only_pieapp_itself_is_the_papers_cost():
    assert words.stand_in("PieAPP") == "as in the paper"
    for cost in ("PieAPP-small", "SSIM"):
        assert words.stand_in(cost) == "a stand-in for the paper's PieAPP"


def test_a_minus_is_no_hyphen():
    assert words.minus(-1.234) == "−1.23"
    assert words.minus(1.235001) == "1.24"
    assert words.minus(-0.56789, 4) == "−0.5679"
    assert words.minus(-7.6, 0) == "−8"
    assert words.minus(-0.004) == words.minus(-0.0) == "0.00"
    assert words.minus(-0.4, 0) == "0"
    assert words.minus(-10.0, 0) == "−10"


def test_rows_are_listed_with_their_values():
    assert words.with_values([("DDN", 2.0), ("PGD (L2)", 0.504)]) == "DDN (2.00), PGD (L2) (0.50)"
    assert words.with_values([]) == "no row"


def test_a_change_has_its_sign():
    assert words.signed(-1.234) == "−1.23"
    assert words.signed(0.5678, 3) == "+0.568"
    assert words.signed(-0.004) == words.signed(0.004) == "0.00"
    assert words.signed(10.0, 0) == "+10"


@pytest.mark.parametrize(
    ("p", "text", "after_p"),
    [
        (0.0, "< 0.0001", "< 0.0001"),
        (0.0000999, "< 0.0001", "< 0.0001"),
        (0.0001, "0.0001", "= 0.0001"),
        (0.0312, "0.0312", "= 0.0312"),
        (0.0999, "0.0999", "= 0.0999"),
        (0.1, "0.10", "= 0.10"),
        (1.0, "1.00", "= 1.00"),
    ],
)
def test_probabilities_are_rounded_as_in_print(p, text, after_p):
    assert words.probability(p) == text
    assert words.equals(p) == after_p


@pytest.mark.parametrize(("n", "percent"), [(1, 5), (2, 22), (58, 94), (59, 95), (1000, 99)])
def test_what_rate_so_many_successes_rule_out(n, percent):
    assert words.sure(n) == percent
