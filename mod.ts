/**
 * Tessera: PyTorch 2's compiler stack for TypeScript on Deno.
 *
 * @module
 */
export * from "./src/core/mod.ts";
export * from "./src/tensor/public.ts";
export * from "./src/autograd/mod.ts";
