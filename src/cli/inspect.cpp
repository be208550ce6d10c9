// phial inspect: metadata, tensors and checks of a file.
#include "phial/inspect.h"

#include <fmt/core.h>

#include "flags.h"
#include "verb.h"

namespace phial::cli {

int inspect_verb(Flags& flags) {
  InspectOptions o;
  flags.about("Look into a GGUF or safetensors file, or a checkpoint folder.",
              "  phial inspect phi.gguf\n  phial inspect phi.gguf --json\n  phial inspect a.gguf --diff b.gguf\n");
  flags.positional("FILE", o.path, "FILE");
  flags.text("--model,-m", o.path, "FILE", "phi.gguf", "The same as a flag");
  flags.text("--diff", o.diff, "FILE", "other.gguf", "Compare with a second file");
  flags.toggle("--json", o.json, "JSON instead of text");
  flags.toggle("--no-tensors", o.tensors, "Leave out the list of tensors", false);
  flags.toggle("--no-check", o.check, "Do not look for NaN and Inf", false);
  flags.toggle("--strict", o.strict, "NaN or Inf is an error");
  flags.toggle("--hash", o.hash, "A hash per tensor");
  flags.integer("--max-array", o.max_array, 0, 1 << 30, "100", "Show arrays up to this many elements");
  if (!flags.parse()) return 0;
  if (o.path.empty()) throw Usage("a file is missing: phial inspect FILE");
  fmt::print("{}", inspect(o));
  return 0;
}

}  // namespace phial::cli
