// Commas, line ends and indents.
#include "base/json_writer.h"

namespace phial {

void JsonWriter::line() {
  if (named_ || depth_ == 0) {
    named_ = false;
    return;
  }
  if (!empty_) text_ += ',';
  text_ += '\n';
  text_.append(depth_, ' ');
}

void JsonWriter::key(std::string_view name) {
  line();
  text_ += json_scalar(name);
  text_ += ": ";
  named_ = true;
}

void JsonWriter::raw(std::string_view text) {
  line();
  text_ += text;
  empty_ = false;
}

void JsonWriter::begin(char open) {
  line();
  text_ += open;
  ++depth_;
  empty_ = true;
}

void JsonWriter::end(char close) {
  --depth_;
  if (!empty_) {
    text_ += '\n';
    text_.append(depth_, ' ');
  }
  text_ += close;
  empty_ = false;
}

}  // namespace phial
