// JSON under our limits: depth, repeated keys, trailing data, positions in messages, order, small stacks.
#include "base/json.h"

#include <cmath>

#include "base/json_writer.h"
#include "test_files.h"

using namespace phial;
using namespace phial::test;

namespace {

std::string code(std::string_view text, JsonLimits limits = {}) {
  const std::string a = code_of([&] { parse_json(text, "t.json", limits); });
  const std::string b = code_of([&] { parse_ordered_json(text, "t.json", limits); });
  CHECK(a == b);
  return a;
}

std::string nested(size_t depth, std::string_view open, std::string_view close) {
  std::string text;
  for (size_t i = 0; i < depth; ++i) text += open;
  for (size_t i = 0; i < depth; ++i) text += close;
  return text;
}

}  // namespace

TEST_CASE("json trees equal those of the library") {
  for (const char* text :
       {R"({"a":[1,-2,3.5,"x",true,false,null,{"b":{}}],"c":[],"d":{"e":[[[]]]}})", "[]", "3", "\"\\u00e9\\ud83d\\ude00\"",
        "18446744073709551615", "-9223372036854775808", "123456789012345678901234567890", " {\n} ", "null"}) {
    CAPTURE(text);
    CHECK(parse_json(text, "t") == Json::parse(text));
    CHECK(parse_ordered_json(text, "t") == OrderedJson::parse(text));
  }
  CHECK(parse_ordered_json(R"({"z":1,"a":{"y":2,"b":3},"m":4})", "t").dump() == R"({"z":1,"a":{"y":2,"b":3},"m":4})");
}

TEST_CASE("what is not one JSON document is refused with its place") {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[1,",
                           "{\"a\"}",
                           "{\"a\":1,}",
                           "[1 2]",
                           "{} {}",
                           "nul",
                           "NaN",
                           "1e999",
                           "'a'",
                           "\"\x01\"",
                           "\"\\ud800\"",
                           "\"\xff\"",
                           "\"\xc0\x80\"",
                           "\"\xed\xa0\x80\"",
                           "// c\n1",
                           "01",
                           "+1",
                           "1.",
                           "\"abc"}) {
    CAPTURE(text);
    CHECK(code(text) == "JSON");
  }
  CHECK(code(std::string_view("1\0", 2)) == "JSON");
  CHECK(code(std::string_view("{}\0{", 4)) == "JSON");
  const std::string message = message_of([] { parse_json("{\"a\": x}", "dir/t.json"); });
  CHECK(message.find("dir/t.json") != std::string::npos);
  CHECK(message.find("byte 7") != std::string::npos);
}

TEST_CASE("depth is limited, without recursion") {
  CHECK(code(nested(128, "[", "]")) == "none");
  CHECK(code(nested(129, "[", "]")) == "DEPTH");
  CHECK(code(nested(128, "{\"a\":[", "]}"), {256, false}) == "none");
  CHECK(code(nested(128, "{\"a\":[", "]}"), {255, false}) == "DEPTH");
  const std::string hostile = nested(1'000'000, "[", ""), deep = nested(5000, "{\"k\":[", "]}");
  on_small_stack([&] {
    CHECK(code(hostile) == "DEPTH");
    CHECK(code(hostile, {1 << 30, false}) == "JSON");
    CHECK(code(deep, {20000, false}) == "none");  // the tree goes away without recursion, too
  });
}

TEST_CASE("repeated keys are refused at any level, or the last wins") {
  CHECK(code(R"({"a":1,"b":2,"a":3})") == "DUP");
  CHECK(code(R"([{"x":{"a":1,"\u0061":2}}])") == "DUP");
  CHECK(code(R"([{"a":1},{"a":1}])") == "none");
  CHECK(message_of([] { parse_json("{\"\\u001b[1m\":1,\"\\u001b[1m\":2}", "t"); }).find("\\x1b[1m") != std::string::npos);
  const char* text = R"({"a":1,"b":2,"a":[3],"c":4})";
  CHECK(parse_json(text, "t", {128, true}).dump() == R"({"a":[3],"b":2,"c":4})");
  CHECK(parse_ordered_json(text, "t", {128, true}).dump() == R"({"a":[3],"b":2,"c":4})");
}

TEST_CASE("objects with many keys stay in order") {
  std::string text = "{";
  constexpr int kKeys = 50000;
  for (int i = 0; i < kKeys; ++i) text += (i ? ",\"k" : "\"k") + std::to_string((i * 7919) % kKeys) + "\":" + std::to_string(i);
  text += "}";
  const OrderedJsonTree json = parse_ordered_json(text, "t");
  REQUIRE(json.size() == kKeys);
  int i = 0;
  for (const auto& [key, value] : json.items()) REQUIRE(value.get<int>() == i++);
}

TEST_CASE("JSON written value by value is what the library prints of the tree") {
  JsonWriter w;
  w.begin_object();
  w.member("text", std::string("a\"\\\n\x1b\xc3\xb6\xff\xf0\x9f\x98\x80"));
  w.member("\xc3\xb6", -3);
  w.member("big", ~uint64_t{0});
  w.member("real", 0.1);
  w.member("nan", NAN);
  w.member("yes", true);
  w.member("none", std::vector<int64_t>{});
  w.member("names", std::vector<std::string>{"x", "y"});
  w.key("rows");
  w.begin_array();
  for (int i = 0; i < 2; ++i) {
    w.begin_object();
    w.member("i", i);
    w.end_object();
  }
  w.begin_object();
  w.end_object();
  w.end_array();
  w.key("raw");
  w.raw("[1]");
  w.end_object();
  const OrderedJson tree{{"text", "a\"\\\n\x1b\xc3\xb6\xff\xf0\x9f\x98\x80"},
                         {"\xc3\xb6", -3},
                         {"big", ~uint64_t{0}},
                         {"real", 0.1},
                         {"nan", NAN},
                         {"yes", true},
                         {"none", OrderedJson::array()},
                         {"names", {"x", "y"}},
                         {"rows", {{{"i", 0}}, {{"i", 1}}, OrderedJson::object()}}};
  std::string want = tree.dump(1, ' ', true, OrderedJson::error_handler_t::replace);
  want.insert(want.size() - 2, ",\n \"raw\": [1]");
  CHECK(w.take() == want);
}
