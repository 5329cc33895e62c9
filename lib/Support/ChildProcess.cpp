//===- ChildProcess.cpp - work that may not end well ------------------------------------------------------------===//

#include "quantc/Support/ChildProcess.h"
#include "quantc/Support/Message.h"
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <fstream>
#include <new>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace quantc;

namespace {

/// An unnamed file in memory that parent and child share.
class SharedFile {
public:
  SharedFile() : descriptor(::memfd_create("quantc", MFD_CLOEXEC)) {}
  ~SharedFile() { ::close(descriptor); }
  SharedFile(const SharedFile &) = delete;
  SharedFile &operator=(const SharedFile &) = delete;

  bool append(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
      if (n < 0 && errno != EINTR)
        return false;
      bytes.remove_prefix(static_cast<size_t>(std::max<ssize_t>(n, 0)));
    }
    return true;
  }
  std::string read() const {
    std::string all;
    std::array<char, 1 << 16> part{};
    for (ssize_t n; (n = ::pread(descriptor, part.data(), part.size(), static_cast<off_t>(all.size()))) > 0;)
      all.append(part.data(), static_cast<size_t>(n));
    return all;
  }
  const int descriptor;
};

constexpr char succeeded = 'v', failed = 'e';

/// Writable memory of this process in bytes, as RLIMIT_DATA counts it.
uint64_t dataBytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t size = 0, resident = 0, shared = 0, text = 0, libraries = 0, data = 0;
  file >> size >> resident >> shared >> text >> libraries >> data;
  return data * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

void lower(int resource, uint64_t value) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur <= value)
    return;
  limit.rlim_cur = value;
  ::setrlimit(resource, &limit);
}

/// What a child does first.
void enterChild(pid_t parent, const SharedFile &messages, const ChildLimits &limits) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent)
    ::_exit(1);
  ::dup2(messages.descriptor, STDERR_FILENO);
  lower(RLIMIT_CORE, 0);
  lower(RLIMIT_DATA, dataBytes() + limits.bytes);
  for (int signal : {SIGALRM, SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE})
    std::signal(signal, SIG_DFL);
  ::alarm(limits.seconds);
}

[[noreturn]] void runChild(const std::string &what, const SharedFile &result,
                           const std::function<Result<std::string>()> &work) {
  Result<std::string> made = fail("{}: not enough memory", what);
  try {
    made = work();
  } catch (const std::bad_alloc &) { // the error above
  } catch (const std::exception &exception) {
    made = fail("{}: {}", what, exception.what());
  }
  const bool written =
      result.append({made ? &succeeded : &failed, 1}) && result.append(made ? *made : made.error().message);
  ::_exit(written ? 0 : 1);
}

[[noreturn]] void becomeProgram(const std::vector<std::string> &command, const SharedFile &input,
                                const SharedFile &output) {
  std::vector<char *> arguments;
  for (const std::string &argument : command)
    arguments.push_back(const_cast<char *>(argument.c_str()));
  arguments.push_back(nullptr);
  ::lseek(input.descriptor, 0, SEEK_SET);
  ::dup2(input.descriptor, STDIN_FILENO);
  ::dup2(output.descriptor, STDOUT_FILENO);
  ::execvp(arguments.front(), arguments.data());
  std::fprintf(stderr, "it cannot be started: %s\n", std::strerror(errno));
  std::fflush(stderr);
  ::_exit(127);
}

/// The status of a child that has ended.
Result<int> await(const std::string &what, pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      return fail("{}: cannot wait for its process: {}", what, std::strerror(errno));
  return status;
}

std::string howItEnded(int status, const ChildLimits &limits) {
  if (!WIFSIGNALED(status))
    return fmt::format("its process ended with status {}", WEXITSTATUS(status));
  if (WTERMSIG(status) == SIGALRM)
    return fmt::format("it took longer than {} seconds", limits.seconds);
  return fmt::format("its process was ended by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
}

/// The first line that is not empty, fit for a message.
std::string firstLine(const std::string &text) {
  const size_t begin = std::min(text.find_first_not_of("\r\n \t"), text.size());
  return oneLine(text.substr(begin, std::min<size_t>(text.find_first_of("\r\n", begin) - begin, 300)));
}

} // namespace

Result<std::string> quantc::runInChild(const std::string &what, const ChildLimits &limits,
                                       const std::function<Result<std::string>()> &work) {
  const SharedFile result, messages;
  const pid_t parent = ::getpid();
  const pid_t child = result.descriptor < 0 || messages.descriptor < 0 ? -1 : ::fork();
  if (child < 0)
    return fail("{}: cannot start a process: {}", what, std::strerror(errno));
  if (child == 0) {
    enterChild(parent, messages, limits);
    runChild(what, result, work);
  }
  QUANTC_ASSIGN(const int status, await(what, child));
  const std::string said = messages.read();
  std::string answer = result.read();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !answer.empty()) {
    std::fwrite(said.data(), 1, said.size(), stderr); // warnings
    if (answer.front() == failed)
      return fail("{}", answer.substr(1));
    answer.erase(0, 1);
    return answer;
  }
  const std::string line = firstLine(said);
  return fail("{} failed: {}{}{}", what, howItEnded(status, limits), line.empty() ? "" : "; it said: ", line);
}

Result<std::string> quantc::runProgram(const std::vector<std::string> &command, std::string_view given,
                                       const ChildLimits &limits) {
  const std::string &what = command.front();
  const SharedFile input, output, messages;
  const bool ready = input.descriptor >= 0 && output.descriptor >= 0 && messages.descriptor >= 0 && input.append(given);
  const pid_t parent = ::getpid();
  const pid_t child = ready ? ::fork() : -1;
  if (child < 0)
    return fail("{}: cannot start a process: {}", what, std::strerror(errno));
  if (child == 0) {
    enterChild(parent, messages, limits);
    becomeProgram(command, input, output);
  }
  QUANTC_ASSIGN(const int status, await(what, child));
  if (status == 0)
    return output.read();
  const std::string line = firstLine(messages.read());
  return fail("{}: {}", what, WIFSIGNALED(status) || line.empty() ? howItEnded(status, limits) : line);
}
