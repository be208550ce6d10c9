// llama.cpp's flags as of August 2026 (tools/cli, tools/completion, tools/llama-bench). A flag is accepted only when it asks for
// what happens anyway; when it cannot do what it says, one line says so; when the result would be another one, it is refused.
#include "llama_flags.h"

namespace phial::cli {
namespace {

constexpr const char* kNoGpu = "there is no GPU backend, the CPU does the work";

/// What every tool that loads a model takes.
void answer_common(Flags& f) {
  // The CPU holds everything, weights are not mapped unless asked, the context is never shifted.
  f.accepted("-ndio,--no-direct-io,--warmup,--no-warmup,--repack,--offline,-cb,--cont-batching,-cmoe,--cpu-moe", false);
  f.accepted("-fa,--flash-attn,-dt,--defrag-thold,-ncmoe,--n-cpu-moe,-mg,--main-gpu", true);
  f.noted("-sm,--split-mode,-ts,--tensor-split,-ot,--override-tensor", true, kNoGpu);
  f.noted("-nr,--no-repack", false, "weights are packed while loading; --mmap leaves them as the file has them");
  f.noted("-dio,--direct-io", false, "files are read through the page cache");
  f.noted("--numa", true, "start phial under numactl, for example: numactl --interleave=all phial ...");
  f.noted("--cpu-strict,--poll", true, "threads are not pinned one by one, and wait as they do");
  f.noted("-fitt,--fit-target,-fitc,--fit-ctx", true, "the context is lowered to what fits memory; -c sets it");
  f.noted("-v,--verbose,--log-verbose", false, "there is nothing more to tell; phial inspect shows the file");
  f.refused("-hf,-hfr,--hf-repo,-hff,--hf-file,-hft,--hf-token,-mu,--model-url,-dr,--docker-repo,--gpt-oss-*,--vision-gemma-*",
            "download the file first and give it with --model");
  f.refused("--rpc,-rpc", "there are no remote devices");
  f.refused("--list-devices", "phial doctor lists what is found");
}

}  // namespace

void answer_llama_run_flags(Flags& f) {
  answer_common(f);
  f.accepted(
      "-nkvo,--no-kv-offload,-kvo,--kv-offload,--op-offload,--no-op-offload,--no-host,--no-context-shift,--swa-full,--jinja,"
      "--no-log-prefix,--no-log-timestamps,-bs,--backend-sampling,--no-mmproj,"
      "--mmproj-auto,--no-mmproj-auto,--mmproj-offload,--no-mmproj-offload,--skip-chat-parsing,--no-skip-chat-parsing",
      false);
  f.accepted("-fit,--fit", true);
  f.noted("-Cb,--cpu-mask-batch,-Crb,--cpu-range-batch,--cpu-strict-batch,--prio-batch,--poll-batch", true,
          "prompts use the processors of --cpu-mask");
  f.noted("--log-prefix,--log-timestamps", false, "lines on standard error have neither");
  f.noted("--log-colors", true, "--color is for all output");
  f.noted("-lv,--verbosity,--log-verbosity", true, "--log-disable turns notes and timings off");
  f.noted("--no-jinja", false, "templates are always rendered as Jinja");
  f.noted("--keep", true, "the context is never shifted: when it is full, the answer ends and says so");
  f.noted("-np,--parallel", true, "there is one conversation");
  f.noted("-i,--interactive,-if,--interactive-first", false,
          "a chat begins by itself when input is a terminal; -no-cnv completes");
  f.noted("--in-prefix-bos", false, "the template places BOS");
  f.noted("-ptc,--print-token-count", true, "the number of tokens is in the timings; /stats shows it in a chat");
  f.noted("-ctxcp,--ctx-checkpoints,--swa-checkpoints,-cram,--cache-ram", true, "the cache of a conversation is kept whole");
  f.noted("--reasoning-format,--reasoning-budget,--reasoning-budget-message", true, "thinking is printed as the model writes it");
  f.noted("--reasoning-preserve,--no-reasoning-preserve", false, "the template decides it");
  f.noted("--log-prompts-dir", true, "--verbose-prompt prints the prompt");
  f.refused("--context-shift", "a full context ends the answer; give a larger --ctx-size");
  f.refused("-gan,--grp-attn-n,-gaw,--grp-attn-w", "self-extension is not built; a model with LongRoPE or YaRN takes long texts");
  f.refused("--prompt-cache,--prompt-cache-all,--prompt-cache-ro", "use --session FILE, which keeps the text and its cache");
  f.refused("--rope-*,--yarn-*", "the model file says it; to change it use --override-kv");
  f.refused(
      "-md,--model-draft,--spec-*,--no-spec-*,--draft*,-hfd,-hfrd,--hf-repo-draft,-td,--threads-draft,-tbd,--threads-batch-draft,"
      "-Cd,"
      "--cpu-mask-draft,-Crd,--cpu-range-draft,--cpu-strict-draft,--prio-draft,--poll-draft,-Cbd,--cpu-mask-batch-draft,"
      "--cpu-strict-batch-draft,--prio-batch-draft,--poll-batch-draft,-devd,--device-draft,-ngld,--gpu-layers-draft,"
      "--n-gpu-layers-draft,-ctkd,--cache-type-k-draft,-ctvd,--cache-type-v-draft,-otd,--override-tensor-draft,-cmoed,"
      "--cpu-moe-draft,-ncmoed,--n-cpu-moe-draft,-lcs,--lookup-cache-static,-lcd,--lookup-cache-dynamic",
      "speculative decoding is not built yet; leave the flag out");
  f.refused("--lora,--lora-*,--control-vector*", "adapters are not built yet; merge it into the checkpoint before phial convert");
  f.refused("--grammar,--grammar-file,-j,--json-schema,-jf,--json-schema-file", "grammars are not built yet");
  f.refused("-mm,--mmproj,-mmu,--mmproj-url,-mmdev,--mmproj-device,--image*,--audio*,--video*", "models take text only");
  f.refused("-hfv,-hfrv,--hf-repo-v,-hffv,--hf-file-v,-mv,--model-vocoder", "speech is not built");
  f.refused("--server-base,--host,--port,--api-key", "there is no server; phial run talks to the model in its own process");
  f.refused("-o,--output,--output-file", "redirect standard output: phial ... > FILE");
  f.refused("-cl,--cache-list", "there is no cache of downloads");
  f.refused("--completion-bash", "use phial completion bash");
  f.refused("--license", "the file LICENSE has it: MIT");
}

void answer_llama_bench_flags(Flags& f) {
  answer_common(f);
  f.accepted("-nkvo,--no-kv-offload,-nopo,--no-op-offload,--no-host,--repack", true);
  f.accepted("--progress", false);
  f.noted("-ngl,--n-gpu-layers", true, kNoGpu);
  f.refused("-oe,--output-err", "-o has one format; run with -o jsonl, which holds everything");
  f.refused("-embd,--embeddings", "embeddings are not built yet");
}

}  // namespace phial::cli
