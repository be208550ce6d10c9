"""llama.cpp's flags, as of August 2026: each one works, says in one line that it has no effect, or is refused by name with what to use instead."""
import json
import os
import re
import subprocess

import pexpect
import pytest

from conftest import PHIAL, run

# Flags of tools/cli and tools/completion: name, and a value where one is taken.
PLAIN = """
--verbose-prompt -e --escape --no-escape --swa-full --perf --no-perf -kvo --kv-offload -nkvo --no-kv-offload --repack -nr --no-repack --no-host
--mlock --mmap --no-mmap -dio --direct-io -ndio --no-direct-io --list-devices -cmoe --cpu-moe --check-tensors --op-offload --no-op-offload
--log-disable -v --verbose --log-verbose --offline --log-prefix --no-log-prefix --log-timestamps --no-log-timestamps --ignore-eos
-bs --backend-sampling --display-prompt --no-display-prompt --context-shift --no-context-shift --show-timings --no-show-timings -sp --special
-cnv --conversation -no-cnv --no-conversation -st --single-turn -mli --multiline-input --warmup --no-warmup --mmproj-auto --no-mmproj
--no-mmproj-auto --mmproj-offload --no-mmproj-offload --jinja --no-jinja --reasoning-preserve --no-reasoning-preserve --skip-chat-parsing
--no-skip-chat-parsing --simple-io --spec-default --gpt-oss-20b-default --gpt-oss-120b-default --vision-gemma-4b-default -cl --cache-list
--completion-bash --license --prompt-cache-all --prompt-cache-ro -i --interactive -if --interactive-first --in-prefix-bos -cmoed --cpu-moe-draft
--spec-draft-cpu-moe --no-spec-draft-backend-sampling -cb --cont-batching
""".split()
VALUED = {
    "1": """-t --threads -tb --threads-batch --cpu-strict --prio --poll --prio-batch --poll-batch --cpu-strict-batch -c --ctx-size -n --predict --n-predict
            -b --batch-size -ub --ubatch-size --keep --rope-scale --rope-freq-base --rope-freq-scale --yarn-orig-ctx --yarn-ext-factor
            --yarn-attn-factor --yarn-beta-slow --yarn-beta-fast -dt --defrag-thold -np --parallel -ncmoe --n-cpu-moe -ngl --gpu-layers
            --n-gpu-layers -mg --main-gpu -fitt --fit-target -fitc --fit-ctx -lv --verbosity --log-verbosity -s --seed --temp --temperature --top-k
            --top-p --min-p --top-nsigma --top-n-sigma --xtc-probability --xtc-threshold --typical --typical-p --repeat-last-n --repeat-penalty
            --presence-penalty --frequency-penalty --dry-multiplier --dry-base --dry-allowed-length --dry-penalty-last-n --adaptive-target
            --adaptive-decay --dynatemp-range --dynatemp-exp --mirostat --mirostat-lr --mirostat-ent -ctxcp --ctx-checkpoints --swa-checkpoints
            -cram --cache-ram --image-min-tokens --image-max-tokens --reasoning-budget -td --threads-draft -tbd --threads-batch-draft
            --spec-draft-threads --cpu-strict-draft --prio-draft --poll-draft --prio-batch-draft --poll-batch-draft -ncmoed --n-cpu-moe-draft
            --spec-draft-n-max --spec-draft-n-min --spec-draft-p-split --draft-p-split --draft-p-min -ngld --gpu-layers-draft
            --spec-ngram-mod-n-min --spec-ngram-simple-size-n --spec-ngram-map-k-min-hits --draft --draft-n --draft-max --draft-min --draft-n-min
            -ptc --print-token-count -gan --grp-attn-n -gaw --grp-attn-w""".split(),
    "x": """-p --prompt -m --model -mu --model-url -dr --docker-repo -hf -hfr --hf-repo -hff --hf-file -hft --hf-token --lora --lora-scaled --control-vector
            --control-vector-scaled --control-vector-layer-range --grammar --grammar-file -j --json-schema -jf --json-schema-file --server-base
            -sys --system-prompt -r --reverse-prompt -mm --mmproj -mmu --mmproj-url -mmdev --mmproj-device --image --audio --video -o --output
            --output-file --reasoning-format --reasoning-effort --reasoning-budget-message --log-prompts-dir -hfd -hfrd --hf-repo-draft
            --spec-draft-hf -Cd --cpu-mask-draft -Crd --cpu-range-draft -Cbd --cpu-mask-batch-draft -otd --override-tensor-draft -devd
            --device-draft -md --model-draft --spec-draft-model --spec-type --rpc -ot --override-tensor -ts --tensor-split --prompt-cache
            --in-prefix --in-suffix --dry-sequence-breaker -Cb --cpu-mask-batch -Crb --cpu-range-batch --samplers -ctkd -ctvd
            --cache-type-k-draft --numa -hfv --hf-repo-v -hffv --hf-file-v""".split(),
    "auto": "-fa --flash-attn -co --color -rea --reasoning --log-colors -lm --load-mode".split(),
    "on": "-fit --fit".split(),
    "none": "-dev --device -sm --split-mode --rope-scaling".split(),
    "f16": "-ctk --cache-type-k -ctv --cache-type-v".split(),
    "chatml": ["--chat-template"],
    "{}": ["--chat-template-kwargs"],
    "kpmt": ["--sampler-seq", "--sampling-seq"],
    "15043+1": ["-l", "--logit-bias"],
    "0x1": ["-C", "--cpu-mask"],
    "0-0": ["-Cr", "--cpu-range"],
    "general.name=str:x": ["--override-kv"],
    os.devnull: "-f --file -bf --binary-file -sysf --system-prompt-file --chat-template-file --log-file".split(),
}
CALLS = [[f] for f in PLAIN] + [[f, v] for v, flags in VALUED.items() for f in flags]
TOOLS = {
    "bench": """--numa=distribute -r=1 --prio=0 --delay=0 -o=md -oe=md --list-devices -v --progress --no-warmup -fitt=1 -fitc=1 -rpc=x -m=x -hf=x -hff=x -hft=x
                --offline -p=1 -n=1 -pg=1,1 -d=0 -b=1 -ub=1 -ctk=f16 -ctv=f16 -t=1 -C=0x1 --cpu-strict=0 --poll=50 -ngl=0 -ncmoe=0 -sm=none -mg=0
                -nkvo=0 -fa=auto -dev=none -lm=none -mmp=1 -embd=0 -ts=0 -ot=x -nopo=0 --no-host=0 --repack=1 -nr""",
    "tokenize": "-m=x -p=x -f=x --stdin --ids --no-bos --no-escape --no-parse-special --log-disable --show-count",
    "quantize": """--allow-requantize --leave-output-tensor --pure --imatrix=x --include-weights=x --exclude-weights=x --output-tensor-type=q6_k
                   --token-embedding-type=q6_k --tensor-type=x=q6_k --tensor-type-file=x --prune-layers=1 --keep-split --override-kv=a=int:1 --dry-run""",
    "convert": """--vocab-only --outfile=x --outtype=f16 --bigendian --use-temp-file --no-lazy --model-name=x --verbose --split-max-tensors=1
                  --split-max-size=1G --dry-run --no-tensor-first-split --metadata=x --remote --mmproj --mtp --no-mtp --mistral-format
                  --disable-mistral-community-chat-template --sentence-transformers-dense-modules --fuse-gate-up-exps --fp8-as-q8
                  --target-model-dir=x""",
    "perplexity": """-m=x -f=x -bf=x -c=512 -b=512 --chunks=1 --ppl-stride=0 --ppl-output-type=0 --hellaswag --hellaswag-tasks=1 --winogrande
                     --winogrande-tasks=1 --multiple-choice --multiple-choice-tasks=1 --kl-divergence --kl-divergence-base=x -np=1 -ngl=99 -fa=on
                     --no-warmup --seed=1""",
}


def answer(verb, *args):
    """What phial says about flags when nothing can be run: the model is missing (or does not exist)."""
    p = run(verb, *args, check=False)
    assert p.returncode == 2, (args, p.stderr)
    assert "unknown flag" not in p.stderr and "INTERNAL" not in p.stderr, p.stderr
    return p.stderr


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c[0])
def test_every_flag_of_llama_cli_has_an_answer(call):
    text = answer("run", *call)
    known = any(s in text for s in ("--model is missing", "the prompt is empty", "is not available in phial run: ", "has no effect: "))
    assert known, text


@pytest.mark.parametrize("verb", TOOLS)
def test_every_flag_of_the_other_tools_has_an_answer(verb):
    for word in TOOLS[verb].split():
        name, _, value = word.partition("=")
        answer(verb, name, *([value] if value else []))


def test_refusals_say_what_to_use():
    for call, instead in [(["-hf", "a/b"], "--model"), (["--prompt-cache", "x"], "--session"), (["--list-devices"], "phial doctor"),
                          (["--rope-freq-base", "1"], "--override-kv"), (["--context-shift"], "--ctx-size"), (["-o", "x"], "> FILE"),
                          (["--spec-draft-n-max", "3"], "leave the flag out"), (["--completion-bash"], "phial completion bash")]:
        text = answer("run", *call)
        assert f"{call[0]} is not available in phial run: " in text and instead in text, text


@pytest.mark.parametrize("typed, meant", [("-nlg", "-ngl"), ("-modl", "--model"), ("--ctx_sise", "--ctx-size"), ("-ctkk", "-ctk"), ("--tmep", "--temp"),
                                          ("--flsh-attn", None), ("-zzz", None), ("--no_cnv", "-no-cnv")])
def test_did_you_mean(typed, meant):
    p = run("run", typed, "1", check=False)
    assert p.returncode == 2 and f"unknown flag {typed}" in p.stderr
    guess = re.search(r"did you mean (\S+)\?", p.stderr)
    assert (guess and guess[1]) == meant, p.stderr


def generate(model, *args, **kwargs):
    return run("run", "-m", model, "-no-cnv", "-p", "The Moon", "-n", "6", "--temp", "0", *args, **kwargs)


def test_log_flags(models, tmp_path):
    log = tmp_path / "phial.log"
    p = generate(models("q8_0"), "-ngl", "all", "--log-disable", "--log-file", log)
    assert p.stderr == ""
    assert "no GPU backend" in log.read_text() and "tokens/s" in log.read_text()
    assert "NOTFOUND" in run("run", "-m", "nowhere.gguf", "-p", "x", "--log-disable", check=False).stderr, "errors are always shown"
    assert "cannot write" in run("run", "--log-file", tmp_path / "no" / "log", check=False).stderr


def test_colours_on_demand(models):
    assert "\033[" in generate(models("q8_0"), "--color", "on").stderr
    assert "\033[" in generate(models("q8_0"), "--color").stderr  # the older form, without a value
    assert "\033[" not in generate(models("q8_0"), "-co", "off").stderr


def test_verbose_prompt_shows_the_tokens(models):
    p = generate(models("q8_0"), "--verbose-prompt")
    ids = json.loads(run("tokenize", "-m", models("q8_0"), "-p", "The Moon", "--ids").stdout)
    assert [int(n) for n in re.findall(r"^ *(\d+) -> '", p.stderr, re.M)] == ids


def test_prefix_and_suffix_of_messages(models):
    p = run("run", "-m", models("q8_0"), "-p", "Moon", "-n", "1", "--in-prefix", "AB", "--in-suffix", "YZ", "--verbose-prompt", "--log-disable")
    assert "".join(re.findall(r"-> '([^']*)'", p.stderr)).find("ABMoonYZ") > 0, p.stderr


def test_binary_file_keeps_the_last_line_break(models, tmp_path):
    text = tmp_path / "p.txt"
    text.write_text("The Moon\n")
    tokens = [len(re.findall(r"-> '", run("run", "-m", models("q8_0"), "-no-cnv", flag, text, "-n", "1", "--verbose-prompt").stderr))
              for flag in ("-f", "-bf")]
    assert tokens[0] < tokens[1]


def test_logit_bias(models):
    first = json.loads(run("tokenize", "-m", models("q8_0"), "-p", "Moon", "--ids", "--no-bos").stdout)[0]
    forced = generate(models("q8_0"), "--logit-bias", f"{first}+99").stdout
    assert forced.count("Moon") == 6
    assert "wants TOKEN+BIAS" in run("run", "-l", "x", check=False).stderr


def test_dry_sequence_breakers_replace_the_defaults(models):
    dry = ["-no-cnv", "-p", "Is it ain't a bit of a bit of a", "-n", "24", "--temp", "0", "--dry-multiplier", "50", "--dry-allowed-length", "1"]
    texts = [run("run", "-m", models("q8_0"), *dry, *more).stdout for more in ([], ["--dry-sequence-breaker", "of"])]
    assert texts[0] != texts[1]


def test_chat_template_by_name_text_and_file(models, tmp_path):
    def ask(*args):
        return run("run", "-m", models("q8_0"), "-p", "Can you introduce .NET", "--temp", "0", "-n", "24", *args).stdout

    own = ask()
    assert ask("--chat-template", "phi3") == own
    assert ask("--chat-template", "chatml") != own
    text = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ tail }}<|end|>\n{% endfor %}<|assistant|>\n"
    (tmp_path / "t.jinja").write_text(text)
    assert ask("--chat-template", text) == ask("--chat-template-file", tmp_path / "t.jinja") == own
    assert ask("--chat-template", text, "--chat-template-kwargs", '{"tail": " in French, please"}') != own
    p = run("run", "-m", models("q8_0"), "--chat-template", "monarch", "-p", "x", check=False)
    assert p.returncode == 2 and "chatml" in p.stderr and "--chat-template-file" in p.stderr


def test_processors_and_memory(models):
    p = run("bench", "-m", models("q8_0"), "-p", "8", "-n", "0", "-r", "1", "--no-limits", "-o", "json", "--cpu-range", "0-0")
    assert json.loads(p.stdout)[0]["n_threads"] == 1
    assert "names no processor" in run("bench", "--limits", "-C", "0x0", check=False).stderr
    p = generate(models("q8_0"), "-lm", "mmap+mlock")
    assert p.stdout == generate(models("q8_0")).stdout
    # Either it is locked, or one line says why not.
    locked = subprocess.run(["bash", "-c", f"ulimit -l 64; exec {PHIAL} run -m {models('q8_0')} --mlock -no-cnv -p x -n 1"], capture_output=True,
                            text=True, stdin=subprocess.DEVNULL)
    assert locked.returncode == 0
    assert os.geteuid() == 0 or "ulimit -l" in locked.stderr


def test_of_flags_that_contradict_the_last_wins(models):
    """Timings are the visible sign; --mmap shows in the plan."""
    def file_map(*flags):
        return json.loads(run("plan", "-m", models("q8_0"), "-c", "64", "--json", *flags).stdout)["devices"][0]["mapped_bytes"]

    packed, mapped = file_map(), file_map("--mmap")
    assert mapped > packed
    assert file_map("--mmap", "--no-mmap") == file_map("--no-mmap") == file_map("--mmap", "-lm", "none") == packed
    assert file_map("--no-mmap", "--mmap") == file_map("-lm", "none", "--mmap") == file_map("--no-mmap", "-lm", "mmap") == mapped
    assert "tokens/s" in generate(models("q8_0"), "--no-perf", "--perf").stderr
    assert "tokens/s" not in generate(models("q8_0"), "--perf", "--no-perf").stderr
    greedy = generate(models("q8_0"), "--temp", "0").stdout
    assert generate(models("q8_0"), "--temp", "5", "--seed", "3", "--temp", "0").stdout == greedy
    assert generate(models("q8_0"), "--sampler-seq", "x", "--samplers", "top_k", "--top-k", "1").stdout == greedy
    assert generate(models("q8_0"), "--samplers", "x", "--sampler-seq", "k", "--top-k", "1", check=False).stdout == greedy


def test_lists_of_bench_may_be_repeated(models):
    p = run("bench", "-m", models("q8_0"), "-p", "4", "-p", "8,12", "-n", "0", "-r", "1", "--no-limits", "-o", "jsonl")
    rows = [json.loads(line) for line in p.stdout.splitlines()]
    assert [row["n_prompt"] for row in rows] == [4, 8, 12]
    assert rows[0]["model_type"] == "phi3 8.9M Q8_0"


def test_simple_io_reads_lines(models):
    c = pexpect.spawn(str(PHIAL), ["run", "-m", str(models("q8_0")), "--temp", "0", "--simple-io"], encoding="utf-8", timeout=60, echo=False,
                      env=dict(os.environ, TERM="xterm", NO_COLOR="1"))
    c.expect("> ")
    c.sendline("Can you introduce .NET")
    c.expect("Microsoft")
    c.expect("> ")
    assert "\033" not in c.before
    c.sendline("/exit")
    c.expect(pexpect.EOF)
    c.close()
    assert c.exitstatus == 0


def test_overrides_separated_by_commas(models, tmp_path):
    out = tmp_path / "o.gguf"
    run("quantize", "--override-kv", "general.name=str:a, b,general.file_type=int:7", models("q8_0"), out, "COPY")
    text = run("inspect", out, "--no-tensors", "--no-check").stdout
    assert re.search(r'general.name .*"a, b"', text) and re.search(r"general.file_type +\w+ +7", text), text


@pytest.mark.parametrize("args, text", [
    (["--threads"], "--threads wants a value, for example: --threads 8"),
    (["--threads", "x"], "--threads: 'x' is not a whole number from -1 to 1024"),
    (["--top-k", "1.5"], "--top-k: '1.5' is not a whole number"),
    (["--temp", "warm"], "--temp: 'warm' is not a number"),
    (["--mmap=1"], "--mmap takes no value"),
    (["stray"], "not expected: stray"),
    (["--color=blue"], "--color: 'blue' is not on, off or auto"),
    (["--seed", "-2"], "--seed: '-2' is not a number from -1"),
])
def test_wrong_values_are_explained(args, text):
    p = run("run", "-m", "x", *args, check=False)
    assert p.returncode == 2 and text in p.stderr, p.stderr
