"""docs/nat-requirements.md names the test that shows each clause: they must be there. No network, no lab."""

import re

from testbed.lab import ROOT

DOCUMENT = ROOT / "docs" / "nat-requirements.md"
STATES = {"met", "met, no row yet", "met in part", "not met", "does not apply"}

# `Suite.Name`, `Suite.Name/row of a table in its file`, `test_file.py::test_name`
NAMED = re.compile(r"`(?:(?P<suite>[A-Z]\w*)\.(?P<name>[A-Z]\w*)(?:/(?P<row>[^`]+))?"
                   r"|(?P<file>test_\w+\.py)::(?P<test>test_\w+))`")
PLACEHOLDERS = {"`Suite.Name`", "`Suite/0.Name`", "`Suite/1.Name`"}


def named_in(text):
    return [match for match in NAMED.finditer(text) if match[0] not in PLACEHOLDERS]


def google_tests():
    """(suite, name) of every GoogleTest: the text of its file."""
    tests = {}
    for path in sorted((ROOT / "test").rglob("*.cc")):
        text = path.read_text()
        for suite, name in re.findall(r"^(?:TYPED_)?TEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\s*\)", text, re.MULTILINE):
            tests[suite, name] = text
    return tests


def rows():
    """The cells of every row of a table of clauses: clause, demands, state, why, tests."""
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 5 and cells[2] != "state" and set(cells[0]) != {"-"}:
            yield cells


def test_every_test_named_exists():
    google = google_tests()
    missing = []
    found = named_in(DOCUMENT.read_text())
    for match in found:
        if match["file"]:
            path = ROOT / "test" / "e2e" / match["file"]
            there = path.exists() and re.search(rf"^def {match['test']}\(", path.read_text(), re.MULTILINE)
        else:
            text = google.get((match["suite"], match["name"]))
            there = text is not None and (match["row"] is None or f'{{"{match["row"]}",' in text)
        if not there:
            missing.append(match[0])
    assert len(found) > 100, "the tables could not be read"
    assert not missing, f"{DOCUMENT.name} names tests that do not exist: {', '.join(sorted(set(missing)))}"


def test_every_clause_has_a_state_and_what_is_met_a_test():
    table = list(rows())
    assert len(table) > 100, "the tables could not be read"
    assert not [cells[0] for cells in table if cells[2] not in STATES]
    assert not [cells[0] for cells in table if cells[2] == "met" and not named_in(cells[4])], "met, but no test shows it"
    assert not [cells[0] for cells in table if cells[2] == "met, no row yet" and cells[4]], "has a row by now"
