/* Small files of the system, for a client that knows what they mean: clocks, temperatures, load, power. */
#ifndef TVMSR_HOST_FILES_H
#define TVMSR_HOST_FILES_H

#include "wire.h"

/* Takes a count (uint32) and as many patterns (texts; * within one name, as glob knows it) below /proc/ or /sys/. Puts a
 * count (uint32), and for each regular file found and readable: its path (text), its size (uint32) and its bytes. A file
 * is cut at 64 KiB; what would go beyond 256 KiB in all is left out. 0, or -1 where a pattern leads elsewhere.
 */
int put_files(reader *request, writer *reply);

#endif
