/**
 * The runtime: buffers, allocators, caches, and the loaders that turn emitted text into kernels. Nothing here knows
 * graphs or operators; a backend is one emitter elsewhere and one folder here.
 *
 * @module
 */
export * from "./buffer.ts";
export * from "./disk_cache.ts";
export * from "./library_version.ts";
