"""The pages say what is true: every `$ ` command of every ```console block is run, and the first line of the output that a page shows is compared
(numbers may vary); the table of errors is that of errors.def; links lead somewhere."""
import os
import re
import shutil
import subprocess

import pytest

from conftest import PHIAL, ROOT, TINY, run

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "tools").glob("*.md"))]


class Block:
    """A ```console block: commands with the output shown after each, and the output shown in the block that follows at once."""

    def __init__(self):
        self.commands, self.follows = [], []


def blocks(page):
    found, fence, since = [], None, 99
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            if fence is None:
                fence = line[3:] or "text"
                if fence == "console":
                    found.append(Block())
                elif not (fence == "text" and since <= 1):
                    fence = "other"
            else:
                since, fence = (0, None) if fence == "console" else (99, None)
        elif fence == "console" and line.startswith("$ "):
            found[-1].commands.append((number, line[2:], []))
        elif fence == "console":
            found[-1].commands[-1][2].append(line)
        elif fence == "text":
            found[-1].follows.append(line)
        elif line.strip():
            since = 99
        else:
            since += 1
    return found


@pytest.fixture(scope="session")
def folder(tmp_path_factory, models):
    """The folder that the pages assume: the program under all its names, models, a text."""
    path = tmp_path_factory.mktemp("docs")
    for name in ["phial", *run("man", "--llama-names").stdout.split()]:
        (path / name).symlink_to(PHIAL)
    shutil.copy(ROOT / "convert_hf_to_gguf.py", path)
    for outtype in ("f16", "q8_0", "q4_k_m"):
        shutil.copy(models(outtype), path)
    (path / "models").mkdir()
    (path / "models" / "phial-tiny").symlink_to(TINY)
    (path / "text.txt").write_text("".join((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "docs/architecture.md")))
    return path


def masked(line):
    return re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)?", "0", line)).strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_of_the_page(page, folder, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(folder, work, symlinks=True)
    # Writes into the home folder and reads of the terminal stay out of the way.
    env = dict(os.environ, PATH=f"{work}:{os.environ['PATH']}", HOME=str(tmp_path), NO_COLOR="1", COLUMNS="100")
    for block in blocks(page):
        of_block = []
        for number, command, shown in block.commands:
            p = subprocess.run(["bash", "-c", command], cwd=work, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
            assert p.returncode == 0, f"{page.name}:{number}: {command}\n{p.stdout}{p.stderr}"
            lines = (p.stdout + "\n" + p.stderr).splitlines()
            check_first_line(f"{page.name}:{number}: {command}", shown, lines)
            of_block += lines
        check_first_line(f"{page.name}: the output after line {block.commands[-1][0]}", block.follows, of_block)


def check_first_line(where, shown, lines):
    first = next((line for line in shown if line.strip()), None)
    assert not first or masked(first) in map(masked, lines), f"{where}\nshown: {first}\nreal:\n" + "\n".join(lines)


def test_every_tool_has_a_page_and_the_index_names_them():
    index = (ROOT / "docs" / "tools" / "README.md").read_text()
    verbs = re.findall(r"^  ([a-z]+) +\S", run("--help").stdout.split("Verbs:")[1].split("\n\n")[0], re.M)
    for verb in verbs:
        assert f"`phial {verb}`" in index, verb
    for page in PAGES[1:]:
        if page.name != "README.md":
            assert page.name in index, page.name
            assert blocks(page), f"{page.name} shows no command"


def test_page_of_errors_is_the_table_of_errors():
    page = (ROOT / "docs" / "tools" / "errors.md").read_text()
    rows = re.findall(r"^\| `([A-Z]+)` \| (\d+) \|", page, re.M)
    table = re.findall(r'^X\(\w+, +"([A-Z]+)", +(\w+)\)', (ROOT / "include" / "phial" / "errors.def").read_text(), re.M)
    kinds = dict(re.findall(r"^constexpr Kind (\w+)\{\d+, (\d+),", (ROOT / "src" / "base" / "error.cpp").read_text(), re.M))
    assert sorted(rows) == sorted((name, kinds[kind]) for name, kind in table)
    man = re.sub(r"\s+", " ", run("man").stdout.replace("\\", ""))
    for code, what in re.findall(r"^ +(\d+)  (.+)$", run("--help").stdout.split("Exit codes:")[1], re.M):
        assert f"| {code} | {what} |" in page
        assert f".B {code} {what}" in man


def test_links_of_the_pages_lead_somewhere():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"
