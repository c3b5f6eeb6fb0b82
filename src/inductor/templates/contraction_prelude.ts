export const CONTRACTION_PRELUDE = "";
