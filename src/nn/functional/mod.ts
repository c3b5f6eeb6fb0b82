/**
 * `nn.functional`: layers as functions of their inputs and parameters, in PyTorch's words.
 *
 * @module
 */
export * from "./activation.ts";
export * from "./attention.ts";
export * from "./convolution.ts";
export {
  BlockMask,
  type BlockMaskOptions,
  createBlockMask,
  flexAttention,
  type FlexAttentionOptions,
  type MaskFunction,
  type ScoreFunction,
} from "./flex_attention.ts";
export {
  pagedAttention,
  type PagedAttentionOptions,
  raggedAttention,
  type RaggedAttentionOptions,
  type SequenceAttentionOptions,
} from "./ragged_attention.ts";
export * from "./dropout.ts";
export * from "./image.ts";
export * from "./loss.ts";
export * from "./normalization.ts";
export * from "./pooling.ts";
export { oneHot } from "./one_hot.ts";
