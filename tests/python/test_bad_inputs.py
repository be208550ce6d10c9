"""docs/bad-inputs.md names a test for every case of the catalogue, and the tests are there."""
import re

from conftest import ROOT

CASES = ([f"A{i:02}" for i in range(1, 35)] + [f"B{i:02}" for i in range(1, 19)] + [f"C{i:02}" for i in range(1, 13)]
         + [f"D{i:02}" for i in range(1, 10)])


def rows():
    lines = (ROOT / "docs" / "bad-inputs.md").read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| [A-F]\d\d ", line)]


def test_every_case_has_a_row():
    assert [row[0] for row in rows()] == CASES


def test_the_tests_are_there():
    for case, _, codes, file, test in rows():
        text = (ROOT / file).read_text()
        assert f'TEST_CASE("{test}")' in text, (case, test)
        known = (ROOT / "include/phial/errors.def").read_text()
        for code in re.findall(r"\b[A-Z]{3,}\b", codes):
            assert f'"{code}"' in known, (case, code)
        if test == "damaged headers give their code":
            assert f'"{case} ' in text, case
