/* Quantises values in the module's own memory: written at input(), blocks found at output(). No imports. */
#include "blocks256.h"
#include "blocks32.h"

#define EXPORT __attribute__((visibility("default")))
#define CAPACITY 65536 /* values; a multiple of every block */

static float values[CAPACITY];
static uint8_t blocks[CAPACITY / 32 * 34]; /* Q8_0 is the largest */

EXPORT int capacity(void) { return CAPACITY; }
EXPORT float *input(void) { return values; }
EXPORT uint8_t *output(void) { return blocks; }

typedef int quantizer(const float *x, uint8_t *y);

/* No type reaches 2^30; squares of what lies beyond would overflow in the searches. */
#define BEYOND 0x4e800000u
#define INFINITE 0x7f800000u

static inline int run(quantizer *one, int count, int elements, int bytes) {
  for (int i = 0, b = 0; i < count; i += elements, b += bytes) {
    uint32_t most = 0;
    for (int j = i; j < i + elements; j++) {
      const uint32_t magnitude = bits_of_f32(values[j]) & 0x7fffffff;
      most = magnitude > most ? magnitude : most;
    }
    if (most >= INFINITE)
      for (int j = i;; j++)
        if ((bits_of_f32(values[j]) & INFINITE) == INFINITE) return j;
    if (most >= BEYOND || !one(values + i, blocks + b)) return -2 - i;
  }
  return -1;
}

/*
 * Quantises `count` values, a whole number of blocks, to the type of this number in ggml. The first block that cannot be made
 * ends it: returns the index of its first value that is not finite, or -2 - the index of its first value when they are beyond the range of
 * the type. Otherwise returns -1.
 */
EXPORT int quantize(int type, int count) {
  switch (type) {
    case 2: return run(quantize_q4_0, count, 32, 18);
    case 3: return run(quantize_q4_1, count, 32, 20);
    case 6: return run(quantize_q5_0, count, 32, 22);
    case 7: return run(quantize_q5_1, count, 32, 24);
    case 8: return run(quantize_q8_0, count, 32, 34);
    case 12: return run(quantize_q4_k, count, 256, 144);
    case 13: return run(quantize_q5_k, count, 256, 176);
    case 14: return run(quantize_q6_k, count, 256, 210);
    default: __builtin_trap();
  }
}
