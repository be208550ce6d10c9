"""Help, manual pages, completion and installing: all printed from the one table of flags, checked by the programs that read them."""
import os
import re
import shutil
import subprocess

import pexpect
import pytest

from conftest import PHIAL, ROOT, run

VERBS = re.findall(r"^  ([a-z]+) +\S", run("--help").stdout.split("Verbs:")[1].split("\n\n")[0], re.M)
LLAMA_NAMES = run("man", "--llama-names").stdout.split()


def need(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


def flag_lines(verb):
    """The flags of a verb as (left column, the rest)."""
    out = []
    for line in run(verb, "--help").stdout.splitlines():
        if re.match(r"  -", line):
            left, _, rest = line.strip().partition("  ")
            out.append([left, rest])
        elif line.startswith(" " * 34) and out:
            out[-1][1] += " " + line.strip()
        elif line == "Examples:":
            break
    return out


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_has_a_default_and_an_example(verb):
    flags = flag_lines(verb)
    assert flags
    for left, rest in flags:
        assert re.search(r"\[default .+\]$", rest), (left, rest)
        if re.search(r"-[\w-]+ \[?\w", left):  # takes a value
            assert "e.g. " in rest, (left, rest)
    names = [n for left, _ in flags for n in re.findall(r"(?:^|, )(-[\w-]+)", left)]
    assert len(names) == len(set(names)), "a name is declared twice"


@pytest.mark.parametrize("verb", VERBS)
def test_help_ends_with_examples_of_the_verb(verb):
    examples = run(verb, "--help").stdout.split("\nExamples:\n")[1]
    assert f"phial {verb}" in examples


def test_examples_of_values_are_accepted():
    """Each number that help proposes is one that the flag takes: the error that is left is the missing model."""
    args = []
    for left, rest in flag_lines("run"):
        if re.search(r" [NX]$", left):
            args += [re.findall(r"--[\w-]+", left)[0], re.search(r"e\.g\. (.*)\]", rest)[1]]
    assert len(args) > 50
    p = run("run", *args, check=False)
    assert p.returncode == 2 and "--model is missing" in p.stderr, p.stderr


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_man_page_is_clean(verb):
    page = run("man", *verb.split()).stdout
    assert page.startswith(".TH PHIAL") and ".SH EXIT STATUS" in page
    need("mandoc")
    p = subprocess.run(["mandoc", "-T", "lint"], input=page, capture_output=True, text=True)
    assert p.returncode == 0 and p.stdout == "", p.stdout
    text = subprocess.run(["mandoc", "-T", "ascii"], input=page, capture_output=True, text=True, check=True).stdout
    plain = re.sub(r".\x08", "", text)
    if verb:
        for left, _ in flag_lines(verb):
            assert left in re.sub(r"\s+", " ", plain), left


def test_man_page_escapes_what_roff_would_read():
    page = run("man", "run").stdout
    assert r"\en" in page  # "\n" of the help
    assert not re.search(r"^\.(?!TH|SH|SS|TP|B|BR|br|nf|fi|ad|nh)", page, re.M)


def test_unknown_verb_and_shell_are_refused():
    assert "one of run|" in run("man", "nonsense", check=False).stderr
    assert "bash, zsh or fish" in run("completion", "tcsh", check=False).stderr
    assert run("completion", check=False).returncode == 2


def bash_complete(line, cwd=ROOT):
    words = line.split(" ")
    script = run("completion", "bash").stdout + "\n" + "\n".join([
        "COMP_WORDS=(" + " ".join(f"'{w}'" for w in words) + ")", f"COMP_CWORD={len(words) - 1}", "_phial", 'printf "%s\\n" "${COMPREPLY[@]}"'])
    p = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, cwd=cwd, check=True)
    assert not p.stderr, p.stderr
    return p.stdout.split("\n")[:-1]


def test_bash_completion(tmp_path):
    assert bash_complete("phial ru") == ["run"]
    assert set(VERBS) <= set(bash_complete("phial "))
    assert set(bash_complete("phial run --temp")) == {"--temp", "--temperature"}
    assert "-ngl" in bash_complete("llama-cli -n")
    assert bash_complete("./llama-bench -o j") == ["json", "jsonl"]
    assert bash_complete("phial bench --output = c") == ["csv"]
    assert bash_complete("phial completion z") == ["zsh"]
    (tmp_path / "my model.gguf").touch()
    assert bash_complete("phial run -m my", tmp_path) == ["my model.gguf"]
    assert bash_complete("phial quantize my", tmp_path) == ["my model.gguf"]
    assert bash_complete("phial run -n 1") == [""]  # a number: nothing to propose


def test_bash_completes_at_a_prompt():
    c = pexpect.spawn("bash", ["--norc", "-i"], env=dict(os.environ, PS1="READY> ", TERM="dumb"), encoding="utf-8", timeout=20)
    c.expect("READY> ")
    c.sendline(f"source <({PHIAL} completion bash)")
    c.expect("READY> ")
    c.send("phial quan\t--allow\t")
    c.expect_exact("quantize --allow-requantize")
    c.sendcontrol("c")
    c.close(force=True)


def test_zsh_completion(tmp_path):
    need("zsh")
    (tmp_path / "_phial").write_text(run("completion", "zsh").stdout)
    c = pexpect.spawn("zsh", ["-f", "-i"], env=dict(os.environ, TERM="dumb", PS1="READY> ", HOME=str(tmp_path)), encoding="utf-8", timeout=20,
                      dimensions=(50, 200))
    c.expect("READY> ")
    c.sendline(f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -u -D; zstyle ':completion:*' list-prompt ''; echo IS''SET")
    c.expect("ISSET")
    for typed, expected in [("phial quan\t", "quantize"), ("phial quantize --allow-r\t", "--allow-requantize"), ("llama-bench -o sq\t", "-o sql"),
                            ("phial run -m READ\t", "README"), ("phial run -ng\t", "-ngl")]:
        c.send(typed)
        c.expect_exact(expected)
        c.sendcontrol("u")
    c.close(force=True)


def test_fish_completion(tmp_path):
    need("fish")
    script = tmp_path / "phial.fish"
    script.write_text(run("completion", "fish").stdout)

    def complete(line):
        p = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"], capture_output=True, text=True, check=True, cwd=ROOT,
                           env=dict(os.environ, HOME=str(tmp_path)))
        assert not p.stderr, p.stderr
        return [l.split("\t")[0] for l in p.stdout.splitlines()]

    assert complete("phial ru") == ["run"]
    assert set(complete("phial run --temp")) == {"--temp", "--temperature"}
    assert "-ub" in complete("llama-cli -u")
    assert complete("llama-bench --output sq") == ["sql"]
    assert complete("phial run -m READ") == ["README.md"]
    assert complete("phial completion z") == ["zsh"]


def test_install_and_uninstall(tmp_path):
    prefix = tmp_path / "usr"
    command = [ROOT / "tools" / "install.sh", PHIAL, "/usr"]
    env = dict(os.environ, DESTDIR=str(tmp_path))
    subprocess.run(command, env=env, check=True)
    for name in ["phial", *LLAMA_NAMES]:
        p = subprocess.run([prefix / "bin" / name, "--version"], capture_output=True, text=True, check=True)
        assert p.stdout.startswith("phial ")
    p = subprocess.run([prefix / "bin" / "convert_hf_to_gguf.py", "--print-supported-models"], capture_output=True, text=True, check=True)
    assert "Phi3ForCausalLM" in p.stdout
    pages = {f.name for f in (prefix / "share/man/man1").iterdir()}
    assert pages == {"phial.1", *(f"phial-{v}.1" for v in VERBS), *(f"{n}.1" for n in LLAMA_NAMES)}
    assert "complete -F _phial" in (prefix / "share/bash-completion/completions/llama-cli").read_text()
    if shutil.which("mandoc"):
        p = subprocess.run(["mandoc", "man1/llama-cli.1"], capture_output=True, text=True, cwd=prefix / "share" / "man", check=True)
        assert "PHIAL-RUN(1)" in p.stdout
    subprocess.run([*command, "uninstall"], env=env, check=True)
    assert not [f for f in prefix.rglob("*") if not f.is_dir()]
