// Fills memory with one value, in place of the driver's fills in recorded work. Moves the bytes once.
#include "common.cuh"

// `rows` of `width` bytes, `pitch` bytes from one to the next; word: the value over four bytes, `to` begins at its first.
extern "C" __global__ void fill_bytes(u8* to, i64 pitch, i64 width, int rows, int word) {
  const uint4 words = make_uint4(word, word, word, word);
  for (int row = blockIdx.y; row < rows; row += gridDim.y) {
    u8* begin = to + row * pitch;
    const i64 chunks = (unsigned long long)begin % 16 == 0 ? width / 16 : 0;
    for (i64 i = globalThread(); i < chunks; i += globalThreads()) reinterpret_cast<uint4*>(begin)[i] = words;
    for (i64 i = 16 * chunks + globalThread(); i < width; i += globalThreads()) begin[i] = (u8)((u32)word >> 8 * (i % 4));
  }
}
