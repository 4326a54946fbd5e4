// The native engine of the Gated PixelCNN: whole images from packed weights, in one call.
//
// The arithmetic is that of cached.py, and so are the names: p feature maps in C groups of q,
// reach k = n/2, the 2p maps before a gate of the horizontal stack ordered group by group. A tile
// of a few images is drawn by one thread from its first pixel to its last. Its vertical stack runs
// a row at a time, which makes large products; its horizontal stack and head run a pixel at a
// time, where the images of the tile are the rows of the products, so that every weight that is
// read serves all of them. Threads share tiles, never a product: they meet only at the end.
//
// T is float, or double for tests. Vectors are the compiler's own (GCC, Clang), of the width that
// the machine has.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace {

// ---------------------------------------------------------------------------------------------
// Vectors

#if defined(__AVX512F__)
constexpr int kBytes = 64, kRows = 8;
#elif defined(__aarch64__)
constexpr int kBytes = 16, kRows = 8;
#elif defined(__AVX__)
constexpr int kBytes = 32, kRows = 4;
#else
constexpr int kBytes = 16, kRows = 4;
#endif
// Images in a tile: more would read the weights less often, but leave less for other threads.
constexpr int kTile = 8;
// A block of a product holds kRows × kPanel vectors of sums, which with the weights and a factor
// fill the registers.
constexpr int kPanel = 3;

template <class T>
struct Simd;
template <>
struct Simd<float> {
  typedef float Vector __attribute__((vector_size(kBytes)));
  typedef int32_t Mask __attribute__((vector_size(kBytes)));
};
template <>
struct Simd<double> {
  typedef double Vector __attribute__((vector_size(kBytes)));
  typedef int64_t Mask __attribute__((vector_size(kBytes)));
};

template <class T>
using Vector = typename Simd<T>::Vector;
template <class T>
using Mask = typename Simd<T>::Mask;
template <class T>
constexpr int kLanes = kBytes / int(sizeof(T));

template <class T>
inline Vector<T> load(const T* p) {
  Vector<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
inline void store(T* p, Vector<T> v) {
  std::memcpy(p, &v, sizeof v);
}

// True in the first n lanes, or in all that there are.
template <class T>
inline Mask<T> first_lanes(int n) {
  Mask<T> lane;
  for (int i = 0; i < kLanes<T>; i++) lane[i] = i;
  return lane < n;
}

// Store the first n lanes and leave what stands behind them: p must have room for a vector.
template <class T>
inline void store_first(T* p, Vector<T> v, int n) {
  if (n < kLanes<T>) v = first_lanes<T>(n) ? v : load(p);
  store(p, v);
}

template <class T>
inline Vector<T> filled(T value) {
  return Vector<T>{} + value;
}

// e^x = s (1 + r) for x in [−87, 88]: s a power of 2, r right to rounding however small.
inline void split_exponential(Vector<float> x, Vector<float>& s, Vector<float>& r) {
  const float round = 12582912.0f;  // 1.5 · 2^23: adding it leaves no room for a fraction
  const Vector<float> n = (x * 1.44269504f + round) - round;
  // In two parts, ln(2) leaves no error of its own in what is at most ln(2)/2; there the Taylor
  // series to its seventh power is right to rounding.
  const Vector<float> y = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector<float> sum = filled(1.0f / 5040);
  for (float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f}) sum = sum * y + c;
  const Mask<float> power = (__builtin_convertvector(n, Mask<float>) + 127) << 23;
  std::memcpy(&s, &power, sizeof s);
  r = sum * y;
}

inline Vector<float> clamped(Vector<float> x, float low, float high) {
  x = x > low ? x : filled(low);  // so a NaN becomes `low`
  return x < high ? x : filled(high);
}

// e^x for x ≤ 88, 0 below the normal numbers.
inline Vector<float> exponential(Vector<float> x) {
  Vector<float> s, r;
  split_exponential(clamped(x, -87, 88), s, r);
  return x > -87.0f ? s * r + s : filled(0.0f);
}

inline Vector<double> exponential(Vector<double> x) {
  for (int i = 0; i < kLanes<double>; i++) x[i] = std::exp(x[i]);
  return x;
}

// tanh(f) σ(g) = (e^2f − 1) / ((e^2f + 1) (1 + e^−g)), with one division. Within these bounds
// nothing overflows, and outside them the product has reached its limit to within rounding.
inline Vector<float> gated(Vector<float> f, Vector<float> g) {
  Vector<float> s, r;
  split_exponential(clamped(2.0f * f, -20, 20), s, r);
  const Vector<float> less_one = s * r + (s - 1.0f);  // keeps its digits where f is small
  return less_one / ((less_one + 2.0f) * (exponential(clamped(-g, -60, 60)) + 1.0f));
}

inline Vector<double> gated(Vector<double> f, Vector<double> g) {
  for (int i = 0; i < kLanes<double>; i++) f[i] = std::tanh(f[i]) / (1 + std::exp(-g[i]));
  return f;
}

// out = tanh(f) σ(g) for n maps; `f_more` and `g_more` are added first, unless null.
template <class T>
void gate(const T* f, const T* g, const T* f_more, const T* g_more, T* out, int n) {
  for (int i = 0; i < n; i += kLanes<T>) {
    Vector<T> tanh_half = load(f + i), sigma_half = load(g + i);
    if (f_more) {
      tanh_half += load(f_more + i);
      sigma_half += load(g_more + i);
    }
    store_first(out + i, gated(tanh_half, sigma_half), n - i);
  }
}

// ---------------------------------------------------------------------------------------------
// Memory

// Zeros, aligned, with room for one vector more at the end: a load or a store may run over.
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
    // Large pages: fewer faults when they are first touched, fewer misses when they are read.
    if (align == page) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
    std::memset(data_, 0, bytes);
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

// Rows of maps: `groups` times `rows` of them, by their distances; a distance may be 0.
template <class T>
struct Rows {
  T* data;
  size_t row, group = 0;
  T* at(int group_index, int row_index) const {
    return data + group_index * group + row_index * row;
  }
};

int round_up(int n, int unit) { return (n + unit - 1) / unit * unit; }

// ---------------------------------------------------------------------------------------------
// Products

// A matrix (inputs, outputs) in panels of at most kPanel vectors of outputs, each contiguous.
template <class T>
struct Matrix {
  int inputs = 0, outputs = 0, vectors = 0, panels = 0;
  Buffer<T> packed;

  Matrix() = default;
  // The part of a row-major matrix with `stride` columns that begins at `from`.
  Matrix(const T* from, size_t stride, int inputs, int outputs)
      : inputs(inputs),
        outputs(outputs),
        vectors((outputs + kLanes<T> - 1) / kLanes<T>),
        panels((vectors + kPanel - 1) / kPanel),
        packed(size_t(vectors) * kLanes<T> * inputs) {
    T* to = packed;
    for (int i = 0; i < panels; i++) {
      const int begin = first_vector(i) * kLanes<T>, end = first_vector(i + 1) * kLanes<T>;
      for (int k = 0; k < inputs; k++, to += end - begin) {
        const T* row = from + k * stride;
        std::copy(row + begin, row + std::min(end, outputs), to);
      }
    }
  }
  // Panels as even as they can be.
  int first_vector(int panel) const { return int(int64_t(vectors) * panel / panels); }
};

// For M rows and B vectors: out = start + in · panel. U sums run side by side where M · B alone
// would leave the multipliers waiting for each other.
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

// out = start + in · w for groups × rows rows. A panel of w is read once for all of them.
template <class T>
void product(const Matrix<T>& w, int groups, int rows, Rows<const T> in, Rows<const T> start,
             Rows<T> out) {
  const T* panel = w.packed;
  for (int i = 0; i < w.panels; i++) {
    const int first = w.first_vector(i), wide = w.first_vector(i + 1) - first;
    const int column = first * kLanes<T>;
    if (wide == 3)
      panel_product<T, 3>(panel, w.inputs, groups, rows, in, start, out, column, w.outputs);
    else if (wide == 2)
      panel_product<T, 2>(panel, w.inputs, groups, rows, in, start, out, column, w.outputs);
    else
      panel_product<T, 1>(panel, w.inputs, groups, rows, in, start, out, column, w.outputs);
    panel += size_t(wide) * kLanes<T> * w.inputs;
  }
}

static_assert(kPanel == 3, "product() has a case for each width of a panel");

}  // namespace

// ---------------------------------------------------------------------------------------------
// What native.py passes: plain structures of C

extern "C" {

struct Shape {
  int32_t channels, height, width, levels, features, layers, reach, head_features;
  int32_t map_channels, map_height, map_width;  // of the conditioning map; 1×1 for a vector h
};

// Row-major matrices as in weights.py, all of one floating type; null where the model has none.
struct LayerWeights {
  const void *vertical, *vertical_bias, *hand_over, *hand_over_bias, *left, *centre, *condition,
      *residual, *residual_bias, *skip, *skip_bias;
};

struct HeadWeights {
  const void *hidden, *hidden_bias, *logits, *logits_bias;
};

struct Job {
  int32_t images, threads;
  double temperature;
  const void* scaled;    // (256): what the network sees for a level
  const void* map;       // (images, map_height, map_width, map_channels) or null
  const void* noise;     // (images, channels, height, width)
  const uint8_t* known;  // likewise, or null
  const uint8_t* mask;   // likewise, not 0 where `known` stays, or null
  uint8_t* drawn;        // likewise: the images
  void* logits;          // (images, channels, height, width, levels), or null
  uint8_t* choices;      // what was drawn also where `known` stays, or null
  int64_t rows_done;     // counts rows of images while the call lasts
  int32_t stop;          // set it from outside, and the call returns soon
};

}  // extern "C"

namespace {

// ---------------------------------------------------------------------------------------------
// The network, packed

template <class T>
Buffer<T> copied(const void* from, int size) {
  Buffer<T> to(size);
  if (from) std::copy_n(static_cast<const T*>(from), size, static_cast<T*>(to));
  return to;
}

template <class T>
struct Layer {
  std::vector<Matrix<T>> vertical;  // one for each row of the kernel
  Buffer<T> vertical_bias, hand_over_bias, residual_bias;
  Matrix<T> hand_over, left, condition_above, condition_beside;
  std::vector<Matrix<T>> centre, residual, skip;  // one for each group, of the groups it sees
};

template <class T>
struct Network {
  const Shape shape;
  const int p, q, qh, wide;  // wide: 2p, rounded up to whole vectors
  std::vector<Layer<T>> layers;
  std::vector<Matrix<T>> hidden, logits;  // one for each group
  Buffer<T> skip_bias, hidden_bias, logits_bias;
  bool has_skip = false;

  explicit Network(const Shape& s)
      : shape(s), p(s.features), q(p / s.channels), qh(s.head_features / s.channels),
        wide(round_up(2 * p, kLanes<T>)), skip_bias(p) {}

  void add(const LayerWeights& from) {
    const int C = shape.channels, k = shape.reach, window = 2 * k + 1, gate = 2 * p;
    const bool first = layers.empty();
    const int inputs = first ? C : p;
    Layer<T> layer;
    for (int j = 0; j <= k; j++)
      layer.vertical.push_back(
          part(from.vertical, gate, j * window * inputs, 0, window * inputs, gate));
    layer.vertical_bias = copied<T>(from.vertical_bias, gate);
    layer.hand_over = part(from.hand_over, gate, 0, 0, gate, gate);
    layer.hand_over_bias = copied<T>(from.hand_over_bias, gate);
    layer.left = part(from.left, gate, 0, 0, k * inputs, gate);
    if (from.condition) {
      layer.condition_above = part(from.condition, 2 * gate, 0, 0, shape.map_channels, gate);
      layer.condition_beside = part(from.condition, 2 * gate, 0, gate, shape.map_channels, gate);
    }
    layer.residual_bias = copied<T>(from.residual_bias, p);
    for (int g = 0; g < C; g++) {
      const int seen = (g + 1) * q;
      // At the pixel itself the first layer sees the channels before g, later ones groups ≤ g.
      layer.centre.push_back(part(from.centre, gate, 0, 2 * q * g, first ? g : seen, 2 * q));
      if (from.residual) layer.residual.push_back(part(from.residual, p, 0, q * g, seen, q));
      if (from.skip) layer.skip.push_back(part(from.skip, p, 0, q * g, seen, q));
    }
    if (from.skip) {
      has_skip = true;
      for (int i = 0; i < p; i++) skip_bias[i] += static_cast<const T*>(from.skip_bias)[i];
    }
    layers.push_back(std::move(layer));
  }

  void add(const HeadWeights& from) {
    const int C = shape.channels, width = shape.head_features, K = shape.levels;
    for (int g = 0; g < C; g++) {
      hidden.push_back(part(from.hidden, width, 0, qh * g, (g + 1) * q, qh));
      logits.push_back(part(from.logits, C * K, 0, K * g, (g + 1) * qh, K));
    }
    hidden_bias = copied<T>(from.hidden_bias, width);
    logits_bias = copied<T>(from.logits_bias, C * K);
  }

 private:
  // Rows × columns of a row-major matrix, from (row, column) on.
  static Matrix<T> part(const void* matrix, size_t stride, int row, int column, int rows,
                        int columns) {
    return Matrix<T>(static_cast<const T*>(matrix) + row * stride + column, stride, rows, columns);
  }
};

// ---------------------------------------------------------------------------------------------
// A draw

template <class T>
T sum_of(Vector<T> v) {
  T sums[kLanes<T>];
  store(sums, v);
  for (int width = kLanes<T> / 2; width; width /= 2)
    for (int i = 0; i < width; i++) sums[i] += sums[i + width];
  return sums[0];
}

// The smallest level whose share of the mass, summed from level 0, is above u; at the latest the
// last one with mass; at temperature 0 the mode. `logits` are followed by lowest values up to a
// whole vector; `mass` is room for as many, and `sums` for one a vector.
template <class T>
int draw(const T* logits, int levels, T u, T temperature, T* mass, T* sums) {
  const int vectors = (levels + kLanes<T> - 1) / kLanes<T>;
  Vector<T> high = load(logits);
  for (int i = 1; i < vectors; i++) {
    const Vector<T> v = load(logits + i * kLanes<T>);
    high = v > high ? v : high;
  }
  T largest = high[0];
  for (int i = 1; i < kLanes<T>; i++) largest = std::max(largest, high[i]);
  if (temperature == 0) {
    int level = 0;
    while (level < levels - 1 && logits[level] != largest) level++;
    return level;
  }
  T total = 0;
  for (int i = 0; i < vectors; i++) {
    Vector<T> e = exponential((load(logits + i * kLanes<T>) - largest) / temperature);
    // What stands behind the last level has no mass, however hot.
    e = first_lanes<T>(levels - i * kLanes<T>) ? e : filled(T(0));
    store(mass + i * kLanes<T>, e);
    total += sums[i] = sum_of<T>(e);
  }
  // First the vector in which the sum passes u, or the last one with mass, then the level in it.
  const T target = u * total;
  T below = 0, reached = 0;
  int found = 0;
  for (int i = 0; i < vectors; i++) {
    if (sums[i] > 0) {
      found = i;
      below = reached;
    }
    reached += sums[i];
    if (reached > target) break;
  }
  const int end = std::min(levels, (found + 1) * kLanes<T>);
  int level = found * kLanes<T>;
  for (int i = level; i < end; i++) {
    below += mass[i];
    if (mass[i] > 0) level = i;
    if (below > target) break;
  }
  return level;
}

template <class T>
void rectify(T* maps, int n) {
  for (int i = 0; i < n; i++) maps[i] = maps[i] > 0 ? maps[i] : 0;
}

// ---------------------------------------------------------------------------------------------
// A tile of images

template <class T>
class Tile {
 public:
  Tile(const Network<T>& net, Job& job, int first, int images)
      : net_(net), s_(net.shape), job_(job), first_(first), n_(images), C_(s_.channels),
        k_(s_.reach), p_(net.p), L_(s_.layers), wide_(net.wide) {
    image_row_ = size_t(s_.width + 2 * k_) * C_;
    map_row_ = size_t(s_.width + 2 * k_) * p_ + kLanes<T>;
    beside_row_ = size_t(s_.width + k_) * p_ + kLanes<T>;
    levels_ = round_up(s_.levels, kLanes<T>);
    image_ = Buffer<T>(n_ * (s_.height + k_ + 1) * image_row_);
    maps_ = Buffer<T>(size_t(std::max(L_ - 1, 0)) * (k_ + 1) * n_ * map_row_);
    above_ = Buffer<T>(size_t(n_) * s_.width * wide_);
    handed_ = Buffer<T>(size_t(s_.width) * L_ * n_ * wide_);
    beside_ = Buffer<T>(size_t(L_) * n_ * beside_row_);
    pre_gate_ = Buffer<T>(size_t(n_) * wide_);
    gates_ = Buffer<T>(size_t(L_) * n_ * p_);
    top_ = Buffer<T>(size_t(n_) * p_);
    hidden_ = Buffer<T>(size_t(n_) * s_.head_features);
    logits_ = Buffer<T>(size_t(n_) * levels_);
    mass_ = Buffer<T>(levels_);
    sums_ = Buffer<T>(levels_ / kLanes<T>);
    std::fill_n(static_cast<T*>(logits_), n_ * levels_, std::numeric_limits<T>::lowest());
    if (job.map && s_.map_height * s_.map_width == 1) spread_vector();
  }

  void run() {
    for (int r = 0; r < s_.height; r++) {
      vertical_row(r);
      for (int c = 0; c < s_.width; c++) {
        if (__atomic_load_n(&job_.stop, __ATOMIC_RELAXED)) return;
        pixel(r, c);
      }
      __atomic_fetch_add(&job_.rows_done, n_, __ATOMIC_RELAXED);
    }
  }

 private:
  // The part of h in a layer, for a vector h: the same at all positions.
  void spread_vector() {
    above_of_h_ = Buffer<T>(size_t(L_) * n_ * wide_);
    beside_of_h_ = Buffer<T>(size_t(L_) * n_ * wide_);
    const Buffer<T> zeros(wide_);
    const T* h = static_cast<const T*>(job_.map) + size_t(first_) * s_.map_channels;
    for (int l = 0; l < L_; l++) {
      const Layer<T>& layer = net_.layers[l];
      const Rows<const T> in{h, size_t(s_.map_channels)};
      product<T>(layer.condition_above, 1, n_, in, {zeros, 0}, per_image(above_of_h_, l));
      product<T>(layer.condition_beside, 1, n_, in, {layer.hand_over_bias, 0},
                 per_image(beside_of_h_, l));
    }
  }

  Rows<T> per_image(Buffer<T>& buffer, int layer) {
    return {buffer + size_t(layer) * n_ * wide_, size_t(wide_)};
  }

  // The conditioning map's row r for every image (groups) and column (rows).
  Rows<const T> map_row(int r) const {
    const size_t row = size_t(s_.map_width) * s_.map_channels, image = s_.map_height * row;
    return {static_cast<const T*>(job_.map) + first_ * image + r * row, size_t(s_.map_channels),
            image};
  }

  // The row of a layer's input, padded, that the vertical kernel's row j meets at image row r.
  Rows<const T> kernel_row(int layer, int r, int j) const {
    if (layer == 0) {  // shifted: the current row is not seen
      const T* data = image_ + size_t(r + j) * image_row_;
      return {data, size_t(C_), (s_.height + k_ + 1) * image_row_};
    }
    const int slot = (r + j + 1) % (k_ + 1);  // of row r − k + j
    return {maps_ + (size_t(layer - 1) * (k_ + 1) + slot) * n_ * map_row_, size_t(p_), map_row_};
  }

  // All vertical maps of row r, and what the horizontal stack takes from them.
  void vertical_row(int r) {
    const int width = s_.width;
    const Rows<T> above{above_, size_t(wide_), size_t(width) * wide_};
    const bool vector = job_.map && above_of_h_, spatial = job_.map && !vector;
    for (int l = 0; l < L_; l++) {
      const Layer<T>& layer = net_.layers[l];
      for (int j = 0; j <= k_; j++)
        product<T>(layer.vertical[j], n_, width, kernel_row(l, r, j),
                   j ? Rows<const T>{above.data, above.row, above.group}
                     : Rows<const T>{layer.vertical_bias, 0},
                   above);
      const Rows<T> handed{handed_ + size_t(l) * n_ * wide_, size_t(L_) * n_ * wide_,
                           size_t(wide_)};
      product<T>(layer.hand_over, n_, width, {above.data, above.row, above.group},
                 vector ? Rows<const T>{beside_of_h_ + size_t(l) * n_ * wide_, 0, size_t(wide_)}
                        : Rows<const T>{layer.hand_over_bias, 0},
                 handed);
      if (spatial) {
        product<T>(layer.condition_beside, n_, width, map_row(r),
                   {handed.data, handed.row, handed.group}, handed);
        product<T>(layer.condition_above, n_, width, map_row(r),
                   {above.data, above.row, above.group}, above);
      }
      if (l == L_ - 1) break;  // nobody looks at the last vertical maps
      const Rows<const T> next = kernel_row(l + 1, r, k_);
      for (int i = 0; i < n_; i++) {
        const T* more = vector ? above_of_h_ + (size_t(l) * n_ + i) * wide_ : nullptr;
        T* out = const_cast<T*>(next.at(i, k_));
        for (int c = 0; c < width; c++, out += p_) {
          const T* maps = above.at(i, c);
          gate<T>(maps, maps + p_, more, more ? more + p_ : nullptr, out, p_);
        }
      }
    }
  }

  void pixel(int r, int c) {
    T* handed = handed_ + size_t(c) * L_ * n_ * wide_;
    // What every layer takes from the k pixels left of this one.
    if (k_)
      for (int l = 0; l < L_; l++) {
        const Rows<T> sums{handed + size_t(l) * n_ * wide_, size_t(wide_)};
        const Rows<const T> left = l ? Rows<const T>{beside(l - 1, c), beside_row_}
                                     : Rows<const T>{pixel_at(r, c - k_), image_size()};
        product<T>(net_.layers[l].left, 1, n_, left, {sums.data, sums.row}, sums);
      }
    const bool head = must_choose(r, c);
    for (int g = 0; g < C_; g++) {
      group_maps(r, c, g, handed);
      if (head) group_logits(g);
      for (int i = 0; i < n_; i++) choose(r, c, g, i, head);
    }
  }

  // Group g's maps of all layers at a pixel whose channels before g are drawn.
  void group_maps(int r, int c, int g, const T* handed) {
    const int q = net_.q, own = g * q;
    for (int l = 0; l < L_; l++) {
      const Layer<T>& layer = net_.layers[l];
      const Rows<const T> sums{handed + size_t(l) * n_ * wide_ + 2 * own, size_t(wide_)};
      const Rows<const T> in = l ? Rows<const T>{beside(l - 1, c + k_), beside_row_}
                                 : Rows<const T>{pixel_at(r, c), image_size()};
      product<T>(layer.centre[g], 1, n_, in, sums, {pre_gate_, size_t(wide_)});
      for (int i = 0; i < n_; i++) {
        const T* maps = pre_gate_ + size_t(i) * wide_;
        gate<T>(maps, maps + q, nullptr, nullptr, gates_of(l) + size_t(i) * p_ + own, q);
      }
      const Rows<const T> gates{gates_of(l), size_t(p_)};
      if (!layer.residual.empty()) {
        const Rows<T> out{beside(l, c + k_) + own, beside_row_};
        const Rows<const T> bias{layer.residual_bias + own, 0};
        product<T>(layer.residual[g], 1, n_, gates, bias, out);
        if (l)
          for (int i = 0; i < n_; i++) {
            const T* before = beside(l - 1, c + k_) + i * beside_row_ + own;
            for (int j = 0; j < q; j++) out.at(0, i)[j] += before[j];
          }
      }
      if (net_.has_skip) {
        const Rows<T> sum{top_ + own, size_t(p_)};
        product<T>(layer.skip[g], 1, n_, gates,
                   l ? Rows<const T>{sum.data, sum.row} : Rows<const T>{net_.skip_bias + own, 0},
                   sum);
      }
    }
    for (int i = 0; i < n_; i++) {
      T* top = top_ + size_t(i) * p_ + own;
      if (!net_.has_skip) std::copy_n(beside(L_ - 1, c + k_) + i * beside_row_ + own, q, top);
      rectify(top, q);
    }
  }

  void group_logits(int g) {
    const int qh = net_.qh, own = g * qh;
    product<T>(net_.hidden[g], 1, n_, {top_, size_t(p_)}, {net_.hidden_bias + own, 0},
               {hidden_ + own, size_t(s_.head_features)});
    for (int i = 0; i < n_; i++) rectify(hidden_ + size_t(i) * s_.head_features + own, qh);
    product<T>(net_.logits[g], 1, n_, {hidden_, size_t(s_.head_features)},
               {net_.logits_bias + g * s_.levels, 0}, {logits_, size_t(levels_)});
  }

  // Whether any image of the tile wants a draw, or somebody the logits, at this pixel.
  bool must_choose(int r, int c) const {
    if (!job_.mask || job_.logits || job_.choices) return true;
    for (int i = 0; i < n_; i++)
      for (int g = 0; g < C_; g++)
        if (!job_.mask[index(i, g, r, c)]) return true;
    return false;
  }

  void choose(int r, int c, int g, int i, bool head) {
    const size_t at = index(i, g, r, c);
    const bool kept = job_.mask && job_.mask[at];
    int level = 0;
    if (head) {
      const T* logits = logits_ + size_t(i) * levels_;
      level = draw<T>(logits, s_.levels, static_cast<const T*>(job_.noise)[at],
                      T(job_.temperature), mass_, sums_);
      if (job_.choices) job_.choices[at] = uint8_t(level);
      if (job_.logits)
        std::copy_n(logits, s_.levels, static_cast<T*>(job_.logits) + at * s_.levels);
    }
    if (kept) level = job_.known[at];
    job_.drawn[at] = uint8_t(level);
    pixel_at(r, c)[i * image_size() + g] = static_cast<const T*>(job_.scaled)[level];
  }

  size_t index(int i, int g, int r, int c) const {
    return ((size_t(first_ + i) * C_ + g) * s_.height + r) * s_.width + c;
  }

  size_t image_size() const { return (s_.height + k_ + 1) * image_row_; }

  // The first image's pixel (r, c), c from −k on.
  T* pixel_at(int r, int c) { return image_ + size_t(r + k_ + 1) * image_row_ + (c + k_) * C_; }

  // The first image's horizontal maps of a layer at the column c of the padded row.
  T* beside(int layer, int c) {
    return beside_ + size_t(layer) * n_ * beside_row_ + size_t(c) * p_;
  }

  T* gates_of(int layer) { return gates_ + size_t(layer) * n_ * p_; }

  const Network<T>& net_;
  const Shape& s_;
  Job& job_;
  const int first_, n_, C_, k_, p_, L_, wide_;
  int levels_;
  size_t image_row_, map_row_, beside_row_;
  Buffer<T> image_;    // (n, H + k + 1, W + 2k, C): what the network sees, zeros around it
  Buffer<T> maps_;     // (L − 1, k + 1, n, W + 2k, p): vertical maps of rows r − k … r, in turns
  Buffer<T> above_;    // (n, W, 2p): vertical maps before their gate
  Buffer<T> handed_;   // (W, L, n, 2p): what the horizontal stack takes from above, and from left
  Buffer<T> beside_;   // (L, n, k + W, p): horizontal maps of the current row, zeros left of it
  Buffer<T> gates_;    // (L, n, p): of the horizontal stack at the current pixel
  Buffer<T> pre_gate_, top_, hidden_, logits_, mass_, sums_;
  Buffer<T> above_of_h_, beside_of_h_;  // (L, n, 2p), for a vector h
};

template <class T>
void draw_all(const Network<T>& net, Job& job) {
  std::atomic<int> next{0};
  std::atomic<bool> out_of_memory{false};
  const int threads = std::max(1, std::min(job.threads, job.images));
  const int size = std::min(kTile, (job.images + threads - 1) / threads);
  const auto work = [&] {
    try {
      for (int first; (first = next.fetch_add(size)) < job.images;)
        Tile<T>(net, job, first, std::min(size, job.images - first)).run();
    } catch (const std::bad_alloc&) {
      out_of_memory = true;
      next = job.images;  // nobody begins another tile
    }
  };
  std::vector<std::thread> others;
  others.reserve(threads);
  try {
    for (int i = 1; i < threads; i++) others.emplace_back(work);
  } catch (...) {
    // The machine gives no more threads: those that there are do the work.
  }
  work();
  for (std::thread& other : others) other.join();
  if (out_of_memory) throw std::bad_alloc();
}

// What a caller holds: a network of either type.
struct Sampler {
  virtual ~Sampler() = default;
  virtual void add(const LayerWeights&) = 0;
  virtual void add(const HeadWeights&) = 0;
  virtual void run(Job&) const = 0;
};

template <class T>
struct SamplerOf final : Sampler {
  Network<T> net;
  explicit SamplerOf(const Shape& shape) : net(shape) {}
  void add(const LayerWeights& layer) override { net.add(layer); }
  void add(const HeadWeights& head) override { net.add(head); }
  void run(Job& job) const override { draw_all(net, job); }
};

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

extern "C" {

int sampler_new(const Shape* shape, int is_double, Sampler** sampler) {
  return status_of([&] {
    if (is_double)
      *sampler = new SamplerOf<double>(*shape);
    else
      *sampler = new SamplerOf<float>(*shape);
  });
}

// Layers are added first to last; what is passed is copied.
int sampler_add_layer(Sampler* sampler, const LayerWeights* layer) {
  return status_of([&] { sampler->add(*layer); });
}

int sampler_add_head(Sampler* sampler, const HeadWeights* head) {
  return status_of([&] { sampler->add(*head); });
}

int sampler_run(const Sampler* sampler, Job* job) {
  return status_of([&] { sampler->run(*job); });
}

void sampler_delete(Sampler* sampler) { delete sampler; }

}  // extern "C"
