"""Checkpoints read and written byte by byte for the tests of the converter: no library decides what a bf16 is."""
import json
import pathlib
import struct

import numpy as np

WIDTH = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "F8_E4M3": 1}


def read_safetensors(path):
    """name -> (dtype, shape, bytes)"""
    data = pathlib.Path(path).read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    body = memoryview(data)[8 + n:]
    return {k: (v["dtype"], v["shape"], bytes(body[v["data_offsets"][0]:v["data_offsets"][1]])) for k, v in header.items()}


def write_safetensors(path, tensors):
    header, body, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
        body.append(data)
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(body))


def values(tensor):
    """f32 array of a tensor of read_safetensors."""
    dtype, shape, data = tensor
    if dtype == "BF16":
        bits = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32).reshape(shape)
    return np.frombuffer(data, {"F32": np.float32, "F16": np.float16, "F64": np.float64}[dtype]).astype(np.float32).reshape(shape)


def bf16(array):
    """Bytes of an array whose values are representable in bf16."""
    return (np.ascontiguousarray(array, np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()


def copy_folder(source, target, tensors=None, config=None):
    """A checkpoint folder again, with other tensors or changed keys of config.json (None removes one)."""
    source, target = pathlib.Path(source), pathlib.Path(target)
    target.mkdir(parents=True)
    for file in source.iterdir():
        if file.suffix in (".json", ".model") and file.name != "config.json":
            (target / file.name).write_bytes(file.read_bytes())
    c = json.loads((source / "config.json").read_text())
    for key, value in (config or {}).items():
        if value is None:
            c.pop(key, None)
        else:
            c[key] = value
    (target / "config.json").write_text(json.dumps(c))
    write_safetensors(target / "model.safetensors", tensors if tensors is not None else read_safetensors(source / "model.safetensors"))
    return target


def sparse_checkpoint(target, source, *, layers, hidden, ff, vocab, shard_bytes):
    """A sharded Llama checkpoint of zeros that takes no room on disk. Returns the bytes of all and of the largest tensor."""
    target.mkdir(parents=True)
    for file in pathlib.Path(source).iterdir():
        if file.suffix in (".json", ".model") and file.name != "config.json":
            (target / file.name).write_bytes(file.read_bytes())
    c = json.loads((pathlib.Path(source) / "config.json").read_text())
    c.update(num_hidden_layers=layers, hidden_size=hidden, intermediate_size=ff, vocab_size=vocab, num_attention_heads=hidden // 64,
             num_key_value_heads=hidden // 64, head_dim=64)
    (target / "config.json").write_text(json.dumps(c))
    shapes = {"model.embed_tokens.weight": [vocab, hidden], "model.norm.weight": [hidden], "lm_head.weight": [vocab, hidden]}
    for i in range(layers):
        p = f"model.layers.{i}."
        shapes |= {p + "input_layernorm.weight": [hidden], p + "post_attention_layernorm.weight": [hidden]}
        shapes |= {p + f"self_attn.{n}_proj.weight": [hidden, hidden] for n in "qkvo"}
        shapes |= {p + f"mlp.{n}_proj.weight": [ff, hidden] for n in ("gate", "up")} | {p + "mlp.down_proj.weight": [hidden, ff]}
    shards, room = [{}], shard_bytes
    for name, shape in shapes.items():
        n = int(np.prod(shape)) * 2
        if n > room and shards[-1]:
            shards.append({})
            room = shard_bytes
        shards[-1][name] = (shape, n)
        room -= n
    weight_map = {}
    for i, shard in enumerate(shards):
        name, header, at = f"model-{i + 1:05}-of-{len(shards):05}.safetensors", {}, 0
        for tensor, (shape, n) in shard.items():
            header[tensor] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + n]}
            at += n
            weight_map[tensor] = name
        text = json.dumps(header).encode()
        with open(target / name, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            f.truncate(8 + len(text) + at)
    (target / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    sizes = [int(np.prod(s)) * 2 for s in shapes.values()]
    return sum(sizes), max(sizes)
