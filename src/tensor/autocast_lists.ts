/**
 * What autocast does with each operator: PyTorch's lists, by kind of device.
 *
 * `low`: floating arguments become the region's half type. `float32`: they become float32. `set_dtype`: the result is asked to be float32 unless the caller asked for a dtype. `promote`: they
 * become the widest of them. `banned`: an error. `through`: an operator that PyTorch composes of others and that is whole here: it is taken apart, so that its parts
 * are cast. In-place operators are on no list. Mirrors `AT_FORALL_LOWER_PRECISION_FP` and its neighbours in `autocast_mode.h` and `autocast_mode.cpp`.
 */

/** Kinds of devices with lists. */
export type AutocastDevice = "cuda" | "cpu";

/** What happens to an operator's arguments. */
export type AutocastPolicy = "low" | "float32" | "set_dtype" | "promote" | "banned" | "through";

const PRODUCTS = `
  conv1d conv2d conv3d conv_transpose1d conv_transpose2d.input conv_transpose3d.input
  prelu addmm matmul mm linalg_vecdot linear addbmm baddbmm bmm scaled_dot_product_attention`;

const LOSSES = `
  mse_loss cosine_embedding_loss nll_loss nll_loss2d hinge_embedding_loss poisson_nll_loss smooth_l1_loss l1_loss huber_loss
  margin_ranking_loss soft_margin_loss triplet_margin_loss multi_margin_loss kl_div multilabel_margin_loss
  binary_cross_entropy_with_logits`;

/** What autocast on the CPU leaves in float32 because nothing else exists: transforms, factorisations, what makes complex numbers. */
export const NO_HALVES = `polar stft stft.center view_as_complex cholesky cholesky_inverse cholesky_solve inverse
    lu_solve pinverse qr svd triangular_solve linalg_cond linalg_cond.p_str linalg_matrix_rank
    linalg_matrix_rank.atol_rtol_float linalg_matrix_rank.atol_rtol_tensor linalg_solve linalg_cholesky
    linalg_cholesky_ex linalg_svdvals linalg_eigvalsh linalg_inv linalg_inv_ex linalg_qr linalg_svd linalg_eigh
    linalg_lstsq fft_fft fft_ifft fft_fft2 fft_ifft2 fft_fftn fft_ifftn fft_rfft fft_irfft fft_rfft2 fft_irfft2
    fft_rfftn fft_irfftn fft_hfft fft_ihfft`;

const CUDA: Readonly<Record<AutocastPolicy, string>> = {
  low: `${PRODUCTS} convolution addmv addr einsum mv chain_matmul linalg_multi_dot
    lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell`,
  // square is a power in PyTorch; cross entropy begins with a log_softmax, nll_loss_nd calls nll_loss, inner calls tensordot.
  float32: `${LOSSES} acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan
    pow.Tensor_Scalar pow.Tensor_Tensor pow.Scalar square softplus layer_norm native_layer_norm rms_norm group_norm
    cross_entropy_loss nll_loss_nd cosine_similarity dist pdist cdist renorm logsumexp norm.Scalar norm.ScalarOpt_dim
    upsample_nearest1d _upsample_nearest_exact1d upsample_nearest2d _upsample_nearest_exact2d upsample_nearest3d
    _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d _upsample_bilinear2d_aa upsample_trilinear3d
    upsample_bicubic2d _upsample_bicubic2d_aa`,
  set_dtype: `prod prod.dim_int softmax.int log_softmax.int cumprod cumsum linalg_vector_norm linalg_matrix_norm
    linalg_matrix_norm.str_ord sum sum.dim_IntList`,
  promote: "addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put tensordot scatter_add inner",
  banned: "binary_cross_entropy",
  through: `pairwise_distance linalg_norm linalg_norm.ord_str matrix_power
    linalg_matrix_power lstm.input gru.input rnn_tanh.input rnn_relu.input conv1d.padding conv2d.padding conv3d.padding
    upsample_nearest1d.vec _upsample_nearest_exact1d.vec upsample_nearest2d.vec _upsample_nearest_exact2d.vec
    upsample_nearest3d.vec _upsample_nearest_exact3d.vec upsample_linear1d.vec upsample_bilinear2d.vec
    upsample_trilinear3d.vec upsample_bicubic2d.vec _upsample_bilinear2d_aa.vec _upsample_bicubic2d_aa.vec
    norm_except_dim _weight_norm ctc_loss.IntList`,
};

const CPU: Readonly<Record<AutocastPolicy, string>> = {
  low: `${PRODUCTS} conv1d.padding conv2d.padding conv3d.padding
    einsum inner`,
  float32:
    `${LOSSES} nll_loss_nd cross_entropy_loss binary_cross_entropy multilabel_margin_loss_forward ctc_loss.IntList
    avg_pool3d max_pool3d max_unpool2d max_unpool3d adaptive_avg_pool3d adaptive_max_pool3d
    reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d replication_pad3d
    grid_sampler grid_sampler_2d grid_sampler_3d prod prod.dim_int quantile quantile.scalar nanquantile
    nanquantile.scalar cdist trace ${NO_HALVES}`,
  set_dtype: "",
  promote: "stack cat index_copy",
  banned: "",
  through: `tensordot chain_matmul linalg_multi_dot matrix_power linalg_matrix_power
    lstm.input gru.input rnn_tanh.input rnn_relu.input lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell hstack vstack dstack column_stack
    addmv mv`,
};

function tableOf(lists: Readonly<Record<AutocastPolicy, string>>): ReadonlyMap<string, AutocastPolicy> {
  const table = new Map<string, AutocastPolicy>();
  for (const [policy, names] of Object.entries(lists) as [AutocastPolicy, string][]) {
    for (const name of names.split(/\s+/)) {
      if (name === "") continue;
      const full = name.includes("::") ? name.replace("::", ".") : `aten.${name}`;
      table.set(/^[^.]+\.[^.]+$/.test(full) ? `${full}.default` : full, policy);
    }
  }
  return table;
}

const TABLES = { cuda: tableOf(CUDA), cpu: tableOf(CPU) } as const;

/** The policy for an operator (`aten.mm.default`) on a kind of device; null where it is left alone. */
export function autocastPolicy(target: string, device: AutocastDevice): AutocastPolicy | null {
  return TABLES[device].get(target) ?? null;
}

/** Operators with a policy, for tests of the lists. */
export function autocastTargets(device: AutocastDevice): readonly string[] {
  return [...TABLES[device].keys()];
}
