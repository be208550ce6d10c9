"""Run as a script: llama.cpp's own quantizer on one file, for tests and paired timings.

Usage: quantize_peer.py IN OUT FTYPE[,FTYPE...] [dry|write] [threads]. Prints a line "ftype name type" per tensor.
"""
import ctypes
import re
import sys

import llama_cpp

lines = []


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def keep(_level, text, _user):
    lines.append(text.decode("utf-8", "replace"))


llama_cpp.llama_log_set(keep, None)
for ftype in sys.argv[3].split(","):
    lines.clear()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = int(ftype)
    params.dry_run = sys.argv[4:5] == ["dry"]
    params.nthread = int(sys.argv[5]) if len(sys.argv) > 5 else 2
    status = llama_cpp.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), ctypes.byref(params))
    text = "".join(lines)
    if status:
        sys.exit(text[-2000:])
    for m in re.finditer(r"^\[ *\d+/ *\d+\] +(\S+) +- \[.*?\], type = +(\w+), size = +[\d.]+ MiB(?:.*\((\w+)\))?", text, re.M):
        print(ftype, m.group(1), (m.group(3) or m.group(2)).upper())
