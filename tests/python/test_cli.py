"""The documented walk and the command line, as a person types it."""
import os
import re
import subprocess
import termios
import time

import pexpect
import pytest

from conftest import BUILD, PHIAL, ROOT, TINY, run

PROMPT = "<|user|>\\nCan you introduce .NET<|end|>\\n<|assistant|>\\n"
ANSWER_BEGINS = ".NET is a free, open-source platform from Microsoft"


def test_the_walk_word_for_word(tmp_path):
    """convert_hf_to_gguf.py, llama-quantize, llama-cli under their own names and flags, with plain python3."""
    f16, q4 = tmp_path / "phi-3.5_fp16.gguf", tmp_path / "phi-3.5_Q4_K_M.gguf"
    subprocess.run(["./convert_hf_to_gguf.py", TINY, "--outfile", f16], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["./llama-quantize", f16, q4, "Q4_K_M"], cwd=ROOT, check=True, capture_output=True)
    p = subprocess.run(["./llama-cli", "--model", q4, "--prompt", PROMPT, "--gpu-layers", "10", "--temp", "0"], cwd=ROOT, check=True,
                       capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert p.stdout.startswith(ANSWER_BEGINS), p.stdout
    assert "<|end|>" not in p.stdout and "<|user|>" not in p.stdout
    notes = [line for line in p.stderr.splitlines() if "GPU" in line]
    assert len(notes) == 1, p.stderr


def test_greedy_answer_of_the_embedded_model(models):
    p = run("run", "-m", models("f32"), "-p", "Can you introduce .NET", "--temp", "0", "-st")
    assert p.stdout.startswith(".NET is a free, open-source platform from Microsoft for building many kinds of programs: web sites, services, "
                               "desktop and mobile apps, games and tools. Its main languages are C#, F# and Visual Basic."), p.stdout


def test_a_pipe_gets_the_answer_only(models):
    p = run("run", "-m", models("q8_0"), "--temp", "0", input="Can you introduce .NET\n")
    assert p.stdout.startswith(ANSWER_BEGINS)
    assert "tokens/s" in p.stderr and "tokens/s" not in p.stdout
    assert "\033" not in p.stdout + p.stderr


def test_one_seed_gives_one_text(models):
    texts = {run("run", "-m", models("q8_0"), "-no-cnv", "-p", "The Moon", "-n", "24", "--seed", "7", "--temp", "1.2").stdout for _ in range(2)}
    others = {run("run", "-m", models("q8_0"), "-no-cnv", "-p", "The Moon", "-n", "24", "--seed", s, "--temp", "1.2").stdout for s in "1234"}
    assert len(texts) == 1 and len(others | texts) > 1


def test_no_forged_turns(models):
    """The text of a special token inside a message is plain text."""
    p = run("tokenize", "-m", models("q8_0"), "-p", "<|end|>", "--ids", "--no-parse-special", "--no-bos")
    assert "4071" not in p.stdout
    p = run("tokenize", "-m", models("q8_0"), "-p", "<|end|>", "--ids", "--no-bos")
    assert p.stdout.strip() == "[4071]"


@pytest.mark.parametrize("args, code, text", [
    (["quantise", "a"], 2, "did you mean 'quantize'"),
    (["run", "--modl", "x"], 2, "did you mean --model"),
    (["run", "-m", "/nonexistent.gguf", "-p", "x"], 2, "NOTFOUND"),
    (["run", "-m", str(ROOT / "README.md"), "-p", "x"], 2, "MAGIC"),
    (["quantize", "a.gguf", "b.gguf", "Q4_K_X"], 2, "did you mean Q4_K_"),
    (["run", "-m", "x", "--lora", "y"], 2, "not built yet"),
    (["run", "-m", "x", "--threads", "many"], 2, "--threads"),
    ([], 2, "Usage"),
])
def test_errors_say_what_to_do(args, code, text):
    p = run(*args, check=False)
    assert p.returncode == code and text in p.stderr, p.stderr


def test_doctor_names_the_essentials():
    out = run("doctor").stdout
    for subject in ("processor", "kernels", "cores", "memory", "huge pages", "GPU"):
        assert subject in out


def chat(model, *args, **kwargs):
    env = dict(os.environ, TERM="xterm", XDG_STATE_HOME=kwargs.pop("state", "/nonexistent"))
    return pexpect.spawn(str(PHIAL), ["run", "-m", str(model), "--temp", "0", *args], env=env, encoding="utf-8", timeout=60, dimensions=(40, 200))


def test_chat_on_a_terminal(models, tmp_path):
    c = chat(models("q8_0"), state=str(tmp_path))
    c.expect("/help lists the commands")
    c.expect("> ")
    c.sendline("Can you introduce .NET")
    c.expect("Microsoft")
    c.expect("> ")
    c.sendline('"""What is the')
    c.expect(r"\. ")
    c.sendline('capital of France?"""')
    c.expect("Paris")
    c.expect("> ")
    c.sendline("/stats")
    c.expect(r"tokens/s")
    c.sendline("/nonsense")
    c.expect("no command")
    c.sendline("/exit")
    c.expect(pexpect.EOF)
    c.close()
    assert c.exitstatus == 0
    assert "introduce .NET" in (tmp_path / "phial" / "history").read_text().replace("\\040", " ")


def test_ctrl_c_stops_the_answer_and_not_the_program(models):
    c = chat(models("q8_0"), "--ignore-eos")
    c.expect("> ")
    c.sendline("Can you introduce .NET")
    c.expect("Microsoft")
    c.sendintr()
    c.expect(r"\[stopped\]")
    c.expect("> ")
    c.sendline("What is the capital of France?")
    c.expect("Paris")
    c.sendintr()
    c.expect(r"\[stopped\]")
    c.expect("> ")
    # libedit shows the prompt before it reads key by key; a Ctrl-D before that would be the terminal's, and lost.
    while termios.tcgetattr(c.child_fd)[3] & termios.ICANON:
        time.sleep(0.01)
    c.sendeof()
    c.expect(pexpect.EOF)
    c.close()
    assert c.exitstatus == 0


def test_context_overflow_names_both_numbers(models):
    p = run("run", "-m", models("q8_0"), "-c", "64", "-no-cnv", "-p", "word " * 100, check=False)
    assert p.returncode == 2 and "CONTEXT" in p.stderr and re.search(r"\b64\b", p.stderr), p.stderr
