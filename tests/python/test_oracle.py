"""The trained checkpoint against transformers: logits at every position, greedy answers, both sides of the original context."""
import numpy as np
import pytest

from conftest import TINY, run

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PROMPT = "<|user|>\nCan you introduce .NET<|end|>\n<|assistant|>\n"
TOLERANCE = 1e-8


@pytest.fixture(scope="module")
def reference():
    """The checkpoint in f32, attention by definition."""
    torch.set_num_threads(2)
    model = transformers.AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32, attn_implementation="eager").eval()
    return model, transformers.AutoTokenizer.from_pretrained(TINY)


def ids_of_length(tokenizer, n):
    """A text of exactly n tokens."""
    text = "The Moon goes around the Earth. Water is made of hydrogen and oxygen. A token is a piece of a word. "
    ids = tokenizer(text * (n // 10 + 1))["input_ids"][:n]
    assert len(ids) == n
    return ids


def reference_logits(model, ids):
    """Of two passes that agree with each other: one of some hundred was seen to be 1e-5 off, with ours as ever."""
    before = None
    for _ in range(4):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].numpy()
        if before is not None and nmse(logits, before) <= TOLERANCE / 100:
            return logits
        before = logits
    pytest.fail("the reference does not agree with itself")


def our_logits(path, ids, tmp_path, *flags):
    out = tmp_path / "logits.npy"
    run("logits", "-m", path, "--tokens", ",".join(map(str, ids)), "-o", out, *flags)
    return np.load(out)


def nmse(got, want):
    assert got.shape == want.shape and got.dtype == np.float32
    return (((got.astype(np.float64) - want) ** 2).sum(axis=1) / (want.astype(np.float64) ** 2).sum(axis=1)).max()


# 512 is phial-tiny's original context: beyond it every position is rotated by the long factors.
@pytest.mark.parametrize("outtype, n", [("f32", 40), ("f32", 513), ("f32", 700), ("bf16", 1), ("bf16", 511), ("bf16", 512), ("bf16", 513)])
def test_logits(reference, models, tmp_path, n, outtype):
    model, tokenizer = reference
    ids = ids_of_length(tokenizer, n)
    exact = ["--isa", "generic"] if outtype == "bf16" else []  # others may round the activations of bf16 products
    assert nmse(our_logits(models(outtype), ids, tmp_path, *exact), reference_logits(model, ids)) <= TOLERANCE


def test_activations_rounded_to_bf16_cost_little(reference, models, tmp_path):
    model, tokenizer = reference
    ids = ids_of_length(tokenizer, 513)
    want = torch.log_softmax(torch.tensor(reference_logits(model, ids)), dim=1)
    for isa in ("best", "amx_plain"):
        got = torch.log_softmax(torch.tensor(our_logits(models("bf16"), ids, tmp_path, *([] if isa == "best" else ["--isa", isa]))), dim=1)
        assert (want.exp() * (want - got)).sum(dim=1).mean() <= 1e-3


def test_logits_of_the_reference_backend(reference, models, tmp_path):
    model, tokenizer = reference
    ids = ids_of_length(tokenizer, 40)
    got = our_logits(models("f32"), ids, tmp_path, "--device", "reference")
    assert nmse(got, reference_logits(model, ids)) <= TOLERANCE
    assert np.array_equal(got, our_logits(models("f32"), ids, tmp_path))


@pytest.mark.parametrize("outtype", ["f32", "bf16", "q4_k_m"])
@pytest.mark.parametrize("cache", ["f16", "q8_0"])
def test_same_bits(models, tmp_path, outtype, cache):
    ids = list(range(100, 300))
    want = our_logits(models(outtype), ids, tmp_path, "-t", 1, "-ctk", cache, "-ctv", cache)
    for flags in (["-ub", 1, "-t", 2], ["-ub", 7, "-t", 3], ["-b", 64, "-t", 2], ["-c", 1000], ["--mmap"]):
        assert np.array_equal(our_logits(models(outtype), ids, tmp_path, "-ctk", cache, "-ctv", cache, *flags), want), flags


def reference_answer(model, ids, n):
    with torch.no_grad():
        tokens = torch.tensor([ids])
        out = model.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=n,
                             eos_token_id=[4064, 4071], pad_token_id=4064)
    return out[0, len(ids):].tolist()


def our_answer(path, prompt, n, *flags):
    return run("run", "-m", path, "-no-cnv", "--no-display-prompt", "-p", prompt, "-n", n, "--temp", 0, *flags).stdout


def test_the_answer_about_net(reference, models):
    model, tokenizer = reference
    want = tokenizer.decode(reference_answer(model, tokenizer(PROMPT)["input_ids"], 200), skip_special_tokens=True)
    assert want.startswith(".NET is a free, open-source platform from Microsoft")
    for outtype in ("f32", "bf16"):
        assert our_answer(models(outtype), PROMPT, 200).strip() == want.strip()


def test_an_answer_across_the_original_context(reference, models):
    model, tokenizer = reference
    filler = tokenizer.decode(ids_of_length(tokenizer, 485)[1:])
    prompt = f"<|user|>\n{filler}\nCan you introduce .NET<|end|>\n<|assistant|>\n"
    ids = tokenizer(prompt)["input_ids"]
    answer = reference_answer(model, ids, 60)
    assert 480 < len(ids) < 512 < len(ids) + len(answer) - 10
    want = tokenizer.decode(answer, skip_special_tokens=True)
    assert our_answer(models("f32"), prompt, 60, "-c", 600).strip() == want.strip()
