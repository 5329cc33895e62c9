//===- IndexProgram.cpp - integer expressions of a layout's loops -----------------------------------------------===//

#include "IndexProgram.h"
#include "Resolve.h"
#include "quantc/Format/Arithmetic.h"

using namespace quantc;

/// Height of the stack.
static constexpr size_t deepest = 64;

Result<IndexProgram> IndexProgram::compile(const LayoutContext &context, const Slots &slots, const ExprPtr &e) {
  IndexProgram program;
  QUANTC_TRY(program.add(context, slots, e, 1));
  return program;
}

/// `height`: of the stack once `e` is on it.
Status IndexProgram::add(const LayoutContext &context, const Slots &slots, const ExprPtr &e, size_t height) {
  if (height > deepest)
    return errorAt(context.file, e->position, "the index is nested too deeply");
  if (e->kind == ExprKind::Name && e->args.empty())
    if (auto it = slots.find(e->name); it != slots.end()) {
      code.push_back({Step::Slot, static_cast<int64_t>(it->second)});
      return {};
    }
  const bool compound = e->kind == ExprKind::Unary || e->kind == ExprKind::Binary || e->kind == ExprKind::Select;
  if (!compound) { // numbers, parameters, and calls over these
    auto value = constantOf(context.format, e, context.environment);
    if (!value)
      return errorAt(context.file, e->position,
                     e->kind == ExprKind::Name ? fmt::format("unknown name '{}'", e->name)
                                               : "expected a constant integer");
    code.push_back({Step::Number, *value});
    return {};
  }
  for (const ExprPtr &a : e->args)
    QUANTC_TRY(add(context, slots, a, height++));
  code.push_back({e->kind == ExprKind::Unary    ? Step::Unary
                  : e->kind == ExprKind::Binary ? Step::Binary
                                                : Step::Select,
                  0, e->op});
  return {};
}

int64_t IndexProgram::run(const int64_t *slots) const {
  if (code.size() == 1)
    return code[0].kind == Step::Number ? code[0].value : slots[code[0].value];
  int64_t stack[deepest];
  size_t top = 0;
  for (const Step &s : code)
    switch (s.kind) {
    case Step::Number:
      stack[top++] = s.value;
      break;
    case Step::Slot:
      stack[top++] = slots[s.value];
      break;
    case Step::Unary:
      stack[top - 1] = applyInteger(s.op, stack[top - 1], 0);
      break;
    case Step::Binary:
      top--;
      stack[top - 1] = applyInteger(s.op, stack[top - 1], stack[top]);
      break;
    case Step::Select:
      top -= 2;
      stack[top - 1] = stack[top - 1] ? stack[top] : stack[top + 1];
      break;
    }
  return stack[0];
}

std::optional<int64_t> IndexProgram::stepOf(size_t slot) const {
  struct Known {
    std::optional<int64_t> value, step;
  };
  std::vector<Known> stack;
  auto pop = [&] {
    Known top = stack.back();
    stack.pop_back();
    return top;
  };
  for (const Step &s : code) {
    Known result;
    switch (s.kind) {
    case Step::Number:
      result = {s.value, 0};
      break;
    case Step::Slot:
      result.step = static_cast<size_t>(s.value) == slot;
      break;
    case Step::Unary: {
      const Known a = pop();
      if (a.step && (*a.step == 0 || s.op == Operator::Neg))
        result.step = applyInteger(Operator::Neg, *a.step, 0);
      break;
    }
    case Step::Binary: {
      const Known b = pop(), a = pop();
      if (!a.step || !b.step)
        break;
      if (s.op == Operator::Add || s.op == Operator::Sub)
        result.step = applyInteger(s.op, *a.step, *b.step);
      else if (*a.step == 0 && *b.step == 0)
        result.step = 0;
      else if (s.op == Operator::Mul && (a.value || b.value))
        result.step = a.value ? applyInteger(s.op, *a.value, *b.step) : applyInteger(s.op, *a.step, *b.value);
      break;
    }
    case Step::Select: {
      const Known otherwise = pop(), then = pop(), condition = pop();
      if (condition.step == 0 && then.step == 0 && otherwise.step == 0)
        result.step = 0;
      break;
    }
    }
    stack.push_back(result);
  }
  return stack[0].step;
}
