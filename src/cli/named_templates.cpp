// The formats, written from their models' published descriptions.
#include "named_templates.h"

#include <vector>

#include "flags.h"

namespace phial::cli {
namespace {

struct NamedTemplate {
  const char* name;
  const char* jinja;
};

constexpr NamedTemplate kTemplates[] = {
    {"chatml",
     "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
     "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"},
    {"gemma",
     "{{ bos_token }}{% set ns = namespace(system='') %}{% for m in messages %}"
     "{% if m.role == 'system' %}{% set ns.system = m.content ~ '\n\n' %}{% else %}"
     "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ ns.system ~ (m.content | trim) }}<end_of_turn>\n"
     "{% set ns.system = '' %}{% endif %}{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"},
    {"llama3",
     "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
     "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"},
    {"phi3",
     "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
     "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"},
    {"phi4",
     "{% for m in messages %}<|im_start|>{{ m.role }}<|im_sep|>{{ m.content }}<|im_end|>{% endfor %}"
     "{% if add_generation_prompt %}<|im_start|>assistant<|im_sep|>{% endif %}"},
    {"zephyr",
     "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
     "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"},
};

}  // namespace

std::string template_names() {
  std::vector<std::string> names;
  for (const NamedTemplate& t : kTemplates) names.push_back(t.name);
  return joined(names, ", ");
}

std::string named_template(const std::string& name_or_text) {
  if (name_or_text.find("{{") != std::string::npos || name_or_text.find("{%") != std::string::npos) return name_or_text;
  for (const NamedTemplate& t : kTemplates)
    if (name_or_text == t.name) return t.jinja;
  throw Usage("--chat-template: no format '" + name_or_text + "'; there are " + template_names() +
              ", the text of a Jinja template, and --chat-template-file");
}

}  // namespace phial::cli
