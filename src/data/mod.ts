/**
 * Data sets and loaders.
 *
 * @module
 */
export * from "./dataset.ts";
export * from "./digits.ts";
export * from "./loader.ts";
