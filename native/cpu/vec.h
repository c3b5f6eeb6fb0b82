#ifndef TESSERA_VEC_H
#define TESSERA_VEC_H
#endif
