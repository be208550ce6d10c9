// temporary
#include "phial/limits.h"
namespace phial { Limits measure_limits(int, double) { return {}; } }
