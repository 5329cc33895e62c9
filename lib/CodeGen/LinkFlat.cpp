//===- LinkFlat.cpp - an ELF object becomes a flat image --------------------------------------------------------===//
//
// A linker for objects that need none: code and constants are laid out in one run of bytes, and references between
// them, all relative, are filled in. Whatever a flat image cannot have (imports, absolute addresses, writable data) is
// an error.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/CodeGen/MachineCode.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/Endian.h"

using namespace llvm;
using namespace llvm::object;
using quantc::CodeImage;
using quantc::fail;
using quantc::Result;
namespace le = llvm::support::endian;

namespace {

/// What a relocation asks for: `value` = S + A; `place` = P.
struct Fixup {
  uint64_t value, place;
  int64_t delta() const { return static_cast<int64_t>(value - place); }
  int64_t pages() const { return static_cast<int64_t>((value & ~0xfffull) - (place & ~0xfffull)) >> 12; }
};

bool applyX86(uint32_t type, const Fixup &fixup, uint8_t *at) {
  switch (type) {
  case ELF::R_X86_64_PC32:
  case ELF::R_X86_64_PLT32:
    le::write32le(at, static_cast<uint32_t>(fixup.delta()));
    return isInt<32>(fixup.delta());
  case ELF::R_X86_64_PC64:
    le::write64le(at, static_cast<uint64_t>(fixup.delta()));
    return true;
  default:
    return false;
  }
}

/// Puts `value` into bits [low, low + width) of the instruction.
void patch(uint8_t *at, unsigned low, unsigned width, uint64_t value) {
  uint32_t mask = ((1u << width) - 1) << low;
  le::write32le(at, (le::read32le(at) & ~mask) | ((static_cast<uint32_t>(value) << low) & mask));
}

bool applyAArch64(uint32_t type, const Fixup &fixup, uint8_t *at) {
  auto pageOffset = [&](unsigned scale) {
    patch(at, 10, 12, (fixup.value & 0xfff) >> scale);
    return (fixup.value & ((1u << scale) - 1)) == 0;
  };
  switch (type) {
  case ELF::R_AARCH64_PREL32:
    le::write32le(at, static_cast<uint32_t>(fixup.delta()));
    return isInt<32>(fixup.delta());
  case ELF::R_AARCH64_ADR_PREL_PG_HI21:
    patch(at, 29, 2, fixup.pages() & 3);
    patch(at, 5, 19, fixup.pages() >> 2);
    return isInt<21>(fixup.pages());
  case ELF::R_AARCH64_ADD_ABS_LO12_NC:
  case ELF::R_AARCH64_LDST8_ABS_LO12_NC:
    return pageOffset(0);
  case ELF::R_AARCH64_LDST16_ABS_LO12_NC:
    return pageOffset(1);
  case ELF::R_AARCH64_LDST32_ABS_LO12_NC:
    return pageOffset(2);
  case ELF::R_AARCH64_LDST64_ABS_LO12_NC:
    return pageOffset(3);
  case ELF::R_AARCH64_LDST128_ABS_LO12_NC:
    return pageOffset(4);
  default:
    return false;
  }
}

class FlatLinker {
public:
  explicit FlatLinker(const ELF64LEObjectFile &object) : object(object) {}

  Result<CodeImage> link(ArrayRef<std::string> names) {
    QUANTC_TRY(layOut());
    for (const SectionRef &section : object.sections())
      QUANTC_TRY(relocate(section));
    StringMap<uint64_t> offsets;
    for (const ELFSymbolRef &symbol : object.symbols())
      if (auto address = addressOf(symbol))
        offsets[cantFail(symbol.getName())] = *address;
    for (const std::string &name : names) {
      if (!offsets.contains(name) || !offsets.contains(name + "_tasks"))
        return fail("kernel '{}' is not in the object", name);
      image.entries.push_back({name, offsets[name], offsets[name + "_tasks"]});
    }
    return std::move(image);
  }

private:
  quantc::Status layOut() {
    for (const ELFSectionRef section : object.sections()) {
      StringRef name = cantFail(section.getName());
      if (!(section.getFlags() & ELF::SHF_ALLOC) || section.getSize() == 0 ||
          section.getType() == ELF::SHT_X86_64_UNWIND || name == ".eh_frame")
        continue;
      if ((section.getFlags() & ELF::SHF_WRITE) || section.isBSS())
        return fail("section {}: kernels have no writable data", name.str());
      image.bytes.resize(alignTo(image.bytes.size(), std::max<uint64_t>(section.getAlignment().value(), 64)));
      start[section.getIndex()] = image.bytes.size();
      StringRef contents = cantFail(section.getContents());
      auto first = reinterpret_cast<const std::byte *>(contents.data());
      image.bytes.insert(image.bytes.end(), first, first + contents.size());
    }
    return {};
  }

  /// Where a symbol lies in the image, if it does.
  std::optional<uint64_t> addressOf(const ELFSymbolRef &symbol) const {
    Expected<section_iterator> section = symbol.getSection();
    if (!section) {
      consumeError(section.takeError());
      return {};
    }
    if (*section == object.section_end())
      return {};
    auto it = start.find((*section)->getIndex());
    if (it == start.end())
      return {};
    return it->second + cantFail(symbol.getValue());
  }

  quantc::Status relocate(const SectionRef &relocations) {
    section_iterator section = cantFail(relocations.getRelocatedSection());
    if (section == object.section_end() || !start.contains(section->getIndex()))
      return {};
    for (const ELFRelocationRef relocation : relocations.relocations()) {
      auto symbol = static_cast<ELFSymbolRef>(*relocation.getSymbol());
      std::string name = cantFail(symbol.getName()).str();
      std::optional<uint64_t> address = addressOf(symbol);
      if (!address)
        return fail("kernels refer to '{}', which they do not define", name);
      Fixup fixup{*address + cantFail(relocation.getAddend()), start[section->getIndex()] + relocation.getOffset()};
      auto *at = reinterpret_cast<uint8_t *>(image.bytes.data()) + fixup.place;
      bool applied = object.getArch() == Triple::aarch64 ? applyAArch64(relocation.getType(), fixup, at)
                                                         : applyX86(relocation.getType(), fixup, at);
      if (!applied) {
        SmallString<32> type;
        relocation.getTypeName(type);
        return fail("relocation {} to '{}' depends on the address of the image", type.str().str(), name);
      }
    }
    return {};
  }

  const ELF64LEObjectFile &object;
  CodeImage image;
  DenseMap<uint64_t, uint64_t> start; ///< of each section that is in the image, by its index
};

} // namespace

Result<CodeImage> quantc::linkFlat(StringRef bytes, ArrayRef<std::string> names) {
  auto object = ObjectFile::createELFObjectFile(MemoryBufferRef(bytes, "kernels"));
  if (!object)
    return fail("kernels: {}", toString(object.takeError()));
  auto *elf = dyn_cast<ELF64LEObjectFile>(object->get());
  if (!elf)
    return fail("kernels: not a 64-bit little-endian ELF object");
  return FlatLinker(*elf).link(names);
}
