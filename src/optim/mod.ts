/**
 * Optimisers and schedules: PyTorch's `torch.optim`.
 *
 * @module
 */
export * from "./adam.ts";
export * from "./lr_scheduler.ts";
export * from "./optimizer.ts";
export * from "./rmsprop.ts";
export * from "./sgd.ts";
export * from "./grad_scaler.ts";
