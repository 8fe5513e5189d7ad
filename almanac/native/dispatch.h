/* One source, the best instructions of the machine that runs it: the loader picks the clone. */
#ifndef DISPATCH
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define DISPATCH __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define DISPATCH
#endif
#endif
