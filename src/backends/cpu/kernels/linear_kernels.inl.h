// Fills LinearKernels with the functions of this instruction set.

inline LinearKernels linear_kernels() { return {}; }
