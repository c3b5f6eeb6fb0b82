// Pairs of halves and powers of two, for kernels of attention.

#ifndef TSR_EMULATED
TSR float tsr_power2(float x) { float r; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
TSR unsigned tsr_pack(float a, float b, f16*) { return tsr_pack_f16(a, b); }
TSR unsigned tsr_pack(float a, float b, bf16*) { return tsr_pack_bf16(a, b); }
#else
TSR float tsr_power2(float x) { return exp2f(x); }
TSR unsigned tsr_pack(float a, float b, f16*) { return tsr_to_f16(a).x | (unsigned)tsr_to_f16(b).x << 16; }
TSR unsigned tsr_pack(float a, float b, bf16*) { return tsr_to_bf16(a).x | (unsigned)tsr_to_bf16(b).x << 16; }
#endif
