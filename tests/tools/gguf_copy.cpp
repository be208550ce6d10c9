// gguf_copy IN OUT [MAX_TENSORS [MAX_BYTES]]: reads a model and writes it again, for tests against other programs' readers
// and writers. IN is a GGUF or a .safetensors file; prints CODE: text and returns 1 on an error.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "phial/error.h"

using namespace phial;

namespace {

void copy(const TensorFile& file, const Metadata& metadata, const std::string& out, GgufSplit split) {
  std::vector<GgufTensorPlan> plan;
  for (const TensorEntry& t : file.tensors()) plan.push_back({t.name, t.dtype, t.shape});
  GgufWriter writer(out, metadata, std::move(plan), split);
  std::vector<std::byte> piece;
  for (const TensorEntry& t : file.tensors()) {
    constexpr uint64_t kPiece = 1 << 20;
    for (uint64_t at = 0; at < t.n_bytes; at += kPiece) {
      piece.resize(static_cast<size_t>(std::min(kPiece, t.n_bytes - at)));
      file.read(t, at, piece);
      writer.write(piece);
    }
  }
  writer.finish();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fputs("usage: gguf_copy IN OUT [MAX_TENSORS [MAX_BYTES]]\n", stderr), 2;
  const std::string in = argv[1], out = argv[2];
  GgufSplit split;
  if (argc > 3) split.max_tensors = std::atoi(argv[3]);
  if (argc > 4) split.max_bytes = std::strtoull(argv[4], nullptr, 10);
  try {
    if (in.ends_with(".safetensors")) {
      Metadata metadata;
      const SafetensorsFile file = SafetensorsFile::open(in);
      for (const auto& [key, value] : file.header_metadata().items()) metadata.set(key, value.get<std::string>());
      copy(file, metadata, out, split);
    } else {
      const GgufFile file = GgufFile::open(in);
      copy(file, file.metadata(), out, split);
    }
  } catch (const Error& error) {
    std::printf("%s: %s\n", error.code_text(), error.what());
    return 1;
  }
  return 0;
}
