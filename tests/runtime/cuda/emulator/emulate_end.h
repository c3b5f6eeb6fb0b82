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
template <typename T> struct tsr_items { static double of(unsigned word, int i) { return tsr_half_of<T>(word, i); } };
template <> struct tsr_items<signed char> { static double of(unsigned word, int i) { return (signed char)(word >> (8 * i)); } };
template <> struct tsr_items<float> { static double of(unsigned word, int) { return tsr_as<float>(word & 0xffffe000u); } };
template <> struct tsr_items<e4m3> { static double of(unsigned word, int i) { return tsr_widen(e4m3{(unsigned char)(word >> (8 * i))}); } };
template <> struct tsr_items<e5m2> { static double of(unsigned word, int i) { return tsr_widen(e5m2{(unsigned char)(word >> (8 * i))}); } };
template <typename T> static double tsr_item(unsigned word, int i) { return tsr_items<T>::of(word, i); }
