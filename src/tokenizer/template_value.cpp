// The heap of a render; see template_value.h.
#include "tokenizer/template_value.h"

#include "base/fail.h"

namespace phial::tmpl {

void Heap::check(size_t bytes) const {
  if (bytes > max_bytes_ || used_ > max_bytes_ - bytes) {
    fail(ErrorCode::budget,
         "the chat template needs more than {} bytes for its values and output; simplify it or raise the budget", max_bytes_);
  }
}

void Heap::charge(size_t bytes) {
  check(bytes);
  used_ += bytes;
}

void Heap::adopt(Object* object) {
  object->next = first_;
  if (first_) first_->previous = object;
  first_ = object;
}

void Heap::destroy(Object* object) {
  if (object->previous) object->previous->next = object->next;
  if (object->next) object->next->previous = object->previous;
  if (first_ == object) first_ = object->next;
  used_ -= object->bytes;
  delete object;
}

void Heap::bury(Object* object) {
  // `previous` is free for the work list once the object has left the list of all objects.
  if (object->previous) object->previous->next = object->next;
  if (object->next) object->next->previous = object->previous;
  if (first_ == object) first_ = object->next;
  object->next = nullptr;
  object->previous = graveyard_;
  graveyard_ = object;
  if (digging_) return;
  digging_ = true;
  while (graveyard_) {
    Object* dead = graveyard_;
    graveyard_ = dead->previous;
    dead->previous = nullptr;
    used_ -= dead->bytes;
    delete dead;
  }
  digging_ = false;
}

Heap::~Heap() {
  // What is left are cycles: pin everything, cut every reference, then free.
  for (Object* o = first_; o; o = o->next) ++o->references;
  for (Object* o = first_; o; o = o->next) o->clear();
  while (first_) destroy(first_);
}

}  // namespace phial::tmpl
