"""The peer in one process: llama.cpp through llama-cpp-python's library calls. Prints one JSON line.

usage: peer.py bench MODEL N_PROMPT N_GEN THREADS | peer.py quantize IN OUT FTYPE THREADS | peer.py first MODEL THREADS
"""
import ctypes
import json
import os
import sys
import time

import llama_cpp as lc

START = time.perf_counter()


@lc.llama_log_callback
def quiet(level, text, data):
    pass


lc.llama_log_set(quiet, ctypes.c_void_p(0))
lc.llama_backend_init()


def open_context(path, n_ctx, threads):
    model = lc.llama_model_load_from_file(path.encode(), lc.llama_model_default_params())
    p = lc.llama_context_default_params()
    p.n_ctx, p.n_batch, p.n_ubatch, p.n_threads, p.n_threads_batch = n_ctx, 512, 512, threads, threads
    return model, lc.llama_init_from_model(model, p)


def decode(ctx, ids):
    arr = (lc.llama_token * len(ids))(*ids)
    if lc.llama_decode(ctx, lc.llama_batch_get_one(arr, len(ids))) != 0:
        sys.exit("llama_decode failed")
    lc.llama_synchronize(ctx)


def bench(path, n_prompt, n_gen, threads):
    model, ctx = open_context(path, n_prompt + n_gen + 64, threads)
    ids = [1000 + (i * 7919) % 20000 for i in range(n_prompt)]
    vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(model))
    ids = [i % vocab for i in ids]
    decode(ctx, ids[:8])
    lc.llama_memory_clear(lc.llama_get_memory(ctx), True)
    t = time.perf_counter()
    decode(ctx, ids)
    pp = n_prompt / (time.perf_counter() - t)
    lc.llama_memory_clear(lc.llama_get_memory(ctx), True)
    decode(ctx, ids[:1])
    t = time.perf_counter()
    for i in range(n_gen):
        decode(ctx, ids[i % n_prompt:i % n_prompt + 1])
    tg = n_gen / (time.perf_counter() - t)
    print(json.dumps({"pp": pp, "tg": tg}))


def quantize(source, target, ftype, threads):
    p = lc.llama_model_quantize_default_params()
    p.ftype, p.nthread = ftype, threads
    t = time.perf_counter()
    if lc.llama_model_quantize(source.encode(), target.encode(), p) != 0:
        sys.exit("quantize failed")
    print(json.dumps({"seconds": time.perf_counter() - t}))


def first(path, threads):
    _, ctx = open_context(path, 512, threads)
    decode(ctx, [1, 2, 3, 4])
    print(json.dumps({"seconds": time.perf_counter() - START}))


verb, *rest = sys.argv[1:]
if verb == "bench":
    bench(rest[0], int(rest[1]), int(rest[2]), int(rest[3]))
elif verb == "quantize":
    quantize(rest[0], rest[1], int(rest[2]), int(rest[3]))
elif verb == "first":
    first(rest[0], int(rest[1]))
else:
    sys.exit(__doc__)
sys.stdout.flush()
os._exit(0)
