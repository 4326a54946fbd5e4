// The steps of decoders/recurrence.py, forward and backward: an image at a time, threads share the
// images and meet only at the end.
//
// A thread keeps the states of one image and direction in rows of whole vectors, h padded with
// zeros, so that no loop has a rest. What leaves it lies in memory as the tensors of recurrence.py.

#include "threads.h"

namespace {

// As recurrence_native.py declares it. Indices are those of `Steps`.
struct Lstm {
  int32_t images, directions, pixels, places, features, taps, steps, carried, threads;
  const int64_t* lengths;  // (steps), cells of a step
  const int64_t* inside;   // (steps), the place of its first cell
  const int64_t* seen;     // (steps, taps), the first place that it sees
  const int64_t* order;    // (directions, pixels), the pixel of a cell
  const void* weight;      // (taps, directions, h, 4·h), or backward (taps, directions, 4·h, h)
  const void* x;           // (images, pixels, directions, 4·h)
  const void* outside;     // (2, directions, h): state, cell
  void* gates;             // (directions, pixels, images, 4·h), by cells
  void* states;            // (directions, places, images, h)
  void* cells;             // (directions, places, images, h)
  void* out;               // (directions, pixels, images, h), by pixels; backward: its gradient
  void* by_gates;          // as gates
  void* by_x;              // as x
  void* by_outside;        // (images, 2, directions, h)
  bool stopped() const { return false; }
};

inline Vector<float> sigmoid(Vector<float> x) {
  return 1.0f / (exponential(clamp(-x, -80, 80)) + 1.0f);
}

inline Vector<float> hyperbolic(Vector<float> x) {
  Vector<float> s, r;
  split_exponential(clamp(2.0f * x, -20, 20), s, r);
  const Vector<float> less_one = s * r + (s - 1.0f);
  return less_one / (less_one + 2.0f);
}

inline Vector<double> sigmoid(Vector<double> x) {
  for (int i = 0; i < kLanes<double>; i++) x[i] = 1 / (1 + std::exp(-x[i]));
  return x;
}

inline Vector<double> hyperbolic(Vector<double> x) {
  for (int i = 0; i < kLanes<double>; i++) x[i] = std::tanh(x[i]);
  return x;
}

// What every image of a job needs: sizes, and the matrices of all directions and taps, padded.
template <class T>
struct Network {
  const Lstm& job;
  int h, padded, longest = 0;
  std::vector<Matrix<T>> matrices;  // of direction d and tap j at d · taps + j

  Network(const Lstm& lstm, bool backward)
      : job(lstm), h(lstm.features), padded(round_up(lstm.features, kLanes<T>)) {
    for (int t = 0; t < job.steps; t++) longest = std::max(longest, int(job.lengths[t]));
    const int rows = backward ? 4 : 1, columns = backward ? 1 : 4;  // blocks of h
    const T* weight = static_cast<const T*>(job.weight);
    const size_t size = size_t(4) * h * h;
    for (int d = 0; d < job.directions; d++)
      for (int j = 0; j < job.taps; j++) {
        Buffer<T> spread(size_t(rows) * padded * columns * padded);
        const T* from = weight + (size_t(j) * job.directions + d) * size;
        for (int i = 0; i < rows * h; i++)
          copy_blocks(from + size_t(i) * columns * h, h,
                      spread + size_t(i / h * padded + i % h) * columns * padded, padded, columns);
        const T* data = spread;
        matrices.emplace_back(data, columns * padded, 0, 0, rows * padded, columns * padded);
      }
  }

  // Copies blocks of h values from one distance between blocks to another.
  void copy_blocks(const T* from, int from_distance, T* to, int to_distance, int blocks) const {
    if (h == padded) return void(std::copy_n(from, size_t(blocks) * h, to));
    for (int b = 0; b < blocks; b++)
      std::copy_n(from + size_t(b) * from_distance, h, to + size_t(b) * to_distance);
  }
  void spread(const T* from, T* to, int blocks) const { copy_blocks(from, h, to, padded, blocks); }
  void gather(const T* from, T* to, int blocks) const { copy_blocks(from, padded, to, h, blocks); }

  int64_t seen(int step, int tap) const { return job.seen[step * job.taps + tap]; }
  // The offset of row `index` (of `rows`) of a tensor (directions, rows, images, width).
  size_t at(int d, int64_t index, int rows, int image, int width) const {
    return ((size_t(d) * rows + index) * job.images + image) * width;
  }
};

template <class T>
struct Forward {
  const Network<T>& net;
  const Lstm& job;
  Buffer<T> states, cells, pre;

  explicit Forward(const Network<T>& network)
      : net(network),
        job(net.job),
        states(size_t(job.places) * net.padded),
        cells(size_t(job.places) * net.padded),
        pre(size_t(net.longest) * 4 * net.padded) {}

  void run(int image, int d) {
    const int h = net.h, padded = net.padded;
    const size_t wide = 4 * size_t(padded);
    const T* outside = static_cast<const T*>(job.outside);
    for (int e = 0; e < job.places; e++) {
      net.spread(outside + d * h, states + size_t(e) * padded, 1);
      net.spread(outside + (job.directions + d) * h, cells + size_t(e) * padded, 1);
    }
    const T* x = static_cast<const T*>(job.x) + size_t(image) * job.pixels * job.directions * 4 * h;
    const int64_t* pixel = job.order + size_t(d) * job.pixels;
    int64_t cell = 0;
    for (int t = 0; t < job.steps; cell += job.lengths[t++]) {
      const int n = int(job.lengths[t]);
      for (int i = 0; i < n; i++)
        net.spread(x + (pixel[cell + i] * job.directions + d) * 4 * h, pre + i * wide, 4);
      for (int j = 0; j < job.taps; j++) {
        const Rows<T> rows{pre, wide};
        product<T>(net.matrices[d * job.taps + j], 1, n,
                   {states + net.seen(t, j) * padded, size_t(padded)}, rows, rows);
      }
      for (int i = 0; i < n; i++) {
        T* gates = pre + i * wide;
        const T* before = cells + (net.seen(t, job.carried) + i) * padded;
        T *c = cells + (job.inside[t] + i) * padded, *s = states + (job.inside[t] + i) * padded;
        for (int k = 0; k < padded; k += kLanes<T>) {
          const Vector<T> out = sigmoid(load(gates + k)), keep = sigmoid(load(gates + padded + k));
          const Vector<T> in = sigmoid(load(gates + 2 * padded + k));
          const Vector<T> value = hyperbolic(load(gates + 3 * padded + k));
          const Vector<T> now = keep * load(before + k) + in * value;
          store(gates + k, out);
          store(gates + padded + k, keep);
          store(gates + 2 * padded + k, in);
          store(gates + 3 * padded + k, value);
          store(c + k, now);
          store(s + k, out * hyperbolic(now));
        }
        net.gather(gates, static_cast<T*>(job.gates) +
                              net.at(d, cell + i, job.pixels, image, 4 * h), 4);
        net.gather(s, static_cast<T*>(job.out) +
                          net.at(d, pixel[cell + i], job.pixels, image, h), 1);
      }
    }
    for (int e = 0; e < job.places; e++) {
      const size_t to = net.at(d, e, job.places, image, h);
      net.gather(states + size_t(e) * padded, static_cast<T*>(job.states) + to, 1);
      net.gather(cells + size_t(e) * padded, static_cast<T*>(job.cells) + to, 1);
    }
  }
};

template <class T>
struct Backward {
  const Network<T>& net;
  const Lstm& job;
  Buffer<T> by_states, by_cells, cells, gates, by_gates;
  std::vector<char> is_inside;

  explicit Backward(const Network<T>& network)
      : net(network),
        job(net.job),
        by_states(size_t(job.places) * net.padded),
        by_cells(size_t(job.places) * net.padded),
        cells(size_t(job.places) * net.padded),
        gates(4 * size_t(net.padded)),
        by_gates(size_t(net.longest) * 4 * net.padded),
        is_inside(job.places) {
    for (int t = 0; t < job.steps; t++)
      std::fill_n(is_inside.begin() + job.inside[t], job.lengths[t], 1);
  }

  void run(int image, int d) {
    const int h = net.h, padded = net.padded;
    const size_t wide = 4 * size_t(padded), all = size_t(job.places) * padded;
    std::fill_n(static_cast<T*>(by_states), all, T(0));
    std::fill_n(static_cast<T*>(by_cells), all, T(0));
    for (int e = 0; e < job.places; e++)
      net.spread(static_cast<const T*>(job.cells) + net.at(d, e, job.places, image, h),
                 cells + size_t(e) * padded, 1);
    T* by_x = static_cast<T*>(job.by_x) + size_t(image) * job.pixels * job.directions * 4 * h;
    const int64_t* pixel = job.order + size_t(d) * job.pixels;
    int64_t cell = job.pixels;
    for (int t = job.steps - 1; t >= 0; t--) {
      const int n = int(job.lengths[t]);
      cell -= n;
      for (int i = 0; i < n; i++) {
        const size_t place = size_t(job.inside[t] + i) * padded;
        const size_t from = size_t(net.seen(t, job.carried) + i) * padded;
        const size_t row = net.at(d, cell + i, job.pixels, image, 4 * h);
        net.spread(static_cast<const T*>(job.gates) + row, gates, 4);
        T *ds = by_states + place, *dg = by_gates + i * wide;
        const T* grad = static_cast<const T*>(job.out) +
                        net.at(d, pixel[cell + i], job.pixels, image, h);
        for (int k = 0; k < h; k++) ds[k] += grad[k];
        for (int k = 0; k < padded; k += kLanes<T>) {
          const Vector<T> out = load(gates + k), keep = load(gates + padded + k);
          const Vector<T> in = load(gates + 2 * padded + k), value = load(gates + 3 * padded + k);
          const Vector<T> tanh = hyperbolic(load(cells + place + k)), by_state = load(ds + k);
          const Vector<T> by_cell = load(by_cells + place + k) + by_state * out * (1 - tanh * tanh);
          store(dg + k, by_state * tanh * out * (1 - out));
          store(dg + padded + k, by_cell * load(cells + from + k) * keep * (1 - keep));
          store(dg + 2 * padded + k, by_cell * value * in * (1 - in));
          store(dg + 3 * padded + k, by_cell * in * (1 - value * value));
          store(by_cells + from + k, load(by_cells + from + k) + by_cell * keep);
        }
        net.gather(dg, static_cast<T*>(job.by_gates) + row, 4);
        net.gather(dg, by_x + (pixel[cell + i] * job.directions + d) * 4 * h, 4);
      }
      for (int j = 0; j < job.taps; j++) {
        const Rows<T> rows{by_states + net.seen(t, j) * padded, size_t(padded)};
        product<T>(net.matrices[d * job.taps + j], 1, n, {by_gates, wide}, rows, rows);
      }
    }
    T* by_outside = static_cast<T*>(job.by_outside) + (size_t(image) * 2 * job.directions + d) * h;
    for (const T* sums : {static_cast<const T*>(by_states), static_cast<const T*>(by_cells)}) {
      std::fill_n(by_outside, h, T(0));
      for (int e = 0; e < job.places; e++)
        if (!is_inside[e])
          for (int k = 0; k < h; k++) by_outside[k] += sums[size_t(e) * padded + k];
      by_outside += job.directions * h;
    }
  }
};

template <class T, template <class> class Way>
int run(const Lstm& job, bool backward) {
  return status_of([&] {
    const Network<T> net(job, backward);
    share_tiles(job, [&](int first, int n) {
      Way<T> way(net);
      for (int image = first; image < first + n; image++)
        for (int d = 0; d < job.directions; d++) way.run(image, d);
    });
  });
}

}  // namespace

// 0 is success, 1 is that memory ran out.
extern "C" int lstm_forward(const Lstm* job, int is_double) {
  return is_double ? run<double, Forward>(*job, false) : run<float, Forward>(*job, false);
}

extern "C" int lstm_backward(const Lstm* job, int is_double) {
  return is_double ? run<double, Backward>(*job, true) : run<float, Backward>(*job, true);
}
