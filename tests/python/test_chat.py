"""The chat as people use it, on a real terminal, and as programs use it, by JSON lines."""
import json
import os
import re
import signal
import subprocess
import time

import pexpect
import pytest

from conftest import PHIAL, run

FRANCE, NET = "What is the capital of France?", "Can you introduce .NET"
PASTE = "\033[200~%s\033[201~"


class Terminal:
    """phial run on a pty; every answer is greedy."""

    def __init__(self, model, *flags, state, **env):
        env = dict({k: v for k, v in os.environ.items() if k not in ("EDITOR", "VISUAL", "NO_COLOR")}, TERM="xterm", XDG_STATE_HOME=str(state), **env)
        self.c = pexpect.spawn(str(PHIAL), ["run", "-m", str(model), "--temp", "0", *map(str, flags)], env=env, encoding="utf-8", timeout=15,
                               dimensions=(40, 200))
        self.c.expect("lists the commands")
        self.prompt()

    def prompt(self):
        """Waits for the prompt and returns what came before it, without escape sequences."""
        self.c.expect("\033\\[1;32m> ")
        return re.sub(r"\033\[[0-9;?]*[a-zA-Z]", "", self.c.before).replace("\r", "")

    def say(self, text):
        self.c.sendline(text)
        return self.prompt()

    def leave(self, code=0):
        self.c.sendline("/exit")
        self.c.expect(pexpect.EOF)
        self.c.close()
        assert self.c.exitstatus == code


@pytest.fixture
def term(models, tmp_path):
    terminals = []

    def start(*flags, **env):
        terminals.append(Terminal(models("q8_0"), *flags, state=tmp_path / "state", **env))
        return terminals[-1]

    yield start
    for t in terminals:
        t.c.close(force=True)


def messages(path):
    return json.loads(path.read_text())


def test_commands(term, tmp_path):
    t = term("-sys", "Answer briefly.")
    out = t.say("/help")
    for name in ("/help", "/clear", "/regen", "/edit", "/system", "/save", "/load", "/stats", "/exit"):
        assert name in out
    assert "nothing to answer" in t.say("/regen") and "no message" in t.say("/edit")
    assert "Paris" in t.say(FRANCE)
    first = t.say("/regen")
    assert "Paris" in first
    assert re.search(r"context: \d+ of 2048 tokens, 3 messages", t.say("/stats"))
    assert "3 messages" in t.say(f"/save {tmp_path}/a.json")
    talk = messages(tmp_path / "a.json")
    assert [m["role"] for m in talk] == ["system", "user", "assistant"] and talk[0]["content"] == "Answer briefly." and talk[1]["content"] == FRANCE
    assert "Answer briefly." in t.say("/system")
    assert "begins anew" in t.say("/system You are a poet.")
    t.say(f"/save {tmp_path}/b.json")
    assert messages(tmp_path / "b.json") == [{"role": "system", "content": "You are a poet."}]
    out = t.say(f"/load {tmp_path}/a.json")
    assert "3 messages" in out and f"user: {FRANCE}" in out and "assistant: " in out
    t.say("/clear")
    t.say(f"/save {tmp_path}/c.json")
    assert messages(tmp_path / "c.json") == [{"role": "system", "content": "Answer briefly."}]
    assert "did you mean /stats" in t.say("/stat")
    for wrong, word in (("/save", "name of a file"), ("/load", "name of a file"), (f"/load {tmp_path}/none", "cannot read"), ("/clear all", "takes nothing"),
                        (f"/save {tmp_path}/no/such", "NOTFOUND")):
        assert word in t.say(wrong)
    t.leave()


@pytest.mark.parametrize("text, word", [
    ("{", "not valid JSON"), ("7", "list of messages"), ('[{"content": "x"}]', "role"), ('[{"role": 3}]', "role"), ('[{"role": "user", "content": 3}]', "content"),
    ('[{"role": "user", "content": ["x"]}]', "part"), ("[" * 100000, "deep|JSON"), ("", "not valid JSON"), ('[1]', "message 1"),
])
def test_bad_conversations_are_refused(term, tmp_path, text, word):
    (tmp_path / "bad.json").write_text(text)
    t = term()
    assert re.search(word, t.say(f"/load {tmp_path}/bad.json"))
    assert "Paris" in t.say(FRANCE)
    t.leave()


def test_messages_of_others_are_loaded(term, tmp_path):
    """OpenAI's request shape, contents as parts, a last message that waits for its answer; what is not ours is kept."""
    (tmp_path / "talk.json").write_text(json.dumps({"model": "x", "messages": [
        {"role": "user", "content": [{"type": "text", "text": "What is the capital "}, {"type": "text", "text": "of France?"}], "name": "ann"}]}))
    t = term()
    assert "/regen answers" in t.say(f"/load {tmp_path}/talk.json")
    t.say(f"/save {tmp_path}/again.json")
    assert messages(tmp_path / "again.json")[0]["name"] == "ann"
    t.leave()


def test_edit_in_the_line(term, tmp_path):
    t = term()
    t.say("What is the capital of Italy?")
    t.c.sendline("/edit")
    t.c.expect("edit> ")
    t.c.expect_exact("Italy?")
    t.c.send("\b" * 6 + "France?\r")
    assert "Paris" in t.prompt()
    t.say(f"/save {tmp_path}/a.json")
    talk = messages(tmp_path / "a.json")
    assert len(talk) == 2 and talk[0]["content"] == FRANCE
    t.c.sendline("/edit")
    t.c.expect("edit> ")
    t.c.sendintr()
    assert "nothing changed" in t.prompt()
    t.say(f"/save {tmp_path}/b.json")
    assert messages(tmp_path / "b.json") == talk
    t.leave()


def test_edit_in_an_editor(term, tmp_path):
    editor = tmp_path / "my editor.sh"
    editor.write_text("#!/bin/sh\ngrep -q Italy \"$1\" || exit 1\nprintf 'What is the capital\\nof France?\\n' > \"$1\"\n")
    editor.chmod(0o755)
    t = term(EDITOR=f"'{editor}'")
    t.say("What is the capital of Italy?")
    assert "Paris" in t.say("/edit")
    t.say(f"/save {tmp_path}/a.json")
    assert messages(tmp_path / "a.json")[0]["content"] == "What is the capital\nof France?"
    assert "nothing changed" in t.say("/edit")  # the script fails now
    assert not list(tmp_path.glob("phial-message*"))
    t.leave()


def test_pasted_text_is_one_message(term, tmp_path):
    t = term()
    t.c.send(PASTE % "What is\nthe capital\r\tof France\u00e9?\n")
    time.sleep(0.2)
    t.c.send("\r")
    t.prompt()
    t.say(f"/save {tmp_path}/a.json")
    assert messages(tmp_path / "a.json")[0]["content"] == "What is\nthe capital\n\tof France\u00e9?"
    t.c.send(PASTE % "/exit\nis no command here")
    t.c.send("\r")
    t.prompt()
    t.say("/clear")
    t.c.send("What is the " + PASTE % "capital\nof Fra" + "nce?\r")  # typed, pasted, typed
    t.prompt()
    t.say(f"/save {tmp_path}/b.json")
    assert messages(tmp_path / "b.json")[0]["content"] == "What is the capital\nof France?"
    t.c.send("\033[A\033[A")  # up to the message before: a pasted message comes back with its line break
    t.c.expect_exact("nce?")
    t.c.send("\r")
    t.prompt()
    t.say(f"/save {tmp_path}/c.json")
    assert messages(tmp_path / "c.json")[2]["content"] == "What is the capital\nof France?"
    t.leave()


def test_history_across_sessions(term, tmp_path):
    t = term()
    t.say(FRANCE)
    t.c.kill(signal.SIGKILL)  # it is on disk already
    t.c.expect(pexpect.EOF)
    t = term()
    t.c.send("\033[A")
    t.c.expect_exact(FRANCE)
    t.c.send("\r")
    assert "Paris" in t.prompt()
    t.leave()
    assert (tmp_path / "state" / "phial" / "history").stat().st_mode & 0o077 == 0


def test_roles_are_coloured_and_can_be_plain(term, models):
    t = term()
    t.c.sendline(FRANCE)
    t.c.expect("\033\\[0m")  # what was typed is green until here
    t.c.expect("Paris")
    t.prompt()
    t.leave()
    env = dict(os.environ, TERM="xterm", NO_COLOR="1", XDG_STATE_HOME="/nonexistent")
    c = pexpect.spawn(str(PHIAL), ["run", "-m", str(models("q8_0")), "--temp", "0"], env=env, encoding="utf-8", timeout=60)
    c.expect("> ")
    c.sendline("/exit")
    c.expect(pexpect.EOF)
    assert "\033[1;32m" not in c.before


def test_overflow_is_said_with_both_numbers(term, models, tmp_path):
    t = term("-c", "64", "--ignore-eos")
    out = t.say(FRANCE)
    assert re.search(r"context is full: 64 of 64 tokens, \d+ of them before this answer", out)
    out = t.say("word " * 40)
    n, limit = map(int, re.search(r"has (\d+) tokens, the context holds (\d+)", out).groups())
    assert n > limit == 64
    # What to do is said, and works.
    assert "/clear begins anew (/save FILE" in out
    larger = int(re.search(r"--ctx-size (\d+) \(the model's own context is 2048\)", out).group(1))
    assert larger > n
    t.say(f"/save {tmp_path}/full.json")
    assert [m["role"] for m in messages(tmp_path / "full.json")] == ["user", "assistant"]
    assert t.say("Hello")  # refused again, and the conversation is as it was
    t.say(f"/save {tmp_path}/again.json")
    assert messages(tmp_path / "again.json") == messages(tmp_path / "full.json")
    t.say("/clear")
    assert "Paris" in t.say(FRANCE)
    t.leave()
    t = term("--ctx-size", larger)
    t.say(f"/load {tmp_path}/full.json")
    assert "error" not in t.say("word " * 40)
    t.leave()
    p = run("run", "-m", models("q8_0"), "-c", "64", "--temp", "0", "--ignore-eos", "-p", FRANCE)
    assert "64 of 64 tokens" in p.stderr and "start with --ctx-size 128" in p.stderr and "/clear" not in p.stderr


def test_a_session_goes_on(term, models, tmp_path):
    path = tmp_path / "talk.session"
    t = term()
    want = [t.say(FRANCE), t.say(NET)]
    t.leave()
    t = term("--session", path)
    assert t.say(FRANCE) == want[0]
    t.leave()
    assert path.stat().st_size > 100000
    t = term("--session", path)
    assert t.say(NET) == want[1]
    out = t.say("/stats")
    t.c.kill(signal.SIGTERM)  # what was said is kept
    t.c.expect(pexpect.EOF)
    cached = int(re.search(r"(\d+) from the cache", out).group(1))
    assert cached > 10
    t = term("--session", path)
    t.say(f"/save {tmp_path}/a.json")
    assert [m["content"] for m in messages(tmp_path / "a.json") if m["role"] == "user"] == [FRANCE, NET]
    t.leave()


def test_bad_sessions_are_refused(models, tmp_path):
    path = tmp_path / "talk.session"
    ask = ["run", "-m", models("q8_0"), "--temp", "0", "-p", FRANCE, "--session", path]
    first = run(*ask).stdout
    good = path.read_bytes()
    assert "Paris" in first
    for data, code in ((good[:200], "TRUNC"), (b"x" * 500, "MAGIC"), (good[:-9] + bytes([good[-9] ^ 1]) + good[-8:], "STATE"), (b"", "TRUNC")):
        path.write_bytes(data)
        p = run(*ask, check=False)
        assert p.returncode == 2 and code in p.stderr and str(path) in p.stderr, p.stderr
        assert path.read_bytes() == data  # never written over
    path.write_bytes(good)
    p = run("run", "-m", models("f16"), *ask[3:], check=False)
    assert p.returncode == 2 and "another model file" in p.stderr
    p = run(*ask, "-ctk", "q8_0", check=False)
    assert p.returncode == 2 and "-ctk I16" in p.stderr
    p = run(*ask, "-c", "16", check=False)
    assert p.returncode == 2 and "CONTEXT" in p.stderr
    p = run(*ask[:-1], tmp_path / "no" / "such", check=False)
    assert p.returncode == 2 and "NOTFOUND" in p.stderr


def events(*args, **kwargs):
    p = run("run", "--temp", "0", "--json", *args, check=False, **kwargs)
    return [json.loads(line) for line in p.stdout.splitlines()], p


def test_json_lines(models):
    model = models("q8_0")
    out, p = events("-m", model, "-p", FRANCE)
    assert p.returncode == 0 and [e["type"] for e in out[:-1]] == ["token"] * (len(out) - 1)
    done = out[-1]
    assert done["type"] == "done" and done["reason"] == "stop" and "Paris" in done["text"]
    assert done["text"] == "".join(e["text"] for e in out[:-1])
    assert done["n_generated"] > 0 and done["n_context"] == 2048 and done["n_tokens"] == done["n_prompt"] + done["n_cached"] + done["n_generated"]
    plain = run("run", "-m", model, "--temp", "0", "-p", FRANCE).stdout
    assert plain.rstrip("\n") == done["text"].rstrip("\n")

    lines = [json.dumps(FRANCE), "", json.dumps({"role": "user", "content": NET}), "{broken", "[1]", '{"messages": 3}', json.dumps({"messages": [{"role": "user", "content": FRANCE}]})]
    out, p = events("-m", model, input="\n".join(lines))
    ends = [e for e in out if e["type"] != "token"]
    assert [e["type"] for e in ends] == ["done", "done", "error", "error", "error", "done"]
    assert "Paris" in ends[0]["text"] and "Microsoft" in ends[1]["text"] and ends[1]["n_cached"] > 10
    assert ends[5]["text"] == ends[0]["text"]  # the conversation was replaced
    assert p.returncode == 2  # there were errors

    out, p = events("-m", model, "-n", "3", "-p", FRANCE)
    assert out[-1]["reason"] == "length" and out[-1]["n_generated"] == 3
    out, p = events("-m", model, "-c", "64", "--ignore-eos", "-p", FRANCE)
    assert out[-1]["reason"] == "context"
    out, p = events("-m", model, "-c", "64", "-p", "word " * 100)
    assert out == [out[0]] and out[0]["type"] == "error" and out[0]["code"] == "CONTEXT" and p.returncode == 2
    out, p = events("-m", model, "-no-cnv", "-n", "4", input='"The Moon"\n{"role": "user", "content": "x"}\n')
    assert out[-2]["type"] == "done" and out[-1]["type"] == "error"


def test_json_lines_answer_at_once_and_stop(models):
    """A program talks line by line; SIGINT stops an answer."""
    p = subprocess.Popen([str(PHIAL), "run", "-m", str(models("q8_0")), "--temp", "0", "--json", "--ignore-eos", "-n", "100000"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    p.stdin.write(json.dumps(NET) + "\n")
    p.stdin.flush()
    assert json.loads(p.stdout.readline())["type"] == "token"
    p.send_signal(signal.SIGINT)
    last = None
    for line in p.stdout:
        last = json.loads(line)
        if last["type"] == "done":
            break
    assert last["reason"] == "cancelled"
    p.stdin.close()
    assert p.wait(30) == 130
