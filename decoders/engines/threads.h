// Tiles of images shared among threads, and errors told to C.

#pragma once

#include <algorithm>
#include <atomic>
#include <new>
#include <thread>
#include <vector>

#include "draw.h"

namespace {

// Images in a tile: with more, the weights are read less often, but fewer threads have work.
constexpr int kTile = 8;

// Calls work(first, n) for tiles of n ≤ kTile images until all are done or the job is stopped.
// Threads share tiles, never a product, and meet only at the end.
// A job has images, threads and stopped().
template <class AnyJob, class Work>
void share_tiles(const AnyJob& job, const Work& work) {
  std::atomic<int> next{0};
  std::atomic<bool> out_of_memory{false};
  const int images = job.images, threads = std::max(1, std::min(job.threads, images));
  const int size = std::min(kTile, (images + threads - 1) / threads);
  const auto run = [&] {
    try {
      for (int first; !job.stopped() && (first = next.fetch_add(size)) < images;)
        work(first, std::min(size, images - first));
    } catch (const std::bad_alloc&) {
      out_of_memory = true;
      next = images;  // nobody begins another tile
    }
  };
  std::vector<std::thread> others;
  others.reserve(threads);
  try {
    for (int i = 1; i < threads; i++) others.emplace_back(run);
  } catch (...) {
    // The machine gives no more threads. Those that run do the work.
  }
  run();
  for (std::thread& other : others) other.join();
  if (out_of_memory) throw std::bad_alloc();
}

// No exception may leave for C: 0 is success, 1 is that memory ran out.
template <class Action>
int status_of(const Action& action) {
  try {
    action();
    return 0;
  } catch (const std::bad_alloc&) {
    return 1;
  }
}

}  // namespace
