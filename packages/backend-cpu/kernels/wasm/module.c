/* The WASM module: every kernel of ft.h in 128-bit vectors on one thread, with nothing to import.
 *
 * Memory belongs to one call. The host calls ft_begin, which forgets all that the call before had, copies operands to where
 * it points, and calls a kernel; scratch comes behind the operands. So there is nothing to free and nothing to fragment. */
#include "../unit.c"

extern unsigned char __heap_base; /* the linker's: where stack and constants end */

static uint64_t top; /* first free byte; 2^32 when memory is full */
static struct {
  void *block;
  size_t bytes;
} slots[FT_SLOTS];

void *ft_alloc(uint64_t bytes) {
  uint64_t at = (top + 63) & ~(uint64_t)63, end = at + bytes, have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
  if (end > (uint64_t)1 << 32) return 0;
  if (end > have && __builtin_wasm_memory_grow(0, (end - have + 0xffff) >> 16) == (size_t)-1) return 0;
  top = end;
  return (void *)(uintptr_t)at;
}

void ft_release(void *block) { (void)block; }

void *ft_scratch(int slot, size_t bytes) {
  if (slots[slot].bytes < bytes) {
    slots[slot].block = ft_alloc(bytes);
    slots[slot].bytes = bytes;
    if (!slots[slot].block) __builtin_trap(); /* the host reports it */
  }
  return slots[slot].block;
}

void ft_parallel(int64_t n, ft_task *task, void *arg) {
  for (int64_t i = 0; i < n; i++) task(arg, i);
}
int ft_threads_active(void) { return 1; }

/* Room for `bytes` of operands; null when they do not fit. */
FT_EXPORT void *ft_begin(size_t bytes) {
  for (int i = 0; i < FT_SLOTS; i++) slots[i].block = 0, slots[i].bytes = 0;
  top = (uintptr_t)&__heap_base;
  return ft_alloc(bytes);
}

#define FT_KERNEL(result, name, params, args) FT_EXPORT result name params { return K(name) args; }
#include "../ft.h"
