/* One source, the best instructions of the machine that runs it: the loader picks the clone. */
#ifndef DISPATCH
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define DISPATCH __attribute__((target_clones("arch=x86-64-v3", "default")))
/* Vectors of 64 bytes, of which a compiler makes no use by itself: for code that gains by them. */
#define WIDEST __attribute__((target("arch=x86-64-v4,prefer-vector-width=512")))
#define has_widest() (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
/* The same, with lookups of bytes in vectors of 128 bytes. */
#define BYTE_TABLES __attribute__((target("arch=x86-64-v4,avx512vbmi,prefer-vector-width=512")))
#define has_byte_tables() (has_widest() && __builtin_cpu_supports("avx512vbmi"))
#else
#define DISPATCH
#endif
#endif
