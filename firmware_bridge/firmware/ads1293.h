/* ads1293.h: the example's converter driver where Arduino and PlatformIO look for a library's headers. */
#include "examples/ads1293.h"
