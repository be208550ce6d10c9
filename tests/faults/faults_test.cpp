// Every allocation and every read of the loaders and writers fails once; see inject.h for what is checked.
#include <unistd.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "inject.h"
#include "phial/chat_template.h"
#include "phial/convert.h"
#include "phial/engine.h"
#include "phial/error.h"
#include "phial/inspect.h"
#include "phial/quantize.h"
#include "phial/tokenizer.h"
#include "test_files.h"

using namespace phial;
using namespace phial::test;

namespace {

const std::string kCheckpoint = PHIAL_SOURCE_DIR "/tests/fixtures/models/phi3-plain";

/// A folder with the fixture as GGUF, made once.
const std::string& model_folder() {
  static const TempFolder folder;
  static const std::string path = [] {
    ConvertOptions o;
    o.input = kCheckpoint;
    o.output = folder / "model.gguf";
    o.outtype = "f32";
    o.n_threads = 1;
    convert(o);
    return folder.path();
  }();
  return path;
}

constexpr Fault kFaults[] = {Fault::allocation,  Fault::all_allocations, Fault::read_error,
                             Fault::interrupted, Fault::short_read,      Fault::many_short_reads};

void every_fault(const std::string& folder, uint64_t some, const std::function<void()>& body) {
  for (const Fault fault : kFaults) {
    const bool memory = fault == Fault::allocation || fault == Fault::all_allocations;
    const FaultRuns runs = inject(fault, folder, body, step(memory ? some : std::max<uint64_t>(some / 16, 1)));
    if (memory) CHECK(runs.places > 0);
    if (memory) CHECK(runs.failed > 0);
    MESSAGE("fault " << static_cast<int>(fault) << ": " << runs.places << " places, " << runs.tried << " tried, " << runs.failed
                     << " failed");
  }
}

}  // namespace

TEST_CASE("opening GGUF") {
  every_fault(model_folder(), 1, [] {
    const GgufFile file = GgufFile::open(model_folder() + "/model.gguf");
    std::vector<std::byte> bytes(64);
    file.read(file.tensors()[0], 0, bytes);
  });
}

TEST_CASE("opening safetensors") {
  every_fault(model_folder(), 1, [] { SafetensorsFile::open_folder(kCheckpoint); });
}

TEST_CASE("a tokenizer from GGUF and from a checkpoint") {
  every_fault(model_folder(), 3,
              [] { Tokenizer::open(model_folder() + "/model.gguf")->encode("Hello w\xC3\xB6rld 12", true, true); });
  every_fault(model_folder(), 3, [] { Tokenizer::open(kCheckpoint)->encode("Hello w\xC3\xB6rld 12", true, true); });
}

TEST_CASE("chat templates: parsing and rendering") {
  every_fault(model_folder(), 1, [] {
    const ChatTemplate t(
        "{% macro f(x) %}{{ x|upper }}{% endmacro %}{% set ns = namespace(n=0) %}{% for m in messages %}{{ f(m.content) ~ "
        "m|tojson }}"
        "{% set ns.n = ns.n + 1 %}{% endfor %}{{ messages|map(attribute='role')|join(', ') }}{{ '%d'|format(ns.n) }}");
    t.render(R"({"messages":[{"role":"user","content":"Hello there, this text is longer than a short string"}]})");
  });
}

TEST_CASE("loading a model and running it") {
  for (const bool mmap : {false, true})
    every_fault(model_folder(), 11, [&] {
      RunOptions o;
      o.model = model_folder() + "/model.gguf";
      o.n_threads = 2;
      o.n_context = 64;
      o.mmap = mmap;
      const auto model = Model::load(o);
      const auto session = model->open_session();
      session->set_tokens(std::vector<int32_t>{1, 5, 9});
      session->generate({}, 2, [](int32_t) { return true; });
    });
}

TEST_CASE("converting and quantizing leave no file behind") {
  const TempFolder folder;
  ConvertOptions c;
  c.input = kCheckpoint;
  c.output = folder / "out.gguf";
  c.outtype = "q8_0";
  c.n_threads = 2;
  every_fault(model_folder(), 16, [&] {
    convert(c);
    ::unlink(c.output.c_str());
  });
  CHECK(std::filesystem::is_empty(folder.path()));
  QuantizeOptions q;
  q.input = model_folder() + "/model.gguf";
  q.output = folder / "quantized.gguf";
  q.type = "Q4_K_M";
  q.n_threads = 2;
  every_fault(folder.path(), 16, [&] {
    quantize(q);
    ::unlink(q.output.c_str());  // allocates nothing
  });
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("looking into a file, as text and as JSON") {
  for (const bool json : {false, true}) {
    InspectOptions o;
    o.json = json;
    o.hash = true;
    o.path = model_folder() + "/model.gguf";
    every_fault(model_folder(), 16, [&] { inspect(o); });
    o.diff = kCheckpoint;
    every_fault(model_folder(), 16, [&] { inspect(o); });
    o.path = kCheckpoint;
    o.diff.clear();
    every_fault(model_folder(), 16, [&] { inspect(o); });
  }
}
