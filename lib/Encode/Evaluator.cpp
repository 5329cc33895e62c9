//===- Evaluator.cpp - expressions of encode clauses ------------------------------------------------------------===//

#include "Evaluator.h"
#include "PointFunctions.h"
#include "quantc/Encode/Searches.h"

using namespace quantc;

template <typename Function> Value Evaluator::apply(const Value &a, Function f) const {
  if (a.constant)
    return Value::of(f(a.number));
  std::vector<float> out(a.cells->size());
  const float *x = a.data();
  for (size_t i = 0; i < out.size(); i++)
    out[i] = f(x[i]);
  return Value::of(a.scope, std::move(out));
}

template <typename Function> Value Evaluator::apply(const Value &a, const Value &b, Function f) const {
  if (b.constant)
    return apply(a, [&](float x) { return f(x, b.number); });
  if (a.constant)
    return apply(b, [&](float y) { return f(a.number, y); });
  const Scope scope = meet(a.scope, b.scope);
  const Value left = spread(region, a, scope), right = spread(region, b, scope);
  std::vector<float> out(region.cells(scope));
  const float *x = left.data(), *y = right.data();
  for (size_t i = 0; i < out.size(); i++)
    out[i] = f(x[i], y[i]);
  return Value::of(scope, std::move(out));
}

Result<Value> Evaluator::name(const Expr &e) const {
  if (auto known = names.find(e.name); known != names.end())
    return known->second;
  if (auto param = integers.find(e.name); param != integers.end())
    return Value::of(static_cast<float>(param->second));
  if (auto constant = format.constant(e.name))
    return Value::of(static_cast<float>(*constant));
  return format.error(e.position, fmt::format("'{}' has no value here", e.name));
}

Result<Value> Evaluator::call(const Expr &e, const Scope &target) const {
  if (auto known = aggregates.find(&e); known != aggregates.end())
    return known->second;
  std::vector<Value> a;
  for (const ExprPtr &argument : e.args) {
    QUANTC_ASSIGN(Value value, evaluate(*argument, target));
    a.push_back(std::move(value));
  }
  auto arguments = [&](size_t count) -> Status {
    if (a.size() != count)
      return format.error(e.position, fmt::format("'{}' takes {} argument(s)", e.name, count));
    return {};
  };
  if (auto aggregate = aggregateNamed(e.name)) {
    QUANTC_TRY(arguments(1));
    if (a[0].constant || !a[0].scope.refines(target))
      return format.error(e.position,
                          fmt::format("'{}' needs numbers that are finer than the scope of its step", e.name));
    return reduce(region, a[0], *aggregate, target);
  }
  if (e.name == "div0") {
    QUANTC_TRY(arguments(2));
    return apply(a[0], a[1], divideOrZero);
  }
  if (e.name == "clamp") {
    QUANTC_TRY(arguments(3));
    if (!a[1].constant || !a[2].constant)
      return format.error(e.position, "the bounds of 'clamp' are constants");
    return apply(a[0], [low = a[1].number, high = a[2].number](float v) { return clampTo(v, low, high); });
  }
  QUANTC_TRY(arguments(1));
  if (e.name == "abs")
    return apply(a[0], [](float v) { return std::fabs(v); });
  if (e.name == "sqrt")
    return apply(a[0], [](float v) { return std::sqrt(v); });
  if (e.name == "floor")
    return apply(a[0], floorOf);
  if (e.name == "round")
    return apply(a[0], [](float v) { return roundEven(v); });
  if (e.name == "round_away")
    return apply(a[0], roundAway);
  if (e.name == "e4m3_up")
    return apply(a[0], search::e4m3Up);
  return format.error(e.position, fmt::format("'{}' is a step of its own, not part of an expression", e.name));
}

Result<Value> Evaluator::evaluate(const Expr &e, const Scope &target) const {
  switch (e.kind) {
  case ExprKind::Integer:
    return Value::of(static_cast<float>(e.integer));
  case ExprKind::Float:
    return Value::of(e.number);
  case ExprKind::Name:
    return name(e);
  case ExprKind::Call:
    return call(e, target);
  case ExprKind::Sum:
    return format.error(e.position, "'sum' over a variable is not part of encode clauses");
  case ExprKind::Select: {
    QUANTC_ASSIGN(float condition, constant(*e.args[0]));
    return evaluate(*e.args[condition != 0 ? 1 : 2], target);
  }
  case ExprKind::Unary: {
    QUANTC_ASSIGN(Value a, evaluate(*e.args[0], target));
    if (e.op == Operator::Neg)
      return apply(a, [](float v) { return -v; });
    if (e.op == Operator::Not)
      return apply(a, [](float v) { return v == 0 ? 1.0f : 0.0f; });
    break;
  }
  case ExprKind::Binary: {
    QUANTC_ASSIGN(Value a, evaluate(*e.args[0], target));
    QUANTC_ASSIGN(Value b, evaluate(*e.args[1], target));
    switch (e.op) {
    case Operator::Add:
      return apply(a, b, [](float x, float y) { return x + y; });
    case Operator::Sub:
      return apply(a, b, [](float x, float y) { return x - y; });
    case Operator::Mul:
      return apply(a, b, [](float x, float y) { return x * y; });
    case Operator::Div:
      return apply(a, b, [](float x, float y) { return x / y; });
    case Operator::Eq:
      return apply(a, b, [](float x, float y) { return x == y ? 1.0f : 0.0f; });
    case Operator::Ne:
      return apply(a, b, [](float x, float y) { return x != y ? 1.0f : 0.0f; });
    case Operator::Lt:
      return apply(a, b, [](float x, float y) { return x < y ? 1.0f : 0.0f; });
    case Operator::Le:
      return apply(a, b, [](float x, float y) { return x <= y ? 1.0f : 0.0f; });
    case Operator::Gt:
      return apply(a, b, [](float x, float y) { return x > y ? 1.0f : 0.0f; });
    case Operator::Ge:
      return apply(a, b, [](float x, float y) { return x >= y ? 1.0f : 0.0f; });
    default:
      break;
    }
    break;
  }
  }
  return format.error(e.position, "encode clauses compute with numbers: this operator takes integers");
}

Result<float> Evaluator::constant(const Expr &e) const {
  QUANTC_ASSIGN(Value value, evaluate(e, Scope{}));
  if (!value.constant)
    return format.error(e.position, "expected a constant");
  return value.number;
}
