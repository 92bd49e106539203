/* Stands in for a header that TVM's wheel lacks. What the sources built here write is plain values; io.h has all of it. */
#ifndef TVM_SUPPORT_SERIALIZER_H_
#define TVM_SUPPORT_SERIALIZER_H_

#include "io.h"

#endif
