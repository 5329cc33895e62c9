//===- Program.cpp - expressions as flat programs over many weights ---------------------------------------------===//
//
// A tree becomes a list of instructions, equal ones once, sums written out. Registers of integers and of floats are
// apart.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Instruction.h"
#include <algorithm>

using namespace quantc;
using Code = Program::Instruction;

static constexpr size_t longest = 4000;
static constexpr unsigned none = Code::none;

namespace quantc {
/// Operands are numbers of instructions until registers are given out.
struct Program::Compiler {
  const Format &format;
  std::vector<Instruction> code = {};
  std::map<decltype(Instruction().key()), unsigned> known = {};
  std::vector<std::pair<std::string, int64_t>> variables = {}; ///< of the sums around
  bool tooLong = false;

  unsigned add(const Instruction &i) {
    auto [it, fresh] = known.emplace(i.key(), static_cast<unsigned>(code.size()));
    if (fresh)
      code.push_back(i);
    tooLong |= code.size() > longest;
    return it->second;
  }
  unsigned constant(int64_t value) { return add({.code = Code::Constant, .integer = value}); }
  unsigned operation(Operator op, unsigned a, unsigned b) {
    return add({.code = Code::Operation, .a = a, .b = b, .op = op});
  }
  bool isFloat(const Expr &e) const { return format.typeOf(e) == ValueType::Float; }
  /// As f32 if `wanted`, else as it is.
  unsigned compile(const Expr &e, bool wanted) {
    const unsigned r = compile(e);
    return wanted && !isFloat(e) ? add({.code = Code::ToFloat, .isFloat = true, .a = r}) : r;
  }
  unsigned compile(const Expr &e);
  unsigned compileName(const Expr &e);
  unsigned compileCall(const Expr &e);
  unsigned compileBinary(const Expr &e);
  unsigned assignRegisters(unsigned result, std::array<unsigned, 2> &counts);
};
} // namespace quantc

unsigned Program::Compiler::compileName(const Expr &e) {
  for (auto variable = variables.rbegin(); variable != variables.rend(); ++variable) // the innermost of a name
    if (variable->first == e.name)
      return constant(variable->second);
  const Table *table = format.table(e.name);
  const Field *field = table ? nullptr : format.field(e.name);
  if (!table && !field)
    return add({.code = e.name == "n" ? Code::Row : e.name == "k" ? Code::Column : Code::PlaceInBlock});
  const std::vector<int64_t> &extents = table ? table->shape : field->array;
  unsigned index = none;
  for (size_t d = 0; d < extents.size(); d++) {
    const unsigned next = compile(*e.args[d]);
    index = d == 0 ? next : operation(Operator::Add, operation(Operator::Mul, index, constant(extents[d])), next);
  }
  return add({.code = table ? Code::LoadTable : Code::LoadField,
              .isFloat = isFloat(e),
              .a = index,
              .field = field,
              .table = table});
}

unsigned Program::Compiler::compileCall(const Expr &e) {
  static const std::tuple<const char *, Code::Code, bool> functions[] = {// and whether operands are f32 at any rate
                                                                         {"bits_f32", Code::BitsF32, false},
                                                                         {"bits_f16", Code::BitsF16, false},
                                                                         {"round_f16", Code::RoundF16, true},
                                                                         {"round_bf16", Code::RoundBF16, true},
                                                                         {"parity", Code::Parity, false},
                                                                         {"ceildiv", Code::CeilDiv, false},
                                                                         {"abs", Code::Abs, false},
                                                                         {"min", Code::Min, false},
                                                                         {"max", Code::Max, false}};
  auto function = std::ranges::find_if(functions, [&](auto &f) { return e.name == std::get<0>(f); });
  const Code::Code code = std::get<1>(*function);
  const bool result = isFloat(e);
  const bool wanted =
      std::get<2>(*function) || (result && (code == Code::Abs || code == Code::Min || code == Code::Max));
  const unsigned a = compile(*e.args[0], wanted);
  return add({.code = code, .isFloat = result, .a = a, .b = e.args.size() > 1 ? compile(*e.args[1], wanted) : none});
}

unsigned Program::Compiler::compileBinary(const Expr &e) {
  const bool floats = isFloat(*e.args[0]) || isFloat(*e.args[1]);
  const unsigned a = compile(*e.args[0], floats);
  if (floats)
    return add(
        {.code = Code::FloatOperation, .isFloat = isFloat(e), .a = a, .b = compile(*e.args[1], true), .op = e.op});
  const Expr &right = *e.args[1];
  if (right.kind == ExprKind::Integer && right.integer > 0 &&
      std::has_single_bit(static_cast<uint64_t>(right.integer))) {
    // Division that floors by a power of two is a shift, its remainder a mask.
    if (e.op == Operator::Div)
      return operation(Operator::Shr, a, constant(std::countr_zero(static_cast<uint64_t>(right.integer))));
    if (e.op == Operator::Rem)
      return operation(Operator::And, a, constant(right.integer - 1));
  }
  return operation(e.op, a, compile(right));
}

unsigned Program::Compiler::compile(const Expr &e) {
  if (tooLong)
    return 0;
  switch (e.kind) {
  case ExprKind::Integer:
    return constant(e.integer);
  case ExprKind::Float:
    return add({.code = Code::Constant, .isFloat = true, .number = e.number});
  case ExprKind::Name:
    return compileName(e);
  case ExprKind::Call:
    return compileCall(e);
  case ExprKind::Select: {
    const bool result = isFloat(e);
    const unsigned condition = compile(*e.args[0]), then = compile(*e.args[1], result),
                   otherwise = compile(*e.args[2], result);
    return add({.code = Code::Select, .isFloat = result, .a = condition, .b = then, .c = otherwise});
  }
  case ExprKind::Sum: {
    const bool result = isFloat(e);
    unsigned total = none;
    for (int64_t j = 0; j < e.args[0]->integer && !tooLong; j++) {
      variables.emplace_back(e.name, j);
      const unsigned term = compile(*e.args[1]);
      variables.pop_back();
      total = j == 0 ? term
                     : add({.code = result ? Code::FloatOperation : Code::Operation,
                            .isFloat = result,
                            .a = total,
                            .b = term,
                            .op = Operator::Add});
    }
    return total;
  }
  case ExprKind::Unary: {
    const bool floats = isFloat(*e.args[0]);
    return add({.code = floats ? Code::FloatOperation : Code::Operation,
                .isFloat = floats,
                .a = compile(*e.args[0]),
                .op = e.op});
  }
  case ExprKind::Binary:
    return compileBinary(e);
  }
  return 0;
}

/// Gives each result a register that nobody reads any more. Constants keep theirs: they are set once for a run. Returns
/// the register of the result.
unsigned Program::Compiler::assignRegisters(unsigned result, std::array<unsigned, 2> &counts) {
  std::vector<unsigned> lastUse(code.size());
  for (unsigned i = 0; i < code.size(); i++)
    for (unsigned operand : {code[i].a, code[i].b, code[i].c})
      if (operand != none)
        lastUse[operand] = i;
  lastUse[result] = none;
  std::array<std::vector<unsigned>, 2> unused;
  for (unsigned i = 0; i < code.size(); i++) {
    Instruction &at = code[i];
    auto &mine = unused[at.isFloat];
    if (mine.empty() || at.code == Code::Constant) {
      at.out = counts[at.isFloat]++;
    } else {
      at.out = mine.back();
      mine.pop_back();
    }
    for (unsigned *operand : {&at.a, &at.b, &at.c}) {
      if (*operand == none)
        continue;
      const Instruction &source = code[*operand];
      if (lastUse[*operand] == i && source.code != Code::Constant) {
        unused[source.isFloat].push_back(source.out);
        lastUse[*operand] = none; // once, where an operand is read twice
      }
      *operand = source.out;
    }
  }
  return code[result].out;
}

Result<Program> Program::compile(const Format &format, const ExprPtr &resolved) {
  Compiler compiler{format};
  const unsigned result = compiler.compile(*resolved);
  if (compiler.tooLong)
    return format.error(resolved->position, "the expression is too long once its sums are written out");
  Program program(format);
  program.resultType = format.typeOf(*resolved);
  program.result = compiler.assignRegisters(result, program.registers);
  auto isConstant = [](const Instruction &i) { return i.code == Code::Constant; };
  auto code = std::make_shared<std::vector<Instruction>>();
  std::ranges::copy_if(compiler.code, std::back_inserter(*code), isConstant);
  std::ranges::remove_copy_if(compiler.code, std::back_inserter(*code), isConstant);
  program.code = std::move(code);
  return program;
}
