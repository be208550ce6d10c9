"""phial plan against what runs really take: the peak resident size of processes that fill their context."""
import json
import os
import re
import subprocess
import sys
import time

import gguf
import numpy as np
import pytest

from conftest import PHIAL, need_shared, run

WORDS = "The Moon is the only natural satellite of the Earth. Its diameter is about a quarter of that of our planet. "


def plan(*args):
    return json.loads(run("plan", "--json", *args).stdout)


def peak(*args):
    """Largest resident size of a run of phial, in bytes (wait4's would count this process too, from before the exec)."""
    p = subprocess.Popen([str(PHIAL), *map(str, args)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    most = 0
    with open(f"/proc/{p.pid}/status") as status:
        while p.poll() is None:
            status.seek(0)
            high = re.search(r"VmHWM:\s+(\d+) kB", status.read())
            most = max(most, int(high.group(1)) * 1024 if high else 0)
            time.sleep(0.001)
    assert p.returncode == 0, args
    return most


def by_bench(model, context, flags):
    """A prompt of all the context but 8 tokens, which are decoded."""
    return peak("bench", "-m", model, "-p", 0, "-n", 0, "-pg", f"{context - 8},8", "-r", 1, "--no-warmup", "--no-limits", *flags)


def by_run(model, context, flags, folder):
    """The same as a person sees it: a long prompt from a file, then an answer until the context is full."""
    text = WORDS * (context // 8)
    ids = json.loads(run("tokenize", "-m", model, "--ids", "-f", "/dev/stdin", input=text).stdout)
    low, high = 0, len(text)  # the longest text with room for 8 tokens
    assert len(ids) > context
    while low < high:
        middle = (low + high + 1) // 2
        n = len(json.loads(run("tokenize", "-m", model, "--ids", "-f", "/dev/stdin", input=text[:middle]).stdout))
        low, high = (middle, high) if n <= context - 8 else (low, middle - 1)
    prompt = folder / "prompt.txt"
    prompt.write_text(text[:low])
    return peak("run", "-m", model, "-c", context, "-no-cnv", "-f", prompt, "-n", -2, "--ignore-eos", *flags)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """One layer with the shape of Phi-3.5 mini (0.6 GB as F16), so that weights matter more than the program."""
    folder = tmp_path_factory.mktemp("synthetic")
    f16, q4 = folder / "f16.gguf", folder / "q4.gguf"
    subprocess.run([sys.executable, need_shared("tools", "make_synthetic_phi35.py"), f16, "--layers", "1"], check=True, capture_output=True)
    run("quantize", f16, q4, "Q4_K_M")
    yield {"f16": f16, "q4_k_m": q4}
    f16.unlink()
    q4.unlink()


def check(p, measured):
    assert p["total_bytes"] == sum(p[key] for key in p if key.endswith("_bytes") and key not in ("total_bytes", "available_bytes"))
    assert abs(p["total_bytes"] / measured - 1) < 0.05, f"plan {p['total_bytes'] / 2**20:.1f} MiB, measured {measured / 2**20:.1f} MiB"


@pytest.mark.parametrize("outtype, context, flags", [
    ("f16", 2048, []),
    ("f16", 320, ["-t", "1"]),  # at 256 the last huge page of the workspace is planned and just not touched: 2 MiB of 31
    ("f16", 1024, ["--mmap"]),
    ("q8_0", 1024, ["-ctk", "q8_0", "-ctv", "q8_0"]),
    ("q8_0", 1500, ["-ctk", "f32", "-ctv", "f16", "--no-huge-pages"]),
    ("q4_k_m", 2048, ["-ub", "64", "-ctk", "f32", "-ctv", "f32"]),
    ("q4_k_m", 2048, ["-ub", "2048"]),
    ("q4_k_m", 700, ["-b", "100", "-ctk", "q8_0"]),
    ("q4_k_m", 512, ["--isa", "amx_plain"]),
    ("bf16", 1024, []),
])
def test_the_plan_is_what_the_embedded_model_takes(models, outtype, context, flags):
    check(plan("-m", models(outtype), "-c", context, *flags), by_bench(models(outtype), context, flags))


@pytest.mark.parametrize("outtype, context, flags", [
    ("f16", 1024, []),
    ("q4_k_m", 2048, ["-ctk", "q8_0", "-ctv", "q8_0", "-ub", "256"]),
])
def test_the_plan_is_what_run_takes(models, tmp_path, outtype, context, flags):
    check(plan("-m", models(outtype), "-c", context, *flags), by_run(models(outtype), context, flags, tmp_path))


@pytest.mark.parametrize("outtype, context, flags", [
    ("f16", 256, []),
    ("q4_k_m", 1024, ["-ub", "128"]),
    ("q4_k_m", 2048, ["-ctk", "q8_0", "-ctv", "q8_0"]),
    ("q4_k_m", 512, ["-ctk", "f32", "-ctv", "f32", "--isa", "avx2"]),
])
def test_the_plan_is_what_a_larger_model_takes(synthetic, outtype, context, flags):
    if "--isa" in flags and "AVX" not in run("doctor").stdout:
        pytest.skip("no AVX2 here")
    check(plan("-m", synthetic[outtype], "-c", context, *flags), by_bench(synthetic[outtype], context, flags))


@pytest.mark.parametrize("flags", [[], ["-ctk", "q8_0", "-ctv", "q8_0"], ["-ub", "64"], ["-np", "3"]])
@pytest.mark.parametrize("size", ["24MiB", "30MiB", "36MiB"])
def test_fit_finds_the_largest_context(models, size, flags):
    model = models("q4_k_m")
    limit = int(size[:-3]) << 20
    fitted = plan("-m", model, "--fit", size, *flags)
    assert fitted["total_bytes"] <= limit
    assert fitted["n_context"] % 64 == 0 and 0 < fitted["n_context"] <= fitted["n_context_train"]
    if fitted["n_context"] < fitted["n_context_train"]:
        # Another process has another size of its own: what matters is what the next page adds to the first one's.
        longer = plan("-m", model, "-c", fitted["n_context"] + 64, *flags)
        assert longer["total_bytes"] - longer["program_bytes"] + fitted["program_bytes"] > limit


def test_sizes_and_their_errors(models):
    model = models("q4_k_m")
    assert plan("-m", model, "--fit", "4GiB")["n_context"] == 2048
    assert plan("-m", model, "--fit", "4e9")["n_context"] == 2048
    for wrong in ("", "lots", "-1", "0", "4XB", "4GiBs", "nan", "1e99"):
        p = run("plan", "-m", model, f"--fit={wrong}", check=False)
        assert p.returncode == 2 and "--fit" in p.stderr, wrong
    p = run("plan", "-m", model, "--fit", "5MiB", check=False)
    assert p.returncode == 3 and "NOMEM" in p.stderr and "weights" in p.stderr
    p = run("plan", "-m", model, "--fit", "1GiB", "-c", "512", check=False)
    assert p.returncode == 2


def test_the_table_names_every_purpose(models):
    out = run("plan", "-m", models("f16"), "-c", "512").stdout
    for word in ("weights", "KV cache", "workspace", "program", "total", "1024 tokens", "free"):
        assert word in out
    assert "context 512 of 2048" in out


def test_a_model_larger_than_memory_is_planned(tmp_path):
    """The file's header says 2 TB of weights, the file is a sparse one: nothing is read or reserved."""
    path = tmp_path / "huge.gguf"
    w = gguf.GGUFWriter(path, "llama")
    n_embd, n_ff, n_layers, n_vocab = 16384, 65536, 128, 256
    for key, value in (("context_length", 131072), ("embedding_length", n_embd), ("feed_forward_length", n_ff), ("block_count", n_layers),
                       ("attention.head_count", 128), ("attention.head_count_kv", 128), ("rope.dimension_count", 128)):
        w.add_uint32(f"llama.{key}", value)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    letters = [chr(c) for c in [*range(33, 127), *range(161, 173), *range(174, 256)]]
    letters += [chr(256 + i) for i in range(256 - len(letters))]
    w.add_token_list([*letters[:-1], "ab"])
    w.add_token_types([1] * n_vocab)
    w.add_token_merges(["a b"])
    shapes = {"token_embd.weight": (n_vocab, n_embd), "output.weight": (n_vocab, n_embd), "output_norm.weight": (n_embd,)}
    for i in range(n_layers):
        b = f"blk.{i}."
        shapes |= {b + "attn_norm.weight": (n_embd,), b + "ffn_norm.weight": (n_embd,)}
        shapes |= {b + f"attn_{x}.weight": (n_embd, n_embd) for x in ("q", "k", "v", "output")}
        shapes |= {b + "ffn_gate.weight": (n_ff, n_embd), b + "ffn_up.weight": (n_ff, n_embd), b + "ffn_down.weight": (n_embd, n_ff)}
    total = 0
    for name, shape in shapes.items():
        n_bytes = int(np.prod(shape)) * 4
        w.add_tensor_info(name, shape, np.dtype(np.float32), n_bytes)
        total += n_bytes
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    w.close()
    os.truncate(path, os.path.getsize(path) + total + 4096)
    p = plan("-m", path)
    assert not p["fits"] and p["weight_bytes"] > 2e12 and any("refused" in note for note in p["notes"])
    assert p["kv_bytes"] == 131072 * 128 * 2 * (n_embd * 2 + 128 * 4)  # words, and a scale for each of 128 heads
    assert run("run", "-m", path, "-p", "x", check=False).returncode == 3
