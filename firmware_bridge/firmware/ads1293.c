/* ads1293.c: the example's converter driver where Arduino and PlatformIO compile a library's sources. */
#include "examples/ads1293.c"
