/** Element types, devices, errors, settings and logging: the layer that imports nothing. */
export * from "./config.ts";
export * from "./device.ts";
export * from "./dtype.ts";
export * from "./errors.ts";
export * from "./index_error.ts";
export * from "./log.ts";
export * from "./narrow_floats.ts";
export * from "./reliance.ts";
export * from "./seed.ts";
