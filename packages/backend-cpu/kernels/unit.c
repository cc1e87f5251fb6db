/* All kernels of one instruction set: compiled once for each, with -DFT_ISA=portable | neon | avx2 | avx512. */
#include "vec.h"

#define FT_KERNEL(result, name, params, args) result K(name) params;
#include "ft.h"
#undef FT_KERNEL

#include "gemm/gemm.c"
#include "elementwise.c"
#include "optimizers.c"
#include "rows.c"
#include "quantize.c"
#include "attention/attention.c"
#include "loss.c"
