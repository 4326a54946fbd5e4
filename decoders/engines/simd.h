// Vectors of the width that the machine has, and the functions of the networks on them.
//
// T is float, or double for tests. The vectors are the compiler's own (GCC, Clang). Every kernel
// is one translation unit that includes these headers, so all names are local to it.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

// kRows: rows of a block of a product, see products.h.
#if defined(__AVX512F__)
constexpr int kBytes = 64, kRows = 8;
#elif defined(__aarch64__)
constexpr int kBytes = 16, kRows = 8;
#elif defined(__AVX__)
constexpr int kBytes = 32, kRows = 4;
#else
constexpr int kBytes = 16, kRows = 4;
#endif

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

int round_up(int n, int unit) { return (n + unit - 1) / unit * unit; }

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

// True in the first n lanes, n ≤ 0 and n > kLanes allowed.
template <class T>
inline Mask<T> first_lanes(int n) {
  Mask<T> lane;
  for (int i = 0; i < kLanes<T>; i++) lane[i] = i;
  return lane < n;
}

// Stores the first n lanes and keeps what follows them; p has room for a whole vector.
template <class T>
inline void store_first(T* p, Vector<T> v, int n) {
  if (n < kLanes<T>) v = first_lanes<T>(n) ? v : load(p);
  store(p, v);
}

template <class T>
inline Vector<T> broadcast(T value) {
  return Vector<T>{} + value;
}

template <class T>
T sum(Vector<T> v) {
  T sums[kLanes<T>];
  store(sums, v);
  for (int width = kLanes<T> / 2; width; width /= 2)
    for (int i = 0; i < width; i++) sums[i] += sums[i + width];
  return sums[0];
}

// A NaN stays one.
inline Vector<float> clamp(Vector<float> x, float low, float high) {
  x = x < low ? broadcast(low) : x;
  return x > high ? broadcast(high) : x;
}

// e^x = s (1 + r) for x in [−87, 88], where s is a power of 2 and r is right to rounding, however
// small.
inline void split_exponential(Vector<float> x, Vector<float>& s, Vector<float>& r) {
  const float round = 12582912.0f;  // 1.5 · 2^23: a sum of this size has no room for a fraction
  const Vector<float> n = (x * 1.44269504f + round) - round;
  // ln(2) in two parts has no rounding error of its own. |y| ≤ ln(2)/2, and there the Taylor
  // series to the seventh power is right to rounding.
  const Vector<float> y = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector<float> series = broadcast(1.0f / 5040);
  for (float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f}) series = series * y + c;
  const Mask<float> power = (__builtin_convertvector(n, Mask<float>) + 127) << 23;
  std::memcpy(&s, &power, sizeof s);
  r = series * y;
}

// e^x for x ≤ 88, and 0 where it would be below the normal numbers. A NaN stays one.
inline Vector<float> exponential(Vector<float> x) {
  Vector<float> s, r;
  split_exponential(clamp(x, -87, 88), s, r);
  return x <= -87.0f ? broadcast(0.0f) : s * r + s;
}

inline Vector<double> exponential(Vector<double> x) {
  for (int i = 0; i < kLanes<double>; i++) x[i] = std::exp(x[i]);
  return x;
}

// tanh(f) σ(g) = (e^2f − 1) / ((e^2f + 1) (1 + e^−g)), with one division. Nothing overflows within
// these bounds, and outside them the product equals its limit to within rounding.
inline Vector<float> tanh_sigmoid(Vector<float> f, Vector<float> g) {
  Vector<float> s, r;
  split_exponential(clamp(2.0f * f, -20, 20), s, r);
  const Vector<float> less_one = s * r + (s - 1.0f);  // keeps its digits where f is small
  return less_one / ((less_one + 2.0f) * (exponential(clamp(-g, -60, 60)) + 1.0f));
}

inline Vector<double> tanh_sigmoid(Vector<double> f, Vector<double> g) {
  for (int i = 0; i < kLanes<double>; i++) f[i] = std::tanh(f[i]) / (1 + std::exp(-g[i]));
  return f;
}

// out = tanh(f) σ(g) for n maps. `f_term` and `g_term` are added to f and g first, unless null.
template <class T>
void gate(const T* f, const T* g, const T* f_term, const T* g_term, T* out, int n) {
  for (int i = 0; i < n; i += kLanes<T>) {
    Vector<T> tanh_half = load(f + i), sigma_half = load(g + i);
    if (f_term) {
      tanh_half += load(f_term + i);
      sigma_half += load(g_term + i);
    }
    store_first(out + i, tanh_sigmoid(tanh_half, sigma_half), n - i);
  }
}

template <class T>
void rectify(T* maps, int n) {
  for (int i = 0; i < n; i++) maps[i] = maps[i] < 0 ? 0 : maps[i];  // a NaN stays
}

}  // namespace
