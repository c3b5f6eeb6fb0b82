/** The operator table: importing this module defines every operator. */
export * from "./define.ts";
export * from "./samples.ts";
export * from "./combinators.ts";
export type { Functional, TensorMethods } from "./functional.ts";
export { isScalar, scalarDtype, type ScalarInput, scalarInput, scalarMeta, scalarValue } from "./scalars.ts";
export type { TensorValue } from "./value.ts";
import "./activation.ts";
import "./arithmetic.ts";
import "./bitwise.ts";
import "./blend.ts";
import "./comparison.ts";
import "./unary.ts";
import "./matmul.ts";
import "./einsum.ts";
import "./convolution.ts";
import "./convolution_backward.ts";
import "./conv_forms.ts";
