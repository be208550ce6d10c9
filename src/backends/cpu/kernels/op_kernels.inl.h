// Fills OpKernels with the functions of this instruction set.

inline OpKernels op_kernels() { return {}; }
