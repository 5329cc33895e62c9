import os
import lit.formats

config.name = "quantc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["install", "unit", "e2e", "golden", "oracle", "emulator", "Inputs"]
config.test_source_root = os.path.join(config.source_dir, "test")
config.environment["PATH"] = os.pathsep.join([config.tools_dir, config.llvm_tools_dir, os.environ["PATH"]])
config.substitutions += [("%source", config.source_dir), ("%plugins", config.plugin_dir)]
