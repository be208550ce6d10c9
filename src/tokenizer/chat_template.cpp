// The public face of the chat templates, and the state of one render: budgets, variables, making values.
#include "phial/chat_template.h"

#include <cstdio>
#include <ctime>

#include "tokenizer/template_render.h"
#include "tokenizer/template_unicode.h"

namespace phial {
namespace tmpl {
namespace {

#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
constexpr std::ptrdiff_t kMaxStack = 2 << 20;  // frames are several times larger in such builds
#else
constexpr std::ptrdiff_t kMaxStack = 168 << 10;
#endif
constexpr uint64_t kStepsPerCheck = 2048;

std::optional<Render::Time> parse_time(const std::string& text) {
  std::tm tm{};
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, n = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2d%n", &year, &month, &day, &n) != 3 || n < 8) return std::nullopt;
  std::sscanf(text.c_str() + n, "%*[T ]%2d:%2d:%2d", &hour, &minute, &second);
  tm.tm_year = year - 1900;
  tm.tm_mon = month - 1;
  tm.tm_mday = day;
  tm.tm_hour = hour;
  tm.tm_min = minute;
  tm.tm_sec = second;
  return Render::Time{static_cast<int64_t>(timegm(&tm)), 0};
}

}  // namespace

Render::Render(const Tree& tree, const TemplateBudget& budget)
    : heap_(budget.max_bytes),
      tree_(tree),
      budget_(budget),
      start_(std::chrono::steady_clock::now()),
      stack_base_(static_cast<const char*>(__builtin_frame_address(0))),
      constants_(static_cast<size_t>(tree.n_constants)) {}

void Render::check_budget() {
  next_check_ = steps_ + kStepsPerCheck;
  if (steps_ > budget_.max_steps) {
    fail(ErrorCode::budget, "the chat template takes more than {} steps (template line {}); simplify it or raise the budget",
         budget_.max_steps, line_);
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
  if (spent.count() > budget_.max_seconds) {
    fail(ErrorCode::budget, "the chat template takes longer than {} s (template line {}); simplify it or raise the budget",
         budget_.max_seconds, line_);
  }
}

void Render::check_stack() const {
  if (stack_base_ - static_cast<const char*>(__builtin_frame_address(0)) > kMaxStack) {
    fail(ErrorCode::depth, "the chat template nests too deep (template line {})", line_);
  }
}

Render::Deeper::Deeper(Render& render) : render(render) {
  render.check_stack();
  if (render.depth_ + 1 > render.budget_.max_depth) {
    fail(ErrorCode::depth, "the chat template nests more than {} macros, loops or values (template line {})",
         render.budget_.max_depth, render.line_);
  }
  ++render.depth_;
}

void Render::type_error(std::string_view what, const Value& value) const {
  if (value.is_undefined()) undefined_error(value);
  error("'{}' object {}", type_name(value), what);
}

Value Render::string(std::string text, bool markup) {
  const size_t size = text.capacity();
  return Value(Kind::string, heap_.make<StringObject>(size, std::move(text), markup));
}

Value Render::sequence(Kind kind, std::vector<Value> items) {
  step(1 + items.size() / 4);
  auto* object = heap_.make<SequenceObject>(items.size() * sizeof(Value));
  object->items = std::move(items);
  return Value(kind, object);
}

Value Render::undefined(std::string message) {
  const size_t size = message.size();
  return Value(Kind::undefined, heap_.make<UndefinedObject>(size, std::move(message)));
}

Value Render::function(const char* name, Function call, Value self) {
  return Value(Kind::function, heap_.make<FunctionObject>(0, name, call, std::move(self)));
}

Value Render::dict() { return Value(Kind::dict, heap_.make<DictObject>(0)); }

void Render::dict_set(const Value& dict, Value key, Value value) {
  DictObject& d = dict.dict();
  step();
  if (const Value* old = dict_find(d, key)) {
    *const_cast<Value*>(old) = std::move(value);
    return;
  }
  heap_.grow(d, sizeof(d.entries[0]) + 48);
  d.entries.emplace_back(std::move(key), std::move(value));
  constexpr size_t kIndexed = 8;
  if (d.entries.size() == kIndexed) {
    for (size_t i = 0; i < kIndexed; ++i) d.index.emplace(hash(d.entries[i].first), i);
  } else if (d.entries.size() > kIndexed) {
    d.index.emplace(hash(d.entries.back().first), d.entries.size() - 1);
  }
}

const Value* Render::dict_find(const DictObject& d, const Value& key) {
  const size_t h = hash(key);  // refuses keys that cannot be hashed, as Python does
  if (d.index.empty()) {
    for (const auto& [k, v] : d.entries) {
      if (equal(k, key)) return &v;
    }
    return nullptr;
  }
  const auto [from, to] = d.index.equal_range(h);
  for (auto at = from; at != to; ++at) {
    step();
    if (equal(d.entries[at->second].first, key)) return &d.entries[at->second].second;
  }
  return nullptr;
}

const Value* Render::dict_find(const DictObject& d, std::string_view key) {
  const auto same = [&](const Value& k) { return k.is_string() && k.text() == key; };
  if (d.index.empty()) {
    for (const auto& [k, v] : d.entries) {
      if (same(k)) return &v;
    }
    return nullptr;
  }
  const auto [from, to] = d.index.equal_range(std::hash<std::string_view>()(key));
  for (auto at = from; at != to; ++at) {
    step();
    if (same(d.entries[at->second].first)) return &d.entries[at->second].second;
  }
  return nullptr;
}

Value Render::from_json(const OrderedJson& json) {
  const Deeper deeper(*this);
  step();
  switch (json.type()) {
    case OrderedJson::value_t::boolean:
      return Value(json.get<bool>());
    case OrderedJson::value_t::number_integer:
      return Value(json.get<int64_t>());
    case OrderedJson::value_t::number_unsigned: {
      const auto u = json.get<uint64_t>();
      if (u <= static_cast<uint64_t>(INT64_MAX)) return Value(static_cast<int64_t>(u));
      return Value(static_cast<double>(u));
    }
    case OrderedJson::value_t::number_float:
      return Value(json.get<double>());
    case OrderedJson::value_t::string:
      return string(json.get_ref<const std::string&>());
    case OrderedJson::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(from_json(item));
      return list(std::move(items));
    }
    case OrderedJson::value_t::object: {
      const Value d = dict();
      for (const auto& [key, value] : json.items()) dict_set(d, string(key), from_json(value));
      return d;
    }
    default:
      return Value::none();
  }
}

Value Render::resolve(const std::string& name) {
  if (visible_) {
    if (const auto found = visible_->find(name); found != visible_->end()) return found->second;
  }
  if (const auto found = exported_.find(name); found != exported_.end()) return found->second;
  if (const auto found = context_.find(name); found != context_.end()) return found->second;
  for (const auto& [known, value] : globals_) {
    if (known == name) return value;
  }
  if (const GlobalRow* row = find_global(name)) {
    globals_.emplace_back(name, function(row->name, row->call));
    return globals_.back().second;
  }
  return {};
}

Render::Time Render::now() const {
  if (fixed_time_) return *fixed_time_;
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since).count();
  const std::time_t seconds = static_cast<std::time_t>(micros / 1000000);
  std::tm tm{};
  localtime_r(&seconds, &tm);
  return {static_cast<int64_t>(timegm(&tm)), static_cast<int>(micros % 1000000)};
}

std::string Render::run(const OrderedJson& variables) {
  for (const auto& [name, value] : variables.items()) {
    if (name == "strftime_now" && value.is_string()) {
      fixed_time_ = parse_time(value.get<std::string>());
      if (!fixed_time_)
        fail(ErrorCode::argument, "strftime_now must be a time like 2026-07-26T12:00:00, got '{}'",
             printable(value.get<std::string>()));
      continue;
    }
    context_[name] = from_json(value);
  }
  FrameObject* frame = make_frame(tree_.root.n_slots, nullptr);
  const Value anchor(Kind::block, frame);  // keeps the frame; never seen by the template
  if (tree_.root.self_slot >= 0)
    frame->slots[static_cast<size_t>(tree_.root.self_slot)] = Value(Kind::block, heap_.make<BlockObject>(0, nullptr));
  enter(tree_.root.scope, frame);
  execute(tree_.root.body, frame);
  return std::move(out_);
}

}  // namespace tmpl

struct ChatTemplate::Impl {
  tmpl::Tree tree;
};

ChatTemplate::ChatTemplate(const std::string& source) : impl_(std::make_unique<Impl>()) {
  impl_->tree = tmpl::parse(source);
  tmpl::bind(impl_->tree);
}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::render(const std::string& variables_json, const TemplateBudget& budget) const {
  JsonLimits limits;
  limits.allow_duplicate_keys = true;  // the last one counts, as in Python
  const OrderedJsonTree variables = parse_ordered_json(variables_json, "variables of the chat template", limits);
  if (!variables.is_object()) fail(ErrorCode::json, "the variables of a chat template must be a JSON object");
  tmpl::Render render(impl_->tree, budget);
  return render.run(variables);
}

}  // namespace phial
