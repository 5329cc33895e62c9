//===- Repack.cpp - weights from files into kernel storage ------------------------------------------------------===//

#include "quantc/Format/Repack.h"
#include "quantc/Format/Layout.h"
#include "quantc/Support/Parallel.h"
#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

using namespace quantc;

//===--- Blocks to kernel storage: a composed list of moves -----------------------------------------------------===//

/// Longer lists than this are not composed; such blocks go through FieldValues.
static constexpr int64_t mostUnitColumns = 4096;
/// Room around the source of a row, so that a term may load eight bytes wherever its bits begin.
static constexpr size_t margin = 8;

/// How one row of a unit, the smallest whole number of blocks of both storages, gets from one to the other. Every row
/// does it alike: row r of a word lies r words after row 0, or in other bits.
struct Repacker::Moves {
  /// Bits of the source that lie at the same distance from their place in a word: (load(source + offset) >> shift) &
  /// mask.
  struct Term {
    int32_t offset;
    uint32_t shift, mask;
  };
  /// Up to four bytes of kernel storage: a lane of a line, or a number of a vector of rows.
  struct Word {
    uint32_t offset; ///< from the start of the kernel block
    uint8_t bytes;   ///< 4, 2, 1; rows follow each other
    uint8_t narrow;  ///< not 0: so many bits, rows as in CellOrder::Rows below a byte
    uint32_t terms;  ///< end of its terms
  };
  struct KernelBlock {
    std::vector<Word> words;
    std::vector<Term> terms;
  };
  int64_t columns = 0;    ///< of a unit
  size_t sourceBytes = 0; ///< of a row of a unit
  std::vector<KernelBlock> blocks;

  static std::unique_ptr<const Moves> compose(const KernelStorage &storage);
  /// `source`: a row of the unit with a margin on both sides.
  static void run(const KernelBlock &block, unsigned rows, unsigned row, const std::byte *source, std::byte *packed);
};

/// The bit address in a file's block of each bit of each cell of a field; empty where the layout stores transformed
/// cells.
static std::vector<int64_t> sourceBits(const Format &format, const BlockLayout &layout, const Field &field) {
  std::vector<int64_t> bits(static_cast<size_t>(format.cellCount(field, 0, 0)) * field.width);
  for (const BitMove &move : layout.moves()) {
    if (move.field != &field)
      continue;
    if (move.transform)
      return {};
    for (unsigned b = 0; b < move.width; b++)
      bits[static_cast<size_t>(move.cell) * field.width + move.low + b] = move.address + b;
  }
  return bits;
}

std::unique_ptr<const Repacker::Moves> Repacker::Moves::compose(const KernelStorage &storage) {
  const Format &format = *storage.source();
  if (!format.block() || format.block()->rows != 1)
    return nullptr;
  const BlockShape &block = *format.block();
  const int64_t columns = std::lcm<int64_t>(block.columns, storage.columns());
  if (columns > mostUnitColumns)
    return nullptr;
  auto layout = BlockLayout::create(format);
  if (!layout)
    return nullptr;

  /// Words of row 0 by kernel block and offset: for each bit, whence it comes (-1: from nowhere).
  struct Target {
    uint8_t bytes, narrow;
    std::vector<int64_t> from = std::vector<int64_t>(32, -1);
  };
  auto moves = std::make_unique<Moves>();
  moves->columns = columns;
  moves->sourceBytes = static_cast<size_t>(columns / block.columns * block.bytes);
  std::vector<std::map<unsigned, Target>> targets(static_cast<size_t>(columns / storage.columns()));
  for (const StorageItem &item : storage.items()) {
    const Field &field = *item.field;
    const auto bits = item.factor || !field.inside ? std::vector<int64_t>() : sourceBits(format, *layout, field);
    if (bits.empty())
      return nullptr;
    const auto array = static_cast<unsigned>(field.arraySize());
    for (size_t b = 0; b < targets.size(); b++)
      for (const StoragePlane &plane : item.planes)
        for (unsigned cell = 0; cell < item.cells; cell++) {
          const int64_t k = static_cast<int64_t>(b * storage.columns() + cell / array * item.run);
          const int64_t sourceCell = k % block.columns / field.columns * array + cell % array;
          const int64_t from = k / block.columns * block.bytes * 8;
          const bool quads = item.order == CellOrder::Quads;
          const unsigned address = storage.bitAddress(item, plane, 0, cell);
          const unsigned bytes = quads ? 4 : std::max(plane.width / 8, 1u),
                         word = quads ? storage.rule().cellsPerLane() : 1;
          const unsigned offset = quads ? address / 8 - cell % word : address / 8;
          Target &target =
              targets[b]
                  .try_emplace(offset, Target{static_cast<uint8_t>(bytes),
                                              static_cast<uint8_t>(plane.width < 8 && !quads ? plane.width : 0)})
                  .first->second;
          for (unsigned i = 0; i < plane.width; i++)
            target.from[address - offset * 8 + i] =
                from + bits[static_cast<size_t>(sourceCell) * field.width + plane.low + i];
        }
  }
  for (auto &words : targets) {
    KernelBlock composed;
    for (auto &[offset, target] : words) {
      std::map<int64_t, uint32_t> masks; // by distance
      for (unsigned bit = 0; bit < 32; bit++)
        if (target.from[bit] >= 0)
          masks[target.from[bit] - bit] |= uint32_t(1) << bit;
      for (auto [distance, mask] : masks)
        composed.terms.push_back({static_cast<int32_t>(distance >> 3), static_cast<uint32_t>(distance & 7), mask});
      composed.words.push_back({offset, target.bytes, target.narrow, static_cast<uint32_t>(composed.terms.size())});
    }
    moves->blocks.push_back(std::move(composed));
  }
  return moves;
}

void Repacker::Moves::run(const KernelBlock &block, unsigned rows, unsigned row, const std::byte *source,
                          std::byte *packed) {
  const Term *term = block.terms.data();
  for (const Word &word : block.words) {
    uint32_t value = 0;
    for (const Term *end = block.terms.data() + word.terms; term != end; term++) {
      uint64_t bits;
      std::memcpy(&bits, source + term->offset, sizeof(bits));
      value |= static_cast<uint32_t>(bits >> term->shift) & term->mask;
    }
    std::byte *out = packed + word.offset + row * word.bytes;
    if (word.bytes == 4) {
      std::memcpy(out, &value, 4);
    } else if (word.bytes == 2) {
      std::memcpy(out, &value, 2);
    } else if (!word.narrow) {
      *out = static_cast<std::byte>(value);
    } else {
      const unsigned count = rows * word.narrow / 8;
      packed[word.offset + row % count] |= static_cast<std::byte>(value << row / count * word.narrow);
    }
  }
}

//===--- Repacker -----------------------------------------------------------------------------------------------===//

Repacker::Repacker(std::shared_ptr<const KernelStorage> storage) : kernel(std::move(storage)) {}
Repacker::~Repacker() = default;
Repacker::Repacker(Repacker &&) noexcept = default;

Result<Repacker> Repacker::create(std::shared_ptr<const KernelStorage> storage) {
  Repacker repacker(std::move(storage));
  repacker.moves = Moves::compose(*repacker.kernel);
  return repacker;
}

Status Repacker::checkSizes(int64_t N, int64_t K, size_t packedBytes) const {
  QUANTC_TRY(kernel->checkShape(N, K));
  if (static_cast<uint64_t>(kernel->bytes(N, K)) != packedBytes)
    return fail("kernel storage of {} for a weight of {} x {} has {} bytes, not {}", kernel->source()->spec(), N, K,
                kernel->bytes(N, K), packedBytes);
  return {};
}

Status Repacker::fromBlocks(std::span<const std::byte> blocks, int64_t N, int64_t K, std::span<std::byte> packed,
                            unsigned threads) const {
  QUANTC_TRY(checkSizes(N, K, packed.size()));
  const Format &format = *kernel->source();
  if (!format.block() || !std::ranges::all_of(format.fields(), &Field::inside))
    return fail("a weight of {} does not consist of blocks alone: read its fields from a container", format.spec());
  const BlockShape &block = *format.block();
  const int64_t count = N / block.rows * (K / block.columns);
  if (blocks.size() != static_cast<uint64_t>(count * block.bytes))
    return fail("a weight of {} x {} in {} has {} bytes, not {}", N, K, format.spec(), count * block.bytes,
                blocks.size());
  if (!moves) {
    QUANTC_ASSIGN(BlockLayout layout, BlockLayout::create(format));
    FieldValues fields = zeroFields(format, N, K);
    layout.read(blocks.data(), 0, count, fields);
    return fromFields(fields, N, K, packed, threads);
  }
  const size_t rowBytes = static_cast<size_t>(K / block.columns * block.bytes), blockBytes = kernel->bytes();
  const auto columnTiles = static_cast<size_t>(kernel->columnTiles(K));
  parallelFor(static_cast<size_t>(kernel->rowTiles(N)), threads, [&](size_t tile) {
    std::vector<std::byte> row(moves->sourceBytes + 2 * margin);
    std::byte *out = packed.data() + tile * columnTiles * blockBytes;
    std::memset(out, 0, columnTiles * blockBytes);
    const auto rows =
        static_cast<unsigned>(std::min<int64_t>(kernel->rows(), N - static_cast<int64_t>(tile) * kernel->rows()));
    for (size_t first = 0, at = 0; first < columnTiles; first += moves->blocks.size(), at += moves->sourceBytes) {
      const size_t here = std::min(moves->sourceBytes, rowBytes - at); // a last unit may be cut
      std::ranges::fill(row, std::byte(0));
      for (unsigned r = 0; r < rows; r++) {
        std::memcpy(row.data() + margin, blocks.data() + (tile * kernel->rows() + r) * rowBytes + at, here);
        for (size_t b = 0; b < moves->blocks.size() && first + b < columnTiles; b++)
          Moves::run(moves->blocks[b], kernel->rows(), r, row.data() + margin, out + (first + b) * blockBytes);
      }
    }
  });
  return {};
}

//===--- FieldValues to kernel storage, and back ----------------------------------------------------------------===//

namespace {
/// One row of one item in one block: where its cells lie in FieldValues.
struct RowOfCells {
  const KernelStorage &storage;
  const StorageItem &item;
  int64_t N, K, n, k0;

  /// body(cell of the block, index of FieldValues) for the cells of columns below K.
  template <typename Body> void each(Body body) const {
    const Format &format = *storage.format();
    const Field &field = *item.field;
    const int64_t array = field.arraySize(), chunk = field.inside ? format.block()->columns : storage.columns();
    const int64_t end = std::min<int64_t>(K, k0 + storage.columns());
    int64_t index = 0;
    unsigned cell = 0;
    for (int64_t k = k0; k < end; k += item.run) {
      // Cells follow each other within a block of the file, and within a row without one.
      index = k == k0 || k % chunk == 0 ? cellIndex(format, field, n, k, N, K) : index + array;
      for (int64_t element = 0; element < array; element++)
        body(cell++, index + element);
    }
  }
};
} // namespace

Result<FieldValues> Repacker::evaluateFactors(const FieldValues &fields, int64_t N, int64_t K, unsigned threads) const {
  const Format &source = *kernel->source(), &stored = *kernel->format();
  FieldValues factors;
  for (const StorageItem &item : kernel->items()) {
    if (!item.factor)
      continue;
    QUANTC_ASSIGN(Program program, Program::compile(source, item.factor));
    const Field &field = *item.field;
    auto &cells = factors.emplace_back(static_cast<size_t>(
        (field.inside ? N / source.block()->rows * (K / source.block()->columns) : 1) * stored.cellCount(field, N, K)));
    parallelFor(static_cast<size_t>(N), threads, [&](size_t n) {
      const auto row = static_cast<int64_t>(n);
      for (int64_t k = 0; k < K; k += field.columns ? field.columns : K) {
        float value;
        program.floats(fields, N, K, row, k, 1, &value);
        cells[static_cast<size_t>(cellIndex(stored, field, row, k, N, K))] = std::bit_cast<uint32_t>(value);
      }
    });
  }
  return factors;
}

Status Repacker::fromFields(const FieldValues &fields, int64_t N, int64_t K, std::span<std::byte> packed,
                            unsigned threads) const {
  QUANTC_TRY(checkSizes(N, K, packed.size()));
  const Format &source = *kernel->source();
  for (const Field &f : source.fields()) {
    const int64_t blocks = f.inside ? N / source.block()->rows * (K / source.block()->columns) : 1;
    if (!f.extra && (fields.size() <= f.index ||
                     static_cast<int64_t>(fields[f.index].size()) != blocks * source.cellCount(f, N, K)))
      return fail("field '{}' of {} does not have the cells of a weight of {} x {}", f.name, source.spec(), N, K);
  }
  QUANTC_ASSIGN(const FieldValues factors, evaluateFactors(fields, N, K, threads));

  const auto columnTiles = static_cast<size_t>(kernel->columnTiles(K));
  parallelFor(static_cast<size_t>(kernel->rowTiles(N)), threads, [&](size_t tile) {
    std::byte *out = packed.data() + tile * columnTiles * kernel->bytes();
    std::memset(out, 0, columnTiles * kernel->bytes());
    for (unsigned r = 0; r < kernel->rows(); r++) {
      const int64_t n = static_cast<int64_t>(tile) * kernel->rows() + r;
      for (size_t b = 0; n < N && b < columnTiles; b++)
        for (const StorageItem &item : kernel->items()) {
          const size_t index = item.field->index;
          const auto &raw = item.factor ? factors[index - source.fields().size()] : fields[index];
          std::byte *block = out + b * kernel->bytes();
          RowOfCells{*kernel, item, N, K, n, static_cast<int64_t>(b * kernel->columns())}.each(
              [&](unsigned cell, int64_t at) {
                for (const StoragePlane &plane : item.planes)
                  writeBits(block, kernel->bitAddress(item, plane, r, cell), plane.width,
                            raw[static_cast<size_t>(at)] >> plane.low & lowBits(plane.width));
              });
        }
    }
  });
  return {};
}

Result<FieldValues> Repacker::toFields(std::span<const std::byte> packed, int64_t N, int64_t K,
                                       unsigned threads) const {
  QUANTC_TRY(checkSizes(N, K, packed.size()));
  FieldValues fields = zeroFields(*kernel->format(), N, K);
  // A cell that several rows share is in each of them: one thread a field writes it.
  parallelFor(kernel->items().size(), threads, [&](size_t i) {
    const StorageItem &item = kernel->items()[i];
    auto &raw = fields[item.field->index];
    for (int64_t n = 0; n < N; n++)
      for (int64_t b = 0; b < kernel->columnTiles(K); b++) {
        const auto r = static_cast<unsigned>(n % kernel->rows());
        const std::byte *block = packed.data() + (n / kernel->rows() * kernel->columnTiles(K) + b) * kernel->bytes();
        RowOfCells{*kernel, item, N, K, n, b * kernel->columns()}.each([&](unsigned cell, int64_t at) {
          uint64_t value = 0;
          for (const StoragePlane &plane : item.planes)
            value |= readBits(block, kernel->bitAddress(item, plane, r, cell), plane.width) << plane.low;
          raw[static_cast<size_t>(at)] = value;
        });
      }
  });
  return fields;
}
