/* What the kernels take from the C library; the compiler turns each into one WASM instruction. */
#ifndef FT_WASM_STRING_H
#define FT_WASM_STRING_H
#include <stddef.h>

#define memcpy(to, from, bytes) __builtin_memcpy(to, from, bytes)
#define memset(to, byte, bytes) __builtin_memset(to, byte, bytes)

#endif
