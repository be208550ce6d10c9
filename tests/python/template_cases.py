"""What test_template.py renders with both engines: conversations for the real templates, and pieces of the language."""

USER = {"role": "user", "content": "Hello, wörld! 你好 🎉"}
TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Get \"weather\" <now> & é",
        "parameters": {"type": "object", "required": ["city"], "properties": {
            "city": {"type": "string", "description": "The city", "enum": ["a", "b"]},
            "n": {"type": ["integer", "null"], "default": 3},
            "opts": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}}}},
        "return": {"type": "string"}}},
    {"type": "function", "function": {"name": "noop", "description": "d", "parameters": {"type": "object", "properties": {}}}},
]


def call(arguments, call_id="call_12345"):
    return {"role": "assistant", "content": None,
            "tool_calls": [{"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}]}


def result(content, call_id="call_12345"):
    return {"role": "tool", "name": "get_weather", "tool_call_id": call_id, "content": content}


MESSAGES = {
    "user": [USER],
    "system": [{"role": "system", "content": "You are  helpful.\n"}, USER],
    "multi": [{"role": "system", "content": "S"}, USER, {"role": "assistant", "content": " fine "},
              {"role": "user", "content": "and\nyou?"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nok"},
              {"role": "user", "content": "x"}],
    "none": [],
    "empty": [{"role": "system", "content": ""}, {"role": "user", "content": ""}, {"role": "assistant", "content": ""},
              {"role": "user", "content": " "}],
    "no content": [{"role": "user"}],
    "no role": [{"content": "x"}],
    "unknown role": [{"role": "banana", "content": "x"}],
    "two users": [USER, USER],
    "assistant first": [{"role": "assistant", "content": "a"}, USER],
    "assistant last": [USER, {"role": "assistant", "content": "done"}],
    "reasoning": [USER, {"role": "assistant", "content": "ans", "reasoning_content": "because", "thinking": "because"}, USER],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "see "}, {"type": "image"},
                                           {"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "this"}]}],
    "system parts": [{"role": "system", "content": [{"type": "text", "text": "sys"}]},
                     {"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    "video": [{"role": "user", "content": [{"type": "video"}, {"type": "audio"}, {"type": "text", "text": "t"}]}],
    "tool call": [USER, call({"city": "Paris", "n": 2, "ok": True, "z": None, "f": 1.5, "l": [1, "é"]}), result('{"t": 21}'),
                  {"role": "assistant", "content": "21"}, USER],
    "tool call as text": [USER, call('{"city": "Paris"}'), result("ok")],
    "tool call, nine letters": [USER, call({"city": "Paris"}, "abcdefghi"), result("ok", "abcdefghi")],
    "two tool calls": [{"role": "system", "content": "S"}, USER,
                       {"role": "assistant", "content": "let me", "tool_calls": [
                           {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "A"}}},
                           {"id": "b", "type": "function", "function": {"name": "noop", "arguments": {}}}]},
                       result("1", "a"), result("2", "b")],
    "bare tool call": [USER, {"role": "assistant", "tool_calls": [{"name": "noop", "arguments": {}}]},
                       {"role": "tool", "content": [{"type": "text", "text": "r"}]}],
    "developer": [{"role": "developer", "content": "D"}, USER],
    "special tokens": [{"role": "user", "content": "<|im_end|> </s> {{ x }} {% y %}"}],
    "number": [{"role": "user", "content": 42}],
    "long": [{"role": ["user", "assistant"][i % 2], "content": "m%d" % i} for i in range(21)],
}


def conversations():
    """(name, variables) of every conversation under several settings."""
    marks = {"bos_token": "<s>", "eos_token": "</s>"}
    for name, messages in MESSAGES.items():
        for prompt in (True, False):
            for kind, tools in (("no tools", {"tools": None}), ("tools", {"tools": TOOLS}), ("tools absent", {})):
                yield f"{name}, {kind}, prompt {prompt}", {"messages": messages, "add_generation_prompt": prompt, **marks, **tools}
        yield f"{name}, messages only", {"messages": messages}
        yield f"{name}, everything", {
            "messages": messages, "tools": TOOLS, "documents": [{"title": "T", "text": "body"}], "enable_thinking": False,
            "thinking": True, "add_generation_prompt": True, "reasoning_effort": "high", "date_string": "26 Jul 2026", **marks}


VARIABLES = {
    "n": 7, "m": -3, "z": 0, "f": 2.5, "big": 1e22, "small": 1.5e-7, "t": True, "no": False, "nothing": None,
    "s": "Hello World", "u": "Ünïcödé straße 你好 🎉", "e": "", "html": "<a href='x'>\"b\" & c</a>", "sp": "  pad \t\n",
    "l": [3, 1, 2], "words": ["b", "A", "c", "a"], "nested": [[1, 2], [3, [4, 5]]], "el": [], "mixed": [1, "a", None, 2.0, True],
    "d": {"b": 1, "a": "two", "items": 5, "k": {"x": [1, {"y": "deep"}]}}, "ed": {},
    "people": [{"name": "Bob", "age": 30, "city": "X"}, {"name": "alice", "age": 25, "city": "Y"}, {"name": "Carl", "age": 30, "city": "x"}],
    "lines": "a\nb\n\n c\n", "csv": "a,b,,c",
}

# Expressions, each printed as {{ ... }}.
EXPRESSIONS = r"""
n + 1
n - m * 2
n / 2
n // 2
m // 2
n % 4
m % 4
m % -4
-n % 4
n ** 2
2 ** -1
2 ** 3 ** 2
-2 ** 2
f // 1
f % 2
-f % 2
7.0 / 2
1 / 3
1e16
1e15
123456789012345678
0.1 + 0.2
1.0
100.0 * 3
1e-5
0.0001
big
small
-0.0
1_000 + 0x1F + 0b11 + 0o17
1_0.5_0
1e3
+n
- - n
not n
not not s
n == 7.0
1 == true
0 == false
"1" == 1
n > 3 > 1
1 < n < 5
1 < 2 > 1 != 3
n in l
3 in l
"ell" in s
"x" not in s
not "x" in s
"b" in d
nothing in l
[1] in [[1], 2]
1.0 in l
n and s
z or s
e or el or "last"
z and boom()
n if t else m
n if no
(n if no) is defined
n if no else m if no else 5
1 if t else 2 if no else 3
"a" "b" 'c'
s ~ n ~ f ~ t ~ nothing ~ l
1 + 2 ~ 3
1 ~ 2 * 3
"a" * 3
3 * "ab"
l * 2
[] + l
(1, 2) + (3,)
l + [4]
(1,)
()
(1, 2, "x")
1, 2
{}
{"a": 1, 'b': [1, (2,)], 3: none}
{1: "x"}[1]
[1, [2, {"a": "it's"}], 'say "hi"', "both ' and \""]
"tab\there\\ \x41\u00e9\n|"
'\101\7x'
'\q \é'
"unicode é 你 🎉"|list
["\x00\x7f\u200b\xa0é\n"]
s[0]
s[-1]
s[100]
s[1:4]
s[::-1]
s[::2]
s[-3:]
s[:-3]
s[5:2]
s[10:0:-3]
u[3:9]
u[::-1]
u[-1]
l[0]
l[-1]
l[5]
l[1:]
l[::-1]
l[-2:]
l[:100]
l[none:2]
(1,2,3)[1:]
range(10)[2:8:2]
range(5)
range(1, 10, 3)
range(5, 0, -2)
range(5)[1]
range(5)|list
range(0)|list
range(5)|length
3 in range(5)
5 in range(5)
range(3) == range(0, 3)
d.b
d["a"]
d.k.x[1].y
d.items
d["items"]
d.missing
d.missing is defined
d.missing.more
missing
missing.attr
missing["k"]
missing()
missing + 1
missing ~ "x"
missing == nothing
missing == other_missing
missing is none
missing < 1
1 < missing
-missing
missing|default("x")
missing|d
missing|length
missing|list
missing|join
missing|upper
missing|int
missing|first
missing|last
missing|tojson
"%s" % missing
"abc" % missing
missing in l
"a" in missing
missing is sequence
missing is iterable
missing is callable
missing|reverse|list
missing|sum
missing|items|list
missing|dictsort
missing|string
missing|trim
missing|float
missing|abs
missing|sort
missing|max
missing|map("upper")|list
missing|select|list
nothing.x
nothing["x"]
nothing.x.y
nothing|length
nothing + 1
nothing|upper
nothing|list
nothing|default("x")
nothing|default("x", true)
nothing[0]
n.x
n[0]
n()
s.nope
s.x.y
l.nope
l.x
l["x"]
d[none]
d[l]
d[1]
l[s]
l["0"]
"abc".upper()
s.lower()
s.title()
u.upper()
u.lower()
u.title()
u.capitalize()
u.swapcase()
u.casefold()
"ΑΣ ΑΣΑ"|lower
"ﬁne ǆ İ"|upper
"ǆabc"|title
"ǆabc"|capitalize
"they're bill's".title()
"they're bill's"|title
"hello-world (foo) [bar] {baz} <x>"|title
"hELLO wORLD"|capitalize
sp.strip()
sp.lstrip()
sp.rstrip()
"xxhixx".strip("x")
"abcba".strip("ab")
"xxhixx".lstrip("x")
"xxhixx".rstrip("x")
"xx".strip("x")
sp|trim
"xxhixx"|trim("x")
"\u3000a\u00a0"|trim
csv.split(",")
csv.split(",", 1)
csv.split(",", -1)
csv.split(sep=",", maxsplit=2)
csv.rsplit(",", 1)
"a  b \t c".split()
" a b c ".split(none, 1)
" a b c ".rsplit(none, 1)
"".split()
"".split(",")
"a".split("")
"abc".split("b")
lines.splitlines()
lines.splitlines(true)
"a\r\nb\rc\x0bd\u2028e".splitlines()
"".splitlines()
s.startswith("He")
s.startswith(("x", "He"))
s.endswith("ld")
s.startswith("l", 2)
s.startswith("Hello", 0, 3)
s.endswith("lo", 0, 5)
s.startswith(1)
s.find("o")
s.find("o", 5)
s.find("zz")
s.rfind("o")
s.index("o")
s.index("zz")
u.find("你")
s.count("l")
s.count("")
"aaaa".count("aa")
s.replace("l", "L")
s.replace("l", "L", 1)
s.replace("", "-")
"".replace("", "x")
"ab".replace("", "-", 2)
s.replace("l", "L", count=1)
s|replace("l", "L")
s|replace("l", "L", 2)
n|replace(7, 8)
",".join(["a", "b"])
",".join([1, 2])
"".join([])
"-".join("abc")
"-".join(d)
s.center(20) ~ "|"
s.center(20, "*")
"ab".center(5) ~ "|"
"abc".center(6) ~ "|"
s.ljust(15, ".")
s.rjust(15)
"-42".zfill(6)
"42".zfill(1)
"a=b=c".partition("=")
"a=b=c".rpartition("=")
"abc".partition("x")
"abc".rpartition("x")
"prefix-x".removeprefix("prefix-")
"x.py".removesuffix(".py")
"a\tb".expandtabs()
"a\tb".expandtabs(4)
"abc".isalpha()
"abc1".isalnum()
"123".isdigit()
"½".isnumeric()
"²".isdigit()
"²".isdecimal()
"".isalpha()
" ".isspace()
"Abc".istitle()
"abc".islower()
"ABC".isupper()
"1".isupper()
"abc".isascii()
"é".isascii()
"a_1".isidentifier()
"1a".isidentifier()
"a\n".isprintable()
"abc".translate({97: "x", 98: none})
"{} {}".format(1, "a")
"{0} {1} {0}".format(1, 2)
"{a} {b}".format(a=1, b=[1])
"{:>10}|{:<5}|{:^7}|".format("a", "b", "c")
"{:05d} {:+d} {:x} {:#x} {:b} {:,}".format(42, 7, 255, 255, 5, 1234567)
"{:.2f} {:e} {:g} {:%}".format(3.14159, 12345.678, 0.00001, 0.25)
"{:*^20}".format("hi")
"{:10.3f}|{:<10}|{:>+8.1f}".format(3.14159, 2.5, 1.25)
"{!r} {!s}".format("a", "b")
"{0.a} {0[b]}".format({"a": 1, "b": 2})
"{0[0]} {1[x]}".format([5], {"x": 6})
"{{}} {}".format(1)
"{:{w}}|".format("a", w=5)
"{}".format()
"{".format(1)
"{:d}".format("x")
"{:_} {:.3}".format(1234567, "abcdef")
"{:08.3f}".format(-3.14159)
"{:,.2f}".format(1234567.891)
"{:.3}".format(1234.5)
"{:n}".format(5)
"{:c}".format(65)
"{}".format(missing)
"{}".format(true)
"{:>6}".format(true)
"{:5}".format(nothing)
"{.__class__}".format(1)
"{x}".format_map({"x": 5})
"%s and %s" % (1, "a")
"%d %i %05d %+d %-5d|" % (1, 2, 3, 4, 5)
"%5.2f|%-8.3e|%g" % (3.14159, 1234.5, 0.0001)
"%x %X %o %#x" % (255, 255, 8, 255)
"%r %s" % ("a", "b")
"%(a)s %(b)d" % {"a": 1, "b": 2}
"%%" % ()
"%s" % "x"
"%s" % (l,)
"%s" % l
"%s %s" % (1,)
"%s" % (1, 2)
"%d" % "x"
"%d" % 2.7
"%c%c" % (65, "b")
"%10s|%-10s|" % ("a", "b")
"%.2s" % "abc"
"abc" % {}
"abc" % 1
"%y" % 1
"%*d" % (5, 42)
"%s"|format("x")
"%s %s"|format(1, 2)
"%(a)s"|format(a=1)
d.keys()
d.values()|list
d.items()|list
d.keys()|list
d.items()
d.get("b")
d.get("zz")
d.get("zz", 5)
d.copy()
d.pop("b")
d.update({"a": 1})
d.setdefault("q", 1)
d.clear()
l.append(4)
l.pop()
l.sort()
l.index(2)
l.index(99)
l.count(1)
l.copy()
l.extend([1])
l.insert(0, 1)
l.reverse()
l.remove(1)
(1, 2, 2).count(2)
(1, 2).index(2)
ed.items()|list
"b" in d.keys()
1 in d.values()
("b", 1) in d.items()
d.keys()|length
d.keys()[0]
dict(a=1, b=2)
dict([("a", 1)], c=2)
dict({"x": 1}, x=2)
dict(1)
dict()
namespace(a=1).a
namespace(a=1).b
namespace({"a": 2}).a
namespace(_a=1)
n|abs
m|abs
f|abs
s|abs
t|abs
l|length
s|length
u|length
d|count
n|length
l|first
l|last
s|first
s|last
el|first
el|last
d|first
d|last
range(3)|last
l|sort
l|sort(reverse=true)
l|sort(true)
words|sort
words|sort(case_sensitive=true)
mixed|sort
people|sort(attribute="age")|map(attribute="name")|list
people|sort(attribute="age,name")|map(attribute="name")|list
people|sort(attribute="name", case_sensitive=true)|map(attribute="name")|list
people|sort(attribute="age", reverse=true)|map(attribute="name")|list
people|sort(attribute="nope")|list
nested|sort
d|sort
s|sort
l|min
l|max
el|min
words|min
words|max(case_sensitive=true)
people|max(attribute="age")
mixed|max
l|sum
el|sum
people|sum(attribute="age")
l|sum(start=10)
nested|sum(start=[])
words|sum
words|sum(start="")
l|join
l|join(", ")
people|join("; ", attribute="name")
nested|join("-")
s|join("-")
d|join("-")
nothing|join
el|join("x")
l|reverse|list
s|reverse
u|reverse
range(3)|reverse|list
d|reverse|list
(1, 2)|reverse|list
l|map("string")|reverse|list
n|reverse
l|list
s|list
d|list
n|list
l|unique|list
[1, 1.0, true, "a", "A"]|unique|list
["a", "A"]|unique(true)|list
people|unique(attribute="city")|map(attribute="name")|list
[[1], [1]]|unique|list
l|batch(2)|list
l|batch(2, "x")|list
l|batch(1)|list
el|batch(2)|list
range(7)|slice(3)|list
range(7)|slice(3, "x")|list
l|slice(5)|list
l|slice(0)|list
words|map("upper")|list
words|map("upper")
words|map("nope")|list
l|map("string")|join("|")
people|map(attribute="name")|list
people|map(attribute="nope")|list
people|map(attribute="nope", default="dd")|list
people|map("attr", "name")|list
nested|map(attribute="0")|list
nested|map(attribute=1)|list
nested|map("first")|list
l|map("round", 1)|list
l|map()|list
words|map("replace", "a", "z")|list
l|select|list
l|select("odd")|list
l|reject("odd")|list
l|select("gt", 1)|list
l|select(">", 1)|list
l|select("in", [1, 2])|list
mixed|select("none")|list
mixed|select("string")|list
mixed|reject("none")|list
mixed|select("nope")|list
people|selectattr("age", "equalto", 30)|map(attribute="name")|list
people|selectattr("age", "gt", 26)|list|length
people|selectattr("nope")|list
people|rejectattr("nope")|list|length
people|rejectattr("age", "==", 30)|map(attribute="name")|list
people|selectattr("name", "in", ["Bob"])|first
people|selectattr("nope", "defined")|list
people|selectattr("age")|length
(l|select) is iterable
(l|select) is sequence
l|select|first
people|groupby("age")|list
people|groupby("city")|list
people|groupby("city", case_sensitive=true)|map(attribute="grouper")|list
people|groupby("nope", default="none")|map(attribute="list")|map("length")|list
people|groupby("age")|map("first")|list
d|dictsort
{"b": 1, "A": 3, "c": 2}|dictsort
{"b": 1, "A": 3, "c": 2}|dictsort(true)
{"b": 1, "A": 3, "c": 2}|dictsort(by="value")
{"b": 1, "A": 3, "c": 2}|dictsort(false, "value", true)
d|dictsort(by="nope")
d|items|list
l|items|list
n|string
f|string
l|string
"42"|int
"42.7"|int
"x"|int
"x"|int(5)
" 42 "|int
"0x1F"|int(0, 16)
"0x1F"|int(base=0)
"1_000"|int
"12abc"|int(-1)
"1e3"|int
"inf"|int
nothing|int
l|int
f|int
-2.7|int
t|int
"101"|int(base=2)
"3.5"|float
"x"|float
"x"|float(1.5)
n|float
"1e3"|float
"inf"|float
"nan"|float
" 1.5 "|float
"1_0.5"|float
nothing|float
f|round
3.14159|round(2)
2.5|round
3.5|round
-2.5|round
2.675|round(2)
42.55|round(1)
42.55|round(1, "ceil")
42.55|round(1, "floor")
1234.5|round(-2)
1250|round(-2)
1350|round(-2)
n|round
n|round(2)
n|round(0, "floor")
n|round(1, "ceil")
f|round(method="nope")
s|round
0.5|round
1.5|round|int
1e300|round(5)
15.0|round(-1)
25.0|round(-1)
25.5|round(-1)
s|default("x")
e|default("x", true)
e|default("x", boolean=true)
z|d(5, true)
s|upper
n|upper
l|lower
s|title
u|title
s|capitalize
s|center(20) ~ "|"
u|wordcount
"a-b c_d e.f"|wordcount
s|truncate(5)
s|truncate(5, true)
s|truncate(8, false, "..", 0)
s|truncate(5, false, "...", 0)
s|truncate(3, true, "", 0)
"a very long sentence that goes on"|truncate(15)
"a very long sentence that goes on"|truncate(15, true)
"a very long sentence that goes on"|truncate(15, leeway=0, end="…")
s|truncate(1)
lines|indent
lines|indent(2)
lines|indent(2, true)
lines|indent(2, true, true)
lines|indent("> ")
"a\n\nb"|indent(blank=true)
e|indent
"a\r\nb"|indent
n|indent
"the quick brown fox jumps over"|wordwrap(10)
"the quick brown fox jumps over"|wordwrap(10, wrapstring="|")
"averyveryverylongword short"|wordwrap(8)
"averyveryverylongword short"|wordwrap(8, false)
"well-known state-of-the-art"|wordwrap(8)
"well-known state-of-the-art"|wordwrap(8, break_on_hyphens=false)
"a\nb c d"|wordwrap(3)
"  lead and  double  spaces "|wordwrap(8)
html|e
html|escape
html|e|e
html|forceescape
html|e|forceescape
html|safe
html|striptags
"<b>a</b>  <!-- x --> &amp; b &lt;"|striptags
html|urlencode
"a b/c?d=é"|urlencode
{"a b": 1, "c": "é&"}|urlencode
[("a", 1), ("b", 2)]|urlencode
n|urlencode
{"class": "x y", "id": none, "n": 5, "q": "<\""}|xmlattr
{"a": 1}|xmlattr(false)
{"a b": 1}|xmlattr
ed|xmlattr
(html|e) ~ html
(html|e) + html
html + (html|e)
("%s"|safe) % html
("<%s>"|safe).join(["&", "b"|safe])
(html|safe)|upper
(html|safe).replace("a", "<")
"{}"|safe|format(1)
("<{}>"|safe).format("<")
[html|safe]
html|safe|string is escaped
html|e is escaped
html is escaped
1|filesizeformat
500|filesizeformat
1500|filesizeformat
1000000|filesizeformat
1500000000|filesizeformat
1536|filesizeformat(true)
1024|filesizeformat(true)
"2000"|filesizeformat
1e27|filesizeformat
999.9|filesizeformat
d|tojson
l|tojson
s|tojson
u|tojson
u|tojson(ensure_ascii=true)
html|tojson
f|tojson
big|tojson
1e-7|tojson
100.0|tojson
nothing|tojson
t|tojson
d|tojson(indent=2)
d|tojson(indent=0)
d|tojson(true)
d|tojson(false, 2)
d|tojson(indent="--")
d|tojson(separators=(",", ":"))
d|tojson(separators=(",", ":"), indent=1)
{"b": 1, "a": {"z": 1, "y": 2}}|tojson(sort_keys=true)
{1: 2, true: 3, none: 4, 1.5: 5}|tojson
{(1,): 2}|tojson
(1, (2, 3))|tojson
"\u0001\x7f\u2028\"\\/\b\f\n\r\t"|tojson
"\x7fé🎉"|tojson(ensure_ascii=true)
range(3)|tojson
d.items()|tojson
(l|map("string"))|tojson
el|tojson(indent=2)
ed|tojson(indent=2)
[[], {}, [1]]|tojson(indent=1)
namespace(a=1)|tojson
d|attr("b")
d|attr("keys")|string|length > 3
s|attr("upper")
s|attr("nope")
people[0]|attr("name")
l|pprint
{"b": 1, "a": [1, 2]}|pprint
[["a" * 30, "b" * 30], "c" * 30, {"k" * 20: "v" * 30, "a": 1}]|pprint
l|random in l
n is odd
n is even
n is divisibleby 7
n is divisibleby(2)
f is odd
s is odd
n is defined
missing is defined
missing is undefined
n is number
t is number
t is integer
n is integer
f is float
n is float
t is boolean
n is boolean
t is true
no is false
n is true
1 is true
nothing is none
s is string
n is string
d is mapping
l is mapping
l is sequence
s is sequence
d is sequence
n is sequence
range(3) is sequence
d.items() is sequence
l is iterable
n is iterable
s is iterable
range is callable
s is callable
s.upper is callable
s is lower
"abc" is lower
"ABC" is upper
n is upper
n is sameas n
n is sameas 7
nothing is sameas none
true is sameas true
1 is sameas true
1 is sameas 1.0
l is sameas l
[] is sameas []
n is eq 7
n is equalto(7)
n is == 7
n is ne 7
n is gt 3
n is greaterthan 3
n is ge 7
n is lt 3
n is lessthan 10
n is le 7
n is in l
3 is in l
3 is in [1, 3]
n is not in l
n is not odd
not n is odd
n is odd and f is float
"upper" is filter
"nope" is filter
"odd" is test
"nope" is test
n is nope
n is odd(1)
n is divisibleby
n is divisibleby 0
s is in "Hello World!"
n is number is number
[1, 2] == [1, 2]
[1, 2] == (1, 2)
[1, 2] < [1, 3]
(1, 2) < (1, 2, 0)
[1] < ["a"]
{"a": 1} == {"a": 1.0}
{"a": 1} < {"b": 1}
"a" < "b"
"a" < 1
"Z" < "a"
"é" > "z"
nothing < 1
nothing == nothing
l == [3, 1, 2.0]
9007199254740993 == 9007199254740992.0
9007199254740993 > 9007199254740992.0
1 < 1.5
true + true
true / 2
true ~ false
t * 3
-t
n.real
n.bit_length()
f.is_integer()
2.0.is_integer()
n.numerator
n / 0
n // 0
n % 0
f / 0
2 ** 0.5
4 ** 0.5
(-8) ** (1/3)
0 ** 0
0 ** -1
10 ** 18
1e308 * 10
1e308 ** 2
s + 1
1 + s
s * s
s * -1
s - "l"
l - l
d + d
l + (1,)
not missing
missing or "x"
missing and "x"
[missing]
{"a": missing}
[missing]|tojson
loop
self
caller
varargs
range(3)[5]
range(100001)|length
range(0, 10, 0)
range()
range("a")
range(1.5)
lipsum
cycler("a", "b").next()
cycler("a", "b").current
cycler()
joiner()
joiner("|")()
raise_exception("boom é")
raise_exception(5)
raise_exception()
strftime_now("%Y-%m-%d %H:%M:%S")
strftime_now("%d %b %Y")
strftime_now("%A, %B %d, %y %j %p %I %% %w %-d %e %F %T %u %U %W %V %G")
strftime_now("é %Y")
strftime_now("")
strftime_now(5)
strftime_now("%Z|%z|%f")
s.__class__
s.__class__.__mro__
"".__len__()
l.__len__
s["__class__"]["__mro__"]
range.__globals__
s|attr("__class__")|attr("__mro__")
cycler.__init__.__globals__
n.__add__(1)
()|list
[1, 2, 3,]
{"a": 1,}
[,]
(,)
{1}
{a: 1}
[1, 2
foo bar
1 2
n +
* n
n..x
n.
n.1
l.0
l.0.x
nested.1.1.0
l.-1
n|
|n
n|upper|
n|nope
n|upper()
n|upper(1)
n|default("a", b=1)
n|default(*["q"])
missing|default(*["q"])
missing|default(**{"default_value": "q"})
missing|default(default_value="q")
missing|default(1, 2, 3)
missing|default(boolean=true)
n(1, 2
range(*[1, 5])|list
range(*[1], **{})|list
dict(**{"a": 1}, b=2)
dict(a=1, **{"a": 2})
dict(a=1, a=2)
dict(b=1, 2)
"a" if
if
n if t else
n is
n is not
n in
(n
n)
[n)
"unterminated
'it''s'
"a\
b"
n  is   odd
n|upper  |lower
s .upper()
s . upper ( )
[l, l][0] [1]
d . k . x
True and False
None
TRUE
true.x
none.x
(true)
1if t else 2
not
and
n not
n not in l
n not 5
"x" in "xyz" == true
1 == 1 == 1
1 in [1] in [[1]]
(1 in [1]) in [true]
n|string + "x"
n|string|length
-n|abs
(-n)|abs
-1|abs
- 1 .real
2|float * 3
s|upper is upper
s|upper == "HELLO WORLD"
s[0]|lower
s.upper()|lower
d.k.x|length
l|first + 1
[1,2]|sum / 2
"a,b"|replace(",", "-")|upper
(1, 2)|tojson
{"a": l|first}
{**d}
[*l]
lambda: 1
x := 1
n; m
n ? m
@n
n & m
n | m
n ^ m
~n
!n
n != m
n <> m
n === m
$n
`n`
n \ m
#comment
"{{ not }}"
'}}'
"%}"
{"a": {"b": {}}}
{'a': '}}'}
é
ünï|default("unset")
"你好"[0]
"你好"|length
"\ud83d\ude00"
"\N{BULLET}"
"\x4"
"\u12"
"\U0001F600"
"\U00110000"
"a" "b" ~ "c"
1.
.5
1.e5
1e
0x
0xg
0b2
007
00
1__0
1_
_1
9223372036854775807
-9223372036854775807 - 1
1.7976931348623157e308
5e-324
123456789.123456789
1e100
12345678901234567.0
0.1
1/3
100
1e2
nested[1][1][0]
nested[0, 1]
d["k", "x"]
s[1:2, 3]
s["a":]
s[1.0]
l[true]
l[1.5]
l[none]
d[1:2]
n[1:2]
nothing[1:]
missing[1:]
l[::0]
l[9999999999999:]
""[0]
""[0:1]
u|batch(5)|map("join")|list
people|map(attribute="name")|map("lower")|sort|join(",")
people|selectattr("age", "ge", 30)|rejectattr("city", "eq", "X")|list
l|map("multiply", 2)|list
words|sort|first|upper
(l|sort)[0]
l|sort|last
[3, 1]|sort == [1, 3]
people[0].name.upper()[::-1]
people|length > 2 and people[0].age == 30
(people|first).name
people|first|attr("name")
s|list|unique|sort|join
s|urlize
"see https://a.b/c and www.x.com, or me@x.org."|urlize
"https://example.com/long/path"|urlize(10)
"x"|urlize(nofollow=true)
"(http://a.com)"|urlize(target="_blank")
"""

# Whole templates.
TEMPLATES = [
    # white space
    "a\n{% if t %}\nb\n{% endif %}\nc\n", "  {% if t %}\n  b\n  {% endif %}  \nc", "a {%- if t -%} b {%- endif -%} c",
    "a\n  {%+ if t %}\n b{% endif %}", "a {{- n -}} b", "a {{+ n }} b", "{{ n }}\n", "{{ n }}\n\n", "\n{{ n }}", "{{ n +}}", "{{+n}}", "{{-n}}",
    "{% if t +%}\nx{% endif %}", "{# c #}\nx", "  {# c #}\nx", "a{#- c -#} b", "a\n {#+ c +#}\n b", "{# unclosed", "{#-#}x", "{##}", "{# {{ n }} {% if %} #}y",
    "{% raw %}{{ n }}{% endraw %}", "{% raw %}\n{{ n }}\n{% endraw %}\nx", "{%- raw -%} {{ n }} {%- endraw -%} x", "a  {% raw -%}\n  b{%+ endraw +%}\n c",
    "{% raw %}x", "{%raw%}{%endraw%}x", "{% raw +%}x{% endraw %}", "x{% endraw %}", "\r\na\r{% if t %}\r\nb{% endif %}\n\r", "\t {% if t %}x{% endif %} \t",
    "x {% set a = 1 %}\n y", "\u00a0{% if t %}x{% endif %}", "{{ '\r\n' }}", "{% if t %}\n\n\nx{% endif %}\n\n\n", "{{\nn\n}}", "{%\nif t\n%}x{%\nendif\n%}",
    "{%if t%}x{%endif%}", "{%-if t-%}  x  {%-endif-%}", "a{% if t %}  \n  {% endif %}b", "   {%- if t %}x{% endif %}", "{% if t %}{# x #}  {% endif %}|",
    "a\n    {{ n }}\n    {%- if t %}\n b\n    {%- endif %}\nc", "{", "{ {", "}}", "%}", "{{", "{%", "{{ }}", "{% %}", "{{ n }", "{{ n %}", "{% if t }}", "{{{ n }}}",
    "{{ {'a': 1} }}", "{{{'a': 1}}}", "{{ {'a': {'b': 2}}}}", "a{b}c{%d", "{{ '{{' }}", "{{ '{%' }}", "{{ \"}}\" }}",
    # if
    "{% if z %}a{% elif n %}b{% else %}c{% endif %}", "{% if z %}a{% elif z %}b{% else %}c{% endif %}", "{% if missing %}a{% endif %}b", "{% if %}x{% endif %}",
    "{% if t %}x", "{% if t %}x{% endfor %}", "{% else %}", "{% endif %}", "{% if t %}a{% else %}b{% else %}c{% endif %}", "{% if t: %}x{% endif %}", "{% if n, m %}x{% endif %}",
    "{% if missing.x %}a{% endif %}", "{% if n == 7 and not no or boom() %}y{% endif %}", "{% if z %}{{ n|nope }}{% endif %}ok", "{% if t %}{{ n|nope }}{% endif %}",
    "{{ n|nope if z else 5 }}", "{{ n|nope if t else 5 }}", "{% if z %}{% for i in l %}{{ i|nope }}{% endfor %}{% endif %}", "{% if n is nope %}{% endif %}",
    "{% if t %}{% set x = n is nope %}{% endif %}", "{% elif t %}",
    # for
    "{% for i in l %}{{ i }},{% endfor %}", "{% for i in el %}x{% else %}none{% endfor %}", "{% for a, b in d.items() %}{{ a }}={{ b }};{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}", "{% for c in 'héy' %}[{{ c }}]{% endfor %}", "{% for i in n %}{% endfor %}", "{% for i in missing %}x{% else %}e{% endfor %}",
    "{% for i in nothing %}x{% endfor %}", "{% for i in range(3) %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
    "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}", "{% for i in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for i in l %}{{ loop.cycle() }}{% endfor %}",
    "{% for i in [1,1,2] %}{{ loop.changed(i) }}{% endfor %}", "{% for i in l if i > 1 %}{{ i }}{{ loop.index }}{{ loop.length }}{% else %}no{% endfor %}",
    "{% for i in l if i > 5 %}{{ i }}{% else %}no{% endfor %}", "{% for i in l %}{% for j in l %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}",
    "{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "{% for i in l %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in l %}{% break %}{% else %}e{% endfor %}", "{% for i in l %}{% continue %}{% else %}e{% endfor %}", "{% for i in [1,2] %}{% if i == 2 %}{% continue %}{% endif %}{% else %}e{% endfor %}",
    "{% break %}", "{% continue %}", "{% for i in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% for i in [1] %}{% else %}{% break %}{% endfor %}",
    "{% for i in l %}{% for j in [] %}{% else %}{% break %}{% endfor %}{{ i }}{% endfor %}",
    "{% for i in nested recursive %}{{ loop.depth }}{% if i is iterable %}[{{ loop(i) }}]{% else %}{{ i }}{% endif %}{% endfor %}",
    "{% for i in [[1,[2]],3] recursive %}{{ loop.depth0 }}{{ loop.index }}{% if i is iterable %}({{ loop(i) }}){% endif %}{% endfor %}",
    "{% for i in l %}{{ loop(i) }}{% endfor %}", "{% for i in l recursive %}{{ loop() }}{% endfor %}", "{% for i in [] recursive %}{% else %}E{% endfor %}",
    "{% for i in [[1], []] recursive %}{{ loop(i) if i is iterable }}.{% else %}E{% endfor %}", "{% for loop in l %}{% endfor %}", "{% for i in l %}{% set loop = 1 %}{% endfor %}",
    "{% for i in l %}{% endfor %}{{ i }}", "{% for i in l %}{% endfor %}{{ loop }}", "{% for (a, b), c in [((1,2),3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [[1,2,3]] %}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{% for a, b in ['xy'] %}{{ a }}{{ b }}{% endfor %}", "{% for a, b in [1] %}{% endfor %}",
    "{% for a, in [[1]] %}{{ a }}{% endfor %}", "{% for i in 1, 2, 3 %}{{ i }}{% endfor %}", "{% for i in l if t else m %}{% endfor %}", "{% for i in (l if t else m) %}{{ i }}{% endfor %}",
    "{% for i in l|sort %}{{ i }}{% endfor %}", "{% for i in l %}{{ loop }}{% endfor %}", "{% for i in l|select %}{{ loop.length }}{{ loop.last }}{% endfor %}",
    "{% for i in l|select %}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{% endfor %}", "{% for i in l|map('string') %}{{ loop.nextitem }}{% endfor %}",
    "{% for i in l %}{{ loop.nope }}{% endfor %}", "{% for i in l %}{{ loop.nope.x }}{% endfor %}", "{% for true in l %}{% endfor %}", "{% for i.x in l %}{% endfor %}", "{% for i l %}{% endfor %}",
    "{% for i in %}{% endfor %}", "{% for x in people %}{{ x.name }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for n in l %}{{ n }}{% endfor %}{{ n }}",
    "{% for i in l if loop.index %}{% endfor %}", "{% for i in l %}{% for j in l if loop.first %}{{ j }}{% endfor %}{% endfor %}", "{% for i in loop %}{% endfor %}",
    "{% for g, items in people|groupby('age') %}{{ g }}:{% for p in items %}{{ p.name }}{% endfor %};{% endfor %}", "{% for g in people|groupby('age') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}{% endfor %}", "{% for k, v in d|items %}{{ k }}{% endfor %}", "{% for row in l|batch(2) %}{{ row }}{% endfor %}",
    "{% set ns = namespace(f=true) %}{% for i in l if ns.f %}{% set ns.f = false %}{{ i }}{% endfor %}", "{% set ns = namespace(f=true) %}{% for i in l if ns.f %}{% set ns.f = loop.first %}{{ i }}{% endfor %}",
    # set and scopes
    "{% set x = 1 %}{{ x }}", "{% set x, y = 1, 2 %}{{ x }}{{ y }}", "{% set x, y = l %}", "{% set (x, y) = (1, 2) %}{{ x + y }}", "{% set x = 1, 2 %}{{ x }}",
    "{% set x %}a{{ n }}{% endset %}[{{ x }}]", "{% set x | upper %}abc{% endset %}{{ x }}", "{% set x, y %}ab{% endset %}{{ x }}{{ y }}",
    "{% set n = n + 1 %}{{ n }}", "{% for i in l %}{% set n = n + i %}{{ n }},{% endfor %}{{ n }}", "{% set x = 0 %}{% for i in l %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
    "{% for i in l %}{% set y = (y or 0) + i %}{{ y }}{% endfor %}{{ y }}", "{% if t %}{% set x = 1 %}{% endif %}{{ x }}", "{% if no %}{% set n = 1 %}{% endif %}{{ n }}",
    "{% if no %}{% set q = 1 %}{% endif %}{{ q }}", "{% for i in l %}{% if i == 1 %}{% set n = 99 %}{% endif %}{{ n }},{% endfor %}{{ n }}",
    "{% for i in l %}{% if i == 1 %}{% set q = 99 %}{% endif %}{{ q }},{% endfor %}", "{% set x = 5 %}{% for i in l %}{% if i == 1 %}{% set x = 99 %}{% endif %}{{ x }},{% endfor %}{{ x }}",
    "{% for i in l %}{{ x }}{% set x = i %}{{ x }},{% endfor %}", "{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}", "{% set d.x = 1 %}", "{% set nope.x = 1 %}", "{% set ns = namespace(a=1) %}{{ ns }}", "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% set ns = namespace(a=1) %}{{ ns['a'] }}{{ ns.b }}{{ ns['b'] }}", "{% set ns = namespace() %}{% set ns.f %}x{{ n }}{% endset %}{{ ns.f }}", "{% set true = 1 %}", "{% set x.y.z = 1 %}", "{% set 5 = x %}",
    "{% set x = %}", "{% set = 1 %}", "{% set x %}", "{% set x == 1 %}", "{% set x += 1 %}", "{% set l[0] = 1 %}", "{% set x = y = 1 %}", "{% set none %}{% endset %}",
    "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with a = 1, b = a %}{{ b }}{% endwith %}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}", "{% with n = n + 1 %}{{ n }}{% endwith %}{{ n }}",
    "{% with a, b = (1, 2) %}{{ a }}{{ b }}{% endwith %}", "{% with a = 1 %}", "{% set x = 1 %}{% with %}{% set x = 2 %}{{ x }}{% endwith %}{{ x }}", "{% with x = 1 %}{% if no %}{% set x = 2 %}{% endif %}{{ x }}{% endwith %}",
    "{% filter upper %}abc{{ n }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}banana{% endfilter %}", "{% filter nope %}x{% endfilter %}", "{% filter upper %}{% set q = 1 %}{{ q }}{% endfilter %}{{ q }}",
    "{% filter indent(2) %}a\nb{% endfilter %}", "{% set x = 1 %}{% filter upper %}{% set x = 2 %}{{ x }}{% endfilter %}{{ x }}", "{% filter %}x{% endfilter %}", "{% filter |upper %}x{% endfilter %}",
    "{% print n %}", "{% print n, m %}", "{% print %}x", "{% print n|nope %}",
    # macros
    "{% macro m(a, b=2, *c) %}{% endmacro %}", "{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=1, a=0) }}{{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m(a) %}{{ varargs|length }}{{ kwargs|length }}{% endmacro %}{{ m(1, 2, x=3) }}",
    "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(5) }}", "{% macro m(a=b, b=2) %}{{ a }}{% endmacro %}{{ m() }}", "{% macro m(a=n) %}{{ a }}{% endmacro %}{{ m() }}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m(true) %}{% endmacro %}",
    "{{ m() }}{% macro m() %}x{% endmacro %}", "{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}", "{% macro m() %}{{ n }}{% endmacro %}{{ m() }}{% set n = 1 %}{{ m() }}", "{% macro m() %}{{ n }}{% endmacro %}{{ n }}{{ m() }}{% set n = 1 %}{{ m() }}",
    "{% macro m() %}{% set n = 1 %}{{ n }}{% endmacro %}{{ m() }}{{ n }}", "{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(5) }}", "{% macro m() %}{{ m }}{% endmacro %}{{ m() }}", "{% macro m(a, b) %}{{ a is defined }}{{ b is defined }}{{ b }}{{ b.x }}{% endmacro %}{{ m(1) }}",
    "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}hi{{ n }}{% endcall %}", "{% macro m() %}[{{ caller(1, 2) }}]{% endmacro %}{% call(a, b=5) m() %}{{ a }}{{ b }}{% endcall %}", "{% macro m() %}x{% endmacro %}{% call m() %}hi{% endcall %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% macro m(caller) %}{{ caller() }}{% endmacro %}", "{% macro m(caller=none) %}{{ caller }}{% endmacro %}{{ m() }}", "{% call n %}{% endcall %}", "{% call range(3) %}{% endcall %}",
    "{% macro m(x) %}{{ x }}{{ caller() }}{% endmacro %}{% call m(n) %}{% set q = 3 %}{{ q }}{% endcall %}{{ q }}", "{% macro m(x) %}{% for i in x %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(i) m(l) %}<{{ i }}>{% endcall %}", "{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% set ns = namespace() %}{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{% set ns.m = m %}{{ ns.m() }}{% endfor %}", "{% macro m() %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}{% endmacro %}{{ m() }}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    "{% macro m(a) %}{{ a|upper }}{% endmacro %}{{ m('x') ~ 'y' }}{{ m('x')|lower }}{{ m('x') is string }}", "{% macro m() %}\n  x\n{% endmacro %}[{{ m() }}]", "{% macro m(kwargs) %}{{ kwargs }}{% endmacro %}{{ m(1) }}", "{% macro m() %}{% set caller = 1 %}{{ caller }}{% endmacro %}{{ m() }}",
    "{% macro m(a, b=[]) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 1}) }}{{ m(1, *[2]) }}", "{% macro m %}{% endmacro %}", "{% macro () %}{% endmacro %}", "{% macro m() %}", "{% macro m(a b) %}{% endmacro %}", "{% macro m(a,) %}{% endmacro %}", "{% if t %}{% macro m() %}x{% endmacro %}{% endif %}{{ m() }}",
    "{% macro outer() %}{% macro inner(x) %}<{{ x }}{{ n }}>{% endmacro %}{{ inner(1) }}{{ inner(2) }}{% endmacro %}{{ outer() }}{{ inner }}", "{% macro r(t) %}{% if t.k is defined %}{{ r(t.k) }}{% endif %}{{ t|length }}{% endmacro %}{{ r(d) }}",
    "{% macro m(a=1, **kw) %}{% endmacro %}", "{% macro m(x) %}{{ x }}{% set x = 2 %}{{ x }}{% endmacro %}{{ m(1) }}", "{% set m = 5 %}{% macro m() %}x{% endmacro %}{{ m() }}", "{% macro m() %}{{ loop }}{% endmacro %}{% for i in l %}{{ m() }}{% endfor %}",
    # blocks, includes, autoescape, generation
    "{% block a %}x{{ n }}{% endblock %}", "{% set q = 1 %}{% block a %}{{ q }}{% endblock %}", "{% block a %}{% set q = 1 %}{% endblock %}{{ q }}", "{% for i in l %}{% block a %}{{ i }}{% endblock %}{% endfor %}", "{% for i in l %}{% block a scoped %}{{ i }}{{ loop.index }}{% endblock %}{% endfor %}",
    "{% block a %}x{% endblock %}{{ self.a() }}", "{% block a %}{% endblock %}{% block a %}{% endblock %}", "{% block a %}x{% endblock a %}", "{% block a %}x{% endblock b %}", "{{ self.nope() }}", "{% block a %}{{ super() }}{% endblock %}", "{% block a-b %}{% endblock %}", "{% block a %}{% block b %}i{% endblock %}o{% endblock %}{{ self.b() }}",
    "{% include 'x' %}", "{% if no %}{% include 'x' %}{% endif %}ok", "{% import 'x' as y %}", "{% from 'x' import y %}", "{% extends 'x' %}", "{% include 'x' ignore missing %}", "{% macro m() %}{{ n }}{% endmacro %}{% block a %}{{ m() }}{% endblock %}",
    "{% autoescape true %}{{ html }}{{ html|safe }}{{ html ~ 'x' }}{% endautoescape %}{{ html }}", "{% autoescape true %}{{ l|join('<') }}{{ html|replace('a', '<') }}{% endautoescape %}", "{% autoescape false %}{{ html }}{% endautoescape %}", "{% autoescape true %}{% macro m() %}<{{ html }}>{% endmacro %}{{ m() }}{% set q %}<b>{% endset %}{{ q }}{% endautoescape %}",
    "{% generation %}x{{ n }}{% endgeneration %}", "{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}", "{% for i in l %}{% generation %}{{ i }}{{ loop.index }}{% endgeneration %}{% endfor %}", "{% generation %}x", "{%- generation -%} x {%- endgeneration -%} y", "{% for i in l %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
    "{% do l.append(1) %}", "{% nope %}", "{% endfor %}", "{% trans %}x{% endtrans %}", "{% debug %}", "{% 5 %}", "{% if t %}{% nope %}{% endif %}",
    # state
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}", "{% set j = joiner(', ') %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}", "{% set g = l|map('string') %}{{ g|join }}{{ g|join }}|", "{% set g = l|select %}{% for i in g %}{{ i }}{% endfor %}{% for i in g %}{{ i }}{% endfor %}",
    "{% set g = l|map('nope') %}ok", "{% set g = l|map('nope') %}{{ g|list }}", "{% if l|select('gt', 100) %}truthy{% endif %}", "{% set r = l|reverse %}{{ r|list }}{{ r|list }}", "{% set x = d %}{{ x.update }}", "{{ d.update }}{{ l.append }}", "{{ l.append is defined }}{{ l.append is undefined }}",
    "{{ [1, 2, 3] | map('string') | list }}", "{% set a = [1] %}{% set b = a + [2] %}{{ a }}{{ b }}", "{% set a = {'x': 1} %}{% set a = dict(a, y=2) %}{{ a }}", "{{ raise_exception('Only ' ~ n ~ ' allowed') }}", "{% if not messages is defined %}{{ raise_exception('no messages') }}{% endif %}",
    "{{ n }}{{ m }}{# x #}{{ f }}", "{{ 'a' if n else 'b' }}{{ 'c' }}", "{{ [] }}{{ {} }}{{ () }}{{ '' }}{{ none }}", "{% for i in range(3) %}{% for j in range(i) %}{{ i }}{{ j }} {% endfor %}{% endfor %}",
    "{% for m in people %}{% if loop.first and m.age > 20 %}A{% elif loop.last %}Z{% else %}-{% endif %}{% endfor %}", "{% set x = people|selectattr('age', 'equalto', 30)|list %}{{ x|length }}{{ x[0]['name'] }}", "{% set content = '  x ' %}{{ content.strip() + '|' }}", "{% set a = 1 %}{% set b = a %}{% set a = 2 %}{{ a }}{{ b }}",
    "{{ '<|' ~ 'user' ~ '|>\\n' + 'x' }}", "{% if 'a' in d and d['a'] is string and d.a|length > 1 %}y{% endif %}", "{% set tools = tools or none %}{{ tools }}", "{%- if tools is not none and tools is defined %}T{% endif -%}", "{{ s if s is defined else 'q' }}", "{% for c in s %}{% if loop.index > 3 %}{% break %}{% endif %}{{ c }}{% endfor %}",
]
