"""Perplexity, KL divergence and task scores against llama.cpp's logits (llama-cpp-python) and the published file layouts."""
import json
import os
import re
import signal
import struct
import subprocess

import numpy as np
import pexpect
import pytest

from conftest import PHIAL, need_shared, run

N_CTX = 512
FIRST = N_CTX // 2


class Peer:
    """llama.cpp's logits of one model."""

    def __init__(self, path, n_ctx=N_CTX, **overrides):
        llama_cpp = pytest.importorskip("llama_cpp")
        self.model = llama_cpp.Llama(str(path), n_ctx=n_ctx, n_batch=n_ctx, n_ubatch=n_ctx, logits_all=True, verbose=False, n_threads=1,
                                     n_threads_batch=1, kv_overrides=overrides or None)
        self.adds_bos = llama_cpp.llama_vocab_get_add_bos(self.model._model.vocab)

    def tokens(self, text):
        return self.model.tokenize(text.encode(), add_bos=True, special=False)

    def logits(self, tokens):
        self.model.reset()
        self.model.eval(tokens)
        return np.array(self.model.scores[:len(tokens)], dtype=np.float32)

    def log_probs(self, tokens):
        return log_softmax(self.logits(tokens))

    def chunk(self, tokens, i):
        """Log-probabilities of the scored positions of chunk i, and the tokens they predict."""
        chunk = tokens[i * N_CTX:(i + 1) * N_CTX]
        fed = [self.model.token_bos(), *chunk[1:]] if self.adds_bos else chunk
        return self.log_probs(fed)[FIRST:-1], np.array(chunk[FIRST + 1:])


def log_softmax(logits):
    x = logits.astype(np.float64)
    x -= x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def picked(log_probs, ids):
    return log_probs[np.arange(len(ids)), ids]


def text_of(name):
    return need_shared("data", "text", name)


def read_text(path):
    return path.read_text().removesuffix("\n")


def ppl_json(*args):
    p = run("perplexity", "--json", *args)
    assert p.stdout.count("\n") == 1, p.stdout
    return json.loads(p.stdout)


# llama.cpp's activations in Q4_K_M are rounded in other groups than ours: noise of some 5 % in one token's ln p, so that many chunks are needed. So
# does Q8_0 on text that the model does not know (8 chunks: with our caches f32, f16, i16 and q8_0 the same weights differ by 0.15 %, 60 chunks: 0.02 %).
# In Q8_0 it depends on llama.cpp's processor: on AMX the first chunk of 256 tokens is 0.22 % away, elsewhere below 0.2 %.
@pytest.mark.parametrize("outtype, name, n_chunks, early", [
    ("f16", "phial-tiny-eval.txt", 16, 1e-3), ("q8_0", "phial-tiny-eval.txt", 16, 4e-3), ("q4_k_m", "phial-tiny-eval.txt", 96, 5e-3),
    ("f16", "wikitext-2-test.txt", 8, 1e-3), ("q8_0", "wikitext-2-test.txt", 48, 5e-3)])
def test_perplexity_is_llama_cpps(models, outtype, name, n_chunks, early):
    path = text_of(name)
    peer = Peer(models(outtype))
    tokens = peer.tokens(read_text(path))
    nll = np.concatenate([-picked(*peer.chunk(tokens, i)) for i in range(n_chunks)])
    out = run("perplexity", "-m", models(outtype), "-f", path, "--chunks", n_chunks).stdout
    so_far = [float(x) for x in re.findall(r"\[\d+\]([\d.]+),", out)]
    want = [np.exp(nll[:(i + 1) * (N_CTX - 1 - FIRST)].mean()) for i in range(n_chunks)]
    assert len(so_far) == n_chunks and np.allclose(so_far, want, rtol=early)
    ppl, error = map(float, re.search(r"^Final estimate: PPL = ([\d.]+) \+/- ([\d.]+)$", out, re.M).groups())
    assert abs(ppl / np.exp(nll.mean()) - 1) < 1e-3
    assert error == pytest.approx(ppl * nll.std() / np.sqrt(len(nll) - 1), rel=5e-3)


def test_bos_replaces_the_first_token_of_each_chunk(models):
    path = text_of("phial-tiny-eval.txt")
    peer = Peer(models("f16"), **{"tokenizer.ggml.add_bos_token": True})
    assert peer.adds_bos
    tokens = peer.tokens(read_text(path))
    nll = np.concatenate([-picked(*peer.chunk(tokens, i)) for i in range(4)])
    args = ["-m", models("f16"), "-f", path, "--chunks", 4]
    with_bos = ppl_json(*args, "--override-kv", "tokenizer.ggml.add_bos_token=bool:true")["nll"]
    assert with_bos == pytest.approx(nll.mean(), rel=2e-4)
    assert with_bos != ppl_json(*args)["nll"]


def test_stride(models):
    """Chunks of -c + stride / 2 tokens begin every `stride` tokens; the last `stride` of each are scored. Beyond 512 tokens the long factors rotate."""
    path = text_of("phial-tiny-eval.txt")
    length, stride = N_CTX + 64, 128
    peer = Peer(models("f16"), n_ctx=length)
    tokens = peer.tokens(read_text(path))
    nll = []
    for i in range(6):
        chunk = tokens[i * stride:i * stride + length]
        nll.append(-picked(peer.log_probs(chunk)[length - stride - 1:-1], chunk[length - stride:]))
    got = ppl_json("-m", models("f16"), "-f", path, "--ppl-stride", stride, "--chunks", 6)
    assert got["n_scored"] == 6 * stride
    assert got["ppl"] == pytest.approx(np.exp(np.mean(nll)), rel=1e-3)


def test_same_bits_however_it_is_run(models):
    args = ["-m", models("q4_k_m"), "-f", text_of("phial-tiny-eval.txt"), "-c", 128, "--chunks", 12]
    want = ppl_json(*args, "-b", 128, "-t", 1)
    for flags in (["-t", 2], ["-b", 1024, "-t", 3], ["-ub", 100], ["-b", 64, "-ub", 17], ["--mmap"]):
        got = ppl_json(*args, *flags)
        assert (got["ppl"], got["ppl_error"]) == (want["ppl"], want["ppl_error"]), flags
    assert ppl_json(*args, "-ctk", "q8_0", "-ctv", "q8_0")["ppl"] != want["ppl"]


def read_base(path):
    """llama.cpp's file of log-probabilities by its published layout."""
    data = path.read_bytes()
    assert data[:8] == b"_logits_"
    n_ctx, n_vocab, n_chunk = struct.unpack("<3i", data[8:20])
    tokens = np.frombuffer(data, "<i4", n_ctx * n_chunk, 20).reshape(n_chunk, n_ctx)
    n_words = 2 * ((n_vocab + 1) // 2) + 4
    rows = np.frombuffer(data, "<u2", offset=20 + tokens.nbytes).reshape(n_chunk, n_ctx - 1 - n_ctx // 2, n_words)
    head = rows[:, :, :4].copy().view("<f4")
    return tokens, head[..., :1] * rows[:, :, 4:4 + n_vocab].astype(np.float32) + head[..., 1:], head[..., 0]


def write_base(path, tokens, log_probs):
    """The same layout, from arrays [n_chunk, n_ctx] and [n_chunk, scored, n_vocab]."""
    n_chunk, n_scored, n_vocab = log_probs.shape
    with open(path, "wb") as f:
        f.write(b"_logits_" + struct.pack("<3i", tokens.shape[1], n_vocab, n_chunk) + tokens.astype("<i4").tobytes())
        for row in log_probs.reshape(-1, n_vocab):
            top = row.max()
            low = max(row.min(), top - 16)
            scale = np.float32((top - low) / 65535)
            levels = np.where(row > low, np.rint((row - low) / scale), 0).astype("<u2")
            f.write(struct.pack("<2f", scale, low) + levels.tobytes() + bytes(2 * (n_vocab % 2)))


def test_a_written_base_is_llama_cpps(models, tmp_path):
    path, base = text_of("phial-tiny-eval.txt"), tmp_path / "base.kld"
    peer = Peer(models("f16"))
    tokens = peer.tokens(read_text(path))
    run("perplexity", "-m", models("f16"), "-f", path, "--chunks", 3, "--kl-divergence-base", base)
    got_tokens, log_probs, scale = read_base(base)
    assert got_tokens.shape == (3, N_CTX) and got_tokens.ravel().tolist() == tokens[:3 * N_CTX]
    assert log_probs.shape == (3, N_CTX - 1 - FIRST, 4096) and scale.max() <= 16 / 65535 * 1.001
    for i in range(3):
        want, _ = peer.chunk(tokens, i)
        want = np.maximum(want, want.max(axis=1, keepdims=True) - 16)
        assert np.abs(log_probs[i] - want).max() < 0.05 and np.abs(log_probs[i] - want).mean() < 5e-3
        assert np.abs(np.exp(log_probs[i].astype(np.float64)).sum(axis=1) - 1).max() < 1e-3


def test_a_base_written_by_others_is_read(models, tmp_path):
    """The base is llama.cpp's F16; the statistics are recomputed from llama.cpp's logits of Q4_K_M."""
    base = tmp_path / "base.kld"
    peer, quantized = Peer(models("f16")), Peer(models("q4_k_m"))
    tokens = peer.tokens(read_text(text_of("phial-tiny-eval.txt")))
    n = 4
    write_base(base, np.array(tokens[:n * N_CTX]).reshape(n, N_CTX), np.stack([peer.chunk(tokens, i)[0] for i in range(n)]))
    got = ppl_json("-m", models("q4_k_m"), "--kl-divergence-base", base, "--kl-divergence")
    p = np.concatenate([peer.chunk(tokens, i)[0] for i in range(n)])
    q = np.concatenate([quantized.chunk(tokens, i)[0] for i in range(n)])
    ids = np.concatenate([quantized.chunk(tokens, i)[1] for i in range(n)])
    kld = (np.exp(p) * (p - q)).sum(axis=1)
    assert got["n_chunks"] == n and got["n_scored"] == len(ids)
    assert got["base_ppl"] == pytest.approx(np.exp(-picked(p, ids).mean()), rel=1e-4)
    assert got["ppl"] == pytest.approx(np.exp(-picked(q, ids).mean()), rel=5e-3)
    assert got["kld"] == pytest.approx(kld.mean(), rel=0.05)
    assert got["same_top"] == pytest.approx((p.argmax(axis=1) == q.argmax(axis=1)).mean(), abs=0.01)


def test_divergence_by_its_formulas(models, tmp_path):
    """Every number from our own logits, recomputed in double."""
    base, n = tmp_path / "base.kld", 3
    run("perplexity", "-m", models("f16"), "-f", text_of("phial-tiny-eval.txt"), "--chunks", n, "--kl-divergence-base", base)
    tokens, base_lp, _ = read_base(base)
    base_lp = base_lp.reshape(-1, base_lp.shape[-1]).astype(np.float64)
    lp, ids = [], []
    for chunk in tokens:
        run("logits", "-m", models("q4_k_m"), "--tokens", ",".join(map(str, chunk)), "-o", tmp_path / "l.npy", "-ctk", "i16", "-ctv", "i16")
        lp.append(log_softmax(np.load(tmp_path / "l.npy"))[FIRST:-1])
        ids.extend(chunk[FIRST + 1:])
    lp = np.concatenate(lp)
    nll, base_nll = -picked(lp, ids), -picked(base_lp, ids)
    kld = np.where(base_lp > -16, np.exp(base_lp) * (base_lp - lp), 0).sum(axis=1)
    change = np.exp(-nll) - np.exp(-base_nll)
    error = lambda x: x.std() / np.sqrt(len(x) - 1)
    got = ppl_json("-m", models("q4_k_m"), "--kl-divergence-base", base, "--kl-divergence")
    want = {
        "ppl": np.exp(nll.mean()), "ppl_error": np.exp(nll.mean()) * error(nll), "base_ppl": np.exp(base_nll.mean()),
        "ln_ratio": (nll - base_nll).mean(), "ln_ratio_error": error(nll - base_nll), "ratio": np.exp((nll - base_nll).mean()),
        "correlation": np.corrcoef(nll, base_nll)[0, 1], "kld": kld.mean(), "kld_error": error(kld),
        "p_change": change.mean(), "p_change_error": error(change), "rms_p_change": np.sqrt((change**2).mean()),
        "rms_p_change_error": error(change**2) / 2 / np.sqrt((change**2).mean()),
        "same_top": (lp.argmax(axis=1) == base_lp.argmax(axis=1)).mean(),
    }
    for key, value in want.items():
        assert got[key] == pytest.approx(value, rel=2e-3, abs=2e-6), key
    for name, share in [("min", 0), ("1%", 1), ("median", 50), ("99%", 99), ("99.9%", 99.9), ("max", 100)]:
        assert got["kld_quantiles"][name] == pytest.approx(np.percentile(kld, share), rel=2e-3, abs=5e-6), name
        assert got["p_change_quantiles"][name] == pytest.approx(np.percentile(change, share), rel=2e-3, abs=5e-6), name
    text = run("perplexity", "-m", models("q4_k_m"), "--kl-divergence-base", base, "--kl-divergence").stdout
    number = r"\s*(-?[\d.]+)"
    for line in ["Mean PPL\\(Q\\)                   :", "Mean ln\\(PPL\\(Q\\)/PPL\\(base\\)\\)     :", "Mean    KLD:", "Maximum KLD:", "99.9%   KLD:",
                 "99.0%   KLD:", "Median  KLD:", "RMS \u0394p    :", "Same top p:", "   3 "]:
        assert re.search("^" + line + number, text, re.M), line
    assert float(re.search(f"^Mean    KLD:{number} \u00b1{number}$", text, re.M)[1]) == pytest.approx(got["kld"], abs=1e-6)


HELLASWAG = [("The capital of France", 2, ["is a kind of water.", "goes around the Earth.", "is Paris.", "was made of bread."]),
             ("Water is made of", 0, ["hydrogen and oxygen.", "the capital of Italy.", "a programming language.", "forty seven legs."]),
             ("The Moon", 1, ["is a web site from Microsoft.", "goes around the Earth.", "eats seven compilers.", "is the largest fish."]),
             (".NET is", 3, ["a bird that sings.", "an old river in Spain.", "the color of grass.", "a free, open-source platform from Microsoft."]),
             ("Bees make", 3, ["stone and iron.", "trains.", "web sites and services.", "honey."])]


def mean_log_prob(peer, tokens, begin, end):
    log_probs = peer.log_probs(tokens)
    return np.mean([log_probs[i - 1, tokens[i]] for i in range(begin, end)])


def common_prefix(texts):
    n = 0
    while all(len(t) > n and t[n] == texts[0][n] for t in texts):
        n += 1
    return n


def test_hellaswag(models, tmp_path):
    tasks = tmp_path / "tasks.txt"
    tasks.write_text("".join(f"{context}\n{right}\n" + "".join(e + "\n" for e in endings) for context, right, endings in HELLASWAG))
    peer, n_right = Peer(models("q8_0")), 0
    for context, right, endings in HELLASWAG:
        texts = [peer.tokens(context + " " + e) for e in endings]
        common = common_prefix(texts)
        n_right += int(np.argmax([mean_log_prob(peer, t, common, len(t)) for t in texts])) == right
    out = run("perplexity", "-m", models("q8_0"), "-f", tasks, "--hellaswag").stdout
    assert "task\tacc_norm\t95% confidence interval\n" in out
    lines = re.findall(r"^(\d+)\t([\d.]+)%\t\[([\d.-]+)%, ([\d.]+)%\]$", out, re.M)
    assert [int(line[0]) for line in lines] == [1, 2, 3, 4, 5]
    accuracy, low, high = map(float, lines[-1][1:])
    assert accuracy == pytest.approx(100 * n_right / 5)
    p, z = n_right / 5, 1.95996398454  # Wilson's interval
    centre, half = (p + z * z / 10) / (1 + z * z / 5), z / (1 + z * z / 5) * np.sqrt(p * (1 - p) / 5 + z * z / 100)
    assert (low, high) == pytest.approx((100 * (centre - half), 100 * (centre + half)), abs=1e-3)
    assert ppl_json("-m", models("q8_0"), "-f", tasks, "--hellaswag", "--hellaswag-tasks", 2)["n_tasks"] == 2


WINOGRANDE = """0,Sarah was a much better surgeon than Maria so _ always got the easier cases.,Sarah,Maria,2
1,"The cup, not the plate, fell since _ was standing near the edge of the table.",the cup,the plate,1
2,Paris is the capital of _.,France,Italy,1
3,The water froze because the _ was cold in winter and nobody heated it.,air,sun,1
"""


def test_winogrande(models, tmp_path):
    tasks = tmp_path / "tasks.csv"
    tasks.write_text(WINOGRANDE)
    out = run("perplexity", "-m", models("f16"), "-f", tasks, "--winogrande").stdout
    rows = re.findall(r"^(\d+)\t([\d.]+)\t +(\S+) +(\S+)  (\d)  (\d)$", out, re.M)
    assert len(rows) == 4 and re.search(r"^Final Winogrande score\(4 tasks\): [\d.]+ \+/- [\d.]+$", out, re.M)
    peer, n_right = Peer(models("f16")), 0
    for (number, accuracy, *scores, chosen, answer), line in zip(rows, WINOGRANDE.splitlines()):
        sentence, a, b, right = re.fullmatch(r'\d,"?(.*?)"?,([^,]*),([^,]*),(\d)', line).groups()
        before, after = sentence.split("_")
        texts = [peer.tokens(before + choice + after) for choice in (a, b)]
        common = common_prefix(texts)
        skips = all(len(t) - common > 3 for t in texts)
        want = []
        for t, choice in zip(texts, (a, b)):
            begin = len(peer.tokens(before + choice)) if skips else common
            want.append(mean_log_prob(peer, t, begin, len(t) - (len(t) - begin > 1)))
        assert [float(s) for s in scores] == pytest.approx(want, abs=0.02), line
        n_right += chosen == answer
        assert int(chosen) == (1 if float(scores[0]) > float(scores[1]) else 2) and answer == right
        assert float(accuracy) == pytest.approx(100 * n_right / int(number), abs=1e-3)


def test_multiple_choice(models, tmp_path):
    def string(s):
        return struct.pack("<I", len(s.encode())) + s.encode()

    blobs = []
    for question, right, answers in HELLASWAG:
        mc1 = struct.pack("<I", len(answers)) + b"".join(map(string, answers)) + struct.pack("<4i", *(int(i == right) for i in range(4)))
        blobs.append(string(question) + mc1 + struct.pack("<I", 0))
    at, positions = 4 + 4 * len(blobs), []
    for blob in blobs:
        positions.append(at)
        at += len(blob)
    tasks = tmp_path / "tasks.bin"
    tasks.write_bytes(struct.pack(f"<I{len(blobs)}I", len(blobs), *positions) + b"".join(blobs))
    text = tmp_path / "tasks.txt"
    text.write_text("".join(f"{context}\n{right}\n" + "".join(e + "\n" for e in endings) for context, right, endings in HELLASWAG))
    same = ppl_json("-m", models("q8_0"), "-f", text, "--hellaswag")
    got = ppl_json("-m", models("q8_0"), "-bf", tasks, "--multiple-choice")
    assert (got["n_tasks"], got["n_right"]) == (5, same["n_right"])
    out = run("perplexity", "-m", models("q8_0"), "-bf", tasks, "--multiple-choice", "--multiple-choice-tasks", 3).stdout
    assert len(re.findall(r"^\d\t[\d.]+$", out, re.M)) == 3
    assert re.search(r"^Final result: [\d.]+ \+/- [\d.]+\nRandom chance: 25.0000 \+/- 30.6186$", out, re.M), out
    tasks.write_bytes(tasks.read_bytes()[:-40])
    p = run("perplexity", "-m", models("q8_0"), "-bf", tasks, "--multiple-choice", check=False)
    assert p.returncode == 2 and "TRUNC" in p.stderr


@pytest.mark.parametrize("args, text", [
    (["-p", "too short"], "needs at least 1024"),
    ([], "--file"),
    (["-f", "/nonexistent.txt"], "cannot read"),
    (["-f", "/"], "folder"),
    (["-p", "x", "--hellaswag", "--winogrande"], "give one of"),
    (["--kl-divergence"], "--kl-divergence-base"),
    (["--kl-divergence", "--kl-divergence-base", __file__], "MAGIC"),
    (["-p", "x", "-c", "0"], "--ctx-size"),
    (["-p", "one line", "--hellaswag"], "HEADER"),
    (["-p", "one line", "--winogrande"], "HEADER"),
])
def test_errors_say_what_to_do(models, args, text):
    p = run("perplexity", "-m", models("q8_0"), *args, check=False)
    assert p.returncode == 2 and text in p.stderr, p.stderr
    assert p.stdout == ""


def long_text(tmp_path, n=60000):
    path = tmp_path / "long.txt"
    path.write_text("The Moon goes around the Earth. Water is made of hydrogen and oxygen. " * (n // 70))
    return path


def test_by_llama_cpps_name(models, tmp_path):
    (tmp_path / "llama-perplexity").symlink_to(PHIAL)
    p = subprocess.run([tmp_path / "llama-perplexity", "-m", models("q8_0"), "-f", long_text(tmp_path, 9000), "-c", "128", "-ngl", "99", "-fa", "on"],
                       capture_output=True, text=True, timeout=100)
    assert p.returncode == 0 and "Final estimate: PPL = " in p.stdout
    assert re.search(r"[\d.]+ seconds per chunk - ETA [\d.]+ minutes", p.stderr)


def test_an_interrupt_leaves_no_base(models, tmp_path):
    base = tmp_path / "base.kld"
    p = subprocess.Popen([PHIAL, "perplexity", "-m", models("f16"), "-f", long_text(tmp_path, 2_000_000), "--kl-divergence-base", base],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.stdout.read(4).startswith(b"[1]")
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=60)
    assert p.returncode == 130
    assert sorted(os.listdir(tmp_path)) == ["long.txt"]


def test_a_terminal_shows_a_bar_with_the_estimate(models, tmp_path):
    c = pexpect.spawn(str(PHIAL), ["perplexity", "-m", str(models("f16")), "-f", str(long_text(tmp_path, 60_000)), "-c", "64"],
                      env=dict(os.environ, TERM="xterm"), encoding="utf-8", timeout=60, dimensions=(40, 120))
    c.expect(r"perplexity +\d+% \[#* *\] \d+ s left PPL \d")
    c.expect("Final estimate: PPL = ")
    assert "[1]" not in c.before
    c.expect(pexpect.EOF)
    c.close()
    assert c.exitstatus == 0
