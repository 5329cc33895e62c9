// The format library as installed reads every description of the package.
#include <cstdio>
#include <quantc/Format/Format.h>

int main() {
  auto catalog = quantc::Catalog::open(DATA);
  if (!catalog || (*catalog)->formatNames().empty())
    return 1;
  for (const std::string &name : (*catalog)->formatNames())
    if (auto format = (*catalog)->format(name); !format) {
      std::puts(format.error().message.c_str());
      return 1;
    }
  std::printf("%zu formats\n", (*catalog)->formatNames().size());
  return 0;
}
