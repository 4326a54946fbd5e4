// The discretized logistic mixture of likelihoods.py: a channel's level, given those before it.
//
// Arithmetic, names and blocks of parameters are those of DiscretizedLogisticMixture.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace {

template <class T>
T sigmoid(T x) {
  return 1 / (1 + std::exp(-x));
}

template <class T>
T log_sigmoid(T x) {
  return std::min(x, T(0)) - std::log1p(std::exp(-std::abs(x)));
}

template <class T>
class LogisticMixture {
 public:
  LogisticMixture(int mixtures, int channels, int levels, double least, double greatest)
      : mixtures_(mixtures), channels_(channels), last_(levels - 1), bin_(T(2) / last_),
        least_(T(least)), greatest_(T(greatest)), log_weights_(mixtures), weights_(mixtures),
        means_(mixtures), inverse_scales_(mixtures), exponents_(mixtures) {}

  // Weights, means and scales of channel c's components from a pixel's parameters, whose channels
  // before c have the levels before[0], before[stride], ….
  void begin(const T* params, int c, const uint8_t* before, size_t stride) {
    for (int k = 0; k < mixtures_; k++) log_weights_[k] = params[k];
    for (int e = 0; e < c; e++) {
      channel(params, e, before, stride);
      for (int k = 0; k < mixtures_; k++) log_weights_[k] += log_mass(k, before[e * stride]);
    }
    channel(params, c, before, stride);
    T total = 0;
    const T high = *std::max_element(&log_weights_[0], &log_weights_[0] + mixtures_);
    for (int k = 0; k < mixtures_; k++) total += std::exp(log_weights_[k] - high);
    const T log_total = high + std::log(total);
    for (int k = 0; k < mixtures_; k++) {
      log_weights_[k] -= log_total;
      weights_[k] = std::exp(log_weights_[k]);
    }
  }

  // The smallest level whose CDF is above u.
  int level(T u) const {
    int low = 0, high = last_;
    while (low < high) {
      const int middle = (low + high) / 2;
      T cdf = 0;
      for (int k = 0; k < mixtures_; k++) {
        const T upper = offset(k, middle) + bin_ / 2;
        cdf += weights_[k] * sigmoid(upper * inverse_scales_[k]);
      }
      if (cdf > u)
        high = middle;
      else
        low = middle + 1;
    }
    return high;
  }

  // The log-probabilities of all levels.
  void tabulate(T* log_pmf) {
    for (int v = 0; v <= last_; v++) {
      T high = std::numeric_limits<T>::lowest(), total = 0;
      for (int k = 0; k < mixtures_; k++) {
        exponents_[k] = log_weights_[k] + log_mass(k, v);
        high = std::max(high, exponents_[k]);
      }
      for (int k = 0; k < mixtures_; k++) total += std::exp(exponents_[k] - high);
      log_pmf[v] = high + std::log(total);
    }
  }

 private:
  void channel(const T* params, int c, const uint8_t* before, size_t stride) {
    const T* mean = params + (1 + c) * mixtures_;
    const T* log_scale = params + (1 + channels_ + c) * mixtures_;
    const T* coefficient = params + (1 + 2 * channels_ + c * (c - 1) / 2) * mixtures_;
    for (int k = 0; k < mixtures_; k++) {
      means_[k] = mean[k];
      for (int e = 0; e < c; e++)
        means_[k] += std::tanh(coefficient[e * mixtures_ + k]) * (before[e * stride] * bin_ - 1);
      inverse_scales_[k] = std::exp(-std::min(std::max(log_scale[k], least_), greatest_));
    }
  }

  T log_mass(int k, int level) const {
    const T at = offset(k, level), scale = inverse_scales_[k];
    const T below = log_sigmoid((at + bin_ / 2) * scale);
    const T above = log_sigmoid((bin_ / 2 - at) * scale);
    if (level == 0) return below;
    if (level == last_) return above;
    return below + above + std::log(-std::expm1(-bin_ * scale));
  }

  // A level in units of −1…1, less a component's mean.
  T offset(int k, int level) const { return ((2 * level - last_) - last_ * means_[k]) / last_; }

  const int mixtures_, channels_, last_;
  const T bin_, least_, greatest_;  // the log-scales' bounds
  Buffer<T> log_weights_, weights_, means_, inverse_scales_, exponents_;
};

}  // namespace
