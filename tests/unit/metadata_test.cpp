// Metadata: order, typed reads, and the index of names.
#include "formats/metadata.h"

#include <cmath>
#include <set>

#include "base/fail.h"
#include "test_files.h"

using namespace phial;
using namespace phial::test;

TEST_CASE("metadata keeps order, replaces and erases") {
  Metadata m;
  for (int i = 0; i < 1000; ++i) m.set(fmt::format("key.{}", i), static_cast<int32_t>(i));
  m.set("key.500", std::string("new"));
  m.erase("key.0");
  m.erase("key.998");
  m.erase("absent");
  REQUIRE(m.entries().size() == 998);
  CHECK(m.entries()[0].first == "key.1");
  CHECK(m.text("key.500") == "new");
  CHECK_FALSE(m.has("key.0"));
  for (int i = 1; i < 1000; ++i)
    if (i != 500 && i != 998) REQUIRE(m.integer(fmt::format("key.{}", i)) == i);
  const Metadata copy = m;
  m.erase("key.1");
  CHECK(copy.has("key.1"));
}

TEST_CASE("integers of any type are read when they fit") {
  Metadata m;
  m.set("u8", uint8_t{255});
  m.set("i8", int8_t{-128});
  m.set("u16", uint16_t{65535});
  m.set("i64", INT64_MIN);
  m.set("big", UINT64_MAX);
  m.set("fits", static_cast<uint64_t>(INT64_MAX));
  m.set("f", 1.0f);
  m.set("b", true);
  m.set("s", std::string("1"));
  CHECK(m.integer("u8") == 255);
  CHECK(m.integer("i8") == -128);
  CHECK(m.integer("u16", 7) == 65535);
  CHECK(m.integer("i64") == INT64_MIN);
  CHECK(m.integer("fits") == INT64_MAX);
  CHECK(m.integer("absent", 7) == 7);
  for (const char* key : {"big", "f", "b", "s"}) {
    CHECK(code_of([&] { m.integer(key); }) == "TYPE");
    CHECK(code_of([&] { m.integer(key, 1); }) == "TYPE");
  }
  CHECK(code_of([&] { m.integer("absent"); }) == "HPARAM");
  CHECK(message_of([&] { m.integer("absent"); }).find("absent") != std::string::npos);
}

TEST_CASE("reals, booleans, texts and arrays are read by type") {
  Metadata m;
  m.set("f", 1.5f);
  m.set("d", 1e-300);
  m.set("i", int32_t{1});
  m.set("b", true);
  m.set("s", std::string("text"));
  m.set("a", std::vector<float>{1, 2});
  CHECK(m.real("f") == 1.5);
  CHECK(m.real("d", 2) == 1e-300);
  CHECK(m.real("absent", 2) == 2);
  CHECK(code_of([&] { m.real("i"); }) == "TYPE");
  CHECK(code_of([&] { m.real("absent"); }) == "HPARAM");
  CHECK(m.boolean("b", false));
  CHECK(m.boolean("absent", true));
  CHECK(code_of([&] { m.boolean("i", true); }) == "TYPE");
  CHECK(m.text("s") == "text");
  CHECK(m.text("absent", "x") == "x");
  CHECK(code_of([&] { m.text("i"); }) == "TYPE");
  CHECK(code_of([&] { m.text("absent"); }) == "HPARAM");
  REQUIRE(m.array<float>("a"));
  CHECK(m.array<float>("a")->size() == 2);
  CHECK(m.array<float>("absent") == nullptr);
  CHECK(code_of([&] { m.array<double>("a"); }) == "TYPE");
  CHECK(code_of([&] { m.array<std::string>("s"); }) == "TYPE");
}

TEST_CASE("the keyed hash spreads and depends on every byte") {
  std::set<uint64_t> seen;
  std::string text;
  for (int length = 0; length <= 40; ++length) {
    for (int at = 0; at < length; ++at)
      for (const char c : {'\0', '\x01', 'b'}) {
        std::string changed(static_cast<size_t>(length), 'a');
        changed[static_cast<size_t>(at)] = c;
        REQUIRE(seen.insert(keyed_hash(changed)).second);
      }
    REQUIRE(seen.insert(keyed_hash(std::string(static_cast<size_t>(length), 'a'))).second);
  }
  CHECK(keyed_hash("abc") == keyed_hash("abc"));
}
