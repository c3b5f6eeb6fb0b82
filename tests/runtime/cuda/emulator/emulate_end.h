// What needs the half types, which the module's text defines.
static float tsr_widen(f16 h) { return (float)tsr_as<_Float16>(h.x); }
static float tsr_widen(bf16 h) { return tsr_as<float>((unsigned)h.x << 16); }
static f16 tsr_to_f16(float x) { f16 r; r.x = tsr_as<unsigned short>((_Float16)x); return r; }
static bf16 tsr_to_bf16(float x) {
  bf16 r;
  const unsigned u = tsr_as<unsigned>(x);
  r.x = x != x ? 0x7fff : (unsigned short)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
  return r;
}
static unsigned tsr_pack_f16(float a, float b) { return tsr_to_f16(a).x | (unsigned)tsr_to_f16(b).x << 16; }
static unsigned tsr_pack_bf16(float a, float b) { return tsr_to_bf16(a).x | (unsigned)tsr_to_bf16(b).x << 16; }
template <typename T> static float tsr_half_of(unsigned word, int i) {
  T h;
  h.x = (unsigned short)(word >> (16 * i));
  return tsr_widen(h);
}
