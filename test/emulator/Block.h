//===- Block.h - a thread block as fibers -------------------------------------------------------------------------===//
#pragma once

#include "Emulator.h"
#include <functional>
#include <random>
#include <ucontext.h>

namespace quantc::emulator {

constexpr unsigned warpSize = 32;

/// Operands of an intrinsic, each in 16 bytes, and where its result goes.
struct Call {
  std::byte *operands, *result;
  unsigned count; ///< of operands
  template <typename T> T operand(unsigned i) const {
    T value;
    __builtin_memcpy(&value, operands + size_t(16) * i, sizeof(T));
    return value;
  }
  template <typename T> void put(const T &value) const { __builtin_memcpy(result, &value, sizeof(T)); }
  /// Of a result that is a struct of words.
  void putWord(unsigned i, uint32_t word) const { __builtin_memcpy(result + size_t(4) * i, &word, 4); }
};

/// Who touched a word of shared memory last, and between which barriers.
struct Shadow {
  static constexpr int nobody = -1, several = -2;
  int writer = nobody, reader = nobody;
  unsigned written = 0, read = 0;
  bool isFenced = true; ///< whether an asynchronous proxy sees what was written
};

class BulkCopies;
class Products;

class Block {
public:
  using Body = std::function<void()>;

  Block(const Launch &launch, std::span<const Buffer> buffers, std::byte *shared);
  ~Block();

  /// Runs all threads of a block to their end.
  Status run(unsigned x, unsigned y, const Body &body);

  /// The block of the running fiber.
  static Block &current();

  unsigned thread() const { return running; }
  unsigned x() const { return blockX; }
  unsigned y() const { return blockY; }

  /// Waits for all threads.
  void barrier();
  /// Waits for all lanes of the warp; the last one to come runs `work` on the calls of all, in the order of lanes.
  void meet(const char *what, const Call &call, const std::function<void(std::span<const Call>)> &work);
  /// Lets others run, now and then.
  void maybeYield();

  /// The running thread has waited for earlier kernels.
  void waitForLaunches() { fibers[running].hasWaited = true; }
  /// Checks an access of the running thread.
  void access(const void *address, size_t bytes, bool write);
  /// `bytes` (4, 8 or 16) to shared memory, `count` of them from `from`, the rest zeros: by the time of the wait for
  /// their group.
  void copyLater(void *to, const void *from, unsigned bytes, unsigned count);
  void commitGroup();
  void waitGroups(unsigned left);

  /// What the running thread has written to shared memory is seen by asynchronous proxies.
  void fenceProxy();
  /// `bytes` at an offset of shared memory, read by an asynchronous proxy on behalf of the running thread.
  const std::byte *readAsync(size_t offset, size_t bytes);
  const std::byte *sharedMemory() const { return shared; }
  /// The offset of an address in shared memory; fails where it is in none.
  size_t offsetOf(const void *address);

  //===- Bulk copies and their barriers, by offsets in shared memory ----------------------------------------------===//

  /// Waits for the end of the phase with a parity.
  void waitForPhase(size_t barrier, uint32_t parity);
  /// An access of the running thread to an mbarrier.
  void touchBarrier(size_t barrier, bool write);
  /// Whether a copy may write there, now or later.
  void checkBulkWrite(size_t to, size_t bytes);
  /// Writes to shared memory what asynchronous proxies see.
  void writeAsync(size_t to, const void *from, size_t bytes);
  /// Fails where an asynchronous proxy does not see what was written there.
  void requireFenced(size_t offset, size_t bytes, const char *what);
  void checkGlobalRead(const void *from, size_t bytes);

  Products &products() { return *warpGroups; }
  BulkCopies &bulkCopies() { return *bulk; }

  /// Ends the launch with an error; does not return.
  [[noreturn]] void fail(const std::string &reason);

private:
  struct Copy {
    void *to;
    const void *from;
    unsigned bytes, count;
    bool landed;
  };
  enum class State { Ready, AtBarrier, AtMeeting, AtPhase, Done };
  struct Fiber {
    ucontext_t context;
    std::unique_ptr<std::byte[]> stack;
    State state = State::Ready;
    bool hasWaited = false; ///< for earlier kernels
    size_t barrier = 0;     ///< that it waits for, and the parity of the phase
    uint32_t parity = 0;
    std::vector<std::vector<Copy>> groups; ///< the last is not committed yet
    std::vector<size_t> unfenced;          ///< words that it has written since its last fence
  };
  struct Meeting {
    const char *what = nullptr;
    unsigned arrived = 0;
    Call calls[warpSize];
  };

  static void enter();
  void yield();
  void wakeForPhases();
  void land(Copy &copy);
  void landSome();
  void checkWaited();
  void touchShared(const void *address, size_t bytes, bool write);
  bool isIn(const Buffer &buffer, const void *address, size_t bytes) const;
  Status deadlock() const;

  const Launch &launch;
  std::span<const Buffer> buffers;
  std::byte *shared;
  std::vector<Fiber> fibers;
  std::vector<Meeting> meetings; ///< of each warp
  std::vector<Shadow> shadows;   ///< of each word of shared memory
  std::unique_ptr<Products> warpGroups;
  std::unique_ptr<BulkCopies> bulk;
  ucontext_t scheduler;
  const Body *body = nullptr;
  unsigned running = 0, blockX = 0, blockY = 0, atBarrier = 0, epoch = 0;
  std::mt19937_64 random;
  std::string problem;
};

} // namespace quantc::emulator
