//===- FirstError.h - what passes complain of, as one line ------------------------------------------------------===//
#pragma once

#include "mlir/IR/Diagnostics.h"
#include "quantc/Support/Result.h"

namespace quantc {

/// Catches the first error that is reported while this lives, with its place in a file and its notes, as one line.
class FirstError {
public:
  explicit FirstError(mlir::MLIRContext *context)
      : handler(context, [this](mlir::Diagnostic &diagnostic) { note(diagnostic); }) {}

  /// "" where nothing was reported.
  const std::string &text() const { return line; }
  /// The line as an error; where nothing was reported, that `what` failed.
  tl::unexpected<Error> error(const std::string &what) const {
    return fail("{}", line.empty() ? what + " failed" : line);
  }

private:
  void note(mlir::Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != mlir::DiagnosticSeverity::Error || !line.empty())
      return;
    if (auto at = llvm::dyn_cast<mlir::FileLineColLoc>(diagnostic.getLocation()))
      line = fmt::format("{}:{}:{}: ", at.getFilename().str(), at.getLine(), at.getColumn());
    line += diagnostic.str();
    for (mlir::Diagnostic &more : diagnostic.getNotes())
      line += "; " + more.str();
  }

  std::string line;
  mlir::ScopedDiagnosticHandler handler;
};

} // namespace quantc
