"""The bars of docs/benchmarks.md: what each weight type has to reach, and why a figure misses where it does."""

# The share of the measured peak (int8 VNNI; bf16 for float types) and how many times as fast as llama.cpp in the same run; the share of the
# measured read rate in decoding, and times llama.cpp; eight sequences decoded together against one, in tokens/s.
COLUMNS = ("prefill_share", "prefill_ratio", "decode_share", "decode_ratio", "together")
BARS = {
    "Q4_0": (0.75, 2.4, 0.92, 1.03, 5.5),
    "Q8_0": (0.75, 4.5, 0.92, 1.15, 5.5),
    "Q4_K_M": (0.75, 4.0, 0.92, 1.25, 5.5),
    "Q5_K_M": (0.65, 5.5, 0.90, 1.15, 5.0),
    "Q6_K": (0.65, 4.5, 0.90, 1.10, 5.0),
    "Q3_K_M": (0.60, 4.2, 0.90, 1.40, 5.0),
    "Q2_K": (0.60, 4.5, 0.88, 1.60, 5.0),
    "F16": (0.65, 2.0, 0.92, 1.05, 5.0),
    "BF16": (0.65, 2.0, 0.92, 1.05, 5.0),
}
ANY_TYPE = {
    "long_share": 0.70,       # prefill of 8192 tokens against 512
    "first_token": 1.5,       # seconds, file of 2.4 GB in a warm page cache; at most
    "quantize_ratio": 3.0,    # times llama.cpp
}
# Where the instruction set sets other bars: forced to avx2 beside a peer built for it, or on AMX tiles. By type ("" = any other, else as above);
# None: no bar, since the peak is that of other instructions.
OTHER = {
    "avx2": {"prefill_share": {"": None}, "prefill_ratio": {"": 1.8}},
    "amx": {"prefill_share": {"": None}, "prefill_ratio": {"Q4_K_M": 5.0}, "decode_ratio": {"Q4_K_M": 1.8}},
}
NAMES = {
    "prefill_share": "prefill, share of the peak",
    "prefill_ratio": "prefill, times llama.cpp",
    "decode_share": "decode, share of the read rate",
    "decode_ratio": "decode, times llama.cpp",
    "together": "8 sequences together against one",
    "long_share": "prefill of 8192 tokens against 512",
    "first_token": "seconds to the first token",
    "quantize_ratio": "quantizing, times llama.cpp",
}
AT_MOST = {"first_token"}

# By type ("" = any other): what the profile says. Kept beside the bars so that the next run prints it.
_GROUPS = ("the tile kernel alone reaches 80 to 83 % on Zen 5: for 256 values 64 products of bytes, 4 of words for the scales (Q6_K 8), 4 of minimums and 3 float operations "
           "share two pipes, which leaves 85 %; storing results, unpacking, quantizing, attention, norms and rotation take the rest of a step (notes)")
_BLOCKS = ("the tile kernel alone reaches 77 to 79 % on Zen 5, and 80 % is all that is left: 8 products of bytes and 2 float operations per block of 32 share two pipes; storing "
           "results, unpacking, quantizing, attention, norms and rotation take the rest of a step (notes)")
_MEMORY = ("the median beside the best moment of a memory that other guests of the host use too; in one quiet minute the largest matrix alone is read at 92 to 108 % of what "
           "a plain read reaches (linear_bench, notes)")
REASONS = {
    "prefill_share": {
        "Q4_0": _BLOCKS,
        "Q8_0": _BLOCKS,
        "": _GROUPS,
        "Q3_K_M": "Q3_K's tile kernel alone reaches 95 %, those of the Q4_K and Q5_K matrices beside it 80 to 83 %; the rest of a step takes its part (notes)",
        "F16": "products in f32 keep all bits of F16; they run at 81 to 90 % of the f32 peak (linear_bench), which is half of bf16's",
        "BF16": "86 to 90 % in the products alone (linear_bench); attention and the rest of a step do not use bf16",
    },
    "prefill_ratio": {
        "": "this llama.cpp reaches more of the peak than the one on which the bar was set (then Q4_0 30 %, Q8_0 15 %, Q4_K 17 %, Q5_K 9 %, Q6_K 13 %, Q3_K 13 %, Q2_K 11 %; today the column beside)",
        "F16": "products in f32 keep all bits of F16; tiles of f16 need AMX FP16",
        "BF16": "llama.cpp multiplies in bf16 too, at half of the peak",
    },
    "decode_share": {"": _MEMORY},
    "decode_ratio": {"": "both wait for the same memory, whose speed moves between the two runs of a pair (notes)"},
    "together": {"": "one token's decoding is bound by memory, the faster the minute the more, 8 tokens' by arithmetic: straight from packed lines the kernels reach 57 to 74 % of the "
                     "int8 peak (notes)"},
    "long_share": {"": "attention over long texts, which takes a third and more of the time at 8192 tokens (notes)"},
    "first_token": {"": "weights are copied into fresh memory once, which the host is slow to give"},
    "quantize_ratio": {},
}


# Where the instruction set has reasons of its own.
OTHER_REASONS = {
    "avx2": {"prefill_ratio": "sums of pairs of byte products in 16 bits, which AVX2 asks for, take as many instructions as the products themselves"},
    "avx512": {"prefill_share": "on this processor a load beside an addition of 512 bits takes 0.7 clocks instead of 0.5 (measured), and the tile kernels are made of both"},
    "amx": {
        "prefill_ratio": "llama.cpp multiplies on tiles too; while tiles are used float products and conversions have one of the two vector ports, and the float operations behind "
                         "the tiles' sums (per 256 values, for blocks of 32 per 32) take as long as the products or longer (notes)",
        "decode_share": "two cores get less of the memory beside their products than a plain read does (notes)",
        "together": "8 tokens are multiplied as with AVX-512, whose 512-bit loads and products run at two thirds of their nominal rate here (notes)",
        "long_share": "the products are faster on tiles, so attention weighs more (notes)",
    },
}


def bar(name, measure, isa=""):
    """None where there is no bar."""
    other = OTHER.get(isa, {}).get(measure, {})
    for key in (name, ""):
        if key in other:
            return other[key]
    return ANY_TYPE[measure] if measure in ANY_TYPE else dict(zip(COLUMNS, BARS[name]))[measure]


def holds(name, measure, value, isa=""):
    limit = bar(name, measure, isa)
    return limit is None or (value <= limit if measure in AT_MOST else value >= limit)


def reason(name, measure, isa=""):
    if measure in OTHER_REASONS.get(isa, {}):
        return OTHER_REASONS[isa][measure]
    known = REASONS[measure]
    return known.get(name) or known.get("") or "not profiled yet"
