// Chat templates: the texts of known models, the language's corners, and hostile templates with their exact error codes.
// The comparison with jinja2 is in tests/python/test_template.py.
#include <doctest/doctest.h>
#include <pthread.h>

#include <chrono>
#include <functional>
#include <string>

#include "phial/chat_template.h"
#include "phial/error.h"

using namespace phial;

namespace {

std::string render(const std::string& source, const std::string& variables = "{}", const TemplateBudget& budget = {}) {
  return ChatTemplate(source).render(variables, budget);
}

/// The code and text of the error; fails the test when there is none.
std::pair<std::string, std::string> error_of(const std::string& source, const std::string& variables = "{}",
                                             const TemplateBudget& budget = {}) {
  try {
    const std::string text = render(source, variables, budget);
    FAIL_CHECK("no error; text of " << text.size() << " bytes for " << source.substr(0, 80));
  } catch (const Error& e) {
    return {e.code_text(), e.what()};
  }
  return {};
}

std::string code_of(const std::string& source, const std::string& variables = "{}") { return error_of(source, variables).first; }

std::string repeat(const std::string& text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

constexpr const char* kPhi35 =
    "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\\n' + "
    "message['content'] + '<|end|>\\n'}}"
    "{% elif message['role'] == 'user' %}{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == "
    "'assistant' %}"
    "{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|assistant|>\\n' }}"
    "{% else %}{{ eos_token }}{% endif %}";

#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
constexpr size_t kSmallStack = 4 << 20;  // frames are several times larger in such builds
#else
constexpr size_t kSmallStack = 256 << 10;
#endif

/// Runs on a thread with a small stack.
void on_small_stack(const std::function<void()>& body) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, kSmallStack) == 0);
  pthread_t thread;
  const auto run = [](void* p) -> void* {
    (*static_cast<const std::function<void()>*>(p))();
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&body)) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

}  // namespace

TEST_CASE("Phi-3.5's template") {
  const std::string messages =
      R"("messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Gr\u00fc\u00dfe"}])";
  CHECK(render(kPhi35, "{" + messages + R"(, "add_generation_prompt": true})") ==
        "<|system|>\nBe brief.<|end|>\n<|user|>\nGr\u00fc\u00dfe<|end|>\n<|assistant|>\n");
  CHECK(render(kPhi35, "{" + messages + R"(, "add_generation_prompt": false, "eos_token": "<|endoftext|>"})") ==
        "<|system|>\nBe brief.<|end|>\n<|user|>\nGr\u00fc\u00dfe<|end|>\n<|endoftext|>");
  CHECK(render(kPhi35, R"({"messages": []})") == "");
  CHECK(code_of(kPhi35, R"({"messages": [{"role": "user"}]})") == "TEMPLATE");  // content is missing
}

TEST_CASE("one template renders many times, also after an error") {
  const ChatTemplate t("{% for m in messages %}{{ m.content }}{% endfor %}");
  CHECK(t.render(R"({"messages": [{"content": "a"}]})") == "a");
  CHECK_THROWS_AS(t.render(R"({"messages": 5})"), Error);
  CHECK(t.render(R"({"messages": [{"content": "b"}, {"content": "c"}]})") == "bc");
}

TEST_CASE("white space: trim_blocks, lstrip_blocks, signs") {
  CHECK(render("a\n  {% if true %}\nb\n  {% endif %}\nc\n") == "a\nb\nc");
  CHECK(render("a {{- 1 -}} b") == "a1b");
  CHECK(render("a\n  {%+ if true %}b{% endif +%}\nc") == "a\n  b\nc");
  CHECK(render("{# note #}\nx{% raw %}{{ y }}{% endraw %}") == "x{{ y }}");
}

TEST_CASE("scopes, namespaces, macros") {
  CHECK(render("{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}") == "2,3,1");
  CHECK(render("{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}") == "3");
  CHECK(render("{% macro m(a, b='x') %}{{ a }}{{ b }}{{ caller() }}{% endmacro %}{% call m(1) %}!{% endcall %}") == "1x!");
  CHECK(render("{% for i in [1, [2, [3]]] recursive %}{{ loop(i) if i is iterable else i }}{% endfor %}") == "123");
  CHECK(render("{% generation %}a{% endgeneration %}b") == "ab");
}

TEST_CASE("raise_exception's message and the line reach the user") {
  const auto [code, text] = error_of("\n\n{{ raise_exception('Only user and assistant roles!') }}");
  CHECK(code == "TEMPLATE");
  CHECK(text.find("Only user and assistant roles!") != std::string::npos);
  CHECK(text.find("line 3") != std::string::npos);
  CHECK(error_of("a\n{% if x %}").second.find("line 2") != std::string::npos);
}

TEST_CASE("strftime_now tells the given time") {
  CHECK(render("{{ strftime_now('%d %b %Y') }}", R"({"strftime_now": "2026-07-26T12:00:00"})") == "26 Jul 2026");
  CHECK(render("{{ strftime_now('%Y')|int > 2024 }}") == "True");
}

TEST_CASE("variables must be a JSON object") {
  CHECK(code_of("x", "[1]") == "JSON");
  CHECK(code_of("x", "{") == "JSON");
  CHECK(code_of("x", R"({"strftime_now": "yesterday"})") == "ARGUMENT");
  CHECK(code_of("x", "{\"a\": " + repeat("[", 200) + repeat("]", 200) + "}") == "DEPTH");
}

TEST_CASE("D07: no way to Python's object model") {
  for (const char* expression : {"x.__class__",
                                 "x.__class__.__mro__[1].__subclasses__()",
                                 "''.__class__.__base__",
                                 "cycler.__init__.__globals__",
                                 "joiner.__init__.__globals__.os",
                                 "self.__init__",
                                 "namespace.__init__",
                                 "x['__class__']['__mro__']",
                                 "x|attr('__class__')",
                                 "[]|map(attribute='__class__')|list|first.__class__",
                                 "(1).__class__",
                                 "range.__self__",
                                 "'{0.__class__}'.format(x)",
                                 "raise_exception.__globals__",
                                 "x.append(1)",
                                 "l.append(1)",
                                 "d.update({})",
                                 "namespace(_x=1)",
                                 "d.pop('a')",
                                 "l.sort()",
                                 "loop.__class__",
                                 "m.__call__"}) {
    CAPTURE(expression);
    CHECK(code_of(std::string("{% macro m() %}{% endmacro %}{{ ") + expression + " }}",
                  R"({"x": "text", "l": [1], "d": {"a": 1}})") == "TEMPLATE");
  }
}

TEST_CASE("D08: steps, bytes and seconds are bounded") {
  for (const char* source : {"{% for i in range(10**9) %}x{% endfor %}",
                             "{% for i in range(10**5) %}{% for j in range(10**5) %}{% endfor %}{% endfor %}",
                             "{{ 'a' * 10**9 }}",
                             "{{ [0] * 10**10 }}",
                             "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
                             "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
                             "{{ 'x'.center(10**9) }}",
                             "{{ '%1000000000d' % 1 }}",
                             "{{ '{:>1000000000}'.format(1) }}",
                             "{{ 'ab'|indent(10**9) }}",
                             "{{ ('a' * 10**6).replace('a', 'b' * 10**6) }}",
                             "{{ [1]|tojson(indent=10**9) }}",
                             "{{ (['a'] * 10**5)|join('x' * 10**5) }}",
                             "{% set ns = namespace(a=[]) %}{% for i in range(100000) %}{% for j in range(100000) %}{% set ns.a "
                             "= [ns.a, i] %}{% endfor %}{% endfor %}",
                             "{% for i in range(100000) %}{% for j in range(1000) %}{{ 'a long text that is written very often' "
                             "}}{% endfor %}{% endfor %}",
                             "{% set s = 'ab' * 10**6 %}{% for i in range(100000) %}{{ s.count('b') and '' }}{% endfor %}",
                             "{{ 'x'.zfill(10**9) }}",
                             "{{ 'x'.ljust(10**9) }}",
                             "{{ '\t'.expandtabs(10**9) }}",
                             "{{ [1]|batch(10**9, 0)|list }}",
                             "{{ (range(99999)|list * 600)|sort|length }}"}) {
    CAPTURE(source);
    const auto start = std::chrono::steady_clock::now();
    CHECK(code_of(source) == "BUDGET");
    CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < 20);  // a hang, not a race
  }
  TemplateBudget small;
  small.max_steps = 1000;
  CHECK(error_of("{% for i in range(2000) %}{% endfor %}", "{}", small).first == "BUDGET");
  small = {};
  small.max_bytes = 100000;
  CHECK(error_of("{{ 'a' * 200000 }}", "{}", small).first == "BUDGET");
  TemplateBudget patient;  // about bytes, on however slow a machine
  patient.max_seconds = 600;
  CHECK(render("{% for i in range(100000) %}{% set x = 'a' * 1000 %}{% endfor %}done", "{}", patient) ==
        "done");  // what is dropped counts no longer
}

TEST_CASE("D09: nesting is bounded, on a stack of 256 KiB") {
  const auto check = [](const std::string& source) {
    std::string code = "none";
    on_small_stack([&] {
      try {
        render(source);
      } catch (const Error& e) {
        code = e.code_text();
      }
    });
    CAPTURE(source.substr(0, 80));
    CHECK(code == "DEPTH");
  };
  check("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  check(
      "{% macro m(x) %}{% if true %}{% for i in [1] %}{% set y %}{{ ((m([x]))) }}{% endset %}{% endfor %}{% endif %}{% endmacro "
      "%}{{ m(1) }}");
  check("{{ " + repeat("(", 10000) + "1" + repeat(")", 10000) + " }}");
  check("{{ " + repeat("[", 10000) + repeat("]", 10000) + " }}");
  check("{{ " + repeat("{'a':", 10000) + "1" + repeat("}", 10000) + " }}");
  check("{{ " + repeat("-", 10000) + "1 }}");
  check("{{ " + repeat("not ", 10000) + "1 }}");
  check("{{ 1" + repeat("+1", 10000) + " }}");
  check("{{ a" + repeat(".a", 10000) + " }}");
  check("{{ a" + repeat("|e", 10000) + " }}");
  check("{{ a" + repeat("()", 10000) + " }}");
  check("{{ a" + repeat("[a", 10000) + repeat("]", 10000) + " }}");
  check("{{ a" + repeat(" and a", 10000) + " }}");
  check("{{ " + repeat("a if a else ", 10000) + "1 }}");
  check("{{ " + repeat("a(", 10000) + repeat(")", 10000) + " }}");
  check("{{ a " + repeat("is eq (a ", 10000) + repeat(")", 10000) + " }}");
  check(repeat("{% if a %}", 10000) + repeat("{% endif %}", 10000));
  check(repeat("{% for a in b %}", 10000) + repeat("{% endfor %}", 10000));
  check(repeat("{% filter e %}", 10000) + repeat("{% endfilter %}", 10000));
  check("{% set " + repeat("(", 10000) + "a" + repeat(")", 10000) + " = 1 %}");
  check("{% set ns = namespace(a=1) %}{% for i in range(5000) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a }}");
  check("{% set ns = namespace(a=1) %}{% for i in range(5000) %}{% set ns.a = {'a': ns.a} %}{% endfor %}{{ ns.a|tojson }}");
  check(
      "{% set ns = namespace(a=1, b=1) %}{% for i in range(5000) %}{% set ns.a = [ns.a] %}{% set ns.b = [ns.b] %}{% endfor %}{{ "
      "ns.a == ns.b }}");
  check(
      "{% set ns = namespace(a=[1]) %}{% for i in range(5000) %}{% set ns.a = ns.a|map('string') %}{% endfor %}{{ ns.a|list }}");
  check("{% for i in [1] recursive %}{{ loop([i]) }}{% endfor %}");
  CHECK(render("{{ [1, 2] == [1] }}{{ [[1]] == [[1], 2] }}") == "FalseFalse");
}

TEST_CASE("chains and cycles of objects are freed without using the stack") {
  on_small_stack([] {
    CHECK(render("{% set ns = namespace(a=1) %}{% for i in range(90000) %}{% set ns.a = [ns.a] %}{% endfor %}ok") == "ok");
    CHECK(render("{% set ns = namespace() %}{% set ns.a = ns %}{% set ns.b = [ns] %}{{ ns }}") ==
          "<Namespace {'a': <Namespace {...}>, 'b': [<Namespace {...}>]}>");
    CHECK(render("{% macro m() %}{% macro n() %}{{ n }}{% endmacro %}{{ n() }}{% endmacro %}{{ m() }}") == "<Macro 'n'>");
    CHECK(render(repeat("{% if true %}", 97) + "{{ " + repeat("1 + ", 240) + "1 }}" + repeat("{% endif %}", 97)) == "241");
    CHECK(render("{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{{ n }},{% endmacro %}{{ m(20) }}").size() == 53);
  });
}

TEST_CASE("syntax errors are TEMPLATE errors") {
  for (const char* source : {"{{",
                             "{% if",
                             "{% if x %}",
                             "{{ }}",
                             "{% nope %}",
                             "{{ 1 + }}",
                             "{{ x|nope }}",
                             "{{ x is nope }}",
                             "{{ 'a }}",
                             "{% set 1 = 2 %}",
                             "{% endfor %}",
                             "{% break %}",
                             "{# x",
                             "{% raw %}",
                             "{{ 99999999999999999999 }}",
                             "\xff{{ x }}",
                             "{{ a b }}",
                             "{% do x %}",
                             "{{ '\\ud800' }}",
                             "{% include 'x' %}",
                             "{% extends 'x' %}",
                             "{% import 'x' as y %}"}) {
    CAPTURE(source);
    CHECK(code_of(source) == "TEMPLATE");
  }
}
