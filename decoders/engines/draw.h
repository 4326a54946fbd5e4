// The draw of levels: inverse CDF, temperature, and what is known of an image.

#pragma once

#include <limits>

#include "products.h"
#include "logistic_mixture.h"

extern "C" {

// One call, as native.py describes it: what is to be drawn, and where it goes.
struct Job {
  int32_t images, channels, height, width, levels, threads;
  int32_t mixtures;      // of a logistic mixture, which couples a pixel's channels; 0 of a softmax
  int32_t parameters;    // K: of a pixel, or without mixtures of a sub-pixel
  double temperature;
  double least_log_scale, greatest_log_scale;  // of the mixture's components
  const void* noise;     // (images, channels, height, width), of the network's type
  const uint8_t* known;  // (images, channels, height, width), or null
  const uint8_t* mask;   // (images, channels, height, width), not 0 where `known` stays, or null
  uint8_t* x;            // (images, channels, height, width): the images
  void* params;          // (images, groups, height, width, parameters) to be filled, or null
  uint8_t* choices;      // the levels drawn, also where `known` stays, to be filled, or null
  void* decided_by;      // (images, channels, height, width): `largest` of what each was drawn from
  int64_t rows_done;     // counts rows of images while the call lasts
  int32_t stop;          // set from outside, it ends the call soon

  int groups() const { return mixtures ? 1 : channels; }
  bool stopped() const { return __atomic_load_n(&stop, __ATOMIC_RELAXED); }
  void row_done(int of_images) { __atomic_fetch_add(&rows_done, of_images, __ATOMIC_RELAXED); }
};

}  // extern "C"

namespace {

// The largest of n values, or NaN if one of them is. Lowest values follow up to a whole vector.
template <class T>
T largest_of(const T* values, int n) {
  Vector<T> high = load(values);
  Mask<T> ordered = high == high;
  for (int i = kLanes<T>; i < n; i += kLanes<T>) {
    const Vector<T> v = load(values + i);
    high = v > high ? v : high;
    ordered &= v == v;
  }
  T largest = high[0];
  for (int i = 1; i < kLanes<T>; i++) largest = std::max(largest, high[i]);
  for (int i = 0; i < kLanes<T>; i++)
    if (!ordered[i]) return std::numeric_limits<T>::quiet_NaN();
  return largest;
}

// The smallest level whose share of the mass, summed from level 0, is above u; at the latest the
// last level with mass; at temperature 0 the mode. Lowest values follow the logits up to a whole
// vector; `mass` has room for as many, and `sums` for one value a vector.
template <class T>
int inverse_cdf(const T* logits, T largest, int levels, T u, T temperature, T* mass, T* sums) {
  const int vectors = (levels + kLanes<T> - 1) / kLanes<T>;
  if (temperature == 0) {
    int level = 0;
    while (level < levels - 1 && logits[level] != largest) level++;
    return level;
  }
  T total = 0;
  for (int i = 0; i < vectors; i++) {
    Vector<T> e = exponential((load(logits + i * kLanes<T>) - largest) / temperature);
    // At a high temperature the values behind the last level would get mass.
    e = first_lanes<T>(levels - i * kLanes<T>) ? e : broadcast(T(0));
    store(mass + i * kLanes<T>, e);
    total += sums[i] = sum<T>(e);
  }
  // First the vector in which the sum passes u, or the last one with mass; then the level in it.
  const T target = u * total;
  T below = 0, reached = 0;
  int vector = 0;
  for (int i = 0; i < vectors; i++) {
    if (sums[i] > 0) {
      vector = i;
      below = reached;
    }
    reached += sums[i];
    if (reached > target) break;
  }
  const int end = std::min(levels, (vector + 1) * kLanes<T>);
  int level = vector * kLanes<T>;
  for (int i = level; i < end; i++) {
    below += mass[i];
    if (mass[i] > 0) level = i;
    if (below > target) break;
  }
  return level;
}

// The levels of a tile of n images, from `first` on.
template <class T>
class Draw {
 public:
  Draw(const Job& job, int first, int n)
      : job_(job), first_(first), n_(n), stride_(round_up(job.parameters, kLanes<T>)),
        params_(size_t(n) * stride_), mixture_(job.mixtures, job.channels, job.levels, job.least_log_scale,
                 job.greatest_log_scale),
        log_pmf_(round_up(job.levels, kLanes<T>)), mass_(round_up(job.levels, kLanes<T>)),
        sums_(round_up(job.levels, kLanes<T>) / kLanes<T>) {
    const T lowest = std::numeric_limits<T>::lowest();
    std::fill_n(static_cast<T*>(params_), n * stride_, lowest);
    std::fill_n(static_cast<T*>(log_pmf_), round_up(job.levels, kLanes<T>), lowest);
  }

  // Where the parameters of a group go before its levels are drawn: a row an image.
  Rows<T> params() { return {params_, size_t(stride_)}; }

  // Whether `level` reads the parameters of pixel (r, c) for any image and channel.
  bool needs_params(int r, int c) const {
    if (!job_.mask || job_.params || job_.choices) return true;
    for (int i = 0; i < n_; i++)
      for (int g = 0; g < job_.channels; g++)
        if (!job_.mask[index(i, g, job_.channels, r, c)]) return true;
    return false;
  }

  // Image i's level of channel g at (r, c), which is also written to the job's x.
  int level(int i, int g, int r, int c, bool has_params) {
    const size_t at = index(i, g, job_.channels, r, c);
    int level = 0;
    if (has_params) {
      const T* params = params_ + size_t(i) * stride_;
      const T u = static_cast<const T*>(job_.noise)[at], temperature = T(job_.temperature);
      const T largest = largest_of(params, job_.parameters);
      static_cast<T*>(job_.decided_by)[at] = largest;
      if (job_.mixtures)
        level = mixture_level(params, g, index(i, 0, job_.channels, r, c), u, temperature);
      else
        level = inverse_cdf<T>(params, largest, job_.levels, u, temperature, mass_, sums_);
      if (job_.choices) job_.choices[at] = uint8_t(level);
      if (job_.params && g < job_.groups())
        std::copy_n(params, job_.parameters,
                    static_cast<T*>(job_.params) +
                        index(i, g, job_.groups(), r, c) * job_.parameters);
    }
    if (job_.mask && job_.mask[at]) level = job_.known[at];
    job_.x[at] = uint8_t(level);
    return level;
  }

 private:
  int mixture_level(const T* params, int channel, size_t pixel, T u, T temperature) {
    mixture_.begin(params, channel, job_.x + pixel, size_t(job_.height) * job_.width);
    if (temperature == 1) return mixture_.level(u);
    mixture_.tabulate(log_pmf_);
    const T largest = largest_of<T>(log_pmf_, job_.levels);
    return inverse_cdf<T>(log_pmf_, largest, job_.levels, u, temperature, mass_, sums_);
  }

  size_t index(int i, int g, int groups, int r, int c) const {
    return ((size_t(first_ + i) * groups + g) * job_.height + r) * job_.width + c;
  }

  const Job& job_;
  const int first_, n_, stride_;
  Buffer<T> params_;
  LogisticMixture<T> mixture_;
  Buffer<T> log_pmf_, mass_, sums_;
};

}  // namespace
