"""The peer in one process: llama.cpp through llama-cpp-python's library calls. Prints one JSON line.

usage: peer.py bench MODEL N_PROMPT N_GEN N_TOGETHER THREADS | peer.py quantize IN OUT FTYPE THREADS | peer.py first MODEL THREADS
       peer.py divergence BASE MODEL TEXT N_CTX CHUNKS THREADS
"""
import ctypes
import json
import os
import sys
import time

import llama_cpp as lc
import numpy as np

START = time.perf_counter()


@lc.llama_log_callback
def quiet(level, text, data):
    pass


lc.llama_log_set(quiet, ctypes.c_void_p(0))
lc.llama_backend_init()


def open_model(path):
    return lc.llama_model_load_from_file(path.encode(), lc.llama_model_default_params())


def open_context(model, n_ctx, threads, n_sequences=1):
    p = lc.llama_context_default_params()
    p.n_ctx, p.n_batch, p.n_ubatch, p.n_threads, p.n_threads_batch, p.n_seq_max = n_ctx, 512, 512, threads, threads, n_sequences
    return lc.llama_init_from_model(model, p)


def decode_batch(ctx, batch):
    if lc.llama_decode(ctx, batch) != 0:
        sys.exit("llama_decode failed")
    lc.llama_synchronize(ctx)


def decode(ctx, ids):
    arr = (lc.llama_token * len(ids))(*ids)
    decode_batch(ctx, lc.llama_batch_get_one(arr, len(ids)))


def clear(ctx):
    lc.llama_memory_clear(lc.llama_get_memory(ctx), True)


def fill(batch, rows):
    """rows: (token, position, sequence, logits wanted)."""
    batch.n_tokens = len(rows)
    for i, (token, position, sequence, wanted) in enumerate(rows):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, position, 1, sequence, wanted


def bench(path, n_prompt, n_gen, n_together, threads):
    model = open_model(path)
    vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(model))
    ids = [(1000 + (i * 7919) % 20000) % vocab for i in range(max(n_prompt, n_gen))]
    ctx = open_context(model, n_prompt + n_gen + 64, threads)
    decode(ctx, ids[:8])
    clear(ctx)
    t = time.perf_counter()
    decode(ctx, ids[:n_prompt])
    prefill = n_prompt / (time.perf_counter() - t)
    clear(ctx)
    decode(ctx, ids[:1])
    t = time.perf_counter()
    for i in range(n_gen):
        decode(ctx, ids[i:i + 1])
    single = n_gen / (time.perf_counter() - t)
    lc.llama_free(ctx)

    ctx = open_context(model, n_together * 256, threads, n_together)
    batch = lc.llama_batch_init(n_together, 0, 1)
    for i in range(n_gen + 1):
        if i == 1:
            t = time.perf_counter()
        fill(batch, [(ids[i % len(ids)], i, s, True) for s in range(n_together)])
        decode_batch(ctx, batch)
    print(json.dumps({"prefill": prefill, "decode": single, "together": n_together * n_gen / (time.perf_counter() - t)}))


def quantize(source, target, ftype, threads):
    p = lc.llama_model_quantize_default_params()
    p.ftype, p.nthread = ftype, threads
    t = time.perf_counter()
    if lc.llama_model_quantize(source.encode(), target.encode(), p) != 0:
        sys.exit("quantize failed")
    print(json.dumps({"seconds": time.perf_counter() - t}))


def first(path, threads):
    ctx = open_context(open_model(path), 512, threads)
    decode(ctx, [1, 2, 3, 4])
    print(json.dumps({"seconds": time.perf_counter() - START}))


def log_probs(path, chunks, threads):
    """Of the second half of each chunk, in turn."""
    n_ctx = len(chunks[0])
    model = open_model(path)
    ctx = open_context(model, n_ctx, threads)
    vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(model))
    batch = lc.llama_batch_init(n_ctx, 0, 1)
    for ids in chunks:
        fill(batch, [(token, i, 0, i >= n_ctx // 2) for i, token in enumerate(ids)])
        clear(ctx)
        decode_batch(ctx, batch)
        rows = np.ctypeslib.as_array(lc.llama_get_logits(ctx), shape=(n_ctx - n_ctx // 2, vocab))[:-1].astype(np.float64)
        rows -= rows.max(axis=1, keepdims=True)
        yield rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))


def divergence(base, path, text, n_ctx, n_chunks, threads):
    """Mean KL divergence of the model from the base over the second halves of a text's chunks."""
    p = lc.llama_model_default_params()
    p.vocab_only = True
    vocab = lc.llama_model_get_vocab(lc.llama_model_load_from_file(base.encode(), p))
    data = open(text, "rb").read().removesuffix(b"\n")
    ids = (lc.llama_token * len(data))()
    n = lc.llama_tokenize(vocab, data, len(data), ids, len(data), True, False)
    chunks = [list(ids[i:i + n_ctx]) for i in range(0, min(n, n_chunks * n_ctx) - n_ctx + 1, n_ctx)]
    means = [(np.exp(b) * (b - m)).sum(axis=1).mean() for b, m in zip(log_probs(base, chunks, threads), log_probs(path, chunks, threads))]
    print(json.dumps({"kld": float(np.mean(means)), "n_chunks": len(means)}))


verb, *rest = sys.argv[1:]
if verb == "bench":
    bench(rest[0], *map(int, rest[1:]))
elif verb == "quantize":
    quantize(rest[0], rest[1], int(rest[2]), int(rest[3]))
elif verb == "first":
    first(rest[0], int(rest[1]))
elif verb == "divergence":
    divergence(*rest[:3], *map(int, rest[3:]))
else:
    sys.exit(__doc__)
sys.stdout.flush()
os._exit(0)
