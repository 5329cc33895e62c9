//===- ConstantTables.cpp - tables of a format in kernels of a GPU ------------------------------------------------===//

#include "ConstantTables.h"
#include "llvm/ADT/bit.h"

using namespace mlir;
using namespace quantc;

static constexpr unsigned globalMemory = 1;

/// The symbol of the table's constant. Tables of several formats can have one name.
std::string ConstantTables::constant(LaneBuilder &b, const Table &table) const {
  SmallVector<int32_t> numbers;
  for (float number : table.floats)
    numbers.push_back(llvm::bit_cast<int32_t>(number));
  for (int64_t number : table.integers)
    numbers.push_back(static_cast<int32_t>(number));
  auto count = static_cast<int64_t>(numbers.size());
  auto values = DenseElementsAttr::get(RankedTensorType::get({count}, b.getI32Type()), ArrayRef(numbers));
  std::string symbol = "table_" + table.name;
  LLVM::GlobalOp global;
  for (unsigned i = 1; (global = module.lookupSymbol<LLVM::GlobalOp>(symbol)) && global.getValueAttr() != values; i++)
    symbol = "table_" + table.name + "_" + std::to_string(i);
  if (!global) {
    OpBuilder atStart = OpBuilder::atBlockBegin(module.getBody());
    LLVM::GlobalOp::create(atStart, b.getLoc(), LLVM::LLVMArrayType::get(b.getI32Type(), numbers.size()),
                           /*isConstant=*/true, LLVM::Linkage::Internal, symbol, values, /*alignment=*/16,
                           globalMemory);
  }
  return symbol;
}

Value ConstantTables::lanes(LaneBuilder &b, const Table &table, Value index) const {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), globalMemory);
  Value base = LLVM::AddressOfOp::create(b, pointer, constant(b, table));
  SmallVector<Value> numbers;
  for (int64_t lane = 0; lane < b.lanes; lane++) {
    Value at = vector::ExtractOp::create(b, index, lane);
    Value address = LLVM::GEPOp::create(b, pointer, b.getI32Type(), base, ArrayRef<LLVM::GEPArg>{at});
    numbers.push_back(LLVM::LoadOp::create(b, b.getI32Type(), address, /*alignment=*/4));
  }
  return vector::FromElementsOp::create(b, b.i32s, numbers);
}
