"""Tokenizers of every family, built with Hugging Face's `tokenizers` package as checkpoint folders, and texts to compare on.

The byte-level families are small BPE vocabularies trained here, one for each pre-tokenizer of the known models; the
SentencePiece families come from phial-tiny's tokenizer.model with the variants of rules that published models have.
"""
import array
import itertools
import json
import pathlib
import random
import struct
import subprocess

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from conftest import BUILD, ROOT, TINY

SPECIALS = ["<|endoftext|>", "<|user|>", "<|end|>", "<s>"]
PLAIN_ADDED = ["<think>", "    ", "\n\n\n", "unhappyword"]  # not special: parsed in any text

CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+SUFFIX"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*SUFFIX")
O200K = (CASED.replace("SUFFIX", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?")
         + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = CASED.replace("SUFFIX", "") + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
DEEPSEEK_V3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
               r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(use_regex=False, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def sequence(*steps):
    return pre_tokenizers.Sequence(list(steps))


# name -> (pre-tokenizer, normalizer, ignore_merges)
BYTE_LEVEL = {
    "gpt2": lambda: (byte_level(True), None, False),
    "gpt2_prefix": lambda: (byte_level(True, True), None, False),
    "olmo": lambda: (byte_level(True), normalizers.NFC(), False),
    "llama3": lambda: (sequence(split(CL100K), byte_level()), None, True),
    "cl100k": lambda: (sequence(split(CL100K, "removed", True), byte_level()), None, False),
    "qwen2": lambda: (sequence(split(QWEN2), byte_level()), normalizers.NFC(), False),
    "o200k": lambda: (sequence(split(O200K, "removed", True), byte_level()), None, False),
    "tekken": lambda: (sequence(split(TEKKEN), byte_level()), None, True),
    "starcoder": lambda: (sequence(pre_tokenizers.Digits(True), byte_level(True)), None, False),
    "falcon": lambda: (sequence(pre_tokenizers.Punctuation("contiguous"), byte_level(True), pre_tokenizers.Digits(False),
                                split("[0-9][0-9][0-9]")), None, False),
    "deepseek_coder": lambda: (sequence(split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[一-龥ࠀ-一가-퟿]+"),
                                        pre_tokenizers.Digits(True), byte_level()), None, False),
    "deepseek_v3": lambda: (sequence(split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK_V3), byte_level()), None,
                            False),
    "bloom": lambda: (sequence(split(BLOOM), byte_level()), None, False),
    "unknown_rules": lambda: (sequence(split(r"\w+", "merged_with_next"), split(r"\d\d", "contiguous"),
                                       split("e", "merged_with_previous"), byte_level()),
                              normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(),
                                                    normalizers.Replace(Regex(" {2,}"), "  ")]), False),
}


def corpus():
    """Text to train on: English, code, numbers, other scripts, runs; no special token, which no merge may make. Always the same."""
    rng = random.Random(1)
    out = []
    for _ in range(1500):
        text = random_text(rng, 30)
        for special in SPECIALS:
            text = text.replace(special, "")
        out.append(text)
    return out


WORDS = ("the of and to in a is that it was for on are as with his they at be this from I have or by one had not but what all "
         "were when we there can an your which their said if do will each about how up out them then she many some so these "
         "would other into has more her two like him see time could no make than first been its who now people my made over "
         "did down only way find use may water long little very after words called just where most know get through back "
         "HTTPServer camelCase snake_case __init__ README.md isn't DON'T we'll they've I'm you'd he's WE'RE Can'T o'clock "
         "def return import class self print function while switch struct int32_t std::vector lambda x86_64 0xFF 1e-5 3.14159 "
         "2024-11-22 1,234,567 https://example.com/a?b=c&d=e#f user@example.org <html> </div> &amp; {{x}} [[y]] ((z)) // /* */ "
         "größe naïve façade ÅNGSTRÖM Straße İstanbul ſecret Kelvin ﬁne ﬆ ½ ² Ⅷ ９ ① e\u0301 a\u0308\u0323 \u1100\u1161\u11a8 "
         "Привет мир Γειά Κόσμε שָׁלוֹם עולם مرحبا ١٢٣ नमस्ते १२ ไทย ประเทศ 你好 世界 日本語 テスト 한국어 Việt አማርኛ ქართული "
         "😀 👨‍👩‍👧 🇩🇪 🚀🚀 ☃️ ™ € £ ¥ § ¶ • … “quoted” ‘single’ – — · ᛁᚴ 𝔘𝔫𝔦 𐐀𐐨 \U0001F9FF \U00020000 ǅ ʰ ₂ ª º").split(" ")
SPACES = [" ", "  ", "   ", "    ", "\n", "\n\n", "\n\n\n", "\r\n", "\t", "\t\t", " \n", "\n ", " \t ", "\u00a0", "\u3000",
          "\u2028", "\u200b", "\ufeff", "\x0b", "\x0c", "\x85", "\x1c", "\u2003"]
PUNCTUATION = list(".,;:!?'\"()[]{}<>/\\|@#$%^&*-_=+`~") + ["...", "--", "==", "!=", "->", "::", "'s", "'t", "'LL", "'ſ", "\x00",
                                                          "▁", "<0x41>", "Ġ", "\ufffd", "//", "/\n", "!\n\n", "?\r\n/"]


def random_text(rng, length):
    """Mixed snippets; the kinds lean one way within a text, so that runs of each kind occur."""
    out = []
    lean = rng.random()
    for _ in range(rng.randint(1, length)):
        kind = rng.random()
        if kind < 0.45:
            word = rng.choice(WORDS)
            out.append(rng.choice([word, word, word.upper(), word.capitalize(), word[::-1]]))
            if lean < 0.7:
                out.append(" ")
        elif kind < 0.60:
            out.append(rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 5]))
        elif kind < 0.75:
            out.append(rng.choice(PUNCTUATION) * rng.choice([1, 1, 1, 2, 7]))
        elif kind < 0.82:
            out.append(str(rng.randint(0, 10 ** rng.randint(1, 12))))
        elif kind < 0.88:
            out.append(random_char(rng) * rng.choice([1, 1, 2]))
        elif kind < 0.91:
            out.append(rng.choice("aAzZ x\n") * rng.randint(1, 70))
        elif kind < 0.95:
            out.append(rng.choice(SPECIALS + PLAIN_ADDED))
        else:
            out.append("".join(chr(rng.randint(0x20, 0x7E)) for _ in range(rng.randint(1, 8))))
    return "".join(out)


def random_char(rng):
    top = rng.choice([0x80, 0x250, 0x3000, 0x10000, 0x20000, 0x110000])
    while True:
        c = rng.randrange(top)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def added_tokens():
    return ([AddedToken(SPECIALS[0], special=True, normalized=False), AddedToken(SPECIALS[1], special=True, normalized=False, rstrip=True),
             AddedToken(SPECIALS[2], special=True, normalized=False, lstrip=True, rstrip=True),
             AddedToken(SPECIALS[3], special=True, normalized=False)],
            [AddedToken(PLAIN_ADDED[0], normalized=False, special=False), AddedToken(PLAIN_ADDED[1], normalized=False, special=False),
             AddedToken(PLAIN_ADDED[2], normalized=True, special=False),
             AddedToken(PLAIN_ADDED[3], normalized=True, special=False, single_word=True)])


def save(tokenizer, folder, config=None):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config or {}))


def make_byte_level(name, folder):
    pre, normalizer, ignore_merges = BYTE_LEVEL[name]()
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre
    if normalizer:
        t.normalizer = normalizer
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=1500, show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    if ignore_merges:
        # Words that merges do not reach, as Llama 3's vocabulary has them.
        state = json.loads(t.to_str())
        state["model"]["ignore_merges"] = True
        for text in ["Ġignoredwhole", "Ġcould", "Ġwater", "é", "½½", "zzzz", "'", "<s>x"]:
            state["model"]["vocab"].setdefault(text, len(state["model"]["vocab"]))
        t = Tokenizer.from_str(json.dumps(state))
    special, plain = added_tokens()
    t.add_special_tokens(special)
    t.add_tokens(plain)
    save(t, folder)
    return t


def spm_rules(name, t):
    mark = "\u2581"
    prefix = [decoders.Replace(mark, " "), decoders.ByteFallback(), decoders.Fuse()]
    strip = decoders.Sequence(prefix + [decoders.Strip(" ", 1, 0)])
    if name == "spm_prepend":
        t.normalizer = normalizers.Sequence([normalizers.Prepend(mark), normalizers.Replace(" ", mark)])
        t.decoder = strip
    elif name == "spm_metaspace_first":
        t.pre_tokenizer = pre_tokenizers.Metaspace(mark, prepend_scheme="first", split=False)
        t.decoder = strip
    elif name == "spm_metaspace_always":
        t.pre_tokenizer = pre_tokenizers.Metaspace(mark, prepend_scheme="always", split=True)
        t.decoder = strip
    elif name == "spm_no_prefix":
        t.normalizer = normalizers.Replace(" ", mark)
        t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        t.decoder = decoders.Sequence(prefix)
    elif name == "spm_nfkc":
        t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Prepend(mark), normalizers.Replace(" ", mark)])
        t.decoder = strip


SPM = ["spm_prepend", "spm_metaspace_first", "spm_metaspace_always", "spm_no_prefix", "spm_nfkc", "spm_unknown"]


def make_spm(name, folder):
    """phial-tiny's pieces under other rules; spm_unknown has no byte fallback."""
    state = json.loads((TINY / "tokenizer.json").read_text())
    state["normalizer"] = state["pre_tokenizer"] = state["decoder"] = None
    state["added_tokens"] = []
    if name == "spm_unknown":
        state["model"]["byte_fallback"] = False
        for i in range(256):
            del state["model"]["vocab"][f"<0x{i:02X}>"]
        state["model"]["vocab"] = {k: i for i, k in enumerate(state["model"]["vocab"])}
    t = Tokenizer.from_str(json.dumps(state))
    spm_rules("spm_prepend" if name == "spm_unknown" else name, t)
    special, plain = added_tokens()
    t.add_special_tokens([AddedToken("<unk>", special=True, normalized=False)] + special)
    t.add_tokens(plain)
    save(t, folder, {"add_bos_token": True, "bos_token": "<s>"})
    return t


def make(name, folder):
    return make_spm(name, folder) if name in SPM else make_byte_level(name, folder)


def tokenize_lines(model, texts, *flags):
    blob = b"".join(struct.pack("<I", len(t)) + t for t in (t if isinstance(t, bytes) else t.encode() for t in texts))
    p = subprocess.run([str(BUILD / "tokenize_lines"), str(model), *flags], input=blob, capture_output=True)
    if p.returncode:
        raise AssertionError(p.stderr.decode())
    return p.stdout


def tokenize(model, texts, *flags):
    """Our ids of many texts, by the test program tokenize_lines; with --decode pairs of ids and bytes."""
    lines = tokenize_lines(model, texts, *flags).decode().split("\n")[:-1]
    assert len(lines) == len(texts)
    if "--decode" not in flags:
        return [[int(x) for x in line.split()] for line in lines]
    parts = [line.split("\t") for line in lines]
    return [([int(x) for x in a.split()], bytes.fromhex(b)) for a, b in parts]


def differences(reference, model, texts, limit=5):
    """Number of texts whose ids differ, and the first few with both; specials parsed, and specials as text."""
    n, shown = 0, []
    for special_as_text, flags in ((False, ()), (True, ("--plain",))):
        reference.encode_special_tokens = special_as_text
        wanted = [e.ids for e in reference.encode_batch(texts, add_special_tokens=False)]
        numbers = array.array("i", itertools.chain.from_iterable(itertools.chain((len(ids),), ids) for ids in wanted))
        if numbers.tobytes() == tokenize_lines(model, texts, *flags, "--binary"):
            continue
        for text, want, got in zip(texts, wanted, tokenize(model, texts, *flags)):
            if want != got:
                n += 1
                if len(shown) < limit:
                    shown.append((text, special_as_text, want, got))
    reference.encode_special_tokens = False
    return n, shown
