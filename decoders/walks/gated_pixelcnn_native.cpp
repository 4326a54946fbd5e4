// The native engine of the Gated PixelCNN: one call draws whole images from packed weights.
//
// Arithmetic and names are those of the walk in gated_pixelcnn.py: p feature maps in G groups of
// q = p/G, G = C or 1, L layers, reach k = ⌊n/2⌋; the 2·p maps before a gate of the horizontal stack are
// ordered group by group. One thread draws a tile of a few images from its first pixel to its
// last. The vertical stack runs a row at a time, which makes large products. The horizontal stack
// and the head run a pixel at a time; the images of the tile are the rows of their products, so
// that every weight that is read serves all of them.

#include "products.h"
#include "threads.h"

// ---------------------------------------------------------------------------------------------
// What gated_pixelcnn_native.py passes

extern "C" {

struct Sizes {
  int32_t channels, groups, parameters, features, reach, head_features, map_channels;
};

// The matrices of gated_pixelcnn.py, row-major, of the network's type; null where a model has none.
struct LayerWeights {
  const void *vertical, *vertical_bias, *hand_over, *hand_over_bias, *left, *centre, *condition,
      *residual, *residual_bias, *skip, *skip_bias;
};

struct HeadWeights {
  const void *hidden, *hidden_bias, *logits, *logits_bias;
};

struct Inputs {
  const void* scale;  // (256): what the network sees for a level
  const void* map;    // s, (images, map_height, map_width, map_channels), or null
  int32_t map_height, map_width;  // 1×1 for a vector h
};

}  // extern "C"

namespace {

// ---------------------------------------------------------------------------------------------
// The network, packed

template <class T>
struct Layer {
  std::vector<Matrix<T>> vertical;  // one for each row of the kernel
  Buffer<T> vertical_bias, hand_over_bias, residual_bias;
  Matrix<T> hand_over, left, condition_vertical, condition_horizontal;
  std::vector<Matrix<T>> centre, residual, skip;  // one for each group, from the groups it sees
};

template <class T>
struct Network {
  const Sizes sizes;
  const int p, q, qh;
  const size_t gate_row;  // values from one row of 2·p maps to the next, in whole vectors
  std::vector<Layer<T>> layers;
  std::vector<Matrix<T>> hidden, logits;  // one for each group
  Buffer<T> skip_bias, hidden_bias, logits_bias;
  bool has_skip = false;

  explicit Network(const Sizes& s)
      : sizes(s), p(s.features), q(p / s.groups), qh(s.head_features / s.groups),
        gate_row(round_up(2 * p, kLanes<T>)), skip_bias(p) {}

  void add(const LayerWeights& from) {
    const int C = sizes.channels, k = sizes.reach, window = 2 * k + 1, gate = 2 * p;
    const int S = sizes.map_channels;
    const bool first = layers.empty();
    const int inputs = first ? C : p;
    Layer<T> layer;
    for (int j = 0; j <= k; j++)
      layer.vertical.emplace_back(from.vertical, gate, j * window * inputs, 0, window * inputs,
                                  gate);
    layer.vertical_bias = Buffer<T>(from.vertical_bias, gate);
    layer.hand_over = Matrix<T>(from.hand_over, gate, 0, 0, gate, gate);
    layer.hand_over_bias = Buffer<T>(from.hand_over_bias, gate);
    layer.left = Matrix<T>(from.left, gate, 0, 0, k * inputs, gate);
    if (from.condition) {
      layer.condition_vertical = Matrix<T>(from.condition, 2 * gate, 0, 0, S, gate);
      layer.condition_horizontal = Matrix<T>(from.condition, 2 * gate, 0, gate, S, gate);
    }
    layer.residual_bias = Buffer<T>(from.residual_bias, p);
    for (int g = 0; g < sizes.groups; g++) {
      const int seen = (g + 1) * q;
      // At the pixel itself the first layer sees the channels before g, later ones groups ≤ g.
      layer.centre.emplace_back(from.centre, gate, 0, 2 * q * g, first ? g : seen, 2 * q);
      if (from.residual) layer.residual.emplace_back(from.residual, p, 0, q * g, seen, q);
      if (from.skip) layer.skip.emplace_back(from.skip, p, 0, q * g, seen, q);
    }
    if (from.skip) {
      has_skip = true;
      for (int i = 0; i < p; i++) skip_bias[i] += static_cast<const T*>(from.skip_bias)[i];
    }
    layers.push_back(std::move(layer));
  }

  void add(const HeadWeights& from) {
    const int G = sizes.groups, width = sizes.head_features, K = sizes.parameters;
    for (int g = 0; g < G; g++) {
      hidden.emplace_back(from.hidden, width, 0, qh * g, (g + 1) * q, qh);
      logits.emplace_back(from.logits, G * K, 0, K * g, (g + 1) * qh, K);
    }
    hidden_bias = Buffer<T>(from.hidden_bias, width);
    logits_bias = Buffer<T>(from.logits_bias, G * K);
  }
};

// ---------------------------------------------------------------------------------------------
// The walk of a tile

template <class T>
class Tile {
 public:
  Tile(const Network<T>& net, const Inputs& inputs, Job& job, int first, int n)
      : net_(net), inputs_(inputs), job_(job), draw_(job, first, n), first_(first), n_(n),
        C_(job.channels), H_(job.height), W_(job.width), k_(net.sizes.reach), p_(net.p),
        L_(int(net.layers.size())), S_(net.sizes.map_channels), head_(net.sizes.head_features),
        gate_row_(net.gate_row) {
    image_row_ = size_t(W_ + 2 * k_) * C_;
    image_size_ = size_t(H_ + k_ + 1) * image_row_;
    vertical_row_ = size_t(W_ + 2 * k_) * p_ + kLanes<T>;
    horizontal_row_ = size_t(W_ + k_) * p_ + kLanes<T>;
    image_ = Buffer<T>(n_ * image_size_);
    vertical_ = Buffer<T>(size_t(std::max(L_ - 1, 0)) * (k_ + 1) * n_ * vertical_row_);
    pre_vertical_ = Buffer<T>(size_t(n_) * W_ * gate_row_);
    pre_horizontal_ = Buffer<T>(size_t(W_) * L_ * n_ * gate_row_);
    horizontal_ = Buffer<T>(size_t(L_) * n_ * horizontal_row_);
    pre_gate_ = Buffer<T>(size_t(n_) * gate_row_);
    gates_ = Buffer<T>(size_t(L_) * n_ * p_);
    top_ = Buffer<T>(size_t(n_) * p_);
    hidden_ = Buffer<T>(size_t(n_) * head_);
    if (inputs.map && inputs.map_height * inputs.map_width == 1) condition_on_vector();
  }

  void run() {
    for (int r = 0; r < H_; r++) {
      row(r);
      for (int c = 0; c < W_; c++) {
        if (job_.stopped()) return;
        pixel(r, c);
      }
      job_.row_done(n_);
    }
  }

 private:
  // V · s of every layer for a vector h, which is the same at all positions.
  void condition_on_vector() {
    vertical_of_h_ = Buffer<T>(size_t(L_) * n_ * gate_row_);
    horizontal_of_h_ = Buffer<T>(size_t(L_) * n_ * gate_row_);
    const Buffer<T> zeros(gate_row_);
    const T* h = static_cast<const T*>(inputs_.map) + size_t(first_) * S_;
    for (int l = 0; l < L_; l++) {
      const Layer<T>& layer = net_.layers[l];
      const Rows<const T> in{h, size_t(S_)};
      product<T>(layer.condition_vertical, 1, n_, in, {zeros, 0}, of_h(vertical_of_h_, l));
      product<T>(layer.condition_horizontal, 1, n_, in, {layer.hand_over_bias, 0},
                 of_h(horizontal_of_h_, l));
    }
  }

  Rows<T> of_h(Buffer<T>& buffer, int layer) {
    return {buffer + size_t(layer) * n_ * gate_row_, gate_row_};
  }

  // Row r of the conditioning map, for every image (groups) and column (rows).
  Rows<const T> map_row(int r) const {
    const size_t row = size_t(inputs_.map_width) * S_, image = inputs_.map_height * row;
    return {static_cast<const T*>(inputs_.map) + first_ * image + r * row, size_t(S_), image};
  }

  // The padded row of a layer's input that row j of the vertical kernel meets at image row r.
  Rows<const T> kernel_row(int layer, int r, int j) const {
    if (layer == 0)  // shifted up by one, so that the current row is not seen
      return {image_ + size_t(r + j) * image_row_, size_t(C_), image_size_};
    const int slot = (r + j + 1) % (k_ + 1);  // of row r − k + j
    return {vertical_ + (size_t(layer - 1) * (k_ + 1) + slot) * n_ * vertical_row_, size_t(p_),
            vertical_row_};
  }

  // The vertical maps of row r in all layers, and what they hand over to the horizontal stack.
  void row(int r) {
    const Rows<T> pre{pre_vertical_, gate_row_, size_t(W_) * gate_row_};
    const bool vector = inputs_.map && vertical_of_h_, spatial = inputs_.map && !vector;
    for (int l = 0; l < L_; l++) {
      const Layer<T>& layer = net_.layers[l];
      for (int j = 0; j <= k_; j++)
        product<T>(layer.vertical[j], n_, W_, kernel_row(l, r, j),
                   j ? Rows<const T>(pre) : Rows<const T>{layer.vertical_bias, 0}, pre);
      const Rows<T> horizontal{pre_horizontal(l, 0).data, L_ * n_ * gate_row_, gate_row_};
      product<T>(layer.hand_over, n_, W_, pre,
                 vector ? Rows<const T>{of_h(horizontal_of_h_, l).data, 0, gate_row_}
                        : Rows<const T>{layer.hand_over_bias, 0},
                 horizontal);
      if (spatial) {
        product<T>(layer.condition_horizontal, n_, W_, map_row(r), horizontal, horizontal);
        product<T>(layer.condition_vertical, n_, W_, map_row(r), pre, pre);
      }
      if (l == L_ - 1) break;  // nothing reads the last layer's vertical maps
      const Rows<const T> next = kernel_row(l + 1, r, k_);
      for (int i = 0; i < n_; i++) {
        const T* term = vector ? of_h(vertical_of_h_, l).at(0, i) : nullptr;
        T* out = const_cast<T*>(next.at(i, k_));
        for (int c = 0; c < W_; c++, out += p_) {
          const T* maps = pre.at(i, c);
          gate<T>(maps, maps + p_, term, term ? term + p_ : nullptr, out, p_);
        }
      }
    }
  }

  void pixel(int r, int c) {
    // All layers at once: the part of the k pixels left of this one, known for all groups.
    if (k_)
      for (int l = 0; l < L_; l++) {
        const Rows<T> sums = pre_horizontal(l, c);
        product<T>(net_.layers[l].left, 1, n_, l ? horizontal(l - 1, c - k_) : pixel_at(r, c - k_),
                   sums, sums);
      }
    const bool needs_params = draw_.needs_params(r, c);
    for (int g = 0; g < C_; g++) {
      if (g < net_.sizes.groups) {
        group_maps(r, c, g);
        if (needs_params) group_params(g);
      }
      for (int i = 0; i < n_; i++) {
        const int level = draw_.level(i, g, r, c, needs_params);
        pixel_at(r, c).at(0, i)[g] = static_cast<const T*>(inputs_.scale)[level];
      }
    }
  }

  // Group g's maps in all layers, at a pixel whose channels before g are drawn.
  void group_maps(int r, int c, int g) {
    const int q = net_.q, begin = g * q;
    const Rows<T> pre_gate{pre_gate_, gate_row_}, top{top_ + begin, size_t(p_)};
    for (int l = 0; l < L_; l++) {
      const Layer<T>& layer = net_.layers[l];
      const Rows<T> sums = pre_horizontal(l, c);
      product<T>(layer.centre[g], 1, n_, l ? horizontal(l - 1, c) : pixel_at(r, c),
                 {sums.data + 2 * begin, sums.row}, pre_gate);
      const Rows<T> gates{gates_ + size_t(l) * n_ * p_, size_t(p_)};
      for (int i = 0; i < n_; i++) {
        const T* maps = pre_gate.at(0, i);
        gate<T>(maps, maps + q, nullptr, nullptr, gates.at(0, i) + begin, q);
      }
      if (!layer.residual.empty()) {
        const Rows<T> maps = horizontal(l, c), out{maps.data + begin, maps.row};
        product<T>(layer.residual[g], 1, n_, gates, {layer.residual_bias + begin, 0}, out);
        if (l)
          for (int i = 0; i < n_; i++) {
            const T* input = horizontal(l - 1, c).at(0, i) + begin;
            for (int j = 0; j < q; j++) out.at(0, i)[j] += input[j];
          }
      }
      if (net_.has_skip)
        product<T>(layer.skip[g], 1, n_, gates,
                   l ? Rows<const T>(top) : Rows<const T>{net_.skip_bias + begin, 0}, top);
    }
    for (int i = 0; i < n_; i++) {
      if (!net_.has_skip)
        std::copy_n(horizontal(L_ - 1, c).at(0, i) + begin, q, top.at(0, i));
      rectify(top.at(0, i), q);
    }
  }

  void group_params(int g) {
    const int begin = g * net_.qh;
    const Rows<T> hidden{hidden_ + begin, size_t(head_)};
    product<T>(net_.hidden[g], 1, n_, {top_, size_t(p_)}, {net_.hidden_bias + begin, 0}, hidden);
    for (int i = 0; i < n_; i++) rectify(hidden.at(0, i), net_.qh);
    product<T>(net_.logits[g], 1, n_, {hidden_, size_t(head_)},
               {net_.logits_bias + g * net_.sizes.parameters, 0}, draw_.params());
  }

  // One row an image: pixel (r, c) as the network sees it, c ≥ −k.
  Rows<T> pixel_at(int r, int c) {
    return {image_ + size_t(r + k_ + 1) * image_row_ + (c + k_) * C_, image_size_};
  }

  // One row an image: a layer's horizontal maps at column c ≥ −k of the current row.
  Rows<T> horizontal(int layer, int c) {
    return {horizontal_ + size_t(layer) * n_ * horizontal_row_ + size_t(c + k_) * p_,
            horizontal_row_};
  }

  // One row an image: what a layer's horizontal gate takes at column c from above and from left.
  Rows<T> pre_horizontal(int layer, int c) {
    return {pre_horizontal_ + (size_t(c) * L_ + layer) * n_ * gate_row_, gate_row_};
  }

  const Network<T>& net_;
  const Inputs& inputs_;
  Job& job_;
  Draw<T> draw_;
  const int first_, n_, C_, H_, W_, k_, p_, L_, S_, head_;
  const size_t gate_row_;
  size_t image_row_, image_size_, vertical_row_, horizontal_row_;
  Buffer<T> image_;           // (n, H + k + 1, W + 2k, C): what the network sees, zero-padded
  Buffer<T> vertical_;        // (L − 1, k + 1, n, W + 2k, p): rows r − k … r, a ring
  Buffer<T> pre_vertical_;    // (n, W, 2p): vertical maps of one layer before their gate
  Buffer<T> pre_horizontal_;  // (W, L, n, 2p)
  Buffer<T> horizontal_;      // (L, n, k + W, p): maps of the current row, zeros left of it
  Buffer<T> gates_;           // (L, n, p): of the horizontal stack at the current pixel
  Buffer<T> pre_gate_, top_, hidden_;
  Buffer<T> vertical_of_h_, horizontal_of_h_;  // (L, n, 2p), for a vector h
};

// A network of either type.
struct Sampler {
  virtual ~Sampler() = default;
  virtual void add(const LayerWeights&) = 0;
  virtual void add(const HeadWeights&) = 0;
  virtual void run(const Inputs&, Job&) const = 0;
};

template <class T>
struct SamplerOf final : Sampler {
  Network<T> net;
  explicit SamplerOf(const Sizes& sizes) : net(sizes) {}
  void add(const LayerWeights& layer) override { net.add(layer); }
  void add(const HeadWeights& head) override { net.add(head); }
  void run(const Inputs& inputs, Job& job) const override {
    share_tiles(job, [&](int first, int n) { Tile<T>(net, inputs, job, first, n).run(); });
  }
};

}  // namespace

// ---------------------------------------------------------------------------------------------
// What gated_pixelcnn_native.py calls. All but the last return 0, or 1 where memory runs out.

extern "C" {

int sampler_new(const Sizes* sizes, int is_double, Sampler** sampler) {
  return status_of([&] {
    if (is_double)
      *sampler = new SamplerOf<double>(*sizes);
    else
      *sampler = new SamplerOf<float>(*sizes);
  });
}

// Copies what is passed. Layers are added first to last.
int sampler_add_layer(Sampler* sampler, const LayerWeights* layer) {
  return status_of([&] { sampler->add(*layer); });
}

int sampler_add_head(Sampler* sampler, const HeadWeights* head) {
  return status_of([&] { sampler->add(*head); });
}

int sampler_run(const Sampler* sampler, const Inputs* inputs, Job* job) {
  return status_of([&] { sampler->run(*inputs, *job); });
}

void sampler_delete(Sampler* sampler) { delete sampler; }

}  // extern "C"
