//===- KernelStorage.cpp - from a rule and a format to offsets --------------------------------------------------===//

#include "quantc/Format/KernelStorage.h"
#include "quantc/Format/Factoring.h"
#include <algorithm>
#include <numeric>

using namespace quantc;

/// Subexpressions are evaluated ahead only where they are constant over this many columns: an f32 for each run.
static constexpr int64_t leastFactorRun = 16;

//===--- What is stored -----------------------------------------------------------------------------------------===//

namespace {
/// The fields that kernels read as they are, and the largest subexpressions of `value` that are evaluated for them.
class Selection {
public:
  Selection(const Format &format, const StorageRule &rule) : format(format), rule(rule) {}

  Status visit(const ExprPtr &e) {
    if (readsOnlyStorable(*e))
      return {};
    const int64_t run = constantRun(format, e);
    if (format.typeOf(*e) == ValueType::Float && (run == 0 || run >= leastFactorRun)) {
      if (std::ranges::find(factors, e) == factors.end())
        factors.push_back(e);
      return {};
    }
    const Field *f = e->kind == ExprKind::Name ? format.field(e->name) : nullptr;
    if (f && !isStorable(*f))
      return fail(
          "{} has no kernel storage: rows share the array '{}', and what is read of it differs from weight to weight",
          format.spec(), f->name);
    for (const ExprPtr &a : e->args)
      QUANTC_TRY(visit(a));
    return {};
  }

  std::vector<ExprPtr> factors;

private:
  /// Every row can have cells of its own, at most repeated; arrays would multiply.
  bool isStorable(const Field &f) const {
    return f.array.empty() || (!f.flat && f.rows == 1 && f.columns > 0 && f.columns <= rule.maxColumns);
  }
  bool readsOnlyStorable(const Expr &e) const {
    if (const Field *f = e.kind == ExprKind::Name ? format.field(e.name) : nullptr; f && !isStorable(*f))
      return false;
    return std::ranges::all_of(e.args, [&](const ExprPtr &a) { return readsOnlyStorable(*a); });
  }

  const Format &format;
  const StorageRule &rule;
};
} // namespace

static ExprPtr integerLiteral(int64_t value) {
  return std::make_shared<const Expr>(Expr{.kind = ExprKind::Integer, .integer = value});
}

static ExprPtr replaced(const ExprPtr &e, const std::vector<ExprPtr> &parts, const std::vector<std::string> &names) {
  if (auto it = std::ranges::find(parts, e); it != parts.end())
    return std::make_shared<const Expr>(
        Expr{.kind = ExprKind::Name, .position = e->position, .name = names[it - parts.begin()]});
  Expr copy = *e;
  for (ExprPtr &a : copy.args)
    a = replaced(a, parts, names);
  return std::make_shared<const Expr>(std::move(copy));
}

/// The format with each of `factors` an f32 field, after all others.
static Result<std::shared_ptr<const Format>> withFactors(const Format &format, const std::vector<ExprPtr> &factors) {
  auto description = std::make_shared<Description>(format.source());
  std::vector<std::string> names;
  for (unsigned i = 0; names.size() < factors.size(); i++)
    if (std::string name = fmt::format("f{}", i);
        !readsName(*format.value(), name) && !format.source().field(name) && !format.table(name))
      names.push_back(name);
  const ExprPtr value = replaced(format.value(), factors, names);
  for (FieldDecl &f : description->fields)
    f.extra = !readsName(*value, f.name);
  for (size_t i = 0; i < factors.size(); i++) {
    const int64_t run = constantRun(format, factors[i]);
    FieldDecl f{.name = names[i], .type = "f32"};
    f.scope = {.kind = run ? ScopeDecl::Tile : ScopeDecl::Row, .columns = integerLiteral(run)};
    if (const auto &block = format.block(); block && run && run <= block->columns) { // inline: the layout must have it
      LayoutItem item{.kind = LayoutItem::Cells};
      item.field = f.name;
      description->block->layout.push_back(item);
      const int64_t bytes =
          description->block->bytes->kind == ExprKind::Integer && i ? description->block->bytes->integer : block->bytes;
      description->block->bytes = integerLiteral(bytes + block->rows * (block->columns / run) * 4);
    }
    description->fields.push_back(std::move(f));
  }
  description->definitions = {{"value", value->position, value}};
  description->encodes.clear();

  std::map<std::string, ParamValue> params;
  for (const ParamDecl &p : description->params)
    if (const std::string word = format.typeWord(p.name); word != p.name)
      params[p.name] = word;
    else
      params[p.name] = format.integers().at(p.name);
  return Format::create(std::move(description), params);
}

/// The width of a block: whole groups of every field and whole blocks of files, a multiple of a line of single bits.
static Result<unsigned> blockColumnsOf(const Format &source, const std::vector<StorageItem> &items,
                                       const Format &stored, const StorageRule &rule) {
  int64_t columns = rule.laneBits;
  auto include = [&](int64_t scope) -> Status {
    columns = std::lcm(columns, scope);
    if (columns > rule.maxColumns)
      return fail("{} has no kernel storage: no block of at most {} columns holds whole groups of all its fields",
                  source.spec(), rule.maxColumns);
    return {};
  };
  std::vector<int64_t> wide; // scopes whose cells every block repeats
  for (const StorageItem &item : items)
    if (const int64_t scope = item.field->columns; scope > 0 && scope <= rule.maxColumns)
      QUANTC_TRY(include(scope));
    else
      wide.push_back(scope);
  for (const char *place : {"n", "k"})
    if (readsName(*stored.value(), place))
      return fail("{} has no kernel storage: its values depend on rows or columns of the whole weight ('{}')",
                  source.spec(), place);
  if (const auto &block = source.block()) {
    const bool byPlace = readsName(*stored.value(), "i"); // the place of a weight in its block decides its value
    if (byPlace && (block->rows > 1 || block->columns > rule.maxColumns))
      return fail("{} has no kernel storage: its values depend on places in blocks of {} x {}", source.spec(),
                  block->rows, block->columns);
    if (block->columns <= rule.maxColumns)
      QUANTC_TRY(include(block->columns));
  }
  if (wide.empty())
    return static_cast<unsigned>(columns);
  // Half the greatest width repeats little, and few widths of models are multiples of more.
  const int64_t least = columns, most = std::max<int64_t>(columns, rule.maxColumns / 2);
  for (columns = most / least * least; columns > 0; columns -= least)
    if (std::ranges::all_of(wide, [&](int64_t scope) { return scope % columns == 0; }))
      return static_cast<unsigned>(columns);
  return fail("{} has no kernel storage: a block of a multiple of {} columns cuts groups of {}", source.spec(), least,
              std::ranges::max(wide));
}

//===--- Where it lies ------------------------------------------------------------------------------------------===//

/// Powers of two from `widest` down that sum up to `bits`: 6 = 4 + 2, 11 = 8 + 2 + 1.
static std::vector<StoragePlane> planesOf(unsigned bits, unsigned widest) {
  std::vector<StoragePlane> planes;
  for (unsigned low = 0, width = widest; low < bits; low += width) {
    while (width > bits - low)
      width /= 2;
    planes.push_back({low, width, {}});
  }
  return planes;
}

static void setOrder(StorageItem &item, CellOrder order) {
  item.order = order;
  item.planes = planesOf(item.field->width, order == CellOrder::Rows ? 32 : 8);
}

/// f16, bf16 and f32 are converted a vector at a time; narrower numbers can be looked up, shifted and masked four to a
/// lane.
static bool isWideFloat(const Field &f) {
  return !isInteger(f.kind) && f.width >= 16;
}

/// Gives a place to every vector of one of the `parts` equal parts of a block that hold `items`, and returns its bytes.
/// Rows come first, the widest numbers before others; then lines of quads, the widest planes first, so that planes of
/// several items share a line that one does not fill.
static unsigned pack(const StorageRule &rule, const std::vector<StorageItem *> &items, unsigned parts) {
  unsigned end = 0;
  auto eachPlane = [&](CellOrder order, unsigned width, auto &&body) {
    for (StorageItem *item : items)
      for (StoragePlane &plane : item->planes)
        if (item->order == order && plane.width == width) {
          plane.slots.clear();
          body(plane, item->cells / parts);
        }
  };
  for (unsigned width = 32; width > 0; width /= 2)
    eachPlane(CellOrder::Rows, width, [&](StoragePlane &plane, unsigned cells) {
      for (unsigned v = 0; v < cells; v++, end += rule.rows * width / 8)
        plane.slots.push_back({end, 0});
    });
  unsigned line = 0, used = 8; // bits of each byte of the current line
  for (unsigned width = 8; width > 0; width /= 2)
    eachPlane(CellOrder::Quads, width, [&](StoragePlane &plane, unsigned cells) {
      for (unsigned v = 0; v < cells / rule.cellsPerLane(); v++, used += width) {
        if (used == 8) {
          line = end;
          end += rule.lineBytes();
          used = 0;
        }
        plane.slots.push_back({line, used});
      }
    });
  return end;
}

/// How many segments the codes make: the most for which each fills whole lines of every plane; 0 where not even the
/// block does.
static unsigned segmentsOf(const StorageRule &rule, const std::vector<StorageItem *> &codes) {
  unsigned cells = 1; // of a segment
  for (const StorageItem *item : codes)
    for (const StoragePlane &plane : item->planes)
      cells = std::lcm(cells, item->order == CellOrder::Rows ? 1 : rule.cellsPerLane() * 8 / plane.width);
  return codes.front()->cells % cells ? 0 : codes.front()->cells / cells;
}

void KernelStorage::placeItems() {
  auto groups = [&](const StorageItem &item) { return blockColumns / item.run; };
  unsigned finest = 0;
  for (const StorageItem &item : storedItems)
    finest = std::max(finest, groups(item));

  std::vector<StorageItem *> codes, others;
  for (StorageItem &item : storedItems) {
    setOrder(item,
             isWideFloat(*item.field) || item.cells % storageRule.cellsPerLane() ? CellOrder::Rows : CellOrder::Quads);
    (groups(item) == finest && item.field->array.empty() ? codes : others).push_back(&item);
  }
  segmentCount = codes.empty() ? 0 : segmentsOf(storageRule, codes);
  if (segmentCount == 0) {
    others.insert(others.end(), codes.begin(), codes.end());
    codes.clear();
    segmentCount = 1;
  }
  for (StorageItem *item : codes)
    item->inSegments = true;

  // In the head a few narrow cells may leave lines half empty; one behind the other they do not.
  head = pack(storageRule, others, 1);
  for (StorageItem *item : others) {
    if (item->order == CellOrder::Rows)
      continue;
    setOrder(*item, CellOrder::Rows);
    if (pack(storageRule, others, 1) >= head)
      setOrder(*item, CellOrder::Quads);
    head = pack(storageRule, others, 1);
  }
  segmentSize = pack(storageRule, codes, segmentCount);
}

//===--- KernelStorage ------------------------------------------------------------------------------------------===//

Result<KernelStorage> KernelStorage::derive(std::shared_ptr<const Format> source, const StorageRule &rule) {
  const bool known = (rule.rows == 8 || rule.rows == 16 || rule.rows == 32 || rule.rows == 64) && rule.laneBits == 32 &&
                     rule.maxColumns >= 32 && rule.maxColumns % 32 == 0 && rule.maxColumns <= 1024;
  if (!known)
    return fail("no kernel storage has {} rows, lanes of {} bits and up to {} columns: rows are 8, 16, 32 or 64, lanes "
                "have 32 bits, "
                "columns are a multiple of 32 up to 1024",
                rule.rows, rule.laneBits, rule.maxColumns);
  KernelStorage storage;
  storage.storageRule = rule;
  Selection selection(*source, rule);
  QUANTC_TRY(selection.visit(source->value()));
  storage.storedFormat = source;
  if (!selection.factors.empty()) {
    auto stored = withFactors(*source, selection.factors);
    if (!stored)
      return fail("{} has no kernel storage: {}", source->spec(), stored.error().message);
    storage.storedFormat = *stored;
  }
  const Format &stored = *storage.storedFormat;
  const size_t firstFactor = source->fields().size();
  for (const Field &f : stored.fields())
    if (readsName(*stored.value(), f.name))
      storage.storedItems.push_back(
          {.field = &f, .factor = f.index < firstFactor ? nullptr : selection.factors[f.index - firstFactor]});
  QUANTC_ASSIGN(storage.blockColumns, blockColumnsOf(*source, storage.storedItems, stored, rule));
  int64_t cells = 0;
  for (StorageItem &item : storage.storedItems) {
    const int64_t scope = item.field->columns;
    item.run = scope > 0 && scope <= storage.blockColumns ? static_cast<unsigned>(scope) : storage.blockColumns;
    const int64_t here = storage.blockColumns / item.run * item.field->arraySize();
    if ((cells += here) > 65536)
      return fail("{} has no kernel storage: a row of a block would have more than 65536 cells", source->spec());
    item.cells = static_cast<unsigned>(here);
  }
  storage.sourceFormat = std::move(source);
  storage.placeItems();
  return storage;
}

const StorageItem *KernelStorage::find(std::string_view field) const {
  auto it = std::ranges::find_if(storedItems, [&](const StorageItem &item) { return item.field->name == field; });
  return it == storedItems.end() ? nullptr : &*it;
}

StorageSlot KernelStorage::locate(const StorageItem &item, const StoragePlane &plane, unsigned v) const {
  if (!item.inSegments)
    return plane.slots[v];
  const auto count = static_cast<unsigned>(plane.slots.size());
  const StorageSlot &slot = plane.slots[v % count];
  return {head + v / count * segmentSize + slot.offset, slot.shift};
}

unsigned KernelStorage::bitAddress(const StorageItem &item, const StoragePlane &plane, unsigned row,
                                   unsigned cell) const {
  if (item.order == CellOrder::Quads) {
    const StorageSlot slot = locate(item, plane, cell / storageRule.cellsPerLane());
    return (slot.offset + row * storageRule.cellsPerLane() + cell % storageRule.cellsPerLane()) * 8 + slot.shift;
  }
  const unsigned start = locate(item, plane, cell).offset * 8;
  if (plane.width >= 8)
    return start + row * plane.width;
  const unsigned count = rows() * plane.width / 8; // bytes of the vector
  return start + row % count * 8 + row / count * plane.width;
}

/// Whether an expression reads a field whose cells cross the ends of rows.
static bool readsFlat(const Format &format, const Expr &e) {
  const Field *f = e.kind == ExprKind::Name ? format.field(e.name) : nullptr;
  return (f && f->flat) || std::ranges::any_of(e.args, [&](const ExprPtr &a) { return readsFlat(format, *a); });
}

Status KernelStorage::checkShape(int64_t N, int64_t K) const {
  QUANTC_TRY(sourceFormat->checkShape(N, K));
  for (const StorageItem &item : storedItems)
    if (K % item.run && (item.factor ? readsFlat(*sourceFormat, *item.factor) : item.field->flat))
      return fail("{} has no kernel storage for a weight of {} x {}: {} columns are no multiple of {}, and '{}' goes "
                  "on from row to row",
                  sourceFormat->spec(), N, K, K, item.run, item.field->name);
  return {};
}

//===--- Text ---------------------------------------------------------------------------------------------------===//

namespace {
/// A part of a line, or a vector of rows.
struct Piece {
  unsigned offset, bytes, shift, width;
  const StorageItem *item;
  const StoragePlane *plane;
  unsigned first, count; ///< vectors
};
} // namespace

static std::string cellsText(const StorageRule &rule, const Piece &p) {
  const unsigned each = p.item->order == CellOrder::Quads ? rule.cellsPerLane() : 1;
  const unsigned first = p.first * each, last = (p.first + p.count) * each - 1;
  std::string text = p.item->field->name;
  if (p.item->vectors() * each > 1)
    text += first == last ? fmt::format("[{}]", first) : fmt::format("[{}..{}]", first, last);
  if (p.plane->width != p.item->field->width)
    text += fmt::format(".{}", p.plane->low) +
            (p.plane->width > 1 ? fmt::format("..{}", p.plane->low + p.plane->width - 1) : "");
  return text;
}

/// Lines for the items of the head, or of a segment.
static std::string partText(const StorageRule &rule, const std::vector<StorageItem> &items, bool inSegments) {
  std::vector<Piece> pieces;
  for (const StorageItem &item : items)
    for (const StoragePlane &plane : item.planes)
      for (unsigned v = 0; item.inSegments == inSegments && v < plane.slots.size(); v++) {
        const unsigned bytes = item.order == CellOrder::Quads ? rule.lineBytes() : rule.rows * plane.width / 8;
        const StorageSlot slot = plane.slots[v];
        Piece *last = pieces.empty() ? nullptr : &pieces.back();
        const bool goesOn =
            last && last->plane == &plane && item.order == CellOrder::Rows && last->offset + last->bytes == slot.offset;
        if (goesOn) {
          last->bytes += bytes;
          last->count++;
        } else {
          pieces.push_back({slot.offset, bytes, slot.shift, plane.width, &item, &plane, v, 1});
        }
      }
  std::ranges::sort(pieces, {}, [](const Piece &p) { return std::pair(p.offset, p.shift); });
  auto bits = [](const Piece &p) {
    return p.width == 1 ? fmt::format("bit {}", p.shift) : fmt::format("bits {}..{}", p.shift, p.shift + p.width - 1);
  };
  std::string text;
  for (size_t i = 0; i < pieces.size(); i++) {
    const Piece &p = pieces[i];
    const bool quads = p.item->order == CellOrder::Quads, sameLine = quads && i && pieces[i - 1].offset == p.offset;
    if (!sameLine)
      text += fmt::format("\n  {:4} {:4}  {}", p.offset, p.bytes, quads ? "quads  " : "rows   ");
    if (quads)
      text += fmt::format("{}{}: {}", sameLine ? ", " : "", bits(p), cellsText(rule, p));
    else
      text += fmt::format("{} x {} bits{}: {}", rule.rows, p.width, p.count > 1 ? " each" : "", cellsText(rule, p));
  }
  return text;
}

std::string KernelStorage::text() const {
  std::string text = fmt::format("block: {} rows x {} columns in {} bytes, {:.4f} bits per weight", rows(), columns(),
                                 bytes(), bitsPerWeight());
  for (const StorageItem &item : storedItems)
    if (item.factor)
      text += fmt::format("\n{} per {} = {}", item.field->name, item.run, expressionText(*item.factor));
  if (head)
    text += fmt::format("\nhead: {} bytes{}", head, partText(storageRule, storedItems, false));
  if (segmentSize)
    text += fmt::format("\n{} segment{} of {} column{} in {} bytes{}{}", segmentCount, segmentCount > 1 ? "s" : "",
                        segmentColumns(), segmentColumns() > 1 ? "s" : "", segmentSize,
                        segmentCount > 1 ? ", each" : "", partText(storageRule, storedItems, true));
  return text;
}
