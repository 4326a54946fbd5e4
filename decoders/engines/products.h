// Memory for vectors, and products of matrices in blocks that fill the registers.

#pragma once

#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "simd.h"

namespace {

// A block of a product holds kRows × kPanel vectors of sums. With the weights and a factor they
// fill the registers.
constexpr int kPanel = 3;

// Aligned zeros, with room for one more vector at the end: a load or a store may run over.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) {
    const size_t bytes = (size + kLanes<T>) * sizeof(T);
    const size_t page = size_t(2) << 20;
    const size_t align = bytes < 2 * page ? 64 : page;
    data_ = static_cast<T*>(std::aligned_alloc(align, (bytes + align - 1) / align * align));
    if (!data_) throw std::bad_alloc();
#ifdef __linux__
    // Large pages: fewer faults at the first touch, fewer misses at every later one.
    if (align == page) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
    std::memset(data_, 0, bytes);
  }
  // A copy of `size` values, or zeros where `from` is null.
  Buffer(const void* from, size_t size) : Buffer(size) {
    if (from) std::copy_n(static_cast<const T*>(from), size, data_);
  }
  Buffer(Buffer&& other) noexcept { std::swap(data_, other.data_); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~Buffer() { std::free(data_); }
  operator T*() { return data_; }
  operator const T*() const { return data_; }

 private:
  T* data_ = nullptr;
};

// Rows of maps in groups, given by the distances between rows and between groups. A distance of 0
// repeats one row, such as a bias.
template <class T>
struct Rows {
  T* data;
  size_t row, group = 0;
  T* at(int group_index, int row_index) const {
    return data + group_index * group + row_index * row;
  }
  operator Rows<const T>() const { return {data, row, group}; }
};

// A matrix (inputs, outputs) in panels of at most kPanel vectors of outputs, each contiguous.
template <class T>
struct Matrix {
  int inputs = 0, outputs = 0, vectors = 0, panels = 0;
  Buffer<T> packed;

  Matrix() = default;
  // Rows × columns of a row-major matrix with `stride` columns, from (row, column) on.
  Matrix(const void* matrix, size_t stride, int row, int column, int rows, int columns)
      : inputs(rows),
        outputs(columns),
        vectors((outputs + kLanes<T> - 1) / kLanes<T>),
        panels((vectors + kPanel - 1) / kPanel),
        packed(size_t(vectors) * kLanes<T> * inputs) {
    const T* from = static_cast<const T*>(matrix) + row * stride + column;
    T* to = packed;
    for (int i = 0; i < panels; i++) {
      const int begin = first_vector(i) * kLanes<T>, end = first_vector(i + 1) * kLanes<T>;
      for (int k = 0; k < inputs; k++, to += end - begin) {
        const T* weights = from + k * stride;
        std::copy(weights + begin, weights + std::min(end, outputs), to);
      }
    }
  }
  // Panels are as even as they can be.
  int first_vector(int panel) const { return int(int64_t(vectors) * panel / panels); }
};

// out = start + in · panel for M rows and B vectors. U partial sums run side by side where M · B
// alone would let the multipliers wait for each other.
template <class T, int M, int B, int U>
inline void block(const T* panel, int inputs, const Rows<const T>& in, const Rows<const T>& start,
                  const Rows<T>& out, int group, int row, int column, int outputs) {
  Vector<T> sums[U][M][B] = {};
  const T *x[M], *first[M];
  for (int m = 0; m < M; m++) {
    x[m] = in.at(group, row + m);
    first[m] = start.at(group, row + m) + column;
    for (int b = 0; b < B; b++) sums[0][m][b] = load(first[m] + b * kLanes<T>);
  }
  int k = 0;
  for (; k + U <= inputs; k += U)
    for (int u = 0; u < U; u++, panel += B * kLanes<T>) {
      Vector<T> w[B];
      for (int b = 0; b < B; b++) w[b] = load(panel + b * kLanes<T>);
      for (int m = 0; m < M; m++)
        for (int b = 0; b < B; b++) sums[u][m][b] += x[m][k + u] * w[b];
    }
  for (; k < inputs; k++, panel += B * kLanes<T>)
    for (int m = 0; m < M; m++)
      for (int b = 0; b < B; b++) sums[0][m][b] += x[m][k] * load(panel + b * kLanes<T>);
  for (int m = 0; m < M; m++)
    for (int b = 0; b < B; b++) {
      for (int u = 1; u < U; u++) sums[0][m][b] += sums[u][m][b];
      const int at = column + b * kLanes<T>;
      store_first(out.at(group, row + m) + at, sums[0][m][b], outputs - at);
    }
}

template <class T, int B>
void panel_product(const T* panel, int inputs, int groups, int rows, const Rows<const T>& in,
                   const Rows<const T>& start, const Rows<T>& out, int column, int outputs) {
  for (int g = 0; g < groups; g++) {
    int i = 0;
    for (; i + kRows <= rows; i += kRows)
      block<T, kRows, B, 1>(panel, inputs, in, start, out, g, i, column, outputs);
    if constexpr (kRows > 4)
      for (; i + 4 <= rows; i += 4)
        block<T, 4, B, kRows / 4>(panel, inputs, in, start, out, g, i, column, outputs);
    for (; i + 2 <= rows; i += 2)
      block<T, 2, B, kRows / 2>(panel, inputs, in, start, out, g, i, column, outputs);
    for (; i < rows; i++)
      block<T, 1, B, kRows>(panel, inputs, in, start, out, g, i, column, outputs);
  }
}

// out = start + in · w for groups × rows rows. Every panel of w is read once for all of them.
template <class T>
void product(const Matrix<T>& w, int groups, int rows, Rows<const T> in, Rows<const T> start,
             Rows<T> out) {
  const T* panel = w.packed;
  for (int i = 0; i < w.panels; i++) {
    const int first = w.first_vector(i), width = w.first_vector(i + 1) - first;
    const int column = first * kLanes<T>;
    if (width == 3)
      panel_product<T, 3>(panel, w.inputs, groups, rows, in, start, out, column, w.outputs);
    else if (width == 2)
      panel_product<T, 2>(panel, w.inputs, groups, rows, in, start, out, column, w.outputs);
    else
      panel_product<T, 1>(panel, w.inputs, groups, rows, in, start, out, column, w.outputs);
    panel += size_t(width) * kLanes<T> * w.inputs;
  }
}

static_assert(kPanel == 3, "product() has a case for each width of a panel");

}  // namespace
