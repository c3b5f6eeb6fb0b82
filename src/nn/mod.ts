/**
 * Layers, losses and containers: PyTorch's `torch.nn`.
 *
 * @module
 */
export * from "./activation.ts";
export * from "./containers.ts";
export * from "./conv.ts";
export * from "./embedding_bag.ts";
export * from "./linear.ts";
export * from "./loss.ts";
export * from "./module.ts";
export * from "./normalization.ts";
export * from "./parameter.ts";
export * from "./pooling.ts";
export * from "./recurrent.ts";
export * from "./transformer.ts";
export * as functional from "./functional/mod.ts";
export * as init from "./init.ts";
export * as utils from "./utils.ts";
