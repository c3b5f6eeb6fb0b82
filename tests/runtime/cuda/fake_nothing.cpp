// A library that does nothing.
extern "C" int nothing() { return 0; }
