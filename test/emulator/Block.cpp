//===- Block.cpp - a thread block as fibers -----------------------------------------------------------------------===//

#include "Block.h"
#include "BulkCopies.h"
#include "Products.h"
#include <algorithm>
#include <cstring>

using namespace quantc;
using namespace quantc::emulator;

static constexpr size_t stackBytes = size_t(256) << 10;
static constexpr size_t wordBytes = 4;
static thread_local Block *active = nullptr;

Block &Block::current() {
  return *active;
}

Block::Block(const Launch &launch, std::span<const Buffer> buffers, std::byte *shared)
    : launch(launch), buffers(buffers), shared(shared), fibers(launch.threads), meetings(launch.threads / warpSize),
      random(launch.seed) {
  for (Fiber &fiber : fibers)
    fiber.stack = std::make_unique_for_overwrite<std::byte[]>(stackBytes);
}

Block::~Block() = default;

void Block::enter() {
  (*active->body)();
  active->checkWaited(); // or the kernel could end, and let others go on, before an earlier one has
  active->fibers[active->running].state = State::Done;
  active->yield();
}

Status Block::run(unsigned x, unsigned y, const Body &newBody) {
  blockX = x;
  blockY = y;
  body = &newBody;
  atBarrier = epoch = 0;
  std::memset(shared, 0xff, launch.sharedBytes); // NaN in every float type
  shadows.assign(launch.sharedBytes / wordBytes + 1, {});
  std::ranges::fill(meetings, Meeting());
  bulk = std::make_unique<BulkCopies>(*this, launch.sharedBytes);
  warpGroups = std::make_unique<Products>(*this, launch.threads / warpSize);
  active = this;
  for (Fiber &fiber : fibers) {
    fiber.state = State::Ready;
    fiber.hasWaited = false;
    fiber.groups.assign(1, {});
    fiber.unfenced.clear();
    ::getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = stackBytes;
    fiber.context.uc_link = nullptr;
    ::makecontext(&fiber.context, &Block::enter, 0);
  }
  std::vector<unsigned> ready;
  while (problem.empty()) {
    ready.clear();
    wakeForPhases();
    for (unsigned i = 0; i < fibers.size(); i++)
      if (fibers[i].state == State::Ready)
        ready.push_back(i);
    if (ready.empty())
      break;
    std::ranges::shuffle(ready, random);
    for (unsigned i : ready) { // each of them once: an order that no warp has to itself
      if (fibers[i].state != State::Ready || !problem.empty())
        continue;
      running = i;
      ::swapcontext(&scheduler, &fibers[i].context);
    }
  }
  active = nullptr;
  if (!problem.empty())
    return quantc::fail("block ({}, {}), thread {}: {}", x, y, running, problem);
  if (!std::ranges::all_of(fibers, [](const Fiber &fiber) { return fiber.state == State::Done; }))
    return deadlock();
  for (const std::string &left : {warpGroups->leftOver(), bulk->leftOver()})
    if (!left.empty())
      return quantc::fail("block ({}, {}): {}", x, y, left);
  return {};
}

Status Block::deadlock() const {
  const auto waiting = std::ranges::count(fibers, State::AtBarrier, &Fiber::state);
  const auto meeting = std::ranges::count(fibers, State::AtMeeting, &Fiber::state);
  const auto phases = std::ranges::count(fibers, State::AtPhase, &Fiber::state);
  if (phases)
    return quantc::fail("block ({}, {}): {} threads wait for a phase of an mbarrier that never ends", blockX, blockY,
                        phases);
  return quantc::fail("block ({}, {}): {} threads wait at a barrier and {} at an instruction of their warp, which the "
                      "others never reach",
                      blockX, blockY, waiting, meeting);
}

void Block::yield() {
  ::swapcontext(&fibers[running].context, &scheduler);
}

void Block::maybeYield() {
  landSome();
  warpGroups->landSome(running / warpSize, random);
  bulk->landSome(random, /*must=*/false);
  if (random() % 8 == 0)
    yield();
}

void Block::fail(const std::string &reason) {
  problem = reason;
  while (true)
    yield();
}

void Block::barrier() {
  Fiber &self = fibers[running];
  self.state = State::AtBarrier;
  if (++atBarrier == fibers.size()) {
    atBarrier = 0;
    epoch++;
    for (Fiber &fiber : fibers)
      fiber.state = State::Ready;
  }
  yield();
}

void Block::meet(const char *what, const Call &call, const std::function<void(std::span<const Call>)> &work) {
  const unsigned first = running / warpSize * warpSize;
  Meeting &meeting = meetings[running / warpSize];
  if (meeting.arrived && std::strcmp(meeting.what, what) != 0)
    fail(fmt::format("lanes of a warp part: one is at {}, another at {}", meeting.what, what));
  meeting.what = what;
  meeting.calls[running - first] = call;
  fibers[running].state = State::AtMeeting;
  if (++meeting.arrived == warpSize) {
    work(meeting.calls);
    meeting.arrived = 0;
    for (unsigned lane = 0; lane < warpSize; lane++)
      fibers[first + lane].state = State::Ready;
  }
  yield();
}

//===- Memory --------------------------------------------------------------------------------------------------===//

void Block::checkWaited() {
  if (launch.overlaps && !fibers[running].hasWaited)
    fail("goes on before it has waited for earlier kernels (griddepcontrol.wait)");
}

bool Block::isIn(const Buffer &buffer, const void *address, size_t bytes) const {
  const auto *at = static_cast<const std::byte *>(address), *begin = static_cast<const std::byte *>(buffer.data);
  return at >= begin && at + bytes <= begin + buffer.bytes;
}

void Block::touchShared(const void *address, size_t bytes, bool write) {
  const size_t offset = static_cast<const std::byte *>(address) - shared;
  if (bulk->isWritten(offset, bytes))
    fail(fmt::format("{} byte {} of shared memory, to which a copy is under way", write ? "writes" : "reads", offset));
  const int self = static_cast<int>(running);
  for (size_t word = offset / wordBytes; word <= (offset + bytes - 1) / wordBytes; word++) {
    Shadow &shadow = shadows[word];
    const bool wroteOther = shadow.writer != Shadow::nobody && shadow.writer != self && shadow.written == epoch;
    const bool readOther = shadow.reader != Shadow::nobody && shadow.reader != self && shadow.read == epoch;
    if (wroteOther || (write && readOther))
      fail(fmt::format("race on byte {} of shared memory: thread {} {} what thread {} {} with no barrier between",
                       word * wordBytes, self, write ? "writes" : "reads",
                       wroteOther                         ? std::to_string(shadow.writer)
                       : shadow.reader == Shadow::several ? "several"
                                                          : std::to_string(shadow.reader),
                       wroteOther ? "wrote" : "read"));
    if (write && warpGroups->isRead(word * wordBytes))
      fail(fmt::format("writes byte {} of shared memory, which a product under way reads", word * wordBytes));
    if (write) {
      shadow.isFenced = false;
      fibers[running].unfenced.push_back(word);
      shadow.writer = self;
      shadow.written = epoch;
    } else {
      shadow.reader =
          shadow.read == epoch && shadow.reader != Shadow::nobody && shadow.reader != self ? Shadow::several : self;
      shadow.read = epoch;
    }
  }
}

void Block::fenceProxy() {
  for (size_t word : fibers[running].unfenced)
    if (shadows[word].writer == static_cast<int>(running))
      shadows[word].isFenced = true;
  fibers[running].unfenced.clear();
}

const std::byte *Block::readAsync(size_t offset, size_t bytes) {
  if (offset + bytes > launch.sharedBytes)
    fail(fmt::format("a product reads {} bytes at {}, outside of its shared memory", bytes, offset));
  touchShared(shared + offset, bytes, false);
  requireFenced(offset, bytes, "a product reads");
  return shared + offset;
}

void Block::requireFenced(size_t offset, size_t bytes, const char *what) {
  for (size_t word = offset / wordBytes; word <= (offset + bytes - 1) / wordBytes; word++)
    if (!shadows[word].isFenced)
      fail(fmt::format("{} byte {} of shared memory, written with no fence.proxy.async behind it", what,
                       word * wordBytes));
}

size_t Block::offsetOf(const void *address) {
  if (!isIn({shared, launch.sharedBytes}, address, 1))
    fail("an address of shared memory is in none");
  return static_cast<const std::byte *>(address) - shared;
}

/// Who waits for a phase that has ended may go on; where all wait, one of those lets copies land.
void Block::wakeForPhases() {
  bool allWait = true;
  Fiber *waiting = nullptr;
  for (Fiber &fiber : fibers) {
    if (fiber.state == State::AtPhase) {
      waiting = &fiber;
      if (bulk->hasEnded(fiber.barrier, fiber.parity))
        fiber.state = State::Ready;
    }
    allWait &= fiber.state != State::Ready;
  }
  if (allWait && waiting && bulk->isBusy())
    waiting->state = State::Ready;
}

void Block::waitForPhase(size_t barrier, uint32_t parity) {
  touchBarrier(barrier, false);
  maybeYield();
  Fiber &self = fibers[running];
  self.barrier = barrier;
  self.parity = parity;
  while (!bulk->hasEnded(barrier, parity)) {
    self.state = State::AtPhase;
    yield();
    if (!bulk->hasEnded(barrier, parity))
      bulk->landSome(random, /*must=*/true);
  }
}

void Block::touchBarrier(size_t barrier, bool write) {
  access(shared + barrier, 8, write);
}

void Block::checkBulkWrite(size_t to, size_t bytes) {
  if (to + bytes > launch.sharedBytes)
    fail(fmt::format("copies {} bytes to {}, outside of its shared memory", bytes, to));
  if (warpGroups->isRead(to))
    fail(fmt::format("copies to byte {} of shared memory, which a product under way reads", to));
  if (bulk->isWritten(to, bytes))
    fail(fmt::format("copies to byte {} of shared memory, to which a copy is under way", to));
}

void Block::writeAsync(size_t to, const void *from, size_t bytes) {
  std::memcpy(shared + to, from, bytes);
  for (size_t word = to / wordBytes; word <= (to + bytes - 1) / wordBytes; word++)
    shadows[word] = {};
}

void Block::checkGlobalRead(const void *from, size_t bytes) {
  checkWaited();
  if (std::ranges::none_of(buffers, [&](const Buffer &buffer) { return isIn(buffer, from, bytes); }))
    fail(fmt::format("copies {} bytes from outside of its buffers", bytes));
}

void Block::access(const void *address, size_t bytes, bool write) {
  if (reinterpret_cast<uintptr_t>(address) % std::min<size_t>(bytes & -bytes, 16))
    fail(fmt::format("an access of {} bytes is not aligned", bytes));
  if (isIn({shared, launch.sharedBytes}, address, bytes)) {
    maybeYield();
    return touchShared(address, bytes, write);
  }
  checkWaited();
  for (const Buffer &buffer : buffers)
    if (isIn(buffer, address, bytes)) {
      if (write && !buffer.writable)
        fail(fmt::format("writes a buffer of {} bytes that it may only read", buffer.bytes));
      return;
    }
  fail(fmt::format("{} {} bytes outside of its buffers", write ? "writes" : "reads", bytes));
}

void Block::copyLater(void *to, const void *from, unsigned bytes, unsigned count) {
  if (count)
    access(from, count, false);
  if (reinterpret_cast<uintptr_t>(from) % bytes)
    fail(fmt::format("a copy of {} bytes is not aligned", bytes));
  if (!isIn({shared, launch.sharedBytes}, to, bytes) || reinterpret_cast<uintptr_t>(to) % bytes)
    fail("copies to what is no aligned place in its shared memory");
  touchShared(to, bytes, true); // it may land at once
  fibers[running].groups.back().push_back({to, from, bytes, count, false});
  maybeYield();
}

void Block::land(Copy &copy) {
  if (copy.landed)
    return;
  touchShared(copy.to, copy.bytes, true);
  std::memset(copy.to, 0, copy.bytes);
  std::memcpy(copy.to, copy.from, copy.count);
  copy.landed = true;
}

void Block::landSome() {
  for (auto &group : fibers[running].groups)
    for (Copy &copy : group)
      if (random() % 16 == 0)
        land(copy);
}

void Block::commitGroup() {
  fibers[running].groups.emplace_back();
}

void Block::waitGroups(unsigned left) {
  auto &groups = fibers[running].groups;
  while (groups.size() > left + 1) {
    for (Copy &copy : groups.front())
      land(copy);
    groups.erase(groups.begin());
  }
}
