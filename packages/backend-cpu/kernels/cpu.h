/* What this x86 processor, and its operating system, can run. Asked directly: not every compiler's run-time library has
 * __builtin_cpu_supports. */
#ifndef FT_CPU_H
#define FT_CPU_H

enum { CPU_AVX2 = 1, CPU_AVX512 = 2, CPU_AVX512_BF16 = 4, CPU_AMX_BF16 = 8 };

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static int cpu_features(void) {
  unsigned a, b, c, d, low, high;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  unsigned more = a, extended = b, matrix = d;
  __cpuid(1, a, b, c, d);
  const unsigned basic = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29; /* FMA, OSXSAVE, AVX, F16C */
  if ((c & basic) != basic || !(extended & 1u << 5)) return 0;      /* AVX2 */
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 0x06) != 0x06) return 0; /* the system saves the 256-bit registers */
  int features = CPU_AVX2;
#if defined(__APPLE__)
  low |= 0xe0; /* macOS saves the 512-bit registers of a thread from their first use on, and shows it only then */
#endif
  const unsigned wide = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
  if ((extended & wide) != wide || (low & 0xe0) != 0xe0) return features;
  features |= CPU_AVX512;
  if (more < 1) return features;
  __cpuid_count(7, 1, a, b, c, d);
  if (!(a & 1u << 5)) return features;
  features |= CPU_AVX512_BF16;
#if defined(__linux__) && defined(SYS_arch_prctl)
  /* AMX-BF16 and AMX-TILE, and the system's leave to use the registers (ARCH_REQ_XCOMP_PERM of XTILEDATA) */
  const unsigned amx = 1u << 22 | 1u << 24;
  if ((matrix & amx) == amx && (low & 0x60000) == 0x60000 && !syscall(SYS_arch_prctl, 0x1023, 18))
    features |= CPU_AMX_BF16;
#endif
  (void)matrix;
  return features;
}
#endif

#endif
