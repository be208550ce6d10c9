"""The published rule of each name of tokenizer.ggml.pre, as Hugging Face's `tokenizers` builds it from tokenizer.json; and
vocabulary files with such a name. Kimi's rule is the pattern of its tokenization_kimi.py.
"""
import json

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tokenizer_reference import (BLOOM, CL100K, DEEPSEEK_V3, O200K, QWEN2, TEKKEN, byte_level, corpus, sequence, split)

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
DEEPSEEK_LETTERS = (
    r"\s?[A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373\u0376\u0377"
    r"\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5"
    r"\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D"
    r"\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4"
    r"\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D"
    r"\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4"
    r"\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06"
    r"\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}"
    r"\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+")
NOT_HAN_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
NOT_HAN_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
KIMI = "|".join([r"[\p{Han}]+", rf"[^\r\n\p{{L}}\p{{N}}]?{NOT_HAN_UPPER}*{NOT_HAN_LOWER}+{CONTRACTIONS}?",
                 rf"[^\r\n\p{{L}}\p{{N}}]?{NOT_HAN_UPPER}+{NOT_HAN_LOWER}*{CONTRACTIONS}?", r"\p{N}{1,3}",
                 r" ?[^\s\p{L}\p{N}]+[\r\n]*", SPACES])
JAIS2 = (CL100K[:CL100K.index(r"|\s+(?!\S)")] + "".join(rf"|\s{{{n}}}(?!\S)" for n in (512, 256, 128, 64, 32, 16, 8, 4))
         + r"|\s{1,2}(?!\S)|\s{1}")
EXAONE_MOE = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]"
              r"|\s+(?!\S)|\s+")
BAILING = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")
QWEN35 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + SPACES)
HORIZON = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}|\p{M}|\u200C|\u200D)+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES)
SPARK = DEEPSEEK_V3[:DEEPSEEK_V3.index(r"[\r\n]*|\s*")] + r"|[\r\n]|\s+(?!\S)|\s+"
AFMOE_SCRIPTS = ("[一-鿿㐀-䶿\uF900-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+")
YOUTU_SCRIPTS = "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+"
DEEPSEEK_CJK, DEEPSEEK_V3_CJK = "[一-龥ࠀ-一가-퟿]+", "[一-龥぀-ゟ゠-ヿ]+"


def digits(individual=True):
    return pre_tokenizers.Digits(individual)


def patterns(*texts):
    return lambda: sequence(*[split(t) for t in texts], byte_level())


def starcoder():
    return sequence(digits(), byte_level(True))


CL100K_RULE, QWEN2_RULE, O200K_RULE, DEEPSEEK_V3_RULE = (patterns(CL100K), patterns(QWEN2), patterns(O200K),
                                                         patterns(r"\p{N}{1,3}", DEEPSEEK_V3_CJK, DEEPSEEK_V3))
NFC = {"mpt", "olmo", "jais", "qwen2", "stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan", "f2llmv2", "qwen35"}
RULES = {
    **dict.fromkeys(["gpt-2", "phi-2", "jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code", "gigachat",
                     "roberta-bpe", "exaone4", "mellum", "a.x-4.0", "modern-bert", "trillion", "granite-docling", "mpt", "olmo",
                     "jais"], lambda: byte_level(True)),
    **dict.fromkeys(["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano",
                     "dbrx", "smaug-bpe", "chatglm-bpe", "glm4", "glm5"], CL100K_RULE),
    **dict.fromkeys(["qwen2", "stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan", "f2llmv2", "grok-2", "kormo", "solar-open"],
                    QWEN2_RULE),
    **dict.fromkeys(["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2", "granite-embed-multi-97m"], O200K_RULE),
    **dict.fromkeys(["starcoder", "refact", "smollm", "codeshell", "exaone", "minerva-7b", "command-r", "mellum2"], starcoder),
    **dict.fromkeys(["deepseek-v3", "deepseek-r1", "hunyuan-dense", "joyai-llm", "hy_v4"], DEEPSEEK_V3_RULE),
    **dict.fromkeys(["bloom", "poro-chat", "gpt3-finnish"], patterns(BLOOM)),
    **dict.fromkeys(["tiny_aya", "cohere2moe"], patterns(r"\d{1,3}(?=(?:\d{3})*\b)", O200K)),
    **dict.fromkeys(["bailingmoe", "bailingmoe2", "llada-moe"], patterns(BAILING)),
    "tekken": patterns(TEKKEN),
    "falcon": lambda: sequence(pre_tokenizers.Punctuation("contiguous"), byte_level(True), digits(False), split("[0-9][0-9][0-9]")),
    "deepseek-llm": lambda: sequence(split("[\r\n]"), split(DEEPSEEK_LETTERS), split(r"\s?[!-/:-~！-／：-～‘-‟\u3000-。]+"),
                                     split(r"\s+$"), split(DEEPSEEK_CJK), digits(), byte_level()),
    "deepseek-coder": lambda: sequence(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(DEEPSEEK_CJK), digits(),
                                       byte_level()),
    "spark2_5": lambda: sequence(split(r"\p{N}{1,3}"), split(DEEPSEEK_V3_CJK), split(SPARK), digits(), byte_level()),
    "viking": lambda: sequence(split(BLOOM), digits(), byte_level()),
    "jais-2": patterns(JAIS2),
    "youtu": patterns(YOUTU_SCRIPTS, O200K.replace(r"\p{N}{1,3}", r"\p{N}")),
    "qwen35": patterns(QWEN35),
    "chameleon": lambda: sequence(split("<sentinel:[0-9]+>"), split("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"),
                                  split(r"([\t\n]|    |  )"), digits(), pre_tokenizers.Punctuation("isolated"), byte_level(True)),
    "kimi-k2": patterns(KIMI),
    "superbpe": patterns(r"\p{N}+", r"(?=(\d{3})+(?!\d))"),
    "seed-coder": patterns(QWEN2.replace(r"\p{N}|", r"\p{N}{1}|").replace(r"[^\s\p{L}\p{N}]+[\r\n]*", r"[^\s\p{L}\p{N}\r\n]+")),
    "ufakzeka": patterns(QWEN2[len(CONTRACTIONS) + 1:]),
    "afmoe": patterns(r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))", AFMOE_SCRIPTS, DEEPSEEK_V3),
    "laguna": patterns(r"[^\n]+|[\n]+", QWEN2),
    "exaone-moe": patterns(EXAONE_MOE),
    "minicpm5": patterns(r"\p{N}{1,3}", CL100K.replace(r"\p{N}{1,3}", r"\p{N}+")),
    "k2-horizon": patterns(HORIZON),
    "default": patterns(r"[\p{P}\$\+<=>\^~\|]+", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
                        r"\p{N}+", "[0-9][0-9][0-9]"),
}
PLAIN_TEXT = ["gemma4", "granite-embed-multi-311m", "sarvam-moe"]


def one_vocabulary():
    """A vocabulary whose merges cross all borders of words, so that ids show where a rule has split."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = byte_level()
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=2500, show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return t


def plain_vocabulary():
    """The same kind over the text itself, spaces as U+2581, with byte tokens: Gemma 4's shape."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Replace(" ", "\u2581")
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    texts = [text.replace("<0x41>", "") for text in corpus()]  # no merge may make a byte token
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=2500, show_progress=False, limit_alphabet=200, special_tokens=[
        "<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{i:02X}>" for i in range(256)]))
    state = json.loads(t.to_str())
    state["added_tokens"] = []  # texts of byte tokens are text
    return Tokenizer.from_str(json.dumps(state))


def write_gguf(tokenizer, state, name, path):
    """A vocabulary-only GGUF file as llama.cpp's converter writes them."""
    import gguf
    model = state["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    plain = name in PLAIN_TEXT
    w = gguf.GGUFWriter(path, "llama")
    w.add_tokenizer_model("gemma4" if name == "gemma4" else "gpt2")
    w.add_tokenizer_pre(name)
    w.add_token_list(tokens)
    kinds = {"<unk>": 2, "<pad>": 3, "<eos>": 3, "<bos>": 3}
    w.add_token_types([(kinds.get(t) or (6 if t.startswith("<0x") and len(t) == 6 else 1)) if plain else 1 for t in tokens])
    w.add_token_merges([" ".join(m) for m in model["merges"]])
    if plain:
        w.add_unk_token_id(model["vocab"]["<unk>"])
        w.add_bos_token_id(model["vocab"]["<bos>"])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
