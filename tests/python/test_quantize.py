"""phial quantize as a black box: error against the reference quantizer, types against llama.cpp, flags, refusals, kills."""
import os
import random
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from conftest import PHIAL, TINY, need_shared, run

gguf = pytest.importorskip("gguf")
TYPE = gguf.GGMLQuantizationType
PURE_MIX = {"Q4_0": "Q4_0", "Q4_1": "Q4_1", "Q5_0": "Q5_0", "Q5_1": "Q5_1", "Q8_0": "Q8_0", "Q2_K": "Q2_K", "Q3_K": "Q3_K_S",
            "Q4_K": "Q4_K_S", "Q5_K": "Q5_K_S", "Q6_K": "Q6_K"}
MIXES = {"Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13,
         "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "F16": 1, "BF16": 32, "F32": 0}


def write_gguf(path, tensors, arch="phi3", **ints):
    """tensors: name -> array, or (bytes array, raw type)."""
    w = gguf.GGUFWriter(str(path), arch)
    for key, value in ints.items():
        w.add_uint32(f"{arch}.{key.replace('__', '.')}", value)
    for name, t in tensors.items():
        if isinstance(t, tuple):
            w.add_tensor(name, t[0], raw_dtype=t[1])
        else:
            w.add_tensor(name, t)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return path


def tensors_of(path):
    return {t.name: t for t in gguf.GGUFReader(str(path)).tensors}


def types_of(path):
    return {name: t.tensor_type.name for name, t in tensors_of(path).items()}


def metadata_of(path):
    return {k: f.contents() for k, f in gguf.GGUFReader(str(path)).fields.items() if not k.startswith("GGUF.")}


def write_imatrix(path, entries, chunks=7):
    """entries: weight name -> values [n_matrices, columns]."""
    w = gguf.GGUFWriter(str(path), "unused")
    w.add_string("general.type", "imatrix")
    w.add_array("imatrix.datasets", ["some-text.txt"])
    w.add_uint32("imatrix.chunk_count", chunks)
    w.add_uint32("imatrix.chunk_size", 512)
    for name, values in entries.items():
        values = np.atleast_2d(values).astype(np.float32)
        w.add_tensor(name + ".in_sum2", values * 2)
        w.add_tensor(name + ".counts", np.full((values.shape[0], 1), 2, np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return path


def dequantize(t):
    return gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64)


@pytest.fixture(scope="module")
def vectors():
    return np.load(need_shared("data", "quant", "reference-vectors.npz"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two layers, 256 wide, F32: a whole model's set of names, quick to quantize."""
    rng = np.random.default_rng(3)
    matrix = lambda rows, cols: (rng.standard_normal((rows, cols)) * 0.05).astype(np.float32)
    tensors = {"token_embd.weight": matrix(512, 256), "output_norm.weight": np.ones(256, np.float32), "output.weight": matrix(512, 256)}
    for i in range(2):
        tensors |= {f"blk.{i}.attn_norm.weight": np.ones(256, np.float32), f"blk.{i}.attn_qkv.weight": matrix(768, 256),
                    f"blk.{i}.attn_output.weight": matrix(256, 256), f"blk.{i}.ffn_up.weight": matrix(1024, 256),
                    f"blk.{i}.ffn_down.weight": matrix(256, 512)}
    return write_gguf(tmp_path_factory.mktemp("quantize") / "small.gguf", tensors, block_count=2, attention__head_count=4,
                      attention__head_count_kv=4, embedding_length=256)


# --- numbers ---


@pytest.mark.parametrize("name", [*PURE_MIX, "BF16"])
def test_decoding_is_the_reference_bit_for_bit(name, vectors, tmp_path):
    raw = vectors[f"{name}.importance.bytes"]
    source = write_gguf(tmp_path / "in.gguf", {"blk.0.ffn_up.weight": (raw, TYPE[name])})
    run("quantize", "--allow-requantize", source, tmp_path / "out.gguf", "F32")
    got = tensors_of(tmp_path / "out.gguf")["blk.0.ffn_up.weight"].data
    assert np.array_equal(got.view(np.uint32), vectors[f"{name}.dequantized"].view(np.uint32))


@pytest.mark.parametrize("name", PURE_MIX)
@pytest.mark.parametrize("weighting", ["plain", "importance"])
def test_error_is_at_most_the_references(name, weighting, vectors, tmp_path):
    x, w = vectors["input"], vectors["importance"].astype(np.float64)
    source = write_gguf(tmp_path / "in.gguf", {"blk.0.ffn_up.weight": x})
    flags = []
    if weighting == "importance":
        flags = ["--imatrix", write_imatrix(tmp_path / "imatrix.gguf", {"blk.0.ffn_up.weight": w})]
    else:
        w = np.ones_like(w)
    run("quantize", "--pure", *flags, source, tmp_path / "out.gguf", PURE_MIX[name])
    ours = tensors_of(tmp_path / "out.gguf")["blk.0.ffn_up.weight"]
    assert ours.tensor_type.name == name
    reference = gguf.quants.dequantize(vectors[f"{name}.{weighting}.bytes"], TYPE[name]).astype(np.float64)
    error = lambda y: float((w * (y - x) ** 2).sum())
    relative = lambda y: float(((w * (y - x) ** 2).sum(1)[[0, 1, 5, 6, 7]] / (w * x.astype(np.float64) ** 2).sum(1)[[0, 1, 5, 6, 7]]).sum())
    assert error(dequantize(ours)) <= error(reference)
    assert relative(dequantize(ours)) <= relative(reference)  # small rows count as much as large ones


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_change_bytes(threads, small, tmp_path):
    run("quantize", small, tmp_path / "a.gguf", "Q4_K_M", 2)
    run("quantize", small, tmp_path / "b.gguf", "Q4_K_M", threads)
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


@pytest.mark.parametrize("mix", ["q4_k_m", "q8_0", "q3_k_l"])
def test_one_pass_conversion_gives_the_same_tensors(mix, models, tmp_path):
    direct = models(mix)
    run("quantize", models("f32"), tmp_path / "two.gguf", mix)
    a, b = tensors_of(direct), tensors_of(tmp_path / "two.gguf")
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].tensor_type == b[name].tensor_type, name
        assert np.array_equal(np.asarray(a[name].data).view(np.uint8), np.asarray(b[name].data).view(np.uint8)), name


def test_f16_and_bf16_round_to_nearest(tmp_path):
    x = np.random.default_rng(1).standard_normal((4, 256)).astype(np.float32)
    source = write_gguf(tmp_path / "in.gguf", {"blk.0.ffn_up.weight": x})
    run("quantize", source, tmp_path / "f16.gguf", "f16")
    assert np.array_equal(tensors_of(tmp_path / "f16.gguf")["blk.0.ffn_up.weight"].data.view(np.uint16), x.astype(np.float16).view(np.uint16))
    run("quantize", source, tmp_path / "bf16.gguf", 32)
    want = gguf.quants.quantize(x, TYPE.BF16)
    assert np.array_equal(tensors_of(tmp_path / "bf16.gguf")["blk.0.ffn_up.weight"].data.view(np.uint8), want.view(np.uint8))


# --- mixes ---


def peer_types(source, ftypes):
    """ftype -> tensor -> type, from the dry run of llama.cpp's quantizer."""
    pytest.importorskip("llama_cpp")
    script = os.path.join(os.path.dirname(__file__), "quantize_peer.py")
    p = subprocess.run([sys.executable, script, str(source), "/nonexistent/out.gguf", ",".join(map(str, ftypes)), "dry"],
                       capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    types = {}
    for line in p.stdout.splitlines():
        ftype, name, dtype = line.split()
        types.setdefault(int(ftype), {})[name] = dtype
    return types


def own_types(source, *args):
    """By --dry-run, from the lines per tensor."""
    out = run("quantize", "--dry-run", *args)
    types = {}
    for line in (out.stdout + out.stderr).splitlines():
        if line.startswith("["):
            name, rest = line.split("] ", 1)[1].split(None, 1)
            left = rest.split("] ", 1)[1].split(",")[0].split()
            types[name] = left[-1]
    assert types.keys() == types_of(source).keys()
    return types


def test_types_are_llama_cpps_on_the_embedded_model(models):
    for source, mixes in ((models("f16"), {m: f for m, f in MIXES.items() if m not in ("F16", "BF16")}),
                          (models("f32"), {"F16": MIXES["F16"], "BF16": MIXES["BF16"]})):
        want = peer_types(source, mixes.values())
        for mix, ftype in mixes.items():
            assert own_types(source, source, mix) == want[ftype], mix


def shape_only(path, arch, n_layers, heads, kv_heads, experts=0, tied=False, width=256, extra=()):
    """A model of small zero matrices with the names of an architecture of separate q, k, v."""
    zeros = lambda *shape: np.zeros(shape, np.float16)
    t = {"token_embd.weight": zeros(64, width), "output_norm.weight": np.ones(width, np.float32)}
    if not tied:
        t["output.weight"] = zeros(64, width)
    for i in range(n_layers):
        b = f"blk.{i}."
        t |= {b + "attn_norm.weight": np.ones(width, np.float32), b + "attn_q.weight": zeros(width, width), b + "attn_k.weight": zeros(32, width),
              b + "attn_v.weight": zeros(32, width), b + "attn_output.weight": zeros(width, width), b + "ffn_norm.weight": np.ones(width, np.float32)}
        if experts:
            t |= {b + "ffn_gate_inp.weight": np.zeros((experts, width), np.float32)}
            for part in ("gate", "up", "down"):
                t[f"{b}ffn_{part}_exps.weight"] = zeros(experts, 32 if part != "down" else width, width if part != "down" else 256)
        else:
            t |= {b + "ffn_gate.weight": zeros(256, width), b + "ffn_up.weight": zeros(256, width), b + "ffn_down.weight": zeros(width, 256)}
    t |= {name: zeros(64, width) for name in extra}
    ints = dict(block_count=n_layers, attention__head_count=heads, attention__head_count_kv=kv_heads, embedding_length=width,
                context_length=128, feed_forward_length=256)
    if experts:
        ints |= dict(expert_count=experts, expert_used_count=2)
    w = write_gguf(path, t, arch, **ints)
    return w


def with_float(path, out, key, value):
    """The same file with one float key more (gguf's writer above takes integers)."""
    reader = gguf.GGUFReader(str(path))
    arch = reader.fields["general.architecture"].contents()
    w = gguf.GGUFWriter(str(out), arch)
    for k, f in reader.fields.items():
        if not k.startswith("GGUF.") and k != "general.architecture":
            w.add_uint32(k, f.contents())
    w.add_float32(key, value)
    for t in reader.tensors:
        w.add_tensor(t.name, np.asarray(t.data), raw_dtype=t.tensor_type)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return out


SHAPES = {
    "32 layers, no groups": dict(n_layers=32, heads=8, kv_heads=8),
    "40 layers, groups of 4, tied": dict(n_layers=40, heads=8, kv_heads=2, tied=True),
    "80 layers, groups of 8": dict(n_layers=80, heads=8, kv_heads=1),
    "8 experts": dict(n_layers=16, heads=8, kv_heads=2, experts=8),
    "16 experts": dict(n_layers=16, heads=8, kv_heads=2, experts=16),
    "odd width": dict(n_layers=8, heads=8, kv_heads=8, width=288),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_types_are_llama_cpps_on_other_shapes(shape, tmp_path):
    plain = shape_only(tmp_path / "plain.gguf", "llama", **SHAPES[shape])
    source = with_float(plain, tmp_path / "in.gguf", "llama.attention.layer_norm_rms_epsilon", 1e-5)
    want = peer_types(source, MIXES.values())
    for mix, ftype in MIXES.items():
        assert own_types(source, source, mix) == want[ftype], mix


def test_names_numbers_and_aliases(small):
    want = own_types(small, small, "Q4_K_M")
    for alias in ("q4_k_m", "Q4_K", "q4_k", "15"):
        assert own_types(small, small, alias) == want
    assert own_types(small, small, "Q3_K") == own_types(small, small, "12")


# --- flags ---


def test_type_flags(small, tmp_path):
    out = tmp_path / "out.gguf"

    def types(*flags, mix="Q4_K_M"):
        run("quantize", *flags, small, out, mix)
        return types_of(out)

    mixed = types()
    assert mixed["output.weight"] == "Q6_K" and mixed["token_embd.weight"] == "Q4_K" and mixed["output_norm.weight"] == "F32"
    assert {v for k, v in types("--pure").items() if "norm" not in k} == {"Q4_K"}
    assert types("--leave-output-tensor")["output.weight"] == "F32"
    assert types("--output-tensor-type", "q8_0")["output.weight"] == "Q8_0"
    assert types("--token-embedding-type", "Q5_K")["token_embd.weight"] == "Q5_K"
    chosen = types("--tensor-type", r"blk\.\d+\.ffn_down=q8_0", "--tensor-type", "ffn=q5_0", "--tensor-type", "^blk.1.attn_(qkv|output)=F16")
    assert chosen["blk.0.ffn_down.weight"] == "Q8_0" and chosen["blk.1.ffn_up.weight"] == "Q5_0"  # the first match counts
    assert chosen["blk.1.attn_qkv.weight"] == "F16" and chosen["blk.0.attn_qkv.weight"] == mixed["blk.0.attn_qkv.weight"]
    assert chosen["output.weight"] == "Q6_K"


def test_copy_keeps_every_tensor(small, tmp_path):
    run("quantize", small, tmp_path / "out.gguf", "copy")
    a, b = tensors_of(small), tensors_of(tmp_path / "out.gguf")
    assert a.keys() == b.keys() and all(np.array_equal(a[n].data, b[n].data) for n in a)
    assert metadata_of(small) == metadata_of(tmp_path / "out.gguf")


def test_metadata(small, tmp_path):
    weights = {"blk.0.ffn_up.weight": np.linspace(0.1, 2, 256), "blk.1.ffn_up.weight": np.ones(256)}
    imatrix = write_imatrix(tmp_path / "imatrix.gguf", weights)
    run("quantize", "--imatrix", imatrix, "--override-kv", "general.name=str:renamed", "--override-kv", "phi3.block_count=int:2", small,
        tmp_path / "out.gguf", "Q5_K_S")
    m = metadata_of(tmp_path / "out.gguf")
    assert m["general.quantization_version"] == 2 and m["general.file_type"] == 16 and m["general.name"] == "renamed"
    assert m["quantize.imatrix.file"] == str(imatrix) and m["quantize.imatrix.dataset"] == "some-text.txt"
    assert m["quantize.imatrix.entries_count"] == 2 and m["quantize.imatrix.chunks_count"] == 7


def test_importance_files(small, tmp_path):
    """Both formats give the same bytes; filters take entries away; experts have their own importance."""
    values = np.random.default_rng(2).gamma(0.5, 1, 256).astype(np.float32)
    name = "blk.0.ffn_up.weight"
    write_imatrix(tmp_path / "new.gguf", {name: values})
    with open(tmp_path / "old.dat", "wb") as f:
        f.write(struct.pack("<i", 1) + struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 4, 256) + (values * 4).tobytes())
        f.write(struct.pack("<ii", 9, 5) + b"a.txt")
    data = {}
    for key, flags in {"none": [], "new": ["--imatrix", tmp_path / "new.gguf"], "old": ["--imatrix", tmp_path / "old.dat"],
                       "excluded": ["--imatrix", tmp_path / "new.gguf", "--exclude-weights", "ffn_up"],
                       "included": ["--imatrix", tmp_path / "new.gguf", "--include-weights", "blk.0"]}.items():
        run("quantize", *flags, small, tmp_path / f"{key}.out", "Q4_K_S")
        data[key] = np.asarray(tensors_of(tmp_path / f"{key}.out")[name].data)
    assert np.array_equal(data["new"], data["old"]) and np.array_equal(data["new"], data["included"])
    assert not np.array_equal(data["new"], data["none"]) and np.array_equal(data["excluded"], data["none"])

    rng = np.random.default_rng(4)
    experts, weights = rng.standard_normal((3, 64, 256)).astype(np.float32), rng.gamma(0.5, 1, (3, 256)).astype(np.float32)
    stacked = write_gguf(tmp_path / "experts.gguf", {"blk.0.ffn_up_exps.weight": experts}, block_count=1)
    run("quantize", "--pure", "--imatrix", write_imatrix(tmp_path / "e.imatrix", {"blk.0.ffn_up_exps.weight": weights}), stacked,
        tmp_path / "e.gguf", "Q4_K_S")
    together = np.asarray(tensors_of(tmp_path / "e.gguf")["blk.0.ffn_up_exps.weight"].data).reshape(3, 64, -1)
    for i in range(3):
        one = write_gguf(tmp_path / "one.gguf", {"blk.0.ffn_up.weight": experts[i]}, block_count=1)
        run("quantize", "--pure", "--imatrix", write_imatrix(tmp_path / "1.imatrix", {"blk.0.ffn_up.weight": weights[i]}), one,
            tmp_path / "one.out", "Q4_K_S")
        assert np.array_equal(np.asarray(tensors_of(tmp_path / "one.out")["blk.0.ffn_up.weight"].data), together[i])


def test_dry_run_writes_nothing_and_knows_the_size(small, tmp_path):
    out = run("quantize", "--dry-run", small, tmp_path / "out.gguf", "Q4_K_M")
    assert not (tmp_path / "out.gguf").exists()
    run("quantize", small, tmp_path / "out.gguf", "Q4_K_M")
    size = (tmp_path / "out.gguf").stat().st_size
    assert f"-> {size / 2**20:.2f} MiB" in out.stdout or f"-> {size / 2**10:.2f} KiB" in out.stdout


def test_default_output_name(small, tmp_path):
    source = tmp_path / "in.gguf"
    source.write_bytes(small.read_bytes())
    run("quantize", source, "q6_k")
    assert (tmp_path / "ggml-model-Q6_K.gguf").exists()


def test_split_models(models, tmp_path):
    run("convert", TINY,
        "-o", tmp_path / "in.gguf", "--outtype", "f16", "--split-max-tensors", "20")
    shards = sorted(tmp_path.glob("in-*-of-*.gguf"))
    assert len(shards) == 3
    run("quantize", shards[0], tmp_path / "one.gguf", "Q4_K_M")
    run("quantize", "--keep-split", shards[0], tmp_path / "many.gguf", "Q4_K_M")
    many = sorted(tmp_path.glob("many-*-of-*.gguf"))
    assert len(many) == 3 and not any(k.startswith("split.") for k in metadata_of(tmp_path / "one.gguf"))
    for a, b in zip(shards, many):
        assert tensors_of(a).keys() == tensors_of(b).keys()
    merged = {}
    for path in many:
        merged |= tensors_of(path)
    one = tensors_of(tmp_path / "one.gguf")
    assert merged.keys() == one.keys() and all(np.array_equal(merged[n].data, one[n].data) for n in one)


# --- refusals ---


def refused(*args, word):
    p = run(*args, check=False)
    assert p.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT), p.stdout
    assert word in p.stderr, p.stderr


def test_output_over_the_input_is_refused(small, tmp_path):
    source = tmp_path / "in.gguf"
    source.write_bytes(small.read_bytes())
    os.symlink(source, tmp_path / "symlink.gguf")
    os.link(source, tmp_path / "hardlink.gguf")
    before = source.read_bytes()
    for out in ("in.gguf", "symlink.gguf", "hardlink.gguf"):
        refused("quantize", source, tmp_path / out, "Q4_0", word="input")
    assert source.read_bytes() == before


def test_quantizing_twice_needs_the_flag(small, tmp_path):
    run("quantize", small, tmp_path / "q8.gguf", "Q8_0")
    refused("quantize", tmp_path / "q8.gguf", tmp_path / "out.gguf", "Q4_K_M", word="--allow-requantize")
    assert not (tmp_path / "out.gguf").exists()
    run("quantize", "--allow-requantize", tmp_path / "q8.gguf", tmp_path / "out.gguf", "Q4_K_M")
    assert types_of(tmp_path / "out.gguf")["blk.0.ffn_up.weight"] == "Q4_K"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("mix", ["Q4_K_M", "Q8_0", "F16"])
def test_values_that_are_not_numbers(value, mix, tmp_path):
    x = np.ones((64, 512), np.float32)
    x[40, 17] = value
    source = write_gguf(tmp_path / "in.gguf", {"blk.0.ffn_up.weight": x})
    refused("quantize", source, tmp_path / "out.gguf", mix, word="blk.0.ffn_up.weight")
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("mix", [*PURE_MIX.values()])
def test_extreme_values_stay_finite(mix, tmp_path):
    largest = np.finfo(np.float32).max
    x = np.zeros((6, 512), np.float32)
    x[1], x[2], x[3] = 1e-40, largest, -largest
    x[4, ::2] = largest
    x[5] = 1 + np.arange(512) * np.finfo(np.float32).eps
    source = write_gguf(tmp_path / "in.gguf", {"blk.0.ffn_up.weight": x})
    run("quantize", "--pure", source, tmp_path / "out.gguf", mix)
    y = dequantize(tensors_of(tmp_path / "out.gguf")["blk.0.ffn_up.weight"])
    assert np.isfinite(y).all() and not y[0].any() and np.allclose(y[5], 1, atol=0.02)


def test_wrong_arguments(small, tmp_path):
    out = tmp_path / "out.gguf"
    refused("quantize", small, out, "Q4_K_X", word="Q4_K_X")
    refused("quantize", "--tensor-type", "ffn_(=q8_0", small, out, "Q4_K_M", word="regular expression")
    refused("quantize", "--tensor-type", "ffn=q9_9", small, out, "Q4_K_M", word="q9_9")
    refused("quantize", "--output-tensor-type", "i32", small, out, "Q4_K_M", word="i32")
    refused("quantize", "--override-kv", "nonsense", small, out, "Q4_K_M", word="nonsense")
    refused("quantize", small, out, "Q2_K_S", word="--imatrix")
    refused("quantize", "--imatrix", small, small, out, "Q4_K_M", word="importance")
    refused("quantize", tmp_path / "absent.gguf", out, "Q4_K_M", word="absent.gguf")
    wrong = write_imatrix(tmp_path / "wrong.gguf", {"blk.0.ffn_up.weight": np.ones(255)})
    refused("quantize", "--imatrix", wrong, small, out, "Q4_K_M", word="blk.0.ffn_up.weight")
    bad = write_imatrix(tmp_path / "bad.gguf", {"blk.0.ffn_up.weight": np.full(256, np.nan)})
    refused("quantize", "--imatrix", bad, small, out, "Q4_K_M", word="blk.0.ffn_up.weight")
    for n in (0, 3, 4, 9, 40):
        (tmp_path / "cut.dat").write_bytes((struct.pack("<ii", 1, 4) + b"name" + struct.pack("<ii", 1, 256) + bytes(100))[:n])
        refused("quantize", "--imatrix", tmp_path / "cut.dat", small, out, "Q4_K_M", word="cut.dat")
    assert not out.exists()


# --- kills ---


def test_a_killed_run_leaves_the_old_file_or_the_new_one(models, tmp_path):
    source, out = models("f16"), tmp_path / "out.gguf"
    run("quantize", source, tmp_path / "new.gguf", "Q4_K_M", 1)
    start = time.monotonic()
    run("quantize", source, tmp_path / "timed.gguf", "Q4_K_M", 1)
    duration = time.monotonic() - start
    new, old = (tmp_path / "new.gguf").read_bytes(), b"the old file"
    rng, seen = random.Random(1), set()
    for _ in range(30):
        out.write_bytes(old)
        p = subprocess.Popen([str(PHIAL), "quantize", str(source), str(out), "Q4_K_M", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, 1.2 * duration))
        p.kill()
        p.wait()
        content = out.read_bytes()
        assert content in (old, new)
        seen.add(content == new)
    assert False in seen  # some were killed in time
    run("quantize", source, out, "Q4_K_M", 1)  # what a killed run left does not hinder the next
    assert out.read_bytes() == new
