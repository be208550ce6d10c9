"""Our readers and writers against the gguf and safetensors packages: each reads what the other wrote, byte for byte."""
import json
import random
import subprocess

import numpy as np
import pytest
from conftest import BUILD, TINY, need_shared, run

gguf = pytest.importorskip("gguf")
safetensors_numpy = pytest.importorskip("safetensors.numpy")

COPY = BUILD / "gguf_copy"
T = gguf.GGUFValueType
ARRAY_TYPES = [T.UINT8, T.INT8, T.UINT16, T.INT16, T.UINT32, T.INT32, T.FLOAT32, T.BOOL, T.STRING, T.UINT64, T.INT64, T.FLOAT64]


def copy(*args, check=True):
    p = subprocess.run([str(COPY), *map(str, args)], capture_output=True, text=True, timeout=120)
    assert p.returncode in (0, 1), (p.returncode, p.stderr)
    assert not check or p.returncode == 0, p.stdout
    return p.stdout


def random_value(rng, kind):
    if kind == T.STRING:
        return "".join(rng.choice("ab c\n\u00e9\u4e2d\U0001f600\x1b") for _ in range(rng.randrange(20)))
    if kind == T.BOOL:
        return rng.random() < 0.5
    if kind in (T.FLOAT32, T.FLOAT64):
        return float(np.float32(rng.uniform(-1e6, 1e6)))
    bits = {T.UINT8: 8, T.INT8: 8, T.UINT16: 16, T.INT16: 16, T.UINT32: 32, T.INT32: 32, T.UINT64: 64, T.INT64: 64}[kind]
    return rng.randrange(-(1 << bits - 1), 1 << bits - 1) if kind.name.startswith("INT") else rng.randrange(1 << bits)


def write_with_gguf(path, seed):
    """A random model by the gguf package; returns what was put in."""
    rng = random.Random(seed)
    values = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), "tiny")
    keys, tensors = {"general.architecture": "tiny"}, {}
    if seed % 3 == 0:
        writer.add_custom_alignment(64)
        keys["general.alignment"] = 64
    for i, kind in enumerate(ARRAY_TYPES):
        key, value = f"tiny.scalar.{kind.name.lower()}", random_value(rng, kind)
        writer.add_key_value(key, value, kind)
        keys[key] = value
        key, value = f"tiny.array.{kind.name.lower()}", [random_value(rng, kind) for _ in range(1 + rng.randrange(5))]
        writer.add_key_value(key, value, T.ARRAY, sub_type=kind)
        keys[key] = value
    for i in range(rng.randrange(8)):
        dtype = rng.choice([np.float32, np.float16, np.float64, np.int8, np.int16, np.int32, np.int64])
        shape = tuple(1 + rng.randrange(5) for _ in range(1 + rng.randrange(4)))
        tensors[f"t{i}.weight"] = (values.standard_normal(shape) * 100).astype(dtype)
        writer.add_tensor(f"t{i}.weight", tensors[f"t{i}.weight"])
    for kind in (gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.BF16):
        data = gguf.quants.quantize(values.standard_normal((3, 64)).astype(np.float32), kind)
        tensors[kind.name] = data
        writer.add_tensor(kind.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return keys, tensors


def read_with_gguf(path):
    reader = gguf.GGUFReader(str(path))
    keys = {k: f.contents() for k, f in reader.fields.items() if not k.startswith("GGUF.")}
    return keys, {t.name: np.array(t.data) for t in reader.tensors}, reader


def same_tensors(a, b):
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)


@pytest.mark.parametrize("seed", range(12))
def test_files_of_the_gguf_package_are_read_and_written_byte_for_byte(tmp_path, seed):
    keys, tensors = write_with_gguf(tmp_path / "theirs.gguf", seed)
    copy(tmp_path / "theirs.gguf", tmp_path / "ours.gguf")
    their_bytes, our_bytes = (tmp_path / "theirs.gguf").read_bytes(), (tmp_path / "ours.gguf").read_bytes()
    assert our_bytes == their_bytes
    got_keys, got_tensors, _ = read_with_gguf(tmp_path / "ours.gguf")
    assert got_keys == keys
    assert same_tensors(got_tensors, tensors)


@pytest.mark.parametrize("limits, n_files", [((2, 0), 3), ((0, 600), None), ((1, 0), None)])
def test_shards_we_write_are_good_gguf_files(tmp_path, limits, n_files):
    _, tensors = write_with_gguf(tmp_path / "whole.gguf", 5)
    copy(tmp_path / "whole.gguf", tmp_path / "s.gguf", *limits)
    shards = sorted(tmp_path.glob("s-*.gguf"))
    if n_files == 3:
        assert len(shards) == -(-len(tensors) // 2)
    together = {}
    for i, shard in enumerate(shards):
        assert shard.name == f"s-{i + 1:05d}-of-{len(shards):05d}.gguf"
        keys, some, reader = read_with_gguf(shard)
        assert reader.fields["split.no"].types == [T.UINT16] and keys["split.no"] == i
        assert reader.fields["split.count"].types == [T.UINT16] and keys["split.count"] == len(shards)
        assert reader.fields["split.tensors.count"].types == [T.INT32] and keys["split.tensors.count"] == len(tensors)
        assert ("general.architecture" in keys) == (i == 0)
        together.update(some)
    assert same_tensors(together, tensors)
    copy(shards[0], tmp_path / "again.gguf")
    assert (tmp_path / "again.gguf").read_bytes() == (tmp_path / "whole.gguf").read_bytes()
    shards[-1].unlink()
    assert copy(shards[0], tmp_path / "x.gguf", check=False).startswith("SPLIT: ")


def test_shards_of_the_gguf_package_are_read(tmp_path):
    writer = gguf.GGUFWriter(str(tmp_path / "m.gguf"), "tiny", split_max_tensors=2)
    tensors = {f"t{i}": np.full((2, 8), i, dtype=np.float32) for i in range(5)}
    for name, data in tensors.items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    copy(tmp_path / "m-00001-of-00003.gguf", tmp_path / "one.gguf")
    keys, got, _ = read_with_gguf(tmp_path / "one.gguf")
    assert same_tensors(got, tensors)
    assert not any(k.startswith("split.") for k in keys)


@pytest.mark.parametrize("seed", range(6))
def test_files_of_the_safetensors_package_are_read(tmp_path, seed):
    values = np.random.default_rng(seed)
    dtypes = [np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8]
    tensors = {}
    for i in range(1 + seed * 3):
        shape = tuple(values.integers(0 if i == 3 else 1, 5, size=values.integers(0, 5)))
        tensors[f"a \u00e9 {i}"] = np.asarray(values.standard_normal(shape) * 50).astype(dtypes[i % len(dtypes)])
    metadata = {"general.architecture": "tiny", "note": "x\ny"}
    safetensors_numpy.save_file(tensors, tmp_path / "m.safetensors", metadata=metadata)
    copy(tmp_path / "m.safetensors", tmp_path / "m.gguf")
    keys, got, reader = read_with_gguf(tmp_path / "m.gguf")
    assert keys == metadata
    assert {k: v.tobytes() for k, v in got.items()} == {k: v.tobytes() for k, v in tensors.items()}
    for t in reader.tensors:
        assert [int(n) for n in reversed(t.shape)] == list(tensors[t.name].shape)


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        kind = rng.randrange(4)
        at = rng.randrange(min(len(data), 400))
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at : at + 8] = rng.choice([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 2**62 + 1]).to_bytes(8, "little")
        elif kind == 2:
            del data[at : at + rng.randrange(1, 16)]
        else:
            data = data[: rng.randrange(len(data))]
            if not data:
                break
    return bytes(data)


def test_mutated_safetensors_are_accepted_only_where_the_package_accepts_them(tmp_path):
    """We refuse more (repeated names), never less."""
    rng = random.Random(1)
    safetensors_numpy.save_file({"a": np.arange(6, dtype=np.float32), "b": np.arange(4, dtype=np.int64)}, tmp_path / "good.safetensors")
    good = (tmp_path / "good.safetensors").read_bytes()
    path = tmp_path / "bad.safetensors"
    for _ in range(150):
        path.write_bytes(mutate(rng, good))
        ours = copy(path, tmp_path / "out.gguf", check=False)
        try:
            safetensors_numpy.load(path.read_bytes())
            theirs = True
        except Exception:
            theirs = False
        unusable = ours.startswith("UNSUPPORTED") or ours.startswith("NAME") or ours.startswith("KEY")  # of the GGUF it becomes
        assert theirs or ours != "" or unusable, "accepted what the package refuses"


def test_inspect_tells_what_is_in_a_file(tmp_path):
    keys, tensors = write_with_gguf(tmp_path / "m.gguf", 5)
    report = json.loads(run("inspect", tmp_path / "m.gguf", "--json", "--hash", "--max-array", "100").stdout)
    assert report["format"] == "GGUF" and report["version"] == 3
    got = {m["key"]: m["value"] for m in report["metadata"]}
    assert got.keys() == keys.keys()
    for k, v in keys.items():
        if "float32" in k:
            assert np.allclose(np.float32(got[k]), np.float32(v), rtol=0, atol=0)
        else:
            assert got[k] == v
    assert [t["name"] for t in report["tensors"]] == list(tensors)
    for t in report["tensors"]:
        assert t["bytes"] == tensors[t["name"]].nbytes
        data = (tmp_path / "m.gguf").read_bytes()[t["offset"] : t["offset"] + t["bytes"]]
        assert data == tensors[t["name"]].tobytes()
    assert report["total"]["tensors"] == len(tensors)
    assert report["bad_blocks"] == 0
    text = run("inspect", tmp_path / "m.gguf").stdout
    assert "\x1b" not in text and "bits per weight" in text


def test_inspect_finds_nan_and_differences(tmp_path):
    values = np.linspace(-1, 1, 1000, dtype=np.float32).reshape(10, 100)
    safetensors_numpy.save_file({"w": values}, tmp_path / "a.safetensors")
    values = values.copy()
    values[3, 7] = np.nan
    values[3, 8] = np.inf
    safetensors_numpy.save_file({"w": values}, tmp_path / "b.safetensors")
    report = json.loads(run("inspect", tmp_path / "b.safetensors", "--json").stdout)
    assert report["bad_blocks"] == 2 and report["tensors"][0]["bad_blocks"] == 2
    assert "first 307" in run("inspect", tmp_path / "b.safetensors").stdout
    p = run("inspect", tmp_path / "b.safetensors", "--strict", check=False)
    assert p.returncode == 2 and "NAN" in p.stderr
    values[3, 7:9] = 0
    safetensors_numpy.save_file({"w": values}, tmp_path / "b.safetensors")
    diff = json.loads(run("inspect", tmp_path / "a.safetensors", "--diff", tmp_path / "b.safetensors", "--json").stdout)
    assert diff["identical_tensors"] == 0
    assert [(t["what"], t["n_different"]) for t in diff["tensors"]] == [("values", 2)]
    same = json.loads(run("inspect", tmp_path / "a.safetensors", "--diff", tmp_path / "a.safetensors", "--json").stdout)
    assert same["identical_tensors"] == 1 and same["tensors"] == []


def test_inspect_knows_the_tensors_of_the_carried_checkpoint():
    report = json.loads(run("inspect", TINY, "--json").stdout)
    assert report["format"] == "safetensors"
    assert report["model"]["architecture"] == "Phi3ForCausalLM"
    assert report["model"]["missing"] == report["model"]["wrong_shape"] == report["model"]["unexpected"] == []


def test_vocabulary_files_of_other_programs_are_read():
    for path in sorted(need_shared("data", "vocab").glob("*.gguf")):
        report = json.loads(run("inspect", path, "--json", "--max-array", "2").stdout)
        reader = gguf.GGUFReader(str(path))
        assert [m["key"] for m in report["metadata"]] == [k for k in reader.fields if not k.startswith("GGUF.")]


@pytest.mark.parametrize("name, code", [("absent.gguf", "NOTFOUND"), (".", "NOTFOUND")])
def test_the_command_line_ends_with_2_and_the_code(tmp_path, name, code):
    p = run("inspect", tmp_path / name, check=False)
    assert p.returncode == 2
    assert code in p.stderr
