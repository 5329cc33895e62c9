//===- Recognize.h - which container and format the tensors of a file are ---------------------------------------===//
#pragma once

#include "quantc/Format/Container.h"
#include <nlohmann/json_fwd.hpp>

namespace quantc {

/// A container with one of the formats that it carries, and the parameters that are known.
struct Recognized {
  std::shared_ptr<const Description> container;
  std::string format; ///< its name
  std::map<std::string, ParamValue> params;
};

/// What a configuration leaves possible.
struct Recognition {
  std::vector<Recognized> candidates; ///< one, or several that differ by a key that the configuration lacks
  std::string lack;                   ///< where there are several: the key and what may stand there, as a message
};

/// What the `quantization_config` of a model describes: the only container, with the only format, whose `config` lines
/// all hold, or those that would with one more key. Fails on a method that no container has, with those that are known;
/// where more is missing; and where a key has a value that no container has.
Result<Recognition> recognizeContainers(Catalog &catalog, const nlohmann::json &config);

/// The same where there has to be one.
Result<Recognized> recognizeContainer(Catalog &catalog, const nlohmann::json &config);

/// The containers of Hugging Face directories that have this name or alias, at least one. Fails with those that there
/// are.
Result<std::vector<std::shared_ptr<const Description>>> checkpointContainers(Catalog &catalog, const std::string &name);

/// The containers of Hugging Face directories that carry a format (null: all), by their first alias or their name, each
/// once.
Result<std::vector<std::string>> containersFor(Catalog &catalog, const Format *format);

/// A tensor of a file.
struct FileTensor {
  std::string type;           ///< "i32", "f16"
  std::vector<int64_t> shape; ///< row-major
  std::span<const std::byte> bytes;
};

/// The weight that tensors of a file hold, by suffix.
struct StoredWeight {
  std::shared_ptr<const Format> format;
  int64_t N, K;
};

/// Format and shape of a weight from its tensors: parameters that are types of tensors or stand in JSON, extents that
/// are N or K or a fraction of them, constants and JSON values that are. Tensors may be missing here; `Binding` says
/// which it wants.
Result<StoredWeight> recognizeWeight(Catalog &catalog, const Recognized &as,
                                     const std::map<std::string, FileTensor> &tensors);

/// The suffix of a tensor, for one of the formats.
std::vector<std::string> suffixesOf(const Recognized &as);

} // namespace quantc
