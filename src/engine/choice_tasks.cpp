// The task files that llama.cpp reads, and its way of drawing some of the tasks (std::mt19937 with seed 1).
#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <random>

#include "base/fail.h"
#include "phial/evaluate.h"

namespace phial {
namespace {

constexpr uint32_t kSeed = 1;
constexpr size_t kHellaSwagLines = 6;
constexpr int64_t kLeastTrailing =
    3;  // Winogrande: with more tokens after the choices begin to differ, the choice itself is not scored
constexpr uint32_t kMostAnswers = 100;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    if (lines.back().ends_with('\r')) lines.back().remove_suffix(1);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// The first n of [0, total) as Winogrande and multiple choice draw them; all in order when n is 0 or too large.
std::vector<size_t> draw(size_t total, int64_t n) {
  std::vector<size_t> left(total);
  std::iota(left.begin(), left.end(), size_t{0});
  if (n <= 0 || std::cmp_greater_equal(n, total)) return left;
  std::mt19937 random(kSeed);
  std::vector<size_t> drawn;
  for (int64_t i = 0; i < n; ++i) {
    // In floats, as llama.cpp has it: the same numbers draw the same tasks.
    const float at = 0x1p-32f * static_cast<float>(random()) * static_cast<float>(left.size());
    const size_t j = std::min(static_cast<size_t>(at), left.size() - 1);
    drawn.push_back(left[j]);
    left[j] = left.back();
    left.pop_back();
  }
  return drawn;
}

/// Leaves [begin, end) of each choice at what follows the tokens that all have in common; at least one token, and never the
/// first.
void score_what_differs(ChoiceTask& task) {
  size_t shortest = SIZE_MAX;
  for (const auto& c : task.choices) shortest = std::min(shortest, c.tokens.size());
  const auto& first = task.choices[0].tokens;
  size_t common = 0;
  while (common < shortest &&
         std::all_of(task.choices.begin(), task.choices.end(), [&](const auto& c) { return c.tokens[common] == first[common]; }))
    ++common;
  for (auto& c : task.choices) {
    c.end = std::ssize(c.tokens);
    c.begin = std::max<int64_t>(1, std::min<int64_t>(static_cast<int64_t>(common), c.end - 1));
  }
}

ChoiceTask::Choice choice_of(const Tokenizer& tokenizer, const std::string& text, const std::string& where) {
  ChoiceTask::Choice c;
  c.tokens = tokenizer.encode(text, true, false);
  if (c.tokens.size() < 2) fail(ErrorCode::header, "{}: '{}' is too short to be scored", where, printable(text));
  return c;
}

}  // namespace

ChoiceTasks hellaswag_tasks(const Tokenizer& tokenizer, std::string_view text, int64_t n_tasks) {
  const std::vector<std::string_view> lines = lines_of(text);
  if (lines.empty() || lines.size() % kHellaSwagLines != 0)
    fail(ErrorCode::header,
         "HellaSwag: the file has {} lines, but a task has {} (context, number of the right ending, four endings)", lines.size(),
         kHellaSwagLines);
  ChoiceTasks out;
  std::vector<size_t> left(lines.size() / kHellaSwagLines);
  std::iota(left.begin(), left.end(), size_t{0});
  out.n_in_file = std::ssize(left);
  const int64_t n = n_tasks <= 0 ? out.n_in_file : std::min(n_tasks, out.n_in_file);
  std::mt19937 random(kSeed);
  for (int64_t i = 0; i < n; ++i) {
    const auto at =
        std::next(left.begin(), static_cast<int64_t>(std::uniform_int_distribution<size_t>(0, left.size() - 1)(random)));
    const size_t line = *at * kHellaSwagLines;
    left.erase(at);
    const std::string where = fmt::format("HellaSwag, line {}", line + 1);
    const std::string_view right = lines[line + 1];
    if (right.size() != 1 || right[0] < '0' || right[0] > '3')
      fail(ErrorCode::header, "HellaSwag, line {}: '{}' is not the number of the right ending, 0 to 3", line + 2,
           printable(right));
    ChoiceTask task;
    for (size_t j = 0; j < 4; ++j) {
      task.choices.push_back(choice_of(tokenizer, std::string(lines[line]) + " " + std::string(lines[line + 2 + j]), where));
      task.choices.back().right = j == static_cast<size_t>(right[0] - '0');
    }
    score_what_differs(task);
    out.tasks.push_back(std::move(task));
  }
  return out;
}

namespace {

struct WinograndeLine {
  std::string before, after;
  std::array<std::string, 2> choices;
  int right = 0;  // 0 or 1
};

/// Returns why the line is none, or "".
std::string parse_winogrande(std::string_view line, WinograndeLine& out) {
  std::array<size_t, 4> comma{};
  size_t n = 0;
  bool quoted = false;
  for (size_t i = 0; i < line.size() && n < comma.size(); ++i) {
    if (line[i] == '"') quoted = !quoted;
    if (line[i] == ',' && !quoted) comma[n++] = i;
  }
  if (n < comma.size()) return "it has not five fields (index, sentence, choice 1, choice 2, answer)";
  const auto field = [&](size_t i, size_t end) { return line.substr(comma[i] + 1, end - comma[i] - 1); };
  std::string_view sentence = field(0, comma[1]);
  if (sentence.size() >= 2 && sentence.front() == '"' && sentence.back() == '"')
    sentence = sentence.substr(1, sentence.size() - 2);
  const size_t gap = sentence.find('_');
  if (gap == std::string_view::npos) return "the sentence has no '_'";
  const std::string_view answer = field(3, line.size());
  if (answer != "1" && answer != "2") return fmt::format("the answer '{}' is not 1 or 2", printable(answer));
  out.before = sentence.substr(0, gap);
  out.after = sentence.substr(gap + 1);
  out.choices = {std::string(field(1, comma[2])), std::string(field(2, comma[3]))};
  out.right = answer[0] - '1';
  return "";
}

ChoiceTask winogrande_task(const Tokenizer& tokenizer, const WinograndeLine& line) {
  ChoiceTask task;
  for (const std::string& choice : line.choices)
    task.choices.push_back(choice_of(tokenizer, line.before + choice + line.after, "Winogrande"));
  task.choices[static_cast<size_t>(line.right)].right = true;
  score_what_differs(task);
  const auto many = [](const ChoiceTask::Choice& c) { return c.end - c.begin > kLeastTrailing; };
  const bool skip_choice = std::all_of(task.choices.begin(), task.choices.end(), many);
  for (size_t i = 0; i < 2; ++i) {
    ChoiceTask::Choice& c = task.choices[i];
    if (skip_choice) {
      const int64_t with_choice = std::ssize(tokenizer.encode(line.before + line.choices[i], true, false));
      if (with_choice >= 1 && with_choice < c.end) c.begin = with_choice;
    }
    if (c.end - c.begin > 1) --c.end;  // the last token, the sentence's full stop, tells nothing
  }
  return task;
}

}  // namespace

ChoiceTasks winogrande_tasks(const Tokenizer& tokenizer, std::string_view text, int64_t n_tasks) {
  ChoiceTasks out;
  std::vector<WinograndeLine> lines;
  size_t number = 0;
  for (std::string_view line : lines_of(text)) {
    WinograndeLine parsed;
    const std::string why = parse_winogrande(line, parsed);
    ++number;
    if (why.empty())
      lines.push_back(std::move(parsed));
    else
      out.notes.push_back(fmt::format("Winogrande, line {} is left out: {}", number, why));
  }
  if (lines.empty()) fail(ErrorCode::header, "Winogrande: no line is a task{}", out.notes.empty() ? "" : "; " + out.notes[0]);
  out.n_in_file = std::ssize(lines);
  for (size_t i : draw(lines.size(), n_tasks)) out.tasks.push_back(winogrande_task(tokenizer, lines[i]));
  return out;
}

namespace {

/// Reads the binary file of tasks: uint32 counts and lengths before what they count.
class TaskReader {
 public:
  TaskReader(std::string_view bytes, size_t at) : bytes_(bytes), at_(at) {}

  uint32_t number() {
    uint32_t value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string text() { return std::string(take(number())); }

  ChoiceTask task(const Tokenizer& tokenizer, const std::string& where) {
    const std::string question = text();
    ChoiceTask task;
    const auto [answers, labels] = answer_list(where);
    if (question.empty() || answers.empty()) fail(ErrorCode::header, "{}: no question, or no answers", where);
    for (size_t i = 0; i < answers.size(); ++i) {
      if (answers[i].empty()) fail(ErrorCode::header, "{}: answer {} is empty", where, i);
      task.choices.push_back(choice_of(tokenizer, question + " " + answers[i], where));
      task.choices.back().right = labels[i] == 1;
    }
    answer_list(where);  // those for questions with several right answers, which have no score yet
    score_what_differs(task);
    return task;
  }

  size_t position() const { return at_; }

 private:
  std::string_view take(uint64_t n) {
    if (n > bytes_.size() - at_)
      fail(ErrorCode::trunc, "multiple choice: {} bytes are wanted at offset {}, the file has {}", n, at_, bytes_.size());
    const std::string_view piece = bytes_.substr(at_, n);
    at_ += n;
    return piece;
  }

  std::pair<std::vector<std::string>, std::vector<uint32_t>> answer_list(const std::string& where) {
    const uint32_t n = number();
    if (n > kMostAnswers) fail(ErrorCode::count, "{}: {} answers, more than {}; the file is damaged", where, n, kMostAnswers);
    std::vector<std::string> answers;
    std::vector<uint32_t> labels;
    for (uint32_t i = 0; i < n; ++i) answers.push_back(text());
    for (uint32_t i = 0; i < n; ++i) labels.push_back(number());
    return {answers, labels};
  }

  std::string_view bytes_;
  size_t at_;
};

}  // namespace

ChoiceTasks multiple_choice_tasks(const Tokenizer& tokenizer, std::string_view bytes, int64_t n_tasks) {
  ChoiceTasks out;
  TaskReader head(bytes, 0);
  const uint32_t n = head.number();
  if (n == 0 || n > (bytes.size() - sizeof n) / sizeof n)
    fail(ErrorCode::count, "multiple choice: the file's {} bytes cannot hold the {} tasks it promises", bytes.size(), n);
  std::vector<uint32_t> positions(n);
  for (uint32_t& p : positions) p = head.number();
  out.n_in_file = n;
  const std::vector<size_t> drawn = draw(n, n_tasks);
  // All tasks lie one after the other; some of them are found by their positions.
  TaskReader reader(bytes, head.position());
  for (size_t i : drawn) {
    const std::string where = fmt::format("multiple choice, task {}", i);
    if (drawn.size() < n) {
      if (positions[i] < head.position() || positions[i] >= bytes.size())
        fail(ErrorCode::offset, "{}: its position {} is not among the tasks", where, positions[i]);
      reader = TaskReader(bytes, positions[i]);
    }
    out.tasks.push_back(reader.task(tokenizer, where));
  }
  return out;
}

}  // namespace phial
