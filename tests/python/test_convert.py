"""Conversion as a black box: values against the checkpoint, metadata against what llama.cpp and the gguf package read."""
import json
import os
import random
import shutil
import signal
import subprocess
import time

import gguf
import numpy as np
import pytest
import tokenizers

from checkpoints import bf16, copy_folder, read_safetensors, sparse_checkpoint, values, write_safetensors
from conftest import PHIAL, ROOT, TINY, run

FIXTURES = ROOT / "tests" / "fixtures" / "models"
ALL = ["phi3-plain", "phi3-partial", "phi3-longrope", "phi3-window", "llama3", "llama-linear", "mistral", "qwen2", "qwen3"]
LLAMA_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "self_attn.qkv_proj": "attn_qkv",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}


def folder(name):
    return TINY if name == "phial-tiny" else FIXTURES / name


def gguf_name(hf):
    if not hf.startswith("model.layers."):
        return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
                "lm_head.weight": "output.weight"}[hf]
    _, _, layer, rest = hf.split(".", 3)
    stem, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{LLAMA_NAMES[stem]}.{kind}"


def interleaved(array, head_dim):
    """Rows of each head from (first halves, second halves) to neighbouring pairs."""
    return array.reshape(-1, 2, head_dim // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def floats(tensor):
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(list(reversed([int(n) for n in tensor.shape])))


def tensors(path):
    return {t.name: t for t in gguf.GGUFReader(path).tensors}


def field(reader, key):
    return reader.fields[key].contents()


def error_of(*args, code, exit_code=2):
    p = run(*args, check=False)
    assert p.returncode == exit_code, p.stderr
    assert f"error[{code}]" in p.stderr, p.stderr
    return p.stderr


@pytest.mark.parametrize("name", [*ALL, "phial-tiny"])
def test_every_value_is_the_checkpoints(name, tmp_path):
    out = tmp_path / "x.gguf"
    run("convert", folder(name), "-o", out, "--outtype", "f32")
    config = json.loads((folder(name) / "config.json").read_text())
    written = tensors(out)
    source = read_safetensors(folder(name) / "model.safetensors")
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    names = set()
    for hf, tensor in source.items():
        want = values(tensor)
        if config["architectures"][0] in ("LlamaForCausalLM", "MistralForCausalLM") and ("q_proj" in hf or "k_proj" in hf):
            want = interleaved(want, head_dim)
        names.add(gguf_name(hf))
        np.testing.assert_array_equal(floats(written[gguf_name(hf)]), want, err_msg=hf)
    made = set(written) - names
    assert made == ({"rope_factors_long.weight", "rope_factors_short.weight"} if name in ("phi3-longrope", "phial-tiny") else
                    {"rope_freqs.weight"} if name == "llama3" else set())
    if name == "phial-tiny":
        scaling = config["rope_scaling"]
        np.testing.assert_array_equal(floats(written["rope_factors_long.weight"]), np.float32(scaling["long_factor"]))
        np.testing.assert_array_equal(floats(written["rope_factors_short.weight"]), np.float32(scaling["short_factor"]))
    if name == "llama3":
        import torch
        from transformers import AutoConfig
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
        c = AutoConfig.from_pretrained(folder(name))
        inv, _ = ROPE_INIT_FUNCTIONS["llama3"](c, "cpu")
        plain = 1 / 500000.0 ** (torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
        np.testing.assert_allclose(floats(written["rope_freqs.weight"]), (plain / inv.double()).numpy(), rtol=1e-6)


def test_metadata_keys_and_types_are_llama_cpps(tmp_path):
    out = tmp_path / "x.gguf"
    run("convert", TINY, "-o", out)
    r = gguf.GGUFReader(out)
    u32, f32, text = gguf.GGUFValueType.UINT32, gguf.GGUFValueType.FLOAT32, gguf.GGUFValueType.STRING
    expected = {
        "general.architecture": (text, "phi3"), "general.type": (text, "model"), "general.name": (text, "phial-tiny"),
        "general.size_label": (text, "8.9M"), "general.quantization_version": (u32, 2),
        "general.file_type": (u32, int(gguf.LlamaFileType.MOSTLY_BF16)), "phi3.context_length": (u32, 2048),
        "phi3.rope.scaling.original_context_length": (u32, 512), "phi3.embedding_length": (u32, 256),
        "phi3.feed_forward_length": (u32, 768), "phi3.block_count": (u32, 8), "phi3.attention.head_count": (u32, 4),
        "phi3.attention.head_count_kv": (u32, 4), "phi3.attention.layer_norm_rms_epsilon": (f32, pytest.approx(1e-5)),
        "phi3.rope.dimension_count": (u32, 64), "phi3.rope.freq_base": (f32, 10000.0), "phi3.attention.sliding_window": (u32, 0),
        "phi3.rope.scaling.attn_factor": (f32, pytest.approx((1 + np.log(4) / np.log(512)) ** 0.5)),
        "tokenizer.ggml.model": (text, "llama"),
    }
    for key, (kind, value) in expected.items():
        assert r.fields[key].types == [kind], key
        assert field(r, key) == value, key
    for t in r.tensors:
        want = gguf.GGMLQuantizationType.F32 if len(t.shape) == 1 else gguf.GGMLQuantizationType.BF16
        assert t.tensor_type == want, t.name


def as_another_maker(path, out):
    """The file again by the gguf package: no key of ours, none that has a default, tensors in another order."""
    r = gguf.GGUFReader(path)
    a = field(r, "general.architecture")
    w = gguf.GGUFWriter(out, a)
    hidden, heads = field(r, f"{a}.embedding_length"), field(r, f"{a}.attention.head_count")
    drop = {"general.architecture", f"{a}.vocab_size", f"{a}.rope.dimension_count", "general.type", "general.size_label"}
    if a == "phi3":
        drop -= {f"{a}.rope.dimension_count"}
        drop |= {f"{a}.rope.scaling.type"}
    if field(r, f"{a}.attention.key_length") * heads == hidden:
        drop |= {f"{a}.attention.key_length", f"{a}.attention.value_length"}
    if field(r, f"{a}.attention.head_count_kv") == heads:
        drop |= {f"{a}.attention.head_count_kv"}
    for key, f in r.fields.items():
        if key in drop or key.startswith(("GGUF.", "phial.")):
            continue
        if f.types[0] == gguf.GGUFValueType.ARRAY:
            w.add_array(key, f.contents())
        else:
            w.add_key_value(key, f.contents(), f.types[0])
    for t in reversed(r.tensors):
        w.add_tensor(t.name, t.data, raw_dtype=t.tensor_type)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


@pytest.mark.parametrize("name", ALL)
def test_files_of_other_makers_load(name, tmp_path):
    from safetensors.numpy import load_file
    expected = load_file(FIXTURES / name / "expected.safetensors")
    case = sorted(k for k in expected if k.startswith("tokens."))[-1]
    run("convert", FIXTURES / name, "-o", tmp_path / "ours.gguf", "--outtype", "f32")
    as_another_maker(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")
    ids = ",".join(str(i) for i in expected[case].tolist())
    for file in ("ours", "theirs"):
        run("logits", "-m", tmp_path / f"{file}.gguf", "--tokens", ids, "-o", tmp_path / f"{file}.npy")
    ours, want = np.load(tmp_path / "ours.npy"), expected[case.replace("tokens", "logits")]
    assert (((ours - want) ** 2).sum(axis=1) / (want ** 2).sum(axis=1)).max() < 1e-8
    np.testing.assert_array_equal(np.load(tmp_path / "theirs.npy"), ours)


# llama.cpp ignores the sliding windows of Phi-3 and Mistral, and takes long factors by the size of its context.
@pytest.mark.parametrize("name, case, n", [("phi3-plain", "24", 24), ("phi3-partial", "24", 24), ("phi3-longrope", "48", 48),
                                           ("phi3-window", "40", 9), ("llama3", "24", 24), ("llama-linear", "24", 24),
                                           ("mistral", "40", 12), ("qwen2", "24", 24), ("qwen3", "24", 24)])
def test_llama_cpp_computes_the_same(name, case, n, tmp_path):
    llama_cpp = pytest.importorskip("llama_cpp")
    from safetensors.numpy import load_file
    out = tmp_path / "x.gguf"
    # A name with "phi3" in it makes llama.cpp look for Phi-3's own special tokens, which the fixtures lack.
    run("convert", FIXTURES / name, "-o", out, "--outtype", "f32", "--model-name", "fixture")
    expected = load_file(FIXTURES / name / "expected.safetensors")
    ids = expected[f"tokens.{case}"].astype(int).tolist()
    model = llama_cpp.Llama(str(out), n_ctx=256, logits_all=True, verbose=False, n_threads=1, type_k=0, type_v=0, flash_attn=False)
    model.eval(ids)
    got, want = np.array(model._scores[:n]), expected[f"logits.{case}"][:n]
    error = ((got - want) ** 2).sum(axis=1) / (want ** 2).sum(axis=1)
    assert error.max() < 1e-8, error


@pytest.mark.parametrize("outtype", ["f16", "bf16", "q8_0", "q4_k_m"])
def test_llama_cpp_answers_from_our_file(outtype, models):
    llama_cpp = pytest.importorskip("llama_cpp")
    model = llama_cpp.Llama(str(models(outtype)), n_ctx=512, verbose=False, n_threads=1)
    # Hugging Face's ids: llama.cpp drops the white space after Phi-3's special tokens only for models named so.
    ids = tokenizers.Tokenizer.from_file(str(TINY / "tokenizer.json")).encode("<|user|>\nCan you introduce .NET<|end|>\n<|assistant|>\n").ids
    answer = model(ids, max_tokens=24, temperature=0)["choices"][0]["text"]
    assert answer.lstrip().startswith(".NET is a free, open-source platform from Microsoft"), answer


@pytest.mark.parametrize("mix", ["q4_k_m", "q2_k", "q3_k_l", "q5_1", "q6_k", "q8_0"])
def test_one_pass_equals_two(mix, models, tmp_path):
    """Straight to the mix, and by way of F32 and `phial quantize`: the same bytes."""
    two = tmp_path / "two.gguf"
    run("quantize", models("f32"), two, mix)
    a, b = tensors(models(mix)), tensors(two)
    assert list(a) == list(b)
    for name in a:
        assert a[name].tensor_type == b[name].tensor_type, name
        assert a[name].data.tobytes() == b[name].data.tobytes(), name


def test_threads_do_not_change_the_file(models, tmp_path):
    for threads in (1, 3):
        run("convert", TINY, "-o", tmp_path / f"{threads}.gguf", "--outtype", "q4_k_m", "-t", threads)
    assert (tmp_path / "1.gguf").read_bytes() == (tmp_path / "3.gguf").read_bytes()


def test_dtype_rule(tmp_path):
    """auto follows the first matrix; rows that are not whole blocks fall back."""
    for name, outtype, want in [("phial-tiny", "auto", "BF16"), ("phi3-plain", "q8_0", "Q8_0"), ("phi3-plain", "q4_k_m", "Q5_0")]:
        out = tmp_path / "x.gguf"
        run("convert", folder(name), "-o", out, "--outtype", outtype)
        assert tensors(out)["blk.0.attn_qkv.weight"].tensor_type.name == want
    half = {k: ("F16", s[1], values(s).astype(np.float16).tobytes()) for k, s in read_safetensors(FIXTURES / "qwen3/model.safetensors").items()}
    run("convert", copy_folder(FIXTURES / "qwen3", tmp_path / "half", half), "-o", tmp_path / "x.gguf")
    written = tensors(tmp_path / "x.gguf")
    assert written["token_embd.weight"].tensor_type.name == "F16"
    assert written["blk.0.attn_q_norm.weight"].tensor_type.name == "F32"


def test_attention_bias_is_permuted_too(tmp_path):
    source = read_safetensors(FIXTURES / "llama-linear/model.safetensors")
    rng = np.random.default_rng(5)
    for i in range(2):
        for p in "qkvo":
            bias = rng.integers(-100, 100, 64).astype(np.float32) / 64
            source[f"model.layers.{i}.self_attn.{p}_proj.bias"] = ("BF16", [64], bf16(bias))
    run("convert", copy_folder(FIXTURES / "llama-linear", tmp_path / "in", source, {"attention_bias": True}), "-o", tmp_path / "x.gguf",
        "--outtype", "f32")
    written = tensors(tmp_path / "x.gguf")
    q = values(source["model.layers.1.self_attn.q_proj.bias"])
    np.testing.assert_array_equal(floats(written["blk.1.attn_q.bias"]), interleaved(q, 16))
    assert not np.array_equal(interleaved(q, 16), q)
    np.testing.assert_array_equal(floats(written["blk.0.attn_output.bias"]), values(source["model.layers.0.self_attn.o_proj.bias"]))


def test_values_too_large_or_not_finite(tmp_path):
    source = read_safetensors(FIXTURES / "phi3-plain/model.safetensors")
    key = "model.layers.1.mlp.down_proj.weight"

    def with_value(name, value):
        w = values(source[key]).copy()
        w[3, 5] = value
        return copy_folder(FIXTURES / "phi3-plain", tmp_path / name, source | {key: ("BF16", w.shape, bf16(w))})

    out = tmp_path / "x.gguf"
    large = with_value("large", 2.0 ** 17)
    assert "down_proj" in error_of("convert", large, "-o", out, "--outtype", "f16", code="ARGUMENT")
    assert not out.exists()
    run("convert", large, "-o", out, "--outtype", "bf16")
    nan = with_value("nan", float("nan"))
    assert "down_proj" in error_of("convert", nan, "-o", tmp_path / "y.gguf", "--outtype", "q8_0", code="NAN")
    assert not (tmp_path / "y.gguf").exists()
    assert "down_proj" in run("convert", nan, "-o", out, "--outtype", "f32").stderr  # kept, with a warning
    assert np.isnan(floats(tensors(out)["blk.1.ffn_down.weight"])).sum() == 1


def test_what_is_refused(tmp_path):
    good = FIXTURES / "phi3-plain"
    source = read_safetensors(good / "model.safetensors")
    key = "model.layers.1.self_attn.o_proj.weight"
    n = [0]

    def refused(code, text, tensors=None, config=None, exit_code=2, change=None):
        n[0] += 1
        bad = copy_folder(good, tmp_path / str(n[0]), tensors, config)
        if change:
            change(bad)
        assert text in error_of("convert", bad, "-o", tmp_path / "never.gguf", code=code, exit_code=exit_code)
        assert not (tmp_path / "never.gguf").exists()

    refused("TENSOR", key, {k: v for k, v in source.items() if k != key})
    refused("TENSOR", "[64, 32]", source | {key: ("BF16", [64, 32], bytes(64 * 32 * 2))})
    refused("TENSOR", "I32", source | {key: ("I32", [64, 64], bytes(64 * 64 * 4))})
    refused("UNSUPPORTED", "F8_E4M3", source | {key: ("F8_E4M3", [64, 64], bytes(64 * 64))})
    refused("TENSOR", "embed_tokens", None, {"vocab_size": 289})
    refused("HPARAM", "num_hidden_layers", None, {"num_hidden_layers": 0})
    refused("HPARAM", "rms_norm_eps", None, {"rms_norm_eps": None})
    refused("UNSUPPORTED", "Phi3ForCausalLM, LlamaForCausalLM", None, {"architectures": ["GPT2LMHeadModel"]})
    refused("UNSUPPORTED", "architectures", None, {"architectures": None})
    refused("UNSUPPORTED", "gptq", None, {"quantization_config": {"quant_method": "gptq"}})
    refused("JSON", "config.json", change=lambda d: (d / "config.json").write_text("{"))
    refused("NOTFOUND", "config.json", change=lambda d: (d / "config.json").unlink())
    refused("NOTFOUND", "safetensors", change=lambda d: (d / "model.safetensors").unlink())
    refused("FORMAT", "pytorch_model.bin", change=lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"))
    refused("TRUNC", "model.safetensors", change=lambda d: os.truncate(d / "model.safetensors", 5000))
    error_of("convert", tmp_path / "absent", code="NOTFOUND")
    error_of("convert", good / "config.json", code="NOTFILE")


def test_output_may_not_be_an_input(tmp_path):
    work = copy_folder(FIXTURES / "qwen2", tmp_path / "in")
    before = (work / "model.safetensors").read_bytes()
    error_of("convert", work, "-o", work / "model.safetensors", code="ARGUMENT")
    assert (work / "model.safetensors").read_bytes() == before


def test_shards_in(tmp_path):
    source = read_safetensors(FIXTURES / "qwen2/model.safetensors")
    work = copy_folder(FIXTURES / "qwen2", tmp_path / "in")
    (work / "model.safetensors").unlink()
    names = list(source)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, keys in parts.items():
        write_safetensors(work / file, {k: source[k] for k in keys})
    index = {"weight_map": {k: f for f, keys in parts.items() for k in keys}}
    (work / "model.safetensors.index.json").write_text(json.dumps(index))
    run("convert", work, "-o", tmp_path / "a.gguf", "--outtype", "f16", "--model-name", "x")
    run("convert", FIXTURES / "qwen2", "-o", tmp_path / "b.gguf", "--outtype", "f16", "--model-name", "x")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    (work / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002" in error_of("convert", work, "-o", tmp_path / "c.gguf", code="NOTFOUND")


def test_extra_tensors(tmp_path):
    source = read_safetensors(FIXTURES / "phi3-plain/model.safetensors")
    extra = source | {"model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", [8], bytes(32)), "mtp.head.weight": ("BF16", [2], bytes(4))}
    p = run("convert", copy_folder(FIXTURES / "phi3-plain", tmp_path / "in", extra), "-o", tmp_path / "x.gguf")
    assert "mtp.head.weight" in p.stderr + p.stdout
    assert "inv_freq" not in p.stderr + p.stdout


def test_flags_of_the_known_script(tmp_path):
    listed = run("convert", "--print-supported-models").stdout.split()
    assert listed == ["Phi3ForCausalLM", "LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"]
    work = copy_folder(FIXTURES / "qwen3", tmp_path / "Own-Model-7B")
    before = sorted(os.listdir(work))
    p = run("convert", work, "--dry-run", "--outtype", "q8_0")
    assert "Own-Model-7B-Q8_0.gguf" in p.stdout and sorted(os.listdir(work)) == before
    run("convert", work, "--use-temp-file", "--no-lazy", "--verbose")
    assert "Own-Model-7B-BF16.gguf" in os.listdir(work)
    assert field(gguf.GGUFReader(work / "Own-Model-7B-BF16.gguf"), "general.name") == "Own-Model-7B"
    run("convert", work, "--outfile", tmp_path / "m-{ftype}-{FTYPE}.gguf", "--outtype", "f16", "--model-name", "Name")
    assert field(gguf.GGUFReader(tmp_path / "m-f16-F16.gguf"), "general.name") == "Name"
    for flag in (["--bigendian"], ["--remote"], ["--mmproj"], ["--outtype", "q4_k_x"], ["--split-max-size", "4"]):
        p = run("convert", work, *flag, check=False)
        assert p.returncode == 2 and (flag[0] in p.stderr or "q4_k_x" in p.stderr), p.stderr


def test_dry_run_knows_the_size(tmp_path):
    for outtype in ("f32", "q4_k_m"):
        out = tmp_path / f"{outtype}.gguf"
        said = run("convert", TINY, "--dry-run", "--outtype", outtype, "-o", out).stdout.split(": ")[1].split(",")[0]
        wrote = run("convert", TINY, "--outtype", outtype, "-o", out).stdout.split(": ")[1].split(",")[0]
        assert said == wrote


def test_vocab_only(tmp_path):
    llama_cpp = pytest.importorskip("llama_cpp")
    work = copy_folder(TINY, tmp_path / "in")
    (work / "model.safetensors").unlink()  # not needed
    run("convert", work, "--vocab-only", "-o", tmp_path / "v.gguf")
    assert len(gguf.GGUFReader(tmp_path / "v.gguf").tensors) == 0
    model = llama_cpp.Llama(str(tmp_path / "v.gguf"), vocab_only=True, verbose=False)
    assert model.n_vocab() == 4096
    assert model.tokenize(b"<|end|>", add_bos=False, special=True)[-1] == 4071


def test_shards_out(tmp_path):
    run("convert", TINY, "-o", tmp_path / "m.gguf", "--outtype", "f16", "--split-max-tensors", "20")
    assert sorted(os.listdir(tmp_path)) == [f"m-{i:05}-of-00003.gguf" for i in (1, 2, 3)]
    llama_cpp = pytest.importorskip("llama_cpp")
    model = llama_cpp.Llama(str(tmp_path / "m-00001-of-00003.gguf"), n_ctx=128, verbose=False, n_threads=1)
    assert model.n_vocab() == 4096
    run("convert", TINY, "-o", tmp_path / "s.gguf", "--outtype", "f16", "--split-max-size", "5M")
    parts = sorted(p for p in tmp_path.iterdir() if p.name.startswith("s-"))
    assert len(parts) == 4 and all(p.stat().st_size < 6_000_000 for p in parts)


def test_metadata_overrides(tmp_path):
    meta = tmp_path / "meta.json"
    meta.write_text(json.dumps({"general.name": "Mine", "general.author": "me", "general.tags": ["a", "b"], "phi3.context_length": 1024,
                                "general.size_label": None, "my.number": 3, "my.real": 0.5, "my.flag": True}))
    run("convert", TINY, "-o", tmp_path / "x.gguf", "--metadata", meta)
    r = gguf.GGUFReader(tmp_path / "x.gguf")
    assert [field(r, k) for k in ("general.name", "general.author", "general.tags", "phi3.context_length", "my.number", "my.real", "my.flag")] == [
        "Mine", "me", ["a", "b"], 1024, 3, 0.5, True]
    assert r.fields["phi3.context_length"].types == [gguf.GGUFValueType.UINT32]
    assert "general.size_label" not in r.fields
    for bad, code in [({"general.architecture": "llama"}, "ARGUMENT"), ({"phi3.context_length": "long"}, "ARGUMENT"),
                      ({"phi3.block_count": 0}, "HPARAM"), ([], "ARGUMENT"), ({"a": {}}, "ARGUMENT")]:
        meta.write_text(json.dumps(bad))
        error_of("convert", TINY, "-o", tmp_path / "y.gguf", "--metadata", meta, code=code)
        assert not (tmp_path / "y.gguf").exists()


def test_model_card(tmp_path):
    work = copy_folder(FIXTURES / "qwen3", tmp_path / "in")
    (work / "README.md").write_text("---\nlicense: apache-2.0\nlicense_link: https://x/y\nlanguage:\n- en\n- de\ntags: [chat, small]\n"
                                    "pipeline_tag: text-generation\nwidget:\n- text: hello\n---\n# license: other\n")
    run("convert", work, "-o", tmp_path / "x.gguf")
    r = gguf.GGUFReader(tmp_path / "x.gguf")
    assert field(r, "general.license") == "apache-2.0"
    assert field(r, "general.license.link") == "https://x/y"
    assert field(r, "general.languages") == ["en", "de"]
    assert field(r, "general.tags") == ["chat", "small", "text-generation"]


def test_launcher_without_a_build(tmp_path):
    shutil.copy(ROOT / "convert_hf_to_gguf.py", tmp_path)
    p = subprocess.run([str(tmp_path / "convert_hf_to_gguf.py"), "x"], capture_output=True, text=True)
    assert p.returncode == 1 and "make" in p.stderr
    (tmp_path / "phial").write_text("#!/bin/sh\nprintf '%s|' \"$@\"\n")
    (tmp_path / "phial").chmod(0o755)
    p = subprocess.run([str(tmp_path / "convert_hf_to_gguf.py"), "a b", "--outtype", "f16"], capture_output=True, text=True)
    assert p.stdout == "convert|a b|--outtype|f16|"


def test_a_killed_run_leaves_the_old_file_or_the_new_one(tmp_path):
    work = tmp_path / "in"
    sparse_checkpoint(work, FIXTURES / "llama-linear", layers=2, hidden=1024, ff=4096, vocab=16000, shard_bytes=60 << 20)
    out = tmp_path / "out" / "x.gguf"
    out.parent.mkdir()
    started = time.monotonic()
    run("convert", work, "-o", out, "--outtype", "q4_0")
    whole, seconds = out.read_bytes(), time.monotonic() - started
    rng, killed = random.Random(7), 0
    for old in [b"old"] * 6 + [None] * 6:
        out.unlink(missing_ok=True)
        if old:
            out.write_bytes(old)
        p = subprocess.Popen([str(PHIAL), "convert", str(work), "-o", str(out), "--outtype", "q4_0"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.1, 0.9) * seconds)
        p.send_signal(signal.SIGKILL)
        killed += p.wait() == -signal.SIGKILL
        assert (out.read_bytes() if out.exists() else None) in (old, whole)
        assert os.listdir(out.parent) in ([], [out.name])
    assert killed > 0


def test_an_interrupt_stops_and_leaves_nothing(tmp_path):
    work = tmp_path / "in"
    sparse_checkpoint(work, FIXTURES / "llama-linear", layers=4, hidden=1024, ff=4096, vocab=64000, shard_bytes=600 << 20)
    out = tmp_path / "out" / "x.gguf"
    out.parent.mkdir()
    p = subprocess.Popen([str(PHIAL), "convert", str(work), "-o", str(out), "--outtype", "q4_k_m", "-t", "1", "-v"], stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True)
    assert p.stderr.readline()  # the first tensor is done
    p.send_signal(signal.SIGINT)
    text = p.stderr.read()
    assert p.wait(timeout=60) == 130, text
    assert "CANCELLED" in text
    assert os.listdir(out.parent) == []


def test_memory_stays_small(tmp_path):
    """1.6 GB of bf16 in three shards, largest tensor 262 MB: peak memory within the largest tensor + 512 MiB, in fact far below."""
    total, largest = sparse_checkpoint(tmp_path / "in", FIXTURES / "llama-linear", layers=8, hidden=2048, ff=8192, vocab=64000,
                                       shard_bytes=600 << 20)
    assert total > 1.5e9
    out = tmp_path / "x.gguf"

    p = subprocess.Popen([str(PHIAL), "convert", str(tmp_path / "in"), "-o", str(out), "--outtype", "q4_0", "-q"], stdout=subprocess.DEVNULL)
    peak = 0
    while p.poll() is None:  # the high-water mark of the process itself; getrusage would count this one's pages too
        try:
            status = open(f"/proc/{p.pid}/status").read()
            peak = max(peak, int(status.split("VmHWM:")[1].split()[0]) * 1024)
        except (OSError, IndexError):
            pass
        time.sleep(0.01)
    assert p.returncode == 0 and peak > 0
    assert peak <= largest + (512 << 20)
    assert peak <= 400 << 20  # in fact it does not grow with the tensors
    assert out.stat().st_size > total / 4
