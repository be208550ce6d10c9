#!/usr/bin/env python3
"""Makes the tiny random checkpoints of tests/fixtures/models with transformers, and records what transformers computes on them.

Each folder holds a checkpoint as Hugging Face lays it out (bf16 weights, config, tokenizer) and expected.safetensors:
    tokens.<case>   I32 [n]              a prompt
    logits.<case>   F32 [n, vocab_size]  transformers' logits of it, in f32, attention by definition ("eager")
    greedy.prompt, greedy.tokens  I32    a prompt and its greedy continuation by generate()
Everything is drawn from a seed per folder: running this again gives the same files.

    build/venv/bin/python tools/make_fixture.py [NAME...]
"""
import copy
import json
import pathlib
import shutil
import sys
import zlib

import torch
from safetensors.torch import save_file
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Phi3Config, Phi3ForCausalLM,
                          Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests" / "fixtures" / "models"
VOCAB = 288
SIZES = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=4, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0,
             tie_word_embeddings=False)
WORDS = ["th", "in", "er", "an", "re", "on", "at", "en", "or", "es", "is", "it", "ar", "st", "le", "ou", "al", "me", "ne", "se"]


def longrope(n, long_end):
    """Factors as they grow in real checkpoints: 1 for the fastest pair, `long_end` for the slowest."""
    return {"type": "longrope", "short_factor": [round(1 + 0.02 * i / (n - 1), 4) for i in range(n)],
            "long_factor": [round(1 + (long_end - 1) * (i / (n - 1)) ** 2, 4) for i in range(n)]}


# name: (config, model class, tokenizer, changed sizes, lengths of the prompts, (prompt, new tokens) of the greedy run)
LLAMA3_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 64}
FIXTURES = {
    "phi3-plain": (Phi3Config, Phi3ForCausalLM, "spm", {}, [24], (8, 16)),
    "phi3-partial": (Phi3Config, Phi3ForCausalLM, "spm",
                     dict(num_key_value_heads=2, partial_rotary_factor=0.75, tie_word_embeddings=True), [24], (8, 16)),
    # The edge: one below the original context, equal, one above; and a generation that crosses it.
    "phi3-longrope": (Phi3Config, Phi3ForCausalLM, "spm",
                      dict(original_max_position_embeddings=32, max_position_embeddings=128, rope_scaling=longrope(8, 4.0)),
                      [31, 32, 33, 48], (24, 16)),
    "phi3-window": (Phi3Config, Phi3ForCausalLM, "spm", dict(sliding_window=9), [40], (8, 16)),
    "llama3": (LlamaConfig, LlamaForCausalLM, "llama3",
               dict(num_key_value_heads=2, rope_theta=500000.0, rope_scaling=LLAMA3_ROPE), [24], (8, 16)),
    "llama-linear": (LlamaConfig, LlamaForCausalLM, "spm", dict(rope_scaling={"type": "linear", "factor": 2.5}), [24], (8, 16)),
    "mistral": (MistralConfig, MistralForCausalLM, "spm", dict(num_key_value_heads=1, sliding_window=12, head_dim=16), [40], (8, 16)),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, "qwen2",
              dict(num_key_value_heads=2, rope_theta=1000000.0, tie_word_embeddings=True, max_position_embeddings=256,
                   rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}), [24], (8, 16)),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, "qwen2",
              dict(num_key_value_heads=2, head_dim=32, rope_theta=1000000.0, attention_bias=False), [24], (8, 16)),
}


def bytes_to_text():
    """The printable alphabet of byte-level BPE: each byte as one character."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def added(i, text, special=True):
    return {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special}


def spm_tokenizer():
    """Sentencepiece as tokenizers writes it: <unk> <s> </s>, 256 bytes, then pieces."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + ["\u2581", "t", "h", "e", "a", "n", "o", "i", "s", "r"]
    merges = [("t", "h"), ("th", "e"), ("\u2581", "the"), ("a", "n"), ("i", "n"), ("e", "r"), ("o", "n"), ("\u2581", "a"), ("r", "e"),
              ("i", "s"), ("e", "s"), ("\u2581", "t"), ("\u2581", "i"), ("o", "r"), ("a", "t")]
    tokens += ["".join(m) for m in merges]
    tokens += [f"<|extra_{i}|>" for i in range(VOCAB - len(tokens))]
    specials = [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")]
    specials += [added(i, t) for i, t in enumerate(tokens) if t.startswith("<|")]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": specials,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing",
                           "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                                    {"SpecialToken": {"id": "<s>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": [" ".join(m) for m in merges]},
    }, {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "eos_token": "</s>",
        "unk_token": "<unk>", "legacy": False}


PATTERNS = {
    "llama3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def byte_tokenizer(kind):
    """Byte-level BPE with the pre-tokenizer of a family."""
    tokens = list(bytes_to_text().values()) + WORDS
    merges = [w[0] + " " + w[1] for w in WORDS]
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"] if kind == "llama3" else ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    names += [f"<|extra_{i}|>" for i in range(VOCAB - len(tokens) - len(names))]
    specials = [added(len(tokens) + i, t) for i, t in enumerate(names)]
    split = {"type": "Split", "pattern": {"Regex": PATTERNS[kind]}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    post = level
    if kind == "llama3":
        bos = names[0]
        post = {"type": "Sequence", "processors": [level, {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": bos, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {bos: {"id": bos, "ids": [len(tokens)], "tokens": [bos]}}}]}
    config = {"tokenizer_class": "PreTrainedTokenizerFast" if kind == "llama3" else "Qwen2Tokenizer",
              "bos_token": names[0] if kind == "llama3" else None, "eos_token": names[1] if kind == "llama3" else names[2],
              "pad_token": None, "add_bos_token": kind == "llama3"}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": specials,
        "normalizer": None if kind == "llama3" else {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]}, "post_processor": post,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": kind == "llama3",
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges},
    }, config


def fill(model, seed):
    """Weights wide enough that attention is not uniform and greedy choices are clear; norms near 1. Rounded to bf16."""
    g = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        if "norm" in name:
            p.data = 1 + 0.2 * torch.randn(p.shape, generator=g)
        elif name.endswith("bias"):
            p.data = 0.5 * torch.randn(p.shape, generator=g)
        else:
            p.data = torch.randn(p.shape, generator=g) * (1.5 / p.shape[-1] ** 0.5)
        p.data = p.data.bfloat16().float()


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def make(name):
    config_class, model_class, tokenizer_kind, changes, lengths, (n_prompt, n_new) = FIXTURES[name]
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    seed = zlib.crc32(name.encode())
    tokenizer, tokenizer_config = spm_tokenizer() if tokenizer_kind == "spm" else byte_tokenizer(tokenizer_kind)
    settings = {**SIZES, **changes}
    specials = {t["content"]: t["id"] for t in tokenizer["added_tokens"]}
    settings["bos_token_id"] = specials.get(tokenizer_config["bos_token"])
    settings["eos_token_id"] = specials[tokenizer_config["eos_token"]]
    config = config_class(**copy.deepcopy(settings))  # it changes what it is given
    config._attn_implementation = "eager"
    torch.manual_seed(seed)
    model = model_class(config).float().eval()
    fill(model, seed)
    if settings["tie_word_embeddings"]:
        model.tie_weights()

    # The configuration as published checkpoints write it: the spelling that was given, not the library's newest.
    saved = {"architectures": [model_class.__name__], "model_type": config.model_type, "hidden_act": "silu",
             "rms_norm_eps": config.rms_norm_eps, "rope_theta": 10000.0, "torch_dtype": "bfloat16", **settings}
    if name == "qwen3":
        saved["rope_parameters"] = {"rope_theta": saved.pop("rope_theta"), "rope_type": "default"}
    write_json(folder / "config.json", saved)
    write_json(folder / "tokenizer.json", tokenizer)
    write_json(folder / "tokenizer_config.json", tokenizer_config)
    write_json(folder / "generation_config.json", {"bos_token_id": settings["bos_token_id"], "eos_token_id": settings["eos_token_id"]})
    weights = {k: v.bfloat16().contiguous() for k, v in model.state_dict().items()
               if not (k == "lm_head.weight" and settings["tie_word_embeddings"])}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    g = torch.Generator().manual_seed(seed + 1)
    expected = {}
    draw = torch.randint(3, 256, (64,), generator=g)
    with torch.no_grad():
        for n in lengths:
            expected[f"tokens.{n}"] = draw[:n].int().contiguous()
            expected[f"logits.{n}"] = model(draw[None, :n]).logits[0].float().contiguous()
        model.generation_config.eos_token_id = None
        prompt = draw[None, :n_prompt]
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=n_new, pad_token_id=0)[0]
    expected["greedy.prompt"] = draw[:n_prompt].int().contiguous()
    expected["greedy.tokens"] = out[n_prompt:].int().contiguous()
    save_file(expected, folder / "expected.safetensors")
    print(f"{name}: {sum(f.stat().st_size for f in folder.iterdir()) / 1024:.0f} KiB, greedy {expected['greedy.tokens'].tolist()}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for fixture in sys.argv[1:] or FIXTURES:
        make(fixture)
